"""Write the books: every change of a share is a fill, written in the transaction that changes the
share.

What always holds: a share changes only through ``change_share``; the open quantity of the books is
the share, for each account, strategy and symbol. A difference raises an alert and loses no proof:
the fill stays. A fill is corrected when its price, fee or cause is reported later, and its episode
is then folded again (``ledger.folding``). What the owner opens and closes beside us is written the
same way, under no strategy.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.decisions.results import part
from engine.decisions.wallet import Line
from engine.domain.alert import AlertCode
from engine.domain.amounts import EXACT, ZERO, Quantity, plain
from engine.domain.booking import BookState, Cause
from engine.domain.holding import Holding
from engine.domain.identifiers import AccountId, Symbol
from engine.domain.signal import PositionSide
from engine.ledger.alerts import raise_alert
from engine.ledger.codec import to_us
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, Row, fetch_all, fetch_one, insert
from engine.ledger.wallet import add_since, drop_rows_of

OWNER: Final = ""
"""The strategy under which the books keep what the owner opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a position. ``price``, ``fee`` and ``cause`` are None until they are reported.

    ``since`` is the last time at which the position was seen unchanged; None if the time of the
    change is known. ``ends_position``: nothing of the exchange's position was left, whoever owned
    it.
    """

    is_entry: bool
    quantity: Decimal
    at: datetime
    cause: Cause | None = None
    price: Decimal | None = None
    fee: Decimal | None = None
    attempt: int | None = None
    order_id: str | None = None
    position_id: str = ""
    since: datetime | None = None
    ends_position: bool = False


def change_share(db: Database, holding: Holding, change: Change) -> Holding:
    """Change a strategy's share by a fill and return the resulting holding; of a close, at most the
    share is ours.
    """
    lock(db, Held.ACCOUNT, holding.account)
    quantity = change.quantity if change.is_entry else min(change.quantity, holding.share)
    if quantity <= 0:
        return holding
    fee = change.fee if quantity == change.quantity else part(change.fee, quantity, change.quantity)
    share = (
        EXACT.add(holding.share, quantity)
        if change.is_entry
        else EXACT.subtract(holding.share, quantity)
    )
    # A position ends with the share in it. What an open entry still fills may be in another one,
    # which the next reading names.
    after = replace(
        holding, share=Quantity(share), position_id=holding.position_id if share else ""
    )
    db.execute(
        "UPDATE holding SET share = ?, side = ?, position_id = CASE WHEN ? = 1 THEN '' ELSE "
        "position_id END"
        " WHERE account_id = ? AND symbol = ?",
        (plain(share), holding.side.value, int(share == 0), holding.account, holding.symbol),
    )
    fill = replace(
        change, quantity=quantity, fee=fee, position_id=change.position_id or holding.position_id
    )
    booked = write_fill(
        db,
        account=holding.account,
        strategy=holding.strategy,
        symbol=holding.symbol,
        side=holding.side,
        change=fill,
    )
    if booked != share:
        _tell_difference(db, holding=holding, booked=booked, share=share, at=change.at)
    return after


def _tell_difference(
    db: Database, holding: Holding, booked: Decimal, share: Decimal, at: datetime
) -> None:
    row = fetch_one(db, "SELECT name FROM account WHERE id = ?", (holding.account,))
    details = {"symbol": holding.symbol, "booked": plain(booked), "share": plain(share)}
    raise_alert(
        db,
        code=AlertCode.BOOKS_DIFFER,
        subject=str(holding.account if row is None else row[0]),
        details=details,
        at=at,
        sameness=holding.symbol,
    )


def write_fill(
    db: Database,
    account: AccountId,
    strategy: str,
    symbol: Symbol,
    side: PositionSide,
    change: Change,
) -> Decimal:
    """Write one fill into its episode, from flat to flat; return how much is open afterwards."""
    key = (account, strategy, symbol)
    row = fetch_one(
        db,
        "SELECT side, quantity, episode, position_id FROM book WHERE account_id = ? AND "
        "strategy_id = ? AND symbol = ?",
        key,
    )
    continues = row is not None and row[0] == side.value
    before, episode, position = (
        (Decimal(row[1]), row[2], change.position_id or row[3])
        if row and continues
        else (ZERO, 0, change.position_id)
    )
    state = (
        BookState.OPEN if None in (change.price, change.fee, change.cause) else BookState.SETTLED
    )
    at_us = to_us(change.at)
    number = insert(
        db,
        "INSERT INTO fill (account_id, strategy_id, symbol, side, is_entry, quantity, price, fee, "
        "cause, at_us, since_us, seen_us,"
        " attempt_id, exchange_order_id, position_id, ends_position, episode, state) VALUES"
        " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            *key,
            side.value,
            int(change.is_entry),
            plain(change.quantity),
            text(change.price),
            text(change.fee),
            None if change.cause is None else change.cause.value,
            at_us,
            at_us if change.since is None else to_us(change.since),
            at_us,
            change.attempt,
            change.order_id if change.attempt is None and change.order_id else None,
            position,
            int(change.ends_position),
            episode,
            state.value,
        ),
    )
    if not episode:
        episode = number
        db.execute("UPDATE fill SET episode = id WHERE id = ?", (episode,))
    signed = change.quantity if change.is_entry else -change.quantity
    after = max(ZERO, EXACT.add(before, signed))
    if after == 0:
        db.execute("DELETE FROM book WHERE account_id = ? AND strategy_id = ? AND symbol = ?", key)
    else:
        db.execute(
            "INSERT INTO book (account_id, strategy_id, symbol, side, quantity, episode, "
            "opened_us, position_id) VALUES"
            " (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, strategy_id, symbol) DO UPDATE SET side = excluded.side, quantity = "
            "excluded.quantity,"
            " episode = excluded.episode, position_id = excluded.position_id,"
            " opened_us = CASE WHEN book.episode = excluded.episode THEN book.opened_us ELSE "
            "excluded.opened_us END",
            (*key, side.value, plain(after), episode, at_us, position),
        )
    return after


def booked_out(db: Database, holding: Holding, position_id: str, since: datetime) -> Decimal:
    """Return how much of a share in a position is booked as closed, by orders of ours or by others,
    seen at or after ``since``.
    """
    rows = fetch_all(
        db,
        "SELECT quantity FROM fill WHERE account_id = ? AND seen_us >= ? AND strategy_id = ? AND "
        "symbol = ? AND position_id = ? AND is_entry = 0",
        (holding.account, to_us(since), holding.strategy, holding.symbol, position_id),
    )
    return sum((Decimal(quantity) for (quantity,) in rows), start=ZERO)


def booked_in(db: Database, holding: Holding, position_id: str, since: datetime) -> Decimal:
    """Return how much of a position our orders opened and did not close, by the rows that name it,
    seen at or after ``since``.
    """
    rows = fetch_all(
        db,
        "SELECT quantity, is_entry FROM fill WHERE account_id = ? AND seen_us >= ? AND strategy_id "
        "= ? AND symbol = ? AND position_id = ? AND attempt_id IS NOT NULL",
        (holding.account, to_us(since), holding.strategy, holding.symbol, position_id),
    )
    return sum(
        (Decimal(quantity) if is_entry else -Decimal(quantity) for quantity, is_entry in rows),
        start=ZERO,
    )


def entered_since(db: Database, holding: Holding, since: datetime) -> Decimal:
    """Return how much our entries filled of a holding's contract, seen at or after ``since``."""
    rows = fetch_all(
        db,
        "SELECT quantity FROM fill WHERE account_id = ? AND seen_us >= ? AND strategy_id = ? AND "
        "symbol = ? AND side = ? AND is_entry = 1",
        (holding.account, to_us(since), holding.strategy, holding.symbol, holding.side.value),
    )
    return sum((Decimal(quantity) for (quantity,) in rows), start=ZERO)


