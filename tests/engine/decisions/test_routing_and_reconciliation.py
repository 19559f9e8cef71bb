"""Whom a signal reaches, which switches stand in the way, and what a reading of the exchange corrects."""

from typing import Any

import pytest
from decision_builders import BTC, ETH, LONG, SHORT, D, holding, position, report, row, switch
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.reconciliation import ForeignOrders, OwnPosition, ShareShrunk, apply, reconcile
from engine.decisions.routing import concerning, concerns
from engine.domain.holding import SwitchScope

HERE = {"account_id": "a1", "account_name": "ann", "strategy_id": "s1", "strategy_name": "trend", "exchange": "paper"}


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
    everything = {"", "a1", "ann", "s1", "trend", "paper", "elsewhere"} if scope is not SwitchScope.ALL else targets
    assert {each for each in everything if concerns(switch(scope=scope, target=each), **HERE)} == targets


def test_the_widest_switch_is_the_one_that_is_told() -> None:
    on = [switch(scope=SwitchScope.ACCOUNT, target="ann"), switch(scope=SwitchScope.EXCHANGE, target="other"), switch()]
    assert [each.scope for each in concerning(on, **HERE)] == [SwitchScope.ALL, SwitchScope.ACCOUNT]


def compare(holdings: tuple[Any, ...], reading: Any, **changes: Any) -> Any:
    known: dict[str, Any] = {"unsettled": (), "exiting": (), "bound_ids": (), "client_id_known": lambda _: False}
    return reconcile(holdings, reading, **(known | changes))


def test_a_position_that_is_gone_takes_the_share_and_detaches_the_symbol() -> None:
    (found,) = compare((holding(),), report())
    assert (found.share_from, found.share_to, found.detached) == (D("2"), D("0"), True)
    (after,) = apply((holding(),), (found,))
    assert (after.share, after.detached) == (D("0"), True)


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
    gone, own = compare((held,), report((stands,)), closed_ids=("p1",))
    assert (gone.share_to, gone.detached, own.quantity) == (0, True, D("3"))
    assert compare((held,), report((stands,))) == (OwnPosition(BTC, LONG, D("1")),)  # nothing says yet that ours was closed


def test_what_is_beyond_our_share_is_told_and_left_alone() -> None:
    reading = report((position(quantity=D("5")), position(symbol=ETH)))
    assert compare((holding(),), reading) == (OwnPosition(BTC, LONG, D("3")), OwnPosition(ETH, LONG, D("2")))


@pytest.mark.parametrize(("holdings", "unsettled"), [((holding(),), (BTC,)), ((holding(entries_open=1),), ())])
@pytest.mark.parametrize("positions", [(), (position(quantity=D("9")),)])
def test_a_symbol_with_something_under_way_is_left_alone(holdings: Any, unsettled: Any, positions: Any) -> None:
    assert compare(holdings, report(positions), unsettled=unsettled) == ()


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


quantities = st.decimals("0", "9", places=2, allow_nan=False, allow_infinity=False)
symbols = st.sampled_from([BTC, ETH, "SOLUSDT"])
sides = st.sampled_from([LONG, SHORT])
held = st.lists(
    st.builds(holding, symbol=symbols, side=sides, share=quantities, entries_open=st.integers(0, 1)),
    unique_by=lambda each: each.symbol,
)
there = st.lists(st.builds(position, symbol=symbols, side=sides, quantity=quantities), unique_by=lambda each: each.symbol)


@given(held, there, st.sets(symbols), st.sets(symbols))
def test_reconciling_twice_changes_nothing_and_never_raises_a_share(holdings: Any, positions: Any, unsettled: Any, exiting: Any) -> None:
    reading = report(tuple(positions))
    first = compare(tuple(holdings), reading, unsettled=unsettled, exiting=exiting)
    after = apply(holdings, first)
    again = compare(after, reading, unsettled=unsettled, exiting=exiting)
    assert not [each for each in again if isinstance(each, ShareShrunk)]
    assert apply(after, again) == after
    assert all(new.share <= old.share for new, old in zip(after, holdings, strict=True))
    assert all(new == old for new, old in zip(after, holdings, strict=True) if old.symbol in unsettled)
