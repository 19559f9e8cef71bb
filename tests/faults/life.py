"""One life of the engine's process within a story: the real actors over the story's ledger and
exchange, until it is stopped or killed.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final, TypeVar

import apsw
import trio

from engine.actors.account import Account, read_openings
from engine.actors.account_tasks import AccountTasks
from engine.actors.bookkeeping import Bookkeeping
from engine.actors.exchange_session import ExchangeSession
from engine.actors.flattening import Flattening
from engine.actors.follower import Follower
from engine.actors.shared import Pace, Shared
from engine.actors.unsent import Unsent
from engine.decisions.circuit import Circuit
from engine.domain.amounts import Money
from engine.domain.identifiers import AccountId, StrategyId
from engine.domain.subscription import (
    CopyPolicy,
    Mode,
    RiskLimits,
    Subscription,
    parse_leverage,
    parse_sizing,
)
from engine.ledger import DiskRefused, Ledger, LedgerError
from engine.ledger.codec import read_policy, to_us, write_policy
from engine.ledger.copies import begin_run
from engine.ledger.query import fetch_all, fetch_one
from engine.ledger.resolving import orphan_claims
from engine.market.feed import MarketFeed
from engine.ports.exchange import AccountLogin, ExchangeContext
from engine.ports.rate_limiter import Granted, Priority, RateLimit, Refused
from engine.ports.secret import Secret
from engine.transport import HttpClientFactory
from plugins.gcra import GcraLimiter
from tests.faults.dice import LIMIT, PLAN, WRITE, Dice
from tests.faults.fault_exchange import SYMBOLS, FaultExchange
from tests.faults.script import ACCOUNTS, STRATEGIES
from tests.faults.turns import watch_turns

T = TypeVar("T")
SYMBOLS_AT_ONCE: Final = 2
CAP_NOTIONAL: Final = Decimal(350)
_acting: ContextVar[str] = ContextVar("_acting", default="")
"""The account whose task is running, so that a fault of the ledger can tell whom it hit."""


class StoryLedger(Ledger):
    """The real ledger in memory. It refuses some writes, and every write of a dead process."""

    dice: Dice
    exchange: FaultExchange
    dead: bool
    problems: list[str]

    @classmethod
    def made(cls, dice: Dice, exchange: FaultExchange) -> "StoryLedger":
        """Return a new one."""
        ledger = cls.in_memory()
        assert isinstance(ledger, cls)
        ledger.dice, ledger.exchange, ledger.dead, ledger.problems = dice, exchange, False, []
        ledger.on_commit(ledger._compare)
        watch_turns(ledger.db)
        return ledger

    async def write(self, verb: Callable[[apsw.Connection], T], *, first: bool = False) -> T:
        if self.dead:
            raise LedgerError("this process was killed")
        account = _acting.get()
        if self.dice.roll(WRITE, account or "-", cells=None if account else {("-", "idle")}).fault:
            raise DiskRefused("the disk is full")
        return await super().write(verb, first=first)

    def _compare(self) -> None:
        """Check after every write that no order is NOT_CONFIRMED that the exchange shows."""
        rows = fetch_all(
            self.db, "SELECT client_order_id FROM attempt WHERE state = 'not_confirmed'"
        )
        if rows:
            there = {row.client_order_id for row in self.exchange.rows if self.exchange.shows(row)}
            self.problems += [
                f"untrue: {cid} is called NOT_CONFIRMED, and the exchange has it"
                for (cid,) in rows
                if cid in there
            ]


class FaultLimiter(GcraLimiter):
    """The real limiter, which sometimes fails."""

    def __init__(self, dice: Dice, account: str) -> None:
        super().__init__()
        self._dice = dice
        self._account = account

    def reserve(
        self, pool: str, limit: RateLimit, cost: int, priority: Priority, now: datetime
    ) -> Granted | Refused:
        if self._dice.roll(LIMIT, self._account).fault:
            raise RuntimeError("a limiter's own mistake")
        return super().reserve(pool, limit, cost, priority, now)


class _Follower(Follower):
    async def run(self) -> None:
        _acting.set(self.account.id)
        await super().run()


@dataclass
class _Shared(Shared):
    """The accounts' shared parts, with planning tasks that sometimes fail by an error of the
    engine.
    """

    dice: Dice | None = None

    def subscription(self, identifier: str) -> Subscription:
        account = _acting.get()
        if account and self.dice is not None and self.dice.roll(PLAN, account).fault:
            raise RuntimeError("a mistake of the engine's own")
        return super().subscription(identifier)


@dataclass
class Life:
    """One process's actors."""

    shared: Shared
    account_tasks: AccountTasks
    followers: dict[str, Follower]

    @classmethod
    async def begin(
        cls, nursery: trio.Nursery, ledger: StoryLedger, exchange: FaultExchange, seed: int
    ) -> "Life":
        """Start as ``run`` does: take over the claims of the process before, then run."""
        clock = exchange.clock
        epoch = await _surely(ledger, lambda db: _start(db, clock.now()))
        context = ExchangeContext({}, clock, HttpClientFactory(), "")
        feed = MarketFeed(exchange, context, clock)
        pace = Pace(
            entry_age_s=10,
            price_age_s=5,
            send_deadline_s=8.0,
            reconcile_active_s=30.0,
            reconcile_idle_s=300.0,
            not_confirmed_after_s=60.0,
            resting_entry_s=600.0,
        )

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

        shared = _Shared(
            ledger,
            clock,
            pace,
            RiskLimits(),
            epoch,
            {"fault": feed},
            {"fault": Unsent(16)},
            read_subscription,
            dice=exchange.dice,
        )
        shared.strategy_names = {StrategyId(each): each for each in STRATEGIES}
        account_tasks, circuit = AccountTasks(seed + epoch, ledger), Circuit()
        life = cls(shared, account_tasks, {})
        nursery.start_soon(feed.run, frozenset(SYMBOLS))
        openings = read_openings(ledger.db, [AccountId(each) for each in ACCOUNTS])
        for each in ACCOUNTS:
            login, limiter = (
                AccountLogin(AccountId(each), {"secret": Secret("x")}),
                FaultLimiter(exchange.dice, each),
            )
            account = Account(
                AccountId(each),
                each,
                "fault",
                "simulated",
                shared,
                lambda login=login, limiter=limiter: ExchangeSession(  # type: ignore[misc]
                    exchange,
                    login,
                    context,
                    limiter,
                    8.0,
                    shared.sends,
                    circuit,
                    why_held=partial(shared.why_held, login.account),
                ),
                openings[AccountId(each)],
            )
            life.followers[each] = _Follower(account)
            account_tasks.join(nursery, life.followers[each])
        nursery.start_soon(account_tasks.route, ledger.db, shared.unsent.values())
        nursery.start_soon(shared.timetable.run)
        nursery.start_soon(_keep_books, Bookkeeping(shared, account_tasks))
        nursery.start_soon(_flatten, Flattening(shared, account_tasks.wake))
        return life

    def cut(self) -> None:
        """End every call of an order in flight."""
        for scope in tuple(self.shared.sends):
            scope.cancel()

    def release_all(self) -> None:
        """End every quarantine, as an operator does."""
        for each in self.followers:
            self.account_tasks.unquarantine(each)


