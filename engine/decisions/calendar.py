"""Lay out the results of a month as a calendar: weeks from Monday to Sunday. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from engine.domain.amounts import EXACT, ZERO


@dataclass(frozen=True, slots=True)
class DaySum:
    """What a day came to: reconciled trades closed, how many won, and their result net of fees.
    ``unreconciled`` trades were closed too, and are in none of these.
    """

    trades: int = 0
    won: int = 0
    result: Decimal = ZERO
    unreconciled: int = 0

    def plus(self, result: Decimal | None) -> "DaySum":
        """Return the day with one more trade; None: it is not reconciled."""
        if result is None:
            return replace(self, unreconciled=self.unreconciled + 1)
        return replace(
            self,
            trades=self.trades + 1,
            won=self.won + (result > 0),
            result=EXACT.add(self.result, result),
        )

    def and_(self, other: "DaySum") -> "DaySum":
        """Return the sum of both."""
        return DaySum(
            self.trades + other.trades,
            self.won + other.won,
            EXACT.add(self.result, other.result),
            self.unreconciled + other.unreconciled,
        )


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """One day of the month with its sum."""

    day: date
    sum: DaySum


@dataclass(frozen=True, slots=True)
class CalendarMonth:
    """One month: ``weeks`` have seven places, None for the days of other months."""

    first: date
    weeks: tuple[tuple[CalendarDay | None, ...], ...]
    sum: DaySum

    @property
    def before(self) -> date:
        """Return the first day of the month before."""
        return (self.first - timedelta(days=1)).replace(day=1)

    @property
    def after(self) -> date:
        """Return the first day of the month after."""
        return (self.first + timedelta(days=31)).replace(day=1)


def month_of(first: date, days: Mapping[date, DaySum]) -> CalendarMonth:
    """Return the calendar of the month that begins with ``first``."""
    after = (first + timedelta(days=31)).replace(day=1)
    places: list[CalendarDay | None] = [None] * first.weekday()
    total = DaySum()
    for number in range((after - first).days):
        day = first + timedelta(days=number)
        each = days.get(day, DaySum())
        total = total.and_(each)
        places.append(CalendarDay(day, each))
    places += [None] * (-len(places) % 7)
    weeks = tuple(tuple(places[start : start + 7]) for start in range(0, len(places), 7))
    return CalendarMonth(first, weeks, total)
