"""Decide which exchange rows explain which fills: the closing price, the cause, and what the owner
traded beside us.

A fill that we did not send is known only from a reading: it happened between the last reading that
showed the position as before and the first that did not. Order rows explain it if they belong to
nobody else, match its side and time, and their quantities sum exactly to the fill's (or to those of
all fills of that time together, as when a stop closes our part and the owner's). A closed position
explains it by its id. An ambiguous row explains nothing: the exchange is asked again, or the fill
stays unexplained.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Final

from engine.decisions.results import part
from engine.decisions.wallet import OpenCost
from engine.domain.account import AccountReport, ClosedPosition
from engine.domain.amounts import EXACT, FINEST, ZERO
from engine.domain.booking import CAUSE_OF, Cause
from engine.domain.holding import Holding
from engine.domain.identifiers import Symbol
from engine.domain.order import ClosedBy, OrderReport, OrderSide
from engine.domain.signal import PositionSide

SLACK: Final = timedelta(seconds=5)
"""An exchange's times are whole seconds, its clock is not ours, and a reading is a moment older
than its answer.
"""
ROWS_TRIED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsettledFill:
    """A fill with something missing. ``order_id`` and ``attempt`` are None if we did not send it,
    or nobody named its order.
    """

    id: int
    symbol: Symbol
    side: PositionSide
    is_entry: bool
    quantity: Decimal
    price: Decimal | None
    fee: Decimal | None
    cause: Cause | None
    since: datetime
    seen_at: datetime
    attempt: int | None = None
    order_id: str | None = None
    position_id: str = ""
    ends_position: bool = False

    @property
    def order_side(self) -> OrderSide:
        """Return the side of the order behind the fill."""
        return OrderSide.opening(self.side) if self.is_entry else OrderSide.closing(self.side)

    def may_be_at(self, moment: datetime) -> bool:
        """Return whether the fill may have happened at ``moment``."""
        return self.since - SLACK <= moment <= self.seen_at + SLACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was reported about a fill; None means not reported. ``at`` is when it happened."""

    fill: int
    price: Decimal | None = None
    fee: Decimal | None = None
    cause: Cause | None = None
    order_id: str | None = None
    at: datetime | None = None


def explain_by_orders(
    fills: Iterable[UnsettledFill],
    orders: Sequence[OrderReport],
    taken: Collection[str],
    *,
    waits_for_position: bool,
) -> list[Told]:
    """Explain fills without a price by order rows, whose times are on our clock; ``taken`` are
    order ids that belong to other fills.

    ``waits_for_position``: only the exchange's record of closed positions says for certain what
    closed a whole position.
    """
    explained = []
    for group in _groups(each for each in fills if each.price is None and each.order_id is None):
        rows = [
            each for each in orders if each.exchange_order_id not in taken and _may_be(each, group)
        ]
        chosen = _adding_up(rows, sum((each.quantity for each in group), ZERO))
        if chosen:
            explained += [_told_by(each, chosen, waits_for_position) for each in group]
            continue
        for each in group if len(group) > 1 else ():
            chosen = _adding_up([row for row in rows if _may_be(row, [each])], each.quantity)
            explained += [_told_by(each, chosen, waits_for_position)] if chosen else []
    return explained


def _groups(fills: Iterable[UnsettledFill]) -> list[list[UnsettledFill]]:
    """Group fills that one order may have made: same contract, side and time."""
    groups: list[list[UnsettledFill]] = []
    for each in sorted(fills, key=lambda fill: (fill.symbol, fill.order_side.value, fill.since)):
        last = groups[-1][-1] if groups else None
        same = last is not None and (last.symbol, last.order_side, last.since) == (
            each.symbol,
            each.order_side,
            each.since,
        )
        if same:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def _may_be(row: OrderReport, group: Sequence[UnsettledFill]) -> bool:
    first = group[0]
    return (
        row.filled_quantity > 0
        and row.average_price is not None
        and (row.symbol, row.side) == (first.symbol, first.order_side)
        and (row.closed_by is None or not first.is_entry)
        and all(
            "" in (row.position_id, each.position_id) or row.position_id == each.position_id
            for each in group
        )
        and (first.may_be_at(row.created_at) or _names_it(row, first))
    )


