"""The part of a position that an exit states. Pure.

| stated                                                         | is a part                         |
|----------------------------------------------------------------|-----------------------------------|
| ``close_percent``, ``fraction`` ..., ``exit`` in %             | of the position                   |
| a quantity whose unit is percent of the position               | of the position                   |
| ``percent``, ``portion``, a quantity in % or of a unit percent | of the position beside a reduce;  |
|                                                                | else of something, and no part    |
| a plain quantity                                               | no part: it is the master's own   |

A text that is no number above 0 says nothing, so that a close is not lost to it. A buy or sell that
would enter never does beside one of the first two rows: see ``stated_parts``.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from plugins.tradingview.fields import Field, Fields
from plugins.tradingview.words import (
    BARE_BY_PERCENT,
    BARE_FRACTIONS,
    BARE_PERCENTS,
    CLOSED_BY_PERCENT,
    FRACTIONS,
    FRACTIONS_OF_EXITS,
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
    "investment",
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
        *(each for each in fields.named(by_percent) if _is_in_percent(each)),
        *(fields.named(SIZED_BY_UNIT) if has_unit else ()),
    ]
    parts = [
        (each, part)
        for each in stated
        for part in [_part(each, is_fraction=each.name in (*FRACTIONS, *BARE_FRACTIONS))]
        if part is not None
    ]
    return fields.agreed((each for each, _ in parts), dict(parts).__getitem__)


def stated_parts(fields: Fields) -> Iterator[Field]:
    """Yield the fields that state a part of the position under a name of an exit, or with a unit
    that names the position. A name that an entry has too (``fraction``) is none.
    """
    has_unit = any(_is_unit(each, is_asked=False) for each in fields.named(UNITS))
    names = (*FRACTIONS_OF_EXITS, *PERCENTS, *(SIZED_BY_UNIT if has_unit else ()))
    by_percent = fields.named((*CLOSED_BY_PERCENT, "close"))
    stated = (*fields.named(names), *(each for each in by_percent if _is_in_percent(each)))
    return (each for each in stated if _is_above_zero(each))


def _is_in_percent(field: Field) -> bool:
    return (field.text or "").endswith("%")


def _is_above_zero(field: Field) -> bool:
    try:
        return read_number((field.text or "").removesuffix("%"), field.shown) > 0
    except InvalidValue:
        return False


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
