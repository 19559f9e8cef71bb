"""From the bytes of an alert to its fields: JSON, words, ``key=value``, forms of services. Pure.

| form                                   | read as                                                                              |
|----------------------------------------|--------------------------------------------------------------------------------------|
| JSON object, also in a list of one or a code fence | its fields; raw line breaks and tabs inside texts are taken                         |
| ``close long BTCUSDT``, ``BTCUSDT buy`` | one order of up to three words, and one contract; then ``key=value`` at most          |
| ``action = buy; symbol = BTCUSDT``     | its fields, one at each blank, comma, semicolon or line                               |
| ``action=buy&symbol=BTCUSDT``          | a form, its fields                                                                   |
| the default text of a strategy         | order, quantity, contract, signed position                                            |
| ``EXIT-LONG_Exchange_BTCUSDT_...``     | a code of WunderTrading                                                              |
| ``license,closelong,BTCUSDT``          | PineConnector's exits; its entries have stops in pips, and are refused                |
| several lines, each of them an order   | an order of each line (see ``several``)                                              |

Anything else is refused as a whole, with the place of the fault if there is one. Half a message is
not read.
"""

import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_plus

from plugins.tradingview.fields import Field, Fields
from plugins.tradingview.words import (
    ACTION_EXPECTED,
    ACTIONS,
    AFTER,
    PART,
    QUOTED_IN,
    SYMBOLS,
    TELLS_POSITION,
    UNFILLED,
    WORDS,
    Verb,
)
from rexalgo import InvalidValue, json_fault, read_contract, squashed

_DEPTH_MAX: Final = 8
_FIELDS_MAX: Final = 100
_FENCE: Final = "```"
_CURLY: Final = str.maketrans({"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u201f": '"'})
_DEFAULT: Final = re.compile(
    r"order\s+(buy|sell)\s+@\s+(\S+)\s+filled\s+on\s+(\S+?)\.\s+New\s+strategy\s+position\s+is\s+(\S+?)\.?\s*\Z",
    re.IGNORECASE,
)
# A match starts at the start of a word, so that a long word is scanned once, not from each of its
# letters.
_PAIRS: Final = re.compile(r"(?<![\w.-])([A-Za-z_][\w.-]*)[ \t]*=[ \t]*(\"[^\"\n]*\"|[^\s,;=]*)")
_FORM: Final = re.compile(r"[\w.%+-]+=[^&\s]*(?:&[\w.%+-]+=[^&\s]*)+")
_CODE: Final = re.compile(r"((?:ENTER|EXIT)-(?:LONG|SHORT|ALL))_(\S+)", re.IGNORECASE)
_LICENSE: Final = re.compile(r"[0-9]{8,20}")
_KNOWN: Final = (
    "a JSON object, or text such as: buy BTCUSDT, close long BTCUSDT, action=buy symbol=BTCUSDT"
)


def read_fields(body: bytes) -> Fields:
    """Return one alert's fields. Raise InvalidValue with field ``body`` for any other form."""
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InvalidValue("body", f"text in UTF-8: byte {error.start + 1} is none") from None
    if text.startswith(_FENCE) and text.endswith(_FENCE) and len(text) > len(_FENCE):
        text = (
            text[len(_FENCE) : -len(_FENCE)]
            .lstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if "\n" in text else "")
            .strip()
        )
    if text[:1] in ("{", "[") and ('"' in text or not text.startswith("{{")):
        return _json(text)
    if "{" in text and '"' in text:
        line, column = _place(text, text.index("{"))
        raise InvalidValue(
            "body",
            f"a message that begins with {{: text stands before it, the object begins at line "
            f"{line}, column {column}",
        )
    default = _DEFAULT.search(text)
    if default is not None:
        names = (ACTIONS[0], "contracts", SYMBOLS[0], "newstrategyposition")
        return _named(zip(names, default.groups(), strict=True))
    if _FORM.fullmatch(text):
        return _form(text)
    return _code(text) or _lines(text) or _words(text)


