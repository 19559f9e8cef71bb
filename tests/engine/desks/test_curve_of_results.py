"""The curve of results begins at 0 when the first trade was opened, and ends at the sum."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from engine.desks.performance import figures_of
from engine.ledger.results import DayRow, TradePoint

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)


def trade(closed: float, result: str, opened: float = 0) -> TradePoint:
    return TradePoint(NOON + timedelta(hours=closed), Decimal(result), NOON + timedelta(hours=opened))


def day(name: str, trades: int, result: str) -> DayRow:
    return DayRow(name, trades, 0, Decimal(result), Decimal(0))


@pytest.mark.parametrize(
    ("days", "trades", "curve"),
    [
        ([], [], []),
        ([day("2026-11-24", 1, "5")], [trade(2, "5", 1)], [(NOON + timedelta(hours=1), 0), (NOON + timedelta(hours=2), 5)]),
        (
            [day("2026-11-24", 2, "3")],
            [trade(1, "5", 0.5), trade(2, "-2", 0)],  # the one that was opened first is closed last
            [(NOON, 0), (NOON + timedelta(hours=1), 5), (NOON + timedelta(hours=2), 3)],
        ),
        (  # more trades than are read: by the ends of days, and no further than the last close
            [day("2026-11-24", 9, "4"), day("2026-11-25", 9, "-1")],
            [trade(20, "1", 19)],
            [(MIDNIGHT, 0), (MIDNIGHT + timedelta(days=1), 4), (NOON + timedelta(hours=20), 3)],
        ),
    ],
)
def test_a_curve_begins_at_zero(days: list[DayRow], trades: list[TradePoint], curve: list[tuple[datetime, int]]) -> None:
    assert list(figures_of("paper", days, trades).curve) == curve
