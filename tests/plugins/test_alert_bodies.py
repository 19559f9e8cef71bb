"""Alerts as people and services write them, each with what its author meant."""

from datetime import UTC, datetime

import pytest

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
    ('"comment":"RSI exit"', "close short"),
    ('"strategy":{"order":{"id":"Short TP1"}}', "close short"),
    ('"reduce":true', "close short"),
    ('"execInst":"ReduceOnly"', "close short"),
    ('"execInst":"ParticipateDoNotInitiate,ReduceOnly"', "close short"),
    ('"is_closing":true', "close short"),
    ('"intent":"take_profit"', "close short"),
    ('"signal":"Exit Short 1"', "close short"),
    ('"comment":"Long TP1"', "422 comment"),
    ('"comment":"Exit Long 2"', "422 comment"),
    ('"order_id":"Buy Stop"', "422 order_id"),
    ('"comment":"Stop and reverse"', "422 comment"),
    ('"comment":"Re-entry after SL"', "422 comment"),
    ('"comment":"TP 70000 SL 60000"', "422 comment"),
    ('"comment":"close above the average"', "422 comment"),
    ('"comment":"Golden cross","id":"Long"', "open long"),
    ('"comment":"unstoppable","id":"closet"', "open long"),
    ('"comment":"exit","market_position":"long"', "reverse long"),
)


@pytest.mark.parametrize(("fields", "meant"), EXITS)
def test_a_buy_that_is_named_an_exit_never_opens(fields: str, meant: str) -> None:
    assert becomes(beside(fields)) == meant
    turned = becomes(beside(fields), reverses=True)
    assert turned == meant.replace("open", "reverse")


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ('"order_id":"Close position order"', "close long"),
        ('"comment":"Margin call"', "close long"),
        ('"order_id":"Long TP1"', "close long"),
        ('"order_id":"Short TP1"', "422 order_id"),
    ],
)
def test_a_sell_that_is_named_an_exit_never_turns(fields: str, meant: str) -> None:
    assert becomes(beside(fields, "sell"), reverses=True) == meant


@pytest.mark.parametrize(
    ("action", "fields", "meant"),
    [
        ("long", '"comment":"Exit Long"', "close long"),
        ("long", '"comment":"exit"', "422 comment"),
        ("long", '"comment":"Exit Short"', "422 comment"),
        ("long", '"exit":true', "422 exit"),
        ("long", '"reduce_only":true', "422 reduce_only"),
        ("open_long", '"reduce_only":true', "422 reduce_only"),
        ("open_long", '"comment":"Exit Short 1"', "422 comment"),
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
        ('"order_type":"limit","takeProfits":[{"price":"70000"}]', "422 price"),
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