def _place(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _named(pairs: Iterable[tuple[str, str]]) -> Fields:
    return _fields(Field.of(name, name, value.strip().strip('"')) for name, value in pairs)


# JSON


class _Object(list[tuple[str, object]]):
    """The members of an object, in order."""


def _json(text: str) -> Fields:
    try:
        document = _document(text)
    except json.JSONDecodeError as error:
        raise InvalidValue("body", f"JSON: {json_fault(error)}") from None
    except (ValueError, RecursionError):
        raise InvalidValue("body", f"JSON nested at most {_DEPTH_MAX} deep") from None
    if isinstance(document, list) and not isinstance(document, _Object):
        if len(document) != 1:
            raise InvalidValue(
                "body", f"one alert in each message, found a list of {len(document)}"
            )
        (document,) = document
    if not isinstance(document, _Object):
        raise InvalidValue("body", "a JSON object at the top")
    fields: list[tuple[int, Field]] = []
    _collect(document, "", 1, True, fields)
    return _fields(each for _, each in sorted(fields, key=lambda each: each[0]))


def _fields(fields: Iterable[Field]) -> Fields:
    """Return them with those that are given twice in one place."""
    found, once, twice = tuple(fields), set[tuple[str, str]](), list[Field]()
    for each in found:
        place = each.path.rpartition(".")[0], each.name
        if place in once:
            twice.append(each)
        once.add(place)
    return Fields(found, tuple(twice))


def _document(text: str) -> object:
    """Parse the text as JSON. If it is not JSON otherwise, read typographic quotes as quotes."""
    try:
        return _loads(text)
    except json.JSONDecodeError:
        plain = text.translate(_CURLY)
        if plain == text:
            raise
        return _loads(plain)


def _loads(text: str) -> object:
    return json.loads(
        text,
        strict=False,
        parse_float=str,
        parse_int=str,
        parse_constant=str,
        object_pairs_hook=_Object,
    )


def _collect(
    document: _Object, path: str, depth: int, is_own: bool, fields: list[tuple[int, Field]]
) -> None:
    if depth > _DEPTH_MAX:
        raise InvalidValue("body", f"JSON nested at most {_DEPTH_MAX} deep")
    for name, value in document:
        field = Field.of(f"{path}{name}", name, _text(value), is_own=is_own)
        fields.append((depth, field))
        if len(fields) > _FIELDS_MAX:
            raise InvalidValue("body", f"at most {_FIELDS_MAX} fields")
        if field.name in TELLS_POSITION:
            # an object or a list in place of a position is refused, and nothing in it is read as
            # another field
            continue
        is_its_own = is_own and PART.fullmatch(field.name) is None
        for index, inner in enumerate(
            value if isinstance(value, list) and not isinstance(value, _Object) else ()
        ):
            if isinstance(inner, _Object):
                _collect(inner, f"{field.path}[{index}].", depth + 1, is_its_own, fields)
        if isinstance(value, _Object):
            _collect(value, f"{field.path}.", depth + 1, is_its_own, fields)


def _text(value: object) -> str | None:
    """Return a value as a text, or None for an object or a list that contains something."""
    if isinstance(value, list):
        return None if value else ""
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value).strip()


# Text


def _form(text: str) -> Fields:
    pairs = [each.partition("=") for each in text.split("&")]
    return _named(
        (unquote_plus(name, errors="replace"), unquote_plus(value, errors="replace"))
        for name, _, value in pairs
    )


def _code(text: str) -> Fields | None:
    """Read a code of WunderTrading: an order, then parts of which exactly one is a contract."""
    code = _CODE.fullmatch(text)
    if code is None:
        return None
    contracts = {
        symbol
        for part in code[2].split("_")
        for symbol in [_contract(part)]
        if symbol and symbol.endswith(QUOTED_IN)
    }
    if len(contracts) != 1:
        raise InvalidValue(
            "symbol", "one contract in the code, such as ENTER-LONG_Exchange_BTCUSDT_name"
        )
    return _named([("action", code[1]), ("symbol", contracts.pop())])


def _contract(text: str) -> str | None:
    try:
        return read_contract(text)
    except InvalidValue:
        return None


def _lines(text: str) -> Fields | None:
    """Read several lines that each are an order with its contract; None if one of them is none."""
    lines = [each for each in text.splitlines() if each.strip()]
    fields: list[Field] = []
    for index, line in enumerate(lines if len(lines) > 1 else ()):
        try:
            order = _code(line.strip()) or _words(line)
        except InvalidValue:
            return None
        if not any(order.named(SYMBOLS)):
            return None
        fields += (Field.of(f"[{index}].{each.path}", each.path, each.text) for each in order.all)
        if len(fields) > _FIELDS_MAX:
            raise InvalidValue("body", f"at most {_FIELDS_MAX} fields")
    return _fields(fields) if fields else None


def _words(text: str) -> Fields:
    """Read words and ``key=value``. Use every one of them, or refuse the text."""
    pairs = [(match[1], match[2]) for match in _PAIRS.finditer(text)]
    words = [each for each in re.split(r"[\s,;]+", _PAIRS.sub(" ", text)) if each]
    if not words:
        fields = _named(pairs)
        if not any(fields.present((*ACTIONS, *AFTER, "side", "signal"))):
            raise InvalidValue("body", _KNOWN)
        return fields
    is_pine = len(words) == 3 and _LICENSE.fullmatch(words[0]) is not None
    order, symbol = _order(words[1:] if is_pine else words)
    if is_pine and WORDS[order].verb is not Verb.CLOSE:
        raise InvalidValue(
            "body",
            "for an entry a JSON object: the stops of this form are in pips, and are not read",
        )
    return _named([("action", order), ("symbol", symbol), *([] if is_pine else pairs)])


def _order(words: list[str]) -> tuple[str, str]:
    """Find the order, of one to three words, and the one contract before or after it."""
    for count in (3, 2, 1):
        if len(words) == count + 1:
            in_front, behind = squashed("".join(words[:-1])), squashed("".join(words[1:]))
            if in_front in WORDS:
                return in_front, words[-1]
            if behind in WORDS:
                return behind, words[0]
    if len(words) <= 3 and squashed("".join(words)) in WORDS:
        raise InvalidValue("symbol", "the contract behind the order, such as: close long BTCUSDT")
    if any(each.startswith("{{") for each in words):
        raise InvalidValue("action", UNFILLED)
    if len(words) == 2:
        raise InvalidValue("action", ACTION_EXPECTED, words[0])
    raise InvalidValue("body", f"{_KNOWN}; nothing in it that is not understood")
