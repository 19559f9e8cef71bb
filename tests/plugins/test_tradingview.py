"""Alerts of TradingView: what they mean, who may send them, and that nothing breaks the reader."""

import contextlib
import hashlib
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.tradingview import ADDRESSES, TradingView, register_signal_sources
from plugins.tradingview.alert import read_alert
from rexalgo import (
    Action,
    Authenticated,
    Delivery,
    InvalidValue,
    NotAuthentic,
    OrderType,
    PositionSide,
    Ratio,
    Secret,
    SignalSize,
    SizeMode,
)

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
TOKEN = "t" * 43
KEY = Secret(hashlib.sha256(TOKEN.encode()).hexdigest())


def alert(**fields: object) -> bytes:
    return json.dumps({"action": "buy", "symbol": "BTCUSDT", **fields}).encode()


def delivery(
    body: bytes = b"buy BTCUSDT", token: str | None = TOKEN, peer: str = ADDRESSES[0]
) -> Delivery:
    return Delivery(body, (), peer, NOW, None if token is None else Secret(token))


@pytest.mark.parametrize(
    ("fields", "reverses", "action", "side"),
    [
        ({"action": "buy"}, False, Action.OPEN, LONG),
        ({"action": "LONG"}, False, Action.OPEN, LONG),
        ({"action": "open_long"}, False, Action.OPEN, LONG),
        ({"action": "short"}, False, Action.OPEN, SHORT),
        ({"action": "sell"}, False, Action.CLOSE, LONG),
        ({"action": "sell"}, True, Action.REVERSE, SHORT),
        ({"action": "sell", "position": "short"}, False, Action.REVERSE, SHORT),
        ({"action": "sell", "position": "flat"}, True, Action.CLOSE, None),
        ({"action": "buy", "position": "flat"}, False, Action.CLOSE, None),
        ({"action": "buy", "position": "long"}, True, Action.REVERSE, LONG),
        ({"action": "buy", "position": "long"}, False, Action.REVERSE, LONG),
        ({"action": "buy"}, True, Action.REVERSE, LONG),
        ({"action": "long"}, True, Action.REVERSE, LONG),
        ({"action": "short"}, True, Action.REVERSE, SHORT),
        ({"action": "open_short"}, True, Action.OPEN, SHORT),
        ({"action": "buy", "position": "long", "before": "flat"}, True, Action.OPEN, LONG),
        ({"action": "buy", "position": "long", "before": "long"}, True, Action.ADD, LONG),
        ({"action": "sell", "position": "short", "before": "short"}, False, Action.ADD, SHORT),
        ({"action": "sell", "position": "short", "before": "long"}, False, Action.REVERSE, SHORT),
        ({"action": "buy", "position": "long", "before": "short"}, False, Action.REVERSE, LONG),
        ({"action": "sell", "position": "short", "before": "long"}, True, Action.REVERSE, SHORT),
        (
            {"action": "sell", "position": "long", "size_before": "4", "size_after": "1"},
            True,
            Action.REDUCE,
            LONG,
        ),
        (
            {"action": "buy", "position": "short", "size_before": 3, "size_after": 2},
            False,
            Action.REDUCE,
            SHORT,
        ),
        ({"action": "close"}, False, Action.CLOSE, None),
        ({"action": "exit"}, False, Action.CLOSE, None),
        ({"action": "close_long"}, False, Action.CLOSE, LONG),
        ({"action": "close_short", "position": "flat"}, False, Action.CLOSE, SHORT),
    ],
)
def test_what_an_alert_means(
    fields: dict[str, object], reverses: bool, action: Action, side: PositionSide | None
) -> None:
    draft = read_alert(alert(**fields), NOW, reverses=reverses)
    assert (draft.action, draft.side, draft.symbol) == (action, side, "BTCUSDT")


