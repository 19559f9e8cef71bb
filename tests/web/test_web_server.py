"""The server under hostile bytes, slow and silent clients, and a prompt stop. Real hypercorn, real
loopback sockets.
"""

import contextlib
import errno
import ssl
from typing import Any

import h11
import pytest
import trio
import trustme
from web_helpers import (
    NOW,
    WEBHOOK,
    MemoryEngine,
    Site,
    new_parser,
    outcome_row,
    read_answer,
    request_bytes,
    served,
    signal_body,
    wait_closed,
)

from web.app import create_app
from web.connections import ConnectionLimits, Guard, GuardedConfig
from web.guarded_server import GuardedServer
from web.http11 import Http11Only
from web.server import Bound, ServerConfig, serve_web
from web.settings import WebSettings

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
UNFIT_HOSTS = (
    b"",
    b".",
    b"a..b",
    b"a" * 64,
    b"a." * 130 + b"a",
    b"a b",
    b"a/b",
    b"u@a",
    b"a:b:c",
    b"a:",
    b":80",
    b"a:123456",
    b"[",
    b"[zz]",
    b"\xff",
)
UPGRADE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec_websocket_version": "13",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/live", 200),
        ("HEAD", "/live", 200),
        ("HEAD", "/events", 200),
        ("GET", "/api/health", 200),
        ("GET", "/api/ready", 200),
        ("GET", "/api/receipts/none", 404),
        ("GET", "/nothing", 404),
        ("GET", "/api/nothing", 404),
        ("PUT", "/live", 405),
        ("OPTIONS", WEBHOOK, 200),
        ("POST", WEBHOOK, 401),
        ("GET", "/static/none", 404),
    ],
)
async def test_every_answer_carries_the_headers(method: str, path: str, status: int) -> None:
    async with served() as site:
        answer = await site.ask(method, path, b"" if method == "POST" else None)
        assert answer.status == status
        for name, value in HEADERS.items():
            assert answer.header(name) == value
        assert "camera=()" in (answer.header("permissions-policy") or "")
        assert answer.header("cache-control") == "no-store"
        assert answer.header("server") is None
        assert answer.header("strict-transport-security") is None


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:" + b"a" * 20_000,
        *(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n" for host in UNFIT_HOSTS),
        *(
            b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n"
            for target in (
                *(b"?", b"*", b"x", b"http://[/", b"http://evil.example/live"),
                *(b"//live", b"/%2flive", b"/%2Flive?a=1", b"///metrics"),
            )
        ),
    ],
)
async def test_refusals_of_the_server_itself_carry_the_headers_too(raw: bytes) -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(raw)
            answer = await read_answer(stream)
        assert 400 <= answer.status < 500
        for name, value in {**HEADERS, "cache-control": "no-store", "connection": "close"}.items():
            assert answer.header(name) == value
        assert answer.header("server") is None


@pytest.mark.parametrize(
    "host",
    [
        "a",
        "localhost:8420",
        "copy.example.org",
        "copy.example.org.:443",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:8420",
        "xn--bcher-kva.a_b",
    ],
)
async def test_every_host_that_is_a_name_or_an_address_is_served(host: str) -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(f"GET /api/health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert (await read_answer(stream)).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/nothing"), ("PUT", "/live"), ("POST", "/api/nothing")]
)
async def test_a_refusal_before_the_body_was_read_says_that_the_connection_ends(
    method: str, path: str
) -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(
                f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n".encode()
            )
            assert (await read_answer(stream)).header("connection") == "close"
            assert await wait_closed(stream) == b""


async def test_hsts_is_promised_only_over_https() -> None:
    async with served(settings=WebSettings(https=True), https=True) as site:
        assert (await site.ask("GET", "/api/health")).header(
            "strict-transport-security"
        ) == "max-age=31536000"
        assert (await site.ask("GET", "/live", upgrade="x")).header(
            "strict-transport-security"
        ) == "max-age=31536000"


