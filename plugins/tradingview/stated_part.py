"""The part of a position that an exit states. Pure.

| stated                                                         | is a part                         |
|----------------------------------------------------------------|-----------------------------------|
| ``close_percent``, ``fraction`` ..., ``exit`` in %             | of the position                   |
| a quantity whose unit is percent of the position               | of the position                   |
| ``percent``, ``portion``, a quantity in % or of a unit percent | of the position beside a reduce;  |
|                                                                | else of something, and no part    |
| a plain quantity                                               | no part: it is the master's own   |

A text that is no number above 0 says nothing, so that a close is not lost to it.
"""

from decimal import Decimal
from typing import Final

from plugins.tradingview.fields import Field, Fields
from plugins.tradingview.words import (
    BARE_BY_PERCENT,
    BARE_FRACTIONS,
    BARE_PERCENTS,
    CLOSED_BY_PERCENT,
    FRACTIONS,
    PERCENTS,
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


def read_part(fields: Fields, *, is_sure: bool = True, is_asked: bool = False) -> Ratio | None:
    """Return the part of the position to close: above 0, and 1 for all of it; None if none is
    stated. Raise InvalidValue for one that has two meanings.

    Not ``is_sure`` that the order is an exit: only what names the position counts. ``is_asked``:
    the order is to reduce, so every part is one of the position.
    """
    names: tuple[str, ...] = (*FRACTIONS, *PERCENTS) if is_sure else ("percentofposition",)
    by_percent: tuple[str, ...] = CLOSED_BY_PERCENT if is_sure else ()
    if is_asked:
        names += (*BARE_FRACTIONS, *BARE_PERCENTS)
        by_percent += BARE_BY_PERCENT
    has_unit = any(_is_unit(each, is_asked=is_asked) for each in fields.named(UNITS))
    stated = [
        *fields.named(names),
        *(each for each in fields.named(by_percent) if (each.text or "").endswith("%")),
        *(fields.named(SIZED_BY_UNIT) if has_unit else ()),
    ]
    parts = [
        (each, part)
        for each in stated
        for part in [_part(each, is_fraction=each.name in (*FRACTIONS, *BARE_FRACTIONS))]
        if part is not None
    ]
    return fields.agreed((each for each, _ in parts), dict(parts).__getitem__)


def _is_unit(field: Field, *, is_asked: bool) -> bool:
    """Return whether a unit is percent of the position."""
    said = squashed(field.text or "")
    is_percent = any(each in said for each in ("percent", "pct", "%"))
    of_money = any(each in said for each in _OF_MONEY)
    return is_percent and not of_money and (is_asked or "position" in said)


def _part(field: Field, *, is_fraction: bool) -> Ratio | None:
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
