"""Alerts of TradingView: what they mean, who may send them, and that nothing breaks the reader."""

import hashlib
import json
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


def delivery(body: bytes = b"buy BTCUSDT", token: str | None = TOKEN, peer: str = ADDRESSES[0]) -> Delivery:
    return Delivery(body, () if token is None else (("x-capability-token", token),), peer, NOW)


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
        ({"action": "sell", "position": "long", "size_before": "4", "size_after": "1"}, True, Action.REDUCE, LONG),
        ({"action": "buy", "position": "short", "size_before": 3, "size_after": 2}, False, Action.REDUCE, SHORT),
        ({"action": "close"}, False, Action.CLOSE, None),
        ({"action": "exit"}, False, Action.CLOSE, None),
        ({"action": "close_long"}, False, Action.CLOSE, LONG),
        ({"action": "close_short", "position": "flat"}, False, Action.CLOSE, SHORT),
    ],
)
def test_what_an_alert_means(fields: dict[str, object], reverses: bool, action: Action, side: PositionSide | None) -> None:
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
    draft = read_alert(alert(action="sell", position="long", size_before=before, size_after=after), NOW, reverses=False)
    assert draft.size == SignalSize(SizeMode.FRACTION, fraction=Ratio(Decimal(part)))


words = st.sampled_from(["buy", "sell", "long", "short", "open_long", "open_short", "close", "exit_short"])
positions = st.sampled_from(["", "long", "short", "flat"])
sizes = st.sampled_from(["", "0", "1", "2", "0.000000001"])


@given(words, positions, positions, sizes, sizes, st.booleans())
def test_a_sell_never_enters_the_long_side_and_a_buy_never_the_short(
    word: str, after: str, before: str, size_after: str, size_before: str, reverses: bool
) -> None:
    told = alert(action=word, position=after, before=before, size_after=size_after, size_before=size_before)
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


@pytest.mark.parametrize("text", ["BINANCE:BTCUSDT.P", "BTCUSDT", "btcusdt.p", "BYBIT:BTCUSDT.PERP", "BTCUSDTPERP"])
def test_a_contract_is_read_as_tradingview_writes_it(text: str) -> None:
    assert read_alert(alert(symbol=text), NOW, reverses=False).symbol == "BTCUSDT"


@pytest.mark.parametrize(
    "body", [b"buy BTCUSDT.P", b"action=buy symbol=BINANCE:BTCUSDT", b"  buy, BTCUSDT ", b'{"side":"buy","ticker":"BTCUSDT.P"}']
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
    assert key(alert(order_id="Long", timenow="1")) != key(alert(order_id="Long", timenow="1", size_after="2"))
    assert key(alert(id="Long"))[1] == 60
    assert key(alert(idempotency_key="k-1")) == ("tv-k-1", None) == key(alert(idempotency_key="k-1", price="2"))


@pytest.mark.parametrize("word", ["close", "exit_long", "sell"])
def test_a_close_is_not_refused_for_what_it_does_not_use(word: str) -> None:
    strange = {"price": "cheap", "leverage": "-3", "stop_loss": "low", "timenow": "now", "quantity": "all of it"}
    taken = read_alert(alert(action=word, **strange), NOW, reverses=False)
    assert replace(taken, dedupe_key="") == replace(read_alert(alert(action=word), NOW, reverses=False), dedupe_key="")
    if word != "sell":
        for name in ("position", "prev_position", "reduce_only", "market_postion"):
            assert read_alert(alert(action=word, **{name: "sideways"}), NOW, reverses=False).action is Action.CLOSE


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
    assert source.authenticate(delivery(), [source.new_secret(), KEY], NOW) == Authenticated(1, None)
    for wrong in (delivery(token="u" * 43), delivery(token=None), delivery(peer="10.0.0.1"), delivery(token="é")):
        with pytest.raises(NotAuthentic):
            source.authenticate(wrong, [KEY], NOW)
    doubled = Delivery(b"", (("x-capability-token", TOKEN), ("x-capability-token", TOKEN)), ADDRESSES[0], NOW)
    with pytest.raises(NotAuthentic):
        source.authenticate(doubled, [KEY], NOW)


@pytest.mark.parametrize("settings", [{"addresses": []}, {"addresses": ["here"]}, {"addresses": "52.89.214.238"}, {"other": 1}])
def test_a_setting_that_cannot_work_stops_the_start(settings: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        register_signal_sources(lambda source: None, settings)


objects = st.dictionaries(st.text(max_size=9), st.text(max_size=9)).map(lambda each: json.dumps(each).encode())


@given(st.one_of(st.binary(max_size=300), objects))
def test_every_text_is_a_draft_or_one_kind_of_refusal(body: bytes) -> None:
    try:
        draft = read_alert(body, NOW, reverses=True)
    except InvalidValue:
        return
    assert len(draft.dedupe_key) <= 128