async def test_an_upgrade_with_one_trailing_byte_ends_one_connection_only() -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(request_bytes("GET", "/live", **UPGRADE) + b"x")
            assert (await wait_closed(stream)).startswith(b"HTTP/1.1 400")
        assert (await site.ask("GET", "/api/health")).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET //live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nxxx",
    ],
)
async def test_other_protocols_are_refused(raw: bytes) -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(raw)
            came = await wait_closed(stream)
        assert came.startswith((b"HTTP/1.1 400", b"HTTP/1.1 505"))
        assert b" 101 " not in came
        assert (await site.ask("GET", "/api/health")).status == 200


H2C = {
    "connection": "Upgrade, HTTP2-Settings",
    "upgrade": "h2c",
    "http2_settings": "AAMAAABk",
}


async def test_an_offer_of_h2c_is_answered_over_http_1_and_ends_the_connection() -> None:
    """``curl --http2`` offers it. What follows could be past the rules of a proxy: it is not read."""
    async with served() as site:
        for request in (
            request_bytes("GET", "/live", **H2C),
            request_bytes("POST", WEBHOOK, signal_body("offered"), x_key="right", **H2C),
        ):
            stream = await site.connect()
            async with stream:
                smuggled = request_bytes("POST", WEBHOOK, signal_body("past"), x_key="right")
                await stream.send_all(request + smuggled)
                came = await wait_closed(stream)
            assert came.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202"))
            assert came.count(b"HTTP/1.1 ") == 1
            assert b"connection: close" in came.lower()
        assert [each.body for each in site.engine.deliveries] == [signal_body("offered")]


async def test_an_exception_of_a_connection_is_contained_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as site:

        def explode(self: h11.Connection, data: bytes) -> None:
            raise ExceptionGroup("of a connection", [RuntimeError("deep inside the protocol")])

        with monkeypatch.context() as patch:
            patch.setattr(h11.Connection, "receive_data", explode)
            stream = await site.connect()
            async with stream:
                await stream.send_all(b"GET")
                assert await wait_closed(stream) == b""
        assert site.bound.guard.contained == 1
        assert (await site.ask("GET", "/api/health")).status == 200
    assert "a connection ended with an error" in caplog.text


@pytest.mark.parametrize(
    "framing",
    [
        b"HTTP/1.1\r\nContent-Length: 30\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3",
        b"HTTP/1.1\r\nTransfer-Encoding: CHUNKED\r\ncontent-length: 0",
        b"HTTP/1.0\r\nTransfer-Encoding: chunked",
    ],
)
async def test_a_body_with_two_ends_closes_the_connection_and_is_no_delivery(
    framing: bytes,
) -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            smuggled = request_bytes("POST", WEBHOOK, signal_body("smuggled"), x_key="right")
            await stream.send_all(
                b"POST %s %s\r\nHost: a\r\nX-Key: right\r\n\r\n0\r\n\r\n"
                % (WEBHOOK.encode(), framing)
                + smuggled
            )
            came = await wait_closed(stream)
        assert came.startswith(b"HTTP/1.1 400")
        assert came.count(b"HTTP/1.1 ") == 1
        assert site.engine.deliveries == []


def chunked(body: bytes, size: int, extension: bytes = b"") -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(each), extension, each) for each in parts)


CHUNKED = request_bytes("POST", WEBHOOK, x_key="right", transfer_encoding="chunked")


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("extension", [b"", b";name=value"])
@pytest.mark.parametrize("trailer", [b"", b"X-Key: wrong\r\n"])
async def test_a_body_in_chunks_is_one_delivery_and_the_connection_goes_on(
    size: int, extension: bytes, trailer: bytes
) -> None:
    body = signal_body("in chunks", note="x" * 500)
    async with served() as site:
        stream = await site.connect()
        async with stream:
            for _ in range(2):
                await stream.send_all(
                    CHUNKED + chunked(body, size, extension) + b"0\r\n" + trailer + b"\r\n"
                )
                assert (await read_answer(stream)).status in (202, 200)
        assert [each.body for each in site.engine.deliveries] == [body, body]
        assert site.engine.deliveries[0].header("x-key") == ["right"]


