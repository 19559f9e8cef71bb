"""What people type as numbers, in the forms of several countries: read in one way or refused, never
in another.
"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.amounts import parse_money, plain
from engine.domain.errors import InvalidValue
from engine.domain.typed import typed_number, typed_whole

READ = {
    "50": "50",
    "0.015": "0.015",
    "1.234": "1.234",
    " 12.50 ": "12.5",
    "007": "7",
    "12,5": "12.5",
    "0,125": "0.125",
    "1234,567": "1234.567",  # a decimal comma that can be nothing else
    "1,234.56": "1234.56",
    "1,234,567": "1234567",  # the United States
    "1.234,56": "1234.56",
    "1.234.567": "1234567",
    "1.234,567": "1234.567",  # Germany
    "1 234,56": "1234.56",
    "1\u00a0234,56": "1234.56",
    "1\u202f234,56": "1234.56",
    "1\u2009234": "1234",  # France
    "1'234.56": "1234.56",
    "1\u2019234.56": "1234.56",
    "1'234'567": "1234567",  # Switzerland
    "1,23,456.78": "123456.78",
    "12,34,567": "1234567",  # India
}
AMBIGUOUS = {"1,234": "1.234 or 1234", "12,345": "12345 or 12.345", "999,999": "999999 or 999.999"}
REFUSED = (
    "",
    " ",
    "abc",
    "1e3",
    "1E-7",
    "NaN",
    "Infinity",
    "-Infinity",
    "inf",
    "+5",
    "-5",
    "\u22125",
    "5%",
    "5 USDT",
    "$5",
    "0x10",
    "1_000",
    ".5",
    "5.",
    ",5",
    "1.2.3",
    "1,2,3",
    "1,,234",
    "12 5",
    "1 23",
    "1234,567,890",
    "1,234,56",
    "1.234 567",
    "1'234,567.8",
    "0,123,456",
    "1/2",
    "--5",
    "1\n2",
    "9" * 65,
    "\u00bd",
    "\u2460",
)
OTHER_DIGITS = {
    "\u0661\u0662\u066b\u0665": "12.5",
    "\u0661\u066c\u0662\u0663\u0664": "1234",
    "\uff11\uff12\uff0e\uff15": "12.5",
    "\u0967\u0968": "12",
}


@pytest.mark.parametrize("text", READ)
def test_a_number_that_can_be_read_in_one_way_only_is_read_so(text: str) -> None:
    assert typed_number(text, "size") == READ[text]


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_a_number_that_can_be_read_in_two_ways_is_refused_with_both(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        typed_number(text, "size")
    told = set(caught.value.expected.partition(":")[0].split(" or "))
    assert told == set(AMBIGUOUS[text].split(" or "))


@pytest.mark.parametrize("text", [*REFUSED, *OTHER_DIGITS])
def test_what_is_no_plain_number_is_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        typed_number(text, "size")
    assert "digits" in caught.value.expected
    if text in OTHER_DIGITS:
        assert caught.value.expected.endswith(f"type {OTHER_DIGITS[text]}")


def test_28_decimals_are_refused_in_words_and_12_are_kept() -> None:
    assert parse_money(typed_number("0.123456789012", "size"), "size") == Decimal("0.123456789012")
    with pytest.raises(InvalidValue, match="12 after the point"):
        parse_money(typed_number("50." + "1" * 28, "size"), "size")


def test_a_whole_number_is_one_within_its_range() -> None:
    assert typed_whole("30", "days", 1, 365) == 30
    assert typed_whole("30.0", "days", 1, 365) == 30
    for text in ("0", "366", "1.5", "x", "", "1,000"):
        with pytest.raises(InvalidValue):
            typed_whole(text, "days", 1, 365)
    with pytest.raises(InvalidValue, match="1 to 365, in digits 0 to 9: type 90,"):
        typed_whole("\uff19\u0660", "days", 1, 365)


@given(
    st.decimals(min_value=0, max_value=10**15 - 1, places=12, allow_nan=False, allow_infinity=False)
)
def test_what_this_place_writes_it_reads(number: Decimal) -> None:
    assert Decimal(typed_number(plain(number), "size")) == number


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert Decimal(typed_number(text, "size")) >= 0
    except InvalidValue as error:
        assert error.expected  # noqa: PT017 - both ends are right ones


@pytest.mark.parametrize(
    "text",
    [*(each for each in READ if "," in each or "'" in each or " " in each.strip()), *AMBIGUOUS],
)
def test_a_file_takes_plain_numbers_only_and_says_which_form_that_is(text: str) -> None:
    with pytest.raises(InvalidValue, match="a plain decimal number"):
        parse_money(text, "sizing.margin")