def text(number: Decimal | None) -> str | None:
    """Write a number that may be unknown."""
    return None if number is None else plain(number)


# Reported later


def tell_fill(
    db: Database,
    fill: int,
    *,
    price: Decimal | None = None,
    fee: Decimal | None = None,
    rebate: Decimal | None = None,
    cause: Cause | None = None,
    order_id: str | None = None,
    at: datetime | None = None,
) -> None:
    """Record what was reported about a fill later, and have its episode folded again; None keeps
    what is known.
    """
    lock(db, Held.ACCOUNT_OF_FILL, fill)
    db.execute(
        "UPDATE fill SET price = coalesce(?2, price), fee = coalesce(?3, fee), rebate = "
        "coalesce(?4, rebate), cause = coalesce(?5, cause),"
        " exchange_order_id = coalesce(?6, exchange_order_id), at_us = coalesce(?7, at_us), "
        "folded = 0 WHERE id = ?1",
        (
            fill,
            text(price),
            text(fee),
            text(rebate),
            None if cause is None else cause.value,
            order_id,
            None if at is None else to_us(at),
        ),
    )
    if price is not None:
        drop_rows_of(db, fill)
    db.execute(
        "UPDATE fill SET state = 'settled' WHERE id = ? AND state IN ('open', 'unexplained') AND "
        "price IS NOT NULL AND fee IS NOT NULL"
        " AND cause IS NOT NULL",
        (fill,),
    )


