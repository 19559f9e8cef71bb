"""Charts as SVG, drawn on the server: cumulative P&L, equity, drawdown, and bars. Pure.

Only the path of a line is stretched to the width of the page; text and strokes keep their size on a
phone and on a wide screen. Each chart has a title and a description for whoever does not see it.
Its colours are classes of the style sheet, readable in both themes.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from web.chart_parts import (
    HEIGHT,
    Spot,
    axis_text,
    element_name,
    frame,
    time_axis,
    time_text,
    value_axis,
    value_text,
    y_of,
)
from web.scales import Scale, drawdowns, scale_of, thinned
from web.templating import filled

GAP: Final = timedelta(hours=3)
"""Longer than between two readings of an account that is read: at least one an hour is kept."""
_POINTS_MAX: Final = 240
_PATH_WIDTH: Final = 1000
"""The width in which a path is written before it is stretched."""
_SPARK_POINTS: Final = 60
_BAR_LABELS: Final = 5
_BAR_WIDTH_MAX: Final = 8.0
Points = Sequence[tuple[datetime, Decimal]]


@dataclass(frozen=True, slots=True)
class _Style:
    """What a chart over time shows, and how its line is drawn.

    ``zero``: the scale includes 0, and the area down to it is shaded. ``jumps_since``: after it the
    value stood still between points; None where it never did. ``signed``: a gain has a plus sign.
    ``drawdown``: the values are drawdowns. ``gap``: the line is broken where nothing was read for
    longer.
    """

    title: str
    unit: str
    zero: bool = False
    jumps_since: datetime | None = None
    signed: bool = False
    drawdown: bool = False
    gap: timedelta | None = None


def result_chart(
    points: Points,
    title: str,
    unit: str,
    zone: str,
    until: datetime,
    exact_since: datetime | None = None,
) -> Markup:
    """Draw a cumulative P&L up to ``until``, shaded to its zero line.

    The points begin with one of 0; fewer than two draw nothing. Since ``exact_since`` each point is
    a close, where the line jumps. Before it (None: everywhere) points are the ends of days, with
    straight lines between them.
    """
    if len(points) > 1 and until > points[-1][0]:
        points = [*points, (until, points[-1][1])]
    style = _Style(title, unit, zero=True, jumps_since=exact_since or until, signed=True)
    return _timeline(points, _floats(points), style, zone)


def equity_chart(points: Points, title: str, unit: str, zone: str, gap: timedelta = GAP) -> Markup:
    """Draw equity over time; fewer than two points draw nothing.

    The scale need not include 0, so nothing is shaded. The line is broken where nothing was read
    for longer than ``gap``.
    """
    return _timeline(points, _floats(points), _Style(title, unit, gap=gap), zone)


def drawdown_chart(points: Points, title: str, zone: str) -> Markup:
    """Draw the drawdown of equity in percent, downward from 0; fewer than two points draw nothing.

    The line is broken where nothing was read for longer than ``GAP``.
    """
    style = _Style(title, "%", zero=True, drawdown=True, gap=GAP)
    return _timeline(points, drawdowns(_floats(points)), style, zone)


def returns_fall_chart(points: Points, title: str, zone: str, until: datetime) -> Markup:
    """Draw how far a running sum of returns is below its highest so far, in percent points, up to
    ``until``.

    The points begin with one of 0, and each other is a jump; fewer than two draw nothing.
    """
    highest, falls = Decimal(0), list[tuple[datetime, Decimal]]()
    for at, value in points:
        highest = max(highest, value)
        falls.append((at, value - highest))
    if len(falls) > 1 and until > falls[-1][0]:
        falls.append((until, falls[-1][1]))
    since = falls[0][0] if falls else until
    style = _Style(title, "%", zero=True, jumps_since=since, drawdown=True)
    return _timeline(falls, _floats(falls), style, zone)


def bar_chart(bars: Sequence[tuple[str, str, Decimal]], title: str, unit: str) -> Markup:
    """Draw a bar for each (name, short name, value): up for a gain, down and hatched for a loss.

    No bars draw nothing.
    """
    if not bars:
        return Markup("")
    values = [float(value) for _, _, value in bars]
    scale = scale_of(values, zero=True)
    slot = 100 / len(bars)
    width = min(_BAR_WIDTH_MAX, slot * 0.72)
    label_every = -(-len(bars) // _BAR_LABELS)
    drawing, spots = _hatching(title), []
    for index, ((name, short, _), value) in enumerate(zip(bars, values, strict=True)):
        middle = (index + 0.5) * slot
        drawing += _bar(title, value, scale, middle, width)
        labels_after, rest = divmod(len(bars) - 1 - index, label_every)
        if rest == 0:
            drawing += axis_text(middle, short, is_minor=labels_after % 2 == 1)
        text = value_text(value, unit, scale, signed=True)
        spots.append(Spot(middle, y_of(value, scale), text, name))
    description = _bars_description([name for name, _, _ in bars], values, unit, scale)
    return frame(title, description, spots, value_axis(scale, unit) + drawing)


def sparkline(points: Points, description: str) -> Markup:
    """Draw a line without axes, for a row of a table; fewer than two points draw nothing."""
    if len(points) < 2:
        return Markup("")
    values = [0.0, *_floats(points)]
    drawn = thinned(values, _SPARK_POINTS)
    low, span = min(values), (max(values) - min(values)) or 1.0
    path = " ".join(
        f"{'L' if place else 'M'}{100 * index / (len(values) - 1):.1f} "
        f"{22 - 20 * (values[index] - low) / span:.1f}"
        for place, index in enumerate(drawn)
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" '
        'aria-label="%s"><path d="%s"/></svg>'
    ) % (description, path)


def short_period(label: str) -> str:
    """Return the short name of a day, week or month (2026-11-25, 2026 week 48 or 2026-11)."""
    if "week" in label:
        return f"W{label[-2:]}"
    day = datetime.fromisoformat(label if len(label) == 10 else f"{label}-01")
    return f"{day.day} {day:%b}" if len(label) == 10 else f"{day:%b %Y}"


def _floats(points: Points) -> list[float]:
    return [float(value) for _, value in points]


def _timeline(points: Points, values: Sequence[float], style: _Style, zone_name: str) -> Markup:
    if len(points) < 2:
        return Markup("")
    zone = ZoneInfo(zone_name)
    times = [at for at, _ in points]
    scale = scale_of(values, zero=style.zero)
    spots = _spots(times, values, style, scale, zone)
    tone = "drawdown" if style.drawdown else "line"
    drawing = filled('<path class="%s" d="%s"/>', tone, _line(spots))
    if style.zero:
        area = _area(spots, y_of(0, scale))
        drawing = filled('<path class="%s-area" d="%s"/>', tone, area) + drawing
    stretched = Markup(
        '<svg viewBox="0 0 %s %s" preserveAspectRatio="none" width="100%%" '
        'height="%s" aria-hidden="true">%s</svg>'
    ) % (_PATH_WIDTH, HEIGHT, HEIGHT, drawing)
    description = _description(points, values, style, scale, zone)
    axes = value_axis(scale, style.unit) + time_axis(times, zone)
    return frame(style.title, description, spots, axes + stretched)


def _spots(
    times: Sequence[datetime],
    values: Sequence[float],
    style: _Style,
    scale: Scale,
    zone: ZoneInfo,
) -> list[Spot]:
    """Return the points that are drawn: all ends of gaps and of days, of the others a selection."""
    span = max((times[-1] - times[0]).total_seconds(), 1e-6)
    gap = style.gap
    begins = (
        []
        if gap is None
        else [at for at in range(1, len(times)) if times[at] - times[at - 1] > gap]
    )
    needed = {*_straight(times, style.jumps_since), *begins, *(at - 1 for at in begins)}
    return [
        Spot(
            (times[index] - times[0]).total_seconds() / span * 100,
            y_of(values[index], scale),
            value_text(values[index], style.unit, scale, signed=style.signed),
            time_text(times[index], zone),
            style.jumps_since is not None and times[index] > style.jumps_since,
            index in begins,
        )
        for index in sorted(needed.union(thinned(values, _POINTS_MAX)))
    ]


def _straight(times: Sequence[datetime], until: datetime | None) -> range:
    """Return the points up to a time, between which the line is straight: all of them are drawn.

    Of more than can be drawn, only the last one, from which the line jumps.
    """
    count = 0 if until is None else bisect_right(times, until)
    return range(max(0, count - 1) if count > _POINTS_MAX else 0, count)


def _description(
    points: Points, values: Sequence[float], style: _Style, scale: Scale, zone: ZoneInfo
) -> str:
    """Return what a chart over time shows: first, last, lowest and highest."""
    first, last, low, high = (
        value_text(value, style.unit, scale, signed=style.signed)
        for value in (values[0], values[-1], min(values), max(values))
    )
    broken = ""
    if style.gap is not None and _is_broken(points, style.gap):
        hours = style.gap // timedelta(hours=1)
        broken = f" Broken where nothing was read for more than {hours} h."
    if style.drawdown:
        if min(values) >= 0:
            return f"Never below its peak so far.{broken}"
        lowest_at = points[min(range(len(values)), key=values.__getitem__)][0]
        return f"Maximum {low}, on {time_text(lowest_at, zone)}; now {last}.{broken}"
    days = ""
    if style.jumps_since is not None and style.jumps_since > points[0][0]:
        end_of_days = min(style.jumps_since, points[-1][0])
        days = f" Until {time_text(end_of_days, zone)} by the ends of days."
    return (
        f"From {first} to {last}; lowest {low}, highest {high}. Since "
        f"{time_text(points[0][0], zone)}.{days}{broken}"
    )


def _is_broken(points: Points, gap: timedelta) -> bool:
    return any(after - before > gap for (before, _), (after, _) in pairwise(points))


def _line(spots: Sequence[Spot]) -> str:
    """Return the path through the spots, begun anew where nothing is known of the time before."""
    steps = []
    for index, spot in enumerate(spots):
        x = spot.x * _PATH_WIDTH / 100
        if index == 0 or spot.begins:
            steps.append(f"M{x:.1f} {spot.y:.1f}")
        else:
            steps.append(f"H{x:.1f}V{spot.y:.1f}" if spot.jumps else f"L{x:.1f} {spot.y:.1f}")
    return "".join(steps)


def _area(spots: Sequence[Spot], zero: float) -> str:
    """Return the path of the area between the line and 0, each unbroken part by itself."""
    begins = [index for index, spot in enumerate(spots) if index == 0 or spot.begins]
    parts = [spots[begin:end] for begin, end in pairwise([*begins, len(spots)])]
    return "".join(
        f"{_line(part)} V{zero:.1f} H{part[0].x * _PATH_WIDTH / 100:.1f} Z" for part in parts
    )


def _bar(title: str, value: float, scale: Scale, middle: float, width: float) -> Markup:
    zero, end = y_of(0, scale), y_of(value, scale)
    is_loss = value < 0
    fill = filled(' fill="url(#%s-h)"', element_name(title)) if is_loss else ""
    return filled(
        '<rect class="%s"%s x="%.2f%%" y="%.1f" width="%.2f%%" height="%.1f"/>',
        "bar-down" if is_loss else "bar-up",
        fill,
        middle - width / 2,
        min(zero, end),
        width,
        max(1.0, abs(end - zero)),
    )


def _bars_description(
    names: Sequence[str], values: Sequence[float], unit: str, scale: Scale
) -> str:
    total, low, high = (
        value_text(value, unit, scale, signed=True)
        for value in (sum(values), min(values), max(values))
    )
    if len(names) == 1:
        return f"{names[0]}; together {total}."
    gains, losses = sum(value > 0 for value in values), sum(value < 0 for value in values)
    return (
        f"{names[0]} to {names[-1]}: {gains} with a gain, {losses} with a loss; together {total}; "
        f"lowest {low}, highest {high}."
    )


def _hatching(title: str) -> Markup:
    """Draw the pattern of a loss, so that it differs from a gain by more than its colour."""
    return Markup(
        '<defs><pattern id="%s-h" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)">'
        '<path class="hatch" d="M0 3H6"/></pattern></defs>'
    ) % element_name(title)
