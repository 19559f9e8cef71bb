"""A fake chat server for tests: it speaks the part of Telegram's bot API that the plugin uses, over
real sockets, and counts what it was sent. Not Telegram.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

TOKEN: Final = "123456:a-token-of-the-fake-chat-server"
BOT: Final = "fake_chat_server_bot"


class FakeChatServer:
    """The state of a running fake: ``sent`` are the messages that it was sent, by time.

    While ``holds`` is set, it takes a message and does not answer. ``refuses`` is a status that it
    answers instead.
    """

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.arrived = threading.Condition()
        self.holds = False
        self.refuses = 0
        self._answer = threading.Event()
        self._updates: list[dict[str, Any]] = []
        self.address = ""

    def write(self, chat: int, text: str, named: str = "bob_at_home") -> None:
        """Write to the bot as a person does."""
        number = len(self._updates) + 1
        about = {"chat": {"id": chat, "username": named}, "text": text}
        self._updates.append({"update_id": number, "message": about})

    def texts(self, containing: str = "") -> list[str]:
        """Return the texts that it was sent."""
        return [each["text"] for each in self.sent if containing in each["text"]]

    def wait_for(self, count: int, containing: str = "", within_s: float = 30) -> list[str]:
        """Wait until it was sent so many messages; return their texts."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.texts(containing)) >= count, within_s), (
                f"expected {count} messages with {containing!r}, found {self.texts()}"
            )
        return self.texts(containing)

    def hold(self) -> None:
        """Take messages and answer none from now on."""
        self.holds = True
        self._answer.clear()

    def let_go(self) -> None:
        """Answer again, what was held too."""
        self.holds = False
        self._answer.set()

    def _answered(self, method: str, body: dict[str, Any]) -> tuple[int, Any]:
        if method == "getMe":
            return 200, {"username": BOT}
        if method == "getUpdates":
            after = body.get("offset", 0)
            return 200, [each for each in self._updates if each["update_id"] >= after]
        if method != "sendMessage":
            return 404, None
        if self.refuses:
            return self.refuses, None
        with self.arrived:
            self.sent.append(body)
            self.arrived.notify_all()
        if self.holds:
            self._answer.wait(60)
        return 200, {"message_id": len(self.sent)}


@contextmanager
def fake_chat_server() -> Iterator[FakeChatServer]:
    """Run a fake chat server on a free port of this machine while the block runs."""
    fake = FakeChatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bot, _, method = self.path.removeprefix("/bot").partition("/")
            status, result = fake._answered(method, body) if bot == TOKEN else (401, None)
            told = {"ok": status == 200, "result": result}
            if status != 200:
                told["description"] = "Forbidden: the bot was blocked by the user"
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.let_go()
        server.shutdown()
        server.server_close()
        thread.join()
