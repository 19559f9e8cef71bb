"""A small environment for actor tests: the real ledger in memory, the real paper exchange, a
virtual clock, supervised followers.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import trio

from engine.actors.account import Account, read_openings
from engine.actors.account_tasks import AccountTasks
from engine.actors.clock import TrioClock
from engine.actors.exchange_session import ExchangeSession
from engine.actors.follower import Follower
from engine.actors.shared import Pace, Shared
from engine.actors.unsent import Unsent
from engine.domain.account import Position
from engine.domain.amounts import Quantity, Ratio
from engine.domain.identifiers import (
    AccountId,
    ClientOrderId,
    CopyId,
    ReceiptId,
    SignalId,
    StrategyId,
    Symbol,
)
from engine.domain.order import OrderIntent, OrderReport, OrderSide
from engine.domain.signal import Action, OrderType, PositionSide, SignalDraft
from engine.domain.subscription import (
    CopyPolicy,
    Mode,
    RiskLimits,
    Subscription,
    parse_leverage,
    parse_sizing,
)
from engine.ledger import Ledger
from engine.ledger.codec import read_policy, write_policy
from engine.ledger.copies import begin_run
from engine.ledger.query import fetch_all, fetch_one
from engine.ledger.signals import NewSignal, record_signal
from engine.market.feed import MarketFeed
from engine.plugin.host import load_plugins
from engine.ports.clock import Clock
from engine.ports.exchange import AccountLogin, ExchangeAdapter, ExchangeContext
from engine.ports.secret import Secret
from engine.transport import HttpClientFactory
from plugins.paper.journal import read_journal

BTC = Symbol("BTCUSDT")
BEGINNING = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class SteppedClock(TrioClock):
    """A machine's clock that a test sets, as NTP, a resumed machine or a person does."""

    def step(self, seconds: float) -> None:
        """Set the clock by so many seconds from what it shows."""
        self._beginning += timedelta(seconds=seconds)


@dataclass
class World:
    """The parts that a test reads and drives."""

    ledger: Ledger
    shared: Shared
    account_tasks: AccountTasks
    folder: Path
    clock: SteppedClock
    """The engine's clock. The exchange has its own."""
    followers: list[Follower] = field(default_factory=list)
    sent: int = 0
    waiting: list[trio.Event] = field(default_factory=list)

    async def send(
        self,
        action: Action,
        *,
        side: PositionSide | None = None,
        at: datetime | None = None,
        key: str = "",
        strategy: str = "s",
        **said: Any,
    ) -> str:
        """Record a signal as the ingress does, and ring; return its id. ``said``: more fields of
        the draft.
        """
        self.sent += 1
        now = self.shared.clock.now()
        draft = SignalDraft(key or f"key-{self.sent}", action, BTC, side, sent_at=at, **said)
        signal = SignalId(f"sig-{self.sent}")
        new = NewSignal(
            id=signal,
            receipt=ReceiptId(f"rcp-{self.sent}"),
            new_copy_id=lambda: CopyId(secrets.token_hex(16)),
            strategy=StrategyId(strategy),
            origin="test",
            draft=draft,
            body_hash=b"h",
            decided_at=min(at or now, now),
            received_at=now,
        )
        await self.ledger.write(lambda db: record_signal(db, new))
        self.account_tasks.wake()
        return signal

    def codes(self, signal: str) -> list[str | None]:
        """Return the outcome codes of a signal's copies, in the order of accounts."""
        rows = fetch_all(
            self.ledger.db,
            "SELECT code FROM copy JOIN signal ON number = signal_number WHERE signal.id = ? "
            "ORDER BY account_id",
            (signal,),
        )
        return [row[0] for row in rows]

    async def outcome(
        self, signal: str, unlike: tuple[str | None, ...] = (None,)
    ) -> list[str | None]:
        """Wait until every copy of a signal has an outcome that is none of ``unlike``; return the
        codes.
        """
        with trio.fail_after(300):
            while any(code in unlike for code in self.codes(signal)):
                await self.next_commit()
        return self.codes(signal)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something holds after a commit, such as a state that a repetition replaces at
        once.
        """
        with trio.fail_after(300):
            while not is_so():
                await self.next_commit()

    async def next_commit(self) -> None:
        """Wait for the next commit of the ledger."""
        committed = trio.Event()
        self.waiting.append(committed)
        await committed.wait()

    def committed(self) -> None:
        """Wake the tasks that wait for a commit."""
        while self.waiting:
            self.waiting.pop().set()

    def orders(self) -> list[dict[str, object]]:
        """Return the exchange's own record of the orders it accepted from us."""
        journal = self.folder / "journal.jsonl"
        return [
            each
            for each in (read_journal(journal) if journal.exists() else ())
            if each["kind"] == "order" and each["client_order_id"]
        ]

    def story(self, signal: str) -> list[str]:
        """Return every outcome that was recorded for the signal's first copy, in order."""
        rows = fetch_all(
            self.ledger.db,
            "SELECT event.subject FROM event JOIN copy ON copy.id = event.copy_id JOIN signal ON "
            "number = signal_number"
            " WHERE signal.id = ? AND account_id = 'a0' ORDER BY sequence",
            (signal,),
        )
        return [row[0] for row in rows]

    async def position(self, index: int = 0) -> Position | None:
        """Return a follower's position in the contract at the exchange."""
        session = await self.followers[index].account.connected()
        return next(
            (each for each in (await session.fetch_account()).positions if each.symbol == BTC), None
        )

    def holdings(self) -> list[tuple[object, ...]]:
        """Return (account, share, entries open) of every holding."""
        return fetch_all(
            self.ledger.db,
            "SELECT account_id, share, entries_open FROM holding ORDER BY account_id",
        )