def tell_order(
    db: Database, attempt: int, filled: Decimal, average: Decimal | None, fee: Decimal | None
) -> None:
    """Record what the exchange reported about a whole order of ours in those of its fills that lack
    it.

    ``average`` is the price and ``fee`` the fee of everything that filled: what is known of earlier
    parts is subtracted.
    """
    rows = fetch_all(
        db, "SELECT id, quantity, price, fee FROM fill WHERE attempt_id = ? ORDER BY id", (attempt,)
    )
    if fee is not None:
        note_order_fee(db, attempt, fee)
    price = None if average is None else _price_of_rest(rows, filled, average)
    rest = None if fee is None else _fee_of_rest(rows, filled, fee)
    for identifier, quantity, known_price, known_fee in rows:
        new_price = price if known_price is None else None
        new_fee = part(rest, Decimal(quantity), Decimal(1)) if known_fee is None else None
        if new_price is not None or new_fee is not None:
            tell_fill(db, identifier, price=new_price, fee=new_fee)


def note_order_fee(db: Database, attempt: int, fee: Decimal) -> None:
    """Record what an order of ours has cost by now, and count what is new of it: all of it,
    whoever's position it closed.
    """
    row = fetch_one(db, "SELECT account_id, fee, claimed_us FROM attempt WHERE id = ?", (attempt,))
    if row is not None and Decimal(row[1]) != fee:
        db.execute("UPDATE attempt SET fee = ? WHERE id = ?", (plain(fee), attempt))
        add_since(
            db,
            account=row[0],
            line=Line.ORDER_FEES,
            amount=EXACT.subtract(fee, Decimal(row[1])),
            at_us=row[2],
        )


def _price_of_rest(rows: list[Row], filled: Decimal, average: Decimal) -> Decimal | None:
    priced = [(Decimal(row[1]), Decimal(row[2])) for row in rows if row[2] is not None]
    missing = EXACT.subtract(filled, sum((quantity for quantity, _ in priced), ZERO))
    if missing <= 0:
        return None
    cost = EXACT.subtract(
        EXACT.multiply(filled, average), sum((EXACT.multiply(*each) for each in priced), ZERO)
    )
    return part(cost, Decimal(1), missing) if cost > 0 else average


def _fee_of_rest(rows: list[Row], filled: Decimal, fee: Decimal) -> Decimal | None:
    """Return the fee per unit of the fills that have none yet."""
    charged = [(Decimal(row[1]), Decimal(row[3])) for row in rows if row[3] is not None]
    missing = EXACT.subtract(filled, sum((quantity for quantity, _ in charged), ZERO))
    return (
        None
        if missing <= 0
        else EXACT.divide(EXACT.subtract(fee, sum((each for _, each in charged), ZERO)), missing)
    )


