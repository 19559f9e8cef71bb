"""The fee of an order is that of its fills, net of rebates, wherever it is shown; while one of them
is not known, nothing is shown for it.
"""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import trio
from engine_world import BTC, World, world
from test_books_are_completed import reluctant
from test_books_hold import closed, opened
from trio.testing import MockClock

from engine.domain.identifiers import AccountId
from engine.domain.order import OrderSide
from engine.ledger.books_view import booked, net_fee
from engine.ledger.codec import from_us
from engine.ledger.history import Kind, OrderRow, bounds_of, read_history
from engine.ledger.query import Database, fetch_all
from engine.ledger.unsettled import store_fees, tie_fees
from engine.ports.exchange import FeeKind, FeeReport
from engine.services.history_csv import CELLS, HEADS

A0 = AccountId("a0")


def shown(house: World) -> list[str | None]:
    """Return the fees that the page of orders and the API show, oldest first."""
    db = house.ledger.db
    between = bounds_of(db, Kind.ORDERS, A0, None, None)
    rows = read_history(db, Kind.ORDERS, A0, between, 10, newest_first=False)
    fees = []
    for (number, *_), row in rows:
        assert isinstance(row, OrderRow)
        assert isinstance(number, int)
        told = booked(db, number).fee
        fee = None if row.fee is None else Decimal(row.fee)
        assert told == fee, "why page and history"
        assert CELLS[Kind.ORDERS](row)[HEADS[Kind.ORDERS].index("fee")] == fee
        fees.append(row.fee)
    return fees


async def told_in_rows(house: World, kind: FeeKind, *amounts: str) -> None:
    """Report an amount for each fill, in rows of their own."""
    fills = fetch_all(
        house.ledger.db, "SELECT is_entry, quantity, price, at_us FROM fill ORDER BY id"
    )
    rows = [
        FeeReport(
            f"{kind.value}-{number}",
            BTC,
            kind,
            Decimal(amount),
            Decimal(0),
            "USDT",
            from_us(at_us),
            OrderSide.BUY if is_entry else OrderSide.SELL,
            Decimal(quantity) * Decimal(price),
        )
        for number, (amount, (is_entry, quantity, price, at_us)) in enumerate(
            zip(amounts, fills, strict=False)
        )
    ]

    def write(db: Database) -> None:
        store_fees(db, A0, rows, timedelta(0))
        tie_fees(db, A0, house.shared.clock.now())

    await house.ledger.write(write)


async def test_a_fee_that_comes_in_a_row_of_its_own_is_shown_with_its_order(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await trio.sleep(1)
        reluctant(house).fees = False
        await opened(house)
        await closed(house)
        await trio.sleep(3)
        assert shown(house) == [None, None], "nothing is not zero"
        await told_in_rows(house, FeeKind.TRADE, "0.0975")
        assert shown(house) == ["0.0975", None]
        await told_in_rows(house, FeeKind.TRADE, "0.0975", "0.1")
        await told_in_rows(house, FeeKind.REBATE, "-0.01")
        assert shown(house) == ["0.0875", "0.1"]


@pytest.mark.parametrize(("fills", "fee"), [(1, "0.0975"), (0, None)])
async def test_a_fee_that_came_with_the_order_is_shown_where_no_fill_has_it(
    tmp_path: Path, autojump_clock: MockClock, fills: int, fee: str | None
) -> None:
    """Fills of before 0.2, and what an exit closed beyond the strategy's share, are no fills of the
    order.
    """
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        assert shown(house) == ["0.0975"]
        house.ledger.db.execute("UPDATE fill SET attempt_id = NULL")
        if not fills:
            house.ledger.db.execute("UPDATE attempt SET fee = '0'")
        assert shown(house) == [fee]


def test_a_part_of_an_order_is_not_taken_for_its_whole_fee() -> None:
    part = [("0.4", "0.1", None), ("0.2", "0.05", "-0.01")]
    assert net_fee("0.6", "0.15", part) == Decimal("0.14")
    assert net_fee("1", "0.25", part) == Decimal("0.24"), "what it closed beyond the share counts"
    assert net_fee("1", "0", part) is None
    assert net_fee("0", "0", []) is None