def _policy(mode: Mode) -> str:
    sizing, leverage = parse_sizing({"mode": "fixed_margin", "margin": "50"}), parse_leverage("5")
    return write_policy(CopyPolicy(mode, sizing, leverage, frozenset([BTC])))


def _people(ledger: Ledger, followers: int, mode: Mode) -> None:
    db = ledger.db
    db.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('p', "
        "'p', 0, x'00', 'k', x'00')"
    )
    db.execute("INSERT INTO master VALUES ('m', 'm', 'p')")
    db.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us)"
        " VALUES ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0)"
    )
    for index in range(followers):
        db.execute(
            "INSERT INTO account (id, name, person_id, exchange, environment, sealed, "
            "row_version, created_us)"
            " VALUES (?, ?, 'p', 'paper', 'paper', x'00', 1, 0)",
            (f"a{index}", f"f{index}"),
        )
        db.execute(
            "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) VALUES "
            "(?, ?, 's', ?, 0)",
            (f"sub{index}", f"a{index}", _policy(mode)),
        )


@asynccontextmanager
async def world(
    folder: Path,
    *,
    followers: int = 3,
    mode: Mode = Mode.LIVE,
    paper: Mapping[str, object] | None = None,
    exchange: Callable[[Clock], ExchangeAdapter] | None = None,
    ledger: Ledger | None = None,
) -> AsyncIterator[World]:
    """Run an engine with a few followers under the test's clock, on paper or another exchange, with
    a new or an existing ledger.
    """
    if ledger is None:
        ledger = Ledger.in_memory()
        _people(ledger, followers, mode)
    clock, clock_there = SteppedClock(BEGINNING), TrioClock(BEGINNING)
    settings = {"flush": "inline", "price_fixed": {"BTCUSDT": "65000"}, **(paper or {})}
    plugins = load_plugins(["paper", "gcra"], {"paper": settings})
    context = ExchangeContext(
        plugins.provider("exchange", "paper").settings,
        clock_there,
        HttpClientFactory(),
        str(folder),
    )
    adapter = plugins.exchanges["paper"] if exchange is None else exchange(clock_there)
    feed = MarketFeed(adapter, context, clock)

    def read_subscription(identifier: str) -> Subscription:
        row = fetch_one(
            ledger.db,
            "SELECT id, account_id, strategy_id, policy FROM subscription WHERE id = ?",
            (identifier,),
        )
        assert row is not None
        return Subscription(
            id=row[0],
            account=AccountId(row[1]),
            strategy=StrategyId(row[2]),
            policy=read_policy(row[3]),
        )

    epoch = await ledger.write(lambda db: begin_run(db, 0))
    pace = Pace(
        entry_age_s=10,
        price_age_s=5,
        send_deadline_s=8.0,
        reconcile_active_s=30.0,
        reconcile_idle_s=300.0,
        not_confirmed_after_s=60.0,
    )
    shared = Shared(
        ledger,
        clock,
        pace,
        RiskLimits(),
        epoch,
        {"paper": feed},
        {"paper": Unsent(16)},
        read_subscription,
    )
    house = World(ledger, shared, AccountTasks(ledger=ledger), folder, clock)
    ledger.on_commit(house.committed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, frozenset([BTC]))
        openings = read_openings(ledger.db, [AccountId(f"a{each}") for each in range(followers)])
        for account, opening in openings.items():
            index = len(house.followers)
            login = AccountLogin(account, {"secret": Secret(f"paper-{index:04}")})
            state = Account(
                account,
                f"f{index}",
                "paper",
                "paper",
                shared,
                lambda login=login: ExchangeSession(  # type: ignore[misc]
                    adapter,
                    login,
                    context,
                    plugins.limiters["gcra"],
                    8.0,
                    why_held=partial(shared.why_held, login.account),
                ),
                opening,
            )
            house.followers.append(Follower(state))
            house.account_tasks.join(nursery, house.followers[-1])
        nursery.start_soon(house.account_tasks.route, ledger.db, shared.unsent.values())
        nursery.start_soon(shared.timetable.run)
        house.account_tasks.keep_running(nursery, "kept alerts", shared.record_kept_alerts)
        yield house
        nursery.cancel_scope.cancel()
    await ledger.aclose()


def earlier(shared: Shared, seconds: float) -> datetime:
    """Return a time before now."""
    return shared.clock.now() - timedelta(seconds=seconds)


class Unreadable:
    """A connection whose account cannot be read for as long as ``lasts``."""

    def __init__(self, real: Any, *, lasts: bool = False) -> None:
        self._real = real
        self.lasts = lasts
        self.tried: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def fetch_account(self) -> Any:
        self.tried.append(trio.current_time())
        if self.lasts:
            raise TimeoutError("the account cannot be read")
        return await self._real.fetch_account()


async def by_owner(connection: Any, side: OrderSide, quantity: str) -> OrderReport:
    """Trade a long position of BTC at the exchange as the account's owner: a sell only reduces."""
    order = OrderIntent(
        ClientOrderId(f"by-hand-{secrets.token_hex(4)}"),
        BTC,
        side,
        PositionSide.LONG,
        Quantity(Decimal(quantity)),
        OrderType.MARKET,
        Ratio(Decimal(5)),
        reduce_only=side is OrderSide.SELL,
    )
    report: OrderReport = await connection.place_order(order)
    return report
