"""Alerts as people and services write them, each with what its author meant."""

from datetime import UTC, datetime

import pytest

from engine.decisions.exit_reading import reads_like_exit
from plugins.tradingview.alert import read_alert
from rexalgo import InvalidValue, plain

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def becomes(body: str, *, reverses: bool = False) -> str:
    """Return what an alert comes to, such as ``close short``, ``reduce long by 0.5`` or ``422
    comment``.
    """
    try:
        draft = read_alert(body.encode(), NOW, reverses=reverses)
    except InvalidValue as error:
        return f"422 {error.field}"
    side = "" if draft.side is None else f" {draft.side.value.lower()}"
    part = "" if draft.size.fraction is None else f" by {plain(draft.size.fraction)}"
    return f"{draft.action.value}{side}{part}"


def beside(fields: str, action: str = "buy") -> str:
    return f'{{"action":"{action}","symbol":"BTCUSDT",{fields}}}'


# A buy or sell that is named an exit

EXITS = (
    ('"order_id":"Close position order"', "close short"),
    ('"order_id":"Close entry(s) order Short"', "close short"),
    ('"comment":"Close position order"', "close short"),
    ('"comment":"Margin call"', "close short"),
    ('"order_id":"Exit Short"', "close short"),
    ('"order_id":"Exit Short 1"', "close short"),
    ('"order_id":"SL Short Exit"', "close short"),
    ('"order_id":"Short TP1"', "close short"),
    ('"order_id":"ShortTP1"', "close short"),
    ('"order_id":"Short Cover"', "close short"),
    ('"comment":"Short Stop Loss"', "close short"),
    ('"comment":"short_stop_loss"', "close short"),
    ('"comment":"TP 1 hit"', "close short"),
    ('"comment":"RSI exit"', "422 comment"),
    ('"comment":"RSI exits oversold"', "422 comment"),
    ('"comment":"RSI exits oversold","stop_loss":60000,"leverage":5', "422 comment"),
    ('"comment":"Chandelier Exit Buy!"', "422 comment"),
    ('"id":"Chandelier Exit Short"', "422 id"),
    ('"comment":"Closing price > VWAP"', "422 comment"),
    ('"comment":"Closing > 50"', "422 comment"),
    ('"comment":"Liquidation cascade"', "422 comment"),
    ('"reason":"market close"', "422 reason"),
    ('"comment":"Margin call avoided"', "open long"),
    ('"comment":"Выход exit"', "422 comment"),
    (f'"comment":"Exit {"1 " * 100}"', "422 comment"),
    ('"comment":"TP1"', "close short"),
    ('"comment":"TP1","quantity":"1","price":"65000"', "close short"),
    ('"comment":"TP1","stop_loss":60000', "422 comment"),
    ('"comment":"Exit Short","take_profit":"70000"', "close short"),
    ('"comment":"Exit Short","leverage":5', "close short"),
    ('"comment":"Exit","leverage":5', "422 comment"),
    ('"comment":"Exit Short 1","leverage":"5x"', "422 comment"),
    ('"comment":"Exit Short 1","sl":{"price":"60000"}', "422 comment"),
    ('"comment":"Exit Short 1","tp1":"70000"', "422 comment"),
    ('"comment":"Exit Short 1","trailing_stop":true', "422 comment"),
    ('"comment":"Exit Short 1","takeProfits":[{"price":"70000"}]', "422 comment"),
    ('"comment":"TP1","sl":"0","tp":"","leverage":null,"stop":{"enabled":false}', "close short"),
    ('"order_id":"Close position order","leverage":5,"sl":"60000"', "close short"),
    ('"reduce":true,"leverage":5', "close short"),
    ('"event":"bar_close"', "open long"),
    ('"event":"once_per_bar_close"', "open long"),
    ('"event":"onBarClose"', "open long"),
    ('"comment":"Candle closed"', "open long"),
    ('"comment":"Long on close"', "open long"),
    ('"comment":"Close of the candle"', "open long"),
    ('"event":"closed bar","stop_loss":60000', "open long"),
    ('"event":"on_close_short"', "close short"),
    ('"comment":"Exit Short on bar close"', "close short"),
    ('"comment":"Exit at close"', "close short"),
    ('"comment":"position close"', "close short"),
    ('"comment":"Exit on disclosed bars"', "422 comment"),
    ('"strategy":{"order":{"id":"Short TP1"}}', "close short"),
    ('"order_id":"Short Target 1"', "close short"),
    ('"comment":"Trailing stop"', "close short"),
    ('"strategy.order.id":"Short TP1"', "close short"),
    ('"strategy.order.comment":"Close position order"', "close short"),
    ('"isExit":true', "close short"),
    ('"exit_signal":true', "close short"),
    ('"close_short":true', "close short"),
    ('"close_long":true', "422 close_long"),
    ('"reduce":"50%"', "reduce short by 0.5"),
    ('"reduce":true', "close short"),
    ('"execInst":"ReduceOnly"', "close short"),
    ('"execInst":"ParticipateDoNotInitiate,ReduceOnly"', "close short"),
    ('"execInst":"Close"', "close short"),
    ('"is_closing":true', "close short"),
    ('"intent":"take_profit"', "close short"),
    ('"signal":"Exit Short 1"', "close short"),
    ('"comment":"Long TP1"', "422 comment"),
    ('"comment":"Exit Long 2"', "422 comment"),
    ('"order_id":"Buy Stop"', "422 order_id"),
    ('"comment":"Stop and reverse"', "422 comment"),
    ('"comment":"Re-entry after SL"', "422 comment"),
    ('"comment":"Exit and reverse"', "422 comment"),
    ('"comment":"Short close below the average"', "422 comment"),
    ('"type":"stop_loss"', "422 type"),
    ('"type":"trailing"', "422 type"),
    ('"type":"exit"', "close short"),
    ('"comment":"TP 70000 SL 60000"', "422 comment"),
    ('"comment":"close above the average"', "422 comment"),
    ('"comment":"Golden cross","id":"Long"', "open long"),
    ('"comment":"unstoppable","id":"closet"', "open long"),
    ('"comment":"exit","market_position":"long"', "reverse long"),
    # the kind of an event, and the reason of an exit
    ('"signal_type":"close"', "close short"),
    ('"event_type":"POSITION_CLOSED"', "close short"),
    ('"event_name":"TP1_HIT"', "close short"),
    ('"alert_type":"stop_loss"', "close short"),
    ('"trade_type":"stop_loss"', "422 trade_type"),
    ('"trade_type":"MARKET"', "open long"),
    ('"trade_type":"futures","alert_type":"price_alert","signal_type":"entry"', "open long"),
    ('"alert_type":"once_per_bar_close"', "open long"),
    ('"exit_reason":"stop_loss"', "close short"),
    ('"close_reason":"RSI above 70"', "422 close_reason"),
    ('"exit_reason":"weak"', "422 exit_reason"),
    ('"exit_reason":"","close_reason":null', "open long"),
    ('"exit_reason":"none","close_reason":false', "open long"),
    ('"typeOfSignal":"exit"', "close short"),
    ('"order":"close"', "422 order"),
    ('"foo":"close"', "422 foo"),
    ('"ma_source":"close","inputs":{"field":"close"}', "open long"),
    ('"trigger_price":"close","frequency":"close","candle":"close"', "open long"),
    ('"source":"close_short"', "close short"),
    # what became of an order or a position
    ('"status":"closed"', "422 status"),
    ('"order_status":"stopped out"', "422 order_status"),
    ('"status":"POSITION_CLOSED"', "422 status"),
    ('"status":"exited"', "422 status"),
    ('"status":"liquidated"', "422 status"),
    ('"status":"open"', "open long"),
    ('"status":"bar closed"', "open long"),
    # the script's own message of the order
    ('"alert_message":"Short TP1"', "close short"),
    ('"message":"Short TP1"', "close short"),
    ('"strategy.order.alert_message":"Short SL hit"', "close short"),
    ('"strategy":{"order":{"alert_message":"Close position order"}}', "close short"),
    ('"alertMessage":"RSI exits oversold"', "422 alertMessage"),
    ('"message":"Price closed above the average"', "422 message"),
    ('"message":"Buy signal on BTCUSDT"', "open long"),
    ('"alert_message":"","message":"{{strategy.order.alert_message}}"', "open long"),
    # switches
    ('"flatten":true', "close short"),
    ('"closeOrder":true', "close short"),
    ('"liquidate":"yes"', "close short"),
    ('"cover":"on"', "close short"),
    ('"exit":"on"', "close short"),
    ('"exit":"y"', "close short"),
    ('"close":"on"', "close short"),
    ('"reduce_only":"on"', "close short"),
    ('"exit":"off","flatten":"n"', "open long"),
    ('"holdSide":"short"', "close short"),
    # an object in place of a switch
    ('"close":{"price":"","checkProfit":false}', "422 close"),
    ('"close":{"price":""}', "422 close"),
    ('"close":{"enabled":true}', "422 close"),
    ('"exit":{"percent":100}', "422 exit"),
    ('"exit":{"type":"limit","price":70000}', "422 exit"),
    ('"exit":[{"percent":100}]', "422 exit"),
    ('"exit":{"percent":100,"trailing":{"enabled":false}}', "422 exit"),
    ('"close":{"enabled":false,"percent":100}', "open long"),
    ('"close":[65000,65100],"exit":{},"candle":{"close":65000}', "open long"),
)


