"""What an order costs in the ledger alone: the verbs of a fan-out on a real file, without a loop,
an exchange or a web server.

One strategy opens and closes for every follower. Claims and answers are written in transactions of
sixteen, each synced, in the order that is drawn for the signal, as the engine writes them. CPU is
the time of this thread, Python included. Pages are those that SQLite appended to its log, per
order; their bytes are what a disk has to take. A checkpoint waits until a step is over.
"""

import hashlib
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar

import apsw

from bench.options import Options
from bench.past import write_past
from bench.rows import Row, middle
from engine.decisions.turns import in_turn
from engine.domain.amounts import Money, Price, Quantity, Ratio
from engine.domain.identifiers import StrategyId, Symbol, client_order_id
from engine.domain.order import OrderIntent, OrderReport, OrderSide, OrderStatus
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Action, OrderType, PositionSide, SignalDraft
from engine.ledger.claims import Claim, NotClaimed, claim
from engine.ledger.copies import WaitingLeg, waiting, waiting_legs
from engine.ledger.database import open_database
from engine.ledger.folding import fold_episodes, unfolded_episodes
from engine.ledger.resolving import complete
from engine.ledger.signals import new_signal, record_signal

T = TypeVar("T")
FOLLOWERS: Final = 1_000
OUTCOMES: Final = 100_000
ROUNDS: Final = 3
GROUP: Final = 16
FOLDED_TOGETHER: Final = 50
SYMBOL: Final = Symbol("BTCUSDT")
STRATEGY: Final = StrategyId("str_" + "5" * 32)
QUANTITY: Final = Quantity(Decimal("0.003"))
FRAME: Final = 4_096 + 24
BETWEEN: Final = timedelta(seconds=30)


@dataclass(slots=True)
class Spent:
    """What one step used for one order: CPU of this thread, and pages of the log."""

    cpu_us: float
    pages: float


def found(path: Path, followers: int) -> apsw.Connection:
    """Create a ledger with a strategy and its followers."""
    db = open_database(str(path))
    with db:
        db.execute(
            "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES "
            "('per_1', 'ada', 0, x'00', 'k', x'00')"
        )
        db.execute("INSERT INTO master (id, name, person_id) VALUES ('mas_1', 'ada', 'per_1')")
        db.execute(
            "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
            "created_us) VALUES (?, 'trend', 'mas_1', 'copy_trading', '[]', '5', 'signed_webhook', "
            "'{}', 0)",
            (STRATEGY,),
        )
        for number in range(followers):
            account = f"acc_{secrets.token_hex(16)}"
            db.execute(
                "INSERT INTO account (id, name, person_id, exchange, environment, sealed, "
                "row_version, created_us) VALUES (?, ?, 'per_1', 'paper', 'paper', x'00', 1, 0)",
                (account, f"follower-{number}"),
            )
            db.execute(
                "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) "
                "VALUES (?, ?, ?, '{}', 0)",
                (f"sub_{secrets.token_hex(16)}", account, STRATEGY),
            )
    return db


class Written:
    """The ledger of one run, with the log of what its steps used."""

    def __init__(self, path: Path, db: apsw.Connection) -> None:
        self.db = db
        self.spent: dict[str, list[Spent]] = {}
        self._log = Path(f"{path}-wal")
        db.pragma("wal_autocheckpoint", 0)

    @contextmanager
    def step(self, name: str, orders: int) -> Iterator[None]:
        """Measure a step of so many orders."""
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        began = time.thread_time_ns()
        yield
        cpu_us = (time.thread_time_ns() - began) / 1e3 / orders
        pages = self._log.stat().st_size / FRAME / orders
        self.spent.setdefault(name, []).append(Spent(cpu_us, pages))

    def in_groups(self, items: Sequence[T], write: Callable[[T], object]) -> None:
        """Write each item, so many in one transaction."""
        for begin in range(0, len(items), GROUP):
            self.db.execute("BEGIN IMMEDIATE")
            for each in items[begin : begin + GROUP]:
                write(each)
            self.db.execute("COMMIT")


