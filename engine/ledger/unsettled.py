"""Fills that lack something, and the exchange's fee rows: what is asked for, what was reported, and
what is given up.

A row of the exchange is stored once, however often it is read; it is tied to fills once. Rows that
nothing of ours explains after a day are the owner's own. The cost is what is not settled, never
history.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from engine.decisions.explaining_fills import OwnBook, OwnChange, Told, UnsettledFill
from engine.decisions.fee_tying import AFTER, ChargedFill, FeeRow, tie
from engine.decisions.wallet import Line
from engine.domain.amounts import EXACT, ZERO, plain
from engine.domain.booking import CAUSE_OF, BookState, Cause
from engine.domain.identifiers import AccountId, Symbol
from engine.domain.order import ClosedBy, OrderReport, OrderSide
from engine.domain.signal import PositionSide
from engine.ledger.books import OWNER, Change, tell_fill, tell_order, write_fill
from engine.ledger.codec import from_us, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, Row, fetch_all, fetch_one, in_list, run
from engine.ledger.wallet import add_since
from engine.ports.exchange import FeeKind, FeeReport

ASKED_FOR: Final = timedelta(days=1)
"""How long something unexplained is still asked for, and how long a fee row may find its fill."""

_UNSETTLED: Final = (
    "SELECT id, symbol, side, is_entry, quantity, price, fee, cause, since_us, seen_us, "
    "attempt_id, coalesce(exchange_order_id, (SELECT attempt.exchange_order_id FROM attempt WHERE "
    "attempt.id = fill.attempt_id)), position_id,"
    " ends_position FROM fill WHERE account_id = ?1"
)


def unsettled_fills(db: Database, account: AccountId, now: datetime) -> list[UnsettledFill]:
    """Read an account's fills that lack a price, a fee or a cause and are still asked for, oldest
    first.
    """
    since = to_us(now - ASKED_FOR)
    rows = fetch_all(
        db,
        _UNSETTLED
        + " AND state = 'open' UNION ALL "
        + _UNSETTLED
        + " AND state = 'unexplained' AND seen_us >= ?2",
        (account, since),
    )
    return sorted((_unsettled(row) for row in rows), key=lambda each: each.id)


def _unsettled(row: Row) -> UnsettledFill:
    price, fee = (None if each is None else Decimal(each) for each in row[5:7])
    cause = None if row[7] in (None, Cause.UNEXPLAINED.value) else Cause(row[7])
    return UnsettledFill(
        id=row[0],
        symbol=Symbol(row[1]),
        side=PositionSide(row[2]),
        is_entry=bool(row[3]),
        quantity=Decimal(row[4]),
        price=price,
        fee=fee,
        cause=cause,
        since=from_us(row[8]),
        seen_at=from_us(row[9]),
        attempt=row[10],
        order_id=row[11],
        position_id=row[12],
        ends_position=bool(row[13]),
    )


_ASKED: Final = (
    "SELECT 1 FROM fill INDEXED BY fill_unsettled WHERE account_id = ? AND state IN ('open', "
    "'unexplained') AND state = 'open' LIMIT 1"
)


def is_asked_for(db: Database, account: AccountId) -> bool:
    """Return whether a fill of an account lacks something that was not given up."""
    return fetch_one(db, _ASKED, (account,)) is not None


_OPEN_SINCE: Final = (
    "SELECT min(at_us) FROM fill WHERE id IN (SELECT episode FROM book WHERE account_id = ?1 UNION "
    "SELECT episode FROM fill INDEXED BY fill_by_time WHERE account_id = ?1 AND seen_us >= ?2)"
)


def open_since(db: Database, account: AccountId, since: datetime) -> datetime | None:
    """Return when the oldest trade was opened that is open, or was at some time after ``since``;
    None if there is none. An episode has the id of its first fill.
    """
    row = fetch_one(db, _OPEN_SINCE, (account, to_us(since)))
    return None if row is None or row[0] is None else from_us(row[0])


def taken_ids(db: Database, account: AccountId, order_ids: Collection[str]) -> frozenset[str]:
    """Read which of these order ids are known as orders of ours, or as the explanation of a fill."""
    rows = fetch_all(
        db,
        "SELECT exchange_order_id FROM attempt WHERE account_id = ? AND exchange_order_id IN "
        + in_list(order_ids)
        + " UNION SELECT exchange_order_id FROM fill WHERE account_id = ? AND exchange_order_id IN "
        + in_list(order_ids),
        (account, *order_ids, account, *order_ids),
    )
    return frozenset(row[0] for row in rows)


def tell_all(db: Database, account: AccountId, facts: Iterable[Told]) -> None:
    """Record what was reported about fills, whose fees came with orders that are not ours."""
    lock(db, Held.ACCOUNT, account)
    for fact in facts:
        tell_fill(
            db,
            fact.fill,
            price=fact.price,
            fee=fact.fee,
            cause=fact.cause,
            order_id=fact.order_id,
            at=fact.at,
        )
        if fact.fee:
            row = fetch_one(db, "SELECT seen_us FROM fill WHERE id = ?", (fact.fill,))
            add_since(
                db,
                account=account,
                line=Line.ORDER_FEES,
                amount=fact.fee,
                at_us=0 if row is None else row[0],
            )


def tell_known_orders(
    db: Database,
    account: AccountId,
    fills: Iterable[UnsettledFill],
    orders: Collection[OrderReport],
) -> None:
    """Record what rows report about fills whose order is known: price and fee."""
    lock(db, Held.ACCOUNT, account)
    rows = {each.exchange_order_id: each for each in orders}
    for fill in fills:
        row = rows.get(fill.order_id or "")
        if row is None or row.filled_quantity <= 0:
            continue
        if fill.attempt is not None:
            tell_order(
                db,
                attempt=fill.attempt,
                filled=row.filled_quantity,
                average=row.average_price,
                fee=row.fee,
            )
        elif fill.fee is None and row.fee is not None:
            share = EXACT.divide(
                EXACT.multiply(row.fee, min(fill.quantity, row.filled_quantity)),
                row.filled_quantity,
            )
            tell_fill(db, fill.id, fee=share)
            add_since(
                db, account=account, line=Line.ORDER_FEES, amount=share, at_us=to_us(fill.seen_at)
            )


def give_up(db: Database, fills: Iterable[UnsettledFill]) -> None:
    """Mark fills unexplained whose price or fee was asked for long enough; if only the cause is
    missing, the owner caused it.
    """
    for fill in fills:
        lock(db, Held.ACCOUNT_OF_FILL, fill.id)
        if fetch_one(db, "SELECT 1 FROM fill WHERE id = ? AND state = 'open'", (fill.id,)) is None:
            continue  # it was given up before
        if fill.cause is None:
            tell_fill(db, fill.id, cause=Cause.UNEXPLAINED if fill.price is None else Cause.OWNER)
        db.execute(
            "UPDATE fill SET state = 'unexplained', folded = 0 WHERE id = ? AND state = 'open'",
            (fill.id,),
        )


# Fee rows


def store_fees(
    db: Database, account: AccountId, rows: Iterable[FeeReport], offset: timedelta
) -> None:
    """Record rows of trades and rebates that are not stored yet; ``offset`` is how far the
    exchange's clock is ahead of ours.
    """
    lock(db, Held.ACCOUNT, account)
    for row in rows:
        if row.kind is not FeeKind.FUNDING:
            changed = run(
                db,
                "INSERT INTO trade_fee (account_id, id, kind, symbol, side, amount, "
                "traded, closed_by, at_us)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, id) DO NOTHING",
                (
                    account,
                    row.id,
                    row.kind.value,
                    row.symbol,
                    None if row.side is None else row.side.value,
                    plain(row.amount),
                    None if row.traded is None else plain(row.traded),
                    None if row.closed_by is None else row.closed_by.value,
                    to_us(row.at - offset),
                ),
            )
            if changed:
                add_since(
                    db,
                    account=account,
                    line=Line.FEE_ROWS,
                    amount=row.amount,
                    at_us=to_us(row.at - offset),
                )


def tie_fees(db: Database, account: AccountId, now: datetime) -> None:
    """Tie rows to fills as far as possible by now, fees first, then rebates."""
    lock(db, Held.ACCOUNT, account)
    rows = fetch_all(
        db,
        "SELECT id, symbol, side, amount, traded, at_us, closed_by, kind FROM trade_fee WHERE "
        "account_id = ? AND tied = 0 AND at_us > 0",
        (account,),
    )
    if not rows:
        return
    since = to_us(from_us(min(row[5] for row in rows)) - AFTER)
    for kind, column in ((FeeKind.TRADE, "fee"), (FeeKind.REBATE, "rebate")):
        if not any(row[7] == kind.value for row in rows):
            continue
        fills = [_charged(row) for row in fetch_all(db, _CHARGED.format(column), (account, since))]
        tied, used = tie(
            fills, [_fee_row(row) for row in rows if row[7] == kind.value and row[4] is not None]
        )
        for tied_fill in tied:
            if kind is FeeKind.REBATE:
                tell_fill(db, tied_fill.fill, rebate=tied_fill.amount)
            else:
                tell_fill(
                    db,
                    tied_fill.fill,
                    fee=tied_fill.amount,
                    cause=_cause(db, tied_fill.fill, tied_fill.closed_by),
                )
        for identifier in used:
            db.execute(
                "UPDATE trade_fee SET tied = 1 WHERE account_id = ? AND id = ?",
                (account, identifier),
            )
    db.execute(
        "UPDATE trade_fee SET tied = 1 WHERE account_id = ? AND tied = 0 AND at_us < ?",
        (account, to_us(now - ASKED_FOR)),
    )


_CHARGED: Final = (
    "SELECT id, symbol, side, is_entry, quantity, price, since_us, seen_us FROM fill WHERE "
    "account_id = ? AND seen_us >= ?"
    " AND price IS NOT NULL AND {} IS NULL ORDER BY id"
)


def _charged(row: Row) -> ChargedFill:
    side = PositionSide(row[2])
    order_side = OrderSide.opening(side) if row[3] else OrderSide.closing(side)
    value = EXACT.multiply(Decimal(row[4]), Decimal(row[5]))
    return ChargedFill(
        id=row[0],
        symbol=row[1],
        side=order_side,
        value=value,
        since=from_us(row[6]),
        until=from_us(row[7]),
    )


def _fee_row(row: Row) -> FeeRow:
    side, closed_by = (
        None if row[2] is None else OrderSide(row[2]),
        None if row[6] is None else ClosedBy(row[6]),
    )
    return FeeRow(
        id=row[0],
        symbol=row[1],
        side=side,
        amount=Decimal(row[3]),
        traded=Decimal(row[4]),
        at=from_us(row[5]),
        closed_by=closed_by,
    )


def _cause(db: Database, fill: int, closed_by: ClosedBy | None) -> Cause | None:
    """Return the cause that a fee row gives to a close that we did not send."""
    row = fetch_one(
        db, "SELECT attempt_id, is_entry, cause, ends_position FROM fill WHERE id = ?", (fill,)
    )
    if row is None or row[0] is not None or row[1] or closed_by is None:
        return None
    return CAUSE_OF[closed_by]


# The owner's own


def own_books(db: Database, account: AccountId) -> list[OwnBook]:
    """Read the owner's own open positions by the books."""
    rows = fetch_all(
        db,
        "SELECT symbol, side, quantity FROM book WHERE account_id = ? AND strategy_id = ?",
        (account, OWNER),
    )
    return [OwnBook(Symbol(row[0]), PositionSide(row[1]), Decimal(row[2])) for row in rows]


