"""The arithmetic of charts: round ticks for values and times, drawdowns, and fewer points. Pure.

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
_MARGIN: Final = 0.08
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
    """A value axis: its ends, its round ticks (lowest first), and the decimals of a tick."""

    low: float
    high: float
    ticks: tuple[float, ...]
    places: int

    def share(self, value: float) -> float:
        """Return where a value lies on the axis: 0 is the top, 1 the bottom."""
        return (self.high - value) / (self.high - self.low)


def scale_of(values: Sequence[float], *, zero: bool) -> Scale:
    """Return an axis with a few round ticks (1, 2 or 5 times a power of ten) and a small margin.

    ``zero``: the axis includes 0, and ends there where it has nothing on one side. Equal values get
    an axis around them, so that a flat line is drawn away from both ends.
    """
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high == low:
        margin = max(abs(high) * 0.001, 0.01) if high else 1.0
        low, high = (0.0, margin) if zero else (low - margin, high + margin)
    step, places = _step((high - low) / _VALUE_STEPS_MAX)
    margin = (high - low) * _MARGIN
    bottom = low if zero and low == 0 else max(math.floor(low / step + 1e-9) * step, low - margin)
    top = high if zero and high == 0 else min(math.ceil(high / step - 1e-9) * step, high + margin)
    ticks = range(math.ceil(bottom / step - 1e-9), math.floor(top / step + 1e-9) + 1)
    return Scale(bottom, top, tuple(round(tick * step, places) for tick in ticks), places)


def _step(least: float) -> tuple[float, int]:
    """Return the smallest round step of at least ``least``, and its decimals."""
    power = math.floor(math.log10(least))
    for factor in (1, 2, 5, 10):
        if factor * 10.0**power >= least * (1 - 1e-9):
            exponent = power + (factor == 10)
            return factor * 10.0**power, max(0, -exponent)
    raise AssertionError("ten times a power of ten is above every number of that power")


def tick_text(value: float, scale: Scale, unit: str) -> str:
    """Return a tick as a short text: large values with k or M, percent with its sign."""
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
    """Return at most five round times of a zone between two times, each with its place (0 to 1).

    A midnight is written as its day.
    """
    span = max((last - first).total_seconds(), 1e-6)
    for walk, form in _walks(span):
        ticks = [tick for tick in walk(first.astimezone(zone), last) if first <= tick <= last]
        if len(ticks) <= TIME_TICKS_MAX:
            return [
                ((tick - first).total_seconds() / span, _time_text(tick.astimezone(zone), form))
                for tick in ticks
            ]
    return []


def _time_text(local: datetime, form: str) -> str:
    is_day = form.startswith("%H") and (local.hour, local.minute, local.second) == (0, 0, 0)
    return f"{local.day} {local:%b}" if is_day or form == "day" else f"{local:{form}}"


def _walks(span: float) -> Iterator[tuple["_Walk", str]]:
    """Yield the steps through time, from fine to coarse, each with the form of its texts.

    Steps that are far too fine are left out.
    """
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
        """Yield the round wall-clock times in the zone of ``first``, from its day or month on."""
        midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.months:
            month = (first.year * 12 + first.month - 1) // self.months * self.months
            while (tick := midnight.replace(year=month // 12, month=month % 12 + 1, day=1)) <= last:
                yield tick
                month += self.months
            return
        step = timedelta(seconds=self.seconds, days=self.days)
        tick = midnight
        if self.days:
            tick -= timedelta(days=midnight.toordinal() % self.days)
        if self.seconds:
            tick += (first - midnight) // step * step
        while tick <= last:
            yield tick
            tick += step


def thinned(values: Sequence[float], most: int) -> list[int]:
    """Return which points to draw: first, last, and the lowest and highest of each stretch.

    So no spike is lost.
    """
    count = len(values)
    if count <= most:
        return list(range(count))
    edges = [1 + edge * (count - 2) // (most // 2 - 1) for edge in range(most // 2)]
    kept = {0, count - 1}
    for begin, end in pairwise(edges):
        stretch = range(begin, end)
        kept |= {min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)}
    return sorted(kept)


def drawdowns(values: Sequence[float]) -> list[float]:
    """Return each value's distance to the highest so far, in percent of it: 0 or below.

    It is 0 while the highest is not above 0.
    """
    highest, percents = 0.0, []
    for value in values:
        highest = max(highest, value)
        percents.append(min(0.0, (value - highest) / highest * 100) if highest > 0 else 0.0)
    return percents