async def _keep_books(bookkeeping: Bookkeeping) -> None:
    while True:
        try:
            await bookkeeping.run()
        except LedgerError:
            await trio.sleep(1)


async def _flatten(flattening: Flattening) -> None:
    while True:
        try:
            await flattening.run()
        except LedgerError:
            await trio.sleep(1)


async def _surely(ledger: Ledger, verb: Callable[[apsw.Connection], T]) -> T:
    while True:
        try:
            return await ledger.write(verb)
        except LedgerError:
            await trio.sleep(1)


def _start(db: apsw.Connection, now: datetime) -> int:
    epoch = begin_run(db, to_us(now))
    orphan_claims(db, epoch, now)
    return epoch


def people(ledger: Ledger) -> None:
    """Return three accounts, each subscribed to both strategies."""
    db = ledger.db
    policy = CopyPolicy(
        Mode.LIVE,
        parse_sizing({"mode": "fixed_quantity", "quantity": "1"}),
        parse_leverage("5"),
        frozenset(SYMBOLS),
        RiskLimits(open_positions=SYMBOLS_AT_ONCE, account_notional=Money(CAP_NOTIONAL)),
    )
    db.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped)"
        " VALUES ('p', 'p', 0, x'00', 'k', x'00'); INSERT INTO master VALUES ('m', 'm', 'p')"
    )
    for name in STRATEGIES:
        db.execute(
            "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
            "created_us)"
            " VALUES (?, ?, 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0)",
            (name, name),
        )
    for each in ACCOUNTS:
        db.execute(
            "INSERT INTO account (id, name, person_id, exchange, environment, sealed, "
            "row_version, created_us)"
            " VALUES (?, ?, 'p', 'fault', 'simulated', x'00', 1, 0)",
            (each, each),
        )
        for name in STRATEGIES:
            db.execute(
                "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) "
                "VALUES (?, ?, ?, ?, 0)",
                (f"{each}-{name}", each, name, write_policy(policy)),
            )
