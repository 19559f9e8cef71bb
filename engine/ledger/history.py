"""Read what happened on an account: orders, copies of signals, trades and funding, in pages along an
index, from the newest or from the oldest.

A page begins behind the key of the last row before it, so no page costs more than the first one. A
key names one row of all accounts: the place in the order, and what tells two rows of one place
apart. Times that a person chose become keys (``bounds_of``).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final

from engine.domain.amounts import plain
from engine.domain.identifiers import AccountId
from engine.ledger.books_view import net_fee
from engine.ledger.codec import from_us, to_us
from engine.ledger.following import COPIES, CopyRow, copy_row
from engine.ledger.query import Database, Row, fetch_all, fetch_one
from engine.ledger.results import TradeRow, trade_row

Key = tuple[int | str, ...]
_LAST: Final = 2**62
_CLOCKS_APART: Final = timedelta(hours=1)
"""How far the order of numbers may be from the order of times, where a clock was set back."""


class Kind(Enum):
    """The four histories of an account."""

    SIGNALS = "signals"
    ORDERS = "orders"
    TRADES = "trades"
    FUNDING = "funding"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """One order that was claimed for an account; ``fee`` is net of rebates, None while it is not known."""

    at: datetime
    account: str
    environment: str
    strategy: str
    symbol: str
    kind: str
    side: str
    quantity: str
    filled: str
    price: str | None
    fee: str | None
    state: str
    cause: str
    signal_id: str
    client_order_id: str
    exchange_order_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrade:
    """One closed trade with the ids of the signals that opened and closed it; None where no signal
    did. ``gross`` is its result before fees.
    """

    trade: TradeRow
    gross: Decimal | None
    opened_by: str | None
    closed_by: str | None

    @property
    def at(self) -> datetime:
        """Return when it was closed."""
        return self.trade.closed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPaid:
    """One payment of funding on a position of a strategy: above 0 was paid, below 0 received."""

    id: str
    at: datetime
    account: str
    environment: str
    strategy: str
    symbol: str
    amount: Decimal


SHAPES: Final[Mapping[Kind, tuple[type, ...]]] = {
    Kind.SIGNALS: (int, str),
    Kind.ORDERS: (int,),
    Kind.TRADES: (int, int),
    Kind.FUNDING: (int, str, str),
}
"""What the keys of each kind consist of."""
HistoryRow = CopyRow | OrderRow | ClosedTrade | FundingPaid


def bounds_of(
    db: Database, kind: Kind, account: AccountId, since: datetime | None, until: datetime | None
) -> tuple[Key, Key]:
    """Return two keys of one account between which lies everything since one time and before
    another; of orders and copies, some rows besides.
    """
    if kind is Kind.ORDERS:
        return (
            (0 if since is None else _first_order(db, account, since - _CLOCKS_APART) - 1,),
            (_LAST if until is None else _first_order(db, account, until + _CLOCKS_APART),),
        )
    if kind is Kind.SIGNALS:
        return (
            (0 if since is None else _first_signal(db, since - _CLOCKS_APART), ""),
            (_LAST if until is None else _first_signal(db, until + _CLOCKS_APART), ""),
        )
    least: Key = (-1,) if kind is Kind.TRADES else ("", "")
    return (
        (-_LAST if since is None else to_us(since), *least),
        (_LAST if until is None else to_us(until), *least),
    )


def _first_order(db: Database, account: AccountId, at: datetime) -> int:
    """Find an account's first order since a time: orders are numbered as they are claimed."""
    at_us, low, high = to_us(at), 0, _newest_order(db, account) + 1
    while low < high:
        middle = (low + high) // 2
        row = fetch_one(
            db,
            "SELECT id, claimed_us FROM attempt WHERE account_id = ? AND id >= ? ORDER BY id LIMIT 1",
            (account, middle),
        )
        if row is None or row[1] >= at_us:
            high = middle
        else:
            low = row[0] + 1
    return low


def _newest_order(db: Database, account: AccountId) -> int:
    row = fetch_one(
        db, "SELECT id FROM attempt WHERE account_id = ? ORDER BY id DESC LIMIT 1", (account,)
    )
    return 0 if row is None else int(row[0])


def _first_signal(db: Database, at: datetime) -> int:
    row = fetch_one(
        db,
        "SELECT number FROM signal WHERE received_us >= ? ORDER BY received_us LIMIT 1",
        (to_us(at),),
    )
    return _LAST if row is None else int(row[0])


def read_history(
    db: Database,
    kind: Kind,
    account: AccountId,
    between: tuple[Key, Key],
    limit: int,
    *,
    newest_first: bool,
) -> list[tuple[Key, HistoryRow]]:
    """Read an account's rows between two keys, neither included."""
    return _READERS[kind](db, account, between, limit, newest_first)


def _copies(
    db: Database, account: AccountId, between: tuple[Key, Key], limit: int, newest_first: bool
) -> list[tuple[Key, HistoryRow]]:
    rows = fetch_all(
        db,
        COPIES + " WHERE copy.account_id = ? AND (copy.signal_number, copy.account_id) > (?, ?) "
        "AND (copy.signal_number, copy.account_id) < (?, ?) ORDER BY copy.signal_number"
        + (" DESC" if newest_first else "")
        + " LIMIT ?",
        (account, *between[0], *between[1], limit),
    )
    return [((row[0], account), copy_row(row)) for row in rows]