def _names_it(row: OrderReport, fill: UnsettledFill) -> bool:
    """Return whether a row names this very position, though it may be older than the window: a
    stop's order is placed long before it executes.

    The row that ends a position may be older too: an exchange that is read seldom may date a close
    back, and a position ends only once.
    """
    is_told = row.closed_by in (ClosedBy.STOP_LOSS, ClosedBy.TAKE_PROFIT) or fill.ends_position
    return (
        is_told
        and row.position_id == fill.position_id != ""
        and row.created_at <= fill.seen_at + SLACK
    )


def _adding_up(rows: Sequence[OrderReport], quantity: Decimal) -> Sequence[OrderReport]:
    """Return the rows whose quantities sum exactly to ``quantity``, if there is one choice or every
    choice costs the same.
    """
    if not rows or len(rows) > ROWS_TRIED:
        return rows if _sum(rows) == quantity else ()
    choices = [
        some
        for count in range(1, len(rows) + 1)
        for some in combinations(rows, count)
        if _sum(some) == quantity
    ]
    if not choices:  # a single larger one: its owner closed, and opened again before anybody looked
        return rows if len(rows) == 1 and _sum(rows) > quantity else ()
    return choices[0] if len({(_average(some), some[0].closed_by) for some in choices}) == 1 else ()


def _sum(rows: Iterable[OrderReport]) -> Decimal:
    return sum((each.filled_quantity for each in rows), ZERO)


def _average(rows: Sequence[OrderReport]) -> Decimal:
    cost = sum(
        (EXACT.multiply(each.filled_quantity, each.average_price or ZERO) for each in rows), ZERO
    )
    return EXACT.divide(cost, _sum(rows)).quantize(FINEST)


def _told_by(fill: UnsettledFill, rows: Sequence[OrderReport], waits_for_position: bool) -> Told:
    fees = [each.fee for each in rows if each.fee is not None]
    fee = part(sum(fees, ZERO), fill.quantity, _sum(rows)) if len(fees) == len(rows) else None
    closed_by = next(
        (each.closed_by for each in rows if each.closed_by not in (None, ClosedBy.ORDER)), None
    )
    cause = fill.cause or (
        CAUSE_OF[closed_by] if closed_by is not None else Cause.SIGNAL if _are_ours(rows) else None
    )
    if cause is None and not (waits_for_position and fill.ends_position):
        cause = Cause.OWNER
    newest = max(rows, key=lambda each: each.created_at)
    return Told(
        fill=fill.id,
        price=_average(rows),
        fee=fee,
        cause=cause,
        order_id=rows[0].exchange_order_id if len(rows) == 1 else None,
        at=_within(fill, newest.created_at),
    )


def _are_ours(rows: Sequence[OrderReport]) -> bool:
    """Return whether orders of ours did it that the ledger does not know: a ledger restored from
    backup is older than they are.
    """
    return all(each.has_our_mark for each in rows)


def explain_by_positions(
    fills: Iterable[UnsettledFill], closed: Sequence[ClosedPosition], taken: Collection[str]
) -> list[Told]:
    """Explain closing fills by the exchange's record of closed positions, whose times are on our
    clock.

    Its exit price may be the average of everything that left, so it is a fill's own price only if
    the position was closed as a whole.
    """
    explained = []
    exits = [each for each in fills if not each.is_entry]
    for fill in exits:
        rows = [row for row in closed if _closed(fill, row, taken)]
        if len(rows) != 1:
            continue
        row = rows[0]
        at_once = sum(
            (
                other.quantity
                for other in exits
                if other.since == fill.since and _closed(other, row, taken)
            ),
            ZERO,
        )
        price = (
            row.exit_price
            if fill.price is None and row.quantity in (fill.quantity, at_once)
            else None
        )
        cause = (
            None if row.closed_by is None or fill.attempt is not None else CAUSE_OF[row.closed_by]
        )
        if fill.cause is None and cause is None and fill.fee is not None:
            cause = (
                Cause.OWNER
            )  # neither its order, nor its fee row, nor its position names another cause
        order = (
            fill.order_id
            or (row.order_id if fill.price is None and price is not None else None)
            or None
        )
        explained.append(
            Told(
                fill=fill.id,
                price=price,
                fee=None,
                cause=cause,
                order_id=order,
                at=_within(fill, row.closed_at),
            )
        )
    return explained


