"""Read trades and their sums for pages, and write the equity of accounts. Days are UTC days.

Only reconciled trades are in sums and curves; the others are counted (``unreconciled``) and shown
with what is known of them.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from engine.domain.account import LIVE_FIRST
from engine.domain.amounts import plain
from engine.domain.booking import BookState, Cause
from engine.domain.identifiers import AccountId, StrategyId
from engine.domain.strategy import StrategyState
from engine.ledger.codec import from_us, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.people import SHOWN_AS
from engine.ledger.query import Database, Row, fetch_all, fetch_one

HOUR_US: Final = 3_600_000_000
FINE_US: Final = 10_000_000
_FINE_FOR_US: Final = 24 * HOUR_US
_THINNED_FROM_US: Final = 72 * HOUR_US


class TradePoint(NamedTuple):
    """What a curve of results needs of a trade."""

    closed_at: datetime
    result: Decimal
    opened_at: datetime


def mark_equity_point(
    db: Database, account: AccountId, equity: Decimal, at: datetime, apart_us: int = HOUR_US
) -> None:
    """Record an account's equity at a reading; of an hour (or ``apart_us``), the first reading
    stays.
    """
    lock(db, Held.ACCOUNT, account)
    at_us = to_us(at)
    row = fetch_one(
        db,
        "SELECT at_us FROM equity_point WHERE account_id = ? ORDER BY at_us DESC LIMIT 1",
        (account,),
    )
    newest = None if row is None else row[0]
    if newest is None or at_us // apart_us > newest // apart_us:
        db.execute(
            "INSERT INTO equity_point (account_id, at_us, equity) VALUES (?, ?, ?)",
            (account, at_us, plain(equity)),
        )


def thin_equity_points(db: Database, account: AccountId, now: datetime) -> None:
    """Keep one point an hour of what is older than a day; checks only the second and third day
    back.
    """
    db.execute(
        "DELETE FROM equity_point AS late WHERE account_id = ?1 AND at_us BETWEEN ?2 AND ?3 AND "
        "EXISTS (SELECT 1 FROM equity_point AS early"
        " WHERE early.account_id = ?1 AND early.at_us < late.at_us AND early.at_us >= late.at_us "
        "- late.at_us % ?4)",
        (account, to_us(now) - _THINNED_FROM_US, to_us(now) - _FINE_FOR_US, HOUR_US),
    )


# Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRow:
    """One UTC day: reconciled trades closed, how many won, their result net of fees, the fees;
    ``unreconciled`` counts the others.
    """

    day: str
    trades: int
    won: int
    result: Decimal
    fees: Decimal
    unreconciled: int = 0


def _day(row: Row) -> DayRow:
    return DayRow(
        day=row[0],
        trades=row[1],
        won=row[2],
        result=Decimal(row[3]),
        fees=Decimal(row[4]),
        unreconciled=row[5],
    )


def strategy_days(db: Database, strategy: StrategyId, environment: str) -> list[DayRow]:
    """Read a strategy's days, oldest first: its followers' trades in one environment."""
    rows = fetch_all(
        db,
        "SELECT day, trades, won, result, fees, unreconciled FROM strategy_day WHERE strategy_id "
        "= ? AND environment = ? ORDER BY day",
        (strategy, environment),
    )
    return [_day(row) for row in rows]


def account_days(db: Database, account: AccountId) -> list[DayRow]:
    """Read an account's days, oldest first."""
    rows = fetch_all(
        db,
        "SELECT day, trades, won, result, fees, unreconciled FROM account_day WHERE account_id = "
        "? ORDER BY day",
        (account,),
    )
    return [_day(row) for row in rows]


def first_equity_at(db: Database, account: AccountId, since: datetime) -> datetime | None:
    """Read when an account's equity was first read since a time; None if it was not."""
    row = fetch_one(
        db,
        "SELECT at_us FROM equity_point WHERE account_id = ? AND at_us >= ? ORDER BY at_us LIMIT 1",
        (account, to_us(since)),
    )
    return None if row is None else from_us(row[0])


def equity_before(db: Database, account: AccountId, at: datetime) -> Decimal | None:
    """Read an account's newest equity before a time; None if it was not read before."""
    row = fetch_one(
        db,
        "SELECT equity FROM equity_point WHERE account_id = ? AND at_us < ? ORDER BY at_us DESC "
        "LIMIT 1",
        (account, to_us(at)),
    )
    return None if row is None else Decimal(row[0])


