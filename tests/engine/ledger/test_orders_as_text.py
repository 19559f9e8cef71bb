"""An order is stored without what its row has anyway, and read back as it was, from any version."""

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.amounts import Price, Quantity, Ratio, plain
from engine.domain.identifiers import ClientOrderId, Symbol
from engine.domain.order import OrderIntent, OrderSide
from engine.domain.signal import OrderType, PositionSide
from engine.ledger.codec import read_intent, read_leverage, read_quantity, write_intent

_NUMBERS = st.decimals(
    min_value=Decimal("0.00000001"), max_value=Decimal(10**9), allow_nan=False, places=8
)
_LEVELS = st.none() | _NUMBERS.map(Price)


@st.composite
def intents(draw: st.DrawFn) -> OrderIntent:
    side, is_exit = draw(st.sampled_from(PositionSide)), draw(st.booleans())
    kind = draw(st.sampled_from(OrderType))
    return OrderIntent(
        client_order_id=ClientOrderId(f"rx{draw(st.integers(0, 10**9))}"),
        symbol=Symbol("BTCUSDT"),
        side=OrderSide.closing(side) if is_exit else OrderSide.opening(side),
        position_side=side,
        quantity=Quantity(draw(_NUMBERS)),
        order_type=kind,
        leverage=Ratio(draw(_NUMBERS)),
        limit_price=Price(draw(_NUMBERS)) if kind is OrderType.LIMIT else None,
        stop_loss=draw(_LEVELS),
        take_profit=draw(_LEVELS),
        reduce_only=is_exit,
        whole_position=is_exit and draw(st.booleans()),
        position_id=draw(st.sampled_from(("", "p-1", "ünï"))) if is_exit else "",
    )


def as_0_1_wrote_it(intent: OrderIntent) -> str:
    levels = {
        name: None if number is None else plain(number)
        for name, number in (
            ("limit_price", intent.limit_price),
            ("stop_loss", intent.stop_loss),
            ("take_profit", intent.take_profit),
        )
    }
    return json.dumps(
        levels
        | {
            "client_order_id": intent.client_order_id,
            "symbol": intent.symbol,
            "side": intent.side.value,
            "position_side": intent.position_side.value,
            "quantity": plain(intent.quantity),
            "order_type": intent.order_type.value,
            "leverage": plain(intent.leverage),
            "reduce_only": intent.reduce_only,
            "whole_position": intent.whole_position,
            "position_id": intent.position_id,
        }
    )


@given(intents())
def test_an_order_is_read_as_it_was_written_now_and_by_0_1(intent: OrderIntent) -> None:
    for text in (write_intent(intent), as_0_1_wrote_it(intent)):
        assert read_intent(text, intent.client_order_id, intent.symbol) == intent
        assert read_quantity(text) == intent.quantity
        assert read_leverage(text) == intent.leverage


@given(intents())
def test_it_repeats_nothing_that_its_row_has(intent: OrderIntent) -> None:
    text = write_intent(intent)
    assert intent.client_order_id not in json.loads(text).values()
    assert intent.symbol not in text
    assert not {None, False, ""} & set(json.loads(text).values())