@pytest.mark.parametrize(("fields", "meant"), EXITS)
def test_a_buy_that_is_named_an_exit_never_opens(fields: str, meant: str) -> None:
    assert becomes(beside(fields)) == meant
    turned = becomes(beside(fields), reverses=True)
    assert turned == meant.replace("open", "reverse")
    if meant.startswith("422"):
        assert reads_like_exit(beside(fields).encode())


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ('"order_id":"Close position order"', "close long"),
        ('"comment":"Margin call"', "close long"),
        ('"order_id":"Long TP1"', "close long"),
        ('"order_id":"Short TP1"', "422 order_id"),
        ('"comment":"RSI exits overbought"', "422 comment"),
        ('"comment":"Long TP1","leverage":5', "422 comment"),
        ('"event":"bar_close"', "reverse short"),
    ],
)
def test_a_sell_that_is_named_an_exit_never_turns(fields: str, meant: str) -> None:
    assert becomes(beside(fields, "sell"), reverses=True) == meant


@pytest.mark.parametrize(
    ("action", "fields", "meant"),
    [
        ("long", '"comment":"Exit Long"', "close long"),
        ("long", '"comment":"Exit Long","stop_loss":60000', "422 comment"),
        ("long", '"comment":"Chandelier Exit Long"', "422 comment"),
        ("open_long", '"comment":"Chandelier Exit Long"', "open long"),
        ("open_long", '"comment":"Exit Short 1","stop_loss":60000', "422 comment"),
        ("long", '"comment":"exit"', "422 comment"),
        ("long", '"comment":"Exit Short"', "422 comment"),
        ("long", '"exit":true', "422 exit"),
        ("long", '"reduce_only":true', "422 reduce_only"),
        ("open_long", '"reduce_only":true', "422 reduce_only"),
        ("open_long", '"comment":"Exit Short 1"', "422 comment"),
        ("open_long", '"comment":"SL 60000"', "open long"),
        ("long", '"reduce_only":true,"prev_market_position":"long"', "close long"),
    ],
)
def test_a_side_is_no_close_without_the_side_that_it_closes(
    action: str, fields: str, meant: str
) -> None:
    assert becomes(beside(fields, action)) == meant


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("long", '"closeOpposite":true'),
        ("buy", '"close_opposite":true'),
        ("buy", '"source":"close"'),
        ("buy", '"candle":{"closed":true}'),
        ("buy", '"price_type":"close"'),
        ("buy", '"closed":true'),
        ("buy", '"sl":{"price":"60000","reduceOnly":true}'),
        ("buy", '"stopLoss":{"type":"stop","side":"sell","stopPrice":60000}'),
        ("buy", '"exit_order":{"enabled":false,"reduceOnly":true}'),
    ],
)
def test_a_mark_of_something_else_closes_nothing(action: str, fields: str) -> None:
    assert becomes(beside(fields, action)) == "open long"