@pytest.mark.parametrize(
    ("chunks", "statuses"),
    [
        (b"-1\r\n", {400}),
        (b"0x5\r\nhello\r\n", {400}),
        (b"5\r\nhelloworld\r\n", {400}),
        (b"5;" + b"x" * 100_000, {400, 431}),
        (b"f" * 21 + b"\r\n", {400}),
        (b"ffffffffffffffff\r\n" + b"x" * 30_000, {413}),
        (chunked(b"x" * 30_000, 1_000), {413}),
        (chunked(b"x" * 17_000, 1), {413}),
        (b"0\r\n" + b"X-Trailer: y\r\n" * 10_000, {400, 431}),
    ],
)
async def test_hostile_chunks_are_refused_and_end_their_own_connection(
    chunks: bytes, statuses: set[int]
) -> None:
    async with served(settings=WebSettings(body_timeout_s=20)) as site:
        stream = await site.connect()
        async with stream:
            with contextlib.suppress(trio.BrokenResourceError):  # refused while still sending
                await stream.send_all(CHUNKED + chunks)
            came = await wait_closed(stream)
        assert not came or int(came.split(b" ")[1]) in statuses
        assert site.bound.guard.contained == 0
        assert (await site.ask("POST", WEBHOOK, signal_body(), x_key="right")).status == 202
        assert len(site.engine.deliveries) == 1


async def drip(stream: trio.SocketStream, data: bytes) -> bytes:
    """Send a byte at a time, each after a moment; return what comes until the server closes."""
    came = b""
    for at in range(len(data)):
        try:
            await stream.send_all(data[at : at + 1])
            with trio.move_on_after(0.02):
                received = await stream.receive_some(65536)
                came += received
                if not received:
                    return came
        except trio.BrokenResourceError:
            return came
    return came + await wait_closed(stream)


@pytest.mark.parametrize(
    ("at_once", "dripped", "status"),
    [
        (b"", b"GET /api/health HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 500, b""),
        (request_bytes("POST", WEBHOOK, content_length="5000"), b" " * 5_000, b"408"),
        (CHUNKED, chunked(b" " * 2_000, 1), b"408"),
    ],
)
async def test_senders_that_drip_are_cut_at_a_deadline_and_hold_up_nobody(
    at_once: bytes, dripped: bytes, status: bytes
) -> None:
    limits = ConnectionLimits(head_s=0.5, request_s=3, drain_s=0.5)
    async with served(settings=WebSettings(body_timeout_s=0.5), limits=limits) as site:
        answers: list[bytes] = []

        async def dripping() -> None:
            stream = await site.connect()
            await stream.send_all(at_once)
            answers.append(await drip(stream, dripped))

        with trio.fail_after(40):  # the data alone would take longer, by far
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(dripping)
                while len(answers) < 20:
                    assert (await site.ask("GET", "/api/health")).status == 200
        assert all(each[9:12] == status for each in answers), answers
        with trio.fail_after(60):
            while site.bound.guard.open:
                await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("files", "most", "a_peer"),
    [(16_384, 1024, 256), (2_048, 1024, 256), (256, 128, 32), (1, 1, 1)],
)
def test_connections_leave_half_of_the_open_files_to_everything_else(
    files: int, most: int, a_peer: int
) -> None:
    fitting = ConnectionLimits().fitting(files)
    assert (fitting.connections_max, fitting.connections_per_peer_max) == (most, a_peer)


