"""Proofs of an exit, and rows that only resemble one: rows as recorded, each with one change."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from mudrex_world import leave
from recorded_rows import (
    AT,
    CLOSING,
    OTHER,
    POSITION,
    closed_row,
    closing_row,
    order_row,
    position_row,
    stamp,
    uuid7,
)

from plugins.mudrex import rows
from plugins.mudrex.exit_proof import ExitProof
from rexalgo import OrderReport, OrderSide, OrderStatus

SEEN = AT + timedelta(seconds=60)
HELD = position_row()


def proof(
    held: Any = HELD, seen_at: datetime = SEEN, proven: tuple[str, ...] = (), **order: Any
) -> ExitProof:
    """Return what proves the close of POSITION, whole or a part."""
    return ExitProof(held, leave(**{"quantity": "0.002", **order}), seen_at, proven)


def read(*listed: Any) -> tuple[OrderReport, ...]:
    """Read order rows, the newest first."""
    return rows.orders(listed).values


def test_the_row_that_names_the_position_proves_its_exit() -> None:
    found = proof().by_order(read(closing_row(), order_row()))
    assert found is not None
    assert (found.exchange_order_id, found.status, found.filled_quantity) == (
        CLOSING,
        OrderStatus.FILLED,
        Decimal("0.002"),
    )
    assert (
        proof(seen_at=SEEN.replace(microsecond=999_000)).by_order(read(closing_row())) is not None
    )


LOOKS_LIKE_IT: dict[str, dict[str, Any]] = {
    "another position's row": {"position_id": OTHER, "future_position_uuid": OTHER},
    "a row that names no position": {"position_id": None, "future_position_uuid": None},
    "another quantity": {"quantity": Decimal("0.001"), "filled_quantity": Decimal("0.001")},
    "another contract": {"symbol": "ETHUSDT"},
    "an opening row without a client id": {"order_type": "LONG"},
    "an order with a client id": {"client_order_id": "rx9"},
    "an order that still works": {"status": "CREATED", "filled_quantity": 0, "filled_price": 0},
    "an order from before the position was seen open": {"created_at": stamp(59)},
    "a stop of the position": {"id": uuid7(5)},
    "an unknown status": {"status": "PARKED"},
    "a liquidation": {"price": Decimal("80200")},
}


@pytest.mark.parametrize("name", LOOKS_LIKE_IT)
def test_what_only_looks_like_the_exit_is_not_believed(name: str) -> None:
    assert proof().by_order(read(closing_row(**LOOKS_LIKE_IT[name]), order_row())) is None


def test_one_order_proves_one_exit_and_a_fill_comes_before_a_cancellation() -> None:
    assert proof(proven=(CLOSING,)).by_order(read(closing_row())) is None
    nothing_left = closing_row(
        id=uuid7(60_100), status="CANCELLED", filled_quantity=0, filled_price=0
    )
    found = proof().by_order(read(nothing_left, closing_row()))
    assert found is not None
    assert found.exchange_order_id == CLOSING
    alone = proof().by_order(read(nothing_left))
    assert alone is not None
    assert alone.status is OrderStatus.CANCELLED


def test_a_close_at_several_prices_is_proven_by_the_closed_position_and_a_liquidation_is_not() -> (
    None
):
    row = read(closing_row(price=Decimal("80100"), filled_price=Decimal("80100.3333333333333")))
    assert proof().by_order(row) is None
    assert proof().by_closed_position(rows.closed_position(closed_row()), row) is not None
    assert (
        proof().by_closed_position(rows.closed_position(closed_row(status="LIQUIDATED")), row)
        is None
    )


def test_a_part_is_proven_by_a_row_of_that_part() -> None:
    part = closing_row(quantity=Decimal("0.001"), filled_quantity=Decimal("0.001"))
    assert proof(quantity="0.001", whole=False).by_order(read(part)) is not None
    assert proof(quantity="0.001", whole=False).by_order(read(closing_row())) is None


def test_a_position_that_grew_is_proven_by_a_row_of_the_quantity_that_was_asked_for() -> None:
    held = position_row(quantity="0.007")
    whole = closing_row(quantity=Decimal("0.007"), filled_quantity=Decimal("0.007"))
    assert proof(held).by_order(read(closing_row())) is not None
    assert proof(held).by_order(read(whole)) is None
    closed = rows.closed_position(closed_row(quantity="0.007"))
    assert proof(held).by_closed_position(closed, ()) is None


def test_a_position_that_shrank_is_proven_by_a_row_of_what_was_left() -> None:
    held = position_row(quantity="0.001")
    left = closing_row(quantity=Decimal("0.001"), filled_quantity=Decimal("0.001"))
    assert proof(held).by_order(read(left)) is not None
    assert proof(held).by_order(read(closing_row())) is None


def test_a_position_whose_quantity_cannot_be_read_is_proven_by_a_row_of_the_asked_one() -> None:
    held = position_row(quantity="many", stoploss={"price": "x"})
    assert proof(held).by_order(read(closing_row())) is not None
    assert proof(held).by_closed_position(rows.closed_position(closed_row()), ()) is None


# The closed position


def test_the_closed_position_proves_the_exit_where_no_order_row_shows() -> None:
    found = proof().by_closed_position(rows.closed_position(closed_row()), ())
    assert found is not None
    assert (found.exchange_order_id, found.side, found.average_price, found.filled_quantity) == (
        CLOSING,
        OrderSide.SELL,
        80100,
        Decimal("0.002"),
    )
    assert (found.position_id, found.reduce_only, found.fee, found.created_at) == (
        POSITION,
        True,
        None,
        SEEN,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "LIQUIDATED"},
        {"position_id": OTHER},
        {"position_id": None},
        {"order_id": None},
        {"order_id": uuid7(5)},
        {"quantity": "0.001"},
        {"updated_at": stamp(59)},
    ],
)
def test_a_liquidation_a_stop_and_another_position_are_not_our_exit(
    changes: dict[str, Any],
) -> None:
    assert proof().by_closed_position(rows.closed_position(closed_row(**changes)), ()) is None


def test_a_closed_position_whose_order_is_seen_and_is_another_ones_is_not_our_exit() -> None:
    closed = rows.closed_position(closed_row())
    mine = read(closing_row())
    for strange in (
        replace(mine[0], client_order_id="rx9"),
        replace(mine[0], created_at=AT),
        replace(mine[0], position_id=OTHER),
    ):  # type: ignore[arg-type]
        assert proof().by_closed_position(closed, (strange,)) is None
    assert proof().by_closed_position(closed, mine) is not None
    assert proof(proven=(CLOSING,)).by_closed_position(closed, ()) is None
    assert proof().by_closed_position(None, ()) is None
    assert proof(quantity="0.001", whole=False).by_closed_position(closed, ()) is None
