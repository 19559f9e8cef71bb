"""Parse the body of a signed delivery, version 1: strict JSON first, then the schema.

Every input gives a SignalDraft or InvalidValue. Numbers become Decimal and never pass through a
float. A field given twice with different values is refused. Names and words are read in any case.
An unknown field is counted and ignored, because bots send extras, with these exceptions: a
misspelling of a field that the action uses, and another word for a test, are refused, because
``"tevt": true`` must not trade. So is what contradicts the action (``contradictions.py``). The
limits of size, depth and numbers also apply to ignored fields. JSON ``null`` in an optional field
means absent.

An action that keeps or lowers risk is not refused for fields that it does not use: price, leverage,
order type and size are not read there (stop and target only by ``set_protection``, the fraction
only by ``reduce``), invalid numbers do not matter, and an unreadable ``seq`` or ``sent_at`` counts
as absent. It is still refused for an unclear id, action, contract, side or test mark, and a
``close`` for what states a part in so many words.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from itertools import islice
from typing import Final, TypeVar

from plugins.signed_webhook.contradictions import (
    names_side,
    read_sides,
    refuse_marks_of_exits,
    refuse_other_side,
    refuse_parts,
    refuse_tests,
    refuse_unread,
)
from rexalgo import (
    Action,
    InvalidValue,
    OrderType,
    PositionSide,
    Price,
    SignalDraft,
    SignalSize,
    SizeMode,
    json_fault,
    meant_instead,
    parse_decimal,
    parse_fraction,
    parse_price,
    parse_quantity,
    parse_ratio,
    plain,
    read_contract,
    read_number,
    squashed,
)

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

NONE: Final = "none"
BODY_BYTES_MAX: Final = 16 * 1024
DEPTH_MAX: Final = 8
_NUMBER_CHARS_MAX: Final = 64
_EXPONENT_MAX: Final = (
    40  # beyond it, a number written out in full would cost memory before its range can be checked
)

_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "order_type": ("order_type", "trigger_type"),
    "stop_loss": ("stop_loss", "sl", "stoploss_price", "stoplosPrice"),
    "take_profit": ("take_profit", "tp", "takeprofit_price", "takeprofitPrice"),
}
_OF_EVERY_ACTION: Final = ("idempotency_key", "action", "symbol", "side", "size", "test")
_OF_LEVELS: Final = (*_ALIASES["stop_loss"], *_ALIASES["take_profit"])
_KNOWN: Final = (
    *_OF_EVERY_ACTION,
    *_OF_LEVELS,
    *_ALIASES["order_type"],
    "price",
    "leverage",
    "sent_at",
    "seq",
    "position_after",
)
_BY_FORM: Final = {squashed(each): each for each in _KNOWN}
_LOOKED_AT: Final = 200
_EXITS: Final = frozenset(squashed(each.value) for each in Action if not each.is_entry)
_SHOWN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SENT_AT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# A string, complete or cut off by the end, or one bracket. Possessive, and a string that is cut off
# still matches, so the search is linear for any text.
_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.?)*+"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Body:
    """A parsed body: its known fields by their own names, and the ``others`` by the names that they
    came with.
    """

    known: Mapping[str, object]
    others: Mapping[str, object] = field(default_factory=dict)

    def get(self, field: str) -> object:
        """Return a known field's value, or None if it is absent."""
        return self.known.get(field)

    def has(self, field: str) -> bool:
        """Return whether a known field has a value, under any of its names."""
        return any(self.get(each) is not None for each in _ALIASES.get(field, (field,)))

    def side(self, action: Action) -> PositionSide | None:
        """Return the side that the body names, in whichever field. Raise InvalidValue. A
        ``reverse`` reads ``side`` alone: others may name the side that it leaves.
        """
        side = _optional(self, "side", _side)
        if action is Action.REVERSE:
            return side
        return read_sides(self.others, side, is_entry=action.is_entry)

    def ignored(self, action: Action) -> int:
        """Return how many fields at the top were not read."""
        if action is Action.REVERSE:
            return len(self.others)
        return sum(not names_side(name, value) for name, value in self.others.items())

    @property
    def beside_action(self) -> Mapping[str, object]:
        """Return the fields that may contradict an action."""
        beside = {name: self.get(name) for name in ("size", "position_after")}
        return beside | dict(self.others)


