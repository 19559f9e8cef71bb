"""Fills folded into trades: known cases, and conservation of money however fills come."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.results import Trade, drawdown, fold_all
from engine.domain.booking import BookState, Fill
from engine.domain.signal import PositionSide

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
D = Decimal


def buy(
    quantity: str, price: str, fee: str = "0", side: PositionSide = LONG, minutes: int = 0
) -> Fill:
    return Fill(
        side=side,
        is_entry=True,
        quantity=D(quantity),
        price=D(price),
        fee=D(fee),
        at=NOW + timedelta(minutes=minutes),
    )


def sell(
    quantity: str, price: str, fee: str = "0", side: PositionSide = LONG, minutes: int = 9
) -> Fill:
    return Fill(
        side=side,
        is_entry=False,
        quantity=D(quantity),
        price=D(price),
        fee=D(fee),
        at=NOW + timedelta(minutes=minutes),
    )


@pytest.mark.parametrize(
    ("fills", "results"),
    [
        ([buy("1", "100", "0.1"), sell("1", "110", "0.2")], ["9.7"]),
        ([buy("1", "100", "0.1", SHORT), sell("1", "110", "0.2", SHORT)], ["-10.3"]),
        ([buy("1", "100"), buy("1", "120"), sell("2", "115")], ["10"]),
        ([buy("2", "100", "0.4"), sell("1", "110"), sell("1", "90")], ["9.8", "-10.2"]),
        ([sell("1", "100")], []),
        ([buy("1", "100"), sell("3", "110", "0.3")], ["9.9"]),
        ([buy("1", "100")], []),
    ],
)
def test_a_trade_is_what_it_brought_less_what_it_cost_and_the_fees_of_both_ends(
    fills: list[Fill], results: list[str]
) -> None:
    _, trades = fold_all(fills)
    assert [each.result for each in trades] == [D(each) for each in results]


def test_a_trade_tells_average_price_and_times() -> None:
    _, trades = fold_all([buy("1", "100"), buy("3", "104", minutes=3), sell("4", "110")])
    assert trades == [
        Trade(
            side=LONG,
            quantity=D(4),
            entry_price=D("103.000000000000"),
            exit_price=D(110),
            fees=D(0),
            gross=D(28),
            opened_at=NOW,
            closed_at=NOW + timedelta(minutes=9),
        )
    ]


numbers = st.decimals(min_value="0.001", max_value="1000", places=3)
steps = st.lists(
    st.tuples(st.booleans(), numbers, numbers, st.decimals(min_value="0", max_value="5", places=4)),
    max_size=25,
)


@given(steps, st.sampled_from([LONG, SHORT]))
def test_money_is_conserved(
    moves: list[tuple[bool, Decimal, Decimal, Decimal]], side: PositionSide
) -> None:
    fills = [
        Fill(side=side, is_entry=is_entry, quantity=quantity, price=price, fee=fee, at=NOW)
        for is_entry, quantity, price, fee in moves
    ]
    held, cash = D(0), D(0)
    kept = []
    for each in fills:
        quantity = each.quantity if each.is_entry else min(each.quantity, held)
        if quantity == 0:
            continue
        part = Fill(
            side=side,
            is_entry=each.is_entry,
            quantity=quantity,
            price=each.price,
            fee=each.fee,
            at=NOW,
        )
        kept.append(part)
        sign = 1 if each.is_entry == (side is SHORT) else -1
        cash += sign * quantity * each.price - each.fee
        held += quantity if each.is_entry else -quantity
    after, trades = fold_all(kept)
    left = after[-1] if after else None
    open_cost = (
        D(0)
        if left is None
        else (left.cost or D(0)) * (-1 if side is LONG else 1) - (left.fees or D(0))
    )
    assert abs(sum((each.result or D(0) for each in trades), D(0)) + open_cost - cash) < D(
        "0.000001"
    )
    assert (left.quantity if left is not None else D(0)) == held


@given(numbers, numbers, numbers)
def test_splitting_a_fill_changes_nothing(
    quantity: Decimal, entry: Decimal, exit_: Decimal
) -> None:
    whole = fold_all([buy(str(quantity), str(entry)), sell(str(quantity), str(exit_))])[1]
    half = quantity / 2
    split = fold_all(
        [
            buy(str(half), str(entry)),
            buy(str(half), str(entry)),
            sell(str(half), str(exit_)),
            sell(str(half), str(exit_)),
        ]
    )[1]
    assert abs(
        sum((each.result or D(0) for each in whole), D(0))
        - sum((each.result or D(0) for each in split), D(0))
    ) < D("0.000001")


@pytest.mark.parametrize(
    ("points", "deepest"), [([], "0"), (["1", "2"], "0"), (["0", "5", "-1", "4", "3"], "6")]
)
def test_the_deepest_fall_is_below_the_highest_so_far(points: list[str], deepest: str) -> None:
    assert drawdown(map(D, points)) == D(deepest)


def test_what_nobody_told_is_never_taken_as_zero_and_spoils_no_later_trade() -> None:
    untold = Fill(
        side=LONG, is_entry=False, quantity=D(1), price=None, fee=None, at=NOW, state=BookState.OPEN
    )
    after, trades = fold_all([buy("2", "100", "0.4"), untold, sell("1", "110", "0.2")])
    assert after[-1] is None
    assert [(each.result, each.state) for each in trades] == [
        (None, BookState.OPEN),
        (D("9.6"), BookState.SETTLED),
    ]
    assert (trades[0].entry_price, trades[0].exit_price, trades[0].fees, trades[0].gross) == (
        D(100),
        None,
        None,
        None,
    )


def test_a_trade_with_an_entry_that_nobody_priced_has_no_result_but_its_quantity_counts() -> None:
    untold = Fill(
        side=LONG,
        is_entry=True,
        quantity=D(1),
        price=None,
        fee=D(0),
        at=NOW,
        state=BookState.UNEXPLAINED,
    )
    after, trades = fold_all([buy("1", "100"), untold, sell("2", "110")])
    assert after[-1] is None
    assert [(each.quantity, each.entry_price, each.result, each.state) for each in trades] == [
        (D(2), None, None, BookState.UNEXPLAINED)
    ]
