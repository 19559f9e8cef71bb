"""Parse the text of an alert: bytes -> fields (``forms``) -> what it asks for (``meaning``) -> a
draft. Pure.

Every input ends in a SignalDraft or InvalidValue. A repetition is the same bytes within a minute,
whatever ``id`` says: ids of alerts are the names of a script's orders and equal for every trade.
Only our own ``idempotency_key`` is a key, and only for what does nothing but enter: pasted into an
alert, it is the same each time. ``timenow`` and ``sent_at`` are the sender's clock. A time under
another name may be a bar's opening time, so it counts only if it is a few seconds old, or more than
a day: then nothing in the alert is fresh. A bar of more than a day opens at midnight in UTC, so such a time counts only
beyond the length of the bar: that of ``interval``, or a month. An action that only lowers risk is not refused for fields that it does not use:
price, leverage, stop and target are read for entries alone.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Final, TypeVar

from plugins.tradingview.fields import Field, Fields
from plugins.tradingview.forms import read_fields
from plugins.tradingview.meaning import Meaning, closes, read_meaning
from plugins.tradingview.several import orders_of
from plugins.tradingview.unread import count_ignored, refuse_tests, refuse_unread
from plugins.tradingview.words import (
    CLOCKS,
    FALSE,
    INTERVALS,
    LEVEL_PRICES,
    LEVERAGES,
    MAIN_SYMBOLS,
    ORDER_TYPES,
    ORDER_WORDS,
    PRICES,
    QUOTED_IN,
    STOPS,
    SYMBOLS,
    TARGETS,
    TIMES,
    TRUE,
)
from rexalgo import (
    Action,
    AlertFacts,
    InvalidValue,
    OrderType,
    Price,
    Ratio,
    SignalDraft,
    SignalSize,
    SizeMode,
    Symbol,
    parse_price,
    parse_quantity,
    parse_ratio,
    read_contract,
    read_number,
)

T = TypeVar("T")
REPEATS_S: Final = 60
_KEYS: Final = ("idempotencykey",)
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,120}")
_EPOCH: Final = re.compile(r"[0-9]{10}(?:[0-9]{3}|[0-9]{6})?")
_FIRED_JUST_NOW: Final = timedelta(seconds=5)
_DAY: Final = timedelta(days=1)
_SLACK: Final = timedelta(minutes=5)
"""How much older than a bar its opening time is when the alert comes at its close."""
_BARS: Final = {"D": _DAY, "W": timedelta(days=7), "M": timedelta(days=31)}
_LONGEST_BAR: Final = _BARS["M"]
_INTERVAL: Final = re.compile(r"([0-9]{0,2})([DdWwM])")
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_alert(body: bytes, received_at: datetime, *, reverses: bool) -> SignalDraft:
    """Parse one alert. Raise InvalidValue.

    With ``reverses``, a bare order of the other side turns the position; without it, the order
    closes the position.
    """
    fields = read_fields(body)
    refuse_tests(fields)
    orders = orders_of(fields)
    if len(orders) == 1:
        return _read_order(fields, body, received_at, reverses=reverses)
    exits = [each for each in orders if closes(each)]
    drafts = [_read_order(each, body, received_at, reverses=reverses) for each in exits]
    asked = {(each.action, each.symbol, each.side, each.size.fraction) for each in drafts}
    if len(asked) != 1:
        raise InvalidValue("body", f"one order in each message, found {len(orders)}")
    lost = len(list(fields.own)) - len(list(exits[0].own))
    return replace(drafts[0], ignored_fields=drafts[0].ignored_fields + lost)


def _read_order(
    fields: Fields, body: bytes, received_at: datetime, *, reverses: bool
) -> SignalDraft:
    meaning = read_meaning(fields, turns=reverses)
    if meaning.action is not Action.CLOSE:
        fields.refuse_repeated()
    enters, moves = meaning.action.is_entry, meaning.action is Action.SET_PROTECTION
    if enters or moves:
        refuse_unread(fields, is_entry=enters)
    key = _key(fields) if meaning.action.is_only_entry else None
    levels = {
        names: _level(fields, names) if enters or moves else None for names in (STOPS, TARGETS)
    }
    taken_away = {
        names: moves and any(each.text == "none" for each in fields.present(names))
        for names in levels
    }
    return SignalDraft(
        dedupe_key=f"tv-{hashlib.sha256(body).hexdigest()[:40]}" if key is None else f"tv-{key}",
        repeats_s=REPEATS_S if key is None else None,
        action=meaning.action,
        symbol=_symbol(fields),
        side=meaning.side,
        order_type=_order_type(fields) if enters else OrderType.MARKET,
        price=_price(fields) if enters else None,
        leverage=_leverage(fields) if enters else None,
        stop_loss=levels[STOPS],
        take_profit=levels[TARGETS],
        no_stop_loss=taken_away[STOPS],
        no_take_profit=taken_away[TARGETS],
        sent_at=_sent_at(fields, received_at),
        size=_size(fields, meaning),
        seq=None if fields.first(_KEYS) is None else _seq(fields),
        is_test=_is_test(fields),
        alert=AlertFacts(meaning.came_from, meaning.is_bare, meaning.was_flat, meaning.seems_from),
        ignored_fields=count_ignored(fields),
    )


def _size(fields: Fields, meaning: Meaning) -> SignalSize:
    """Read the size: the part that a reduce closes, or our own ``size`` of an entry. Other
    quantities are the master's own and ignored.
    """
    if meaning.fraction is not None:
        return SignalSize(SizeMode.FRACTION, fraction=meaning.fraction)
    sizes = {
        each.path.lower(): each
        for each in fields.all
        if each.path.lower() in ("size.mode", "size.quantity") and each.is_told
    }
    mode = sizes.get("size.mode")
    if mode is None or not meaning.action.is_entry or mode.text == SizeMode.FOLLOWER.value:
        return SignalSize()
    quantity = sizes.get("size.quantity")
    if mode.text != SizeMode.QUANTITY.value or quantity is None:
        raise InvalidValue("size.mode", "follower, or quantity with size.quantity", mode.text)
    return SignalSize(
        SizeMode.QUANTITY,
        parse_quantity(read_number(quantity.text, "size.quantity"), "size.quantity"),
    )


def _symbol(fields: Fields) -> Symbol:
    """Read the contract. All fields that name one must name the same. ``"instrument": "PERPETUAL"``
    beside one is a kind of contract and names none.
    """
    named = list(fields.named(SYMBOLS))
    contracts: list[tuple[Field, Symbol]] = []
    for each in named:
        try:
            contracts.append((each, read_contract(each.text, "symbol")))
        except InvalidValue:
            if each.name in MAIN_SYMBOLS:
                raise
    if not contracts:
        return read_contract(named[0].text if named else None, "symbol")
    sure = [
        (each, symbol)
        for each, symbol in contracts
        if each.name in MAIN_SYMBOLS or symbol.endswith(QUOTED_IN)
    ]
    (first, contract), *others = sure or contracts
    for each, symbol in others:
        if symbol != contract:
            raise InvalidValue(
                each.shown, f"the same contract as {first.shown}, or only one of the two", each.text
            )
    return contract


# Numbers and levels


def _price(fields: Fields) -> Price | None:
    """Read the order's own price. One in a list is the price of something else."""
    own = (each for each in fields.named(PRICES) if "[" not in each.path)
    return fields.agreed(own, lambda each: _parsed(each.text, each, parse_price))


