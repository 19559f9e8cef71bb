"""The books: what ended attempts executed, folded into trades once and only once, and sums of them for pages.

``attempt.booked`` says how much of an attempt is in the books, so that running again changes nothing and a fill that is proven late
is added. Days are UTC days. Everything here can be deleted and written anew from the attempts.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

import apsw

from engine.decisions.results import Fill, Open, Trade, fold
from engine.domain.amounts import EXACT, plain
from engine.domain.identifiers import AccountId, StrategyId
from engine.domain.signal import PositionSide
from engine.ledger.codec import from_us, to_us
from engine.ledger.people import SHOWN_AS
from engine.ledger.query import Row, fetch_all, fetch_one

HOUR_US: Final = 3_600_000_000
FINE_US: Final = 10_000_000
_FINE_FOR_US: Final = 24 * HOUR_US
_THINNED_FROM_US: Final = 72 * HOUR_US
_FINEST: Final = Decimal("0.000000000001")


class TradePoint(NamedTuple):
    """Hold what a curve of results needs of a trade."""

    closed_at: datetime
    result: Decimal
    opened_at: datetime


def book_fills(db: apsw.Connection, limit: int) -> dict[AccountId, datetime]:
    """Take up to ``limit`` ended attempts into the books whose executed quantity is not in them yet; returns whose, and until when."""
    rows = fetch_all(
        db,
        "SELECT attempt.id, attempt.account_id, attempt.strategy_id, attempt.symbol, attempt.kind, attempt.intent, attempt.filled,"
        " attempt.price, attempt.fee, attempt.ended_us, booked, booked_cost, booked_fee, account.environment FROM attempt"
        " JOIN account ON account.id = attempt.account_id WHERE booked != filled AND ended_us IS NOT NULL"
        " ORDER BY ended_us, attempt.id LIMIT ?",
        (limit,),
    )
    for row in rows:
        _book(db, row)
    return {AccountId(row[1]): from_us(row[9]) for row in rows}


def has_unbooked(db: apsw.Connection) -> bool:
    """Tell whether something executed is not in the books yet."""
    return fetch_one(db, "SELECT 1 FROM attempt WHERE booked != filled AND ended_us IS NOT NULL LIMIT 1") is not None


def _book(db: apsw.Connection, row: Row) -> None:
    identifier, account, strategy, symbol, kind, intent, filled, price, fee, ended_us, booked, booked_cost, booked_fee, environment = row
    more = EXACT.subtract(Decimal(filled), Decimal(booked))
    if price in (None, "?") or more <= 0:  # executed at a price that nobody told: it cannot be in the books
        db.execute("UPDATE attempt SET booked = filled WHERE id = ?", (identifier,))
        return
    cost = EXACT.multiply(Decimal(filled), Decimal(price))
    at = EXACT.divide(EXACT.subtract(cost, Decimal(booked_cost)), more).quantize(_FINEST)
    paid = EXACT.subtract(Decimal(fee), Decimal(booked_fee))
    side = PositionSide(json.loads(intent)["position_side"])
    held, trade = fold(_read_open(db, account, strategy, symbol), Fill(side, kind == "entry", more, at, paid, from_us(ended_us)))
    _write_open(db, account, strategy, symbol, held)
    db.execute(
        "UPDATE attempt SET booked = filled, booked_cost = ?, booked_fee = fee WHERE id = ?", (plain(cost), identifier)
    )  # fmt: skip
    if trade is not None:
        _write_trade(db, account, strategy, symbol, environment, trade)


def _read_open(db: apsw.Connection, account: str, strategy: str, symbol: str) -> Open | None:
    row = fetch_one(
        db,
        "SELECT side, quantity, cost, fees, opened_us FROM book WHERE account_id = ? AND strategy_id = ? AND symbol = ?",
        (account, strategy, symbol),
    )
    return None if row is None else Open(PositionSide(row[0]), Decimal(row[1]), Decimal(row[2]), Decimal(row[3]), from_us(row[4]))


def _write_open(db: apsw.Connection, account: str, strategy: str, symbol: str, held: Open | None) -> None:
    if held is None:
        db.execute("DELETE FROM book WHERE account_id = ? AND strategy_id = ? AND symbol = ?", (account, strategy, symbol))
        return
    db.execute(
        "INSERT INTO book VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET side = ?4, quantity = ?5, cost = ?6, fees = ?7,"
        " opened_us = ?8",
        (account, strategy, symbol, held.side.value, plain(held.quantity), plain(held.cost), plain(held.fees), to_us(held.opened_at)),
    )


def _write_trade(db: apsw.Connection, account: str, strategy: str, symbol: str, environment: str, trade: Trade) -> None:
    db.execute(
        "INSERT INTO trade (account_id, strategy_id, environment, symbol, side, quantity, entry_price, exit_price, fees, result,"
        " opened_us, closed_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            account, strategy, environment, symbol, trade.side.value, plain(trade.quantity), plain(trade.entry_price),
            plain(trade.exit_price), plain(trade.fees), plain(trade.result), to_us(trade.opened_at), to_us(trade.closed_at),
        ),
    )  # fmt: skip
    day = trade.closed_at.date().isoformat()
    _add_day(db, "strategy_day", ("strategy_id", "environment"), (strategy, environment), day, trade)
    _add_day(db, "account_day", ("account_id",), (account,), day, trade)


def _add_day(db: apsw.Connection, table: str, columns: tuple[str, ...], key: tuple[str, ...], day: str, trade: Trade) -> None:
    where = " AND ".join(f"{each} = ?" for each in (*columns, "day"))
    row = fetch_one(db, f"SELECT trades, won, result, fees FROM {table} WHERE {where}", (*key, day))  # noqa: S608 - fixed names
    trades, won, result, fees = (0, 0, "0", "0") if row is None else row
    marks = ", ".join("?" for _ in range(len(columns) + 5))
    db.execute(
        f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}, day, trades, won, result, fees) VALUES ({marks})",  # noqa: S608
        (
            *key, day, trades + 1, won + (trade.result > 0), plain(EXACT.add(Decimal(result), trade.result)),
            plain(EXACT.add(Decimal(fees), trade.fees)),
        ),
    )  # fmt: skip


def mark_equity_point(db: apsw.Connection, account: AccountId, equity: Decimal, at: datetime, apart_us: int = HOUR_US) -> None:
    """Write what an account was worth when it was read; of an hour (or ``apart_us``), the first reading stays."""
    at_us = to_us(at)
    row = fetch_one(db, "SELECT at_us FROM equity_point WHERE account_id = ? ORDER BY at_us DESC LIMIT 1", (account,))
    newest = None if row is None else row[0]
    if newest is None or at_us // apart_us > newest // apart_us:
        db.execute("INSERT INTO equity_point (account_id, at_us, equity) VALUES (?, ?, ?)", (account, at_us, plain(equity)))


def thin_equity_points(db: apsw.Connection, account: AccountId, now: datetime) -> None:
    """Keep one point an hour of what is older than a day; looks at the third and second day back only."""
    db.execute(
        "DELETE FROM equity_point AS late WHERE account_id = ?1 AND at_us BETWEEN ?2 AND ?3 AND EXISTS (SELECT 1 FROM equity_point AS early"
        " WHERE early.account_id = ?1 AND early.at_us < late.at_us AND early.at_us >= late.at_us - late.at_us % ?4)",
        (account, to_us(now) - _THINNED_FROM_US, to_us(now) - _FINE_FOR_US, HOUR_US),
    )


# Reading


@dataclass(frozen=True, slots=True)
class DayRow:
    """Hold one UTC day: trades closed, how many won, their result net of fees, the fees."""

    day: str
    trades: int
    won: int
    result: Decimal
    fees: Decimal


def _day(row: Row) -> DayRow:
    return DayRow(row[0], row[1], row[2], Decimal(row[3]), Decimal(row[4]))


def strategy_days(db: apsw.Connection, strategy: StrategyId, environment: str) -> list[DayRow]:
    """Read a strategy's days, oldest first: its followers' trades in one environment."""
    rows = fetch_all(
        db,
        "SELECT day, trades, won, result, fees FROM strategy_day WHERE strategy_id = ? AND environment = ? ORDER BY day",
        (strategy, environment),
    )
    return [_day(row) for row in rows]


def account_days(db: apsw.Connection, account: AccountId) -> list[DayRow]:
    """Read an account's days, oldest first."""
    rows = fetch_all(db, "SELECT day, trades, won, result, fees FROM account_day WHERE account_id = ? ORDER BY day", (account,))
    return [_day(row) for row in rows]


