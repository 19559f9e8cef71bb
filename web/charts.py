"""Charts as SVG from the server: a running result, a worth, its falls, and bars. Pure; styled by
classes, readable in both themes.

A pixel is a pixel at every width: heights are fixed, places along the width are percent, and only
the path is stretched, so text and strokes keep their size on a phone and on a wide screen. Each
chart has a title and a description for whoever does not see it, and its points as data for the
small module that tells values on hover and by arrow keys. The page keeps what is to the left of the
plot free.
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

from web.scales import Scale, falls, scale_of, thinned, tick_text, time_ticks

HEIGHT: Final = 220
TOP: Final = 24
BOTTOM: Final = 194
_POINTS_MAX: Final = 240
_ACROSS: Final = 1000
"""The width in which paths are written before they are stretched."""
_BAR_LABELS: Final = 5
GAP: Final = timedelta(hours=3)
"""Longer than between two points of an account that is read: one is written an hour at least."""
_BAR_WIDEST: Final = 8.0
Points = Sequence[tuple[datetime, Decimal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spot:
    """Hold a point that is drawn: how far along in percent, how far down in pixels, and what is
    told of it.
    """

    x: float
    y: float
    value: str
    label: str
    jumps: bool = False
    """The value stood still until here, and then changed at once."""
    begins: bool = False
    """Nothing is known of the time before it: the line begins anew."""


def result_chart(
    points: Points,
    title: str,
    unit: str,
    zone: str,
    until: datetime,
    exact_since: datetime | None = None,
) -> Markup:
    """Draw a running result up to a moment, shaded to its zero line. Begin with a point of 0; needs
    two.

    Since ``exact_since`` it jumps at each point, a close; before (None: everywhere) points are ends
    of days, and it goes straight between.
    """
    points = (
        [*points, (until, points[-1][1])] if len(points) > 1 and until > points[-1][0] else points
    )
    jumps = until if exact_since is None else exact_since
    return _timeline(
        points,
        [float(value) for _, value in points],
        _Kind(title=title, unit=unit, zero=True, jumps_since=jumps, signed=True),
        zone,
    )


def worth_chart(points: Points, title: str, unit: str, zone: str) -> Markup:
    """Draw what something was worth over time, close up: the scale need not include 0, so nothing
    is shaded. Needs two points.

    The line is broken where nothing was read for longer than ``GAP``.
    """
    return _timeline(
        points,
        [float(value) for _, value in points],
        _Kind(title=title, unit=unit, gaps=True),
        zone,
    )


def falls_chart(points: Points, title: str, zone: str) -> Markup:
    """Draw how far a worth lay below its highest so far, in percent, downward from 0, broken as the
    worth is. Needs two points.
    """
    return _timeline(
        points,
        falls([float(value) for _, value in points]),
        _Kind(title=title, unit="%", zero=True, falls=True, gaps=True),
        zone,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Hold what a chart over time is of. ``jumps_since``: between points after it the value stood
    still; None where it never did.
    """

    title: str
    unit: str
    zero: bool = False
    jumps_since: datetime | None = None
    signed: bool = False
    falls: bool = False
    gaps: bool = False


def _timeline(points: Points, values: Sequence[float], kind: _Kind, zone: str) -> Markup:
    if len(points) < 2:
        return Markup("")
    place = ZoneInfo(zone)
    times = [at for at, _ in points]
    scale = scale_of(values, zero=kind.zero)
    span = max((times[-1] - times[0]).total_seconds(), 1e-6)
    anew = [at for at in range(1, len(times)) if kind.gaps and times[at] - times[at - 1] > GAP]
    must = {*_until(times, kind.jumps_since), *anew, *(at - 1 for at in anew)}
    spots = [
        _Spot(
            x=(times[index] - times[0]).total_seconds() / span * 100,
            y=_y(values[index], scale),
            value=_told(values[index], kind.unit, scale, signed=kind.signed),
            label=_moment(times[index], place),
            jumps=kind.jumps_since is not None and times[index] > kind.jumps_since,
            begins=index in anew,
        )
        for index in sorted(must.union(thinned(values, _POINTS_MAX)))
    ]
    line = _path(spots)
    tone = "fall" if kind.falls else "line"
    drawn = Markup('<path class="{}" d="{}"/>').format(tone, line)
    if kind.zero:
        drawn = (
            Markup('<path class="{}-area" d="{}"/>').format(tone, _area(spots, _y(0, scale)))
            + drawn
        )
    inner = Markup(
        '<svg viewBox="0 0 {a} {h}" preserveAspectRatio="none" width="100%" height="{h}" '
        'aria-hidden="true">{d}</svg>'
    )
    told = _words(points, values=values, kind=kind, scale=scale, zone=place)
    return _frame(
        kind.title,
        told,
        spots,
        _grid(scale, kind.unit) + _times(times, place) + inner.format(a=_ACROSS, h=HEIGHT, d=drawn),
    )


