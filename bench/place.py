"""An installation of its own processes: the exchange, the engine, and this process that sends.

The sender shares no interpreter with what it measures. It learns the end of a fan-out from the
ledger file, which it reads like any other reader.
"""

import json
import secrets
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Any, Final, Protocol

import apsw
import trio
import trustme

from bench.floor import Floor
from bench.wire import Wire
from bench.worker import Worker, raise_open_files
from engine.keys.vault import new_root_key
from engine.ledger import Database
from engine.ledger.database import open_reader
from engine.ledger.query import fetch_all
from engine.ledger.reports import receipt
from engine.settings.config import load_config
from engine.views import ReceiptView
from rexalgo import Secret, sign_a

LATENCY_MS: Final = 20
SYMBOLS: Final = ("BTCUSDT",)
ENDS_WITHIN_S: Final = 120.0
LOOKS_EVERY_S: Final = 0.01
QUIET_SHARE: Final = 0.05
QUIET_LOOK_S: Final = 0.5
QUIET_WITHIN_S: Final = 30.0
FILES_BESIDE: Final = 500

SETTINGS: Final = """
[plugins]
enabled = ["{plugin}", "signed_webhook", "gcra", "log"]
[engine]
webhook_rate_per_minute = 100000
breaker_entries_per_minute = 100000
{engine}
{plugin_settings}
"""

WAITS: Final = (
    "SELECT 1 FROM copy JOIN signal ON number = signal_number WHERE receipt_id = ? AND "
    "(code IS NULL OR code IN ('unknown', 'placed', 'partially_filled')) LIMIT 1"
)
"""A copy that has no outcome yet, or one that may still change."""


class Venue(Protocol):
    """What the accounts of a place trade at."""

    @property
    def plugin(self) -> str:
        """Return the name of its plugin."""
        ...

    @property
    def secret(self) -> str:
        """Return the form of a follower's secret, with {n}."""
        ...

    def settings(self) -> str:
        """Return the plugin's section of rexalgo.toml."""
        ...

    def arguments(self) -> tuple[str, ...]:
        """Return the options of the measured process."""
        ...


@dataclass(frozen=True, slots=True)
class Paper:
    """The exchange on paper, inside the engine."""

    plugin: str = "paper"
    secret: str = "paper-{n:05}"

    def settings(self) -> str:
        """Return nothing: its defaults serve."""
        return ""

    def arguments(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()


class Exchange:
    """The bench's exchange process, with a control connection."""

    plugin = "bench_http"
    secret = "bench-{n:05}"

    def __init__(self, worker: Worker, ports: Mapping[str, Any], folder: Path, *, tls: bool):
        self._worker = worker
        self._folder = folder
        self.context = None
        self.port = int(ports["tls_port" if tls else "port"])
        self.scheme = "https" if tls else "http"
        self.wire = Wire(f"http://127.0.0.1:{ports['port']}")
        if tls:
            self.context = ssl.create_default_context(cafile=str(folder / "ca.pem"))

    def settings(self) -> str:
        """Return the adapter's section."""
        base_url = f"{self.scheme}://127.0.0.1:{self.port}"
        return f'[outgoing]\ninternal = ["127.0.0.1"]\n[plugin.bench_http]\nbase_url = "{base_url}"'

    def arguments(self) -> tuple[str, ...]:
        """Return the authority that the measured process has to trust."""
        return ("--ca", str(self._folder / "ca.pem")) if self.context is not None else ()

    async def reset(self) -> None:
        """Count from zero."""
        await self.wire.ask("POST", "/__reset")

    async def stats(self) -> dict[str, Any]:
        """Return counts and times since the reset."""
        return dict(await self.wire.ask("GET", "/__stats"))

    async def arrivals(self) -> dict[str, int]:
        """Return the time of each account's first order since the reset."""
        return dict(await self.wire.ask("GET", "/__arrivals"))

    async def fault(self, account: str, kind: str) -> None:
        """Let one account hang, fail or flood from now on; an empty kind ends it."""
        await self.wire.ask("POST", "/__fault", {"account": account, "fault": kind})

    async def floor(self, count: int) -> Floor:
        """Return a floor of that many open connections, beside those of as many followers."""
        raise_open_files(2 * count + FILES_BESIDE)
        floor = Floor(self.port, self.context, control=self.wire)
        await floor.open(count)
        return floor


@asynccontextmanager
async def exchange(*, tls: bool = False, latency_ms: float = LATENCY_MS) -> AsyncIterator[Exchange]:
    """Run an exchange process."""
    raise_open_files(FILES_BESIDE)
    with tempfile.TemporaryDirectory(prefix="rexalgo-bench-tls-") as name:
        folder, options = Path(name), ["--latency-ms", str(latency_ms)]
        if tls:
            ca = trustme.CA()
            ca.cert_pem.write_to_path(str(folder / "ca.pem"))
            ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
                str(folder / "server.pem")
            )
            options += ["--certificate", str(folder / "server.pem")]
        worker = Worker("bench.exchange_server", *options)
        try:
            made = Exchange(worker, await worker.read(), folder, tls=tls)
            yield made
            await made.wire.aclose()
        finally:
            worker.end()


