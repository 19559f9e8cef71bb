"""Fields that are not read and must not be lost in silence: marks of a test, and what protects or
prices an entry. Pure.

An unknown field is counted and ignored, with these exceptions. A misspelt test, or another word for
it, refuses any action; a mode of a test (``"mode": "paper"``) refuses an entry. A stop or target in a form that is not read, a price of a limit order under
another name, and a misspelt level, leverage or order type refuse an entry.
"""

from typing import Final

from plugins.tradingview.fields import Field, Fields
from plugins.tradingview.words import (
    FALSE,
    KNOWN,
    LEVERAGES,
    PART,
    TRUE,
)
from rexalgo import (
    InvalidValue,
    is_test_mode,
    meant_instead,
    names_level,
    names_limit_price,
    names_test,
)

_LEVELS: Final = ("stop_loss", "take_profit")
_OF_ENTRIES: Final = (*_LEVELS, "leverage", "order_type")


def count_ignored(fields: Fields) -> int:
    """Return how many of the order's fields have an unknown name, or are given a second time."""
    return sum(each.name in KNOWN for each in fields.twice) + sum(
        each.name not in KNOWN and (each.text is not None or not any(fields.inside(each)))
        for each in fields.own
    )


def refuse_tests(fields: Fields) -> None:
    """Raise InvalidValue for a yes under a name that may be meant as ``test``."""
    for each in _unknown(fields):
        said = (each.text or "").lower()
        is_meant = (meant_instead(each.name, ("test",)) and said not in FALSE) or (
            names_test(each.name) and said in TRUE
        )
        if is_meant:
            raise _misspelt(each, "test")


def refuse_unread(fields: Fields, *, is_entry: bool) -> None:
    """Raise InvalidValue for a field of an entry, or for a level that is moved, that is not read,
    and for an entry that a mode says is not to be traded.
    """
    for each in fields.own:
        if is_entry and is_test_mode(each.name, each.text or ""):
            raise InvalidValue(
                each.shown, '"test": true, if nothing is to be traded, or none of it', each.text
            )
    for each in fields.own:
        is_empty = each.is_unfilled or (each.text or "").lower() == "nan"
        if is_empty and (each.name in LEVERAGES or names_level(each.name)):
            raise InvalidValue(
                each.shown, "a filled-in value, or none: it is a placeholder, or no number"
            )
    for each in _unknown(fields):
        if is_protection(fields, each):
            raise InvalidValue(
                each.shown,
                "stop_loss and take_profit as one price each: percents, amounts, several targets "
                "and trailing stops are not read",
                each.text,
            )
        if is_entry and names_limit_price(each.name) and each.has_number:
            raise InvalidValue(each.shown, "order_type limit, with its price in price", each.text)
        meant = meant_instead(each.name, _OF_ENTRIES if is_entry else _LEVELS)
        if meant is not None and (meant not in _LEVELS or each.text is None or each.has_number):
            raise _misspelt(each, meant)


def _unknown(fields: Fields) -> list[Field]:
    return [each for each in fields.own if each.name not in KNOWN and each.is_told]


def is_protection(fields: Fields, field: Field) -> bool:
    """Return whether a field asks for a stop or a target."""
    if field.text is not None:
        return names_level(field.name) and (field.has_number or field.text.lower() in TRUE)
    inner = list(fields.inside(field))
    asks = not inner or any(each.has_number or (each.text or "") in TRUE for each in inner)
    return asks and PART.fullmatch(field.name) is not None and not fields.is_switched_off(field)


def _misspelt(field: Field, meant: str) -> InvalidValue:
    return InvalidValue(
        field.shown if field.shown != "body" else meant,
        f"{meant}, if that is meant, or another name: this one is not known",
        field.text,
    )