def _until(times: Sequence[datetime], until: datetime | None) -> range:
    """Name the points up to a moment, which must be drawn: between them it goes straight. Of too
    many the last alone, where jumps begin.
    """
    found = 0 if until is None else bisect_right(times, until)
    return range(max(0, found - 1) if found > _POINTS_MAX else 0, found)


def _words(
    points: Points, values: Sequence[float], kind: _Kind, scale: Scale, zone: ZoneInfo
) -> str:
    """Say what a chart over time shows: first, last, lowest, highest."""
    first, last, low, high = (
        _told(each, kind.unit, scale, signed=kind.signed)
        for each in (values[0], values[-1], min(values), max(values))
    )
    broken = (
        " Broken where nothing was read for more than 3 h."
        if kind.gaps and _is_broken(points)
        else ""
    )
    if kind.falls:
        deepest = points[min(range(len(values)), key=values.__getitem__)][0]
        return (
            f"Deepest {low}, on {_moment(deepest, zone)}; now {last}.{broken}"
            if min(values) < 0
            else f"Never below its highest so far.{broken}"
        )
    days = kind.jumps_since is not None and kind.jumps_since > points[0][0]
    apart = (
        f" Until {_moment(min(kind.jumps_since, points[-1][0]), zone)} by the ends of days."
        if kind.jumps_since and days
        else ""
    )
    return (
        f"From {first} to {last}; lowest {low}, highest {high}. Since "
        f"{_moment(points[0][0], zone)}.{apart}{broken}"
    )


def _is_broken(points: Points) -> bool:
    return any(after - before > GAP for (before, _), (after, _) in pairwise(points))


def _path(spots: Sequence[_Spot]) -> str:
    """Write the line, begun anew at each spot before which nothing is known."""
    written = []
    for index, each in enumerate(spots):
        x = each.x * _ACROSS / 100
        if index == 0 or each.begins:
            written.append(f"M{x:.1f} {each.y:.1f}")
        else:
            written.append(f"H{x:.1f}V{each.y:.1f}" if each.jumps else f"L{x:.1f} {each.y:.1f}")
    return "".join(written)


def _area(spots: Sequence[_Spot], zero: float) -> str:
    """Write what lies between the line and its zero, each unbroken part by itself."""
    begins = [index for index, each in enumerate(spots) if index == 0 or each.begins]
    parts = [spots[begin:end] for begin, end in pairwise([*begins, len(spots)])]
    return "".join(
        f"{_path(part)} V{zero:.1f} H{part[0].x * _ACROSS / 100:.1f} Z" for part in parts
    )


