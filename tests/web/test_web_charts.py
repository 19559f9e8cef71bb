"""Charts: round ticks, the reader's time zone, every spike, a text alternative; the geometry by
tables.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.chart_parts import BOTTOM, TOP
from web.charts import bar_chart, drawdown_chart, equity_chart, result_chart, short_period
from web.scales import TIME_TICKS_MAX, drawdowns, scale_of, thinned, tick_text, time_ticks

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def points(*values: str, every: timedelta = timedelta(hours=1)) -> list[tuple[datetime, Decimal]]:
    return [(NOON + index * every, Decimal(value)) for index, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "zero", "unit", "ticks"),
    [
        ((-0.12,), True, "USDT", ["−0.10", "−0.05", "0"]),
        ((9998.2, 10001.4), False, "USDT", ["9,998", "9,999", "10,000", "10,001"]),
        ((0, 140), True, "USDT", ["0", "50", "100", "150"]),
        ((-30, 55), True, "USDT", ["−20", "0", "20", "40", "60"]),
        ((0, -7.3), True, "%", ["−6 %", "−4 %", "−2 %", "0 %"]),
        (
            (-22.7, 921.8),
            True,
            "USDT",
            ["0", "200", "400", "600", "800"],
        ),  # a small loss does not take half of the axis
        ((10_000,), False, "USDT", ["9,990", "9,995", "10,000", "10,005", "10,010"]),
        ((0, 0), True, "USDT", ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ((120_000, 480_000), False, "USDT", ["100k", "200k", "300k", "400k", "500k"]),
        ((1_150_000, 1_240_000), False, "USDT", ["1.16M", "1.18M", "1.20M", "1.22M", "1.24M"]),
    ],
)
def test_the_values_of_an_axis_are_round_and_few(
    values: tuple[float, ...], zero: bool, unit: str, ticks: list[str]
) -> None:
    scale = scale_of(values, zero=zero)
    assert [tick_text(each, scale, unit) for each in scale.ticks] == ticks


@given(
    st.lists(st.floats(-1e9, 1e9).map(lambda each: round(each, 4)), min_size=1, max_size=20),
    st.booleans(),
)
def test_every_value_lies_on_its_axis_and_ticks_are_few(values: list[float], zero: bool) -> None:
    scale = scale_of(values, zero=zero)
    assert 2 <= len(scale.ticks) <= 7
    assert all(-1e-6 <= scale.share(each) <= 1 + 1e-6 for each in values)
    assert not zero or 0 in scale.ticks


@pytest.mark.parametrize(
    ("first", "length", "zone", "ticks"),
    [
        (
            NOON,
            timedelta(seconds=4),
            ZoneInfo("UTC"),
            ["12:00:00", "12:00:01", "12:00:02", "12:00:03", "12:00:04"],
        ),
        (NOON, timedelta(minutes=14), ZoneInfo("UTC"), ["12:00", "12:05", "12:10"]),
        (NOON, timedelta(hours=14), BERLIN, ["15:00", "18:00", "21:00", "26 Nov", "03:00"]),
        (NOON, timedelta(days=3), BERLIN, ["26 Nov", "27 Nov", "28 Nov"]),
        (NOON, timedelta(days=90), BERLIN, ["Dec 2026", "Jan 2027", "Feb 2027"]),
        (
            NOON,
            timedelta(days=900),
            BERLIN,
            ["Jan 2027", "Jul 2027", "Jan 2028", "Jul 2028", "Jan 2029"],
        ),
        (
            datetime(2026, 10, 24, 23, 0, tzinfo=UTC),
            timedelta(hours=6),
            BERLIN,
            ["02:00", "04:00", "06:00"],
        ),
    ],
)
def test_times_are_round_in_the_persons_zone_and_midnights_are_days(
    first: datetime, length: timedelta, zone: ZoneInfo, ticks: list[str]
) -> None:
    assert [text for _, text in time_ticks(first, first + length, zone)] == ticks


@given(
    st.integers(1, 400_000_000),
    st.integers(0, 100_000_000),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]),
)
def test_ticks_of_time_are_few_and_between_the_ends(length_s: int, shift_s: int, zone: str) -> None:
    first = NOON + timedelta(seconds=shift_s)
    ticks = time_ticks(first, first + timedelta(seconds=length_s), ZoneInfo(zone))
    assert len(ticks) <= TIME_TICKS_MAX
    assert [share for share, _ in ticks] == sorted(share for share, _ in ticks)
    assert all(0 <= share <= 1 for share, _ in ticks)


def test_of_many_points_the_ends_and_every_spike_stay() -> None:
    values = [0.0] * 5000
    values[1234], values[4321] = 9.0, -9.0
    kept = thinned(values, 240)
    assert len(kept) <= 240
    assert {0, 1234, 4321, 4999} <= set(kept)
    assert thinned([1.0, 2.0, 3.0], 240) == [0, 1, 2]


@pytest.mark.parametrize(
    ("values", "percents"),
    [
        ((100.0, 110.0, 99.0, 121.0), (0, 0, -10, 0)),
        ((100.0, 50.0, 75.0), (0, -50, -25)),
        ((0.0, -5.0), (0, 0)),
        ((), ()),
    ],
)
def test_drawdowns_are_percent_below_the_highest_so_far(
    values: tuple[float, ...], percents: tuple[float, ...]
) -> None:
    assert drawdowns(values) == pytest.approx(list(percents))


def paths(drawn: str, tone: str) -> str:
    return re.findall(rf'class="{tone}" d="([^"]+)"', drawn)[0]


def test_a_running_result_begins_on_its_zero_line_jumps_and_goes_on_until_now() -> None:
    drawn = result_chart(
        points("0", "5", "-5"), "Cumulative P&L", "USDT", "UTC", NOON + timedelta(hours=4), NOON
    )
    zero = (TOP + BOTTOM) / 2
    assert paths(drawn, "line") == f"M0.0 {zero}H250.0V35.7H500.0V182.3H1000.0V182.3"
    assert paths(drawn, "line-area").endswith(f"V{zero} H0.0 Z")
    assert f'class="zero-line" x1="0" x2="100%" y1="{zero}"' in drawn
    assert (
        "From 0.00 USDT to −5.00 USDT; lowest −5.00 USDT, highest +5.00 USDT. Since 25 Nov 2026 "
        "12:00:00 UTC." in drawn
    )


def test_what_an_account_is_worth_is_drawn_close_up_and_not_shaded() -> None:
    drawn = equity_chart(points("10000", "10010", "9990"), "Equity", "USDT", "Asia/Kolkata")
    assert "area" not in drawn
    assert "zero-line" not in drawn
    assert (
        "From 10,000.00 USDT to 9,990.00 USDT; lowest 9,990.00 USDT, highest 10,010.00 USDT. "
        "Since 25 Nov 2026 17:30:00 IST." in drawn
    )


def test_a_line_is_broken_where_nothing_was_read_and_every_part_is_shaded_by_itself() -> None:
    hours = [0, 1, 2, 12, 13, 24]
    read = [(NOON + timedelta(hours=each), Decimal(100 - each)) for each in hours]
    equity = equity_chart(read, "Equity", "USDT", "UTC")
    assert re.sub(r"[0-9.]+ ?[0-9.]*", "", paths(equity, "line")) == "MLLMLM"
    assert "Broken where nothing was read for more than 3 h." in equity
    drawdown = drawdown_chart(read, "Drawdown", "UTC")
    assert paths(drawdown, "drawdown-area").count("Z") == 3
    assert "now −24.00 %. Broken where nothing was read for more than 3 h." in drawdown
    assert "Broken" not in equity_chart(read[:3], "Equity", "USDT", "UTC")
    many = [
        (NOON + timedelta(minutes=each), Decimal(each % 7))
        for each in [*range(2_000), *range(9_000, 11_000)]
    ]
    assert paths(equity_chart(many, "Equity", "USDT", "UTC"), "line").count("M") == 2, (
        "thinning keeps both ends of a gap"
    )


def test_a_drawdown_goes_down_from_zero_in_percent() -> None:
    drawn = drawdown_chart(points("100", "95", "100"), "Drawdown", "UTC")
    assert paths(drawn, "drawdown").startswith(f"M0.0 {TOP}.0")
    assert "Maximum −5.00 %, on 25 Nov 2026 13:00:00 UTC; now 0.00 %." in drawn
    assert ">0 %</text>" in drawn
    assert "Never below its peak so far." in drawdown_chart(points("1", "2"), "Drawdown", "UTC")


def test_a_loss_differs_from_a_gain_by_direction_and_hatching() -> None:
    drawn = bar_chart(
        [("2026-11-24", "24 Nov", Decimal(10)), ("2026-11-25", "25 Nov", Decimal(-10))],
        "Result by day",
        "USDT",
    )
    up, down = re.findall(r"<rect [^>]+>", drawn)
    middle = (TOP + BOTTOM) / 2
    assert (f'y="{TOP}.0"' in up, "fill" in up) == (True, False)
    assert (f'y="{middle}"' in down, 'fill="url(#resultbyday-h)"' in down) == (True, True)
    assert (
        "2026-11-24 to 2026-11-25: 1 with a gain, 1 with a loss; together 0.00 USDT; lowest "
        "−10.00 USDT, highest +10.00 USDT." in drawn
    )


def test_no_text_is_stretched() -> None:
    for drawn in (
        result_chart(points("0", "5"), "R", "USDT", "UTC", NOON),
        bar_chart([("2026-11", "Nov 2026", Decimal(1))], "B", "USDT"),
    ):
        stretched = re.findall(r"<svg viewBox.*?</svg>", drawn)
        assert not any("<text" in each for each in stretched)
        assert re.findall(r'<svg class="chart"[^>]*>', drawn)[0].count("viewBox") == 0


def test_less_than_two_points_and_no_bars_draw_nothing() -> None:
    for few in (points(), points("1")):
        assert not equity_chart(few, "E", "USDT", "UTC")
        assert not drawdown_chart(few, "D", "UTC")
        assert not result_chart(few, "R", "USDT", "UTC", NOON)
    assert not bar_chart([], "B", "USDT")


def test_what_is_in_a_title_stays_text() -> None:
    assert "<b>" not in bar_chart([("<b>", "<b>", Decimal(1))], "<b>", "<b>")


@pytest.mark.parametrize(
    ("label", "short"), [("2026-11-05", "5 Nov"), ("2026 week 48", "W48"), ("2026-11", "Nov 2026")]
)
def test_a_period_has_a_short_name(label: str, short: str) -> None:
    assert short_period(label) == short
