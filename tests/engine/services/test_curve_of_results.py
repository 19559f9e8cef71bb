"""The curve of results begins at 0 when the first trade was opened, and ends at the sum."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ledger.results import DayRow, TradePoint
from engine.services.curves import curve_of
from engine.services.performance import figures_of, periods, without_gaps
from web.charts import result_chart

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
DAY_2 = MIDNIGHT + timedelta(days=1)


def trade(closed: float, result: str, opened: float = 0) -> TradePoint:
    return TradePoint(
        NOON + timedelta(hours=closed), Decimal(result), NOON + timedelta(hours=opened)
    )


def day(name: str, trades: int, result: str) -> DayRow:
    return DayRow(day=name, trades=trades, won=0, result=Decimal(result), fees=Decimal(0))


@pytest.mark.parametrize(
    ("days", "trades", "curve"),
    [
        ([], [], []),
        (
            [day("2026-11-24", 1, "5")],
            [trade(2, "5", 1)],
            [(NOON + timedelta(hours=1), 0), (NOON + timedelta(hours=2), 5)],
        ),
        (
            [day("2026-11-24", 2, "3")],
            [trade(1, "5", 0.5), trade(2, "-2", 0)],  # the one that was opened first is closed last
            [(NOON, 0), (NOON + timedelta(hours=1), 5), (NOON + timedelta(hours=2), 3)],
        ),
        # more trades than are read: by days until the first of those that are, then trade by trade
        (
            [day("2026-11-24", 9, "4"), day("2026-11-26", 9, "-1")],
            [trade(47, "1", 19), trade(50, "-3", 48)],
            [
                (MIDNIGHT, 0),
                (DAY_2, 4),
                (DAY_2 + timedelta(days=1), 4),
                (NOON + timedelta(hours=47), 5),
                (NOON + timedelta(hours=47), 6),
                (NOON + timedelta(hours=50), 3),
            ],
        ),
        (  # all that is read is of a later day than what is not
            [day("2026-11-24", 9, "4"), day("2026-11-25", 1, "2")],
            [trade(20, "2", 19)],
            [
                (MIDNIGHT, 0),
                (DAY_2, 4),
                (DAY_2, 4),
                (NOON + timedelta(hours=20), 4),
                (NOON + timedelta(hours=20), 6),
            ],
        ),
        ([day("2026-11-24", 9, "4")], [], [(MIDNIGHT, 0), (DAY_2, 4)]),
        # a day whose trades are not reconciled ends later than now
        ([day("2026-11-24", 0, "0")], [], []),
    ],
)
def test_a_curve_begins_at_zero_and_ends_at_the_sum(
    days: list[DayRow], trades: list[TradePoint], curve: list[tuple[datetime, int]]
) -> None:
    figures = figures_of("paper", days, trades)
    assert list(figures.curve.points) == curve
    assert not curve or curve[-1][1] == figures.result


def test_a_busy_strategy_is_not_drawn_flat_since_midnight() -> None:
    """600 trades of today, 500 of which are read: what is drawn before them goes straight, and says
    so.
    """
    newest = [trade(minute / 60, "1") for minute in range(500)]
    curve = curve_of([day("2026-11-24", 600, "600")], newest)
    assert curve.points[:2] == ((MIDNIGHT, Decimal(0)), (NOON, Decimal(100)))
    assert (curve.exact_since, curve.is_exact) == (NOON, False)
    drawn = result_chart(
        curve.points, "Cumulative P&L", "USDT", "UTC", NOON + timedelta(hours=12), curve.exact_since
    )
    line = re.findall(r'class="line" d="([^"]+)"', drawn)[0]
    assert re.match(r"M0\.0 [\d.]+L500\.0 [\d.]+L500\.0 [\d.]+H", line), (
        "straight until noon, and each close since then a jump"
    )
    assert "Until 24 Nov 2026 12:00:00 UTC by the ends of days." in drawn
    each_is_read = curve_of([day("2026-11-24", 500, "500")], newest)
    assert each_is_read.is_exact
    assert "ends of days" not in result_chart(
        each_is_read.points, "R", "USDT", "UTC", NOON, each_is_read.exact_since
    )


@given(
    st.lists(st.tuples(st.integers(0, 100 * 24 * 60), st.integers(-9, 9)), min_size=1, max_size=60),
    st.integers(0, 60),
)
def test_however_many_trades_are_read_the_end_is_the_sum_and_time_never_runs_back(
    closes: list[tuple[int, int]], read: int
) -> None:
    trades = sorted(
        (trade(minute / 60, str(result), minute / 60 - 1) for minute, result in closes),
        key=lambda each: each.closed_at,
    )
    days: dict[str, DayRow] = {}
    for each in trades:
        name = each.closed_at.date().isoformat()
        known = days.get(name, day(name, 0, "0"))
        days[name] = day(name, known.trades + 1, str(known.result + each.result))
    curve = curve_of(
        [days[name] for name in sorted(days)], trades[len(trades) - min(read, len(trades)) :]
    )
    times = [at for at, _ in curve.points]
    assert times == sorted(times)
    assert (curve.points[0][1], curve.points[-1][1]) == (0, sum(each.result for each in trades))
    assert curve.is_exact == (read >= len(trades))


def test_a_day_without_trades_stays_flat_however_many_trades_follow() -> None:
    days = [day("2026-11-21", 9, "4"), day("2026-11-23", 9, "4"), day("2026-11-24", 900, "900")]
    curve = curve_of(days, [trade(minute / 60, "1") for minute in range(500)])
    drawn = result_chart(
        curve.points, "Cumulative P&L", "USDT", "UTC", NOON + timedelta(hours=12), curve.exact_since
    )
    heights = re.findall(r"[ML][\d.]+ ([\d.]+)", re.findall(r'class="line" d="([^"]+)"', drawn)[0])
    assert heights[1] == heights[2], "22 November"
    assert heights[2] != heights[3]


@pytest.mark.parametrize(
    ("size", "names", "labels"),
    [
        (
            "day",
            ["2026-11-24", "2026-11-27"],
            ["2026-11-27", "2026-11-26", "2026-11-25", "2026-11-24"],
        ),
        (
            "week",
            ["2026-12-20", "2027-01-05"],
            ["2027 week 01", "2026 week 53", "2026 week 52", "2026 week 51"],
        ),
        ("month", ["2026-11-24", "2027-02-01"], ["2027-02", "2027-01", "2026-12", "2026-11"]),
        ("day", ["2026-11-24"], ["2026-11-24"]),
        ("day", [], []),
    ],
)
def test_bars_that_stand_side_by_side_leave_no_day_out(
    size: str, names: list[str], labels: list[str]
) -> None:
    summed = periods(figures_of("paper", [day(name, 1, "5") for name in names]), size)
    found = without_gaps(summed, size)
    assert [each.label for each in found] == labels
    assert [each for each in found if each.trades] == list(summed)
