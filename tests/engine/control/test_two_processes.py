"""The connection between the web process and the engine, over a real socket: what is refused, what a
hung or hostile peer can do, and what is asked while the engine is away.
"""

import base64
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

import engine.control.frames
import engine.control.to_engine
import engine.control.to_web
import engine.web_role
from engine.control import SOCKET_NAME, FolderLocked, ask_server
from engine.control.frames import FRAME_BYTES_MAX
from engine.control.link import ATTACH, AskedBy, Greeting
from engine.control.to_engine import EngineLink
from engine.control.values import read_raised, write_value
from engine.domain.errors import EngineAway, NothingThere, RexAlgoError
from engine.domain.identifiers import StrategyId, Symbol
from engine.domain.signal import Action, PositionSide, SignalDraft
from engine.keys.handover import Handover, seal
from engine.keys.vault import new_root_key
from engine.ledger.schema import MIGRATIONS
from engine.ports.secret import Secret
from engine.ports.signal_source import Delivery
from engine.recording import Taken
from engine.run import Engine, run_engine
from engine.settings.config import Config, load_config
from engine.views import ReceptionKind
from engine.web_role import run_web

SETTINGS = """[plugins]
enabled = ["paper", "signed_webhook", "gcra", "log"]
[plugin.paper]
price_fixed = { BTCUSDT = "65000" }
flush = "inline"
"""
GREETING = Greeting("0.1.0", len(MIGRATIONS))
TAKEN = Taken(
    strategy=StrategyId("s"),
    origin="endpoint:e",
    draft=SignalDraft("k", Action.OPEN, Symbol("BTCUSDT"), PositionSide.LONG),
    content=b"{}",
    sent_at=None,
    received_at=datetime(2026, 11, 29, 12, 0, tzinfo=UTC),
)


def configured(folder: Path) -> Config:
    """Return the configuration of a new place."""
    (folder / "rexalgo.toml").write_text(SETTINGS)
    given = {"ENCRYPTION_KEY": new_root_key(), "JWT_SECRET": secrets.token_urlsafe(48)}
    return load_config(folder, given)


@asynccontextmanager
async def engine_of(config: Config) -> AsyncIterator[Engine]:
    async with run_engine(config, beside_web=True) as engine:
        yield engine


async def until(holds: Callable[[], Any]) -> None:
    """Wait until the other end made something hold."""
    with trio.fail_after(60):
        while not holds():  # noqa: ASYNC110 - the other end of a socket has no event here
            await trio.sleep(0.01)


