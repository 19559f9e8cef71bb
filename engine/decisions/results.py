"""The results of trades: the fills of one episode, from flat to flat, folded into closed trades by
average entry price.

What always holds: money is conserved (the results of all trades plus what is still open equal what
the fills cost and brought in); splitting a fill in two changes nothing; a result is net of the fees
of both its entry and its exit. An unknown value is never taken as zero: a trade with an unknown
price or fee has no result. Nothing here knows an exchange's own figures.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.domain.amounts import EXACT, FINEST, ZERO
from engine.domain.booking import BookState, Cause, Fill
from engine.domain.signal import PositionSide

_WORST: Final = (BookState.SETTLED, BookState.OPEN, BookState.UNEXPLAINED, BookState.OLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """The open position: what it cost, and the entry fees that no trade has carried yet; None if
    one of them is not known.
    """

    side: PositionSide
    quantity: Decimal
    cost: Decimal | None
    fees: Decimal | None
    opened_at: datetime
    state: BookState = BookState.SETTLED

    @property
    def price(self) -> Decimal | None:
        """Return the average entry price, rounded to 12 decimals."""
        return (
            None if self.cost is None else EXACT.divide(self.cost, self.quantity).quantize(FINEST)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One closed part of a position; ``gross`` is before fees, ``result`` is net of ``fees``; None
    is not known.

    ``fill`` is the id of the closing fill, ``cause`` how it ended. ``state`` is the worst of all
    its fills.
    """

    side: PositionSide
    quantity: Decimal
    entry_price: Decimal | None
    exit_price: Decimal | None
    fees: Decimal | None
    gross: Decimal | None
    opened_at: datetime
    closed_at: datetime
    fill: int = 0
    cause: Cause | None = Cause.SIGNAL
    state: BookState = BookState.SETTLED

    @property
    def result(self) -> Decimal | None:
        """Return the result, net of fees."""
        return _less(self.gross, self.fees)


def fold(position: Open | None, fill: Fill) -> tuple[Open | None, Trade | None]:
    """Fold a fill into the open position; return the open position afterwards, and the trade if
    something was closed.

    A close beyond what is open is not ours and makes no trade; the ledger never writes such a fill.
    """
    if fill.is_entry:
        return _grown(position, fill), None
    if position is None or fill.quantity <= ZERO:
        return position, None
    return _closed(position, fill)


def _grown(position: Open | None, fill: Fill) -> Open:
    cost = _times(fill.quantity, fill.price)
    if position is None or position.side is not fill.side:
        return Open(
            side=fill.side,
            quantity=fill.quantity,
            cost=cost,
            fees=fill.fee,
            opened_at=fill.at,
            state=fill.state,
        )
    return replace(
        position,
        quantity=EXACT.add(position.quantity, fill.quantity),
        cost=_plus(position.cost, cost),
        fees=_plus(position.fees, fill.fee),
        state=worst(position.state, fill.state),
    )


def _closed(position: Open, fill: Fill) -> tuple[Open | None, Trade]:
    quantity = min(position.quantity, fill.quantity)
    whole = quantity == position.quantity
    cost = position.cost if whole else part(position.cost, quantity, position.quantity)
    entry_fee = position.fees if whole else part(position.fees, quantity, position.quantity)
    exit_fee = fill.fee if quantity == fill.quantity else part(fill.fee, quantity, fill.quantity)
    brought = _times(quantity, fill.price)
    gross = _less(brought, cost) if position.side is PositionSide.LONG else _less(cost, brought)
    trade = Trade(
        side=position.side,
        quantity=quantity,
        entry_price=part(cost, Decimal(1), quantity),
        exit_price=fill.price,
        fees=_plus(entry_fee, exit_fee),
        gross=gross,
        opened_at=position.opened_at,
        closed_at=fill.at,
        fill=fill.id,
        cause=fill.cause,
        state=worst(position.state, fill.state),
    )
    if whole:
        return None, trade
    left = replace(
        position,
        quantity=EXACT.subtract(position.quantity, quantity),
        cost=_less(position.cost, cost),
        fees=_less(position.fees, entry_fee),
    )
    return left, trade


def fold_all(
    fills: Iterable[Fill], position: Open | None = None
) -> tuple[list[Open | None], list[Trade]]:
    """Fold fills in their order into what is open before them; return the open position after each,
    and the trades.
    """
    after = []
    trades = []
    for fill in fills:
        position, trade = fold(position, fill)
        after.append(position)
        if trade is not None:
            trades.append(trade)
    return after, trades


def worst(one: BookState, other: BookState) -> BookState:
    """Return the worse of two states: the one in which less is known."""
    return max(one, other, key=_WORST.index)


def part(whole: Decimal | None, quantity: Decimal, of: Decimal) -> Decimal | None:
    """Return the part of an amount that belongs to ``quantity`` of ``of``, rounded to 12 decimals;
    None stays None.
    """
    return (
        None
        if whole is None
        else EXACT.divide(EXACT.multiply(whole, quantity), of).quantize(FINEST)
    )


def _plus(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else EXACT.add(one, other)


def _less(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else EXACT.subtract(one, other)


def _times(quantity: Decimal, price: Decimal | None) -> Decimal | None:
    return None if price is None else EXACT.multiply(quantity, price)


def drawdown(points: Iterable[Decimal]) -> Decimal:
    """Return the maximum drawdown of a running value: how far it was below its peak so far; 0 if never."""
    highest: Decimal | None = None
    deepest = Decimal(0)
    for value in points:
        highest = value if highest is None else max(highest, value)
        deepest = max(deepest, EXACT.subtract(highest, value))
    return deepest