def _closed(fill: UnsettledFill, row: ClosedPosition, taken: Collection[str]) -> bool:
    if fill.order_id is not None and row.order_id:
        return row.order_id == fill.order_id
    if row.order_id in taken and row.order_id != fill.order_id:
        return False
    is_named = "" not in (row.position_id, fill.position_id)
    same = row.position_id == fill.position_id if is_named else row.side is fill.side
    is_in_time = fill.may_be_at(row.closed_at) or (
        is_named and fill.ends_position and row.closed_at <= fill.seen_at + SLACK
    )
    return same and row.symbol == fill.symbol and row.quantity >= fill.quantity and is_in_time


def explain_by_entry(
    fills: Iterable[UnsettledFill], report: AccountReport, books: Collection[OpenCost]
) -> list[Told]:
    """Use the average entry price of an open position for an entry that is all of it, if nothing
    else gives its price.
    """
    explained = []
    for fill in fills:
        position = next(
            (
                open_position
                for open_position in report.positions
                if open_position.symbol == fill.symbol and open_position.side is fill.side
            ),
            None,
        )
        booked = [book for book in books if book.symbol == fill.symbol]
        whole = (
            position is not None
            and len(booked) == 1
            and position.quantity == booked[0].quantity == fill.quantity
        )
        if fill.is_entry and fill.price is None and whole and position is not None:
            explained.append(Told(fill=fill.id, price=position.entry_price))
    return explained


def _within(fill: UnsettledFill, at: datetime) -> datetime:
    return min(max(at, fill.since), fill.seen_at)


# What the owner holds beside us


@dataclass(frozen=True, slots=True)
class OwnBook:
    """The owner's own open position in one contract, by the books."""

    symbol: Symbol
    side: PositionSide
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnChange:
    """A change of the owner's own part of a position; ``entry_price`` is the whole position's
    average, None if it is gone.
    """

    symbol: Symbol
    side: PositionSide
    is_entry: bool
    quantity: Decimal
    entry_price: Decimal | None
    position_id: str
    ends_position: bool


def own_changes(
    report: AccountReport,
    holdings: Iterable[Holding],
    books: Iterable[OwnBook],
    undecided: Collection[Symbol],
) -> list[OwnChange]:
    """Compare what a reading shows beyond our shares with the owner's books; ``undecided`` symbols
    are left for a later reading.
    """
    ours = {each.symbol: each for each in holdings}
    there = {each.symbol: each for each in report.positions if each.quantity > 0}
    booked = {each.symbol: each for each in books}
    unread = {each.symbol for each in report.unreadable if each.what == "position"}
    if None in unread:
        return []
    changes: list[OwnChange] = []
    for symbol in sorted({*there, *booked} - set(undecided) - unread):
        holding, position, before = ours.get(symbol), there.get(symbol), booked.get(symbol)
        if holding is not None and holding.entries_open:
            continue
        share = (
            holding.share
            if holding is not None and position is not None and holding.side is position.side
            else ZERO
        )
        now = ZERO if position is None else max(ZERO, EXACT.subtract(position.quantity, share))
        if before is not None and (position is None or position.side is not before.side):
            changes.append(
                OwnChange(
                    symbol=symbol,
                    side=before.side,
                    is_entry=False,
                    quantity=before.quantity,
                    entry_price=None,
                    position_id="",
                    ends_position=position is None,
                )
            )
            before = None
        more = EXACT.subtract(now, ZERO if before is None else before.quantity)
        if position is not None and more:
            changes.append(
                OwnChange(
                    symbol=symbol,
                    side=position.side,
                    is_entry=more > 0,
                    quantity=abs(more),
                    entry_price=position.entry_price,
                    position_id=position.id,
                    ends_position=False,
                )
            )
    return changes