def equity_points_apart(
    db: Database, account: AccountId, since: datetime, apart: timedelta
) -> list[tuple[datetime, Decimal]]:
    """Read an account's equity since a time, oldest first: the first point of each so long a time.
    What lies between is not read.
    """
    rows = fetch_all(
        db,
        "WITH RECURSIVE shown (at_us) AS (SELECT (SELECT at_us FROM equity_point WHERE account_id = "
        "?1 AND at_us >= ?2 ORDER BY at_us LIMIT 1) UNION ALL SELECT (SELECT at_us FROM "
        "equity_point WHERE account_id = ?1 AND at_us >= shown.at_us - shown.at_us % ?3 + ?3 ORDER "
        "BY at_us LIMIT 1) FROM shown WHERE shown.at_us IS NOT NULL) SELECT shown.at_us, (SELECT "
        "equity FROM equity_point WHERE account_id = ?1 AND equity_point.at_us = shown.at_us) FROM "
        "shown WHERE shown.at_us IS NOT NULL ORDER BY 1",
        (account, to_us(since), apart // timedelta(microseconds=1)),
    )
    return [(from_us(row[0]), Decimal(row[1])) for row in rows]


def equity_points(
    db: Database, account: AccountId, since: datetime
) -> list[tuple[datetime, Decimal]]:
    """Read an account's equity since a time, oldest first: a point an hour, and of the newest day
    one after each fill.
    """
    rows = fetch_all(
        db,
        "SELECT at_us, equity FROM equity_point WHERE account_id = ? AND at_us >= ? ORDER BY at_us",
        (account, to_us(since)),
    )
    return [(from_us(row[0]), Decimal(row[1])) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeRow:
    """One closed trade; None is not known. ``cause`` is how it ended, ``state`` how much of it is
    known.
    """

    id: int
    account: str
    environment: str
    strategy: str
    symbol: str
    side: str
    quantity: str
    entry_price: str | None
    exit_price: str | None
    fees: Decimal | None
    result: Decimal | None
    opened_at: datetime
    closed_at: datetime
    cause: Cause | None
    state: BookState


_TRADES = (
    "SELECT trade.id, account.name, account.environment, strategy.name, symbol, side, quantity, "
    "entry_price, exit_price, fees, result,"
    " opened_us, closed_us, cause, trade.state FROM trade JOIN account ON account.id = "
    "trade.account_id"
    " JOIN strategy ON strategy.id = trade.strategy_id"
)


def trade_row(row: Row) -> TradeRow:
    """Read the columns of a trade, in the order of its fields."""
    return TradeRow(
        id=row[0],
        account=row[1],
        environment=row[2],
        strategy=row[3],
        symbol=row[4],
        side=row[5],
        quantity=row[6],
        entry_price=row[7],
        exit_price=row[8],
        fees=None if row[9] is None else Decimal(row[9]),
        result=None if row[10] is None else Decimal(row[10]),
        opened_at=from_us(row[11]),
        closed_at=from_us(row[12]),
        cause=None if row[13] is None else Cause(row[13]),
        state=BookState(row[14]),
    )


def account_trades(db: Database, account: AccountId, limit: int) -> list[TradeRow]:
    """Read an account's newest trades, newest first."""
    rows = fetch_all(
        db,
        _TRADES + " WHERE trade.account_id = ? ORDER BY trade.id DESC LIMIT ?",
        (account, limit),
    )
    return [trade_row(row) for row in rows]


def results_between(
    db: Database, account: AccountId, since: datetime, until: datetime
) -> list[Decimal | None]:
    """Read the results of the trades of strategies that an account closed since one time and before
    another; None for one that is not reconciled.
    """
    rows = fetch_all(
        db,
        "SELECT CASE WHEN state = 'settled' THEN result END FROM trade WHERE account_id = ? AND "
        "closed_us >= ? AND closed_us < ? AND strategy_id != ''",
        (account, to_us(since), to_us(until)),
    )
    return [None if row[0] is None else Decimal(row[0]) for row in rows]


def trade_results(db: Database, account: AccountId, limit: int) -> list[TradePoint]:
    """Read when reconciled trades of an account were closed and each result, oldest close first,
    the newest ``limit``.
    """
    rows = fetch_all(
        db,
        "SELECT closed_us, result, opened_us FROM trade WHERE account_id = ? AND state = "
        "'settled' AND strategy_id != ''"
        " ORDER BY closed_us DESC, id DESC LIMIT ?",
        (account, limit),
    )
    return [TradePoint(from_us(row[0]), Decimal(row[1]), from_us(row[2])) for row in reversed(rows)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRow:
    """One strategy for the directory. ``followers`` counts active subscriptions; figures are sums
    over all days.
    """

    id: str
    name: str
    master: str
    kind: str
    state: StrategyState
    about: str
    symbols: tuple[str, ...]
    leverage: str
    followers: int
    last_signal_at: datetime | None
    is_mine: bool
    is_followed: bool


_FOLLOWED = (
    "EXISTS (SELECT 1 FROM subscription JOIN account ON account.id = account_id WHERE strategy_id = "
    "strategy.id AND account.person_id = ?1 AND subscription.state != 'left')"
)
_STRATEGIES = (
    "SELECT strategy.id, strategy.name, master.name, kind, state, about, symbols, leverage,"
    " (SELECT count(*) FROM subscription WHERE strategy_id = strategy.id AND subscription.state = "
    "'active'),"
    " (SELECT received_us FROM signal WHERE strategy_id = strategy.id ORDER BY number DESC LIMIT "
    f"1), master.person_id = ?1, {_FOLLOWED}"
    " FROM strategy JOIN master ON master.id = master_id"
)


def strategies_for(db: Database, person: str, identifier: str | None = None) -> list[StrategyRow]:
    """Read the strategies that a person may see in the directory (published, theirs, followed), or
    the one with this id if they may.

    One that is ``by_link`` is found by its id only, by anybody who has it. A paused one is shown to
    those who saw it before.
    """
    shown = (
        f"({SHOWN_AS} = 'published'"
        + ("" if identifier is None else f" OR {SHOWN_AS} = 'by_link'")
        + f" OR master.person_id = ?1 OR {_FOLLOWED})"
    )
    rows = fetch_all(
        db,
        _STRATEGIES
        + " WHERE "
        + ("" if identifier is None else "strategy.id = ?2 AND ")
        + shown
        + " ORDER BY strategy.name",
        (person, *(() if identifier is None else (identifier,))),
    )
    return [_listed(row) for row in rows]


def is_openable(db: Database, person: str, identifier: str) -> bool:
    """Return whether ``strategies_for`` has the strategy with this id for a person."""
    row = fetch_one(
        db,
        "SELECT 1 FROM strategy JOIN master ON master.id = master_id WHERE strategy.id = ?2 AND "
        f"({SHOWN_AS} = 'published' OR {SHOWN_AS} = 'by_link' OR master.person_id = ?1 OR "
        f"{_FOLLOWED})",
        (person, identifier),
    )
    return row is not None


def all_strategies(db: Database) -> list[StrategyRow]:
    """Read every strategy, by name; for operators."""
    return [_listed(row) for row in fetch_all(db, _STRATEGIES + " ORDER BY strategy.name", ("",))]


def _listed(row: Row) -> StrategyRow:
    last = None if row[9] is None else from_us(row[9])
    symbols = tuple(json.loads(row[6]))
    return StrategyRow(
        id=row[0],
        name=row[1],
        master=row[2],
        kind=row[3],
        state=StrategyState(row[4]),
        about=row[5],
        symbols=symbols,
        leverage=row[7],
        followers=row[8],
        last_signal_at=last,
        is_mine=bool(row[10]),
        is_followed=bool(row[11]),
    )


def strategy_environments(db: Database, strategy: str) -> list[str]:
    """Read the environments in which a strategy has closed trades, live first."""
    rows = fetch_all(
        db, "SELECT DISTINCT environment FROM strategy_day WHERE strategy_id = ?", (strategy,)
    )
    return sorted((row[0] for row in rows), key=LIVE_FIRST.index)


def newest_signals(db: Database, strategy: StrategyId, limit: int) -> list[int]:
    """Read the numbers of a strategy's newest signals, newest first."""
    rows = fetch_all(
        db,
        "SELECT number FROM signal WHERE strategy_id = ? ORDER BY number DESC LIMIT ?",
        (strategy, limit),
    )
    return [row[0] for row in rows]


def newest_entries(db: Database, strategy: StrategyId, limit: int) -> list[int]:
    """Read the numbers of a strategy's newest entry signals, newest first, without tests."""
    rows = fetch_all(
        db,
        "SELECT number FROM signal WHERE strategy_id = ? AND is_test = 0 AND action IN ('open', "
        "'add', 'reverse') ORDER BY number DESC LIMIT ?",
        (strategy, limit),
    )
    return [row[0] for row in rows]


def outcomes_of(db: Database, signal: int) -> list[tuple[str, str | None, bool, int]]:
    """Count what became of the copies of a signal, by its number: environment, outcome (None while
    it waits), whether its entry filled in part all the same, and count, the most first.
    """
    rows = fetch_all(
        db,
        "SELECT environment, code, CASE WHEN code NOT IN ('filled', 'partially_filled', 'placed') "
        "AND EXISTS (SELECT 1 FROM attempt WHERE attempt.copy_id = copy.id AND attempt.kind = "
        "'entry' AND attempt.filled != '0') THEN 1 ELSE 0 END, count(*) FROM copy JOIN account ON "
        "account.id = copy.account_id WHERE signal_number = ? GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        (signal,),
    )
    return [(row[0], row[1], bool(row[2]), row[3]) for row in rows]
