"""What trades came to: fills folded into closed trades with their result, by average entry price.

What always holds: money is conserved (the results of all trades plus what is still open equal what the fills cost and brought); splitting
a fill in two changes nothing; a result is net of the fees of both its entry and its exit. Nothing here knows an exchange's own figures.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.domain.amounts import EXACT, ZERO
from engine.domain.signal import PositionSide

_FINEST: Final = Decimal("0.000000000001")


@dataclass(frozen=True, slots=True)
class Fill:
    """Hold one executed part: ``is_entry`` opens or grows the position of ``side``, otherwise it closes; quantities above 0."""

    side: PositionSide
    is_entry: bool
    quantity: Decimal
    price: Decimal
    fee: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Open:
    """Hold what is open: its average price (rounded at the 12th decimal) and the entry fees that no trade has carried yet."""

    side: PositionSide
    quantity: Decimal
    cost: Decimal
    fees: Decimal
    opened_at: datetime

    @property
    def price(self) -> Decimal:
        """Return the average entry price."""
        return EXACT.divide(self.cost, self.quantity).quantize(_FINEST)


@dataclass(frozen=True, slots=True)
class Trade:
    """Hold one closed part of a position; ``result`` is net of ``fees``, both in settlement currency."""

    side: PositionSide
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    fees: Decimal
    result: Decimal
    opened_at: datetime
    closed_at: datetime


def fold(held: Open | None, fill: Fill) -> tuple[Open | None, Trade | None]:
    """Take one fill into what is open; returns what is open afterwards, and the trade where something was closed.

    A closing fill without anything open (a position that was there before the books began) makes no trade. What a fill closes beyond
    what is open is left out too.
    """
    if fill.is_entry:
        return _grown(held, fill), None
    if held is None or fill.quantity <= ZERO:
        return held, None
    return _closed(held, fill)


def _grown(held: Open | None, fill: Fill) -> Open:
    cost = EXACT.multiply(fill.quantity, fill.price)
    if held is None or held.side is not fill.side:
        return Open(fill.side, fill.quantity, cost, fill.fee, fill.at)
    return replace(
        held, quantity=EXACT.add(held.quantity, fill.quantity), cost=EXACT.add(held.cost, cost), fees=EXACT.add(held.fees, fill.fee)
    )


def _closed(held: Open, fill: Fill) -> tuple[Open | None, Trade]:
    quantity = min(held.quantity, fill.quantity)
    whole = quantity == held.quantity
    cost = held.cost if whole else EXACT.divide(EXACT.multiply(held.cost, quantity), held.quantity).quantize(_FINEST)
    entry_fee = held.fees if whole else EXACT.divide(EXACT.multiply(held.fees, quantity), held.quantity).quantize(_FINEST)
    exit_fee = fill.fee if quantity == fill.quantity else EXACT.divide(EXACT.multiply(fill.fee, quantity), fill.quantity).quantize(_FINEST)
    brought = EXACT.multiply(quantity, fill.price)
    gross = EXACT.subtract(brought, cost) if held.side is PositionSide.LONG else EXACT.subtract(cost, brought)
    fees = EXACT.add(entry_fee, exit_fee)
    trade = Trade(
        held.side, quantity, EXACT.divide(cost, quantity).quantize(_FINEST), fill.price, fees, EXACT.subtract(gross, fees), held.opened_at,
        fill.at,
    )  # fmt: skip
    if whole:
        return None, trade
    left = replace(
        held, quantity=EXACT.subtract(held.quantity, quantity), cost=EXACT.subtract(held.cost, cost),
        fees=EXACT.subtract(held.fees, entry_fee),
    )  # fmt: skip
    return left, trade


def fold_all(fills: Iterable[Fill]) -> tuple[Open | None, list[Trade]]:
    """Fold fills in their order."""
    held: Open | None = None
    trades = []
    for fill in fills:
        held, trade = fold(held, fill)
        if trade is not None:
            trades.append(trade)
    return held, trades


def drawdown(points: Iterable[Decimal]) -> Decimal:
    """Return the deepest fall of a running value below its highest so far; 0 where it never fell."""
    highest: Decimal | None = None
    deepest = Decimal(0)
    for value in points:
        highest = value if highest is None else max(highest, value)
        deepest = max(deepest, EXACT.subtract(highest, value))
    return deepest