@pytest.mark.parametrize(
    ("before", "after", "part"),
    [
        ("4", "1", "0.75"),
        ("3", "2", "0.333333333333"),
        ("1.5", "0.5", "0.666666666667"),
        ("0.30000000000000004", "0.1", "0.666666666667"),
        ("1", "0.9999999999999999", "0.000000000001"),
        ("1", "1e-20", "0.999999999999"),
    ],
)
def test_a_part_that_was_closed_is_told_as_its_fraction(before: str, after: str, part: str) -> None:
    draft = read_alert(
        alert(action="sell", position="long", size_before=before, size_after=after),
        NOW,
        reverses=False,
    )
    assert draft.size == SignalSize(SizeMode.FRACTION, fraction=Ratio(Decimal(part)))


words = st.sampled_from(
    ["buy", "sell", "long", "short", "open_long", "open_short", "close", "exit_short"]
)
positions = st.sampled_from(["", "long", "short", "flat"])
sizes = st.sampled_from(["", "0", "1", "2", "0.000000001"])


@given(words, positions, positions, sizes, sizes, st.booleans())
def test_a_sell_never_enters_the_long_side_and_a_buy_never_the_short(
    word: str, after: str, before: str, size_after: str, size_before: str, reverses: bool
) -> None:
    told = alert(
        action=word, position=after, before=before, size_after=size_after, size_before=size_before
    )
    try:
        draft = read_alert(told, NOW, reverses=reverses)
    except InvalidValue:
        return
    if draft.action in (Action.OPEN, Action.ADD, Action.REVERSE):
        assert draft.side is (LONG if word in ("buy", "long", "open_long") else SHORT)
        assert after in ("", draft.side.value.lower())


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ("2026-11-24T09:59:58Z", NOW - timedelta(seconds=2)),
        ("2026-11-24T10:59:58+01:00", NOW - timedelta(seconds=2)),
        ("2026-11-24T09:59:58", NOW - timedelta(seconds=2)),
        ("2026-11-24T09:00:00", None),
        ("yesterday", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-23:00", None),
    ],
)
def test_the_senders_clock_is_read_where_it_is_a_time(told: str, at: datetime | None) -> None:
    assert read_alert(alert(timenow=told), NOW, reverses=False).sent_at == at


def test_the_time_of_a_bar_is_no_senders_clock() -> None:
    assert read_alert(alert(time="2026-11-24T09:00:00Z"), NOW, reverses=False).sent_at is None


@pytest.mark.parametrize(
    "text", ["BINANCE:BTCUSDT.P", "BTCUSDT", "btcusdt.p", "BYBIT:BTCUSDT.PERP", "BTCUSDTPERP"]
)
def test_a_contract_is_read_as_tradingview_writes_it(text: str) -> None:
    assert read_alert(alert(symbol=text), NOW, reverses=False).symbol == "BTCUSDT"


@pytest.mark.parametrize(
    "body",
    [
        b"buy BTCUSDT.P",
        b"action=buy symbol=BINANCE:BTCUSDT",
        b"  buy, BTCUSDT ",
        b'{"side":"buy","ticker":"BTCUSDT.P"}',
    ],
)
def test_plain_text_and_other_names_are_taken(body: bytes) -> None:
    draft = read_alert(body, NOW, reverses=False)
    assert (draft.action, draft.side, draft.symbol) == (Action.OPEN, LONG, "BTCUSDT")


def test_a_repetition_is_the_same_bytes_and_no_id_of_an_order() -> None:
    def key(body: bytes) -> tuple[str, int | None]:
        draft = read_alert(body, NOW, reverses=False)
        return draft.dedupe_key, draft.repeats_s

    assert key(alert(id="Long")) == key(alert(id="Long"))
    assert key(alert(id="Long")) != key(alert(id="Long", price="2"))
    assert key(alert(order_id="Long", timenow="1")) != key(
        alert(order_id="Long", timenow="1", size_after="2")
    )
    assert key(alert(id="Long"))[1] == 60
    assert (
        key(alert(idempotency_key="k-1"))
        == ("tv-k-1", None)
        == key(alert(idempotency_key="k-1", price="2"))
    )


