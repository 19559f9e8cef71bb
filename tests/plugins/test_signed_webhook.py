"""The signed webhook source: what is authenticated, what a body may contain, and that every input
gives one of three answers.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins import signed_webhook
from plugins.signed_webhook import SignedWebhook
from rexalgo import (
    Action,
    Authenticated,
    Delivery,
    InvalidValue,
    NotAuthentic,
    OrderType,
    PositionSide,
    Secret,
    SignalDraft,
    SizeMode,
    WebhookSource,
    sign_a,
    sign_b,
)

NOW = datetime(2026, 11, 23, 10, 0, 5, tzinfo=UTC)
SOURCE = SignedWebhook()
KEY = SOURCE.new_secret()
FULL = {
    "idempotency_key": "s1-2026-11-23-0001",
    "action": "open",
    "symbol": "BTCUSDT",
    "side": "LONG",
    "order_type": "MARKET",
    "price": "65000.1",
    "leverage": "5",
    "stop_loss": "64000",
    "take_profit": "67000",
    "sent_at": "2026-11-23T10:00:00Z",
    "size": {"mode": "follower"},
    "seq": 17,
    "position_after": "0.02",
}
OPEN = {"idempotency_key": "k-1", "action": "open", "symbol": "BTCUSDT", "side": "LONG"}
CLOSE = {"idempotency_key": "k-1", "action": "close", "symbol": "BTCUSDT"}


def delivery(body: bytes, headers: Mapping[str, str]) -> Delivery:
    return Delivery(
        body, tuple((name.lower(), value) for name, value in headers.items()), "192.0.2.1", NOW
    )


def in_a(body: bytes) -> Delivery:
    return delivery(body, sign_a(KEY, body, NOW))


def in_b(body: bytes, id: str = "k-1") -> Delivery:
    return delivery(body, sign_b(KEY, body, id, NOW))


def in_both(body: bytes, id: str = "k-1") -> Delivery:
    return delivery(body, sign_a(KEY, body, NOW) | sign_b(KEY, body, id, NOW))


def read(came: Delivery) -> SignalDraft:
    return SOURCE.parse(came, SOURCE.authenticate(came, [KEY], NOW))


def read_json(value: object) -> SignalDraft:
    return read(in_a(json.dumps(value).encode()))


def refused(body: bytes, field: str, expected: str = "") -> None:
    with pytest.raises(InvalidValue) as caught:
        read(in_a(body))
    assert caught.value.field == field
    assert expected in caught.value.expected


def test_body_version_1_is_read_exactly() -> None:
    draft = read_json(FULL)
    assert draft == SignalDraft(
        dedupe_key="s1-2026-11-23-0001",
        action=Action.OPEN,
        symbol=draft.symbol,
        side=PositionSide.LONG,
        order_type=OrderType.MARKET,
        price=draft.price,
        leverage=draft.leverage,
        stop_loss=draft.stop_loss,
        take_profit=draft.take_profit,
        sent_at=datetime(2026, 11, 23, 10, tzinfo=UTC),
        seq=17,
        position_after="0.02",
    )
    prices = (draft.price, draft.leverage, draft.stop_loss, draft.take_profit)
    assert prices == (Decimal("65000.1"), Decimal(5), Decimal(64000), Decimal(67000))
    assert draft.symbol == "BTCUSDT"


def test_the_least_body_closes() -> None:
    assert read_json(CLOSE) == SignalDraft("k-1", Action.CLOSE, read_json(CLOSE).symbol)


def test_json_numbers_keep_every_digit() -> None:
    draft = read(
        in_a(
            b'{"idempotency_key":"k","action":"open","side":"LONG","symbol":"BTCUSDT","price":0.100000000001,"sl":64000.123456789012}'
        )
    )
    assert draft.price == Decimal("0.100000000001")
    assert draft.stop_loss == Decimal("64000.123456789012")


@pytest.mark.parametrize("alias", ["sl", "stoploss_price", "stoplosPrice", "stop_loss"])
def test_every_alias_of_the_stop_is_read(alias: str) -> None:
    assert read_json(OPEN | {alias: "1.5"}).stop_loss == Decimal("1.5")


@pytest.mark.parametrize("alias", ["tp", "takeprofit_price", "takeprofitPrice", "take_profit"])
def test_every_alias_of_the_target_is_read(alias: str) -> None:
    assert read_json(OPEN | {alias: 1.5}).take_profit == Decimal("1.5")


def test_trigger_type_is_the_order_type() -> None:
    assert read_json(OPEN | {"trigger_type": "LIMIT", "price": "5"}).order_type is OrderType.LIMIT


def test_field_and_alias_may_say_the_same_but_not_differ() -> None:
    assert read_json(
        OPEN | {"stop_loss": "64000", "sl": 64000.0, "stoploss_price": None}
    ).stop_loss == Decimal(64000)
    refused(
        json.dumps(OPEN | {"stop_loss": "64000", "sl": "64001"}).encode(),
        "sl",
        "the same value as stop_loss",
    )
    refused(
        json.dumps(OPEN | {"order_type": "MARKET", "trigger_type": "LIMIT", "price": 1}).encode(),
        "trigger_type",
    )


def test_unknown_fields_are_ignored_and_counted() -> None:
    draft = read_json(
        CLOSE | {"comment": {"a": [1, {"b": "\U0001f600"}]}, "strategy": None, "text": "t"}
    )
    assert draft == read_json(CLOSE)
    assert (draft.ignored_fields, read_json(CLOSE).ignored_fields) == (3, 0)


@pytest.mark.parametrize(
    "name",
    [
        "tevt",
        "tset",
        "tst",
        "Testt",
        "dry_run",
        "isTest",
        "stop_los",
        "take_proffit",
        "sied",
        "leverag",
        "sent_att",
        "lever_age",
    ],
)
def test_a_misspelt_field_is_refused_by_its_name(name: str) -> None:
    body = json.dumps(OPEN | {name: True}).encode()
    if name == "lever_age":
        refused(body, "leverage")
    else:
        refused(body, name, "this one is not known")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reduce_only", True),
        ("reduceOnly", "TRUE"),
        ("closePosition", 1),
        ("close_on_trigger", "yes"),
        ("market_position", "flat"),
        ("position", "Flat"),
        ("sentiment", "flat"),
        ("position_after", "0"),
        ("position_size", 0),
        ("positionAfter", 0.0),
        ("reduce", True),
        ("closeOrder", True),
        ("liquidate", "on"),
        ("close_position", 1.0),
        ("order", {"reduceOnly": True}),
        ("order", {"params": {"isReduceOnly": "on"}}),
        ("orders", [{"qty": 1, "close_only": 1}]),
        ("flags", ["post_only", "reduce_only"]),
        ("size", {"mode": "follower", "reduceOnly": True}),
    ],
)
def test_an_entry_that_says_it_only_reduces_or_ends_flat_is_refused(
    name: str, value: object
) -> None:
    for action in ("open", "add", "reverse"):
        with pytest.raises(InvalidValue, match=r'none of it beside an entry, or "action": "close"'):
            read_json(OPEN | {"action": action, name: value})
    assert read_json(CLOSE | {name: value}).action is Action.CLOSE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reduce_only", False),
        ("position", "long"),
        ("position_size", "0.5"),
        ("position_id", 0),
        ("position_after", "2"),
        ("reduce", 0),
        ("order", {"reduceOnly": False}),
        ("order", {"reduceOnly": None, "type": "market"}),
        ("candle", {"open": 1, "close": 1}),
        ("stop_order", {"reduceOnly": True}),
        ("orders", [{"reduceOnly": False}, {"reduceOnly": True}]),
        ("before", {"position": "flat"}),
    ],
)
def test_an_entry_is_taken_beside_what_says_no_close(name: str, value: object) -> None:
    assert read_json(OPEN | {name: value}).action is Action.OPEN


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"paper": True, "testnet": True}, "paper"),
        ({"demo": "yes"}, "demo"),
        ({"is_sandbox": 1}, "is_sandbox"),
        ({"account": {"paper_trading": "on"}}, "account.paper_trading"),
        ({"mode": "paper"}, "mode"),
        ({"mode": "Test"}, "mode"),
        ({"mode": "testing"}, "mode"),
        ({"trading_mode": "simulated"}, "trading_mode"),
        ({"bot": {"environment": "testnet"}}, "bot.environment"),
        ({"type": "LIMIT", "price": "1000"}, "type"),
        ({"order": {"type": "limit", "price": 1}}, "order.type"),
        ({"type": "STOP_MARKET"}, "type"),
        ({"limit_price": "1000"}, "limit_price"),
        ({"triggerPrice": "1000"}, "triggerPrice"),
        ({"stopPrice": "60000"}, "stopPrice"),
        ({"stop_loss_percent": 2}, "stop_loss_percent"),
        ({"stop": "60000"}, "stop"),
        ({"trailing_stop": True}, "trailing_stop"),
        ({"trailingStop": {"percent": "1%"}}, "trailingStop"),
        ({"tp1": "70000"}, "tp1"),
        ({"targets": [70000, 71000]}, "targets"),
        ({"take_profit": "70000", "stop": "60000"}, "stop"),
        ({"market_position": "short"}, "market_position"),
        ({"position_after": "-0.5"}, "position_after"),
        ({"position_size": -0.5}, "position_size"),
        ({"side": "SHORT", "position_after": 0.5}, "position_after"),
        ({"side": "SHORT", "sentiment": "long"}, "sentiment"),
        ({"action": "reverse", "side": "SHORT", "position_after": 0.5}, "position_after"),
        ({"action": "reverse", "side": "SHORT", "new_position": "long"}, "new_position"),
    ],
)
def test_an_entry_is_refused_beside_what_would_be_lost_and_an_exit_is_not(
    told: dict[str, object], field: str
) -> None:
    refused(json.dumps(OPEN | told).encode(), field)
    for action in ("close", "cancel"):
        assert read_json(OPEN | told | {"action": action}).action.value == action


@pytest.mark.parametrize(
    "told",
    [
        {"paper": False, "demo": "account 7", "mode": "live", "sandbox": 0},
        {"mode": "hedge", "environment": "production", "account_type": "unified"},
        {"type": "signal"},
        {"type": "market"},
        {"order_type": "LIMIT", "price": "1000", "type": "LIMIT", "limit_price": "1000"},
        {"orderType": "MARKET", "type": "limit"},
        {"limit_price": None, "trigger_price": 0},
        {"stop_loss": "60000", "stop_loss_percent": 2, "stopPrice": "60000"},
        {"take_profit": "70000", "tp1": "70000"},
        {"trailing_stop": False, "stop": "", "tp1": 0, "targets": [], "tp2": None},
        {"trailing": {"enabled": False, "percent": 1}},
        {"callback": "https://bot.example/8080", "target": "the moon"},
        {"order": {"stop_loss": "60000"}},
        {"market_position": "LONG", "position_after": "0.5"},
        {"side": "SHORT", "market_position": "short", "position_after": "-0.5"},
        {"side": "SHORT", "position_size": "0.5", "sentiment": "bullish"},
        {"action": "reverse", "side": "SHORT", "market_position": "long", "position": 0.5},
        {"before": {"position": "short"}, "prev_market_position": "short"},
    ],
)
def test_an_entry_is_taken_beside_what_loses_nothing(told: dict[str, object]) -> None:
    assert read_json(OPEN | told).action.is_entry


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"size": {"fraction": "0.5"}}, "size.fraction"),
        ({"size": {"mode": "follower", "fraction": "0.5"}}, "size.fraction"),
        ({"size": {"Mode": "FRACTION", "fraction": 0.5}}, "size.Mode"),
        ({"size": {"mode": "fraction"}}, "size.mode"),
        ({"size": {"mode": "fraction", "fraction": "0.0"}}, "size.mode"),
        ({"size": {"mode": "fraction", "fraction": 25}}, "size.mode"),
        ({"size": "50%"}, "size"),
        ({"size": "0.5 %"}, "size"),
        ({"size": ["50%"]}, "size"),
        ({"fraction": "0.5"}, "fraction"),
        ({"fraction": "1%"}, "fraction"),
        ({"close_fraction": 0.25}, "close_fraction"),
        ({"exitFraction": "50%"}, "exitFraction"),
        ({"reduce_fraction": ".5"}, "reduce_fraction"),
        ({"closePercent": "50%"}, "closePercent"),
        ({"close_pct": "1%"}, "close_pct"),
        ({"exit_percent": 99.9}, "exit_percent"),
        ({"exit_pct": 0.5}, "exit_pct"),
        ({"reduce_percent": "25"}, "reduce_percent"),
        ({"closePercentage": 50}, "closePercentage"),
        ({"close_percentage": "50%"}, "close_percentage"),
        ({"exit_percentage": 50}, "exit_percentage"),
        ({"percent_to_close": "50"}, "percent_to_close"),
        ({"order": {"fraction": "0.5"}}, "order.fraction"),
        ({"order": [{"close_percent": 50}]}, "order.close_percent"),
        ({"order": {"size": {"mode": "fraction", "fraction": "0.5"}}}, "order.size.mode"),
    ],
)
def test_a_close_that_states_a_part_is_refused_and_names_reduce(
    told: dict[str, object], field: str
) -> None:
    refused(json.dumps(CLOSE | told).encode(), field, 'to close a part, send "action": "reduce"')
    refused(json.dumps(CLOSE | {"side": "LONG"} | told).encode(), field)


@pytest.mark.parametrize(
    "told",
    [
        {"size": None},
        {"size": ""},
        {"size": {}},
        {"size": {"mode": "follower", "fraction": None, "quantity": ""}},
        {"size": {"mode": "quantity", "quantity": "0.5"}},
        {"size": {"mode": "quantity"}},
        {"size": {"quantity": "0.02"}},
        {"size": {"mode": "half", "percent": 50}},
        {"size": {"fraction": "1"}},
        {"size": {"fraction": "-0.5"}},
        {"size": {"fraction": "0.0"}},
        {"size": {"mode": "fraction", "fraction": 1.0}},
        {"size": {"mode": "fraction", "fraction": "100%"}},
        {"size": "100%"},
        {"size": "0%"},
        {"size": "-50%"},
        {"size": "1e9999999%"},
        {"size": "half"},
        {"size": "0.5"},
        {"size": 0.5},
        {"fraction": 1},
        {"fraction": 0},
        {"fraction": -0.5},
        {"fraction": "x"},
        {"fraction": None},
        {"percent": 50},
        {"percent": -2.4},
        {"pct": 0.3},
        {"position_pct": 0.05},
        {"qty_pct": 99.9},
        {"close_pct": "1.0"},
        {"close_pct": 100},
        {"percent_to_close": 100},
        {"close_percent": "100 %"},
        {"close_percent": 0},
        {"exit_percent": -5},
        {"close_percent": 250},
        {"reduce_percent": "NaN"},
        {"order": {"percent": 50, "fraction": 1, "size": {"mode": "quantity", "quantity": "1"}}},
        {"pnl": {"fraction": 0.5}},
        {"pnl_percent": 3.5},
        {"quantity": "0.02"},
        {"take_profits": [{"close_percent": 50}]},
        {"levels": [{"close_percent": 50}, {"close_percent": 50}]},
        {"position_after": "0"},
        {"position_after": "0.5"},
        {"position_after": None},
    ],
)
def test_a_close_is_not_refused_for_what_states_no_part_in_so_many_words(
    told: dict[str, object],
) -> None:
    closes = read_json(CLOSE | told)
    assert replace(closes, ignored_fields=0) == read_json(CLOSE)


SIDES = ("positionSide", "position_side", "POSSIDE", "holdSide")


@pytest.mark.parametrize("name", SIDES)
def test_the_side_of_a_position_is_read_under_the_names_of_other_services(name: str) -> None:
    long = read_json(CLOSE | {"side": "LONG"})
    for told in ({name: "LONG"}, {name: "long", "side": "LONG"}, {"order": {name: "LONG"}}):
        assert replace(read_json(CLOSE | told), ignored_fields=0) == long
    for told in ({name: "BOTH"}, {name: None}, {name: "net"}, {"stop": {name: "LONG"}}):
        assert replace(read_json(CLOSE | told), ignored_fields=0) == read_json(CLOSE)
    assert read_json(CLOSE | {name: "LONG", "more": 1}).ignored_fields == 1
    assert read_json(OPEN | {name: "BOTH"}) == read_json(OPEN)
    opened = {each: OPEN[each] for each in ("idempotency_key", "action", "symbol")}
    assert read_json(opened | {name: "SHORT"}).side is PositionSide.SHORT
    refused(json.dumps(CLOSE | {"side": "SHORT", name: "LONG"}).encode(), name)
    for action in ("open", "add"):
        for told in ({"order": {name: "SHORT"}}, {"order": {name: "up"}}):
            body = OPEN | {"action": action} | told
            refused(json.dumps(body).encode(), f"order.{name}")


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("value", ["buy", "up", 1, 0, True, [], {}])
def test_an_exit_is_not_refused_for_a_side_of_another_service_that_cannot_be_read(
    name: str, value: object
) -> None:
    for action in ("close", "cancel"):
        body = CLOSE | {"action": action, "side": "LONG"}
        assert replace(read_json(body | {name: value}), ignored_fields=0) == read_json(body)
    assert read_json(CLOSE | {name: value}).ignored_fields == 1


@pytest.mark.parametrize("name", SIDES)
def test_a_reverse_that_names_the_side_it_leaves_is_taken(name: str) -> None:
    body = OPEN | {"action": "reverse", "side": "SHORT"}
    for value in ("LONG", "SHORT", "BOTH", "buy", 1):
        turned = read_json(body | {name: value})
        assert replace(turned, ignored_fields=0) == read_json(body)
        assert turned.ignored_fields == 1
    assert read_json(body | {"order": {name: "LONG"}}).side is PositionSide.SHORT


def test_a_byte_order_mark_and_a_raw_line_break_refuse_nothing() -> None:
    body = json.dumps(CLOSE | {"comment": "a-b"}).encode()
    for spelt in (b"\xef\xbb\xbf" + body, body.replace(b"a-b", b"a\n\tb")):
        assert read(in_a(spelt)) == read(in_a(body))


def test_an_exit_is_not_refused_for_a_slip_in_what_it_does_not_use() -> None:
    assert read_json(CLOSE | {"prise": 1, "stop_los": 2, "sent_att": 3}) == read_json(CLOSE)
    refused(json.dumps(CLOSE | {"tevt": True}).encode(), "tevt")
    refused(
        json.dumps(CLOSE | {"action": "set_protection", "sl": 5, "take_proffit": 3}).encode(),
        "take_proffit",
    )


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"action": "OPEN", "side": "long"}, {}),
        ({"symbol": "BINANCE:BTCUSDT.P"}, {}),
        ({"symbol": "btc-usdt-swap"}, {}),
        ({"price": "6.5e4"}, {"price": "65000"}),
        ({"price": "65,000.5"}, {"price": "65000.5"}),
        ({"stop_loss": 0.1 + 0.2}, {"stop_loss": "0.3"}),
        (
            {"stopLoss": "5", "orderType": "market", "SentAt": "2026-11-23T10:00:00Z"},
            {"sl": "5", "sent_at": "2026-11-23T10:00:00Z"},
        ),
    ],
)
def test_cases_spellings_and_forms_of_numbers_are_read(
    changes: dict[str, object], same: dict[str, object]
) -> None:
    assert read_json(OPEN | changes) == read_json(OPEN | same)


def test_a_field_in_two_cases_is_refused_and_broken_json_tells_the_place() -> None:
    refused(json.dumps(OPEN | {"Side": "SHORT"}).encode(), "side", "once")
    refused(
        b'{"action":"open",\n "symbol":"BTCUSDT",}',
        "body",
        "a comma with nothing behind it, at line 2, column 20",
    )


BAD_FIELDS: list[tuple[str, object, str]] = [
    ("idempotency_key", None, "idempotency_key"),
    ("idempotency_key", "", "idempotency_key"),
    ("idempotency_key", "a b", "idempotency_key"),
    ("idempotency_key", "a" * 129, "idempotency_key"),
    ("idempotency_key", 5, "idempotency_key"),
    ("idempotency_key", "k\n", "idempotency_key"),
    ("action", None, "action"),
    ("action", "flip", "action"),
    ("action", ["open"], "action"),
    ("symbol", None, "symbol"),
    ("symbol", "BTC", "symbol"),
    ("symbol", "B" * 33, "symbol"),
    ("symbol", "BTC USDT", "symbol"),
    ("symbol", "BTC/USD:BTC", "symbol"),
    ("side", "up", "side"),
    ("side", None, "side"),
    ("side", {}, "side"),
    ("order_type", "STOP", "order_type"),
    ("order_type", [], "order_type"),
    ("price", "0", "price"),
    ("price", -1, "price"),
    ("price", "1e33", "price"),
    ("price", "65,000", "price"),
    ("price", True, "price"),
    ("price", "", "price"),
    ("price", [1], "price"),
    ("price", "NaN", "price"),
    ("price", 10**15, "price"),
    ("leverage", "0", "leverage"),
    ("stop_loss", "x", "stop_loss"),
    ("take_profit", {}, "take_profit"),
    ("sent_at", "2026-11-23T10:00:00", "sent_at"),
    ("sent_at", "2026-02-30T10:00:00Z", "sent_at"),
    ("sent_at", 1763892000, "sent_at"),
    ("sent_at", "0001-01-01T00:00:00+14:00", "sent_at"),
    ("sent_at", "9999-12-31T23:59:59-14:00", "sent_at"),
    ("sent_at", "now", "sent_at"),
    ("sent_at", "1999-12-31T23:59:59Z", "sent_at"),
    ("sent_at", "2026-11-23T10:00:00+99:00", "sent_at"),
    ("sent_at", "2026-11-23 10:00:00Z", "sent_at"),
    ("size", "follower", "size"),
    ("size", {"mode": "all"}, "size.mode"),
    ("size", {"mode": "quantity"}, "size.quantity"),
    ("size", {"mode": "quantity", "quantity": "0"}, "size.quantity"),
    ("size", {"mode": "follower", "quantity": "1"}, "size.quantity"),
    ("seq", "17", "seq"),
    ("seq", 1.5, "seq"),
    ("seq", -1, "seq"),
    ("seq", True, "seq"),
    ("seq", 10**18, "seq"),
    ("position_after", "x", "position_after"),
    ("position_after", {}, "position_after"),
    ("test", "true", "test"),
    ("test", 1, "test"),
]


@pytest.mark.parametrize(("name", "value", "field"), BAD_FIELDS)
def test_bad_field_is_named(name: str, value: object, field: str) -> None:
    read_json(FULL)
    refused(json.dumps(FULL | {name: value}).encode(), field)


def test_an_unknown_action_is_refused_with_the_known_ones() -> None:
    refused(
        json.dumps(FULL | {"action": "flip"}).encode(),
        "action",
        "one of open, add, reduce, close, reverse, set_protection, cancel",
    )


def test_every_action_can_be_said() -> None:
    more = {
        Action.REDUCE: {"size": {"mode": "fraction", "fraction": "0.25"}},
        Action.SET_PROTECTION: {"stop_loss": "none", "take_profit": "70000"},
    }
    for action in Action:
        body = {
            "idempotency_key": "k",
            "action": action.value,
            "symbol": "BTCUSDT",
            "side": "LONG",
            **more.get(action, {}),
        }
        draft = read(in_a(json.dumps(body).encode()))
        assert draft.action is action
    moved = read(
        in_a(
            json.dumps({**CLOSE, "action": "set_protection", "sl": "none", "tp": "70000"}).encode()
        )
    )
    assert (moved.no_stop_loss, moved.stop_loss, moved.no_take_profit, str(moved.take_profit)) == (
        True,
        None,
        False,
        "70000",
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action": "reduce"}, "size.mode"),
        ({"action": "reduce", "size": {"mode": "fraction", "fraction": "1"}}, "size.fraction"),
        ({"action": "close", "size": {"mode": "fraction", "fraction": "0.5"}}, "size.mode"),
        ({"action": "set_protection"}, "stop_loss"),
        ({"action": "open", "side": "LONG", "stop_loss": "none"}, "stop_loss"),
        ({"action": "set_protection", "stop_loss": "off"}, "stop_loss"),
    ],
)
def test_what_an_action_needs_is_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        read(in_a(json.dumps(CLOSE | changes).encode()))
    assert caught.value.field == field


UNUSED = {
    "price": "cheap",
    "leverage": "0",
    "order_type": "STOP",
    "trigger_type": [],
    "stop_loss": "none",
    "sl": "64000",
    "take_profit": {},
    "size": {"mode": "quantity"},
    "sent_at": "yesterday",
    "seq": "17",
    "position_after": "x",
}


@pytest.mark.parametrize("action", ["close", "cancel", "reduce"])
def test_an_exit_is_not_refused_for_what_it_does_not_use(action: str) -> None:
    size = {"size": {"mode": "fraction", "fraction": "0.5"}} if action == "reduce" else {}
    body = CLOSE | {"action": action} | size
    assert read_json({**UNUSED, **body}) == read_json(body)
    for strange in (b"NaN", b"-Infinity", b"1e99", b"9" * 65):
        told = (
            json.dumps(body).encode()[:-1]
            + b',"price":'
            + strange
            + b',"more":[{"deep":'
            + strange
            + b"}]}"
        )
        assert read(in_a(told)) == read_json(body)


def test_moving_protection_reads_levels_and_nothing_else() -> None:
    moved = read_json(
        {**UNUSED, **CLOSE, "action": "set_protection", "stop_loss": "64000", "take_profit": "none"}
    )
    assert (moved.stop_loss, moved.no_take_profit, moved.price, moved.leverage, moved.seq) == (
        Decimal(64000),
        True,
        None,
        None,
        None,
    )
    refused(
        json.dumps(CLOSE | {"action": "set_protection", "stop_loss": "low"}).encode(), "stop_loss"
    )


@pytest.mark.parametrize(
    ("name", "value"), [("side", "up"), ("test", "true"), ("symbol", "btc"), ("idempotency_key", 5)]
)
def test_an_exit_is_still_refused_for_what_it_uses(name: str, value: object) -> None:
    refused(json.dumps(CLOSE | {name: value}).encode(), name)


@pytest.mark.parametrize(
    ("told", "part"),
    [
        (0.1 + 0.2, "0.3"),
        ("0.333333333333333333333", "0.333333333333"),
        (1e-30, "0.000000000001"),
        ("1e-1", "0.1"),
        ("0.99999999999999999", "0.999999999999"),
    ],
)
def test_the_part_to_close_is_rounded_and_not_refused(told: object, part: str) -> None:
    draft = read_json(CLOSE | {"action": "reduce", "size": {"mode": "fraction", "fraction": told}})
    assert draft.size.fraction == Decimal(part)


def test_limit_order_needs_a_price() -> None:
    refused(json.dumps(FULL | {"order_type": "LIMIT", "price": None}).encode(), "price")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T10:00:00.123456789Z", datetime(2026, 11, 23, 10, 0, 0, 123456, UTC)),
        ("2026-11-23t12:00:00.5+02:00", datetime(2026, 11, 23, 10, 0, 0, 500000, UTC)),
        ("2026-11-23T10:00:00z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
    ],
)
def test_times_are_read_with_their_zone(text: str, moment: datetime) -> None:
    draft = read_json(CLOSE | {"sent_at": text})
    assert draft.sent_at == moment
    assert draft.sent_at.tzinfo is UTC


def test_size_sequence_and_test_mark_are_read() -> None:
    draft = read_json(
        FULL
        | {
            "side": "SHORT",
            "size": {"mode": "quantity", "quantity": "0.50", "x": 1},
            "test": True,
            "position_after": -0.0200,
        }
    )
    assert (draft.size.mode, draft.size.quantity, draft.is_test) == (
        SizeMode.QUANTITY,
        Decimal("0.5"),
        True,
    )
    assert draft.position_after == "-0.02"


BAD_JSON = [
    b"",
    b"hello",
    b"[]",
    b"1",
    b"null",
    b'"x"',
    b"{",
    b'{"a":1}}',
    b'{"a":1,"a":1}',
    b'{"x":{"a":1,"a":2}}',
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b'{"a":-Infinity}',
    b"\xff\xfe{}",
    b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\\ud800"}',
    b'{"\\udfff":1}',
    b'{"a":["\\ud83d"]}',
    b'{"a":' + b"9" * 65 + b"}",
    b"9" * 16384,
    b'{"a":' + b"9" * 16000 + b"}",
    b'{"a":1e41}',
    b'{"a":1e-99}',
    b'{"a":1e999999999999999999999}',
    b'{"a":1e999999999}',
    b"[" * 16384,
    b'{"a":' * 3000,
    b'{"a":' + b"[" * 8 + b"]" * 8 + b"}",
    b"{'a':1}",
    b'{"a":01}',
    b'{"a":"' + b"x" * 16384 + b'"}',
    b'"' + b'\\"' * 8000 + b"\\",
    b'{"a":1,}',
    b"\x00",
]


@pytest.mark.parametrize("body", BAD_JSON, ids=lambda body: repr(body[:20]))
def test_body_that_is_not_strict_json_is_refused(body: bytes) -> None:
    refused(body, "body")


def test_eight_levels_are_read_and_brackets_in_texts_do_not_count() -> None:
    deep = (
        b'{"idempotency_key":"k","action":"close","symbol":"BTCUSDT","x":'
        + b"[" * 7
        + b"]" * 7
        + b',"y":"[[[[[[[[[[\\"[["}'
    )
    assert read(in_a(deep)).dedupe_key == "k"


def test_dialect_a_needs_the_key_in_the_body_and_b_does_not() -> None:
    bare = json.dumps({"action": "close", "symbol": "BTCUSDT"}).encode()
    refused(bare, "idempotency_key", "an id that is new for each signal")
    assert read(in_b(bare, "id-9")).dedupe_key == "id-9"
    assert read(in_b(json.dumps(CLOSE).encode(), "k-1")).dedupe_key == "k-1"


def test_in_b_a_key_in_the_body_must_equal_the_header() -> None:
    with pytest.raises(
        InvalidValue, match="idempotency_key: expected the same id as the header webhook-id"
    ):
        read(in_b(json.dumps(CLOSE).encode(), "other"))


def test_with_both_dialects_another_id_is_not_authentic() -> None:
    body = json.dumps(CLOSE).encode()
    assert read(in_both(body)).dedupe_key == "k-1"
    with pytest.raises(NotAuthentic):
        SOURCE.authenticate(in_both(body, "other"), [KEY], NOW)


def test_with_both_dialects_a_bad_body_is_told_to_the_proven_sender() -> None:
    for body, field in (
        (b"{", "body"),
        (b'{"action":"close","symbol":"BTCUSDT"}', "idempotency_key"),
    ):
        came = in_both(body)
        proof = SOURCE.authenticate(came, [KEY], NOW)
        with pytest.raises(InvalidValue) as caught:
            SOURCE.parse(came, proof)
        assert caught.value.field == field


def test_stranger_and_dummy_key_get_the_same_answer() -> None:
    came = in_a(json.dumps(FULL).encode())
    with pytest.raises(NotAuthentic):
        SOURCE.authenticate(came, [SOURCE.new_secret()], NOW)


def test_new_secrets_are_32_random_bytes_in_the_shown_form() -> None:
    texts = {SOURCE.new_secret().reveal() for _ in range(20)}
    assert len(texts) == 20
    assert all(
        text.startswith("whsec_") and len(base64.b64decode(text[6:], validate=True)) == 32
        for text in texts
    )


def test_window_is_a_setting_with_bounds() -> None:
    found: list[WebhookSource] = []
    signed_webhook.register_signal_sources(found.append, {"window_a_s": 900})
    body = json.dumps(CLOSE).encode()
    old = delivery(body, sign_a(KEY, body, NOW.replace(minute=0, hour=10)))
    late = NOW.replace(minute=14)
    assert isinstance(found[0].authenticate(old, [KEY], late), Authenticated)
    with pytest.raises(NotAuthentic):
        SOURCE.authenticate(old, [KEY], late)
    for value in (29, 901, "60", 60.0, True, None):
        with pytest.raises(
            InvalidValue,
            match=r"plugin\.signed_webhook\.window_a_s: expected a whole number from 30 to 900",
        ):
            signed_webhook.register_signal_sources(found.append, {"window_a_s": value})
    with pytest.raises(InvalidValue, match=r"plugin\.signed_webhook\.windw"):
        signed_webhook.register_signal_sources(found.append, {"windw": 60})
    assert signed_webhook.rexalgo_api_version == 1


any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["open", "LONG", "BTCUSDT", "k", "1.5"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)
field_names = st.sampled_from([*FULL, "sl", "tp", "trigger_type", "stoplosPrice", "test", "extra"])
bodies = st.one_of(
    st.binary(max_size=200),
    st.text(alphabet='{}[]":,\\eE+-.0123456789 aud8\x00', max_size=200).map(str.encode),
    any_json.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(field_names, any_json, max_size=4).map(
        lambda changed: json.dumps(FULL | changed).encode()
    ),
    st.tuples(
        st.sampled_from([b"[", b'{"a":', b"9", b'\\"', b'"', b"-", b"\\ud800", b"1e"]),
        st.integers(0, 16384),
    ).map(lambda t: t[0] * t[1]),
    st.integers(0, 300).map(lambda cut: json.dumps(FULL).encode()[:cut]),
)


@given(body=bodies, how=st.sampled_from([in_a, in_b, in_both]))
def test_every_signed_body_gives_a_draft_or_one_of_two_refusals(body: bytes, how) -> None:  # type: ignore[no-untyped-def]
    try:
        draft = read(how(body))
    except InvalidValue as refusal:
        str(refusal).encode()  # can be logged
    except NotAuthentic:
        assert how is in_both
    else:
        assert isinstance(draft, SignalDraft)


@given(
    body=bodies,
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                ["x-rexalgo-signature", "webhook-id", "webhook-timestamp", "webhook-signature"]
            ),
            st.text(max_size=120),
        ),
        max_size=5,
    ),
)
def test_nothing_unsigned_is_ever_authentic(body: bytes, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(NotAuthentic):
        SOURCE.authenticate(
            Delivery(body, tuple(headers), "192.0.2.1", NOW), [KEY, Secret(KEY.reveal())], NOW
        )