# A notice of an order that came to nothing

NOTICES = (
    ('"status":"rejected"', "422 status"),
    ('"order_status":"CANCELLED"', "422 order_status"),
    ('"status":"partially_filled_canceled"', "422 status"),
    ('"order":{"status":"expired"}', "422 order.status"),
)
NOTICE_LABELS = (
    ('"cancel":true', "422 cancel"),
    ('"isCancelled":1', "422 isCancelled"),
    ('"type":"entry_cancel"', "422 type"),
    ('"type":"cancel"', "422 type"),
    ('"event":"order_cancelled"', "422 event"),
    ('"comment":"cancel"', "422 comment"),
    ('"id":"Order was rejected by the exchange"', "422 id"),
    ('"reason":"Long cancelled"', "422 reason"),
    ('"order_comment":"Order canceled."', "422 order_comment"),
    ('"event":"order.cancelled"', "422 event"),
    ('"comment":"Order #4711: expired!"', "422 comment"),
    ('"type":"status"', "422 type"),
    ('"type":"warning"', "422 type"),
    ('"event":"protection_trigger"', "422 event"),
    ('"event_type":"status"', "422 event_type"),
    ('"message":"Order cancelled"', "422 message"),
)


@pytest.mark.parametrize(("fields", "meant"), [*NOTICES, *NOTICE_LABELS])
def test_a_notice_of_an_order_that_came_to_nothing_never_enters(fields: str, meant: str) -> None:
    for action in ("buy", "long", "short"):
        for reverses in (False, True):
            assert becomes(beside(fields, action), reverses=reverses) == meant
    assert becomes(beside(fields, "sell"), reverses=True) == meant
    is_label = (fields, meant) in NOTICE_LABELS
    assert becomes(beside(fields, "open_long")) == ("open long" if is_label else meant)
    positions = '"position":"long","before":"flat"'
    assert becomes(beside(f"{fields},{positions}")) == ("open long" if is_label else meant)
    assert becomes(beside(fields, "close")) == "close"
    assert becomes(beside(f'{fields},"position":"flat"', "sell")) == "close"


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        ('{"type":"entry_cancel","pair":"BTC/USDT:USDT","direction":"Short"}', "422 type"),
        ('{"type":"exit_cancel","pair":"BTC/USDT:USDT","direction":"Short"}', "422 type"),
        ('{"type":"entry_fill","pair":"BTC/USDT:USDT","direction":"Short"}', "open short"),
        (beside('"effect":"close"'), "close short"),
        (beside('"openClose":"close"'), "close short"),
        (beside('"openClose":"open","effect":"open"'), "open long"),
        (beside('"status":"filled","cancel":false'), "open long"),
        (beside('"status":"new"'), "open long"),
        (beside('"cancel_previous":true'), "open long"),
        (beside('"comment":"Failed breakdown"'), "open long"),
        (beside('"comment":"Short failed"'), "open long"),
        (beside('"comment":"Cancel on the other side"'), "open long"),
        (beside('"comment":"4711"'), "open long"),
        (beside('"comment":"Отмена: cancelled"'), "open long"),
    ],
)
def test_a_status_of_a_live_order_and_a_name_of_an_entry_are_no_notice(
    body: str, meant: str
) -> None:
    assert becomes(body) == meant


# The order's own price, its type and its levels


def levels(body: str) -> str:
    """Return the order's type, price, stop and target, or what refuses it."""
    try:
        draft = read_alert(body.encode(), NOW, reverses=False)
    except InvalidValue as error:
        return f"422 {error.field}"
    prices = (draft.price, draft.stop_loss, draft.take_profit)
    told = ("-" if each is None else plain(each) for each in prices)
    return f"{draft.order_type.value} {' '.join(told)}"


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ('"sl":{"price":"60000"}', "MARKET - 60000 -"),
        ('"price":"65000","sl":{"price":"60000"}', "MARKET 65000 60000 -"),
        ('"price":"65000","levels":[{"price":"64000"}]', "MARKET 65000 - -"),
        ('"order_type":"limit","takeProfits":[{"price":"70000"}]', "422 takeProfits"),
        ('"order_type":"limit","levels":[{"price":"70000"}]', "422 price"),
        ('"sl":{"price":"60000","type":"stop","reduceOnly":true}', "MARKET - 60000 -"),
        ('"sl":{"price":"60000","percent":"2"}', "422 sl"),
        ('"sl":{"enabled":true}', "422 sl"),
        ('"stop_loss":{"enabled":false}', "MARKET - - -"),
        ('"stop_loss":{"enabled":false,"percent":2}', "MARKET - - -"),
        ('"stop_loss":false,"take_profit":{}', "MARKET - - -"),
    ],
)
def test_the_price_of_a_stop_or_target_is_not_the_orders(fields: str, meant: str) -> None:
    assert levels(beside(fields)) == meant