@pytest.mark.parametrize("word", ["close", "exit_long", "sell"])
def test_a_close_is_not_refused_for_what_it_does_not_use(word: str) -> None:
    strange = {
        "price": "cheap",
        "leverage": "-3",
        "stop_loss": "low",
        "timenow": "now",
        "quantity": "all of it",
    }
    taken = read_alert(alert(action=word, **strange), NOW, reverses=False)
    assert replace(taken, dedupe_key="") == replace(
        read_alert(alert(action=word), NOW, reverses=False), dedupe_key=""
    )
    if word != "sell":
        for name in ("position", "prev_position", "reduce_only", "market_postion"):
            assert (
                read_alert(alert(action=word, **{name: "sideways"}), NOW, reverses=False).action
                is Action.CLOSE
            )


UNFIT = [
    (b"", "body"),
    (b"{", "body"),
    (b"[1]", "body"),
    (b"\xff", "body"),
    (b"dance BTCUSDT", "action"),
    (b"buy", "symbol"),
    (b"buy !!", "symbol"),
    (alert(position="sideways"), "position"),
    (alert(before="sideways"), "before"),
    (alert(action="sell", position="long"), "position"),
    (alert(action="open_short", position="long", size_before="2", size_after="1"), "position"),
    (alert(action="sell", position="long", size_before="1", size_after="2"), "position"),
    (alert(action="sell", position="long", size_before="NaN", size_after="1"), "size_before"),
    (alert(action="sell", position="long", size_before="much", size_after="1"), "size_before"),
    (alert(price="cheap"), "price"),
    (alert(price="-5"), "price"),
]


