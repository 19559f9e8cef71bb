"""Rows of orders, positions, closed positions and fees as recorded: what they say, what they do not
say, and unreadable ones.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_rows import (
    AT,
    CLOSING,
    NO_LEG,
    OPENING,
    POSITION,
    SPARSE_LEG,
    closed_row,
    closing_row,
    fee_row,
    leg_row,
    order_row,
    position_row,
    uuid7,
)

from plugins.mudrex import rows
from rexalgo import ClosedBy, FeeKind, OrderReport, OrderSide, OrderStatus, Position, PositionSide

BTC: Any = "BTCUSDT"


def positions(*listed: Any) -> rows.Read[Position]:
    """Read position rows without a price feed."""
    return rows.read_each("position", listed, lambda row: rows.position(row, None))


def only(read: rows.Read[OrderReport]) -> OrderReport:
    """Return the one order that was read."""
    assert read.unread == ()
    (found,) = read.values
    return found


# Orders


@pytest.mark.parametrize("side", ["LONG", "long"])
def test_an_entry_and_its_close_name_their_position_and_say_which_is_which(side: str) -> None:
    closing, opening = rows.orders([closing_row(), order_row(order_type=side)]).values
    assert (opening.position_id, opening.reduce_only, opening.side, opening.reason) == (
        POSITION,
        False,
        OrderSide.BUY,
        "",
    )
    assert (closing.position_id, closing.reduce_only, closing.side, closing.reason) == (
        POSITION,
        True,
        OrderSide.SELL,
        "",
    )
    assert (opening.average_price, opening.created_at, opening.fee) == (
        Decimal("80010.0000000000000001"),
        AT,
        None,
    )
    assert (closing.exchange_order_id, closing.closed_by) == (CLOSING, ClosedBy.ORDER)


def test_a_liquidation_leaves_an_ordinary_row_that_is_not_told_as_a_close() -> None:
    liquidation, opening = rows.orders(
        [closing_row(price=Decimal("64300"), filled_price=Decimal("64200.1")), order_row()]
    ).values
    assert (liquidation.reduce_only, liquidation.closed_by, opening.closed_by) == (True, None, None)
    same = Decimal("80010")
    grown = only(
        rows.orders(
            [
                closing_row(
                    order_type="LONG", reason={"message": "OK"}, price=same, filled_price=same
                )
            ]
        )
    )
    assert (grown.reduce_only, grown.closed_by) == (None, None)


def test_a_close_whose_entry_is_not_in_the_reading_says_neither() -> None:
    assert only(rows.orders([closing_row()])).reduce_only is None
    assert (
        only(rows.orders([order_row(position_id=None, future_position_uuid=None)])).reduce_only
        is None
    )
    assert only(rows.orders([order_row(client_order_id="rx1")])).client_order_id == "rx1"


def test_an_older_row_names_its_position_by_the_older_name_and_numbers_may_be_text() -> None:
    old = {
        key: value
        for key, value in order_row().items()
        if key not in ("position_id", "client_order_id")
    }
    text = {key: str(value) if isinstance(value, Decimal) else value for key, value in old.items()}
    found = only(rows.orders([text]))
    assert (found.position_id, found.quantity, found.average_price) == (
        POSITION,
        Decimal("0.002"),
        Decimal("80010.0000000000000001"),
    )


def test_a_leg_is_no_order_until_it_filled_and_then_it_says_what_closed() -> None:
    assert rows.orders([leg_row(), leg_row(quantity=Decimal(0)), SPARSE_LEG]) == rows.Read((), ())
    filled = leg_row(status="FILLED", filled_quantity="0.002", filled_price="78990")
    stop = rows.orders([filled, order_row()]).values[0]
    assert (stop.side, stop.closed_by, stop.reduce_only, stop.quantity) == (
        OrderSide.SELL,
        ClosedBy.STOP_LOSS,
        True,
        Decimal("0.002"),
    )
    assert rows.orders([filled]) == rows.Read((), ())  # of which side it was stands nowhere


def test_sparse_rows_are_read_and_a_reason_is_told_unless_it_is_ok() -> None:
    sparse = {
        "id": "1",
        "created_at": order_row()["created_at"],
        "symbol": "X1USDT",
        "order_type": "SHORT",
        "status": "created",
        "quantity": "1",
    }
    found = only(rows.orders([sparse]))
    assert (found.status, found.filled_quantity, found.position_id, found.reduce_only) == (
        OrderStatus.OPEN,
        0,
        "",
        None,
    )
    rejected = only(
        rows.orders(
            [order_row(status="REJECTED", filled_quantity=0, reason={"message": "no margin"})]
        )
    )
    assert (rejected.status, rejected.reason) == (OrderStatus.REJECTED, "no margin")
    assert only(rows.orders([order_row(filled_price=None)])).average_price is None


UNREADABLE: list[Any] = [
    order_row(status="PARKED"),
    order_row(status=None),
    order_row(order_type="TRAILING"),
    order_row(order_type=None),
    order_row(created_at="yesterday"),
    order_row(created_at=None),
    order_row(created_at="2026-10-05T08:00:00"),
    order_row(quantity=None),
    order_row(quantity="many"),
    order_row(quantity=0),
    order_row(filled_quantity=None),
    order_row(filled_quantity=0),
    order_row(filled_quantity=1),
    order_row(filled_quantity=-1),
    order_row(quantity="NaN"),
    order_row(id=7),
    order_row(symbol="btc"),
    order_row(status="PARTIALLY_FILLED", filled_quantity=None),
    {},
    None,
    "text",
    [1],
    5,
]


@pytest.mark.parametrize("strange", UNREADABLE)
def test_what_cannot_be_read_stops_nothing_else_and_is_told(strange: Any) -> None:
    read = rows.orders([closing_row(), strange, order_row(id=uuid7(1, 1), client_order_id="rx")])
    assert [each.exchange_order_id for each in read.values] == [CLOSING, uuid7(1, 1)]
    (told,) = read.unreadable
    assert (told.what, len(told.problem) > 10) == ("order", True)
    assert told.symbol in (BTC, None)


def test_an_unreadable_row_hides_only_its_own_contract_and_time() -> None:
    later = AT + timedelta(hours=1)
    for strange, hides in (
        (order_row(status="PARKED"), True),
        (order_row(status="PARKED", symbol="ETHUSDT"), False),
        (order_row(status="PARKED", symbol=None), True),
        (order_row(status="PARKED", symbol="???"), True),
        (order_row(status="PARKED", symbol="btc/usdt"), True),
        (order_row(status="PARKED", symbol="eth/usdt"), False),
        (order_row(status="PARKED", symbol="币安人生USDT"), False),
        (order_row(status="PARKED", symbol="ＢＴＣUSDT"), True),
        (order_row(created_at="soon"), True),
    ):
        assert rows.orders([strange]).hides(AT, BTC) is hides
        assert rows.orders([strange]).hides(later, BTC) is (
            hides and strange["created_at"] == "soon"
        )


JUNK = (
    None,
    True,
    7,
    -1,
    10**40,
    "",
    "soon",
    "-1",
    "1e9999999",
    "NaN",
    "btc",
    [1],
    {},
    {"message": 1},
    Decimal("0.5"),
)


@given(
    st.dictionaries(
        st.sampled_from(sorted({*order_row(), *closed_row(), *fee_row(), *position_row()})),
        st.sampled_from(JUNK),
        max_size=5,
    )
)
def test_no_row_whatever_raises_or_is_lost(changes: dict[str, Any]) -> None:
    for make, read in (
        (order_row, rows.orders),
        (position_row, lambda listed: positions(*listed)),
        (
            closed_row,
            lambda listed: rows.read_each("closed position", listed, rows.closed_position),
        ),
        (fee_row, lambda listed: rows.read_each("fee", listed, rows.fee)),
    ):
        found: rows.Read[Any] = read([make(**changes)])  # type: ignore[operator]
        is_leg = str(changes.get("order_type")).upper() in ("STOPLOSS", "TAKEPROFIT")
        assert len(found.values) + len(found.unread) == 1 or is_leg


# Positions


def test_an_open_row_names_itself_and_a_missing_leg_is_none() -> None:
    (held,) = positions(position_row()).values
    assert (held.id, held.side, held.entry_price) == (
        POSITION,
        PositionSide.LONG,
        Decimal("80010.0000000000000001"),
    )
    assert (held.stop_loss, held.take_profit, held.liquidation_price) == (
        79000,
        None,
        Decimal("64200.1"),
    )
    for none in (None, {}, NO_LEG):
        (bare,) = positions(
            position_row(stoploss=none, takeprofit=none, position_id=None, liquidation_price="0")
        ).values
        assert (bare.stop_loss, bare.take_profit, bare.liquidation_price, bare.id) == (
            None,
            None,
            None,
            POSITION,
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"order_type": "BOTH"},
        {"quantity": None},
        {"quantity": "0"},
        {"entry_price": ""},
        {"leverage": "x"},
    ],
)
def test_an_unreadable_position_is_told_with_its_contract(changes: dict[str, Any]) -> None:
    read = positions(
        position_row(**changes),
        position_row(id=uuid7(0, 2), position_id=uuid7(0, 2), symbol="ETHUSDT"),
    )
    assert [each.symbol for each in read.values] == ["ETHUSDT"]
    assert [(each.what, each.id, each.symbol) for each in read.unreadable] == [
        ("position", POSITION, BTC)
    ]


def test_a_closed_row_names_the_position_that_was_open_and_the_order_that_closed_it() -> None:
    closed = rows.closed_position(closed_row())
    assert (closed.position_id, closed.order_id, closed.exit_price, closed.result) == (
        POSITION,
        CLOSING,
        80100,
        Decimal("0.17"),
    )
    assert (closed.opened_at, closed.closed_at, closed.closed_by) == (
        AT,
        AT + timedelta(seconds=60),
        None,
    )
    assert rows.closed_position(closed_row(status="LIQUIDATED")).closed_by is ClosedBy.LIQUIDATION
    old = rows.closed_position(
        {
            key: value
            for key, value in closed_row(pnl="").items()
            if key not in ("position_id", "order_id")
        }
    )
    assert (old.position_id, old.order_id, old.result) == ("", "", None)
    for wrong in ({"status": "MOVED"}, {"updated_at": None}, {"quantity": None}):
        assert (
            rows.read_each("closed position", [closed_row(**wrong)], rows.closed_position).values
            == ()
        )


# Fees


def test_a_fee_is_what_the_wallet_lost_with_its_tax_inside_or_beside() -> None:
    usdt = rows.fee(fee_row())
    assert (usdt.amount, usdt.tax, usdt.side, usdt.traded) == (
        Decimal("0.09441180"),
        Decimal("0.01440180"),
        OrderSide.BUY,
        Decimal("160.02"),
    )
    rupees = rows.fee(
        fee_row(trade_currency="INR", fee_amount="3.50", gst_amount="0.63", fee_perc="0.05")
    )
    assert (rupees.amount, rupees.tax, rupees.currency) == (Decimal("4.13"), Decimal("0.63"), "INR")
    assert rows.fee(fee_row(gst_amount="")).tax == 0


def test_a_rebate_is_money_back_and_funding_keeps_its_sign() -> None:
    row = {
        key: value
        for key, value in fee_row(fee_type="REBATE", fee_amount="0.0377").items()
        if key != "gst_amount"
    }
    rebate = rows.fee(row)
    assert (rebate.kind, rebate.amount, rebate.tax, rebate.side, rebate.traded) == (
        FeeKind.REBATE,
        Decimal("-0.0377"),
        0,
        OrderSide.BUY,
        Decimal("160.02"),
    )
    paid = {key: value for key, value in row.items() if key not in ("order_type", "trigger_type")}
    funding = rows.fee(
        {
            **paid,
            "fee_type": "FUNDING",
            "fee_amount": "-0.0023",
            "fee_perc": "-0.005",
            "transaction_amount": "46.2",
        }
    )
    assert (funding.kind, funding.amount, funding.side, funding.traded) == (
        FeeKind.FUNDING,
        Decimal("-0.0023"),
        None,
        None,
    )


def test_a_fee_says_which_leg_closed_and_an_unknown_kind_is_told() -> None:
    for word, by in (
        ("STOPLOSS", ClosedBy.STOP_LOSS),
        ("TAKEPROFIT", ClosedBy.TAKE_PROFIT),
        ("LONG", None),
    ):
        told = rows.fee(fee_row(order_type=word))
        assert (told.closed_by, told.side) == (by, None if by else OrderSide.BUY)
    read = rows.read_each("fee", [fee_row(fee_type="BONUS"), fee_row(id=uuid7(701))], rows.fee)
    assert ([each.id for each in read.values], [each.what for each in read.unreadable]) == (
        [uuid7(701)],
        ["fee"],
    )


def test_a_row_shown_twice_is_one_row() -> None:
    assert len(rows.orders([order_row(), order_row(), None, None]).values) == 1
    assert len(rows.orders([order_row(), order_row(), None, None]).unread) == 1
    assert OPENING != CLOSING