def bar_chart(bars: Sequence[tuple[str, str, Decimal]], title: str, unit: str) -> Markup:
    """Draw a bar for each (name, short name, value): up for a gain, down and hatched for a loss.
    Nothing without bars.
    """
    if not bars:
        return Markup("")
    values = [float(value) for _, _, value in bars]
    scale = scale_of(values, zero=True)
    room = 100 / len(bars)
    wide = min(_BAR_WIDEST, room * 0.72)
    mark = _mark(title)
    each_th = -(-len(bars) // _BAR_LABELS)
    drawn, spots = _hatching(mark), []
    for index, ((name, short, _), value) in enumerate(zip(bars, values, strict=True)):
        middle, zero, end = (index + 0.5) * room, _y(0, scale), _y(value, scale)
        fill = Markup(' fill="url(#{}-h)"').format(mark) if value < 0 else ""
        drawn += Markup(
            '<rect class="{}"{} x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="{:.1f}"/>'
        ).format(
            "bar-down" if value < 0 else "bar-up",
            fill,
            middle - wide / 2,
            min(zero, end),
            wide,
            max(1.0, abs(end - zero)),
        )
        if (len(bars) - 1 - index) % each_th == 0:
            drawn += _under(middle, short, is_minor=(len(bars) - 1 - index) // each_th % 2 == 1)
        spots.append(
            _Spot(x=middle, y=end, value=_told(value, unit, scale, signed=True), label=name)
        )
    ups, downs = sum(1 for each in values if each > 0), sum(1 for each in values if each < 0)
    counted = (
        f"{bars[0][0]} to {bars[-1][0]}: {ups} with a gain, {downs} with a loss"
        if len(bars) > 1
        else bars[0][0]
    )
    both = (
        f"; lowest {spots[values.index(min(values))].value}, highest "
        f"{spots[values.index(max(values))].value}"
        if len(bars) > 1
        else ""
    )
    return _frame(
        title,
        f"{counted}; together {_told(sum(values), unit, scale, signed=True)}{both}.",
        spots,
        _grid(scale, unit) + drawn,
    )


def _hatching(mark: str) -> Markup:
    """Draw the pattern of bars that are a loss, so that they differ by more than their colour."""
    return Markup(
        '<defs><pattern id="{}-h" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)">'
        '<path class="hatch" d="M0 3H6"/></pattern></defs>'
    ).format(mark)


def short_period(label: str) -> str:
    """Write the name of a day, week or month for under a bar: 2026-11-25, 2026 week 48 or 2026-11."""
    if "week" in label:
        return f"W{label[-2:]}"
    day = datetime.fromisoformat(label if len(label) == 10 else f"{label}-01")
    return f"{day.day} {day:%b}" if len(label) == 10 else f"{day:%b %Y}"


def _frame(title: str, told: str, spots: Sequence[_Spot], inner: Markup) -> Markup:
    data = "|".join(f"{each.x:.2f};{each.y:.1f};{each.value};{each.label}" for each in spots)
    return Markup(
        '<figure class="chart-figure"><p class="chart-value" '
        'aria-live="polite"><strong>{value}</strong> <span>{label}</span></p>'
        '<div class="chart-room"><svg class="chart" height="{h}" role="img" '
        'aria-labelledby="{n}-t" aria-describedby="{n}-d" tabindex="0"'
        ' data-points="{data}"><title id="{n}-t">{title}</title><desc '
        'id="{n}-d">{told}</desc>{inner}'
        '<line class="cursor" y1="{top}" y2="{bottom}" visibility="hidden"/><circle '
        'class="cursor-dot" r="4" visibility="hidden"/>'
        '</svg></div><figcaption class="chart-told">{told}</figcaption></figure>'
    ).format(
        value=spots[-1].value,
        label=spots[-1].label,
        h=HEIGHT,
        n=_mark(title),
        data=data,
        title=title,
        told=told,
        inner=inner,
        top=TOP,
        bottom=BOTTOM,
    )


def _mark(title: str) -> str:
    return "".join(each for each in title.lower() if each.isalnum())


def _y(value: float, scale: Scale) -> float:
    return TOP + scale.share(value) * (BOTTOM - TOP)


def _grid(scale: Scale, unit: str) -> Markup:
    drawn = (
        Markup("")
        if unit == "%"
        else Markup('<text class="axis" x="-8" y="10" text-anchor="end">{}</text>').format(unit)
    )
    for tick in scale.ticks:
        at = _y(tick, scale)
        drawn += Markup(
            '<line class="{}" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/><text class="axis" '
            'x="-8" y="{:.1f}" text-anchor="end">{}</text>'
        ).format(
            "zero-line" if tick == 0 else "grid-line", at + 4, tick_text(tick, scale, unit), y=at
        )
    return drawn


def _times(times: Sequence[datetime], zone: ZoneInfo) -> Markup:
    drawn = Markup("")
    for index, (share, text) in enumerate(time_ticks(times[0], times[-1], zone)):
        drawn += Markup('<line class="tick" x1="{x:.2f}%" x2="{x:.2f}%" y1="{}" y2="{}"/>').format(
            BOTTOM, BOTTOM + 4, x=share * 100
        )
        drawn += _under(share * 100, text, is_minor=index % 2 == 1)
    return drawn


def _under(x: float, text: str, *, is_minor: bool) -> Markup:
    """Write below the plot; what is minor is left out where there is little room."""
    anchor = "start" if x < 3 else "end" if x > 96 else "middle"
    form = Markup('<text class="axis{}" x="{:.2f}%" y="{}" text-anchor="{}">{}</text>')
    return form.format(" minor" if is_minor else "", x, HEIGHT - 8, anchor, text)


def _told(value: float, unit: str, scale: Scale, *, signed: bool) -> str:
    text = f"{value:,.{max(2, scale.places)}f}"
    if not text.strip("-0.,"):
        return f"{text.lstrip('-')} {unit}"
    return f"{'+' if signed and value > 0 else ''}{text} {unit}".replace("-", "−")


def _moment(at: datetime, zone: ZoneInfo) -> str:
    here = at.astimezone(zone)
    return f"{here.day} {here:%b %Y %H:%M:%S %Z}"