@pytest.mark.parametrize(("body", "field"), UNFIT)
def test_what_does_not_fit_names_its_field(body: bytes, field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        read_alert(body, NOW, reverses=False)
    assert caught.value.field == field


def test_only_the_token_from_their_addresses_proves_an_alert() -> None:
    source = TradingView()
    assert source.authenticate(delivery(), [source.new_secret(), KEY], NOW) == Authenticated(
        1, None
    )
    for wrong in (
        delivery(token="u" * 43),
        delivery(token=None),
        delivery(peer="10.0.0.1"),
        delivery(token="é"),
    ):
        with pytest.raises(NotAuthentic):
            source.authenticate(wrong, [KEY], NOW)
    in_a_header = Delivery(b"", (("x-capability-token", TOKEN),), ADDRESSES[0], NOW)
    with pytest.raises(NotAuthentic):
        source.authenticate(in_a_header, [KEY], NOW)


@pytest.mark.parametrize(
    ("settings", "action"),
    [({}, Action.CLOSE), ({"sell": "close"}, Action.CLOSE), ({"sell": "reverse"}, Action.REVERSE)],
)
def test_what_a_master_chose_for_an_address_decides_a_bare_order(
    settings: dict[str, str], action: Action
) -> None:
    told = replace(delivery(b"sell BTCUSDT"), settings=settings)
    assert TradingView().parse(told, Authenticated(0, None)).action is action


@pytest.mark.parametrize(
    "settings",
    [{"addresses": []}, {"addresses": ["here"]}, {"addresses": "52.89.214.238"}, {"other": 1}],
)
def test_a_setting_that_cannot_work_stops_the_start(settings: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        register_signal_sources(lambda source: None, settings)


objects = st.dictionaries(st.text(max_size=9), st.text(max_size=9)).map(
    lambda each: json.dumps(each).encode()
)


@given(st.one_of(st.binary(max_size=300), objects))
def test_every_text_is_a_draft_or_one_kind_of_refusal(body: bytes) -> None:
    try:
        draft = read_alert(body, NOW, reverses=True)
    except InvalidValue:
        return
    assert len(draft.dedupe_key) <= 128


# Forms


TWO_FACED = [
    ('{"action":"buy","symbol":"BTCUSDT","comment":"one\ntwo\tthree"}', Action.OPEN, LONG),
    ('\ufeff{"action":"close","symbol":"BTCUSDT"}', Action.CLOSE, None),
    ('```json\n{"action":"close","symbol":"BTCUSDT"}\n```', Action.CLOSE, None),
    ('[{"action":"close","symbol":"BTCUSDT"}]', Action.CLOSE, None),
    (
        "{\u201caction\u201d: \u201cclose\u201d, \u201csymbol\u201d: \u201cBTCUSDT\u201d}",
        Action.CLOSE,
        None,
    ),
    ('{"action":"buy","symbol":"BTCUSDT","price":NaN}', Action.OPEN, LONG),
    ("action = close; symbol = BTC/USDT", Action.CLOSE, None),
    ("action=exit-long\nsymbol=BTCUSDT", Action.CLOSE, LONG),
    ("action=close&symbol=BINANCE%3ABTCUSDT.P", Action.CLOSE, None),
    ("close long BTCUSDT", Action.CLOSE, LONG),
    ("EXIT-SHORT BTCUSDT", Action.CLOSE, SHORT),
    ("closelong BTCUSDT", Action.CLOSE, LONG),
    ("BTCUSDT.P exit short", Action.CLOSE, SHORT),
    ("Sell to close, BTCUSDT", Action.CLOSE, LONG),
    ("flatten BTCUSDT", Action.CLOSE, None),
    ("cover BTC-USDT-SWAP", Action.CLOSE, SHORT),
    ("openLong BTC_USDT", Action.OPEN, LONG),
    ("reverse to short BTCUSDT", Action.REVERSE, SHORT),
    ("cancel BTCUSDT", Action.CANCEL, None),
    ("EXIT-ALL_Binance_BTC/USDT_bot_5M_abc", Action.CLOSE, None),
    ("60123456789,closelongshort,BTCUSDT", Action.CLOSE, None),
    ("buy BTCUSDT price=65000 sl=64000", Action.OPEN, LONG),
]


@pytest.mark.parametrize(("text", "action", "side"), TWO_FACED)
def test_a_form_that_can_be_read_in_one_way_is_read(
    text: str, action: Action, side: PositionSide | None
) -> None:
    draft = read_alert(text.encode(), NOW, reverses=False)
    assert (draft.action, draft.side, draft.symbol) == (action, side, "BTCUSDT")


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("65,000.5", "65000.5"),
        ("6.5e4", "65000"),
        (6.5e4, "65000"),
        ("5e-05", "0.00005"),
        (0.1 + 0.2, "0.3"),
        ("0.30000000000000004", "0.3"),
        ("65000.12345678901234", "65000.123456789012"),
        ("N/A", None),
        ("na", None),
        ("", None),
        (None, None),
        ("{{close}}", None),
        ("0", None),
    ],
)
def test_numbers_are_read_as_programs_write_them(told: object, read: str | None) -> None:
    draft = read_alert(alert(price=told, leverage="10x"), NOW, reverses=False)
    assert (draft.price, draft.leverage) == (None if read is None else Decimal(read), 10)


# What ends flat, and what only reduces

FLATS: list[dict[str, object]] = [
    {"sentiment": "flat"},
    {"market_position": "FLAT"},
    {"marketPosition": "flat"},
    {"position": "flat"},
    {"position": "0"},
    {"position_size": "0"},
    {"position_size": 0},
    {"positionSize": "0.0"},
    {"position_size": "5.5e-17"},
    {"market_position_size": 0},
    {"strategy_info": {"market_position": "flat"}},
    {"strategy": {"market_position": "flat"}},
    {"data": {"position_size": "0"}},
    {"strategy": {"order": {"x": 1}, "marketPosition": "flat"}},
    {"position_after": "0"},
    {"newPosition": "flat"},
    {"alerts": [{"market_position": "flat"}]},
    {"sentiment": "flat", "prev_market_position": "sideways"},
    {"sentiment": "flat", "reduce_only": "maybe"},
    {"sentiment": "flat", "current_position": "long"},
    {"sentiment": "flat", "side": "up"},
]
REDUCES: list[dict[str, object]] = [
    {"reduce_only": True},
    {"reduceOnly": "true"},
    {"reduce_only": 1},
    {"closeOnTrigger": True},
    {"close_position": "TRUE"},
    {"closePosition": "yes"},
    {"order": {"reduceOnly": True}},
    {"reduce-only": "1"},
]
entering = st.sampled_from(
    ["buy", "sell", "long", "short", "open_long", "enter_short", "BUY", "add_long", "reverse_short"]
)
extras = st.dictionaries(
    st.sampled_from(
        [
            "price",
            "quantity",
            "time",
            "comment",
            "order_id",
            "id",
            "signal",
            "prev_position",
            "contracts",
            "leverage",
            "sl",
        ]
    ),
    st.sampled_from(
        [
            "",
            "long",
            "short",
            "1",
            "65,000.5",
            "{{close}}",
            "Long",
            None,
            True,
            "2026-11-24T10:00:00Z",
            "-1",
        ]
    ),
    max_size=4,
)