@dataclass(frozen=True, slots=True)
class Bot:
    """One strategy's webhook."""

    url: str
    secret: Secret

    def headers(self, content: bytes) -> dict[str, str]:
        """Return the headers of a delivery, signed now."""
        return sign_a(self.secret, content, datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One signal's times in milliseconds since its POST began, and what became of it."""

    began_ns: int
    answered: float
    receipt_id: str

    def since(self, at_ns: int) -> float:
        """Return the milliseconds from the POST until a time of CLOCK_MONOTONIC."""
        return (at_ns - self.began_ns) / 1e6


class Place:
    """A served installation."""

    def __init__(self, folder: Path, worker: Worker, bots: Mapping[str, tuple[str, str]]) -> None:
        self.folder = folder
        self.ledger = ledger_of(folder)
        self.worker = worker
        self._made = bots
        self._db: apsw.Connection | None = None
        self._wires: dict[str, Wire] = {}
        self._number = 0
        self._run = secrets.token_hex(4)
        self.url = ""
        self.web: Worker | None = None
        self.started_ns = 0
        self.ready: Mapping[str, Any] = {}

    async def wait_ready(self) -> None:
        """Wait until orders can flow."""
        self.ready = await self.worker.read()
        self.url = self.ready["url"]
        self._db = open_reader(str(self.ledger))

    @property
    def db(self) -> Database:
        """Return this process's own reading connection of the ledger."""
        assert self._db is not None
        return self._db

    def bot(self, strategy: str) -> Bot:
        """Return a strategy's webhook."""
        path, secret = self._made[strategy]
        return Bot(self.url + path, Secret(secret))

    def wire(self) -> Wire:
        """Return a new connection to the web server."""
        return Wire(self.url)

    def body(self, action: str, **fields: object) -> bytes:
        """Return a delivery with an id of its own."""
        self._number += 1
        key = f"bench-{self._run}-{self._number}"
        given = {"idempotency_key": key, "action": action, "symbol": "BTCUSDT", **fields}
        return json.dumps(given).encode()

    async def send(self, strategy: str, action: str, **fields: object) -> Sent:
        """Send one signal on the strategy's kept connection; raises RuntimeError if it is not
        recorded.
        """
        wire = self._wires.setdefault(strategy, self.wire())
        return await send(wire, self.bot(strategy), self.body(action, **fields))

    async def wait_outcomes(self, *sent: Sent, within_s: float = ENDS_WITHIN_S) -> ReceiptView:
        """Wait until every copy of these signals has an outcome; return the last one's receipt."""
        with trio.move_on_after(within_s):
            for each in sent:
                while fetch_all(self.db, WAITS, (each.receipt_id,)):  # noqa: ASYNC110 - another process writes it
                    await trio.sleep(LOOKS_EVERY_S)
        view = receipt(self.db, sent[-1].receipt_id)
        if view is None or any(fetch_all(self.db, WAITS, (each.receipt_id,)) for each in sent):
            raise RuntimeError(f"expected every outcome within {within_s:g} s, found {view}")
        return view

    def last_outcome_ns(self, sent: Sent) -> int:
        """Return the recorded time of the newest outcome as CLOCK_MONOTONIC."""
        rows = fetch_all(
            self.db,
            "SELECT max(outcome_us) FROM copy JOIN signal ON number = signal_number "
            "WHERE receipt_id = ?",
            (sent.receipt_id,),
        )
        return self.monotonic_ns_of(int(rows[0][0]))

    def monotonic_ns_of(self, at_us: int) -> int:
        """Return a time of the ledger as CLOCK_MONOTONIC."""
        return at_us * 1000 - (time_ns() - monotonic_ns())

    async def clocks(self) -> dict[str, float]:
        """Return the CPU time of the measured process so far."""
        return await self.worker.ask("clocks")

    async def memory_kib(self) -> float:
        """Return the resident memory of the measured process."""
        return float((await self.worker.ask("memory"))["kib"])

    async def settle(self, quiet_s: float) -> dict[str, float]:
        """Wait until the measured process was quiet for that long, at most 30 s in all; return its
        clocks.
        """
        now = await self.clocks()
        with trio.move_on_after(QUIET_WITHIN_S if quiet_s else 0):
            quiet = 0.0
            while quiet < quiet_s:
                await trio.sleep(QUIET_LOOK_S)
                before, now = now, await self.clocks()
                used = now["process_us"] - before["process_us"]
                quiet = quiet + QUIET_LOOK_S if used < QUIET_SHARE * QUIET_LOOK_S * 1e6 else 0.0
        return await self.clocks()

    async def aclose(self) -> None:
        """Close what this process has open, and end the measured one."""
        for each in self._wires.values():
            await each.aclose()
        if self._db is not None:
            self._db.close()
        for worker in (self.web, self.worker):
            if worker is not None:
                await trio.to_thread.run_sync(worker.end)


async def send(wire: Wire, bot: Bot, content: bytes) -> Sent:
    """Send one delivery; raises RuntimeError unless it is answered 202."""
    path = "/api/" + bot.url.partition("/api/")[2]
    request = wire.request("POST", path, content, bot.headers(content))
    await wire.open()
    began = monotonic_ns()
    status, answer = await wire.exchange(request)
    answered = (monotonic_ns() - began) / 1e6
    if status != 202:
        raise RuntimeError(f"expected 202, found {status}: {answer[:200]!r}")
    receipt_id = json.loads(answer)["receipt"].rpartition("/")[2]
    return Sent(began_ns=began, answered=answered, receipt_id=receipt_id)


@dataclass(frozen=True, slots=True)
class Folder:
    """A provisioned folder, which can be served more than once."""

    path: Path
    venue: Venue
    environ: Mapping[str, str]
    bots: Mapping[str, tuple[str, str]]

    @asynccontextmanager
    async def served(self, *, pages: bool = False, two_roles: bool = False) -> AsyncIterator[Place]:
        """Serve the folder until the block ends; with ``two_roles`` by two processes, of which the
        engine's is the measured one.
        """
        options = (*self.venue.arguments(), *(("--pages",) if pages else ()))
        if two_roles:
            options = (*options, "--role", "engine")
        started = monotonic_ns()
        worker = Worker(
            "bench.installation", "serve", str(self.path), *options, environ=self.environ
        )
        place = Place(self.path, worker, self.bots)
        place.started_ns = started
        try:
            await place.wait_ready()
            if two_roles:
                place.web = Worker(
                    "bench.installation",
                    "serve",
                    str(self.path),
                    *self.venue.arguments(),
                    "--role",
                    "web",
                    environ=self.environ,
                )
                place.url = (await place.web.read())["url"]
            yield place
        finally:
            await place.aclose()


def ledger_of(folder: Path) -> Path:
    """Return the ledger file of a folder."""
    return load_config(folder, {}).ledger.path


@asynccontextmanager
async def provisioned(
    venue: Venue,
    groups: Mapping[str, int],
    *,
    engine: str = "",
    past: Callable[[Path], None] | None = None,
    symbols: tuple[str, ...] = SYMBOLS,
) -> AsyncIterator[Folder]:
    """Make a folder whose strategies have that many followers each.

    ``engine`` is lines of the [engine] section; ``past`` fills the ledger file afterwards.
    """
    raise_open_files(sum(groups.values()) + FILES_BESIDE)
    with tempfile.TemporaryDirectory(prefix="rexalgo-bench-") as name:
        folder = Path(name)
        text = SETTINGS.format(plugin=venue.plugin, engine=engine, plugin_settings=venue.settings())
        (folder / "rexalgo.toml").write_text(text, encoding="utf-8")
        environ = {"ENCRYPTION_KEY": new_root_key(), "JWT_SECRET": secrets.token_urlsafe(48)}
        options = ("provision", name, *venue.arguments())
        worker = Worker("bench.installation", *options, environ=environ)
        try:
            worker.tell(people(groups, venue, symbols))
            made = await worker.read()
        finally:
            await trio.to_thread.run_sync(worker.end)
        bots = {
            each["name"]: ("/api/" + each["webhook_url"].partition("/api/")[2], each["secret"])
            for each in made["strategies"]
        }
        if past is not None:
            past(ledger_of(folder))
        yield Folder(folder, venue, environ, bots)


@asynccontextmanager
async def place(
    venue: Venue,
    groups: Mapping[str, int],
    *,
    engine: str = "",
    past: Callable[[Path], None] | None = None,
    symbols: tuple[str, ...] = SYMBOLS,
    pages: bool = False,
) -> AsyncIterator[Place]:
    """Provision a folder and serve it once."""
    async with (
        provisioned(venue, groups, engine=engine, past=past, symbols=symbols) as folder,
        folder.served(pages=pages) as served,
    ):
        yield served


def people(groups: Mapping[str, int], venue: Venue, symbols: tuple[str, ...]) -> dict[str, object]:
    """Return one master, and strategies with their followers: f00001 and so on follow the first
    strategy, f1-00001 and so on the second. Secrets are counted in the same way.
    """
    return {
        "master": [{"name": "alpha"}],
        "strategy": [
            {
                "name": name,
                "master": "alpha",
                "kind": "copy_trading",
                "symbols": symbols,
                "leverage": "5",
            }
            for name in groups
        ],
        "follower": [
            {
                "name": f"f{index}-{{n:05}}" if index else "f{n:05}",
                "count": count,
                "secret": venue.secret.replace("-", f"{index}-", 1) if index else venue.secret,
                "strategy": strategy,
                "exchange": venue.plugin,
                "sizing": {"mode": "fixed_margin", "margin": "50"},
            }
            for index, (strategy, count) in enumerate(groups.items())
            if count
        ],
    }
