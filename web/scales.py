"""The arithmetic of charts: round ticks for values and for times, and fewer points where there are
too many. Pure; it draws nothing.

Values are floats here: they become pixels, not money.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

TIME_TICKS_MAX: Final = 5
_VALUE_STEPS_MAX: Final = 5
_ROOM: Final = 0.08
_DAY_S: Final = 86_400
_STEPS_S: Final = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
)
_STEPS_DAYS: Final = (1, 2, 4, 7, 14)
_STEPS_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120)


@dataclass(frozen=True, slots=True)
class Scale:
    """Hold the ends of a value axis and the round ticks between them, lowest first. ``places``:
    decimals that a tick needs.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    places: int

    def share(self, value: float) -> float:
        """Return how far below the upper end a value lies, as a part of the axis: 0 is the top, 1
        the bottom.
        """
        return (self.high - value) / (self.high - self.low)


def scale_of(values: Sequence[float], *, zero: bool) -> Scale:
    """Choose an axis with a few round ticks (1, 2 or 5 times a power of ten) and a little room
    around values; ``zero``: it includes 0.

    An axis that has nothing on one side of 0 ends there. Values that are all the same get an axis
    around them, so that a flat line is drawn flat, away from both ends.
    """
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high == low:
        room = max(abs(high) * 0.001, 0.01) if high else 1.0
        low, high = (0.0, room) if zero else (low - room, high + room)
    step, places = _step((high - low) / _VALUE_STEPS_MAX)
    room = (high - low) * _ROOM
    bottom = low if zero and low == 0 else max(math.floor(low / step + 1e-9) * step, low - room)
    top = high if zero and high == 0 else min(math.ceil(high / step - 1e-9) * step, high + room)
    ticks = range(math.ceil(bottom / step - 1e-9), math.floor(top / step + 1e-9) + 1)
    return Scale(bottom, top, tuple(round(each * step, places) for each in ticks), places)


def _step(least: float) -> tuple[float, int]:
    """Return the smallest round step that is at least so big, and the decimals it has."""
    power = math.floor(math.log10(least))
    for factor in (1, 2, 5, 10):
        if factor * 10.0**power >= least * (1 - 1e-9):
            exponent = power + (factor == 10)
            return factor * 10.0**power, max(0, -exponent)
    raise AssertionError("ten times a power of ten is above every number of that power")


def tick_text(value: float, scale: Scale, unit: str) -> str:
    """Write a tick short enough for the margin: hundreds of thousands and millions by their
    letters, percent with its sign.
    """
    if value == 0:
        return "0 %" if unit == "%" else "0"
    size = max(abs(scale.low), abs(scale.high))
    step = scale.ticks[1] - scale.ticks[0]
    for least, letter in ((1e6, "M"), (1e3, "k")):
        if size >= least * (1 if letter == "M" else 100) and step >= least / 100:
            places = max(0, math.ceil(-math.log10(step / least) - 1e-9))
            return f"{value / least:,.{places}f}{letter}".replace("-", "−")
    return f"{value:,.{scale.places}f}{' %' if unit == '%' else ''}".replace("-", "−")


def time_ticks(first: datetime, last: datetime, zone: ZoneInfo) -> list[tuple[float, str]]:
    """Choose at most five round times of a zone between two moments, each with its part of the way;
    midnights are named by their day.
    """
    span = max((last - first).total_seconds(), 1e-6)
    for walk, form in _walks(span):
        found = [each for each in walk(first.astimezone(zone), last) if first <= each <= last]
        if len(found) <= TIME_TICKS_MAX:
            return [
                ((each - first).total_seconds() / span, _time_text(each.astimezone(zone), form))
                for each in found
            ]
    return []


def _time_text(here: datetime, form: str) -> str:
    is_day = form.startswith("%H") and (here.hour, here.minute, here.second) == (0, 0, 0)
    return f"{here.day} {here:%b}" if is_day or form == "day" else f"{here:{form}}"


def _walks(span: float) -> Iterator[tuple["_Walk", str]]:
    """Yield ever coarser ways to walk through time; those that are far too fine are left out."""
    for seconds in _STEPS_S:
        if span / seconds <= TIME_TICKS_MAX + 1:
            yield _Walk(seconds=seconds), "%H:%M:%S" if seconds < 60 else "%H:%M"
    for days in _STEPS_DAYS:
        if span / _DAY_S / days <= TIME_TICKS_MAX + 1:
            yield _Walk(days=days), "day"
    for months in _STEPS_MONTHS:
        if span / _DAY_S / 28 / months <= TIME_TICKS_MAX + 1:
            yield _Walk(months=months), "%b %Y" if months < 12 else "%Y"


@dataclass(frozen=True, slots=True)
class _Walk:
    seconds: int = 0
    days: int = 0
    months: int = 0

    def __call__(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """Yield the round wall-clock times of the zone of ``first``, from its day, month or year to
        ``last``.
        """
        midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.months:
            month = (first.year * 12 + first.month - 1) // self.months * self.months
            while (here := midnight.replace(year=month // 12, month=month % 12 + 1, day=1)) <= last:
                yield here
                month += self.months
            return
        step = timedelta(seconds=self.seconds, days=self.days)
        here = (
            midnight - timedelta(days=midnight.toordinal() % self.days) if self.days else midnight
        )
        if self.seconds:
            here += (first - midnight) // step * step
        while here <= last:
            yield here
            here += step


def thinned(values: Sequence[float], most: int) -> list[int]:
    """Choose which points to draw: first and last, and of each stretch between its lowest and its
    highest, so that no spike is lost.
    """
    count = len(values)
    if count <= most:
        return list(range(count))
    edges = [1 + each * (count - 2) // (most // 2 - 1) for each in range(most // 2)]
    kept = {0, count - 1}
    for begin, end in pairwise(edges):
        stretch = range(begin, end)
        kept |= {min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)}
    return sorted(kept)


def falls(values: Sequence[float]) -> list[float]:
    """Return how far each value lies below the highest so far, in percent of that: 0 or below. What
    is not above zero has no percent: 0.
    """
    highest, told = 0.0, []
    for value in values:
        highest = max(highest, value)
        told.append(min(0.0, (value - highest) / highest * 100) if highest > 0 else 0.0)
    return told
