"""How numbers are written on pages."""

from decimal import Decimal

import pytest

from web.words import cost, money, order_words, percent, period_name, plain_number, signed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("65000.10", "65000.1"),
        ("0.015", "0.015"),
        ("-3", "\u22123"),
        ("1000", "1000"),
        (None, "\u2013"),
        ("0.000000000001", "0.000000000001"),
        (str(Decimal(200) / Decimal(3)), "66.666666666667"),
        ("0.1234567890123456789012345678", "0.123456789012"),
        ("1E-28", "0"),
    ],
)
def test_a_number_is_written_whole_and_an_average_with_twelve_places(
    value: str | None, shown: str
) -> None:
    assert plain_number(value) == shown


def test_only_what_has_real_money_behind_it_is_called_real() -> None:
    assert [
        order_words(each).startswith("a real")
        for each in ("paper", "simulated", "live", "unheard of")
    ] == [False, False, True, True]


def test_a_cost_is_a_loss_of_the_wallet_and_what_was_paid_back_a_gain() -> None:
    assert str(cost("12.5")) == '<span class="num loss">−12.50</span>'
    assert str(cost("-1")) == '<span class="num gain">+1.00</span>'
    assert str(cost(None)) == str(signed(None))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1992.6025", "1,992.60"),
        ("-0.275", "\u22120.28"),
        ("0.005", "0.0050"),  # never nothing where there is something
        ("-0.00012345", "\u22120.00012"),
        ("-0", "0.00"),
        (None, "\u2013"),
    ],
)
def test_money_has_the_places_of_its_currency_and_is_never_rounded_to_nothing(
    value: str | None, shown: str
) -> None:
    assert money(value) == shown
    assert str(percent(Decimal("0.0001"))) == '<span class="num soft">0.00&nbsp;%</span>'


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("2026-11-25", "25 Nov 2026"),
        ("2026-11", "November 2026"),
        ("2026 week 48", "2026 week 48"),
    ],
)
def test_a_day_and_a_month_are_named_as_people_write_them(label: str, shown: str) -> None:
    assert period_name(label) == shown