def bind_outside(
    db: Database, holding: Holding, change: Change, seen_since: datetime | None = None
) -> Decimal:
    """Assign to an order of ours that is proven late the closes that a reading had seen before it,
    newest first; return how much of it no reading had seen.

    Until then nobody knew who had closed, or its row was taken as the owner's. With ``seen_since``
    only closes count that were seen from then on, and a larger one contains the order: it keeps its
    row, which has no price of the order alone. So does one that was explained meanwhile.
    """
    lock(db, Held.ACCOUNT, holding.account)
    rows = fetch_all(
        db,
        _BY_OTHERS
        + " AND state IN ('open', 'unexplained') UNION "
        + _BY_OTHERS
        + " AND exchange_order_id = ?5 ORDER BY id DESC",
        (
            holding.account,
            holding.symbol,
            holding.strategy,
            holding.side.value,
            change.order_id or None,
        ),
    )
    left: Decimal = change.quantity
    for identifier, quantity, order_fee, seen_us in rows:
        if seen_since is not None and seen_us < to_us(seen_since):
            continue
        if Decimal(quantity) > left > 0 and seen_since is not None:
            return ZERO
        if Decimal(quantity) <= left:
            if (
                order_fee is not None and change.fee is not None
            ):  # it came with the same order, which counts as ours by now
                add_since(
                    db,
                    account=holding.account,
                    line=Line.ORDER_FEES,
                    amount=-Decimal(order_fee),
                    at_us=seen_us,
                )
            left = EXACT.subtract(left, Decimal(quantity))
            fee = part(change.fee, Decimal(quantity), change.quantity)
            tell_fill(
                db,
                identifier,
                price=change.price,
                fee=fee,
                cause=change.cause,
                order_id=change.order_id or None,
            )
            db.execute("UPDATE fill SET attempt_id = ? WHERE id = ?", (change.attempt, identifier))
    if seen_since is None:
        return left
    return max(ZERO, EXACT.subtract(left, _seen_go(db, holding, seen_since)))


def _seen_go(db: Database, holding: Holding, since: datetime) -> Decimal:
    """Return how much of a share readings saw go since a time that belongs to no order of ours."""
    rows = fetch_all(
        db,
        _BY_OTHERS + " AND seen_us >= ?5",
        (holding.account, holding.symbol, holding.strategy, holding.side.value, to_us(since)),
    )
    return sum((Decimal(row[1]) for row in rows), ZERO)


_BY_OTHERS: Final = (
    "SELECT id, quantity, fee, seen_us FROM fill WHERE account_id = ?1 AND symbol = ?2 AND "
    "strategy_id = ?3 AND side = ?4 AND is_entry = 0"
    " AND attempt_id IS NULL"
)


# Reading


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between the books and a strategy's share."""

    account: str
    strategy: str
    symbol: str
    booked: Decimal
    share: Decimal


def differences(db: Database, account: str | None = None) -> list[Difference]:
    """Compare the open quantities of the books with the shares, of one account or of all."""
    which = "" if account is None else " AND {}.account_id = ?1"
    rows = fetch_all(
        db,
        "SELECT book.account_id, book.strategy_id, book.symbol, quantity, coalesce(share, '0') "
        "FROM book LEFT JOIN holding ON holding.account_id = book.account_id AND holding.symbol = "
        "book.symbol AND holding.strategy_id = book.strategy_id AND holding.side = book.side "
        f"WHERE book.strategy_id != '' AND quantity IS DISTINCT FROM share{which.format('book')}"
        " UNION ALL SELECT account_id, strategy_id, symbol, '0', share FROM holding WHERE share "
        "!= '0' AND NOT EXISTS (SELECT 1 FROM book WHERE book.account_id = holding.account_id AND "
        "book.strategy_id = holding.strategy_id AND book.symbol = holding.symbol AND book.side = "
        f"holding.side){which.format('holding')}",
        () if account is None else (account,),
    )
    # The same number may be written in two ways.
    return [
        Difference(account_id, strategy, symbol, Decimal(booked), Decimal(share))
        for account_id, strategy, symbol, booked, share in sorted(rows)
        if Decimal(booked) != Decimal(share)
    ]