# A part of a position


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        (
            '{"action":"exit_long","tv_instrument":"BTCUSDT.P",'
            '"order":{"amount":"50","currency_type":"position_percent"}}',
            "reduce long by 0.5",
        ),
        (
            '{"action":"exit_long","tv_instrument":"BTCUSDT.P",'
            '"order":{"amount":"100","currency_type":"position_percent"}}',
            "close long",
        ),
        (
            '{"ticker":"BTCUSDT","action":"exit","quantityType":"percent_of_position","quantity":50}',
            "reduce by 0.5",
        ),
        (
            '{"ticker":"BTCUSDT","action":"exit","quantityType":"percent_of_equity","quantity":50}',
            "close",
        ),
        (
            '{"ticker":"BTCUSDT","action":"sell","quantityType":"percent_of_position","quantity":50}',
            "reduce long by 0.5",
        ),
        (
            '{"action":"EXIT_LONG","instrument":"BTC-USDT-SWAP","orderType":"market",'
            '"investmentType":"percentage_position","amount":"50"}',
            "reduce long by 0.5",
        ),
        (
            '{"action":"EXIT_LONG","instrument":"BTC-USDT-SWAP",'
            '"investmentType":"percentage_balance","amount":"50"}',
            "close long",
        ),
        (
            '{"action":"reduce","instrument":"BTC-USDT-SWAP","size":"0.5",'
            '"investmentType":"percentage_investment","amount":"50"}',
            "422 size",
        ),
        (
            '{"action":"ENTER_LONG","instrument":"BTC-USDT-SWAP",'
            '"investmentType":"percentage_balance","amount":"50"}',
            "open long",
        ),
        ('{"action":"close","symbol":"BTCUSDT","fraction":"0.5"}', "reduce by 0.5"),
        ('{"action":"close","symbol":"BTCUSDT","fraction":"1"}', "close"),
        ('{"action":"close","symbol":"BTCUSDT","fraction":"50"}', "422 fraction"),
        ('{"action":"close","symbol":"BTCUSDT","portion":"25%"}', "close"),
        ('{"action":"close","symbol":"BTCUSDT","close_fraction":"0.5"}', "reduce by 0.5"),
        ('{"action":"close","symbol":"BTCUSDT","size":{"fraction":"0.25"}}', "reduce by 0.25"),
        ('{"action":"close","symbol":"BTCUSDT","close_percent":"33.3"}', "reduce by 0.333"),
        ('{"action":"close","symbol":"BTCUSDT","exit_percent":"33.3"}', "reduce by 0.333"),
        ('{"action":"close","symbol":"BTCUSDT","reduce_percent":"40"}', "reduce by 0.4"),
        ('{"action":"close","symbol":"BTCUSDT","closePct":"40%"}', "reduce by 0.4"),
        ('{"action":"close","symbol":"BTCUSDT","percent_of_position":"40"}', "reduce by 0.4"),
        ('{"action":"close","symbol":"BTCUSDT","percent_to_close":"50"}', "reduce by 0.5"),
        ('{"action":"close","symbol":"BTCUSDT","close_percent":100}', "close"),
        ('{"action":"close","symbol":"BTCUSDT","close_percent":0}', "close"),
        ('{"action":"close","symbol":"BTCUSDT","close_percent":"-2.5"}', "close"),
        ('{"action":"close","symbol":"BTCUSDT","close_percent":"all"}', "close"),
        ('{"action":"close","symbol":"BTCUSDT","close_percent":0.5}', "422 close_percent"),
        (
            '{"action":"close","symbol":"BTCUSDT","close_percent":50,"fraction":"0.2"}',
            "422 fraction",
        ),
        ('{"action":"close","symbol":"BTCUSDT","close_percent":50,"percent":5}', "reduce by 0.5"),
        ('{"action":"close","symbol":"BTCUSDT","quantity":"0.5"}', "close"),
        ('{"action":"close","symbol":"BTCUSDT","close_percent":50,"position":"flat"}', "close"),
        (beside('"percent":5', "close_long"), "close long"),
        (beside('"pct":"2.35"', "close"), "close"),
        (beside('"pct":"0.35"', "close"), "close"),
        (beside('"percentage":"50"', "close"), "close"),
        (beside('"qty_percent":"50"', "close"), "close"),
        (beside('"position_pct":"10"', "close"), "close"),
        (beside('"quantity":"10","quantityType":"percent"', "close"), "close"),
        (beside('"amount":"10","currency_type":"%"', "exit_long"), "close long"),
        (beside('"contracts":"10%"', "close"), "close"),
        (beside('"close":"2.5%"', "close_long"), "close long"),
        (beside('"positionSide":"LONG","quantity":"10%"', "sell"), "close long"),
        ("close long BTCUSDT qty=50%", "close long"),
        (beside('"reduce_only":true,"quantity":"25%"', "sell"), "close long"),
        (beside('"reduce_only":true,"close_percent":"25"'), "reduce short by 0.25"),
        (beside('"comment":"Short TP1","percent":"30"'), "close short"),
        (beside('"comment":"Short TP1","close_percent":"30"'), "reduce short by 0.3"),
        (beside('"comment":"Long TP1","close_percent":"30%"', "sell"), "reduce long by 0.3"),
        (beside('"close_percent":"30%"', "sell"), "close long"),
        (beside('"quantity":"10%"', "sell"), "close long"),
        (beside('"quantity":"10%"'), "open long"),
        (beside('"percent":"40"', "reduce_long"), "reduce long by 0.4"),
        (beside('"percent":"40"', "partialClose"), "reduce by 0.4"),
        (beside('"quantity":"40%"', "reduce"), "reduce by 0.4"),
        (beside('"portion":"0.4"', "reduce"), "reduce by 0.4"),
        (beside('"percent":"0.5"', "reduce"), "422 percent"),
        (beside('"note":"half"', "partialClose"), "422 size"),
        (beside('"percent":"100"', "reduce"), "close"),
    ],
)
def test_a_stated_part_is_all_that_an_exit_closes(body: str, meant: str) -> None:
    assert becomes(body) == meant


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ('"percent_of_position":50', "by 0.5"),
        ('"close_percent":50', "by 0.5"),
        ('"reduce_percent":"40%"', "by 0.4"),
        ('"exit_fraction":"0.25"', "by 0.25"),
        ('"closeQty":"30%"', "by 0.3"),
        ('"order":{"amount":"50","currency_type":"position_percent"}', "by 0.5"),
        ('"quantityType":"percent_of_position","quantity":50', "by 0.5"),
        ('"close_percent":100', ""),
        ('"close":"50%"', "422 close"),
        ('"close_percent":0.5', "422 close_percent"),
        ('"close_percent":50,"stop_loss":60000', "422 close_percent"),
        ('"percent_of_position":50,"comment":"Golden cross"', "by 0.5"),
    ],
)
def test_a_part_of_the_position_beside_a_bare_order_never_enters(fields: str, part: str) -> None:
    for action, side, address_turns in (
        ("sell", "long", (True,)),
        ("buy", "short", (False, True)),
    ):
        done = "reduce" if part else "close"
        meant = part if part.startswith("422") else f"{done} {side} {part}".strip()
        for reverses in address_turns:
            assert becomes(beside(fields, action), reverses=reverses) == meant