def equity_points(db: apsw.Connection, account: AccountId, since: datetime) -> list[tuple[datetime, Decimal]]:
    """Read what an account was worth since then, oldest first: a point an hour, and of the newest day one after each fill."""
    rows = fetch_all(
        db, "SELECT at_us, equity FROM equity_point WHERE account_id = ? AND at_us >= ? ORDER BY at_us", (account, to_us(since))
    )
    return [(from_us(row[0]), Decimal(row[1])) for row in rows]


@dataclass(frozen=True, slots=True)
class TradeRow:
    """Hold one closed trade."""

    id: int
    account: str
    environment: str
    strategy: str
    symbol: str
    side: str
    quantity: str
    entry_price: str
    exit_price: str
    fees: Decimal
    result: Decimal
    opened_at: datetime
    closed_at: datetime


_TRADES = (
    "SELECT trade.id, account.name, account.environment, strategy.name, symbol, side, quantity, entry_price, exit_price, fees, result,"
    " opened_us, closed_us FROM trade JOIN account ON account.id = trade.account_id JOIN strategy ON strategy.id = trade.strategy_id"
)


def _trade(row: Row) -> TradeRow:
    return TradeRow(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], Decimal(row[9]), Decimal(row[10]), from_us(row[11]),
        from_us(row[12]),
    )  # fmt: skip