class Peer:
    """A web process written by somebody else."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._rest = b""

    async def send(self, frame: object) -> None:
        """Send one line."""
        await self.stream.send_all(json.dumps(frame).encode() + b"\n")

    async def receive(self) -> Any:
        """Return the next frame, None at the end."""
        while b"\n" not in self._rest:
            chunk = await self.stream.receive_some(65_536)
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    async def answer(self) -> Any:
        """Return the next frame that is an answer."""
        while "id" not in (frame := await self.receive()):
            continue
        return frame


@asynccontextmanager
async def attached(folder: Path) -> AsyncIterator[Peer]:
    """Connect and greet."""
    async with await trio.open_unix_socket(folder / "data" / SOCKET_NAME) as stream:
        peer = Peer(stream)
        await peer.send({"method": ATTACH, "params": GREETING.written()})
        yield peer


async def test_both_processes_have_to_be_of_one_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = configured(tmp_path)
    monkeypatch.setattr(engine.web_role, "version", lambda name: "0.0.9")
    async with engine_of(config), run_web(config) as web:
        await until(lambda: "do not fit together" in web.why_waiting())
        with pytest.raises(EngineAway, match="do not fit together"):
            await web.commands.run("status", {})
    assert "of version 0.1.0" in caplog.text
    assert "found version 0.0.9" in caplog.text
    assert "restart both processes" in caplog.text


async def test_a_server_with_its_own_web_takes_no_other(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with run_engine(config), attached(tmp_path) as peer:
        answer = await peer.receive()
        assert "one process that serves the web too" in answer["error"]["message"]


async def test_a_folder_has_one_web_process(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with run_web(config):
        with pytest.raises(FolderLocked, match="rexalgo serve --role web"):
            async with run_web(config):
                pass


async def test_the_web_process_holds_no_root_key_and_writes_nothing(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with engine_of(config), run_web(config) as web:
        await web.reached.wait()
        context = web.services.context
        assert context.config.secrets.encryption_key is None
        assert context.config.key_place is None
        with pytest.raises(EngineAway):
            await context.open_vault()
        with pytest.raises(RexAlgoError, match="only reads the ledger"):
            await context.ledger.write(lambda db: None)


async def test_an_engine_that_leaves_is_away_and_found_again(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with run_web(config) as web:
        assert "not running" in web.why_waiting()
        with pytest.raises(EngineAway, match="not running"):
            await web.link.record(TAKEN)
        async with engine_of(config):
            await web.reached.wait()
            assert (await web.monitor.readiness()).ready
            assert (await web.commands.run("status", {}))["engine"]["running"]
            stranger = Delivery(b"{}", (), "192.0.2.1", TAKEN.received_at)
            answer = await web.ingress.receive("unknown", stranger)
            assert answer.kind is ReceptionKind.NOT_AUTHENTIC
        await until(lambda: web.link.why_away)
        # an endpoint that a command makes meanwhile is not known here yet: nothing is refused for good
        answer = await web.ingress.receive("unknown", stranger)
        assert (answer.kind, answer.retry_after_s) == (ReceptionKind.UNAVAILABLE, 2)
        assert not (await web.monitor.readiness()).ready
        assert (await web.monitor.health()).problems == ("the engine is away",)
        async with engine_of(config):
            await until(lambda: not web.link.why_away)
            assert (await web.monitor.health()).ok


async def test_an_engine_that_hangs_gets_a_delivery_answered_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.control.to_engine, "RECORDED_WITHIN_S", 0.1)
    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await listening.bind(str(tmp_path / SOCKET_NAME))
    listening.listen(1)

    async def greet_and_hang(stream: trio.SocketStream) -> None:
        key = base64.b64encode(Handover().public).decode()
        for frame in (
            {"result": {"seal": key}},
            {"push": "endpoints", "with": write_value({}), "number": 1},
        ):
            await stream.send_all(json.dumps(frame).encode() + b"\n")
        await trio.sleep_forever()

    link = EngineLink(tmp_path, GREETING, version="0.1.0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, greet_and_hang, [trio.SocketListener(listening)])
        nursery.start_soon(_run, link)
        await until(lambda: not link.why_away)
        with pytest.raises(EngineAway, match="did not answer"):
            await link.record(TAKEN)
        link._under_way.update({-n: (trio.Event(), []) for n in range(1, 1_001)})
        with pytest.raises(EngineAway, match="too much to do"):
            await link.record(TAKEN)
        nursery.cancel_scope.cancel()


async def _run(link: EngineLink) -> None:
    await link.run(
        attached=lambda: None,
        use_keys=lambda keys: None,
        tell=lambda: None,
        answers=lambda: {"accepted": 1},
    )


@pytest.mark.parametrize(
    "sent",
    [
        b"no json\n",
        b"[]\n",
        b'"a text"\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b"x" * (FRAME_BYTES_MAX + 70_000),
    ],
    ids=["no-json", "list", "text", "bytes", "nested", "endless"],
)
async def test_a_peer_that_sends_no_frames_is_cut_off_and_stops_nobody(
    sent: bytes, tmp_path: Path
) -> None:
    config = configured(tmp_path)
    async with engine_of(config), attached(tmp_path) as peer:
        assert "seal" in (await peer.receive())["result"]
        with suppress(trio.BrokenResourceError):
            await peer.stream.send_all(sent)
        with trio.fail_after(60):
            try:
                while await peer.receive() is not None:
                    pass
            except trio.BrokenResourceError:
                pass
        assert (await ask_server(config.data_dir, "status", {}))["engine"]["running"]


async def test_metrics_show_what_the_web_process_answered_and_nothing_while_it_is_away(
    tmp_path: Path,
) -> None:
    config = configured(tmp_path)
    async with engine_of(config) as running:
        name = "rexalgo_deliveries_total"
        assert name not in (await running.commands.run("metrics", {}))["text"]
        async with run_web(config) as web:
            await web.reached.wait()
            stranger = Delivery(b"{}", (), "192.0.2.1", TAKEN.received_at)
            for _ in range(2):
                await web.ingress.receive("unknown", stranger)
            for commands in (web.commands, running.commands):
                text = (await commands.run("metrics", {}))["text"]
                assert f'{name}{{answer="not_authentic"}} 2.0' in text
        await until(lambda: not is_connected(running))
        assert name not in (await running.commands.run("metrics", {}))["text"]


def is_connected(running: Engine) -> bool:
    assert running.services is not None
    return running.services.context.web() == "connected"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"accepted": 3, "a_name": 7, "gone": -1, "limited": "9"}, ['{answer="accepted"} 3.0']),
        ([["accepted", 1]], []),
        (None, None),
    ],
)
async def test_a_web_process_that_counts_nonsense_or_nothing_puts_none_of_it_into_the_metrics(
    told: object, shown: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.control.to_web, "ANSWERS_WITHIN_S", 20 if shown is not None else 0.1)
    async with engine_of(configured(tmp_path)) as running, attached(tmp_path) as peer:
        texts = []
        assert "seal" in (await peer.receive())["result"]  # from now on it is asked

        async def scrape() -> None:
            texts.append((await running.commands.run("metrics", {}))["text"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(scrape)
            while (frame := await peer.receive()).get("push") != "answers":
                continue
            if told is not None:
                await peer.send({"answers": told, "number": frame["number"]})
        lines = [each for each in texts[0].splitlines() if each.startswith("rexalgo_deliveries")]
        name = "rexalgo_deliveries_total"
        assert lines == [f"{name}{each}" for each in shown or ()]


async def test_what_is_no_question_is_answered_with_an_error(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with engine_of(config), attached(tmp_path) as peer:
        public = base64.b64decode((await peer.receive())["result"]["seal"])

        async def ask(what: str, told: object) -> RexAlgoError:
            text = json.dumps({"ask": what, "with": told}).encode()
            sealed = base64.b64encode(seal(public, text)).decode()
            await peer.send({"id": 1, "sealed": sealed})
            return read_raised((await peer.answer())["error"])

        for frame in (
            {"id": 1},
            {"id": 1, "sealed": "?"},
            {"id": 1, "sealed": ""},
            {"id": 1, "record": None},
            {"id": 1, "record": {"$": "os:system", "v": "true"}},
        ):
            await peer.send(frame)
            assert "error" in await peer.answer(), frame
        for what in ("IdentityService.__init__", "IdentityService.user", "IdentityService._user"):
            assert isinstance(await ask(what, write_value(((), {}))), NothingThere), what
        stranger = (AskedBy(Secret("no such session"), "192.0.2.1"), "account")
        error = await ask("FollowingService.pause", write_value((stranger, {})))
        assert "session has ended" in str(error)


async def test_a_peer_that_reads_nothing_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine.control.frames, "WRITE_WITHIN_S", 0.2)
    config = configured(tmp_path)
    async with engine_of(config), attached(tmp_path) as peer:
        public = base64.b64decode((await peer.receive())["result"]["seal"])
        text = json.dumps({"ask": "command", "with": {"method": "system", "params": {}}}).encode()
        frame = {"id": 1, "sealed": base64.b64encode(seal(public, text)).decode()}
        line = json.dumps(frame).encode() + b"\n"
        with trio.fail_after(60):
            with suppress(trio.BrokenResourceError):
                while True:
                    await peer.stream.send_all(line * 20)
        assert "read nothing" in caplog.text
        assert (await ask_server(config.data_dir, "status", {}))["engine"]["running"]


async def test_a_web_process_that_keeps_using_old_keys_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine.control.to_web, "KEYS_WITHIN_S", 0.1)
    config = configured(tmp_path)
    async with engine_of(config) as running, attached(tmp_path) as peer:
        await peer.receive()
        assert running.services is not None
        await running.services.context.changed()
        with trio.fail_after(60):
            while await peer.receive() is not None:
                pass
        assert "did not take the endpoints' keys" in caplog.text


async def test_a_newer_web_process_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with engine_of(config), attached(tmp_path) as older:
        await older.receive()
        async with attached(tmp_path) as newer:
            assert "seal" in (await newer.receive())["result"]
            with trio.fail_after(60):
                while await older.receive() is not None:
                    pass


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
async def test_another_user_is_refused_whatever_the_mode_of_the_socket(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with engine_of(config):
        for each in (tmp_path, config.data_dir, *tmp_path.parents):
            if each.stat().st_uid == 0 and str(each).startswith("/tmp/"):
                each.chmod(0o755)
        (config.data_dir / SOCKET_NAME).chmod(0o777)
        found = await trio.to_thread.run_sync(_as_nobody, config.data_dir / SOCKET_NAME)
        assert found == b"closed"


def _as_nobody(path: Path) -> bytes:
    """Return what another user reads from the socket: nothing, because it is closed."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            os.setuid(65_534)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                sock.sendall(b'{"method": "status", "params": {}}\n')
                os.write(writing, sock.recv(100) or b"closed")
        except OSError as error:
            os.write(writing, b"closed" if isinstance(error, ConnectionError) else b"failed")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    found = os.read(reading, 200)
    os.close(reading)
    os.close(writing)
    return found
