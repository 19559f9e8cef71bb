"""Alerts of TradingView: what they mean, who may send them, and that nothing breaks the reader."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.tradingview import ADDRESSES, TradingView, register_signal_sources
from plugins.tradingview.alert import read_alert, read_symbol
from rexalgo import Action, Authenticated, Delivery, InvalidValue, NotAuthentic, PositionSide, Secret

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
        ({"action": "sell", "position": "short"}, False, Action.OPEN, SHORT),
        ({"action": "sell", "position": "flat"}, True, Action.CLOSE, None),
        ({"action": "buy", "position": "flat"}, False, Action.CLOSE, None),
        ({"action": "buy", "position": "long"}, True, Action.REVERSE, LONG),
        ({"action": "close"}, False, Action.CLOSE, None),
        ({"action": "exit"}, False, Action.CLOSE, None),
        ({"action": "close_long"}, False, Action.CLOSE, LONG),
        ({"action": "close_short", "position": "flat"}, False, Action.CLOSE, SHORT),
    ],
)
def test_what_an_alert_means(fields: dict[str, object], reverses: bool, action: Action, side: PositionSide | None) -> None:
    draft = read_alert(alert(**fields), NOW, reverses=reverses)
    assert (draft.action, draft.side, draft.symbol) == (action, side, "BTCUSDT")


@pytest.mark.parametrize("text", ["BINANCE:BTCUSDT.P", "BTCUSDT", "btcusdt.p", "BYBIT:BTCUSDT.PERP", "BTCUSDTPERP"])
def test_a_contract_is_read_as_tradingview_writes_it(text: str) -> None:
    assert read_symbol(text) == "BTCUSDT"


@pytest.mark.parametrize(
    "body", [b"buy BTCUSDT.P", b"action=buy symbol=BINANCE:BTCUSDT", b"  buy, BTCUSDT ", b'{"side":"buy","ticker":"BTCUSDT.P"}']
)
def test_plain_text_and_other_names_are_taken(body: bytes) -> None:
    draft = read_alert(body, NOW, reverses=False)
    assert (draft.action, draft.side, draft.symbol) == (Action.OPEN, LONG, "BTCUSDT")


def test_a_repetition_is_told_from_a_new_alert() -> None:
    def key(body: bytes, later_s: int = 0) -> str:
        return read_alert(body, NOW + timedelta(seconds=later_s), reverses=False).dedupe_key

    assert key(alert(id="a1")) == key(alert(id="a1", price="1"), 500) == "tv-a1"
    assert key(alert(order_id="Long", time="2026-11-24T10:00:00Z")) == key(alert(order_id="Long", time="2026-11-24T10:00:00Z"), 500)
    assert key(alert(order_id="Long", time="1")) != key(alert(order_id="Long", time="2"))
    assert key(alert()) == key(alert(), 30) != key(alert(), 90)


UNFIT = [
    (b"", "action"),
    (b"{", "body"),
    (b"[1]", "action"),
    (b"\xff", "body"),
    (b"dance BTCUSDT", "action"),
    (b"buy", "symbol"),
    (b"buy !!", "symbol"),
    (alert(position="sideways"), "position"),
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