@given(entering, st.sampled_from(FLATS), extras, st.booleans())
def test_what_ends_flat_is_a_close_in_every_spelling(
    word: str, flat: dict[str, object], more: dict[str, object], turns: bool
) -> None:
    draft = read_alert(alert(**{"action": word, **more, **flat}), NOW, reverses=turns)
    assert draft.action is Action.CLOSE


@given(entering, st.sampled_from(REDUCES), extras, positions, st.booleans())
def test_what_only_reduces_enters_nothing(
    word: str, mark: dict[str, object], more: dict[str, object], after: str, turns: bool
) -> None:
    told = {"position": after} if after else {}
    try:
        draft = read_alert(alert(**{"action": word, **more, **told, **mark}), NOW, reverses=turns)
    except InvalidValue:
        return
    assert draft.action in (Action.CLOSE, Action.REDUCE)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"market_position": "sideways"}, "market_position"),
        ({"strategy_info": {"market_position": "?"}}, "strategy_info.market_position"),
        ({"market_position": "{{strategy.market_position}}"}, "market_position"),
        ({"position": ""}, "position"),
        ({"position": None}, "position"),
        ({"position": {"side": "long"}}, "position"),
        ({"position_size": "N/A"}, "position_size"),
        ({"prev_market_position": "up", "position": "long"}, "prev_market_position"),
        ({"reduce_only": "maybe"}, "reduce_only"),
        ({"reduceOnly": None}, "reduceOnly"),
        ({"current_position": "flat"}, "current_position"),
        ({"marketpositon": "flat"}, "marketpositon"),
        ({"pos": "flat"}, "pos"),
        ({"side": "sell"}, "side"),
        ({"ticker": "ETHUSDT"}, "ticker"),
        ({"data": {"action": "sell"}}, "data.action"),
        ({"sentiment": "flat", "position": "long"}, "position"),
        ({"position": "long", "position_size": "-1"}, "position_size"),
        ({"position": "long", "size_after": "0"}, "size_after"),
        ({"test": "maybe"}, "test"),
        ({"order_type": "stop"}, "order_type"),
        ({"positionIdx": 1}, "positionIdx"),
        ({"Symbol": "BTCUSDT"}, "Symbol"),
        ({"quantity": "all"}, "quantity"),
        ({"stopLoss": {"percent": 2}}, "stopLoss"),
        ({"sl": "1%"}, "sl"),
    ],
)
def test_what_cannot_be_read_or_contradicts_is_refused_by_its_name(
    fields: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        read_alert(alert(**fields), NOW, reverses=False)
    assert caught.value.field == field


CLOSING: list[dict[str, object]] = [
    {"type": "exit"},
    {"order": "close short"},
    {"intent": "EXIT"},
    {"ends": "flat"},
    {"offset": "CLOSE"},
    {"comment": "Exit Short"},
    {"data": {"event": "cover"}},
    {"id": "Close entry(s) order Short"},
    {"exit": True},
    {"is_close": 1},
    {"close": "yes"},
    {"close_pos": "yes"},
]


@pytest.mark.parametrize("fields", CLOSING)
@pytest.mark.parametrize("turns", [False, True])
def test_a_bare_order_beside_a_word_that_closes_closes_what_it_reduces(
    fields: dict[str, object], turns: bool
) -> None:
    draft = read_alert(alert(**{"action": "buy", **fields}), NOW, reverses=turns)
    assert (draft.action, draft.side) == (Action.CLOSE, SHORT)
    told = read_alert(
        alert(action="buy", market_position="long", comment="exit", id="Close", close="1"),
        NOW,
        reverses=turns,
    )
    assert told.action is Action.REVERSE


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"action": "buy", "comment": "Exit Long"}, "comment"),
        ({"action": "enter_long", "type": "exit"}, "type"),
        ({"action": "reverse_short", "exit": True}, "exit"),
        ({"action": "buy", "posn": "short"}, "posn"),
        ({"action": "sell", "currPos": "long"}, "currPos"),
    ],
)
def test_an_order_beside_a_word_that_contradicts_it_is_refused(
    fields: dict[str, object], field: str
) -> None:
    for turns in (False, True):
        with pytest.raises(InvalidValue) as caught:
            read_alert(alert(**fields), NOW, reverses=turns)
        assert caught.value.field == field


