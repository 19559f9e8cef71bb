"""Draw a cumulative P&L from the newest trades and, before them, the daily sums. Pure.

What always holds: the curve begins at 0, ends at the sum of all days, and states from when it goes
trade by trade. Before that only the result of a whole day is known, so it goes straight through
each day with trades; a day without trades shows nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from engine.ledger.results import DayRow, TradePoint

_DAY = timedelta(days=1)
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Curve:
    """A cumulative P&L; ``exact_since`` is when it begins to go trade by trade, None if it never
    does.
    """

    points: tuple[tuple[datetime, Decimal], ...] = ()
    exact_since: datetime | None = None

    @property
    def is_exact(self) -> bool:
        """Return whether every trade is a point of its own."""
        return not self.points or self.exact_since == self.points[0][0]


def curve_of(days: Sequence[DayRow], newest: Sequence[TradePoint]) -> Curve:
    """Return the curve through all trades: ``days`` sum all of them, ``newest`` are the last of
    them, oldest close first.
    """
    if newest and len(newest) >= sum(each.trades for each in days):
        began = min(each.opened_at for each in newest)
        return Curve(
            _running([(began, _NOTHING), *((each.closed_at, each.result) for each in newest)]),
            began,
        )
    first = newest[0].closed_at if newest else None
    drawn: dict[str, Decimal] = {}
    for each in newest:
        day = each.closed_at.astimezone(UTC).date().isoformat()
        drawn[day] = drawn.get(day, _NOTHING) + each.result
    changes: list[tuple[datetime, Decimal]] = []
    for each_day in (each for each in days if each.trades):
        begins = datetime.fromisoformat(each_day.day).replace(tzinfo=UTC)
        if first is None or begins <= first:
            ends = begins + _DAY if first is None else min(begins + _DAY, first)
            changes += [
                (begins, _NOTHING),
                (ends, each_day.result - drawn.get(each_day.day, _NOTHING)),
            ]
    return Curve(_running([*changes, *((each.closed_at, each.result) for each in newest)]), first)


def _running(changes: Sequence[tuple[datetime, Decimal]]) -> tuple[tuple[datetime, Decimal], ...]:
    total, points = _NOTHING, []
    for at, change in changes:
        total += change
        points.append((at, total))
    return tuple(points)