@dataclass(frozen=True, slots=True)
class _NoNumber:
    """A placeholder for a refused number; ``expected`` says why. It is valid for no field."""

    expected: str


def read_body(body: bytes) -> Body:
    """Parse one JSON object strictly. Raise InvalidValue with field ``body``.

    Refused are more than 16 KiB, an encoding other than UTF-8, a key given twice, depth above 8,
    lone surrogates, and anything but an object at the top. NaN, Infinity, numbers of more than 64
    characters and numbers beyond 10^40 are refused too, unless no number can stop the action.
    """
    if len(body) > BODY_BYTES_MAX:
        raise InvalidValue("body", f"at most {BODY_BYTES_MAX} bytes", len(body))
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidValue("body", "JSON in UTF-8") from None
    # few brackets cannot be deep
    if text.count("{") + text.count("[") > DEPTH_MAX and _depth(text) > DEPTH_MAX:
        raise InvalidValue("body", f"JSON nested at most {DEPTH_MAX} deep")
    try:
        document: object = json.loads(
            text,
            strict=False,
            object_pairs_hook=_object,
            parse_float=_number,
            parse_int=_number,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        raise InvalidValue("body", f"a JSON object: {json_fault(error)}") from None
    if not isinstance(document, dict):
        raise InvalidValue("body", "a JSON object at the top")
    if "\\u" in text:  # UTF-8 has none: only an escape can write one
        _refuse_lone_surrogates(document)
    known_fields, others = _by_known_names(document)
    action = known_fields.get("action")
    if not isinstance(action, str) or squashed(action) not in _EXITS:
        _refuse_no_numbers(document)
    return Body(known_fields, others)


def _by_known_names(document: dict[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Give every known field its own name, in whatever case it was written, and return the others
    beside them.
    """
    body: dict[str, object] = {}
    others: dict[str, object] = {}
    for name, value in document.items():
        known_name = _BY_FORM.get(squashed(name))
        if known_name is None:
            others[name] = value
        elif known_name in body:
            raise InvalidValue(known_name, "once: it is given twice")
        else:
            body[known_name] = value
    return body, others


def _refuse_slips(body: "Body", action: object) -> None:
    """Refuse a field whose name is a misspelling of a field that this action uses."""
    said = squashed(action) if isinstance(action, str) else ""
    used = (
        _KNOWN
        if said not in _EXITS
        else (*_OF_EVERY_ACTION, *(_OF_LEVELS if said == "setprotection" else ()))
    )
    for name in islice(body.others, _LOOKED_AT):
        meant = meant_instead(name, used)
        if meant is not None:
            shown = name if _SHOWN.fullmatch(name) else meant
            raise InvalidValue(
                shown, f"{meant}, if that is meant, or another name: this one is not known"
            )


def _depth(text: str) -> int:
    """Return the deepest nesting, before the recursive parser sees the text."""
    depth = deepest = 0
    for token in _STRUCTURE.finditer(text):
        mark = token[0]
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise InvalidValue("body", "every key at most once in each JSON object")
    return table


def _number(text: str) -> Decimal | _NoNumber:
    unfit = _NoNumber(
        f"numbers of at most {_NUMBER_CHARS_MAX} characters, not beyond 10^{_EXPONENT_MAX}"
    )
    if len(text) > _NUMBER_CHARS_MAX:
        return unfit
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent outside what Decimal can hold
        return unfit
    return unfit if abs(number.adjusted()) > _EXPONENT_MAX else number


def _no_constant(name: str) -> _NoNumber:
    return _NoNumber("JSON numbers; NaN and Infinity are not JSON")


def _refuse_no_numbers(value: object) -> None:
    if isinstance(value, _NoNumber):
        raise InvalidValue("body", value.expected)
    for member in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        _refuse_no_numbers(member)


def _refuse_lone_surrogates(value: object) -> None:
    """Refuse text that cannot be encoded as UTF-8, so that no log line, ledger row or answer
    contains it.
    """
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidValue("body", "valid Unicode text: no lone surrogate")
    elif isinstance(value, dict):
        for key, member in value.items():
            _refuse_lone_surrogates(key)
            _refuse_lone_surrogates(member)
    elif isinstance(value, list):
        for member in value:
            _refuse_lone_surrogates(member)


def read_idempotency_key(body: Body) -> str | None:
    """Return the body's idempotency key, or None if there is none. Raise InvalidValue for another
    form.
    """
    value = body.get("idempotency_key")
    if value is None:
        return None
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise InvalidValue("idempotency_key", "1 to 128 of A-Z, a-z, 0-9, '_', '-'", value)
    return value


def read_draft(body: Body, signed_id: str | None, needs_key: bool) -> SignalDraft:
    """Return the draft. ``signed_id`` is the ``webhook-id`` that Standard Webhooks signed. Raise
    InvalidValue with the field.
    """
    _refuse_slips(body, body.get("action"))
    key = _dedupe_key(body, signed_id, needs_key)
    action = _action(body.get("action"), "action")
    if not action.is_entry:
        return _read_exit(body, key, action)
    refuse_marks_of_exits(body.beside_action)
    side = body.side(action)
    refuse_other_side(body.beside_action, side, turns=action is Action.REVERSE)
    refuse_tests(body.others)
    refuse_unread(
        body.others,
        has_type=body.has("order_type"),
        has_stop=body.has("stop_loss"),
        has_target=body.has("take_profit"),
    )
    no_levels = {
        field: _optional(body, field, _level_or_none) == NONE
        for field in ("stop_loss", "take_profit")
    }
    return SignalDraft(
        dedupe_key=key,
        action=action,
        symbol=read_contract(body.get("symbol")),
        side=side,
        order_type=_optional(body, "order_type", _order_type) or OrderType.MARKET,
        price=_optional(body, "price", _number_by(parse_price)),
        leverage=_optional(body, "leverage", _number_by(parse_ratio)),
        stop_loss=_level(body, "stop_loss"),
        take_profit=_level(body, "take_profit"),
        sent_at=_optional(body, "sent_at", _moment),
        size=_optional(body, "size", _size) or SignalSize(),
        seq=_optional(body, "seq", _seq),
        position_after=_optional(body, "position_after", _plain_decimal),
        is_test=_optional(body, "test", _flag) or False,
        no_stop_loss=no_levels["stop_loss"],
        no_take_profit=no_levels["take_profit"],
        ignored_fields=body.ignored(action),
    )


def _read_exit(body: Body, key: str, action: Action) -> SignalDraft:
    """Read only the fields that an action other than an entry uses."""
    moves = action is Action.SET_PROTECTION
    return SignalDraft(
        dedupe_key=key,
        action=action,
        symbol=read_contract(body.get("symbol")),
        side=body.side(action),
        stop_loss=_level(body, "stop_loss") if moves else None,
        take_profit=_level(body, "take_profit") if moves else None,
        sent_at=_if_told(body, "sent_at", _moment),
        size=_exit_size(body, action),
        seq=_if_told(body, "seq", _seq),
        is_test=_optional(body, "test", _flag) or False,
        no_stop_loss=moves and _optional(body, "stop_loss", _level_or_none) == NONE,
        no_take_profit=moves and _optional(body, "take_profit", _level_or_none) == NONE,
        ignored_fields=body.ignored(action),
    )


def _if_told(body: Body, field: str, read: Callable[[object, str], T]) -> T | None:
    """Read a field that only orders a signal among others. An unreadable value counts as absent."""
    try:
        return _optional(body, field, read)
    except InvalidValue:
        return None


def _exit_size(body: Body, action: Action) -> SignalSize:
    if action is Action.REDUCE:
        return _optional(body, "size", _size) or SignalSize()
    if action is Action.CLOSE:
        refuse_parts(body.beside_action)
    return SignalSize()


def _level(body: Body, field: str) -> Price | None:
    level = _optional(body, field, _level_or_none)
    return None if level is None or isinstance(level, str) else level


def _level_or_none(value: object, field: str) -> Price | str:
    """Read a stop or target: a price, or the word that removes it."""
    return (
        NONE
        if isinstance(value, str) and value.strip().lower() == NONE
        else _number_by(parse_price)(value, field)
    )


def _number_by(parse: Callable[[object, str], T]) -> Callable[[object, str], T]:
    """Read a number in any form that programs write, then validate it with ``parse``."""
    return lambda value, field: parse(read_number(value, field), field)


def _dedupe_key(body: Body, signed_id: str | None, needs_key: bool) -> str:
    key = read_idempotency_key(body)
    if key is None and (needs_key or signed_id is None):
        raise InvalidValue(
            "idempotency_key",
            "an id that is new for each signal, 1 to 128 of A-Z, a-z, 0-9, '_', '-'",
        )
    if key is not None and signed_id is not None and key != signed_id:
        raise InvalidValue("idempotency_key", "the same id as the header webhook-id, or none", key)
    chosen = key if signed_id is None else signed_id
    assert chosen is not None
    return chosen


def _optional(body: Body, field: str, read: Callable[[object, str], T]) -> T | None:
    """Read a field under any of its names. Refuse values that differ, because nobody can say which
    one is meant.
    """
    values = [
        (name, read(body.get(name), name))
        for name in _ALIASES.get(field, (field,))
        if body.get(name) is not None
    ]
    for name, value in values[1:]:
        if value != values[0][1]:
            raise InvalidValue(
                name, f"the same value as {values[0][0]}, or only one of the two", body.get(name)
            )
    return values[0][1] if values else None


def _choice(kind: type[E]) -> Callable[[object, str], E]:
    by_form = {squashed(choice.value): choice for choice in kind}

    def read(value: object, field: str) -> E:
        choice = by_form.get(squashed(value)) if isinstance(value, str) else None
        if choice is None:
            raise InvalidValue(field, "one of " + ", ".join(each.value for each in kind), value)
        return choice

    return read


_action: Final = _choice(Action)
_side: Final = _choice(PositionSide)
_order_type: Final = _choice(OrderType)
_size_mode: Final = _choice(SizeMode)


def _moment(value: object, field: str) -> datetime:
    """Read an RFC 3339 time with a zone. Digits after the microsecond are cut off."""
    expected = (
        "an RFC 3339 time with a zone, such as 2026-11-23T10:00:00Z, not before the year 2000"
    )
    matched = _SENT_AT.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        raise InvalidValue(field, expected, value)
    day, time, fraction, zone = matched.groups()
    try:
        moment = datetime.fromisoformat(
            f"{day}T{time}{(fraction or '.0')[:7]:0<7}{zone.upper()}"
        ).astimezone(UTC)
    except (
        ValueError,
        OverflowError,
    ):  # an invalid day, hour or zone, or a zone that leads beyond the last year
        raise InvalidValue(field, expected, value) from None
    if moment.year < 2000:
        raise InvalidValue(field, expected, value)
    return moment


def _size(value: object, field: str) -> SignalSize:
    if not isinstance(value, dict):
        raise InvalidValue(field, 'an object such as {"mode": "follower"}', value)
    mode = _size_mode(value.get("mode", SizeMode.FOLLOWER.value), f"{field}.mode")
    quantity, fraction = value.get("quantity"), value.get("fraction")
    return SignalSize(
        mode,
        None if quantity is None else _number_by(parse_quantity)(quantity, f"{field}.quantity"),
        None if fraction is None else parse_fraction(fraction, f"{field}.fraction"),
    )


def _seq(value: object, field: str) -> int:
    if (
        not isinstance(value, Decimal)
        or value != value.to_integral_value()
        or not 0 <= value < 10**18
    ):
        raise InvalidValue(field, "a whole number from 0 to 10^18", value)
    return int(value)


def _plain_decimal(value: object, field: str) -> str:
    return plain(parse_decimal(read_number(value, field), field))


def _flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(field, "true or false", value)
    return value
