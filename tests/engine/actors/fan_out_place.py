"""A whole engine on an exchange in memory, under a virtual clock: ``run_engine`` as ``serve`` runs
it, its commands, its stop and its next start, with something that happens in the middle of a
fan-out.

The exchange keeps its own record of what it was sent, when, and under which key. The engine never
reads it; the tests judge by it.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
import trio
from engine_world import BEGINNING
from trio.testing import MockClock

from engine import run
from engine.actors.clock import TrioClock
from engine.decisions.signatures import sign_a
from engine.keys.vault import new_root_key
from engine.ledger import Ledger
from engine.ledger.database import open_reader
from engine.ledger.query import fetch_all
from engine.ledger.writer import InlineRunner
from engine.ports.clock import Clock
from engine.ports.signal_source import Delivery
from engine.recovery.ledger_place import open_place
from engine.run import Engine, run_engine
from engine.settings.config import Config, load_config
from rexalgo import (
    AccountLogin,
    AccountReport,
    Balance,
    Candle,
    CredentialField,
    Environment,
    ExchangeContext,
    ExchangeTraits,
    Instrument,
    Money,
    OrderHistory,
    OrderIntent,
    OrderReport,
    OrderSide,
    OrderStatus,
    Position,
    PositionSide,
    Price,
    Quantity,
    Quote,
    RateLimit,
    Ratio,
    Secret,
    Symbol,
    hookimpl,
    initial_margin,
)

EXCHANGES: Final = ("scripted", "beside")
"""Followers have their accounts at the first one; a test may give somebody one at the other."""
BTC: Final = Symbol("BTCUSDT")
PRICE: Final = Price(Decimal(50))
LATENCY_S: Final = 0.02
SETTINGS: Final = """
[plugins]
enabled = ["scripted", "beside", "signed_webhook", "gcra", "log"]
[engine]
breaker_entries_per_minute = 100000
not_confirmed_after_s = 5
"""
ZERO: Final = Decimal(0)
PLENTY: Final = RateLimit(1_000_000, 1.0, 1_000_000)
OPEN_CODES: Final = (None, "unknown", "placed", "partially_filled")


@dataclass(frozen=True, slots=True)
class Sent:
    """One order that the engine gave to the exchange: ``at`` on the virtual clock, in seconds."""

    at: float
    account: str
    key: str
    intent: OrderIntent


@dataclass
class Exchange:
    """The adapter and its exchange. An account's name is what its key begins with, up to the first
    dot; every market order fills at once, after the latency.

    ``acts`` replaces one call of one account's connection: it is given the connection and the order,
    None for a reading, and what it raises or returns is the call's result.
    """

    name: str = "scripted"
    sent: list[Sent] = field(default_factory=list)
    orders: defaultdict[str, list[OrderReport]] = field(default_factory=lambda: defaultdict(list))
    acts: dict[tuple[str, str], Callable[..., Any]] = field(default_factory=dict)
    connected: list[tuple[float, str]] = field(default_factory=list)
    open_connections: int = 0
    _sent_enough: list[tuple[int, trio.Event]] = field(default_factory=list)

    title = "Exchange of a test"
    traits = ExchangeTraits(
        reads_client_order_id=True,
        protects_with_entry=True,
        order_limit=PLENTY,
        read_limit=PLENTY,
        visible_within_s=0.0,
    )
    credential_fields: Sequence[CredentialField] = (CredentialField("secret", "Key", "any"),)

    def environment(self, context: ExchangeContext) -> Environment:
        return Environment.SIMULATED

    async def market_data(self, context: ExchangeContext) -> "Market":
        await trio.lowlevel.checkpoint()
        return Market(context.clock)

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> "Connection":
        made = Connection(self, login.credentials["secret"].reveal(), context.clock)
        await made.act("connect")
        self.connected.append((trio.current_time(), made.key))
        self.open_connections += 1
        return made

    async def until_sent(self, count: int) -> None:
        """Wait until the engine has sent that many orders in all."""
        enough = trio.Event()
        self._sent_enough.append((count, enough))
        with trio.fail_after(60):
            await enough.wait()

    def note(self, sent: Sent) -> None:
        """Record an order that was sent."""
        self.sent.append(sent)
        for count, event in self._sent_enough:
            if len(self.sent) >= count:
                event.set()

    def positions(self) -> dict[str, Decimal]:
        """Return what is open by account, above 0 is long."""
        signed = {account: self.signed(account) for account in self.orders}
        return {account: quantity for account, quantity in signed.items() if quantity}

    def signed(self, account: str) -> Decimal:
        """Return what is open of one account, above 0 is long."""
        return sum(
            (
                each.filled_quantity if each.side is OrderSide.BUY else -each.filled_quantity
                for each in self.orders.get(account, ())
            ),
            ZERO,
        )


@dataclass
class Market:
    """One contract at a fixed price."""

    clock: Clock

    async def instruments(self) -> Sequence[Instrument]:
        return [
            Instrument(
                symbol=BTC,
                price_step=Price(Decimal("0.01")),
                quantity_step=Quantity(Decimal("0.01")),
                quantity_min=Quantity(Decimal("0.01")),
                quantity_max=Quantity(Decimal(1000)),
                notional_min=Money(Decimal(1)),
                leverage_min=Ratio(Decimal(1)),
                leverage_max=Ratio(Decimal(100)),
            )
        ]

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        return [Quote(each, PRICE, PRICE, self.clock.now()) for each in symbols]

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        return ()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@dataclass
class Connection:
    """One account's connection, under one key."""

    exchange: Exchange
    key: str
    clock: Clock

    @property
    def account(self) -> str:
        return self.key.partition(".")[0]

    async def act(self, call: str, order: OrderIntent | None = None) -> Any:
        """Do what a test wants of this account's call, if anything."""
        wanted = self.exchange.acts.get((self.account, call))
        return None if wanted is None else await wanted(self, order)

    async def prepare_entry(self, order: OrderIntent) -> None:
        await self.act("prepare_entry", order)

    async def place_order(self, order: OrderIntent) -> OrderReport:
        self.exchange.note(Sent(trio.current_time(), self.account, self.key, order))
        await trio.sleep(LATENCY_S)
        wanted = await self.act("place_order", order)
        return self.accept(order) if wanted is None else wanted

    def accept(self, order: OrderIntent) -> OrderReport:
        """Fill an order and record it."""
        report = OrderReport(
            exchange_order_id=f"{self.account}-{len(self.exchange.orders[self.account])}",
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            status=OrderStatus.FILLED,
            filled_quantity=order.quantity,
            average_price=PRICE,
            fee=Money(ZERO),
            created_at=self.clock.now(),
            reduce_only=order.reduce_only,
        )
        self.exchange.orders[self.account].append(report)
        return report

    async def fetch_account(self) -> AccountReport:
        wanted = await self.act("fetch_account")
        return self.read() if wanted is None else wanted

    def read(self) -> AccountReport:
        """Return the account as it is."""
        signed = self.exchange.signed(self.account)
        side = PositionSide.LONG if signed > 0 else PositionSide.SHORT
        margin = initial_margin(PRICE, Quantity(abs(signed)), Ratio(Decimal(5)))
        held = Position(
            BTC, side, Quantity(abs(signed)), PRICE, PRICE, Ratio(Decimal(5)), margin, Money(ZERO)
        )
        balance = Balance(Money(Decimal(10_000) - margin), Money(Decimal(10_000)))
        return AccountReport(balance, (held,) if signed else (), (), self.clock.now())

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        wanted = await self.act("find_orders")
        found = [
            each
            for each in reversed(self.exchange.orders[self.account])
            if each.created_at >= since
        ]
        return OrderHistory(tuple(found), complete=True) if wanted is None else wanted

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self.exchange.open_connections -= 1
        await trio.lowlevel.checkpoint()


