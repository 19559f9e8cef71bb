"""What a person's accounts come to: environments apart, and nothing unknown taken as zero."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.portfolio import AccountMoney, marked, percent_of, summed, totals_of
from engine.decisions.risk import equity
from engine.domain.account import AccountReport, Balance, Position
from engine.domain.amounts import Money, Price, Quantity, Ratio
from engine.domain.identifiers import Symbol
from engine.domain.signal import PositionSide
from engine.ports.market_data import Quote

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def money(
    environment: str,
    equity: str | None,
    start: str | None = None,
    pnl: str | None = None,
    *,
    is_stale: bool = False,
) -> AccountMoney:
    def number(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    return AccountMoney(
        environment=environment,
        equity=number(equity),
        day_start=number(start),
        open_pnl=number(pnl),
        is_stale=is_stale,
    )


def position(symbol: str, side: PositionSide, profit: int) -> Position:
    return Position(
        symbol=Symbol(symbol),
        side=side,
        quantity=Quantity(Decimal("0.5")),
        entry_price=Price(Decimal(98)),
        mark_price=Price(Decimal(100)),
        leverage=Ratio(Decimal(5)),
        margin=Money(Decimal(10)),
        unrealised_profit=Money(Decimal(profit)),
    )


def test_positions_are_shown_at_a_mark_price_that_was_read_after_them() -> None:
    read = AccountReport(
        Balance(Money(Decimal(50)), Money(Decimal(80))),
        (
            position("AUSDT", PositionSide.LONG, 1),
            position("BUSDT", PositionSide.SHORT, 1),
            position("CUSDT", PositionSide.LONG, 1),
            position("DUSDT", PositionSide.LONG, 1),
        ),
        (),
        NOON,
    )

    def newest(symbol: Symbol) -> Quote | None:
        seconds = {"AUSDT": 1, "BUSDT": 1, "CUSDT": 0}.get(symbol)
        if seconds is None:
            return None
        at = NOON + timedelta(seconds=seconds)
        return Quote(symbol, Price(Decimal(7)), Price(Decimal(110)), at)

    shown = marked(read, newest)
    assert [(each.mark_price, each.unrealised_profit) for each in shown.positions] == [
        (110, 6),
        (110, -4),
        (100, 1),
        (100, 1),
    ]
    assert equity(shown) == equity(read) == 84


def test_paper_is_never_added_to_real_money_and_live_comes_first() -> None:
    totals = totals_of(
        [money("paper", "1000", "900"), money("live", "50", "40", "-2"), money("paper", "10", "10")]
    )
    assert [
        (each.environment, each.equity, each.todays_pnl, each.todays_percent) for each in totals
    ] == [
        ("live", Decimal(50), Decimal(10), Decimal("25.00")),
        ("paper", Decimal(1010), Decimal(100), Decimal("10.99")),
    ]


def test_an_account_that_was_not_read_is_counted_and_not_taken_as_zero() -> None:
    (only,) = totals_of([money("live", "100", "80", "3"), money("live", None, "500")])
    assert (only.accounts, only.read, only.equity, only.open_pnl) == (2, 1, 100, 3)
    assert (only.todays_pnl, only.todays_percent) == (20, Decimal("25.00"))


def test_an_old_reading_is_in_the_sums_and_counted_as_old() -> None:
    (only,) = totals_of(
        [
            money("live", "100", is_stale=True),
            money("live", None, is_stale=True),
            money("live", "5"),
        ]
    )
    assert (only.accounts, only.read, only.stale, only.equity) == (3, 2, 1, 105)


def test_without_a_start_of_the_day_there_is_no_pnl() -> None:
    (only,) = totals_of([money("live", "100")])
    assert (only.todays_pnl, only.todays_percent) == (None, None)
    assert totals_of([]) == ()


@pytest.mark.parametrize(
    ("part", "whole", "percent"),
    [("1", "3", "33.33"), ("-5", "100", "-5.00"), ("1", "0", None), ("1", "-1", None)],
)
def test_a_percentage_needs_something_to_compare_with(
    part: str, whole: str, percent: str | None
) -> None:
    expected = None if percent is None else Decimal(percent)
    assert percent_of(Decimal(part), Decimal(whole)) == expected


def test_each_point_is_the_newest_known_equity_of_every_account() -> None:
    def at(minutes: int, value: str) -> tuple[datetime, Decimal]:
        return (NOON + timedelta(minutes=minutes), Decimal(value))

    one, other = [at(0, "100"), at(2, "110")], [at(1, "50"), at(2, "40"), at(3, "45")]
    assert summed([one, other]) == [at(0, "100"), at(1, "150"), at(2, "150"), at(3, "155")]
    assert summed([]) == []


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 20), st.integers(0, 10_000)),
            max_size=8,
            unique_by=lambda e: e[0],
        ),
        max_size=4,
    )
)
def test_the_last_point_is_the_sum_of_the_last_readings(
    drawn: list[list[tuple[int, int]]],
) -> None:
    series = [
        [(NOON + timedelta(minutes=at), Decimal(value)) for at, value in sorted(each)]
        for each in drawn
    ]
    points = summed(series)
    assert [at for at, _ in points] == sorted({at for each in series for at, _ in each})
    if points:
        assert points[-1][1] == sum(each[-1][1] for each in series if each)
