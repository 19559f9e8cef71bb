"""A month as a calendar: every day once, in its column, and the sum of its days."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.calendar import DaySum, month_of

firsts = st.dates(date(2000, 1, 1), date(2100, 12, 1)).map(lambda day: day.replace(day=1))
sums = st.builds(DaySum, st.integers(0, 9), st.integers(0, 9), st.decimals(-999, 999, places=4))


@given(firsts, st.dictionaries(st.integers(-40, 70), sums, max_size=20))
def test_every_day_of_the_month_is_there_once_under_its_weekday(
    first: date, told: dict[int, DaySum]
) -> None:
    days = {first + timedelta(days=number): each for number, each in told.items()}
    month = month_of(first, days)
    shown = [each for week in month.weeks for each in week if each is not None]
    assert [each.day for each in shown] == [
        first + timedelta(days=number) for number in range((month.after - first).days)
    ]
    assert all(len(week) == 7 for week in month.weeks)
    for week in month.weeks:
        assert all(each is None or each.day.weekday() == place for place, each in enumerate(week))
    mine = [
        each for day, each in days.items() if (day.year, day.month) == (first.year, first.month)
    ]
    assert month.sum == DaySum(
        sum(each.trades for each in mine),
        sum(each.won for each in mine),
        sum((each.result for each in mine), Decimal(0)),
    )


@pytest.mark.parametrize(
    ("first", "before", "after"),
    [
        (date(2026, 11, 1), date(2026, 10, 1), date(2026, 12, 1)),
        (date(2026, 12, 1), date(2026, 11, 1), date(2027, 1, 1)),
        (date(2028, 2, 1), date(2028, 1, 1), date(2028, 3, 1)),
    ],
)
def test_months_follow_each_other(first: date, before: date, after: date) -> None:
    month = month_of(first, {})
    assert (month.before, month.after) == (before, after)


def test_a_trade_without_a_gain_is_not_won() -> None:
    day = DaySum().plus(Decimal(0)).plus(Decimal("-1")).plus(Decimal("2.5"))
    assert day == DaySum(3, 1, Decimal("1.5"))
