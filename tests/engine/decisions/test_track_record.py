"""Figures of strategies: by the median of followers, so that more followers change nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.track_record import (
    CopiedTrade,
    TrackRecord,
    funding_per_follower,
    margin_of,
    months,
    slippage_of,
    track_record,
)

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def trade(
    signal: int,
    follower: str,
    result: str,
    margin: str = "100",
    slip: str | None = None,
    fees: str = "0",
) -> CopiedTrade:
    return CopiedTrade(
        follower=follower,
        signal=signal,
        symbol="BTCUSDT",
        side="LONG",
        opened_at=NOON + timedelta(minutes=signal),
        closed_at=NOON + timedelta(hours=signal),
        result=Decimal(result),
        fees=Decimal(fees),
        margin=Decimal(margin),
        slippage_bps=None if slip is None else Decimal(slip),
        delay_ms=None if slip is None else 100 * signal,
    )


def record(*trades: CopiedTrade) -> TrackRecord:
    made = track_record(trades)
    assert made is not None
    return made


def test_without_trades_there_is_no_record() -> None:
    assert track_record([]) is None


def test_a_signal_counts_with_the_median_and_a_follower_with_the_sum() -> None:
    made = record(
        trade(1, "a", "10"),
        trade(1, "b", "20", "200"),
        trade(1, "c", "-90"),
        trade(2, "a", "-4"),
        trade(2, "b", "-8", "200"),
        trade(3, "a", "6"),
    )
    # signals: 10, -4 and 6 %; followers: a 12, b 6, c -90 %
    assert (made.per_signal, made.per_follower) == (Decimal("4.00"), Decimal("6.00"))
    assert (made.signals, made.followers, made.trades) == (3, 3, 6)
    assert (made.win_rate, made.max_drawdown) == (Decimal("66.67"), Decimal("4.00"))
    assert made.profit_factor == Decimal("4.00")
    assert [value for _, value in made.curve] == [10, 6, 12]


def test_parts_of_one_position_are_one_signal_of_one_follower() -> None:
    made = record(trade(1, "a", "5", "25"), trade(1, "a", "5", "75"), trade(1, "b", "30"))
    assert made.per_signal == Decimal("20.00"), "the median of 10 and 30"
    assert made.per_follower == Decimal("20.00")


@pytest.mark.parametrize(
    ("results", "factor", "drawdown"),
    [
        (["1", "2"], None, "0.00"),
        (["-1", "-2"], "0.00", "3.00"),
        (["0"], None, "0.00"),
        (["5", "-2", "-2", "9"], "3.50", "4.00"),
    ],
)
def test_profit_factor_and_drawdown(results: list[str], factor: str | None, drawdown: str) -> None:
    made = record(*(trade(at, "a", result) for at, result in enumerate(results)))
    assert made.profit_factor == (None if factor is None else Decimal(factor))
    assert made.max_drawdown == Decimal(drawdown)


def test_slippage_and_delay_are_medians_of_what_is_known() -> None:
    made = record(trade(1, "a", "1", slip="2"), trade(2, "a", "1", slip="6"), trade(3, "a", "1"))
    assert (made.slippage_bps, made.delay_ms) == (Decimal("4.00"), 150)
    assert record(trade(1, "a", "1")).slippage_bps is None


def test_margin_is_at_the_planned_leverage_and_slippage_against_the_side() -> None:
    assert margin_of(
        entry_price=Decimal(101),
        quantity=Decimal(2),
        planned_notional=Decimal(500),
        planned_margin=Decimal(100),
    ) == Decimal("40.4")
    for is_long, worse in ((True, 10), (False, -10)):
        assert slippage_of(planned=Decimal(100), filled=Decimal("100.1"), is_long=is_long) == worse


def test_a_signal_says_how_far_its_followers_are_apart_and_what_they_paid() -> None:
    made = record(
        trade(1, "a", "10", fees="1"),
        trade(1, "b", "-20", "200", fees="6"),
        trade(2, "a", "4", "50", fees="1"),
        trade(2, "a", "4", "50", fees="1"),
    )
    first, second = made.returns
    assert (first.number, first.followers, second.followers) == (1, 2, 1)
    assert (first.least, first.percent, first.most) == (-10, 0, 10)
    assert (first.fee_percent, second.fee_percent) == (2, 2), "1 and 3 %; 2 of 100"
    assert made.fees_per_signal == Decimal("2.00")
    assert made.margins == {"a": 100, "b": 200}, "a signal's parts are one margin"


def test_months_are_of_the_readers_zone_newest_first() -> None:
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    closed = [(late, "3"), (late + timedelta(minutes=1), "-1"), (late - timedelta(days=40), "2")]
    made = record(
        *(
            replace(trade(number, "a", result), closed_at=at)
            for number, (at, result) in enumerate(closed)
        )
    )
    for zone, labels in (
        ("UTC", ["2026-11", "2026-10"]),
        ("Europe/Berlin", ["2026-12", "2026-10"]),
    ):
        shown = months(made.returns, ZoneInfo(zone))
        assert [each.label for each in shown] == labels
        assert (shown[0].signals, shown[0].won, shown[0].percent) == (2, 1, 2)
        assert (shown[0].best, shown[0].worst) == (3, -1)
    assert sum(each.percent for each in shown) == made.curve[-1][1]


def test_funding_is_of_the_median_follower_in_percent_of_margin() -> None:
    margins = {"a": Decimal(100), "b": Decimal(200), "c": Decimal(50)}
    paid = {"a": Decimal(1), "b": Decimal("-8"), "c": Decimal(2)}
    assert funding_per_follower(paid, margins) == Decimal("1.00"), "1, -4 and 4 %"
    assert funding_per_follower({"a": Decimal(0)}, margins) is None
    assert funding_per_follower({}, margins) is None


@given(st.lists(st.integers(-500, 500), min_size=1, max_size=12), st.integers(2, 9))
def test_the_same_trades_on_more_accounts_change_no_figure(results: list[int], times: int) -> None:
    def on(followers: int) -> TrackRecord:
        return record(
            *(
                trade(at, f"f{follower}", str(result))
                for at, result in enumerate(results)
                for follower in range(followers)
            )
        )

    one, many = on(1), on(times)
    figures = (
        *("per_signal", "per_follower", "max_drawdown", "win_rate", "profit_factor", "curve"),
        "fees_per_signal",
    )
    assert [getattr(one, name) for name in figures] == [getattr(many, name) for name in figures]
    assert one.per_follower == sum(results)
    assert one.per_signal == (Decimal(sum(results)) / len(results)).quantize(Decimal("0.01"))
    assert median(results) <= max(results)


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 9)), min_size=1, max_size=6),
    st.integers(2, 5),
)
def test_a_position_that_is_closed_in_parts_has_the_same_return(
    results: list[tuple[int, int]], parts: int
) -> None:
    whole = record(
        *(
            trade(number, "a", str(result * parts), str(100 * parts), fees=str(fees * parts))
            for number, (result, fees) in enumerate(results)
        )
    )
    apart = record(
        *(
            trade(number, "a", str(result), fees=str(fees))
            for number, (result, fees) in enumerate(results)
            for _ in range(parts)
        )
    )
    assert replace(apart, trades=whole.trades) == whole
