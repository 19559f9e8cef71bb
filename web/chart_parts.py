"""The parts that every chart has: its frame, its axes, and how values and times are written. Pure.

Heights are pixels and places along the width are percent, so text and strokes keep their size at
every width. The page keeps the space to the left of the plot free for the value axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from web.scales import Scale, tick_text, time_ticks
from web.templating import filled

_MONTHS: Final = tuple(f"{datetime(2000, month, 1):%b}" for month in range(1, 13))  # noqa: DTZ001
HEIGHT: Final = 220
TOP: Final = 24
BOTTOM: Final = 194
_VALUE_TICK: Final = (
    '<line class="%s" x1="0" x2="100%%" y1="%.1f" y2="%.1f"/><text class="axis" x="-8" y="%.1f" '
    'text-anchor="end">%s</text>'
)
_TIME_TICK: Final = '<line class="tick" x1="%.2f%%" x2="%.2f%%" y1="%s" y2="%s"/>'
_AXIS_TEXT: Final = '<text class="axis%s" x="%.2f%%" y="%s" text-anchor="%s">%s</text>'


@dataclass(frozen=True, slots=True)
class Spot:
    """A point that is drawn, in percent of the width and pixels from the top, with its texts.

    ``jumps``: the value stood still until here, then changed at once. ``begins``: nothing is known
    of the time before it, so the line begins anew.
    """

    x: float
    y: float
    value: str
    label: str
    jumps: bool = False
    begins: bool = False


def frame(title: str, description: str, spots: Sequence[Spot], drawing: Markup) -> Markup:
    """Return a chart as a figure: its current value, the drawing, and its description.

    ``spots`` go along as data for the script that shows values on hover and by the arrow keys.
    """
    data = "|".join(f"{spot.x:.2f};{spot.y:.1f};{spot.value};{spot.label}" for spot in spots)
    return Markup(
        '<figure class="chart-figure"><p class="chart-value" '
        'aria-live="polite"><strong>%(value)s</strong> <span>%(label)s</span></p>'
        '<div class="chart-room"><svg class="chart" height="%(height)s" role="img" '
        'aria-labelledby="%(name)s-t" aria-describedby="%(name)s-d" tabindex="0"'
        ' data-points="%(data)s"><title id="%(name)s-t">%(title)s</title><desc '
        'id="%(name)s-d">%(description)s</desc>%(drawing)s'
        '<line class="cursor" y1="%(top)s" y2="%(bottom)s" visibility="hidden"/><circle '
        'class="cursor-dot" r="4" visibility="hidden"/>'
        '</svg></div><figcaption class="chart-description">%(description)s</figcaption></figure>'
    ) % {
        "value": spots[-1].value,
        "label": spots[-1].label,
        "height": HEIGHT,
        "name": element_name(title),
        "data": data,
        "title": title,
        "description": description,
        "drawing": drawing,
        "top": TOP,
        "bottom": BOTTOM,
    }


def element_name(title: str) -> str:
    """Return a title as the beginning of an element's id."""
    return "".join(character for character in title.lower() if character.isalnum())


def y_of(value: float, scale: Scale) -> float:
    """Return the height of a value in pixels from the top."""
    return TOP + scale.share(value) * (BOTTOM - TOP)


def value_axis(scale: Scale, unit: str) -> Markup:
    """Draw a line and a text for each tick; percent stands at each tick, another unit once."""
    drawing = []
    if unit != "%":
        drawing.append(filled('<text class="axis" x="-8" y="10" text-anchor="end">%s</text>', unit))
    for tick in scale.ticks:
        y = y_of(tick, scale)
        line = "zero-line" if tick == 0 else "grid-line"
        drawing.append(filled(_VALUE_TICK, line, y, y, y + 4, tick_text(tick, scale, unit)))
    return Markup("").join(drawing)


def time_axis(times: Sequence[datetime], zone: ZoneInfo) -> Markup:
    """Draw a tick and a text for each round time; every second one gives way on a phone."""
    drawing = []
    for index, (share, text) in enumerate(time_ticks(times[0], times[-1], zone)):
        x = share * 100
        drawing.append(filled(_TIME_TICK, x, x, BOTTOM, BOTTOM + 4))
        drawing.append(axis_text(x, text, is_minor=index % 2 == 1))
    return Markup("").join(drawing)


def axis_text(x: float, text: str, *, is_minor: bool) -> Markup:
    """Write below the plot; a minor text is left out where there is little space."""
    anchor = "start" if x < 3 else "end" if x > 96 else "middle"
    return filled(_AXIS_TEXT, " minor" if is_minor else "", x, HEIGHT - 8, anchor, text)


def value_text(value: float, unit: str, scale: Scale, *, signed: bool) -> str:
    """Return a value with its unit; ``signed``: a gain has a plus sign."""
    text = f"{value:,.{max(2, scale.places)}f}"
    if not text.strip("-0.,"):
        return f"{text.lstrip('-')} {unit}"
    return f"{'+' if signed and value > 0 else ''}{text} {unit}".replace("-", "−")


def time_text(at: datetime, zone: ZoneInfo) -> str:
    """Return a time in a zone, with day and zone."""
    local = at.astimezone(zone)
    clock = f"{local.hour:02}:{local.minute:02}:{local.second:02}"
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year} {clock} {local.tzname()}"
