"""The part of a position that an exit states: a fraction, a percentage, or a quantity in percent.
Pure.

A plain quantity is the master's own and no part. A text that is no number says nothing, so that a
close is not lost to it.
"""

from decimal import Decimal
from typing import Final

from plugins.tradingview.fields import Field, Fields
from plugins.tradingview.words import (
    FRACTIONS,
    PERCENTS,
    SIZED_BY_PERCENT,
    SIZED_BY_UNIT,
    UNITS,
)
from rexalgo import InvalidValue, Ratio, parse_fraction, read_number, squashed

_HUNDRED: Final = Decimal(100)
_OF_MONEY: Final = (
    "equity",
    "balance",
    "cash",
    "margin",
    "wallet",
    "account",
    "portfolio",
    "capital",
)


def read_part(fields: Fields, *, is_sure: bool = True) -> Ratio | None:
    """Return the part of the position to close: above 0, and 1 for all of it; None if none is
    stated. Raise InvalidValue for one that has two meanings.

    Not ``is_sure`` that the order is an exit: only a part that is stated of the position counts.
    """
    unit = next((_unit(each) for each in fields.named(UNITS)), "")
    of_position = "position" in unit
    names = (*FRACTIONS, *PERCENTS) if is_sure else ("percentofposition", "positionpercent")
    stated = [
        *((each, each.name in FRACTIONS) for each in fields.named(names)),
        *(
            (each, False)
            for each in fields.named(SIZED_BY_UNIT)
            if unit and (is_sure or of_position)
        ),
        *(
            (each, False)
            for each in fields.named((*SIZED_BY_UNIT, *SIZED_BY_PERCENT) if is_sure else ())
            if not unit and (each.text or "").endswith("%")
        ),
    ]
    parts = [
        (each, part)
        for each, is_fraction in stated
        for part in [_part(each, is_fraction)]
        if part is not None
    ]
    return fields.agreed((each for each, _ in parts), dict(parts).__getitem__)


def _unit(field: Field) -> str:
    """Return the unit of a quantity if it may be percent of a position, or else nothing."""
    said = squashed(field.text or "")
    is_percent = any(each in said for each in ("percent", "pct", "%"))
    return said if is_percent and not any(each in said for each in _OF_MONEY) else ""


def _part(field: Field, is_fraction: bool) -> Ratio | None:
    text = field.text or ""
    try:
        number = read_number(text.removesuffix("%"), field.shown)
    except InvalidValue:
        return None
    if is_fraction and not text.endswith("%"):
        number *= _HUNDRED
    if number <= 0:
        return None
    if number < 1 and not is_fraction:
        raise InvalidValue(
            field.shown, "a percentage from 1 to 100, or size.fraction from 0 to 1", field.text
        )
    if is_fraction and number > _HUNDRED:
        raise InvalidValue(
            field.shown, "a number above 0 and below 1, or a percentage such as 50%", field.text
        )
    return Ratio(Decimal(1)) if number >= _HUNDRED else parse_fraction(number / _HUNDRED)
