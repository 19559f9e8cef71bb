"""An engine in memory, a real server over it, and a client that speaks raw HTTP/1.1."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import h11
import trio

from engine.ports.signal_source import Delivery
from engine.views import (
    HealthView,
    OutcomeRow,
    ReadinessView,
    ReceiptView,
    Reception,
    ReceptionKind,
)
from web.app import create_app
from web.connections import ConnectionLimits
from web.server import Bound, ServerConfig, serve_web
from web.settings import WebSettings

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
WEBHOOK = "/api/webhooks/copy-trading/ep_1"


def outcome_row(sequence: int, **changes: object) -> OutcomeRow:
    values: dict[str, object] = {
        "sequence": sequence,
        "at": NOW + timedelta(milliseconds=sequence),
        "signal_id": f"sg_{sequence:06}",
        "strategy": "trend",
        "action": "open",
        "symbol": "BTCUSDT",
        "side": "LONG",
        "account": f"f{sequence:04}",
        "environment": "paper",
        "code": "filled",
        "sentence": f"Filled: LONG 0.{sequence:03} BTCUSDT at 65000.1.",
        "setting": None,
        "move": "nobody",
        "latency_ms": 41.5,
    }
    return OutcomeRow(**(values | changes))  # type: ignore[arg-type]


@dataclass
class MemoryEngine:
    """An engine in memory behind the real interfaces. The header ``x-key: right`` is a valid
    signature, and ids are remembered.
    """

    taken: dict[str, bytes] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    rows: list[OutcomeRow] = field(default_factory=list)
    ok: bool = True
    is_closing: bool = False
    entries_off: bool = False
    hold: trio.Event | None = None
    entered: trio.Event = field(default_factory=trio.Event)
    _news: trio.Event = field(default_factory=trio.Event)
    services: None = None

    @property
    def ingress(self) -> "MemoryEngine":
        return self

    @property
    def monitor(self) -> "MemoryEngine":
        return self

    @property
    def commands(self) -> "MemoryEngine":
        return self

    async def receive(
        self, endpoint: str, delivery: Delivery, *, dry_run: bool | None = False
    ) -> Reception:
        self.deliveries.append(delivery)
        if endpoint == "raises":
            raise RuntimeError("the disk is full: /secret/path")
        if endpoint == "raises_group":
            raise ExceptionGroup("several", [ValueError("one"), OSError("two")])
        if delivery.header("x-key") != ["right"] or endpoint == "unknown":
            return Reception(kind=ReceptionKind.NOT_AUTHENTIC)
        if endpoint == "gone":
            return Reception(kind=ReceptionKind.GONE)
        if endpoint == "limited":
            return Reception(kind=ReceptionKind.LIMITED, retry_after_s=7)
        if endpoint == "full":
            return Reception(kind=ReceptionKind.UNAVAILABLE, retry_after_s=3)
        if dry_run:
            return Reception(kind=ReceptionKind.DRY_RUN, copies=3, would={"order": 2})
        return await self._record(delivery.body)

    async def receive_by_token(
        self, token: str, delivery: Delivery, *, dry_run: bool | None = False
    ) -> Reception:
        return await self.receive(token, delivery, dry_run=dry_run)

    async def _record(self, body: bytes) -> Reception:
        try:
            key = json.loads(body)["idempotency_key"]
        except ValueError:
            return Reception(kind=ReceptionKind.MALFORMED, field="body", expected="a JSON object")
        except KeyError:
            return Reception(
                kind=ReceptionKind.INVALID, field="idempotency_key", expected="1 to 128 characters"
            )
        recorded = self.taken.setdefault(key, body)
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()
        if recorded != body:
            return Reception(
                kind=ReceptionKind.CONFLICT, signal_id=f"sg_{key}", receipt_id=f"rc_{key}"
            )
        kind = ReceptionKind.ACCEPTED if recorded is body else ReceptionKind.DUPLICATE
        reason = "skipped.entries_off" if self.entries_off else None
        return Reception(
            kind=kind,
            signal_id=f"sg_{key}",
            receipt_id=f"rc_{key}",
            mirrored=reason is None,
            reason=reason,
        )

    async def receipt(self, receipt_id: str) -> ReceiptView | None:
        if receipt_id.removeprefix("rc_") not in self.taken:
            return None
        return ReceiptView(
            signal_id=f"sg_{receipt_id[3:]}",
            action="open",
            symbol="BTCUSDT",
            received_at=NOW,
            copies=3,
            open=1,
            outcomes={"filled": 2},
            latency_ms_p50=41.5,
            latency_ms_p95=60.0,
            environments=("paper",),
        )

    async def health(self) -> HealthView:
        return HealthView(
            self.ok, "0.1.0", 12.34, () if self.ok else ("the ledger cannot be written",)
        )

    async def readiness(self) -> ReadinessView:
        return ReadinessView(
            ready=self.ok,
            ledger=True,
            accounts=3,
            accounts_reconciled=2,
            accounts_failed={"f0003": "key refused"},
        )

    async def recent_outcomes(self, limit: int) -> Sequence[OutcomeRow]:
        return list(reversed(self.rows))[:limit]

    async def wait_outcomes(self, after: int, limit: int) -> Sequence[OutcomeRow]:
        while True:
            newer = [row for row in self.rows if row.sequence > after][:limit]
            if newer or self.is_closing:
                return [] if self.is_closing else newer
            await self._news.wait()

    async def run(self, method: str, params: dict[str, object]) -> dict[str, object]:
        return {"text": f"rexalgo_{method} 1\n"}

    async def wait_news(self, after: int) -> int:
        rows = await self.wait_outcomes(after, 1_000)
        return rows[-1].sequence if rows else 0

    def publish(self, *rows: OutcomeRow) -> None:
        self.rows.extend(rows)
        self._ring()

    def close(self) -> None:
        self.is_closing = True
        self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = trio.Event()


@dataclass
class Site:
    """A running app: its engine, its address, and its shutdown."""

    engine: MemoryEngine
    bound: Bound
    stop: trio.Event
    ended: trio.Event
    streams: list[trio.SocketStream] = field(default_factory=list)

    async def connect(self) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.bound.port)
        self.streams.append(stream)
        return stream

    async def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> "Answer":
        stream = await self.connect()
        async with stream:
            await stream.send_all(request_bytes(method, path, body, **headers))
            return await read_answer(stream, method)


@asynccontextmanager
async def served(
    engine: MemoryEngine | None = None,
    settings: WebSettings | None = None,
    limits: ConnectionLimits | None = None,
    *,
    within_s: float = 60,
    **server: object,
) -> AsyncIterator[Site]:
    """Serve over a real loopback socket. End through the shutdown trigger, and fail if that takes
    too long.
    """
    engine = engine or MemoryEngine()
    app = create_app(engine, settings or WebSettings(), now=lambda: NOW)
    stop, ended = trio.Event(), trio.Event()
    config = ServerConfig(port=0, limits=limits or ConnectionLimits(drain_s=0.5), **server)  # type: ignore[arg-type]

    async def run(task_status: trio.TaskStatus[Bound]) -> None:
        await serve_web(app, config, shutdown_trigger=stop.wait, task_status=task_status)
        ended.set()

    with trio.fail_after(within_s):
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(partial(run))
            site = Site(engine, bound, stop, ended)
            try:
                yield site
            finally:
                stop.set()
                with trio.fail_after(5, shield=True):
                    await ended.wait()
                for stream in site.streams:
                    await trio.aclose_forcefully(stream)


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def json(self) -> dict[str, object]:
        assert self.header("content-type") == "application/json", self.headers
        fields = json.loads(self.body)
        assert isinstance(fields, dict)
        return fields


def request_bytes(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    named = {"host": "localhost"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    if body is not None:
        named.setdefault("content-length", str(len(body)))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


async def read_answer(
    stream: trio.SocketStream, method: str = "GET", parser: h11.Connection | None = None
) -> Answer:
    """Read one whole answer."""
    parser = parser or new_parser(method)
    status, headers, body = 0, [], b""
    with trio.fail_after(60):
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(await stream.receive_some(65536))
            elif isinstance(event, h11.Response):
                status, headers = (
                    event.status_code,
                    [(name.decode(), value.decode()) for name, value in event.headers],
                )
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Answer(status, headers, body)
            elif isinstance(event, h11.ConnectionClosed):
                raise AssertionError("the server closed without an answer")


async def wait_closed(stream: trio.SocketStream) -> bytes:
    """Read until the server closes; return what came."""
    came = b""
    with trio.fail_after(60):
        try:
            while data := await stream.receive_some(65536):
                came += data
        except trio.BrokenResourceError:
            pass
    return came


def new_parser(method: str) -> h11.Connection:
    """Return the client's half of an exchange, with its request sent."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(
        h11.Request(
            method=method if method in ("HEAD", "GET") else "GET",
            target="/",
            headers=[("host", "x")],
        )
    )
    parser.send(h11.EndOfMessage())
    return parser


def signal_body(key: str = "k1", **more: object) -> bytes:
    return json.dumps({"idempotency_key": key, **more}).encode()
