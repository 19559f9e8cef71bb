"""How senders write things: numbers from other programs, names in other cases, misspelt names.
Pure.

A number is read only if it has one meaning. ``65,000`` may be sixty-five or sixty-five thousand, so
it is refused; ``65,000.5`` is the same number in every country.
"""

import json
import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Final

from engine.domain.amounts import EXACT, FINEST
from engine.domain.errors import InvalidValue

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_GROUPED: Final = re.compile(r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+\.[0-9]+|(?:,[0-9]{3}){2,})")
_SEPARATORS: Final = re.compile(r"[\s_-]")
_CHARS_MAX: Final = 64
_EXPONENT_MAX: Final = 40
_OTHER_NAMES: Final = dict.fromkeys(
    ("istest", "testing", "testmode", "dryrun", "simulate", "simulated"), "test"
)
_NAMES_OF_THEIR_OWN: Final = frozenset(
    ("text", "rest", "best", "average", "site", "sid", "slide", "sizes", "symbols", "ordertime")
)
"""Names that are similar to a known one and mean something else."""
_TESTS: Final = re.compile(
    r"test(?:net|run|order|signal)|paper(?:trad(?:e|ing))?|sandbox|demo|simulation|dryrun|backtest"
)
_MODES: Final = frozenset(
    (
        "mode",
        "trademode",
        "tradingmode",
        "executionmode",
        "runmode",
        "accounttype",
        "environment",
        "env",
    )
)
_TEST_MODES: Final = frozenset(("test", "testing", "simulate", "simulated"))
"""Words that say so as a mode only: as names of fields they mean ``test``."""
_LEVELS: Final = re.compile(
    r"(?:sl|tp|stop|stoploss|takeprofit|target|profittarget|trail|trailing|trailingstop|trailstop"
    r"|trailingstoploss|callback|activation)s?(?:price|percent|percentage|perc|pct|pips?|points?"
    r"|ticks?|level|value|amount|offset|distance|trigger|limit|rate|ratio|atr|usd|usdt|[0-9]+)*"
)
_LIMIT_PRICES: Final = frozenset(("limit", "limitprice", "pricelimit"))
_EXPECTED: Final = "a number with a point before its decimals, such as 65000.5"


def read_number(value: object, field: str) -> Decimal:
    """Read a number as programs write it: plain, ``6.5e4``, ``65,000.5``, with float noise; raises
    InvalidValue.

    It is rounded to 12 decimals, the finest that is kept. A float is refused, as everywhere.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise InvalidValue(field, _EXPECTED, value)
    text = str(value).strip()
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    if len(text) > _CHARS_MAX or not _NUMBER.fullmatch(text):
        raise InvalidValue(field, _EXPECTED, value)
    number = Decimal(text)
    if number.adjusted() > _EXPONENT_MAX:
        raise InvalidValue(field, f"{_EXPECTED}, and not beyond 10^{_EXPONENT_MAX}", value)
    return (
        number
        if number >= 1 and number == number.to_integral_value()
        else number.quantize(FINEST, ROUND_HALF_EVEN, EXACT).normalize(EXACT)
    )


def squashed(name: str) -> str:
    """Return a name without case and separators: ``stopLoss``, ``STOP_LOSS`` and ``stop-loss`` are
    one name.
    """
    return _SEPARATORS.sub("", name).lower()


def names_test(name: str) -> bool:
    """Return whether a yes under this name means that nothing is to be traded: ``testnet``,
    ``is_paper``, ``demo``.
    """
    return _TESTS.fullmatch(squashed(name).removeprefix("is")) is not None


def is_test_mode(name: str, word: str) -> bool:
    """Return whether a field is a mode or an environment in which nothing is to be traded: ``paper``
    or ``test`` under ``mode``, ``testnet`` under ``environment``.
    """
    return squashed(name) in _MODES and (names_test(word) or squashed(word) in _TEST_MODES)


def names_level(name: str) -> bool:
    """Return whether a field of this name is a stop or a target in any form: ``tp1``,
    ``stop_loss_percent``, ``trailingStop``.
    """
    said = squashed(name)
    return len(said) <= _CHARS_MAX and _LEVELS.fullmatch(said) is not None


def names_limit_price(name: str) -> bool:
    """Return whether a field of this name is the price of a limit order: ``limit_price``."""
    return squashed(name) in _LIMIT_PRICES


def percents_of(*of: str) -> tuple[str, ...]:
    """Return the names, ``squashed``, under which senders state a percentage of each:
    ``closepercent``, ``closepercentage``, ``closepct``.
    """
    return tuple(each + unit for each in of for unit in ("percent", "percentage", "pct"))


def meant_instead(name: str, names: Iterable[str]) -> str | None:
    """Return the known name that ``name`` misspells or, for ``test``, says in another word; None if
    it is a known name or far from all of them.

    Names are compared as ``squashed``. A slip is one extra, missing, wrong or swapped letter; two
    slips are allowed in names of eight letters or more. Known names of fewer than four letters are
    too short to decide.
    """
    said = squashed(name)
    return None if len(said) > _CHARS_MAX else _meant(said, tuple(names))


@lru_cache(maxsize=1024)  # a sender's fields have the same names each time
def _meant(said: str, names: tuple[str, ...]) -> str | None:
    by_form = {squashed(each): each for each in names}
    if said in by_form or said in _NAMES_OF_THEIR_OWN:
        return None
    if _OTHER_NAMES.get(said) in by_form:
        return by_form[_OTHER_NAMES[said]]
    near = [
        each
        for form, each in by_form.items()
        if len(form) >= 4 and _slips(said, form, 2 if len(form) >= 8 else 1)
    ]
    return near[0] if near else None


def _slips(one: str, other: str, most: int) -> bool:
    """Return whether at most ``most`` slips turn ``one`` into ``other``."""
    if abs(len(one) - len(other)) > most:
        return False
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        last, before, row = before, row, [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(*row, *before) > most:
            return False
    return row[-1] <= most


def json_fault(error: json.JSONDecodeError) -> str:
    """Return what is wrong with a JSON text and where, without repeating any of it."""
    text, at = error.doc, error.pos
    before = text[:at].rstrip()
    if at >= len(text.rstrip()):
        fault = "it ends before a bracket or a quote is closed"
    elif text[at : at + 1] in ("}", "]", ",") and (before + text[at]).endswith((",}", ",]")):
        fault, at = "a comma with nothing behind it", len(before) - 1
    elif error.msg.startswith("Illegal trailing comma"):
        fault = "a comma with nothing behind it"
    elif error.msg.startswith("Expecting ',' delimiter") and before.endswith('"'):
        fault = 'a comma is missing, or a quote inside a text: write it as \\"'
    elif error.msg.startswith("Extra data"):
        fault = "more text behind the end"
    else:
        fault = error.msg[:1].lower() + error.msg[1:]
    line, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
    return f"{fault}, at line {line}, column {column}"