def book_own(
    db: Database,
    account: AccountId,
    changes: Iterable[OwnChange],
    at: datetime,
    seen_at: Callable[[Symbol], datetime | None] | None,
) -> None:
    """Record what changed of the owner's own since ``seen_at``; without it, it was open before: at
    its average price, without a fee.
    """
    lock(db, Held.ACCOUNT, account)
    began = seen_at is None
    for own_change in changes:
        change = Change(
            is_entry=own_change.is_entry,
            quantity=own_change.quantity,
            at=at,
            cause=Cause.OWNER if own_change.is_entry else None,
            price=own_change.entry_price if began else None,
            fee=ZERO if began else None,
            position_id=own_change.position_id,
            since=None if seen_at is None else seen_at(own_change.symbol),
            ends_position=own_change.ends_position,
        )
        write_fill(
            db,
            account=account,
            strategy=OWNER,
            symbol=own_change.symbol,
            side=own_change.side,
            change=change,
        )


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Counts of what is not settled in the books."""

    open: int
    unexplained: int


def count_unsettled(db: Database) -> Unsettled:
    """Count fills that are still asked for, and those that stayed unexplained."""
    rows = fetch_all(
        db,
        "SELECT state, count(*) FROM fill WHERE state IN ('open', 'unexplained') AND strategy_id "
        "!= '' GROUP BY state",
    )
    counts: dict[str, int] = dict(rows)
    return Unsettled(
        counts.get(BookState.OPEN.value, 0), counts.get(BookState.UNEXPLAINED.value, 0)
    )