@pytest.mark.parametrize(
    ("action", "fields", "meant"),
    [
        ("sell", '"close_percent":50,"prev_market_position":"long"', "reduce long by 0.5"),
        ("sell", '"percent":50', "reverse short"),
        ("sell", '"quantity":"10%"', "reverse short"),
        ("sell", '"fraction":"0.5"', "reverse short"),
        ("sell", '"close_percent":0', "reverse short"),
        ("sell", '"close":"65000"', "reverse short"),
        ("sell", '"position_pct":"10"', "reverse short"),
        ("sell", '"close_percent":50,"market_position":"short"', "reverse short"),
        ("buy", '"percent_of_position":50,"prev_market_position":"long"', "add long"),
        ("open_long", '"close_percent":50', "open long"),
        ("long", '"close_percent":50', "422 close_percent"),
    ],
)
def test_only_a_part_of_the_position_makes_a_bare_order_an_exit(
    action: str, fields: str, meant: str
) -> None:
    assert becomes(beside(fields, action), reverses=True) == meant


# Bystanders of an exit


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        ('{"signal":"TP1","action":"close","symbol":"BTCUSDT"}', "close"),
        ('{"action":"close","signal":"TP1","symbol":"BTCUSDT"}', "close"),
        (
            '{"signal":"Golden cross","action":"buy","market_position":"long","symbol":"BTCUSDT"}',
            "reverse long",
        ),
        (
            '{"signal":"Take profit hit","side":"sell","reduceOnly":true,"symbol":"BTCUSDT"}',
            "close long",
        ),
        ('{"signal":"long","symbol":"BTCUSDT"}', "open long"),
        ('{"signal":"sell","action":"buy","symbol":"BTCUSDT"}', "422 signal"),
        ('{"side":"long","event":"exit","symbol":"BTCUSDT"}', "close long"),
        ('{"side":"short","type":"close","symbol":"BTCUSDT"}', "close short"),
        ('{"event_type":"CLOSE","side":"LONG","symbol":"BTCUSDT"}', "close long"),
        ('{"signal_type":"close","direction":"short","pair":"BTCUSDT"}', "close short"),
        ('{"event_type":"POSITION_CLOSED","side":"LONG","symbol":"BTCUSDT"}', "close long"),
        ('{"event_type":"TP1_HIT","side":"LONG","symbol":"BTCUSDT"}', "close long"),
        ('{"side":"LONG","symbol":"BTCUSDT","exit_reason":"stop_loss"}', "close long"),
        ('{"side":"LONG","symbol":"BTCUSDT","status":"closed"}', "422 status"),
        ('{"type":"sell","side":"long","symbol":"BTCUSDT"}', "422 type"),
        ('{"order":"sell","direction":"long","symbol":"BTCUSDT"}', "422 order"),
        ('{"event_type":"buy","side":"short","symbol":"BTCUSDT"}', "422 event_type"),
        (beside('"type":"short"', "open_long"), "422 type"),
        ('{"type":"buy","side":"long","symbol":"BTCUSDT"}', "open long"),
        ('{"order":"long","side":"buy","symbol":"BTCUSDT"}', "open long"),
        (beside('"type":"sell","position":"long","before":"flat"'), "open long"),
        (beside('"type":"buy"', "sell"), "close long"),
        (beside('"status":"closed"', "open_long"), "open long"),
        (beside('"status":"closed","position":"long","before":"flat"'), "open long"),
        (beside('"status":"closed"', "sell"), "close long"),
        (beside('"status":"closed"', "close"), "close"),
        (beside('"exit":{"percent":50}', "close"), "close"),
        (beside('"holdSide":"long"', "close"), "close long"),
        (beside('"holdSide":"long"'), "open long"),
        ('{"side":"long","event":"exit short","symbol":"BTCUSDT"}', "422 event"),
        (
            '{"strategy.order.action":"sell","ticker":"BTCUSDT","strategy.market_position":"flat"}',
            "close",
        ),
        ("reduce BTCUSDT size.fraction=0.5", "reduce by 0.5"),
        (beside('"positionIdx":1', "close"), "close"),
        (beside('"positionIdx":1,"reduceOnly":true', "sell"), "close long"),
        (beside('"positionIdx":1'), "422 positionIdx"),
        (beside('"side":"both"', "close"), "close"),
        (beside('"side":"both"'), "422 side"),
        (beside('"direction":"bullish"', "close"), "close"),
        (beside('"side":"short"', "close_long"), "422 side"),
        (beside('"positionSide":""', "close"), "close"),
        (beside('"positionSide":""'), "422 positionSide"),
        (beside('"positionSide":"SHORT"', "close"), "close short"),
        (beside('"instrument":"PERPETUAL"', "close"), "close"),
        (beside('"contract":"SWAP"', "close"), "close"),
        (beside('"contract":"SWAP"'), "open long"),
        ('{"action":"close","instrument":"PERPETUAL","pair":"BTCUSDT"}', "close"),
        (beside('"contract":"ETHUSDT"', "close"), "422 contract"),
        (beside('"note":"a","note":"b"', "close"), "close"),
        (beside('"note":"a","note":"b"'), "422 note"),
        (beside('"data":{"note":"a","Note":"b"}'), "422 data.Note"),
        ('{"action":"close","symbol":"BTCUSDT","symbol":"ETHUSDT"}', "422 symbol"),
        ('{"side":"sell","symbol":"BTCUSDT","positionSide":"flat"}', "close"),
        ('{"side":"buy","symbol":"BTCUSDT","positionSide":"flat"}', "close"),
        ('{"side":"buy","symbol":"BTCUSDT","positionSide":"long"}', "open long"),
        (beside('"positionSide":"flat","market_position":"long"'), "reverse long"),
        (beside('"posSide":"net"'), "open long"),
        ('{"action":"close","instId":"BTC-USDT-SWAP","posSide":"net"}', "close"),
        ('{"side":"buy","instId":"BTC-USDT-SWAP"}', "open long"),
        (beside('"instId":"ETH-USDT-SWAP"', "close"), "422 instId"),
        (beside('"position_size":"\u0660"'), "422 position_size"),
        (beside('"position_size":"\u0660"', "close"), "close"),
    ],
)
def test_a_clear_exit_is_not_lost_to_what_stands_beside_it(body: str, meant: str) -> None:
    assert becomes(body) == meant