@pytest.mark.parametrize(
    "fields",
    [
        {"exit": False},
        {"exit": "64000.5"},
        {"close": "1"},
        {"comment": "crossed the average"},
        {"trend": "long"},
    ],
)
def test_a_bare_order_beside_other_words_still_enters(fields: dict[str, object]) -> None:
    assert (
        read_alert(alert(**{"action": "buy", **fields}), NOW, reverses=False).action is Action.OPEN
    )


@pytest.mark.parametrize("key", ["trend-7", "{{timenow}}", "2026-11-24T10:00:00Z", 7, ""])
@pytest.mark.parametrize(
    ("fields", "action"),
    [
        ({"action": "close"}, Action.CLOSE),
        ({"action": "close_long", "close_percent": 50}, Action.REDUCE),
        ({"action": "sell", "reduce_only": True, "close_percent": 50}, Action.REDUCE),
        ({"action": "reduce", "side": "LONG", "size": {"fraction": "0.5"}}, Action.REDUCE),
        ({"action": "set_protection", "stop_loss": "60000"}, Action.SET_PROTECTION),
        ({"action": "reverse", "side": "SHORT"}, Action.REVERSE),
        ({"action": "sell", "position": "short", "before": "long"}, Action.REVERSE),
        ({"action": "cancel"}, Action.CANCEL),
    ],
)
def test_an_exit_is_not_lost_to_a_key_that_is_the_same_in_every_alert(
    fields: dict[str, object], action: Action, key: object
) -> None:
    drafts = [
        read_alert(alert(**fields, idempotency_key=key, price=price), NOW, reverses=False)
        for price in ("1", "2")
    ]
    assert drafts[0].dedupe_key != drafts[1].dedupe_key
    assert [(each.action, each.repeats_s) for each in drafts] == [(action, 60)] * 2


@pytest.mark.parametrize(
    ("name", "age", "is_told"),
    [
        ("timenow", timedelta(days=2), True),
        ("time", timedelta(days=2), True),
        ("timestamp", timedelta(days=2), True),
        ("date", timedelta(days=400), True),
        ("time", timedelta(hours=4), False),
        ("time", timedelta(days=1, seconds=9), False),
        ("time", timedelta(seconds=2), True),
        ("timestamp", timedelta(minutes=1), False),
    ],
)
@pytest.mark.parametrize("form", ["iso", "seconds", "milliseconds"])
def test_an_alert_older_than_a_day_is_not_fresh_whichever_field_tells(
    name: str, age: timedelta, is_told: bool, form: str
) -> None:
    at = NOW - age
    seconds = int(at.timestamp())
    told = {"iso": at.isoformat(), "seconds": seconds, "milliseconds": str(seconds * 1000)}[form]
    assert read_alert(alert(**{name: told}), NOW, reverses=False).sent_at == (
        at if is_told else None
    )


