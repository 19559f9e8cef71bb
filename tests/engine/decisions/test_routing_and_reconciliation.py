"""Whom a signal reaches, which switches stop it, and what a reading of the exchange corrects."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from decision_builders import BTC, ETH, LONG, NOW, SHORT, D, holding, position, report, row, switch
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.reconciliation import (
    ForeignOrders,
    LostOrders,
    OwnPosition,
    ShareShrunk,
    apply,
    carried_over,
    closed_by_own_level,
    reconcile,
    words_of,
)
from engine.decisions.routing import concerning, concerns
from engine.domain.account import ClosedPosition
from engine.domain.booking import Cause
from engine.domain.holding import SwitchScope
from engine.domain.order import OrderSide, OrderStatus

CLOSED = {"p1": D("0")}

HERE = {
    "account_id": "a1",
    "account_name": "ann",
    "strategy_id": "s1",
    "strategy_name": "trend",
    "exchange": "paper",
}


@pytest.mark.parametrize(
    ("scope", "targets"),
    [
        (SwitchScope.ALL, {"", "a1", "elsewhere"}),
        (SwitchScope.ACCOUNT, {"a1", "ann"}),
        (SwitchScope.STRATEGY, {"s1", "trend"}),
        (SwitchScope.EXCHANGE, {"paper"}),
    ],
)
def test_a_switch_concerns_exactly_its_scope(scope: SwitchScope, targets: set[str]) -> None:
    everything = (
        {"", "a1", "ann", "s1", "trend", "paper", "elsewhere"}
        if scope is not SwitchScope.ALL
        else targets
    )
    assert {
        each for each in everything if concerns(switch(scope=scope, target=each), **HERE)
    } == targets


def test_the_widest_switch_is_the_one_that_is_told() -> None:
    on = [
        switch(scope=SwitchScope.ACCOUNT, target="ann"),
        switch(scope=SwitchScope.EXCHANGE, target="other"),
        switch(),
    ]
    assert [each.scope for each in concerning(on, **HERE)] == [SwitchScope.ALL, SwitchScope.ACCOUNT]


def compare(holdings: tuple[Any, ...], reading: Any, **changes: Any) -> Any:
    known: dict[str, Any] = {
        "unsettled": (),
        "exiting": (),
        "bound_ids": (),
        "client_id_known": lambda _: False,
    }
    return reconcile(holdings, reading, **(known | changes))


def test_a_position_that_is_gone_takes_the_share_and_detaches_the_symbol() -> None:
    (found,) = compare((holding(),), report())
    assert (found.share_from, found.share_to, found.detached) == (D("2"), D("0"), True)
    (after,) = apply((holding(),), (found,))
    assert (after.share, after.detached) == (D("0"), True)


@pytest.mark.parametrize(
    ("side", "cause", "price", "is_own"),
    [
        (LONG, Cause.STOP_LOSS, "90", True),
        (LONG, Cause.STOP_LOSS, "80", True),
        (LONG, Cause.STOP_LOSS, "90.18", True),
        (LONG, Cause.STOP_LOSS, "90.19", False),
        (LONG, Cause.TAKE_PROFIT, "120", True),
        (LONG, Cause.TAKE_PROFIT, "119.76", True),
        (LONG, Cause.TAKE_PROFIT, "119.75", False),
        (SHORT, Cause.STOP_LOSS, "89.9", True),
        (SHORT, Cause.STOP_LOSS, "89", False),
        (SHORT, Cause.TAKE_PROFIT, "120.2", True),
        (SHORT, Cause.TAKE_PROFIT, "121", False),
        (LONG, Cause.LIQUIDATION, "80", False),
        (LONG, Cause.DELEVERAGING, "130", False),
        (LONG, Cause.OWNER, "90", False),
        (LONG, Cause.UNEXPLAINED, "90", False),
    ],
)
def test_the_strategys_own_level_closed_if_its_kind_is_named_at_its_price_or_beyond(
    side: Any, cause: Cause, price: str, is_own: bool
) -> None:
    stop, target = D("90"), D("120")
    held = holding(side=side, stop_loss=stop, take_profit=target)
    assert closed_by_own_level(held, cause, D(price)) is is_own
    assert not closed_by_own_level(holding(side=side), cause, D(price)), "none was set"


def test_an_exit_of_ours_that_explains_the_gone_position_does_not_detach() -> None:
    (found,) = compare((holding(),), report(), exiting=(BTC,))
    assert not found.detached


def test_a_smaller_position_shrinks_the_share_and_keeps_the_symbol_attached() -> None:
    (found,) = compare((holding(),), report((position(quantity=D("0.5")),)))
    assert isinstance(found, ShareShrunk)
    assert (found.share_to, found.detached) == (D("0.5"), False)


def test_a_position_on_the_other_side_is_the_owner_s() -> None:
    found = compare((holding(),), report((position(side=SHORT),)))
    assert [type(each) for each in found] == [ShareShrunk, OwnPosition]
    assert (found[0].share_to, found[1].side, found[1].quantity) == (D("0"), SHORT, D("2"))


def test_a_position_that_its_owner_opened_in_place_of_ours_is_his() -> None:
    held, stands = holding(position_id="p1"), position(id="p2", quantity=D("3"))
    gone, own = compare((held,), report((stands,)), closed_ids=CLOSED)
    assert (gone.share_to, gone.detached, own.quantity) == (0, True, D("3"))
    assert compare((held,), report((stands,))) == (
        OwnPosition(BTC, LONG, D("1")),
    )  # nothing says yet that ours was closed


def test_what_is_beyond_our_share_is_told_and_left_alone() -> None:
    reading = report((position(quantity=D("5")), position(symbol=ETH)))
    assert compare((holding(),), reading) == (
        OwnPosition(BTC, LONG, D("3")),
        OwnPosition(ETH, LONG, D("2")),
    )


@pytest.mark.parametrize(
    ("held", "exited", "entered", "carried"),
    [
        ("2", "0", "2", "0"),  # something else closed all of ours
        ("1", "1", "2", "2"),  # our exit closed it; what came after is in the next one
        ("1", "0", "2", "1"),  # something else closed what was in it by then
        ("3", "2", "2", "1"),
        ("9", "1", "2", "0"),  # the owner's beside ours: in doubt nothing is carried over
        ("1", "3", "2", "0"),  # the record is not of all that entered it
        ("1", "1", "0.5", "0.5"),  # nor is this one: less was entered since
        ("1", "1", "0", "0"),
    ],
)
def test_what_came_after_a_position_was_closed_is_carried_over_to_the_next_one(
    held: str, exited: str, entered: str, carried: str
) -> None:
    first = ClosedPosition("p1", BTC, LONG, D(held), D("100"), None, NOW, NOW)
    ours_in = holding(position_id="p1")
    ours = carried_over(ours_in, [(first, D(exited))], entered=D(entered))
    other = ClosedPosition("px", BTC, LONG, D("0.5"), D("100"), None, NOW, NOW)
    both = carried_over(ours_in, [(first, D(exited)), (other, D("0"))], entered=D(entered))
    assert both <= max(D("0"), ours_in.share - D("0.5"))
    assert both <= ours
    assert ours == D(carried)
    stands = position(id="p2", quantity=D("3"))
    found = compare((ours_in,), report((stands,)), closed_ids={"p1": ours})
    shrunk = [each.share_to for each in found if isinstance(each, ShareShrunk)]
    assert shrunk == ([] if ours == ours_in.share else [ours])
    assert found[-1] == OwnPosition(BTC, LONG, D("3") - ours)


@pytest.mark.parametrize(
    ("holdings", "unsettled"), [((holding(),), (BTC,)), ((holding(entries_open=1),), ())]
)
@pytest.mark.parametrize("positions", [(), (position(quantity=D("9")),)])
def test_a_symbol_with_something_under_way_is_left_alone(
    holdings: Any, unsettled: Any, positions: Any
) -> None:
    assert compare(holdings, report(positions), unsettled=unsettled) == ()


@pytest.mark.parametrize(
    ("stands", "closed_ids", "left"),
    [
        ((), {}, ["0"]),
        ((position(quantity=D("0.5")),), {}, ["0.5"]),
        ((position(quantity=D("2")),), {}, []),
        ((position(quantity=D("9")),), {}, []),
        ((position(side=SHORT),), {}, ["0"]),
        ((position(id="p2", quantity=D("0.5")),), {"p1": D("0.5")}, []),  # not before it has ended
    ],
)
def test_beside_a_working_entry_a_share_is_at_most_the_position_and_nothing_is_the_owners(
    stands: Any, closed_ids: Any, left: list[str]
) -> None:
    ours = holding(position_id="p1", entries_open=1)
    found = compare(
        (ours,), report(stands), unsettled=(BTC,), working=(BTC,), closed_ids=closed_ids
    )
    assert [str(each.share_to) for each in found if isinstance(each, ShareShrunk)] == left
    assert len(found) == len(left)
    assert compare((ours,), report(stands), unsettled=(BTC,), closed_ids=closed_ids) == ()


def test_resting_orders_of_ours_that_the_ledger_lacks_are_named() -> None:
    rows = (
        row(),
        row(exchange_order_id="x2"),
        row(exchange_order_id="x3", client_order_id="owner"),
        row(exchange_order_id="x4", client_order_id=None),
    )
    assert compare((), report((), rows)) == (ForeignOrders(("x1", "x2")),)
    assert compare((), report((), rows), bound_ids=("x1", "x2")) == ()
    assert compare((), report((), rows), client_id_known=lambda _: True) == ()


def lost(*steps: str) -> tuple[Any, ...]:
    """Return filled orders of ours that the ledger lacks, in order, such as "SELL 2"."""
    return tuple(
        row(
            exchange_order_id=f"l{n}",
            side=OrderSide[side],
            quantity=D(size),
            filled_quantity=D(size),
            status=OrderStatus.FILLED,
            created_at=NOW + timedelta(seconds=n),
        )
        for n, (side, size) in enumerate(each.split() for each in steps)
    )


OURS = "an order of this engine that this ledger lacks"


@pytest.mark.parametrize(
    ("steps", "stands", "cause", "detached"),
    [
        # closed by us, and flat since: the next open of the master is followed
        (("SELL 2",), None, f"{OURS} closed the position", False),
        (("SELL 0.5", "BUY 1", "SELL 2.5"), None, f"{OURS} closed the position", False),
        (("SELL 2", "BUY 3", "SELL 3"), None, f"{OURS} closed the position", False),
        # closed by us, and entered again by orders that nobody follows
        (
            ("SELL 2", "BUY 1"),
            position(quantity=D("1"), id="p2"),
            f"{OURS} closed the position; the one that is open there now",
            True,
        ),
        (
            ("SELL 2", "SELL 3"),
            position(side=SHORT, quantity=D("3")),
            f"{OURS} closed the position; the one that is open there now",
            True,
        ),
        # a part
        (
            ("SELL 1.5",),
            position(quantity=D("0.5")),
            f"{OURS} closed a part of the position",
            False,
        ),
        # closed outside, or in part: what was entered and left between says nothing about it
        ((), None, "the position was closed outside the engine", True),
        (("BUY 1",), None, "the position was closed outside the engine", True),
        (("BUY 5", "SELL 5"), None, "the position was closed outside the engine", True),
        (("SELL 0.5",), None, f"a liquidation; {OURS} closed 0.5 of it", True),
        (
            ("SELL 0.5",),
            position(quantity=D("1")),
            f"closed a part, or the entry was netted with a position of the owner's; {OURS} closed "
            "0.5 of it",
            False,
        ),
    ],
)
def test_who_closed_a_position_is_told_by_the_orders_of_ours_that_the_ledger_lacks(
    steps: tuple[str, ...], stands: Any, cause: str, detached: bool
) -> None:
    reading = report(() if stands is None else (stands,))
    found = compare(
        (holding(position_id="p1"),),
        reading,
        lost=lost(*steps),
        closed_ids=CLOSED if stands is not None and stands.id else {},
    )
    assert isinstance(found[0], ShareShrunk)
    assert cause in found[0].cause
    assert ("outside the engine" in found[0].cause) is (
        "outside the engine" in cause or "liquidation" in cause
    )
    assert found[0].detached is detached


@pytest.mark.parametrize(
    ("held", "steps", "stands", "beyond", "by_lost", "words"),
    [
        ((), (), position(), "2", "0", "the owner holds LONG 2 BTCUSDT beside us"),
        (
            (),
            ("BUY 2",),
            position(),
            "2",
            "2",
            f"LONG 2 BTCUSDT stands beside our share: {OURS} opened it",
        ),
        (
            (),
            ("BUY 2",),
            position(quantity=D("5")),
            "5",
            "2",
            f"the owner holds LONG 5 BTCUSDT beside us; {OURS} opened 2 of it",
        ),
        ((), ("BUY 2", "SELL 2"), position(), "2", "0", "the owner holds"),
        ((holding(),), ("BUY 1",), position(quantity=D("3")), "1", "1", "stands beside our share"),
        (
            (holding(),),
            ("SELL 1", "BUY 2"),
            position(quantity=D("3")),
            "1",
            "1",
            "stands beside our share",
        ),
        (
            (holding(),),
            ("SELL 2", "SELL 3"),
            position(side=SHORT, quantity=D("3")),
            "3",
            "3",
            "stands beside our share",
        ),
        ((holding(),), (), position(side=SHORT, quantity=D("3")), "3", "0", "the owner holds"),
        ((holding(position_id="p1"),), (), position(id="p2"), "2", "0", "the owner holds"),
        (
            (holding(position_id="p1"),),
            ("SELL 2", "BUY 2"),
            position(id="p2"),
            "2",
            "2",
            "stands beside our share",
        ),
    ],
)
def test_what_stands_beside_our_share_is_the_owners_but_for_what_lost_orders_opened(
    held: Any, steps: tuple[str, ...], stands: Any, beyond: str, by_lost: str, words: str
) -> None:
    found = compare(held, report((stands,)), lost=lost(*steps), closed_ids=CLOSED)
    (own,) = [each for each in found if isinstance(each, OwnPosition)]
    assert (own.quantity, own.by_lost) == (D(beyond), D(by_lost))
    assert words in words_of(own)["differs"]


X1, X2 = row(), row(exchange_order_id="x2")


@pytest.mark.parametrize(
    ("resting", "met", "in_history", "foreign", "as_lost"),
    [
        ((X1,), (), (), ("x1",), None),
        ((), ("x1",), (), ("x1",), None),
        ((), (), (X1,), None, ("x1",)),
        ((X1,), ("x1",), (X1,), None, ("x1",)),
        ((X1, X2), (), (X1,), ("x2",), ("x1",)),
        ((), ("x1", "x2"), (X2,), ("x1",), ("x2",)),
        ((X1,), ("x2",), (X1, X2), None, ("x1", "x2")),
    ],
)
def test_an_order_that_the_ledger_lacks_is_named_once_as_lost_where_the_history_has_it(
    resting: Any, met: Any, in_history: Any, foreign: Any, as_lost: Any
) -> None:
    found = compare((), report((), resting), met_ids=met, lost=in_history)
    named = {type(each): each.exchange_order_ids for each in found}
    assert named == {
        kind: ids for kind, ids in ((ForeignOrders, foreign), (LostOrders, as_lost)) if ids
    }
    told = [words_of(each)["differs"] for each in found if isinstance(each, LostOrders)]
    assert all("may still rest" in each for each in told)


def test_a_lost_order_is_told_with_what_it_did() -> None:
    (_, found) = compare((), report((position(),)), lost=lost("BUY 2"))
    assert "l0 BUY 2 BTCUSDT of 2026-11-24 12:00 UTC, 2 filled" in words_of(found)["differs"]
    assert "may still rest" not in words_of(found)["differs"]


quantities = st.decimals("0", "9", places=2, allow_nan=False, allow_infinity=False)
symbols = st.sampled_from([BTC, ETH, "SOLUSDT"])
sides = st.sampled_from([LONG, SHORT])
held = st.lists(
    st.builds(
        holding, symbol=symbols, side=sides, share=quantities, entries_open=st.integers(0, 1)
    ),
    unique_by=lambda each: each.symbol,
)
there = st.lists(
    st.builds(position, symbol=symbols, side=sides, quantity=quantities),
    unique_by=lambda each: each.symbol,
)


@given(held, there, st.sets(symbols), st.sets(symbols))
def test_reconciling_twice_changes_nothing_and_never_raises_a_share(
    holdings: Any, positions: Any, unsettled: Any, exiting: Any
) -> None:
    reading = report(tuple(positions))
    first = compare(tuple(holdings), reading, unsettled=unsettled, exiting=exiting)
    after = apply(holdings, first)
    again = compare(after, reading, unsettled=unsettled, exiting=exiting)
    assert not [each for each in again if isinstance(each, ShareShrunk)]
    assert apply(after, again) == after
    assert all(new.share <= old.share for new, old in zip(after, holdings, strict=True))
    assert all(
        new == old for new, old in zip(after, holdings, strict=True) if old.symbol in unsettled
    )


def test_a_lost_order_of_another_symbol_closed_nothing_here() -> None:
    elsewhere = tuple(replace(each, symbol=ETH) for each in lost("SELL 2"))
    found = compare((holding(position_id="p1"),), report(()), lost=elsewhere)
    assert isinstance(found[0], ShareShrunk)
    assert OURS not in found[0].cause