# What is not read


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ('"is_test":true', "is_test"),
        ('"testing":true', "testing"),
        ('"test_mode":"true"', "test_mode"),
        ('"test_mode":"on"', "test_mode"),
        ('"dry_run":true', "dry_run"),
        ('"dryRun":1', "dryRun"),
        ('"tset":true', "tset"),
        ('"tets":"yes"', "tets"),
        ('"data":{"simulated":true}', "data.simulated"),
        ('"testnet":true', "testnet"),
        ('"paper":true', "paper"),
        ('"is_demo":"true"', "is_demo"),
    ],
)
def test_a_near_miss_of_test_is_never_traded(fields: str, field: str) -> None:
    for action in ("buy", "sell", "close"):
        assert becomes(beside(fields, action)) == f"422 {field}"
        off = fields.rpartition(":")[0] + ":false" + "}" * fields.count("}")
        assert becomes(beside(off, action)) == becomes(beside('"x":1', action))
    assert becomes(beside('"text":"true","rest":true,"demo":"account 7"')) == "open long"
    assert read_alert(beside('"test":true').encode(), NOW, reverses=False).is_test


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ('"mode":"paper"', "mode"),
        ('"mode":"test"', "mode"),
        ('"tradingMode":"Testing"', "tradingMode"),
        ('"mode":"simulate"', "mode"),
        ('"bot":{"environment":"testnet"}', "bot.environment"),
        ('"account_type":"demo"', "account_type"),
    ],
)
def test_a_mode_of_a_test_enters_nothing_and_keeps_no_exit(fields: str, field: str) -> None:
    for action in ("buy", "open_long", "long"):
        assert becomes(beside(fields, action)) == f"422 {field}"
    assert becomes(beside(f'{fields},"position":"long","before":"flat"')) == f"422 {field}"
    assert becomes(beside(fields, "sell")) == "close long"
    assert becomes(beside(fields, "close")) == "close"
    assert becomes(beside(f'{fields},"close_percent":50', "close_long")) == "reduce long by 0.5"
    live = '"mode":"hedge","environment":"production","account_type":"unified","account":"demo"'
    assert becomes(beside(live)) == "open long"


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        (
            '{"Symbol":"BTCUSDT","Action":"buy","Type":"LIMIT","Price":"60000"}',
            "LIMIT 60000 - -",
        ),
        (beside('"order":{"type":"limit","price":"60000"}'), "LIMIT 60000 - -"),
        (beside('"ordType":"Limit","price":"60000"'), "LIMIT 60000 - -"),
        (beside('"sl":{"type":"limit","price":"60000"}'), "MARKET - 60000 -"),
        (beside('"type":"Limit Order","price":"60000"'), "422 type"),
        (beside('"sl_price":"60000","tpPrice":"70000"'), "MARKET - 60000 70000"),
        (beside('"limit_price":"60000"'), "422 limit_price"),
        (beside('"stop_los":"60000"'), "422 stop_los"),
        (beside('"stop":"60000"'), "422 stop"),
        (beside('"stop_loss_percent":"2"'), "422 stop_loss_percent"),
        (beside('"tp1":"70000"'), "422 tp1"),
        (beside('"take_profit_2":"70000"'), "422 take_profit_2"),
        (beside('"sl":"2%"'), "422 sl"),
        (beside('"trailing_stop":true'), "422 trailing_stop"),
        (beside('"trailingStop":{"percent":1}'), "422 trailingStop"),
        (beside('"targets":["70000","71000"]'), "422 targets"),
        (beside('"takeProfits":[{"price":"70000"}]'), "422 takeProfits"),
        (beside('"exit_order":{"price":"70000"}'), "422 exit_order"),
        (beside('"sl":"{{plot_0}}"'), "422 sl"),
        (beside('"sl":NaN'), "422 sl"),
        (beside('"takeProfit":"nan"'), "422 takeProfit"),
        (beside('"sl":NaN', "close"), "MARKET - - -"),
        (beside('"sl":null,"rsi":NaN'), "MARKET - - -"),
        (beside('"tp1":"{{plot_0}}"'), "422 tp1"),
        (beside('"leverage":"{{plot_1}}"'), "422 leverage"),
        (beside('"levrage":"5"'), "422 levrage"),
        (beside('"order_typ":"limit","price":"1"'), "422 order_typ"),
        (beside('"trailing_stop":false,"tp1":"","stop":"0","tp2":null'), "MARKET - - -"),
        (beside('"takeProfits":[],"trailing":{"enabled":false,"percent":1}'), "MARKET - - -"),
        (beside('"slTriggerBy":"MarkPrice","tpslMode":"Full","slippage":"0.1"'), "MARKET - - -"),
        (beside('"stop_bot":"1","order_time":"1","average":"2"'), "MARKET - - -"),
        (beside('"stop_los":"60000","tp1":"1"', "close"), "MARKET - - -"),
        (beside('"stop_los":"60000","take_profit":"7"', "set_protection"), "422 stop_los"),
    ],
)
def test_nothing_that_protects_or_prices_an_entry_is_dropped(body: str, meant: str) -> None:
    assert levels(body) == meant


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ('"comment":"Long","quantity":"1","time":"1"', 0),
        ('"passphrase":"p","rsi":30', 2),
        ('"data":{"bot":"b"},"tags":["a","b"],"sl":{"price":"1","x":"y"}', 2),
    ],
)
def test_fields_that_are_not_read_are_counted(fields: str, count: int) -> None:
    for action in ("buy", "close"):
        draft = read_alert(beside(fields, action).encode(), NOW, reverses=False)
        assert draft.ignored_fields == count