async def test_an_accept_without_a_free_descriptor_is_told_once_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as site:
        accept, left = trio.SocketListener.accept, 3

        async def short(listener: trio.SocketListener) -> trio.SocketStream:
            nonlocal left
            left -= 1
            if left >= 0:
                raise OSError(errno.EMFILE, "Too many open files")
            return await accept(listener)

        monkeypatch.setattr(trio.SocketListener, "accept", short)
        for _ in range(2):  # the first is taken by the accept that waits already
            assert (await site.ask("GET", "/api/health")).status == 200
    told = [each for each in caplog.records if "no connection can be accepted" in each.getMessage()]
    assert len(told) == 1
    assert "rexalgo doctor" in told[0].getMessage()
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("limits", "least_s"),
    [
        (ConnectionLimits(keep_alive_s=3, head_s=1), 2),
        # in use is more than half
        (ConnectionLimits(keep_alive_s=300, head_s=1, connections_max=1), 0.5),
    ],
)
async def test_an_idle_connection_is_kept_while_there_is_room(
    limits: ConnectionLimits, least_s: float
) -> None:
    """A client that asks every few seconds must not meet the close of its connection."""
    async with served(limits=limits) as site:
        stream = await site.connect()
        async with stream:
            for _ in range(3):
                await stream.send_all(request_bytes("GET", "/api/health"))
                assert (await read_answer(stream, parser=new_parser("GET"))).status == 200
            began = trio.current_time()
            assert await wait_closed(stream) == b""
            assert least_s < trio.current_time() - began < 60


@pytest.mark.parametrize("at_once", [0, 20])
async def test_a_head_that_begins_after_a_rest_has_its_own_time(at_once: int) -> None:
    """``at_once``: the bytes of it that come with the request before."""
    head = b"GET /api/health HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 500
    async with served(limits=ConnectionLimits(keep_alive_s=300, head_s=0.2)) as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(request_bytes("GET", "/api/health") + head[:at_once])
            assert (await read_answer(stream, parser=new_parser("GET"))).status == 200
            with trio.fail_after(60):
                if not at_once:
                    await drip(stream, head)
                await wait_closed(stream)


async def test_an_answer_of_known_length_leaves_in_one_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[bytes] = []
    send_all = trio.SocketStream.send_all

    async def noting(stream: trio.SocketStream, data: bytes) -> None:
        written.append(bytes(data))
        await send_all(stream, data)

    monkeypatch.setattr(trio.SocketStream, "send_all", noting)
    async with served() as site:
        for method in ("GET", "HEAD"):
            written.clear()
            stream = await site.connect()
            async with stream:
                await stream.send_all(request_bytes(method, "/api/health"))
                assert (await read_answer(stream, parser=new_parser(method))).status == 200
            assert [each[:4] for each in written] == [method.encode().ljust(4), b"HTTP"]


class Turns(trio.abc.Instrument):
    """Counts the turns of the loop, and remembers in which one something happened."""

    def __init__(self) -> None:
        self.now = 0
        self.at: dict[str, int] = {}

    def before_io_wait(self, timeout: float) -> None:
        self.now += 1

    def note(self, what: str) -> None:
        self.at[what] = self.now


