"""The price chart of one position or trade as SVG, drawn on the server: candles, levels, and marks
where something was entered or left. Pure.

A rising candle is hollow and a falling one is filled; what was bought points up and what was sold points
down, an entry is filled and an exit is hollow, so nothing depends on a colour. A level or mark far outside the candles is not drawn, because it would
flatten them; the description names every one of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from engine.ports.market_data import Candle
from web.chart_parts import Spot, frame, time_axis, time_text, value_axis, y_of
from web.scales import Scale, scale_of
from web.words import price

_PATH_WIDTH: Final = 1000
_BODY: Final = 0.62
"""Which part of its time a candle's body is wide."""
_STRETCH: Final = 1.5
"""How far beyond the candles, in multiples of their own range, a level or mark is still drawn."""
_APART: Final = 13
"""Pixels between the texts of two levels."""
_DESCRIBED_MAX: Final = 8
_LENGTHS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_BOUGHT: Final = "M0 2l6 10h-12z"
_SOLD: Final = "M0 -2l6 -10h-12z"
_DIAMOND: Final = "M0 -5l5 5-5 5-5-5z"
_SHORT_NAMES: Final = {
    "entry": "Entry",
    "mark": "Mark",
    "stop": "Stop",
    "target": "Target",
    "liquidation": "Liq.",
}
"""What is written beside the plot; the description has the whole name."""


@dataclass(frozen=True, slots=True)
class Level:
    """A price that stood over the whole time; ``kind`` is entry, mark, stop, target or liquidation."""

    kind: str
    name: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class Mark:
    """A price at one time; ``kind`` is entry, exit or master, ``is_buy`` None for a master's price."""

    kind: str
    name: str
    price: Decimal
    at: datetime
    is_buy: bool | None = None


def price_chart(
    candles: Sequence[Candle],
    levels: Sequence[Level],
    marks: Sequence[Mark],
    title: str,
    unit: str,
    zone_name: str,
    step: Decimal | None = None,
) -> Markup:
    """Draw candles, oldest first, with levels and marks; no candles draw nothing. Prices have the
    places of the price ``step`` if it is known.
    """
    if not candles:
        return Markup("")
    zone, length = ZoneInfo(zone_name), timedelta(seconds=candles[0].interval_s)
    times = (candles[0].opened_at, candles[-1].opened_at + length)
    low, high = min(each.low for each in candles), max(each.high for each in candles)
    near = [each for each in levels if _is_near(each.price, low, high)]
    seen = [each for each in marks if _is_near(each.price, low, high)]
    prices = [low, high, *(each.price for each in near), *(each.price for each in seen)]
    scale = scale_of([float(each) for each in prices], zero=False)
    spots = [
        Spot(
            _x(each.opened_at + length / 2, times),
            y_of(float(each.close), scale),
            f"{price(each.close, step)} {unit}",
            f"open {price(each.open, step)}, high {price(each.high, step)}, "
            f"low {price(each.low, step)}, "
            f"{_length_text(length)} from {time_text(each.opened_at, zone)}",
        )
        for each in candles
    ]
    drawing = value_axis(scale, unit) + time_axis(times, zone)
    drawing += _candles(candles, spots, scale, _x(times[0] + length, times) * _BODY)
    drawing += _levels(near, scale)
    drawing += Markup("").join(_mark(each, times, scale) for each in seen if each.at >= times[0])
    named = [
        *((each.name, each.price) for each in levels),
        *((each.name, each.price) for each in marks),
    ]
    hidden = [name for name, value in named if not _is_near(value, low, high)]
    return frame(
        title, _description(candles, levels, marks, hidden, unit, zone, step), spots, drawing
    )


def _is_near(value: Decimal, low: Decimal, high: Decimal) -> bool:
    room = max(high - low, high / 200) * Decimal(_STRETCH)
    return low - room <= value <= high + room


def _x(at: datetime, times: tuple[datetime, datetime]) -> float:
    """Return the place of a time in percent of the width."""
    first, last = times
    return min(100.0, (at - first) / (last - first) * 100)


def _candles(
    candles: Sequence[Candle], spots: Sequence[Spot], scale: Scale, width: float
) -> Markup:
    """Draw all wicks, rising and falling bodies as one path each: a page stays small."""
    wicks, rising, falling = "", "", ""
    for each, spot in zip(candles, spots, strict=True):
        x = spot.x * _PATH_WIDTH / 100
        half = width * _PATH_WIDTH / 200
        opened, high, low = (
            y_of(float(value), scale) for value in (each.open, each.high, each.low)
        )
        top, bottom = min(opened, spot.y), max(opened, spot.y)
        wicks += f"M{x:.1f} {high:.1f}V{top:.1f}M{x:.1f} {bottom:.1f}V{low:.1f}"
        body = f"M{x - half:.1f} {top:.1f}h{2 * half:.1f}v{max(bottom - top, 0.5):.1f}h{-2 * half:.1f}z"
        if each.close >= each.open:
            rising += body
        else:
            falling += body
    return Markup(
        '<svg viewBox="0 0 %s 220" preserveAspectRatio="none" width="100%%" height="220" '
        'aria-hidden="true"><path class="wick" d="%s"/><path class="rising" d="%s"/>'
        '<path class="falling" d="%s"/></svg>'
    ) % (_PATH_WIDTH, wicks, rising, falling)


def _levels(levels: Sequence[Level], scale: Scale) -> Markup:
    """Draw each level with its name to the right of the plot, clear of the candles, the names moved
    apart.
    """
    drawing, free = Markup(""), float("-inf")
    for each in sorted(levels, key=lambda level: -level.price):
        y = y_of(float(each.price), scale)
        text_y = max(y + 4, free)
        free = text_y + _APART
        drawing += Markup(
            '<line class="level %s" x1="0" x2="100%%" y1="%.1f" y2="%.1f"/>'
            '<text class="level-text %s" x="100%%" dx="6" y="%.1f">%s</text>'
        ) % (each.kind, y, y, each.kind, text_y, _SHORT_NAMES[each.kind])
    return drawing


def _mark(mark: Mark, times: tuple[datetime, datetime], scale: Scale) -> Markup:
    x, y = _x(mark.at, times), y_of(float(mark.price), scale)
    shape = _DIAMOND if mark.is_buy is None else _BOUGHT if mark.is_buy else _SOLD
    return Markup(
        '<svg x="%.2f%%" y="%.1f" overflow="visible"><path class="mark %s" d="%s"/></svg>'
    ) % (x, y, mark.kind, shape)


def _description(
    candles: Sequence[Candle],
    levels: Sequence[Level],
    marks: Sequence[Mark],
    hidden: Iterable[str],
    unit: str,
    zone: ZoneInfo,
    step: Decimal | None,
) -> str:
    low, high = min(each.low for each in candles), max(each.high for each in candles)
    parts = [
        f"{len(candles)} candles of {_length_text(timedelta(seconds=candles[0].interval_s))} since "
        f"{time_text(candles[0].opened_at, zone)}, from {price(low, step)} to {price(high, step)} {unit}."
    ]
    parts += [
        f"{each.name} {price(each.price, step)} at {time_text(each.at, zone)}."
        for each in marks[:_DESCRIBED_MAX]
    ]
    if len(marks) > _DESCRIBED_MAX:
        parts.append(f"And {len(marks) - _DESCRIBED_MAX} more.")
    parts += [f"{each.name} {price(each.price, step)}." for each in levels]
    if outside := ", ".join(dict.fromkeys(hidden)):
        parts.append(f"Outside the chart: {outside}.")
    return " ".join(parts)


def _length_text(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for size, unit in _LENGTHS:
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
