"""Read the text of an alert: tolerant about names, strict about meaning. Pure.

JSON, or plain text of the form ``buy BTCUSDT`` or ``action=buy symbol=BTCUSDT``. Which order it is:

| action                                  | position after the order (where told) | becomes                             |
|-----------------------------------------|---------------------------------------|-------------------------------------|
| buy, long, open_long                    | not told, or long                     | open LONG                           |
| sell, short, open_short                 | short                                 | open SHORT, or reverse to it        |
| sell                                    | not told                              | close the long, or reverse to SHORT |
| any                                     | flat                                  | close                               |
| close, exit, flat, close_long, ...      | not told                              | close (of that side)                |

An alert is told apart from its repetition by ``id``, else by the order's id and time, else by its text within one minute.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final, TypeVar

from rexalgo import Action, InvalidValue, PositionSide, SignalDraft, Symbol, parse_price, parse_ratio, parse_symbol

T = TypeVar("T")
_WORDS: Final = re.compile(r"[^\s=,;]+=[^\s,;]+|[^\s,;]+")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_SYMBOLS: Final = ("symbol", "ticker", "instrument", "pair")
_ACTIONS: Final = ("action", "side", "order_action", "signal")
_POSITIONS: Final = ("position", "market_position", "position_after")
_OPENS: Final = {"buy": PositionSide.LONG, "long": PositionSide.LONG, "open_long": PositionSide.LONG, "enter_long": PositionSide.LONG,
                 "short": PositionSide.SHORT, "open_short": PositionSide.SHORT, "enter_short": PositionSide.SHORT}  # fmt: skip
_CLOSES: Final[Mapping[str, PositionSide | None]] = {
    "close": None, "exit": None, "flat": None, "close_all": None, "close_long": PositionSide.LONG, "exit_long": PositionSide.LONG,
    "close_short": PositionSide.SHORT, "exit_short": PositionSide.SHORT,
}  # fmt: skip
_LONG, _SHORT = PositionSide.LONG, PositionSide.SHORT


def read_alert(body: bytes, received_at: datetime, *, reverses: bool) -> SignalDraft:
    """Read one alert. ``reverses``: a sell while long turns to the short side instead of closing. Raises InvalidValue."""
    fields = _fields(body)
    word = _first(fields, _ACTIONS)
    if word is None:
        raise InvalidValue("action", "buy, sell, close or one of their siblings")
    action, side = _meaning(word.lower().strip(), (_first(fields, _POSITIONS) or "").lower().strip(), reverses)
    return SignalDraft(
        dedupe_key=_dedupe_key(fields, body, received_at),
        action=action,
        symbol=read_symbol(_first(fields, _SYMBOLS)),
        side=side,
        price=_number(fields, "price", parse_price),
        leverage=_number(fields, "leverage", parse_ratio),
        stop_loss=_number(fields, "stop_loss", parse_price) if action is not Action.CLOSE else None,
        take_profit=_number(fields, "take_profit", parse_price) if action is not Action.CLOSE else None,
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


def _meaning(word: str, position: str, reverses: bool) -> tuple[Action, PositionSide | None]:
    if position not in ("", "long", "short", "flat"):
        raise InvalidValue("position", "long, short or flat, as {{strategy.market_position}} tells it", position)
    if word in _CLOSES:
        return Action.CLOSE, _CLOSES[word]
    if word != "sell" and word not in _OPENS:
        raise InvalidValue("action", "buy, sell, long, short, close, exit, open_long, close_long or one of their siblings", word)
    if position == "flat":
        return Action.CLOSE, None
    if position:
        side = _LONG if position == "long" else _SHORT
        return (Action.REVERSE if reverses else Action.OPEN), side
    if word == "sell":
        return (Action.REVERSE, _SHORT) if reverses else (Action.CLOSE, _LONG)
    return Action.OPEN, _OPENS[word]


def read_symbol(text: str | None) -> Symbol:
    """Read a contract as TradingView writes it: ``BINANCE:BTCUSDT.P`` is BTCUSDT. Raises InvalidValue."""
    plain = (text or "").strip().upper().rpartition(":")[2]
    for suffix in (".PERP", ".P", "PERP"):
        plain = plain.removesuffix(suffix)
    return parse_symbol(plain, "symbol")


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


def _dedupe_key(fields: Mapping[str, str], body: bytes, received_at: datetime) -> str:
    told = fields.get("id") or fields.get("alert_id")
    if not told and fields.get("order_id") and (fields.get("time") or fields.get("timenow")):
        told = f"{fields['order_id']}-{fields.get('time') or fields['timenow']}"
    if told:
        return f"tv-{told}" if _ID.fullmatch(told) else f"tv-{hashlib.sha256(told.encode()).hexdigest()[:48]}"
    minute = int(received_at.timestamp()) // 60
    return f"tv-{hashlib.sha256(body).hexdigest()[:40]}-{minute}"