def _leverage(fields: Fields) -> Ratio | None:
    def read(field: Field) -> Ratio | None:
        return _parsed((field.text or "").lower().removesuffix("x"), field, parse_ratio)

    return fields.agreed(fields.named(LEVERAGES), read)


def _parsed(text: str | None, field: Field, parse: Callable[[object, str], T]) -> T | None:
    """Read a number above zero. A zero counts as absent."""
    number = read_number(text, field.shown)
    return None if number == 0 else parse(number, field.shown)


def _level(fields: Fields, names: Sequence[str]) -> Price | None:
    """Read a stop or target: a price, or an object that contains its price and no other form of the
    level.
    """
    return fields.agreed(fields.named(names), lambda each: _one_level(fields, each))


def _one_level(fields: Fields, field: Field) -> Price | None:
    if field.text is not None:
        return None if field.text.lower() in FALSE else _parsed(field.text, field, parse_price)
    if fields.is_switched_off(field):
        return None
    numbers = [
        each for each in fields.inside(field) if each.has_number or each.name in LEVEL_PRICES
    ]
    if len(numbers) != 1 or numbers[0].name not in LEVEL_PRICES:
        raise InvalidValue(
            field.shown, "a price: percents, amounts and trailing stops are not read"
        )
    return _parsed(numbers[0].text, numbers[0], parse_price)


