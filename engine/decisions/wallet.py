"""Decide whether an account's wallet is explained by its books, and how much is not.

The identity: results + open result - fees - funding + deposits and withdrawals + unexplained =
change of the wallet. Open results are compared at cost, not at a price: the value of a position
cancels out of both sides. No exchange reports deposits and withdrawals; they are unexplained rows,
like a close that nobody reported.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Final

from engine.domain.account import AccountReport
from engine.domain.amounts import EXACT, ZERO
from engine.domain.identifiers import Symbol
from engine.domain.signal import PositionSide

TOLERANCE: Final = Decimal("0.01")
"""The rounding difference allowed for each fill of an exchange."""


class Line(Enum):
    """The kinds of wallet changes, each a running sum since the books of the account began."""

    RESULTS = "results"
    """Closed trades of strategies, before fees."""
    OWNER = "owner"
    """What the owner closed of their own, before fees: from the books, or from the exchange's
    closed positions.
    """
    ORDER_FEES = "order_fees"
    """Fees that came with orders, at an exchange without a fee history."""
    FEE_ROWS = "fee_rows"
    """Fees and rebates from the exchange's fee history."""
    FUNDING = "funding"
    UNEXPLAINED = "unexplained"


SIGNS: Final[Mapping[Line, int]] = {
    Line.RESULTS: 1,
    Line.OWNER: 1,
    Line.ORDER_FEES: -1,
    Line.FEE_ROWS: -1,
    Line.FUNDING: -1,
    Line.UNEXPLAINED: 1,
}
"""The sign of each line in the change of the wallet."""


@dataclass(frozen=True, slots=True)
class OpenCost:
    """The books' open position in one contract and its cost, None if a price is not known."""

    symbol: str
    side: PositionSide
    quantity: Decimal
    cost: Decimal | None


def at_cost(report: AccountReport, books: Iterable[OpenCost]) -> Decimal | None:
    """Return the wallet as if every open position had been entered at the books' prices; None if
    that cannot be computed.

    The wallet is ``balance.total``: without unrealised profit, with the margin in use.
    """
    booked = list(books)
    if any(each.what == "position" for each in report.unreadable) or any(
        each.cost is None for each in booked
    ):
        return None
    if differing(report, booked):
        return None
    worth: Decimal = report.balance.total
    for position in report.positions:
        cost = sum((each.cost or ZERO for each in booked if each.symbol == position.symbol), ZERO)
        difference = EXACT.subtract(EXACT.multiply(position.quantity, position.entry_price), cost)
        worth = (
            EXACT.subtract(worth, difference)
            if position.side is PositionSide.LONG
            else EXACT.add(worth, difference)
        )
    return worth


def differing(report: AccountReport, books: Iterable[OpenCost]) -> frozenset[Symbol]:
    """Return the contracts in which the exchange shows another quantity than the books have open."""
    there = {
        (each.symbol, each.side): each.quantity for each in report.positions if each.quantity > 0
    }
    booked: dict[tuple[Symbol, PositionSide], Decimal] = {}
    for each in books:
        key = (Symbol(each.symbol), each.side)
        booked[key] = EXACT.add(booked.get(key, ZERO), each.quantity)
    return frozenset(
        symbol
        for symbol, side in {*there, *booked}
        if there.get((symbol, side)) != booked.get((symbol, side))
    )


def at_entry_price(report: AccountReport, book: OpenCost) -> OpenCost:
    """Return the books' open position, at the exchange's average entry price if the books do not
    know its cost.
    """
    position = next(
        (each for each in report.positions if (each.symbol, each.side) == (book.symbol, book.side)),
        None,
    )
    if book.cost is not None or position is None:
        return book
    return replace(book, cost=EXACT.multiply(book.quantity, position.entry_price))


def change_told(sums: Mapping[Line, Decimal]) -> Decimal:
    """Return the change of the wallet that the lines explain."""
    return sum((sums.get(line, ZERO) * sign for line, sign in SIGNS.items()), ZERO)


def unexplained(
    worth: Decimal, baseline: Decimal, sums: Mapping[Line, Decimal], rounding: Decimal
) -> Decimal:
    """Return how much of the change nothing explains, beyond what was already taken as rounding."""
    return EXACT.subtract(
        EXACT.subtract(EXACT.subtract(worth, baseline), change_told(sums)), rounding
    )
