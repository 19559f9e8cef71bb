"""Which refused bodies read like an exit, and so wake people."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.exit_reading import reads_like_exit

EXITS = (
    '{"action": "exit", "ticker": "BTCUSDT",}',
    '{"action":"sell","ticker":"BTCUSDT.P","sentiment":"flat","quantity":"1",}',
    '{"marketPosition": "flat", "side": "buy"',
    "close BTCUSDT now please",
    "close_long",
    "EXIT-LONG_BINANCE_BTCUSDT_bot",
    "license,closelong,BTCUSDT",
    "closelongshort,BTCUSDT",
    "order sell @ 0.5 filled on BTCUSDT. New strategy position is 0",
    "EXCHANGE=binance;SYMBOL=BTCUSDT;SIGNAL=sell",
    '{"side": "buy", "symbol": "BTCUSDT", "reduceOnly": true,}',
    '{"side": "buy", "close_position": "true"}',
    '{"data": {"action": "buy", "position_size": "0"}, "symbol": "BTCUSDT"}',
    '{"market_position_size": 0.0, "action": "buy"}',
    "action%3Dclose%26symbol%3DBTCUSDT",
    '\ufeff{"action":"Flatten"}',
    '{"comment": "stop loss hit"\n, "action": "x"}',
    "cover BTCUSDT",
    "square off BTCUSDT",
    '{"action":"squareoff","symbol":"BTCUSDT",}',
    '{"action":"tp1","symbol":"BTCUSDT"}',
    '{"action":"sl","symbol":"BTCUSDT"}',
    "BTCUSDT stop hit",
    '{"action":"long","comment":"ATR trailing stop"}',
    '{"action":"long","comment":"target reached"}',
    '{"action":"long","id":"Buy Stop"}',
    '{"action":"partialClose","symbol":"BTCUSDT"}',
    '{"action":"longExit","symbol":"BTCUSDT",}',
    '{"action":"short_close","symbol":"BTCUSDT",}',
    '{"side":"buy","symbol":"BTCUSDT","close":{"price":"","checkProfit":false}}',
    '{"side":"buy","symbol":"BTCUSDT","exit":"on"}',
    '{"side":"long","symbol":"BTCUSDT","exit_reason":"weak"}',
)
NOT_EXITS = (
    '{"action": "buy", "ticker": "BTCUSDT", "close": "65000.5",}',
    '{"action":"buy","price":"{{close}}","symbol":"BTCUSDT"',
    '{"action": "open", "side": "LONG", "tevt": true}',
    '{"action":"long","marketPosition":"long","prevMarketPosition":"flatish"}'.replace(
        "flatish", "long"
    ),
    '{"action":"buy","close":{{close}},"exit_reason":null}',
    "buy BTCUSDT",
    "close=65000 action=buy symbol=BTCUSDT",
    '{"action": "buy", "position_size": "0.5", "reduce_only": false}',
    '{"action":"buy","sl":"60000","tp":"70000","slippage":"slow",}',
    "buy BTCUSDT sl=60000 tp=70000",
    "nothing disclosed",
    "",
    "\x00\xff",
)


@pytest.mark.parametrize("body", EXITS)
def test_words_of_an_exit_are_found_in_any_form(body: str) -> None:
    assert reads_like_exit(body.encode())
    assert reads_like_exit(body.upper().encode())
    assert reads_like_exit(body.encode("utf-16"))


@pytest.mark.parametrize("body", NOT_EXITS)
def test_an_entry_and_the_price_called_close_are_none(body: str) -> None:
    assert not reads_like_exit(body.encode())


def test_a_buy_is_an_exit_for_who_is_short() -> None:
    assert reads_like_exit(b'{"action": "buy",}', is_short=True)
    assert not reads_like_exit(b'{"action": "short",}', is_short=True)


@given(st.binary(max_size=2_000), st.booleans())
def test_any_bytes_have_an_answer(body: bytes, is_short: bool) -> None:
    assert reads_like_exit(body, is_short=is_short) in (True, False)


@pytest.mark.parametrize(
    "piece",
    [b'"', b"close ", b"a=", b"position ", b"{{", b"%7b", b"reduce", b"'a' ", b'position"', b"-"],
)
def test_a_long_body_costs_little(piece: bytes) -> None:
    body = (piece * 16_384)[:16_384]
    began = time.process_time()
    reads_like_exit(body)
    assert time.process_time() - began < 0.5
