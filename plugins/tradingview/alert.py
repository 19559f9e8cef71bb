"""Read the text of an alert: tolerant about names, strict about meaning. Pure.

JSON, or plain text of the form ``buy BTCUSDT`` or ``action=buy symbol=BTCUSDT``. *After* and *before* are the master's position after
and before the order, where the message tells them; the endpoint chooses what an order of the other side does: close, or turn.

| order                          | after            | before         | becomes                                              |
|--------------------------------|------------------|----------------|------------------------------------------------------|
| any                            | flat             |                | close                                                |
| close, exit, close_long, ...   |                  |                | close (of that side)                                 |
| one that enters a side         | that side        | flat           | open                                                 |
| one that enters a side         | that side        | that side      | add                                                  |
| one that enters a side         | that side        | the other side | reverse where the endpoint turns, else close         |
| one that enters a side         | that side        | not told       | reverse where the endpoint turns, else open          |
| buy while short, sell while long | the side it had | its size       | reduce by the part that was closed                   |
| buy, long                      | not told         |                | reverse to LONG where the endpoint turns, else open  |
| sell                           | not told         |                | reverse to SHORT where the endpoint turns, else close the long |
| short                          | not told         |                | reverse to SHORT where the endpoint turns, else open |
| open_long, enter_short, ...    | not told         |                | open                                                 |

What always holds: a sell never enters the long side, nor a buy the short one. An alert is told apart from its repetition by ``id``, else
by the order's id and time, else by its text for 60 s. ``timenow`` is the sender's clock; ``time`` may be a bar's, so it only tells apart.
What only lowers risk is not refused for what it does not use: price, leverage, stop and target are read for entries alone.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation
from typing import Final, TypeVar

from rexalgo import (
    Action,
    InvalidValue,
    PositionSide,
    Ratio,
    SignalDraft,
    SignalSize,
    SizeMode,
    Symbol,
    parse_fraction,
    parse_price,
    parse_ratio,
    parse_symbol,
)

T = TypeVar("T")
_WORDS: Final = re.compile(r"[^\s=,;]+=[^\s,;]+|[^\s,;]+")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_SYMBOLS: Final = ("symbol", "ticker", "instrument", "pair")
_ACTIONS: Final = ("action", "side", "order_action", "signal")
_POSITIONS: Final = ("position", "market_position", "position_after")
_BEFORE: Final = ("before", "prev_market_position", "position_before")
_SIZES: Final = ("size_after", "market_position_size")
_SIZES_BEFORE: Final = ("size_before", "prev_market_position_size")
_ENTERS: Final = {
    "buy": PositionSide.LONG, "long": PositionSide.LONG, "open_long": PositionSide.LONG, "enter_long": PositionSide.LONG,
    "sell": PositionSide.SHORT, "short": PositionSide.SHORT, "open_short": PositionSide.SHORT, "enter_short": PositionSide.SHORT,
}  # fmt: skip
_TURNS: Final = ("buy", "sell", "long", "short")
_SIDES: Final = {"long": PositionSide.LONG, "short": PositionSide.SHORT}
_REPEATS_S: Final = 60
_EXPONENT_MAX: Final = 40
EXACT: Final = Context(prec=60, rounding=ROUND_DOWN)
_CLOSES: Final[Mapping[str, PositionSide | None]] = {
    "close": None, "exit": None, "flat": None, "close_all": None, "close_long": PositionSide.LONG, "exit_long": PositionSide.LONG,
    "close_short": PositionSide.SHORT, "exit_short": PositionSide.SHORT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Meaning:
    """Hold what an alert asks for."""

    action: Action
    side: PositionSide | None = None
    fraction: Ratio | None = None


def read_alert(body: bytes, received_at: datetime, *, reverses: bool) -> SignalDraft:
    """Read one alert. ``reverses``: an order of the other side turns the position instead of closing it. Raises InvalidValue."""
    fields = _fields(body)
    meaning = _meaning(fields, reverses)
    enters = meaning.action.is_entry
    told = _told_id(fields)
    return SignalDraft(
        dedupe_key=told if told is not None else f"tv-{hashlib.sha256(body).hexdigest()[:40]}",
        repeats_s=None if told is not None else _REPEATS_S,
        action=meaning.action,
        symbol=read_symbol(_first(fields, _SYMBOLS)),
        side=meaning.side,
        price=_number(fields, "price", parse_price) if enters else None,
        leverage=_number(fields, "leverage", parse_ratio) if enters else None,
        stop_loss=_number(fields, "stop_loss", parse_price) if enters else None,
        take_profit=_number(fields, "take_profit", parse_price) if enters else None,
        sent_at=_sent_at(fields),
        size=SignalSize() if meaning.fraction is None else SignalSize(SizeMode.FRACTION, fraction=meaning.fraction),
        is_test=str(fields.get("test", "")).lower() in ("true", "1"),
    )


def _fields(body: bytes) -> dict[str, str]:
    try:
        text = body.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise InvalidValue("body", "text in UTF-8") from None
    if text.startswith("{"):
        return _json_fields(text)
    words = _WORDS.findall(text)[:20]
    named = {name.lower(): value for word in words if "=" in word for name, _, value in [word.partition("=")]}
    plain = [word for word in words if "=" not in word]
    for name, value in zip(("action", "symbol"), plain, strict=False):
        named.setdefault(name, value)
    return named


def _json_fields(text: str) -> dict[str, str]:
    try:
        document = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise InvalidValue("body", "a JSON object, or plain text such as: buy BTCUSDT") from None
    if not isinstance(document, dict):
        raise InvalidValue("body", "a JSON object at the top")
    kept = {str(name).lower(): value for name, value in document.items() if isinstance(value, str | bool)}
    return {name: str(value) for name, value in kept.items()}


def _first(fields: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((fields[name] for name in names if fields.get(name, "").strip()), None)


def _meaning(fields: Mapping[str, str], reverses: bool) -> _Meaning:
    word = (_first(fields, _ACTIONS) or "").lower().strip()
    if word in _CLOSES:
        return _Meaning(Action.CLOSE, _CLOSES[word])
    after, before = _position(fields, _POSITIONS, "position"), _position(fields, _BEFORE, "before")
    if word not in _ENTERS:
        raise InvalidValue("action", "buy, sell, long, short, close, exit, open_long, close_long or one of their siblings", word)
    if after == "flat":
        return _Meaning(Action.CLOSE)
    side = _ENTERS[word]
    if after == "":
        return _untold(word, side, reverses)
    if _SIDES[after] is not side:
        return _part_closed(word, _SIDES[after], fields)
    if before == "flat":
        return _Meaning(Action.OPEN, side)
    if before == after:
        return _Meaning(Action.ADD, side)
    if reverses:
        return _Meaning(Action.REVERSE, side)
    return _Meaning(Action.OPEN, side) if before == "" else _Meaning(Action.CLOSE, side.opposite)


def _untold(word: str, side: PositionSide, reverses: bool) -> _Meaning:
    """Read an order whose position is not told."""
    if reverses and word in _TURNS:
        return _Meaning(Action.REVERSE, side)
    return _Meaning(Action.CLOSE, PositionSide.LONG) if word == "sell" else _Meaning(Action.OPEN, side)


def _part_closed(word: str, held: PositionSide, fields: Mapping[str, str]) -> _Meaning:
    """Read an order that left a part of the other side: it must never be taken for an entry of that side."""
    after, before = (_size(fields, _named(fields, names)) for names in (_SIZES, _SIZES_BEFORE))
    if word not in ("buy", "sell") or after is None or before is None or not 0 < after < before:
        expected = "flat or the side of the order; for a part that was closed, buy or sell with size_before and a smaller size_after"
        raise InvalidValue("position", expected, held.value.lower())
    return _Meaning(Action.REDUCE, held, parse_fraction(EXACT.divide(EXACT.subtract(before, after), before), "size_after"))


def _size(fields: Mapping[str, str], name: str) -> Decimal | None:
    """Read a size of the master's own, with as many digits as a float may have left; only its part of another one is used."""
    text = fields.get(name, "").strip()
    if not text:
        return None
    try:
        size = Decimal(text)
    except InvalidOperation:
        raise InvalidValue(name, "the size of a position", text) from None
    if not size.is_finite() or abs(size.adjusted()) > _EXPONENT_MAX:
        raise InvalidValue(name, "the size of a position", text)
    return size