def plugin_of(exchange: Exchange) -> SimpleNamespace:
    """Return a plugin module that registers an exchange."""

    @hookimpl
    def register_exchanges(register: Callable[[Any], None], settings: Mapping[str, object]) -> None:
        register(exchange)

    return SimpleNamespace(
        rexalgo_api_version=1, default_settings={}, register_exchanges=register_exchanges
    )


def people(followers: int, **changes: object) -> dict[str, Any]:
    """Return declarations of one strategy and its followers; ``changes`` are of the followers."""
    return {
        "master": [{"name": "alpha"}],
        "strategy": [
            {
                "name": "trend",
                "master": "alpha",
                "kind": "copy_trading",
                "symbols": [BTC],
                "leverage": "5",
            }
        ],
        "follower": [
            {
                "name": "f{n:04}",
                "count": followers,
                "exchange": "scripted",
                "secret": "f{n:04}.first",
                "strategy": "trend",
                "sizing": {"mode": "fixed_margin", "margin": "50"},
                **changes,
            }
        ],
    }


@dataclass
class Served:
    """One run of the engine in a folder."""

    engine: Engine
    ledger: Ledger
    exchange: Exchange
    clock: Clock
    endpoint: str
    secret: Secret
    _committed: trio.Event = field(default_factory=trio.Event)

    def committed(self) -> None:
        """Wake whoever waits for a commit."""
        self._committed.set()
        self._committed = trio.Event()

    async def until(self, holds: Callable[[], bool], within_s: float = 300) -> None:
        """Wait until something holds, looking after each commit."""
        with trio.fail_after(within_s):
            while not holds():
                await self._committed.wait()

    async def send(self, key: str, action: str, **fields: object) -> str:
        """Deliver a signed signal; return its id."""
        body = json.dumps(
            {"idempotency_key": key, "action": action, "symbol": BTC, **fields}
        ).encode()
        headers = tuple(
            (name.lower(), value)
            for name, value in sign_a(self.secret, body, self.clock.now()).items()
        )
        reception = await self.engine.ingress.receive(
            self.endpoint, Delivery(body, headers, "192.0.2.1", self.clock.now())
        )
        assert reception.signal_id is not None, reception
        return reception.signal_id

    async def command(self, name: str, **params: object) -> Any:
        """Run a command as the operator's shell does; return its answer once it is confirmed."""
        return await self.engine.commands.run(name, params)

    def codes(self, signal: str) -> dict[str, str | None]:
        """Return the outcome of a signal's copy by account."""
        sql = (
            "SELECT account.name, code FROM copy JOIN signal ON number = signal_number JOIN account "
            "ON account.id = copy.account_id WHERE signal.id = ?"
        )
        return {str(name): code for name, code in fetch_all(self.ledger.db, sql, (signal,))}

    async def settled(self, signal: str, within_s: float = 300) -> dict[str, str | None]:
        """Wait until every copy of a signal has a final outcome; return them by account."""
        open_copies = (
            "SELECT 1 FROM copy JOIN signal ON number = signal_number WHERE signal.id = ? AND "
            "(code IS NULL OR code IN ('unknown', 'placed', 'partially_filled')) LIMIT 1"
        )
        await self.until(lambda: not fetch_all(self.ledger.db, open_copies, (signal,)), within_s)
        return self.codes(signal)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with declared people, which any number of places are copied from."""

    path: Path
    root_key: str
    endpoint: str
    secret: Secret


def provisioned(path: Path, followers: int) -> Folder:
    """Make a folder with that many followers."""
    root_key = new_root_key()
    (path / "rexalgo.toml").write_text(SETTINGS, encoding="utf-8")
    config = load_config(path, {"ENCRYPTION_KEY": root_key})

    async def declare() -> Folder:
        modules = {name: plugin_of(Exchange(name)) for name in EXCHANGES}
        async with run_engine(config, clock=TrioClock(BEGINNING), extra_modules=modules) as engine:
            told = await engine.commands.run("provision", {"table": people(followers), "file": "x"})
            (made,) = told["strategies"]
            endpoint = made["webhook_url"].rpartition("/")[2]
            return Folder(path, root_key, endpoint, Secret(made["secret"]))

    with in_line():
        return trio.run(declare, clock=MockClock(autojump_threshold=0))


@contextmanager
def in_line() -> Iterator[list[Ledger]]:
    """Let engines write their ledger without a thread, which a virtual clock would not wait for;
    yield the ledgers that were opened, newest last.
    """
    ledgers: list[Ledger] = []

    def opened(config: Config) -> Ledger:
        ledger = open_place(config, inline=True)
        assert isinstance(ledger._runner, InlineRunner)
        # Nothing here kills the process, so nothing depends on when the disk has a commit.
        ledger._runner._db.execute("PRAGMA synchronous = OFF")
        ledgers.append(ledger)
        return ledger

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "open_place", opened)
        yield ledgers


class Place:
    """An installation with its exchange, which outlives each run of the engine."""

    def __init__(self, made: Folder, folder: Path) -> None:
        shutil.copytree(made.path, folder, dirs_exist_ok=True)
        self._made = made
        self._config = load_config(folder, {"ENCRYPTION_KEY": made.root_key})
        self._clock = TrioClock(BEGINNING + timedelta(hours=1))
        self.exchange, self.beside = (Exchange(each) for each in EXCHANGES)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Served]:
        """Run the engine while the block runs, from the moment it is ready."""
        made = self._made
        modules = {each.name: plugin_of(each) for each in (self.exchange, self.beside)}
        with in_line() as ledgers:
            async with run_engine(self._config, clock=self._clock, extra_modules=modules) as engine:
                (ledger,) = ledgers
                served = Served(
                    engine, ledger, self.exchange, self._clock, made.endpoint, made.secret
                )
                ledger.on_commit(served.committed)
                with trio.fail_after(60):
                    while not (await engine.monitor.readiness()).ready:  # noqa: ASYNC110 - as any probe
                        await trio.sleep(0.5)
                yield served

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Read the ledger's file, between two runs."""
        db = open_reader(str(self._config.ledger.path))
        try:
            return fetch_all(db, sql)
        finally:
            db.close()