def _orders(
    db: Database, account: AccountId, between: tuple[Key, Key], limit: int, newest_first: bool
) -> list[tuple[Key, HistoryRow]]:
    rows = fetch_all(
        db,
        "SELECT attempt.id, claimed_us, account.name, account.environment, strategy.name, "
        "attempt.symbol, attempt.kind, attempt.intent, filled, price, attempt.fee, attempt.state, "
        "cause, signal.id, client_order_id, exchange_order_id, (SELECT string_agg(fill.quantity || "
        "' ' || coalesce(fill.fee, '') || ' ' || coalesce(fill.rebate, ''), ',' ORDER BY fill.id) "
        "FROM fill WHERE fill.attempt_id = attempt.id) FROM "
        "attempt JOIN account ON account.id = "
        "attempt.account_id JOIN strategy ON strategy.id = attempt.strategy_id JOIN copy ON "
        "copy.id = attempt.copy_id JOIN signal ON signal.number = copy.signal_number"
        " WHERE attempt.account_id = ? AND attempt.id > ? AND attempt.id < ? ORDER BY attempt.id"
        + (" DESC" if newest_first else "")
        + " LIMIT ?",
        (account, *between[0], *between[1], limit),
    )
    return [((row[0],), _order(row)) for row in rows]


def _order(row: Row) -> OrderRow:
    intent = json.loads(row[7])
    fills = row[16].split(",") if row[16] else ()
    fee = net_fee(row[8], row[10], [[part or None for part in each.split(" ")] for each in fills])
    return OrderRow(
        at=from_us(row[1]),
        account=row[2],
        environment=row[3],
        strategy=row[4],
        symbol=row[5],
        kind=row[6],
        side=intent["side"],
        quantity=intent["quantity"],
        filled=row[8],
        price=None if row[9] == "?" else row[9],
        fee=None if fee is None else plain(fee),
        state=row[11],
        cause=row[12],
        signal_id=row[13],
        client_order_id=row[14],
        exchange_order_id=row[15],
    )


_SIGNAL_OF_FILL: Final = (
    "(SELECT signal.id FROM fill JOIN attempt ON attempt.id = fill.attempt_id JOIN copy ON copy.id "
    "= attempt.copy_id JOIN signal ON signal.number = copy.signal_number WHERE fill.id = {})"
)
_TRADES: Final = (
    "SELECT trade.id, account.name, account.environment, strategy.name, trade.symbol, trade.side, "
    "trade.quantity, entry_price, exit_price, fees, result, opened_us, closed_us, trade.cause, "
    "trade.state, gross, "
    + _SIGNAL_OF_FILL.format("trade.episode")
    + ", "
    + _SIGNAL_OF_FILL.format("trade.fill_id")
    + " FROM trade JOIN account ON account.id = trade.account_id JOIN strategy ON strategy.id = "
    "trade.strategy_id WHERE trade.account_id = ? AND (trade.closed_us, trade.id) > (?, ?) AND "
    "(trade.closed_us, trade.id) < (?, ?) ORDER BY trade.closed_us"
)


def _trades(
    db: Database, account: AccountId, between: tuple[Key, Key], limit: int, newest_first: bool
) -> list[tuple[Key, HistoryRow]]:
    rows = fetch_all(
        db,
        _TRADES + (" DESC, trade.id DESC LIMIT ?" if newest_first else ", trade.id LIMIT ?"),
        (account, *between[0], *between[1], limit),
    )
    return [((row[12], row[0]), _trade(row)) for row in rows]


def one_closed(db: Database, account: AccountId, closed_us: int, identifier: int) -> ClosedTrade:
    """Read the one closed trade of an account that has this time and id."""
    beside = ((closed_us, identifier - 1), (closed_us, identifier + 1))
    ((_, trade),) = _trades(db, account, beside, 1, True)
    assert isinstance(trade, ClosedTrade), "trades are read"
    return trade


def _trade(row: Row) -> ClosedTrade:
    return ClosedTrade(
        trade=trade_row(row),
        gross=None if row[15] is None else Decimal(row[15]),
        opened_by=row[16],
        closed_by=row[17],
    )


def _funding(
    db: Database, account: AccountId, between: tuple[Key, Key], limit: int, newest_first: bool
) -> list[tuple[Key, HistoryRow]]:
    rows = fetch_all(
        db,
        "SELECT funding.id, at_us, account.name, account.environment, strategy.name, symbol, "
        "amount FROM funding JOIN account ON account.id = funding.account_id JOIN strategy ON "
        "strategy.id = funding.strategy_id WHERE funding.account_id = ? AND (at_us, funding.id, "
        "funding.account_id) > (?, ?, ?) AND (at_us, funding.id, funding.account_id) < (?, ?, ?) "
        "ORDER BY at_us"
        + (" DESC, funding.id DESC LIMIT ?" if newest_first else ", funding.id LIMIT ?"),
        (account, *between[0], *between[1], limit),
    )
    return [
        (
            (row[1], row[0], account),
            FundingPaid(
                id=row[0],
                at=from_us(row[1]),
                account=row[2],
                environment=row[3],
                strategy=row[4],
                symbol=row[5],
                amount=Decimal(row[6]),
            ),
        )
        for row in rows
    ]


_Reader = Callable[[Database, AccountId, tuple[Key, Key], int, bool], list[tuple[Key, HistoryRow]]]
_READERS: Final[Mapping[Kind, _Reader]] = {
    Kind.SIGNALS: _copies,
    Kind.ORDERS: _orders,
    Kind.TRADES: _trades,
    Kind.FUNDING: _funding,
}
