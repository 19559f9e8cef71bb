"""Money, prices and quantities: Decimal only, parsed from text, with every rounding named.

Never built from a float. Parsed values have at most 15 digits before the point and 12 after it, so
a product of two of them stays exact inside ``EXACT``.
"""

import re
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Final, NewType

from engine.domain.errors import InvalidValue

Price = NewType("Price", Decimal)
"""Quote currency for one unit of the base asset."""
Quantity = NewType("Quantity", Decimal)
"""Units of the base asset."""
Money = NewType("Money", Decimal)
"""Settlement currency (USDT): margin, notional, fee, profit and loss."""
Ratio = NewType("Ratio", Decimal)
"""A pure number: leverage, multiplier, share."""

ZERO: Final = Decimal(0)
EXACT: Final = Context(prec=60, rounding=ROUND_DOWN)
FINEST: Final = Decimal("0.000000000001")
"""The finest step that an amount is kept in."""
_CENT: Final = Decimal("0.01")
_PLAIN: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?")


def parse_decimal(
    value: object, field: str, *, minimum: Decimal | None = None, above: Decimal | None = None
) -> Decimal:
    """Read a plain decimal number from text, an int or a Decimal; refuse a float.

    Raises InvalidValue with ``field`` if the value is not a plain decimal (no exponent, NaN or
    infinity), has more than 15 digits before or 12 after the point, is below ``minimum``, or is not
    above ``above``.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise InvalidValue(field, "a decimal number written as text", value)
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    if not text.isascii() or not _PLAIN.fullmatch(text):
        raise InvalidValue(
            field,
            "a plain decimal number such as 0.015 (at most 15 digits before and 12 after the "
            "point)",
            value,
        )
    number = Decimal(text)
    if minimum is not None and number < minimum:
        raise InvalidValue(field, f"at least {minimum}", value)
    if above is not None and number <= above:
        raise InvalidValue(field, f"more than {above}", value)
    return number


def parse_price(value: object, field: str = "price") -> Price:
    """Read a price above zero."""
    return Price(parse_decimal(value, field, above=ZERO))


def parse_quantity(value: object, field: str = "quantity") -> Quantity:
    """Read a quantity above zero."""
    return Quantity(parse_decimal(value, field, above=ZERO))


def parse_money(value: object, field: str = "amount") -> Money:
    """Read an amount of settlement currency above zero."""
    return Money(parse_decimal(value, field, above=ZERO))


def parse_ratio(value: object, field: str = "ratio") -> Ratio:
    """Read a pure number above zero."""
    return Ratio(parse_decimal(value, field, above=ZERO))


def parse_fraction(value: object, field: str = "fraction") -> Ratio:
    """Read a fraction above 0 and below 1, with any number of digits.

    It is rounded to 12 decimals, and never to 0 or 1. A fraction comes from a division, so a sender
    cannot choose how many digits it has. A float is refused, as everywhere.
    """
    expected = "a number above 0 and below 1 (to close everything, send close)"
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise InvalidValue(field, expected, value)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise InvalidValue(field, expected, value) from None
    if not number.is_finite() or not 0 < number < 1:
        raise InvalidValue(field, expected, value)
    rounded = number.quantize(FINEST, ROUND_HALF_EVEN, EXACT)
    return Ratio(min(max(rounded, FINEST), EXACT.subtract(Decimal(1), FINEST)))


def floor_to_step(amount: Decimal, step: Decimal) -> Decimal:
    """Round down to a whole number of steps; exact, never up. ``step`` must be positive."""
    return EXACT.multiply(EXACT.divide_int(amount, step), step)


def ceil_to_step(amount: Decimal, step: Decimal) -> Decimal:
    """Round up to a whole number of steps; exact. ``step`` must be positive."""
    whole = EXACT.divide(amount, step).to_integral_value(rounding=ROUND_CEILING)
    lifted = EXACT.multiply(whole, step)
    return lifted if lifted >= amount else EXACT.add(lifted, step)


def notional(price: Price, quantity: Quantity) -> Money:
    """Multiply price by quantity, exactly."""
    return Money(EXACT.multiply(price, quantity))


def initial_margin(price: Price, quantity: Quantity, leverage: Ratio) -> Money:
    """Compute the isolated initial margin, price x quantity / leverage, rounded up to 12 decimals."""
    exact = EXACT.divide(EXACT.multiply(price, quantity), leverage)
    return Money(ceil_to_step(exact, FINEST))


def grouped(text: str) -> str:
    """Write a plainly written number with thousands separators; leave any other text as it is."""
    whole, point, places = text.partition(".")
    digits = whole.removeprefix("-")
    if not digits.isdecimal() or digits[0] == "0" or (point and not places.isdecimal()):
        return text
    return f"{int(whole):,}{point}{places}"


def money_words(amount: Decimal, rounding: str = ROUND_HALF_EVEN) -> str:
    """Write an amount of settlement currency as people read it: two places and thousands separators.

    An amount that two places would show as nothing keeps its first two digits.
    """
    rounded = amount.quantize(_CENT, rounding, EXACT)
    if rounded or not amount:
        return f"{rounded or ZERO:,.2f}"
    digits = 1 - amount.adjusted()
    return f"{amount.quantize(Decimal(1).scaleb(-digits), rounding, EXACT):,.{digits}f}"


def plain(number: Decimal) -> str:
    """Write a Decimal without exponent and trailing zeros: the form that the ledger stores and
    people see.
    """
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
