"""Figures of strategies: by the median of followers, so that more followers change nothing."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.track_record import (
    CopiedTrade,
    TrackRecord,
    margin_of,
    slippage_of,
    track_record,
)

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def trade(
    signal: int, follower: str, result: str, margin: str = "100", slip: str | None = None
) -> CopiedTrade:
    return CopiedTrade(
        follower=follower,
        signal=signal,
        closed_at=NOON + timedelta(hours=signal),
        result=Decimal(result),
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
    made = record(trade(1, "a", "5"), trade(1, "a", "5"), trade(1, "b", "30"))
    assert made.per_signal == Decimal("20.00"), "the median of 10 and 30"


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
    figures = ("per_signal", "per_follower", "max_drawdown", "win_rate", "profit_factor", "curve")
    assert [getattr(one, name) for name in figures] == [getattr(many, name) for name in figures]
    assert one.per_follower == sum(results)
    assert one.per_signal == (Decimal(sum(results)) / len(results)).quantize(Decimal("0.01"))
    assert median(results) <= max(results)