def account_trades(db: apsw.Connection, account: AccountId, limit: int, before: int | None = None) -> list[TradeRow]:
    """Read an account's trades, newest first; ``before`` is the id that the page before ended with."""
    rows = fetch_all(
        db,
        _TRADES + " WHERE trade.account_id = ? AND trade.id < ? ORDER BY trade.id DESC LIMIT ?",
        (account, 2**62 if before is None else before, limit),
    )
    return [_trade(row) for row in rows]


def trade_results(db: apsw.Connection, limit: int, *, account: str = "", strategy: str = "", environment: str = "") -> list[TradePoint]:
    """Read when trades were closed and what each came to, oldest close first, the newest ``limit``: of an account, or of a strategy."""
    if account:
        rows = fetch_all(
            db,
            "SELECT closed_us, result, opened_us FROM trade WHERE account_id = ? ORDER BY closed_us DESC, id DESC LIMIT ?",
            (account, limit),
        )
    else:
        rows = fetch_all(
            db,
            "SELECT closed_us, result, opened_us FROM trade WHERE strategy_id = ? AND environment = ?"
            " ORDER BY closed_us DESC, id DESC LIMIT ?",
            (strategy, environment, limit),
        )
    return [TradePoint(from_us(row[0]), Decimal(row[1]), from_us(row[2])) for row in reversed(rows)]


@dataclass(frozen=True, slots=True)
class StrategyRow:
    """Hold one strategy for the directory. ``followers`` are active agreements; figures are sums over all days."""

    id: str
    name: str
    master: str
    kind: str
    state: str
    about: str
    symbols: tuple[str, ...]
    leverage: str
    followers: int
    last_signal_at: datetime | None
    is_mine: bool
    is_followed: bool


_STRATEGIES = (
    "SELECT strategy.id, strategy.name, master.name, kind, state, about, symbols, leverage,"
    " (SELECT count(*) FROM subscription WHERE strategy_id = strategy.id AND subscription.state = 'active'),"
    " (SELECT received_us FROM signal WHERE strategy_id = strategy.id ORDER BY number DESC LIMIT 1), master.person_id = ?1,"
    " EXISTS (SELECT 1 FROM subscription JOIN account ON account.id = account_id WHERE strategy_id = strategy.id"
    " AND account.person_id = ?1 AND subscription.state != 'left') AS followed"
    " FROM strategy JOIN master ON master.id = master_id"
)


def strategies_for(db: apsw.Connection, person: str, identifier: str | None = None) -> list[StrategyRow]:
    """Read the strategies that a person may see in the directory (published, theirs, followed), or the one with this id if they may.

    One that is ``by_link`` is found by its id only, by anybody who has it. A paused one is shown to whom it was shown before.
    """
    rows = fetch_all(
        db,
        _STRATEGIES + f" WHERE (?2 IS NULL OR strategy.id = ?2) AND ({SHOWN_AS} = 'published'"
        f" OR ({SHOWN_AS} = 'by_link' AND ?2 IS NOT NULL) OR master.person_id = ?1 OR followed) ORDER BY strategy.name",
        (person, identifier),
    )
    return [_listed(row) for row in rows]


def all_strategies(db: apsw.Connection) -> list[StrategyRow]:
    """Read every strategy, by name; for operators."""
    return [_listed(row) for row in fetch_all(db, _STRATEGIES + " ORDER BY strategy.name", ("",))]


def _listed(row: Row) -> StrategyRow:
    last = None if row[9] is None else from_us(row[9])
    symbols = tuple(json.loads(row[6]))
    return StrategyRow(row[0], row[1], row[2], row[3], row[4], row[5], symbols, row[7], row[8], last, bool(row[10]), bool(row[11]))


def strategy_environments(db: apsw.Connection, strategy: str) -> list[str]:
    """Read in which environments a strategy has closed trades, live first."""
    rows = fetch_all(db, "SELECT DISTINCT environment FROM strategy_day WHERE strategy_id = ?", (strategy,))
    return sorted((row[0] for row in rows), key=lambda each: ("live", "simulated", "paper").index(each))


def outcome_counts(db: apsw.Connection, strategy: str, signals: int) -> dict[str, int]:
    """Count what became of the copies of a strategy's newest signals, by family of outcome."""
    numbers = fetch_all(db, "SELECT number FROM signal WHERE strategy_id = ? ORDER BY number DESC LIMIT ?", (strategy, signals))
    counts: dict[str, int] = {}
    for (number,) in numbers:
        for code, found in fetch_all(db, "SELECT code, count(*) FROM copy WHERE signal_number = ? GROUP BY code", (number,)):
            family = "waiting" if code is None else str(code).partition(".")[0]
            counts[family] = counts.get(family, 0) + int(found)
    return dict(sorted(counts.items(), key=lambda each: -each[1]))


def recent_trades(db: apsw.Connection, strategy: str, environment: str, limit: int) -> list[TradeRow]:
    """Read a strategy's newest closed trades of one environment; whose they are is not for the page."""
    rows = fetch_all(
        db,
        _TRADES + " WHERE trade.strategy_id = ? AND trade.environment = ? ORDER BY closed_us DESC LIMIT ?",
        (strategy, environment, limit),
    )
    return [_trade(row) for row in rows]