def _position(fields: Mapping[str, str], names: tuple[str, ...], field: str) -> str:
    told = (_first(fields, names) or "").lower().strip()
    if told not in ("", "long", "short", "flat"):
        raise InvalidValue(field, "long, short or flat, as {{strategy.market_position}} tells it", told)
    return told


def _sent_at(fields: Mapping[str, str]) -> datetime | None:
    """Read the sender's clock; None where it is not told, or in words that are no time with a zone."""
    try:
        told = datetime.fromisoformat(fields.get("timenow", "").strip())
        return told.astimezone(UTC) if told.tzinfo is not None and told.year >= 2000 else None
    except (ValueError, OverflowError):
        return None


def read_symbol(text: str | None) -> Symbol:
    """Read a contract as TradingView writes it: ``BINANCE:BTCUSDT.P`` is BTCUSDT. Raises InvalidValue."""
    plain = (text or "").strip().upper().rpartition(":")[2]
    for suffix in (".PERP", ".P", "PERP"):
        plain = plain.removesuffix(suffix)
    return parse_symbol(plain, "symbol")


def _named(fields: Mapping[str, str], names: tuple[str, ...]) -> str:
    """Return under which of its names a field is there, the first where it is not."""
    return next((name for name in names if fields.get(name, "").strip()), names[0])


def _number(fields: Mapping[str, str], name: str, parse: Callable[[object, str], T]) -> T | None:
    text = fields.get(name, "").strip()
    if not text or text.lower() in ("nan", "null", "none"):
        return None
    try:
        if Decimal(text) == 0:
            return None
    except InvalidOperation:
        pass  # the parser says what was expected
    return parse(text, name)


def _told_id(fields: Mapping[str, str]) -> str | None:
    """Return the id that tells an alert from every other, None where its text is all that there is."""
    told, at = fields.get("id") or fields.get("alert_id"), fields.get("timenow") or fields.get("time")
    if not told and fields.get("order_id") and at:
        told = f"{fields['order_id']}-{at}"
    if not told:
        return None
    return f"tv-{told}" if _ID.fullmatch(told) else f"tv-{hashlib.sha256(told.encode()).hexdigest()[:48]}"