def _order_type(fields: Fields) -> OrderType:
    def read(field: Field) -> OrderType:
        for each in OrderType:
            if (field.text or "").upper() == each.value:
                return each
        raise InvalidValue(field.shown, "market or limit", field.text)

    soft = (
        each
        for each in fields.named(("type",))
        if (each.text or "").upper() in ORDER_WORDS or "limit" in (each.text or "").lower()
    )
    return fields.agreed((*fields.named(ORDER_TYPES), *soft), read) or OrderType.MARKET


def _seq(fields: Fields) -> int | None:
    field = fields.first(("seq",))
    return (
        int(field.text)
        if field is not None and field.text is not None and re.fullmatch("[0-9]{1,18}", field.text)
        else None
    )


def _is_test(fields: Fields) -> bool:
    def read(field: Field) -> bool:
        said = (field.text or "").lower()
        if said not in TRUE and said not in FALSE:
            raise InvalidValue(field.shown, "true or false", field.text)
        return said in TRUE

    return fields.agreed(fields.named(("test",)), read) or False


# Which alert, and when


def _key(fields: Fields) -> str | None:
    field = fields.first(_KEYS)
    if field is None:
        return None
    if field.text is None or not _KEY.fullmatch(field.text):
        raise InvalidValue("idempotency_key", "1 to 120 of A-Z, a-z, 0-9, '_', '-'", field.text)
    return field.text


def _sent_at(fields: Fields, received_at: datetime) -> datetime | None:
    """Read the sender's clock; None if it is absent or not a time."""
    for each in fields.named(CLOCKS):
        moment = _moment(each.text or "")
        if moment is not None:
            return moment
    longest = _bar(fields) or _LONGEST_BAR
    for each in fields.named((*CLOCKS, *TIMES)):
        other = _moment(each.text or "", zone=UTC)
        if other is None:
            continue
        age = received_at - other
        opened = each.name in TIMES and other.time() == time() and age <= longest + _SLACK
        if abs(age) <= _FIRED_JUST_NOW or (age > _DAY + _SLACK and not opened):
            return other
    return None


def _bar(fields: Fields) -> timedelta | None:
    """Read how long a bar of the chart is; a day for any below one, None if it is not told."""
    field = fields.first(INTERVALS)
    told = None if field is None else _INTERVAL.fullmatch(field.text or "")
    if field is None or field.text is None:
        return None
    return _DAY if told is None else int(told[1] or 1) * _BARS[told[2].upper()]


def _moment(text: str, zone: timezone | None = None) -> datetime | None:
    """Read a time with a zone, or seconds, milliseconds or microseconds since 1970. ``zone`` is for
    a time without one.
    """
    try:
        if _EPOCH.fullmatch(text):
            return _BEGINNING + timedelta(microseconds=int(text.ljust(16, "0")))
        moment = datetime.fromisoformat(text.strip())
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
        return moment.astimezone(UTC) if moment.tzinfo is not None and moment.year >= 2000 else None
    except (ValueError, OverflowError):
        return None