# Several orders in one message

CLOSE_BTC = '{"action":"close","symbol":"BTCUSDT"}'
BUY_BTC = '{"action":"buy","symbol":"BTCUSDT"}'


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        (f'{{"orders":[{CLOSE_BTC},{BUY_BTC}]}}', "close"),
        (f'{{"orders":[{BUY_BTC},{CLOSE_BTC}]}}', "close"),
        (f'{{"first":{CLOSE_BTC},"second":{BUY_BTC}}}', "close"),
        (f'{{"orders":[{CLOSE_BTC},{CLOSE_BTC}]}}', "close"),
        (f'{{"first":{{"action":"cancel"}},"second":{CLOSE_BTC}}}', "close"),
        (f'{{"orders":[{BUY_BTC},{BUY_BTC}]}}', "422 body"),
        (
            '{"symbol":"BTCUSDT","orders":[{"action":"close_long"},'
            '{"action":"open_short","stop_loss":"70000","leverage":"x"}]}',
            "close long",
        ),
        (
            '{"symbol":"BTCUSDT","orders":[{"action":"close","side":"long","close_percent":50},'
            '{"action":"open","side":"short"}]}',
            "reduce long by 0.5",
        ),
        (
            '{"action":"close_long","symbol":"BTCUSDT","legs":[{"side":"long"},{"side":"short"}]}',
            "close long",
        ),
        ('{"orders":[{"action":"close"},{"action":"buy","symbol":"BTCUSDT"}]}', "close"),
        (
            '{"orders":[{"action":"close","symbol":"BTCUSDT"},{"action":"buy","symbol":"ETHUSDT"}]}',
            "close",
        ),
        (
            '{"orders":[{"action":"close","symbol":"BTCUSDT"},'
            '{"action":"close","symbol":"ETHUSDT"}]}',
            "422 body",
        ),
        (
            '{"symbol":"BTCUSDT","orders":[{"side":"buy"},{"side":"sell","reduceOnly":true}]}',
            "422 body",
        ),
        (
            '{"action":"buy","symbol":"BTCUSDT","levels":[{"side":"buy","price":"1"},'
            '{"side":"buy","price":"2"}]}',
            "422 body",
        ),
        ("action=close symbol=BTCUSDT\naction=buy symbol=BTCUSDT", "close"),
        ("action=buy symbol=BTCUSDT\naction=close symbol=BTCUSDT", "close"),
        ("close long BTCUSDT\n\nenter short BTCUSDT", "close long"),
        ("EXIT-LONG_Bybit_BTCUSDT_a\nENTER-SHORT_Bybit_BTCUSDT_a", "close long"),
        ("signal=close_long symbol=BTCUSDT\nsignal=short symbol=BTCUSDT", "close long"),
        ("buy BTCUSDT\nbuy BTCUSDT", "422 body"),
        ("buy BTCUSDT\nsell ETHUSDT", "422 body"),
        # one order, told in several places or lines
        (f'{{"order":{BUY_BTC}}}', "open long"),
        (
            '{"symbol":"BTCUSDT","order":{"side":"buy"},"strategy":{"side":"buy"}}',
            "open long",
        ),
        (beside('"strategy":{"order":{"action":"buy"}}'), "open long"),
        (
            '{"symbol":"BTCUSDT","order":{"action":"close"},"trade":{"side":"long"}}',
            "close long",
        ),
        (
            '{"symbol":"BTCUSDT","order":{"action":"reduce","fraction":"0.5"},"x":{"side":"long"}}',
            "reduce long by 0.5",
        ),
        (beside('"strategy":{"signal":"MACD"},"order":{"side":"buy"}'), "open long"),
        (
            '{"symbol":"BTCUSDT","order":{"action":"open","side":"long"},"trade":{"side":"buy"}}',
            "open long",
        ),
        (
            beside('"sl":{"side":"sell","price":"1"},"tp":{"side":"sell","price":"9"}'),
            "open long",
        ),
        ("action=close\nside=long\nsymbol=BTCUSDT", "close long"),
        ("close long\nBTCUSDT", "close long"),
        ("buy BTCUSDT\nsl=60000", "open long"),
    ],
)
def test_of_several_orders_a_close_is_taken_and_nothing_enters(body: str, meant: str) -> None:
    assert becomes(body) == meant
    if meant.startswith(("close", "reduce", "422")):
        assert becomes(body, reverses=True) == meant


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (f'{{"orders":[{CLOSE_BTC},{BUY_BTC}]}}', 2),
        (f'{{"orders":[{BUY_BTC},{CLOSE_BTC}],"note":"a"}}', 3),
        ("action=close symbol=BTCUSDT\naction=buy symbol=BTCUSDT price=1", 3),
        ("action=close symbol=BTCUSDT action=buy", 1),
        ('{"action":"close","symbol":"BTCUSDT","action":"buy"}', 1),
    ],
)
def test_orders_that_are_not_taken_are_counted(body: str, count: int) -> None:
    assert read_alert(body.encode(), NOW, reverses=False).ignored_fields == count


