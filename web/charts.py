"""Charts as SVG from the server: a line with its falls, and bars. Pure; styled by classes, so that both themes can read them.

Each has a title and a description for whoever does not see it, and its points as data for the small module that tells values on hover
and by arrow keys. Positions are floats: they are pixels, not money.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from typing import Final

from markupsafe import Markup

WIDTH: Final = 760
HEIGHT: Final = 220
_LEFT: Final = 64
_RIGHT: Final = 12
_TOP: Final = 12
_BOTTOM: Final = 26
_POINTS_MAX: Final = 400


@dataclass(frozen=True, slots=True)
class _Point:
    label: str
    value: float
    x: float
    y: float


def line_chart(points: Sequence[tuple[datetime, Decimal]], title: str, unit: str, *, zero: bool) -> Markup:
    """Draw a running value over time, with its falls below its highest; ``zero``: the scale includes 0. Needs two points."""
    if len(points) < 2:
        return Markup("")
    placed, low, high = _placed(_thinned(points), zero)
    line = _path(placed)
    base = _y(max(low, min(0.0, high)) if zero else low, low, high)
    area = f"{line} L{placed[-1].x:.1f} {base:.1f} L{placed[0].x:.1f} {base:.1f} Z"
    highest = accumulate((each.y for each in placed), min)
    tops = _path([_Point("", 0, each.x, top) for each, top in zip(placed, highest, strict=True)])
    fall = tops + _path(placed[::-1]).replace("M", " L", 1) + " Z"
    values = [each.value for each in placed]
    told = f"From {values[0]:,.2f} to {values[-1]:,.2f} {unit}, between {min(values):,.2f} and {max(values):,.2f}."
    paths = Markup('<path class="fall" d="{}"/><path class="area" d="{}"/><path class="line" d="{}"/>').format(fall, area, line)
    return _frame(title, told, unit, placed, _grid(low, high) + _times(points[0][0], points[-1][0]) + paths)


def _thinned(points: Sequence[tuple[datetime, Decimal]]) -> Sequence[tuple[datetime, Decimal]]:
    step = max(1, len(points) // _POINTS_MAX)
    return [*points[::step], *([points[-1]] if (len(points) - 1) % step else [])]


def _placed(points: Sequence[tuple[datetime, Decimal]], zero: bool) -> tuple[list[_Point], float, float]:
    values = [float(value) for _, value in points]
    low, high = _bounds(values, zero)
    first = points[0][0].timestamp()
    span = max(points[-1][0].timestamp() - first, 1)
    placed = []
    for (at, _), value in zip(points, values, strict=True):
        x = _LEFT + (at.timestamp() - first) / span * (WIDTH - _LEFT - _RIGHT)
        placed.append(_Point(f"{at:%Y-%m-%d %H:%M} UTC", value, x, _y(value, low, high)))
    return placed, low, high


def _path(placed: Sequence[_Point]) -> str:
    return " ".join(f"{'L' if index else 'M'}{each.x:.1f} {each.y:.1f}" for index, each in enumerate(placed))


def bar_chart(bars: Sequence[tuple[str, Decimal]], title: str, unit: str) -> Markup:
    """Draw one bar for each label, up for a gain and down for a loss; nothing without bars."""
    if not bars:
        return Markup("")
    values = [float(value) for _, value in bars]
    low, high = _bounds([*values, 0.0], zero=True)
    room = (WIDTH - _LEFT - _RIGHT) / len(bars)
    wide = min(46.0, max(1.0, room * 0.76))
    drawn, placed = Markup(""), []
    for index, ((label, _), value) in enumerate(zip(bars, values, strict=True)):
        top, bottom = _y(max(value, 0), low, high), _y(min(value, 0), low, high)
        drawn += Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            "bar-up" if value >= 0 else "bar-down", _LEFT + (index + 0.5) * room - wide / 2, top, wide, max(1.0, bottom - top)
        )
        placed.append(_Point(label, value, _LEFT + (index + 0.5) * room, top))
    ups = sum(1 for value in values if value > 0)
    told = f"{bars[0][0]} to {bars[-1][0]}: {ups} of {len(bars)} with a gain, together {sum(values):,.2f} {unit}."
    return _frame(title, told, unit, placed, _grid(low, high) + drawn + _ends(bars[0][0], bars[-1][0] if len(bars) > 1 else ""))


def _frame(title: str, told: str, unit: str, placed: Sequence[_Point], inner: Markup) -> Markup:
    data = json.dumps([[each.label, f"{each.value:,.2f}", round(each.x, 1)] for each in placed])
    name = "".join(each for each in title.lower() if each.isalnum())
    return Markup(
        '<figure class="chart-figure"><svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-labelledby="{n}-t {n}-d" tabindex="0"'
        ' data-points="{data}" data-unit="{unit}"><title id="{n}-t">{title}</title><desc id="{n}-d">{told}</desc>{inner}</svg>'
        '<figcaption class="chart-told">{told}</figcaption></figure>'
    ).format(w=WIDTH, h=HEIGHT, n=name, data=data, unit=unit, title=title, told=told, inner=inner)


def _bounds(values: Sequence[float], zero: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = (high - low) * 0.06 or max(abs(high), 1.0) * 0.02
    return (low - room if low < 0 or not zero else low), high + room


def _y(value: float, low: float, high: float) -> float:
    return _TOP + (high - value) / (high - low) * (HEIGHT - _TOP - _BOTTOM)


def _grid(low: float, high: float) -> Markup:
    drawn = Markup("")
    for part in range(5):
        value = low + (high - low) * part / 4
        at = _y(value, low, high)
        line = Markup('<line class="grid-line" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(_LEFT, WIDTH - _RIGHT, at, at)
        label = _short(value, high - low)
        drawn += line + Markup('<text class="axis" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(_LEFT - 8, at + 4, label)
    return drawn


def _short(value: float, span: float) -> str:
    places = 0 if span >= 20 else 1 if span >= 2 else 2
    text = f"{value:,.{places}f}"
    return ("0" if float(text.replace(",", "")) == 0 else text).replace("-", "−")


def _times(first: datetime, last: datetime) -> Markup:
    form = "%d %b %H:%M" if (last - first).total_seconds() < 3 * 86_400 else "%d %b %Y"
    return _ends(f"{first:{form}}", f"{last:{form}} UTC")


def _ends(first: str, last: str) -> Markup:
    """Write what the time axis begins and ends with."""
    text = Markup('<text class="axis" x="{}" y="{}" text-anchor="{}">{}</text>')
    return text.format(_LEFT, HEIGHT - 8, "start", first) + text.format(WIDTH - _RIGHT, HEIGHT - 8, "end", last)