def signal(at: Written, action: Action, moment: datetime, orders: int) -> list[WaitingLeg]:
    """Record a signal and read what waits."""
    side = PositionSide.LONG if action is Action.OPEN else None
    new = new_signal(
        STRATEGY,
        origin="endpoint:bench",
        draft=SignalDraft(f"{moment:%s}-{action.value}", action, SYMBOL, side),
        content=moment.isoformat().encode(),
        sent_at=None,
        received=moment,
    )
    with at.step(f"{action.value}, signal", orders):
        at.in_groups([new], lambda each: record_signal(at.db, each))
    legs_in_turn: list[WaitingLeg] = []
    with at.step(f"{action.value}, reading what waits", orders):
        accounts = in_turn(waiting(at.db))
        for begin in range(0, len(accounts), GROUP):
            some = accounts[begin : begin + GROUP]
            each = waiting_legs(at.db, some)
            legs_in_turn += [leg for account in some for leg in each[account]]
    return legs_in_turn


def intent(leg: WaitingLeg) -> OrderIntent:
    """Return the order of a leg."""
    is_exit = leg.kind == "exit"
    return OrderIntent(
        client_order_id(leg.copy, leg.number),
        leg.symbol,
        OrderSide.SELL if is_exit else OrderSide.BUY,
        PositionSide.LONG,
        QUANTITY,
        OrderType.MARKET,
        Ratio(Decimal(5)),
        stop_loss=None if is_exit else Price(Decimal(60_000)),
        reduce_only=is_exit,
    )


def fan_out(at: Written, action: Action, moment: datetime, orders: int) -> None:
    """Record a signal, claim every order and write every answer."""
    legs = signal(at, action, moment, orders)
    assert len(legs) == orders, "every follower waits"
    claimed: list[tuple[int, OrderIntent]] = []

    def claim_one(leg: WaitingLeg) -> None:
        wanted = intent(leg)
        is_exit = leg.kind == "exit"
        number = claim(
            at.db,
            Claim(
                copy=leg.copy,
                leg=leg.number,
                number=1,
                kind=leg.kind,
                account=leg.account,
                strategy=leg.strategy,
                epoch=1,
                order_key=leg.order_key,
                intent=wanted,
                notional=Money(Decimal(195)),
                margin=Money(Decimal(39)),
                witness=(),
                at=moment,
                leave=Quantity(Decimal(0)) if is_exit else None,
                held_before=QUANTITY if is_exit else Quantity(Decimal(0)),
            ),
        )
        assert not isinstance(number, NotClaimed), number
        claimed.append((number, wanted))

    def answer_one(order: tuple[int, OrderIntent]) -> None:
        number, wanted = order
        report = OrderReport(
            exchange_order_id=hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest(),
            client_order_id=wanted.client_order_id,
            symbol=SYMBOL,
            side=wanted.side,
            quantity=QUANTITY,
            status=OrderStatus.FILLED,
            filled_quantity=QUANTITY,
            average_price=Price(Decimal(65_000)),
            fee=Money(Decimal("0.1")),
            created_at=moment,
            reduce_only=wanted.reduce_only,
        )
        numbers = {"side": wanted.side.value, "filled": "0.003", "symbol": SYMBOL, "price": "65000"}
        complete(at.db, number, report, Outcome(OutcomeCode.FILLED, numbers), moment)

    with at.step(f"{action.value}, claim", orders):
        at.in_groups(legs, claim_one)
    with at.step(f"{action.value}, answer", orders):
        at.in_groups(claimed, answer_one)
    with at.step(f"{action.value}, books", orders):
        while episodes := unfolded_episodes(at.db, FOLDED_TOGETHER):
            at.in_groups([episodes], lambda each: fold_episodes(at.db, each))


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield a row for each step of an order, behind an empty ledger and behind a history."""
    followers = options.followers[0] if options.followers else FOLLOWERS
    outcomes = min(options.outcomes, OUTCOMES)
    for past in (0, outcomes):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ledger.sqlite3"
            db = found(path, followers)
            db.pragma("synchronous", 0)
            write_past(db, past, datetime.now(UTC))
            db.pragma("synchronous", 2)
            at, moment = Written(path, db), datetime.now(UTC)
            for _ in range(options.rounds or ROUNDS):
                for action in (Action.OPEN, Action.CLOSE):
                    moment += BETWEEN
                    fan_out(at, action, moment, followers)
            db.close()
            for name, spent in at.spent.items():
                pages = middle([each.pages for each in spent])
                yield Row(
                    scenario="records",
                    case=f"{past:,} outcomes, {name}",
                    figure="CPU per order",
                    unit="us",
                    value=middle([each.cpu_us for each in spent]),
                    beside={"log pages": pages, "log KiB": pages * FRAME / 1024},
                )
