"""Which rows explain which fills: exactly those with one meaning, with the owner's own acts told
apart from ours.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from decision_builders import holding

from engine.decisions.explaining_fills import (
    OwnBook,
    Told,
    UnsettledFill,
    explain_by_orders,
    explain_by_positions,
    own_changes,
)
from engine.domain.account import AccountReport, Balance, ClosedPosition, Position, UnreadableRow
from engine.domain.amounts import Money, Price, Quantity, Ratio
from engine.domain.booking import Cause
from engine.domain.identifiers import Symbol, client_order_id
from engine.domain.order import ClosedBy, OrderReport, OrderSide, OrderStatus
from engine.domain.signal import PositionSide

D = Decimal
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
BTC = Symbol("BTCUSDT")
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


def fill(number: int = 1, quantity: str = "1", **said: Any) -> UnsettledFill:
    """Return a close of ours that a reading at NOW saw, and the one 30 s before did not."""
    given = {
        "price": None,
        "fee": None,
        "cause": None,
        "since": NOW - timedelta(seconds=30),
        "seen_at": NOW,
        "is_entry": False,
        **said,
    }
    return UnsettledFill(
        id=number,
        symbol=BTC,
        side=given.pop("side", LONG),
        is_entry=given.pop("is_entry"),
        quantity=D(quantity),
        **given,
    )


def order(
    identifier: str = "x",
    quantity: str = "1",
    price: str = "90",
    *,
    ago_s: float = 10,
    side: OrderSide = OrderSide.SELL,
    closed_by: ClosedBy | None = ClosedBy.ORDER,
    fee: str | None = "0.1",
    position: str = "",
    filled: str | None = None,
) -> OrderReport:
    return OrderReport(
        identifier,
        None,
        BTC,
        side,
        Quantity(D(quantity)),
        OrderStatus.FILLED,
        Quantity(D(filled or quantity)),
        Price(D(price)),
        None if fee is None else Money(D(fee)),
        NOW - timedelta(seconds=ago_s),
        None,
        "",
        position,
        closed_by,
    )


def explained(
    fills: list[UnsettledFill],
    orders: list[OrderReport],
    taken: tuple[str, ...] = (),
    waits: bool = False,
) -> list[Told]:
    return explain_by_orders(fills, orders, taken, waits_for_position=waits)


def test_the_one_order_of_its_time_and_quantity_explains_a_close_as_the_owners_hand() -> None:
    (told,) = explained([fill()], [order()])
    assert (told.price, told.fee, told.cause, told.order_id) == (D(90), D("0.1"), Cause.OWNER, "x")
    assert told.at == NOW - timedelta(seconds=10)


def test_an_order_of_ours_that_the_ledger_lacks_is_no_owners_hand() -> None:
    """A ledger that was put back is older than the order."""
    mark = client_order_id("copy-1", 1)
    lost = replace(order(), client_order_id=mark)
    for waits in (False, True):
        (told,) = explained([fill(ends_position=True)], [lost], waits=waits)
        assert told.cause is Cause.SIGNAL
    (told,) = explained([fill()], [replace(lost, closed_by=ClosedBy.STOP_LOSS)])
    assert told.cause is Cause.STOP_LOSS
    (told,) = explained([fill(quantity="2")], [lost, order("by-hand")])  # not by us alone
    assert told.cause is Cause.OWNER


@pytest.mark.parametrize(
    "row",
    [
        order(ago_s=60),
        order(ago_s=-9),
        order(side=OrderSide.BUY),
        order(quantity="0.4"),
        order(position="other"),
        order("bound"),
    ],
)
def test_what_cannot_be_it_explains_nothing(row: OrderReport) -> None:
    assert explained([fill(position_id="held")], [row], ("bound",)) == []


def test_a_stop_made_long_before_is_known_by_its_position() -> None:
    (told,) = explained(
        [fill(position_id="p")], [order(ago_s=9_000, closed_by=ClosedBy.STOP_LOSS, position="p")]
    )
    assert (told.price, told.cause) == (D(90), Cause.STOP_LOSS)


def test_several_closes_between_two_readings_are_averaged_by_quantity() -> None:
    (told,) = explained(
        [fill(quantity="4")], [order("a", "1", "80"), order("b", "3", "100", fee="0.3")]
    )
    assert (told.price, told.fee, told.order_id) == (D(95), D("0.4"), None)


def test_rows_that_fit_in_two_ways_at_two_prices_explain_nothing() -> None:
    assert explained([fill()], [order("a"), order("b", price="91")]) == []
    assert (
        len(explained([fill()], [order("a"), order("b")])) == 1
    )  # at one price it does not matter


def test_one_order_may_close_our_part_and_the_owners() -> None:
    ours, his = fill(1, "1"), fill(2, "3")
    told = explained([ours, his], [order(quantity="4", fee="0.4", closed_by=ClosedBy.LIQUIDATION)])
    assert [(each.fill, each.price, each.fee, each.cause) for each in told] == [
        (1, D(90), D("0.1"), Cause.LIQUIDATION),
        (2, D(90), D("0.3"), Cause.LIQUIDATION),
    ]


def test_what_the_owner_adds_is_explained_by_his_own_order() -> None:
    (told,) = explained(
        [fill(is_entry=True, cause=Cause.OWNER)], [order(side=OrderSide.BUY, closed_by=None)]
    )
    assert (told.price, told.cause) == (D(90), Cause.OWNER)


def test_an_exit_of_ours_without_an_order_id_stays_the_signals_own() -> None:
    (told,) = explained([fill(cause=Cause.SIGNAL, attempt=7)], [order()], waits=True)
    assert (told.price, told.cause) == (D(90), Cause.SIGNAL)


def closed(price: str | None = "85", quantity: str = "1", **said: Any) -> ClosedPosition:
    given = {
        "position_id": "p",
        "order_id": "x",
        "closed_by": ClosedBy.LIQUIDATION,
        "closed_at": NOW - timedelta(seconds=8),
        **said,
    }
    return ClosedPosition(
        given["position_id"],
        BTC,
        LONG,
        Quantity(D(quantity)),
        Price(D(100)),
        None if price is None else Price(D(price)),
        given["closed_at"],
        NOW - timedelta(hours=1),
        given["closed_by"],
        given["order_id"],
    )


def test_only_the_closed_position_says_that_an_ordinary_row_was_a_liquidation() -> None:
    gone = fill(position_id="p", ends_position=True)
    (by_order,) = explained([gone], [order(closed_by=None)], waits=True)
    assert (by_order.price, by_order.cause) == (D(90), None)
    (told,) = explain_by_positions(
        [fill(position_id="p", ends_position=True, price=D(90), order_id="x")], [closed()], ("x",)
    )
    assert (told.price, told.cause, told.order_id) == (None, Cause.LIQUIDATION, "x")


def test_a_close_without_any_word_is_the_owners_hand_once_its_fee_row_had_none_either() -> None:
    known = fill(position_id="p", ends_position=True, price=D(90), order_id="x")
    assert [
        each.cause for each in explain_by_positions([known], [closed(closed_by=None)], ("x",))
    ] == [None]
    (told,) = explain_by_positions([replace(known, fee=D("0.1"))], [closed(closed_by=None)], ("x",))
    assert told.cause is Cause.OWNER


def test_a_closed_position_tells_the_price_where_it_left_as_a_whole() -> None:
    (told,) = explain_by_positions([fill(position_id="p")], [closed()], ())
    assert (told.price, told.cause, told.order_id) == (D(85), Cause.LIQUIDATION, "x")
    (told,) = explain_by_positions([fill(position_id="p")], [closed(quantity="3")], ())
    assert told.price is None  # it left in parts, and its price is an average of them
    both = explain_by_positions(
        [fill(1, "1", position_id="p"), fill(2, "2", position_id="p")], [closed(quantity="3")], ()
    )
    assert [each.price for each in both] == [D(85), D(85)]


@pytest.mark.parametrize(
    "row",
    [
        closed(position_id="q"),
        closed(closed_at=NOW + timedelta(minutes=5)),
        closed(quantity="0.5"),
        closed(order_id="bound"),
    ],
)
def test_another_closed_position_explains_nothing(row: ClosedPosition) -> None:
    assert explain_by_positions([fill(position_id="p")], [row], ("bound",)) == []


def test_the_end_of_a_position_is_known_by_its_id_however_far_back_it_is_dated() -> None:
    gone, early = fill(position_id="p", ends_position=True), NOW - timedelta(minutes=5)
    (by_order,) = explained([gone], [order(ago_s=300, position="p")])
    (by_position,) = explain_by_positions([gone], [closed(closed_at=early)], ())
    assert (by_order.price, by_position.price, by_position.cause) == (
        D(90),
        D(85),
        Cause.LIQUIDATION,
    )
    part = replace(gone, ends_position=False)
    assert explained([part], [order(ago_s=300, position="p")]) == []
    assert explain_by_positions([part], [closed(closed_at=early)], ()) == []


def reading(
    *positions: tuple[str, PositionSide, str], unreadable: tuple[UnreadableRow, ...] = ()
) -> AccountReport:
    made = tuple(
        Position(
            Symbol(each),
            side,
            Quantity(D(quantity)),
            Price(D(100)),
            Price(D(100)),
            Ratio(D(5)),
            Money(D(1)),
            Money(D(0)),
            id="p",
        )
        for each, side, quantity in positions
    )
    return AccountReport(Balance(Money(D(1)), Money(D(1))), made, (), NOW, unreadable)


def test_what_a_reading_shows_beyond_our_share_is_compared_with_the_owners_books() -> None:
    ours = holding(share=D(1))
    changes = own_changes(
        reading(("BTCUSDT", LONG, "3"), ("ETHUSDT", SHORT, "2")),
        [ours],
        [OwnBook(BTC, LONG, D("0.5"))],
        (),
    )
    assert [(each.symbol, each.side, each.is_entry, each.quantity) for each in changes] == [
        ("BTCUSDT", LONG, True, D("1.5")),
        ("ETHUSDT", SHORT, True, D(2)),
    ]
    own = [OwnBook(BTC, LONG, D("0.5")), OwnBook(Symbol("ETHUSDT"), LONG, D(2))]
    changes = own_changes(reading(("ETHUSDT", SHORT, "1")), [], own, ())
    assert [
        (each.symbol, each.side, each.is_entry, each.quantity, each.ends_position)
        for each in changes
    ] == [
        ("BTCUSDT", LONG, False, D("0.5"), True),
        ("ETHUSDT", LONG, False, D(2), False),
        ("ETHUSDT", SHORT, True, D(1), False),
    ]


def test_what_is_under_way_or_cannot_be_read_is_left_for_a_later_reading() -> None:
    own = [OwnBook(BTC, LONG, D("0.5"))]
    assert own_changes(reading(), [], own, [BTC]) == []
    assert own_changes(reading(), [holding(share=D(0), entries_open=1)], own, ()) == []
    assert (
        own_changes(reading(unreadable=(UnreadableRow("position", "", BTC, "?"),)), [], own, ())
        == []
    )
    assert (
        own_changes(reading(unreadable=(UnreadableRow("position", "", None, "?"),)), [], own, ())
        == []
    )