@pytest.mark.parametrize(
    "delivery",
    [
        request_bytes("POST", WEBHOOK, signal_body(), x_key="right"),
        request_bytes("POST", WEBHOOK, x_key="right", transfer_encoding="chunked")
        + chunked(signal_body(), 30)
        + b"0\r\n\r\n",
    ],
    ids=["whole", "in many chunks"],
)
async def test_a_delivery_that_has_come_reaches_its_handler_in_the_next_turn_of_the_loop(
    delivery: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While orders flow, a turn takes ten milliseconds and more."""
    turns, engine = Turns(), MemoryEngine()
    begin_head, receive, send = GuardedServer._begin_head, engine.receive, GuardedServer._send

    def noting_bytes(server: GuardedServer) -> None:
        turns.note("bytes")
        begin_head(server)

    async def noting_handler(*args: Any, **options: Any) -> Any:
        turns.note("handler")
        taken = await receive(*args, **options)
        turns.note("taken")
        return taken

    async def noting_answer(server: GuardedServer, data: bytes) -> None:
        await send(server, data)
        turns.note("sent")

    monkeypatch.setattr(GuardedServer, "_begin_head", noting_bytes)
    monkeypatch.setattr(GuardedServer, "_send", noting_answer)
    monkeypatch.setattr(engine, "receive", noting_handler)
    async with served(engine) as site:
        trio.lowlevel.add_instrument(turns)
        stream = await site.connect()
        async with stream:
            await stream.send_all(delivery)
            assert (await read_answer(stream, "POST")).status == 202
        trio.lowlevel.remove_instrument(turns)
    assert turns.at["handler"] - turns.at["bytes"] <= 1
    assert turns.at["sent"] - turns.at["taken"] <= 1  # the bytes left before it


async def test_a_client_that_sends_nothing_or_half_a_head_is_closed() -> None:
    async with served(limits=ConnectionLimits(head_s=0.1, drain_s=0.5)) as site:
        for beginning in (b"", b"GET / HTT"):
            stream = await site.connect()
            async with stream:
                await stream.send_all(beginning)
                with trio.fail_after(60):
                    await wait_closed(stream)


async def test_a_request_that_never_ends_is_cut_at_its_deadline() -> None:
    async with served(
        MemoryEngine(hold=trio.Event()),
        limits=ConnectionLimits(request_s=0.2, head_s=0.1, drain_s=0.5),
    ) as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(request_bytes("POST", WEBHOOK, signal_body(), x_key="right"))
            with trio.fail_after(60):
                await wait_closed(stream)


async def test_an_answer_that_was_cut_as_it_began_is_followed_by_no_error_answer() -> None:
    sent: list[object] = []

    async def send(event: object) -> None:
        sent.append(event)

    protocol = object.__new__(Http11Only)
    protocol.connection = h11.Connection(h11.SERVER)
    protocol.config = GuardedConfig()
    protocol.config.guard = Guard(ConnectionLimits(), ())
    protocol.send = send
    protocol.connection.receive_data(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
    protocol.connection.next_event()
    await protocol._send_h11_event(h11.Response(status_code=200, headers=[]))
    before = len(sent)  # here the handler was cancelled, and hypercorn does not know that it began
    await protocol._send_error_response(500)
    assert len(sent) == before
    assert protocol.connection.our_state is h11.ERROR


async def test_a_request_that_the_end_of_the_process_cuts_off_is_answered_by_nothing() -> None:
    """hypercorn would say 500, and the sender of a signal would not know that it may send again."""
    engine, process = MemoryEngine(hold=trio.Event()), trio.CancelScope()
    app = create_app(engine, WebSettings(), now=lambda: NOW)

    async def serve(task_status: trio.TaskStatus[Bound]) -> None:
        with process:
            await serve_web(
                app,
                ServerConfig(port=0),
                shutdown_trigger=trio.sleep_forever,
                task_status=task_status,
            )

    async with trio.open_nursery() as nursery:
        bound = await nursery.start(serve)
        site = Site(engine, bound, trio.Event(), trio.Event())
        async with await site.connect() as stream:
            await stream.send_all(request_bytes("POST", WEBHOOK, signal_body(), x_key="right"))
            await engine.entered.wait()
            process.cancel()
            with trio.fail_after(60):
                assert await wait_closed(stream) == b""


async def test_an_event_stream_outlives_the_deadline_of_a_request() -> None:
    limits = ConnectionLimits(request_s=0.1, head_s=0.1, drain_s=0.5)
    async with served(settings=WebSettings(heartbeat_s=0.05), limits=limits) as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(request_bytes("GET", "/events"))
            came, began = b"", trio.current_time()
            with trio.fail_after(60):
                while came.count(b": still here") < 14:
                    came += await stream.receive_some(65536)
            assert trio.current_time() - began > 0.5


async def test_an_idle_keep_alive_connection_does_not_delay_shutdown() -> None:
    async with served(limits=ConnectionLimits(keep_alive_s=300, drain_s=120)) as site:
        stream = await site.connect()
        await stream.send_all(request_bytes("GET", "/api/health"))
        await read_answer(stream)
        began = trio.current_time()
        site.stop.set()
        await site.ended.wait()
        assert trio.current_time() - began < 60  # below drain_s
        await stream.aclose()


async def test_a_client_that_stops_reading_does_not_delay_shutdown() -> None:
    async with served(
        MemoryEngine(rows=[outcome_row(n, sentence="x" * 100_000) for n in range(1, 201)]),
        limits=ConnectionLimits(send_s=120),
    ) as site:
        stream = await site.connect()
        stream.socket.setsockopt(
            trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096
        )  # so that kernel buffers cannot swallow it all
        await stream.send_all(request_bytes("GET", "/events?after=0"))
        came = b""
        while b'data: {"html' not in came:  # a batch of 10 MB has begun; from here on nobody reads
            came += await stream.receive_some(100)
        began = trio.current_time()
        site.stop.set()
        await site.ended.wait()
        assert trio.current_time() - began < 60  # below send_s
        await stream.aclose()


async def test_a_client_that_stops_reading_is_dropped_after_the_send_time() -> None:
    rows = [outcome_row(n, sentence="x" * 100_000) for n in range(1, 201)]
    async with served(
        MemoryEngine(rows=rows), limits=ConnectionLimits(send_s=0.1, drain_s=0.5)
    ) as site:
        stream = await site.connect()
        await stream.send_all(request_bytes("GET", "/events?after=0"))
        with trio.fail_after(60):
            await stream.receive_some(10)
            while site.bound.guard.open:
                await trio.lowlevel.checkpoint()
        await stream.aclose()


@pytest.mark.parametrize(
    "limits", [ConnectionLimits(connections_max=2), ConnectionLimits(connections_per_peer_max=2)]
)
async def test_connections_above_the_cap_are_refused_and_places_come_back(
    limits: ConnectionLimits,
) -> None:
    async with served(limits=limits) as site:
        streams = [await site.connect() for _ in range(2)]
        for stream in streams:  # each has been looked at
            await stream.send_all(request_bytes("GET", "/api/health"))
            await read_answer(stream)
        extra = await site.connect()
        assert await wait_closed(extra) == b""
        await extra.aclose()
        assert site.bound.guard.refused == 1
        for stream in streams:
            await stream.aclose()
        with trio.fail_after(60):
            while site.bound.guard.open:
                await trio.lowlevel.checkpoint()
        assert (await site.ask("GET", "/api/health")).status == 200
        assert site.bound.guard.by_peer.keys() <= {"127.0.0.1"}


async def test_tls_speaks_http11_and_promises_hsts(tmp_path: object) -> None:
    authority = trustme.CA()
    cert = authority.issue_cert("localhost")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with cert.private_key_pem.tempfile() as keyfile, cert.cert_chain_pems[0].tempfile() as certfile:
        async with served(certfile=certfile, keyfile=keyfile) as site:
            assert site.bound.url.startswith("https://127.0.0.1:")
            raw = await site.connect()
            stream = trio.SSLStream(
                raw, context, server_hostname="localhost", https_compatible=True
            )
            async with stream:
                await stream.do_handshake()
                assert stream.selected_alpn_protocol() == "http/1.1"
                await stream.send_all(request_bytes("GET", "/nothing", upgrade="x"))
                assert b"strict-transport-security" in await stream.receive_some(65536)
            plain = await site.connect()
            async with plain:
                await plain.send_all(request_bytes("GET", "/live"))
                await wait_closed(plain)
            assert site.bound.guard.contained == 0
