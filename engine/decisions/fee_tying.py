"""Decide which rows of an exchange's fee history belong to which fills: the history names no order.

A row and a fill may belong together if contract, side and time fit. They do belong together if the
traded value of one or more rows equals that of the fill, or of several fills that cannot be told
apart; then the fee is split by traded value. A combination that fits in several ways with different
amounts waits for more rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Final

from engine.domain.amounts import EXACT, FINEST, ZERO
from engine.domain.order import ClosedBy, OrderSide

BEFORE: Final = timedelta(seconds=5)
AFTER: Final = timedelta(seconds=60)
ROUNDING: Final = Decimal("0.00001")
ROWS_TRIED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRow:
    """One fee row that is not tied to a fill yet: a fee, or a rebate (below 0). ``at`` is on our
    clock.
    """

    id: str
    symbol: str
    side: OrderSide | None
    amount: Decimal
    traded: Decimal
    at: datetime
    closed_by: ClosedBy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargedFill:
    """A fill whose fee is not known: its value, and the times between which it happened."""

    id: int
    symbol: str
    side: OrderSide
    value: Decimal
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Tied:
    """The fee of a fill, and the rows' cause of the close."""

    fill: int
    amount: Decimal
    closed_by: ClosedBy | None


def tie(fills: Sequence[ChargedFill], rows: Sequence[FeeRow]) -> tuple[list[Tied], frozenset[str]]:
    """Tie rows of one kind to fills; return what each tied fill paid, and the ids of the rows used
    up.
    """
    left, open_rows, tied = list(fills), list(rows), []
    for step in (_alike, _alone, _together):
        for some, theirs in step(left, open_rows):
            tied += _split(some, theirs)
            left = [each for each in left if each not in some]
            open_rows = [each for each in open_rows if each not in theirs]
    used = {each.id for each in rows} - {each.id for each in open_rows}
    return tied, frozenset(used)


Match = tuple[Sequence[ChargedFill], Sequence[FeeRow]]


def _fits(fill: ChargedFill, row: FeeRow) -> bool:
    return (
        row.symbol == fill.symbol
        and row.side in (None, fill.side)
        and fill.since - BEFORE <= row.at <= fill.until + AFTER
    )


def _is_worth(rows: Iterable[FeeRow], value: Decimal) -> bool:
    return abs(EXACT.subtract(sum((each.traded for each in rows), ZERO), value)) <= EXACT.multiply(
        value, ROUNDING
    )


def _alike(fills: Sequence[ChargedFill], rows: Sequence[FeeRow]) -> Iterable[Match]:
    """Match fills with rows of exactly their value: as many rows as there are like fills, the
    earliest if all cost the same.
    """
    left, open_rows = list(fills), list(rows)
    for fill in fills:
        if fill not in left:
            continue
        same = [each for each in left if _are_alike(each, fill)]
        theirs = sorted(
            (
                row
                for row in open_rows
                if any(_fits(each, row) for each in same) and _is_worth([row], fill.value)
            ),
            key=_age,
        )
        costs_the_same = len({row.amount for row in theirs}) == 1
        if len(theirs) == len(same) or (len(theirs) > len(same) and costs_the_same):
            theirs = theirs[: len(same)]
            left = [each for each in left if each not in same]
            open_rows = [each for each in open_rows if each not in theirs]
            yield same, theirs


def _are_alike(one: ChargedFill, other: ChargedFill) -> bool:
    overlap = (
        one.since - BEFORE <= other.until + AFTER and other.since - BEFORE <= one.until + AFTER
    )
    return (one.symbol, one.side, one.value) == (other.symbol, other.side, other.value) and overlap


def _alone(fills: Sequence[ChargedFill], rows: Sequence[FeeRow]) -> Iterable[Match]:
    """Match a fill with several rows that sum exactly to its value, if there is only one such
    choice.
    """
    open_rows = list(rows)
    for fill in fills:
        theirs = [
            row
            for row in open_rows
            if _fits(fill, row) and not any(_fits(each, row) for each in fills if each is not fill)
        ]
        if len(theirs) > ROWS_TRIED:
            choices = [tuple(theirs)] if _is_worth(theirs, fill.value) else []
        else:
            choices = [
                some
                for count in range(2, len(theirs) + 1)
                for some in combinations(theirs, count)
                if _is_worth(some, fill.value)
            ]
        if len(choices) == 1:
            open_rows = [each for each in open_rows if each not in choices[0]]
            yield [fill], choices[0]


def _together(fills: Sequence[ChargedFill], rows: Sequence[FeeRow]) -> Iterable[Match]:
    """Match fills that share rows with all of these rows, if the values add up."""
    left, open_rows = list(fills), list(rows)
    while left:
        some, theirs = [left.pop(0)], []
        grown = True
        while grown:
            more = [
                row
                for row in open_rows
                if row not in theirs and any(_fits(each, row) for each in some)
            ]
            theirs += more
            others = [each for each in left if any(_fits(each, row) for row in theirs)]
            some += others
            left = [each for each in left if each not in others]
            grown = bool(more or others)
        if theirs and _is_worth(theirs, sum((each.value for each in some), ZERO)):
            open_rows = [each for each in open_rows if each not in theirs]
            yield some, theirs


def _split(fills: Sequence[ChargedFill], rows: Sequence[FeeRow]) -> list[Tied]:
    """Split a fee by traded value; the last fill takes the rounding."""
    whole, value = (
        sum((each.amount for each in rows), ZERO),
        sum((each.value for each in fills), ZERO),
    )
    closed_by = next(
        (each.closed_by for each in rows if each.closed_by not in (None, ClosedBy.ORDER)), None
    )
    shares = [
        EXACT.divide(EXACT.multiply(whole, each.value), value).quantize(FINEST) for each in fills
    ]
    shares[-1] = EXACT.subtract(whole, sum(shares[:-1], ZERO))
    return [Tied(each.id, paid, closed_by) for each, paid in zip(fills, shares, strict=True)]


def _age(row: FeeRow) -> datetime:
    return row.at
