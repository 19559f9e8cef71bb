"""Numbers as people type them: a text with exactly one reading is read; anything else is refused
with what to type instead.

The point is the decimal mark of every page and file here. A decimal comma and the digit grouping of
five countries are read if the rest of the number leaves no doubt (``1.234,56``, ``1 234,56``,
``1'234.56``, ``1,23,456.78``); ``1,234`` leaves doubt and is refused. Files are read by
``amounts.parse_decimal`` alone, signals by ``wording.read_number``, as programs write numbers.
"""

import re
import unicodedata
from decimal import Decimal
from typing import Final

from engine.domain.amounts import plain
from engine.domain.errors import InvalidValue

CHARACTERS_MAX: Final = 64
_EXPECTED: Final = "a number in digits such as 1234.5, without sign, exponent or unit"
_BLANKS: Final = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'"})
"""No-break, narrow no-break and thin space; the typographic apostrophe."""
_GROUPED: Final = {
    mark: re.compile(rf"[1-9][0-9]{{0,2}}({re.escape(mark)}[0-9]{{3}})+") for mark in " ',."
}
_LAKHS: Final = re.compile(r"[1-9][0-9]?(,[0-9]{2})+,[0-9]{3}")


def typed_number(text: str, field: str) -> str:
    """Return a typed number as a plain decimal number; raises InvalidValue if it is none or has two
    readings.
    """
    shown = text.translate(_BLANKS).strip()
    if len(shown) > CHARACTERS_MAX:
        raise InvalidValue(field, f"{_EXPECTED}; at most {CHARACTERS_MAX} characters")
    readings = sorted(_readings(shown), key=len)
    if len(readings) == 1:
        return readings[0]
    if readings:
        raise InvalidValue(field, f"{' or '.join(readings)}: {shown} can be read as either", text)
    latin = _in_latin_digits(shown)
    if latin is not None:
        raise InvalidValue(field, f"digits 0 to 9 and a point: type {latin}", text)
    raise InvalidValue(field, _EXPECTED, text)


def typed_whole(text: str, field: str, least: int, most: int) -> int:
    """Read a whole number within a range, both ends included; raises InvalidValue."""
    expected = f"a whole number from {least} to {most}, in digits"
    try:
        number = Decimal(typed_number(text, field))
    except InvalidValue:
        latin = _in_latin_digits(text[:CHARACTERS_MAX].translate(_BLANKS).strip())
        hint = "" if latin is None else f" 0 to 9: type {latin}"
        raise InvalidValue(field, f"{expected}{hint}", text) from None
    if number != number.to_integral_value() or not least <= number <= most:
        raise InvalidValue(field, expected, text)
    return int(number)


def _readings(text: str) -> set[str]:
    """Return every plain number that a text may mean."""
    readings = set()
    for point in ".,":
        whole, mark, rest = text.partition(point)
        if mark and not _is_digits(rest):
            continue
        grouped = next(
            (
                each
                for each in _GROUPED
                if each != point and _is_grouped(whole, each) and (mark or not _is_ours(whole))
            ),
            None,
        )
        if _is_digits(whole) or grouped is not None:
            digits = whole if grouped is None else whole.replace(grouped, "")
            readings.add(plain(Decimal(f"{digits}.{rest}" if mark else digits)))
    return readings


def _is_grouped(whole: str, mark: str) -> bool:
    return bool(_GROUPED[mark].fullmatch(whole) or (mark == "," and _LAKHS.fullmatch(whole)))


def _is_ours(text: str) -> bool:
    """Return whether a text is a number in our own notation: here 1.234 is not a grouped thousand."""
    return text.count(".") == 1


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _in_latin_digits(text: str) -> str | None:
    """Return a number typed in other digits, such as full-width or Arabic ones, in Latin digits;
    None if it is still no number.
    """
    digits = [unicodedata.decimal(each, None) for each in text]
    latin = "".join(
        each if digit is None else str(digit) for each, digit in zip(text, digits, strict=True)
    )
    readings = _readings(
        unicodedata.normalize("NFKC", latin).replace("\u066b", ".").replace("\u066c", "")
    )
    return readings.pop() if len(readings) == 1 else None