def test_our_own_body_is_read_at_this_door_too() -> None:
    own = {
        "idempotency_key": "k",
        "action": "open",
        "symbol": "BTCUSDT",
        "side": "LONG",
        "order_type": "LIMIT",
        "price": "65000.1",
        "leverage": "5",
        "stop_loss": "64000",
        "take_profit": "67000",
        "sent_at": "2026-11-24T09:59:58Z",
        "size": {"mode": "quantity", "quantity": "0.5"},
        "seq": 17,
        "position_after": "0.02",
        "test": True,
    }
    draft = read_alert(json.dumps(own).encode(), NOW, reverses=False)
    assert (draft.action, draft.side, draft.order_type, draft.price) == (
        Action.OPEN,
        LONG,
        OrderType.LIMIT,
        Decimal("65000.1"),
    )
    assert (draft.stop_loss, draft.take_profit, draft.seq, draft.is_test, draft.size.quantity) == (
        64000,
        67000,
        17,
        True,
        Decimal("0.5"),
    )
    part = {
        "action": "reduce",
        "symbol": "BTCUSDT",
        "size": {"mode": "fraction", "fraction": "0.25"},
        "idempotency_key": "r",
    }
    assert read_alert(json.dumps(part).encode(), NOW, reverses=False).size.fraction == Decimal(
        "0.25"
    )
    moved = {
        "action": "set_protection",
        "symbol": "BTCUSDT",
        "stop_loss": "none",
        "take_profit": "70000",
        "idempotency_key": "p",
    }
    protection = read_alert(json.dumps(moved).encode(), NOW, reverses=False)
    assert (protection.no_stop_loss, protection.take_profit) == (True, 70000)


names = st.sampled_from(
    [
        "action",
        "side",
        "symbol",
        "position",
        "prev_position",
        "reduce_only",
        "size",
        "price",
        "Action",
        "data",
        "time",
        "x",
    ]
)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from(["buy", "flat", "BTCUSDT", "long"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(names, st.text(max_size=5)), inner, max_size=4),
    ),
    max_leaves=8,
)
words_of_text = st.lists(
    st.sampled_from(
        [
            "buy",
            "close",
            "long",
            "BTCUSDT",
            "=",
            "a=b",
            ";",
            "\n",
            "{",
            "}",
            '"',
            "&",
            "ENTER-LONG_",
            "5",
        ]
    )
)


@given(
    st.one_of(
        st.dictionaries(names, values, max_size=6).map(json.dumps),
        words_of_text.map(" ".join),
        words_of_text.map("".join),
    )
)
def test_no_alert_gives_anything_but_a_draft_or_one_kind_of_refusal(text: str) -> None:
    try:
        read_alert(text.encode(errors="surrogatepass"), NOW, reverses=False)
    except InvalidValue as error:
        error.field.encode()
        error.expected.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"a" * 16_000,
        b"a." * 8_000,
        b"a=b " * 4_000,
        b"```" + b" " * 15_000 + b"x```",
        b"```" * 5_000,
        b"order buy @ " * 1_300,
        b"[" * 16_000,
        b"order" + b" " * 15_000 + b"x",
        b'{"a":' * 3_000,
        b"x=1&" * 4_000,
        b"=" * 16_000,
        b"- " * 8_000,
        b'{"' + b"a" * 15_000 + b'":1,"action":"buy","symbol":"BTCUSDT"}',
        b"order buy @ 1 filled on " + b"." * 15_000,
        json.dumps(
            {"action": "buy", "symbol": "BTCUSDT", **{f"marketpsit{n:03}": 1 for n in range(95)}}
        ).encode(),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_no_body_holds_the_door_up(body: bytes) -> None:
    """It reads in a fraction of a second: each of these took seconds with a pattern that looks
    again from every letter.
    """
    began = time.process_time()
    with contextlib.suppress(InvalidValue):
        read_alert(body, NOW, reverses=False)
    assert time.process_time() - began < 1


def test_the_type_of_an_order_is_read_and_another_type_is_not() -> None:
    assert (
        read_alert(alert(type="LIMIT", price="5"), NOW, reverses=False).order_type
        is OrderType.LIMIT
    )
    assert read_alert(alert(type="alert"), NOW, reverses=False).order_type is OrderType.MARKET
    with pytest.raises(InvalidValue):
        read_alert(alert(type="STOP", price="5"), NOW, reverses=False)
