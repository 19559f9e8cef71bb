"""The last line's check of quantities: as claimed, once for each leg, never more than the share,
never a share without fills.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.conservation import Broken, Changed, OnRecord, conserved
from engine.decisions.order_lifecycle import AttemptState
from engine.domain.amounts import Quantity, Ratio
from engine.domain.identifiers import ClientOrderId, StrategyId, Symbol
from engine.domain.order import OrderIntent, OrderSide
from engine.domain.signal import OrderType, PositionSide

S = StrategyId("s")


def q(text: str | int) -> Quantity:
    return Quantity(Decimal(text))


def order(quantity: str = "3", *, closes: bool = True) -> OrderIntent:
    side = OrderSide.SELL if closes else OrderSide.BUY
    return OrderIntent(
        ClientOrderId("rxabc"),
        Symbol("BTCUSDT"),
        side,
        PositionSide.LONG,
        q(quantity),
        OrderType.MARKET,
        Ratio(Decimal(5)),
        reduce_only=closes,
    )


def record(intent: OrderIntent, **said: Any) -> OnRecord:
    facts: dict[str, Any] = {
        "claimed": intent,
        "state": AttemptState.CLAIMED,
        "orders_out": 1,
        "strategy": S,
        "side": PositionSide.LONG,
        "share": q(3),
        "closing": q(0),
        "unseen": q(0),
        "opened": q(3),
        "closed": q(0),
    }
    return OnRecord(**{**facts, **said})


@pytest.mark.parametrize(
    ("said", "planned_from", "expected"),
    [
        ({}, "3", None),
        ({"share": q(4), "opened": q(4)}, "4", None),
        ({"opened": q(10), "closed": q(2)}, "3", None),  # the owner closed a part by hand
        ({"share": q(2)}, "3", Changed("its share went from 3 to 2 while the order was prepared")),
        (
            {"share": q(0), "opened": None, "closed": None},
            "3",
            Changed("its share went from 3 to 0 while the order was prepared"),
        ),
        (
            {"strategy": None, "side": None},
            "3",
            Changed("the strategy does not hold this side of the contract any more"),
        ),
        (
            {"strategy": StrategyId("other")},
            "3",
            Changed("the strategy does not hold this side of the contract any more"),
        ),
        (
            {"side": PositionSide.SHORT},
            "3",
            Changed("the strategy does not hold this side of the contract any more"),
        ),
        ({"share": q(2)}, "2", Broken("3 were to be closed, and the share is 2")),
        (
            {"closing": q(1)},
            "3",
            Broken("3 were to be closed while 1 are being closed already, and the share is 3"),
        ),
        (
            {"unseen": q(1)},
            "3",
            Changed(
                "a closing order that the exchange accepted and does not show may have closed 1 of "
                "it: rexalgo unknown decide"
            ),
        ),
        (
            {"opened": q(2)},
            "3",
            Broken("a share of 3 is recorded, and 2 were filled and 0 closed since it was entered"),
        ),
        (
            {"opened": q(5), "closed": q(3)},
            "3",
            Broken("a share of 3 is recorded, and 5 were filled and 3 closed since it was entered"),
        ),
        (
            {"opened": None, "closed": None},
            "3",
            Broken("a share of 3 is recorded, and no order of ours entered the contract"),
        ),
        (
            {"state": AttemptState.UNKNOWN},
            "3",
            Broken("expected a claimed order, found one that is unknown"),
        ),
        (
            {"orders_out": 2},
            "3",
            Broken(
                "expected one order for this step of the signal, found 2 that may be at the "
                "exchange"
            ),
        ),
        (
            {"claimed": order("2")},
            "3",
            Broken("SELL 2 BTCUSDT (rxabc) was claimed, and SELL 3 BTCUSDT (rxabc) was to be sent"),
        ),
    ],
)
def test_an_exit_goes_only_within_what_is_proven_to_be_ours(
    said: dict[str, Any], planned_from: str, expected: object
) -> None:
    intent = order()
    assert conserved(intent, record(intent, **said), S, q(planned_from)) == expected


def test_an_entry_goes_only_as_claimed_and_never_beside_a_share_that_nothing_explains() -> None:
    intent = order(closes=False)
    nothing = record(intent, strategy=S, share=q(0), opened=None, closed=None)
    assert conserved(intent, nothing, S, None) is None
    assert (
        conserved(intent, replace(nothing, claimed=order("4", closes=False)), S, None) is not None
    )
    assert conserved(intent, record(intent), S, None) is None  # an addition
    assert isinstance(conserved(intent, record(intent, opened=q(1)), S, None), Broken)


def test_flattening_closes_a_share_that_its_fills_do_not_explain_but_never_more_than_the_share() -> (
    None
):
    intent = order()
    assert conserved(intent, record(intent, opened=q(1)), S, q(3), is_flattening=True) is None
    assert isinstance(
        conserved(intent, record(intent, opened=q(1), share=q(2)), S, q(2), is_flattening=True),
        Broken,
    )
    assert isinstance(
        conserved(intent, record(intent, orders_out=2), S, q(3), is_flattening=True), Broken
    )


AMOUNT = st.integers(0, 12)


@given(
    wanted=st.integers(1, 12),
    share=AMOUNT,
    closing=AMOUNT,
    opened=AMOUNT,
    closed=AMOUNT,
    planned=AMOUNT,
    flattening=st.booleans(),
)
def test_whatever_the_record_says_no_more_than_the_share_is_ever_closed(
    wanted: int, share: int, closing: int, opened: int, closed: int, planned: int, flattening: bool
) -> None:
    intent = order(str(wanted))
    seen = record(intent, share=q(share), closing=q(closing), opened=q(opened), closed=q(closed))
    found = conserved(intent, seen, S, q(planned), is_flattening=flattening)
    if found is None:
        assert wanted + closing <= share
        assert flattening or share <= opened - closed