# Bars above a day


@pytest.mark.parametrize(
    ("fields", "is_fresh"),
    [
        ('"time":"2026-11-22T00:00:00Z"', True),
        ('"time":"2026-11-17T00:00:00Z"', True),
        ('"timestamp":"2026-10-25T00:00:00Z"', True),
        ('"time":1795392000000', True),
        ('"time":"2026-11-17T00:00:00Z","interval":"1W"', True),
        ('"time":"2026-11-17T00:00:00Z","interval":"W"', True),
        ('"time":"2026-11-22T00:00:00Z","interval":"2D"', True),
        ('"time":"2026-08-24T00:00:00Z","interval":"3M"', True),
        ('"time":"2026-11-16T00:00:00Z","interval":"1W"', False),
        ('"time":"2026-11-22T00:00:00Z","interval":"60"', False),
        ('"time":"2026-11-22T00:00:00Z","interval":"1D"', False),
        ('"time":"2026-11-22T00:00:01Z"', False),
        ('"time":"2026-10-23T00:00:00Z"', False),
        ('"timenow":"2026-11-22T00:00:00Z"', False),
        ('"time":"2026-11-22T00:00:00Z","timenow":"2026-11-22T00:00:02Z"', False),
    ],
)
def test_the_opening_time_of_a_long_bar_is_no_age(fields: str, is_fresh: bool) -> None:
    at = datetime(2026, 11, 24, 0, 0, 20, tzinfo=UTC)
    draft = read_alert(beside(fields).encode(), at, reverses=False)
    assert (draft.sent_at is None) == is_fresh


# Refusals that say what to do, and what must not refuse


@pytest.mark.parametrize(
    "body",
    [
        '{"action":"{{strategy.order.action}}","symbol":"BTCUSDT"}',
        '{"signal":"{{strategy.order.action}}","symbol":"BTCUSDT"}',
        "action={{strategy.order.action}} symbol=BTCUSDT",
        "{{strategy.order.action}} BTCUSDT",
    ],
)
def test_a_placeholder_that_was_not_filled_in_is_told_as_that(body: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        read_alert(body.encode(), NOW, reverses=False)
    assert caught.value.field == "action"
    assert "create it on the strategy, not on an indicator" in caught.value.expected


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        ("square off BTCUSDT", "close"),
        ('{"action":"squareoff","symbol":"BTCUSDT"}', "close"),
        ('{"action":"tp1","symbol":"BTCUSDT"}', "422 action"),
        ('{"action":"sl","symbol":"BTCUSDT"}', "422 action"),
        ("BTCUSDT stop hit", "422 body"),
        (beside('"position_id":"7","positionMode":"hedge","max_positions":3'), "open long"),
        (beside('"portion":"10"'), "open long"),
        (beside('"position_pct":"10"'), "open long"),
        (beside('"position_value":"7"'), "422 position_value"),
        (beside('"leverage":"10X"'), "open long"),
    ],
)
def test_what_says_nothing_of_a_position_refuses_nothing(body: str, meant: str) -> None:
    assert becomes(body) == meant
