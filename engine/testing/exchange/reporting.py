"""E57 to E60: which position an order opened or closed, what was closed, what a trade cost, and
unreadable rows.
"""

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, cast

import trio

from engine.decisions.order_lifecycle import Accepted
from engine.domain.account import AccountReport, ClosedPosition, ClosedPositions, Position
from engine.domain.identifiers import Symbol
from engine.domain.order import ClosedBy, OrderReport
from engine.ports.exchange import (
    ClosedPositionsConnection,
    ExchangeError,
    FeeKind,
    FeeReport,
    FeesConnection,
)
from engine.testing.exchange.exits import read_back
from engine.testing.exchange.kit import LONG, LOOK_S, SETTLE_S, SHORT, ExchangeKit
from engine.testing.exchange.looks import expect_no_float, near
from engine.testing.exchange.registry import case
from engine.testing.faulty_http import SPOILT_ROWS, STRANGE_ROWS
from engine.testing.report import CaseSkipped, expect

FEES_LATE_S: Final = 2.0
FEE_SHARE: Final = Decimal("0.05")
"""How far the fees of a round trip may be off, as a share of them: an exchange rounds each row."""


@case(
    "E57",
    "a position has one id from flat to flat, and the orders that opened, grew and closed it name "
    "that id",
    do=(
        "give Position.id and OrderReport.position_id the exchange's own id; set names_positions "
        "only where rows carry it"
    ),
)
async def _names_positions(kit: ExchangeKit) -> None:
    kit.needs(
        kit.adapter.traits.names_positions, "positions have no id, so an order does not name one"
    )
    opening = await kit.intent()
    report, position = await kit.entered(opening)
    expect(bool(position.id), "expected an id of the open position, found none")
    growing = await kit.intent()
    second = await kit.taken(growing)
    both = opening.quantity + growing.quantity
    await kit.waits_for(lambda account: [each.quantity for each in account.positions] == [both])
    grown = await kit.position(opening.symbol)
    expect(
        grown is not None and grown.id == position.id,
        f"expected the id {position.id} of the grown position, found {grown}",
    )
    leaving = kit.exit_of(grown or position)
    third = await kit.taken(leaving)
    await kit.waits_for(lambda account: not account.positions)
    orders = [
        await kit.found(opening, report.exchange_order_id),
        await kit.found(growing, second.exchange_order_id),
    ]
    orders.append(await read_back(kit, leaving, third))
    for what, order in zip(("opened", "grew", "closed"), orders, strict=True):
        expect(
            order.position_id == position.id,
            f"expected the order that {what} position {position.id} to name it, found "
            f"{order.position_id or 'no position'}",
        )
    _, again = await kit.entered(await kit.intent())
    expect(
        again.id not in ("", position.id),
        f"expected another id of a position that was opened anew, found {again.id or 'none'}",
    )


@case(
    "E58",
    "a closed position is reported as it was, and an open one is not",
    do=(
        "read the exchange's history of positions; name the position that was open, its close's "
        "price and order, and what closed it "
        "where the row says so; complete only where nothing can be missing"
    ),
)
async def _tells_closed_positions(kit: ExchangeKit) -> None:
    kit.needs(
        kit.adapter.traits.reports_closed_positions,
        "the exchange has no history of closed positions",
    )
    connection, since = (
        cast(ClosedPositionsConnection, await kit.connection()),
        kit.begun - timedelta(seconds=60),
    )
    closed: list[ClosedPosition] = []
    for side in (LONG, SHORT):
        order = await kit.intent(side)
        report, position = await kit.entered(order)
        entry = await kit.found(order, report.exchange_order_id)
        open_now = await connection.closed_positions(since, [position.id])
        expect(
            all(each.position_id != position.id for each in open_now.rows),
            f"expected {position.id} not among the closed, found it",
        )
        leaving = kit.exit_of(position)
        exit_ = await read_back(kit, leaving, await kit.taken(leaving))
        await kit.waits_for(lambda account: not account.positions)
        row = await _closed(connection.closed_positions, kit, position.id)
        _expect_it_was(row, position, entry, exit_)
        closed.append(row)
    last = await connection.closed_positions(since, ())
    missing = {each.position_id for each in closed} - {each.position_id for each in last.rows}
    expect(
        not (last.complete and missing),
        f"expected a complete reading to show every position that was closed, found {missing} "
        "missing",
    )
    expect_no_float(last, "closed positions")


async def _closed(
    read: Callable[[Any, Collection[str]], Awaitable[ClosedPositions]],
    kit: ExchangeKit,
    position_id: str,
) -> ClosedPosition:
    row = None
    with trio.move_on_after(SETTLE_S):
        while row is None:
            rows = (await read(kit.begun - timedelta(seconds=60), [position_id])).rows
            row = next((each for each in rows if each.position_id == position_id), None)
            await trio.sleep(LOOK_S)
    expect(
        row is not None,
        f"expected the closed position {position_id} within {SETTLE_S:g} s, found none",
    )
    assert row is not None
    return row


def _expect_it_was(
    row: ClosedPosition, position: Position, entry: OrderReport, exit_: OrderReport
) -> None:
    what = (row.symbol, row.side, row.quantity)
    wanted = (position.symbol, position.side, position.quantity)
    expect(what == wanted, f"expected {wanted} among the closed positions, found {what}")
    for name, price, true in (
        ("entry", row.entry_price, entry.average_price),
        ("exit", row.exit_price, exit_.average_price),
    ):
        fits = price is not None and true is not None and near(price, true, "0.001")
        expect(fits, f"expected an {name} price near {true}, found {price}")
    expect(
        row.order_id in ("", exit_.exchange_order_id),
        f"expected that {exit_.exchange_order_id} closed it, found {row.order_id}",
    )
    expect(
        row.closed_by in (None, ClosedBy.ORDER),
        f"expected an order, or nothing, reported as what closed it, found {row.closed_by}",
    )
    times = (
        row.opened_at.utcoffset() == row.closed_at.utcoffset() == timedelta(0)
        and row.opened_at <= row.closed_at
    )
    expect(
        times,
        f"expected times in UTC, opened before closed, found {row.opened_at!r} and "
        f"{row.closed_at!r}",
    )
    if (
        row.result is not None
        and entry.average_price is not None
        and exit_.average_price is not None
    ):
        result = _profit(position, entry, exit_)
        expect(
            abs(row.result - result) <= abs(result) / 50 + Decimal("0.01"),
            f"expected a result near {result}, found {row.result}",
        )


def _profit(position: Position, entry: OrderReport, exit_: OrderReport) -> Decimal:
    assert entry.average_price is not None
    assert exit_.average_price is not None
    sign = 1 if position.side is LONG else -1
    return (exit_.average_price - entry.average_price) * position.quantity * sign


@case(
    "E59",
    "a round trip changes the wallet by its result less the reported fees",
    do=(
        "report in FeeReport.amount what the wallet lost: tax included, a rebate below 0; where "
        "orders carry their fee, the same; None "
        "while it is not known"
    ),
)
async def _fees_are_what_was_paid(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    tells = kit.adapter.traits.reports_fees
    since = kit.begun - timedelta(seconds=60)
    await trio.sleep(FEES_LATE_S if tells else 0)  # what was paid before may still be on its way
    before = (await kit.account()).balance.total
    known_ids = (
        {each.id for each in (await cast(FeesConnection, connection).fees(since)).rows}
        if tells
        else set()
    )
    order = await kit.intent()
    report, position = await kit.entered(order)
    entry = await kit.found(order, report.exchange_order_id)
    leaving = kit.exit_of(position)
    exit_ = await read_back(kit, leaving, await kit.taken(leaving))
    await kit.waits_for(lambda account: not account.positions)
    result, change, rows = _profit(position, entry, exit_), Decimal(0), list[FeeReport]()
    with trio.move_on_after(SETTLE_S):
        while True:
            change = (await kit.account()).balance.total - before
            if tells:
                rows = [
                    each
                    for each in (await cast(FeesConnection, connection).fees(since)).rows
                    if each.id not in known_ids
                ]
            paid, most = _paid(rows) if tells else _paid_by(entry, exit_)
            if abs(change - (result - paid)) <= most * FEE_SHARE + Decimal("1e-8") and (
                rows or not tells
            ):
                break
            await trio.sleep(LOOK_S)
    off = change - (result - paid)
    expect(
        abs(off) <= most * FEE_SHARE + Decimal("1e-8"),
        f"expected the wallet changed by {result} less what was paid, {paid}; found {change}, off "
        f"by {off}",
    )
    for fee in rows:
        is_trade = fee.kind is FeeKind.TRADE
        expect(
            not is_trade or 0 <= fee.tax <= fee.amount,
            f"expected the tax within the fee {fee.amount}, found {fee.tax}",
        )


def _paid(rows: list[FeeReport]) -> tuple[Decimal, Decimal]:
    return sum((each.amount for each in rows), Decimal(0)), sum(
        (abs(each.amount) for each in rows), Decimal(0)
    )


def _paid_by(*orders: OrderReport) -> tuple[Decimal, Decimal]:
    fees = [each.fee for each in orders if each.fee is not None]
    if len(fees) < len(orders):
        raise CaseSkipped("neither orders nor a fee history report what was paid")
    return sum(fees, Decimal(0)), sum((abs(each) for each in fees), Decimal(0))


@case(
    "E60",
    "a row that cannot be read is reported as unreadable, hides nothing else, and stops no exit",
    do=(
        "read rows one by one; put what cannot be read into unreadable with its symbol where that "
        "can be read, go on with the rest, and "
        "call a history complete only where no such row could be of the asked contract and time; "
        "read words by a table of known ones, without a default"
    ),
)
async def _strange_rows(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    kit.needs_http()
    since = (await kit.account()).as_of - timedelta(
        seconds=5
    )  # short, so that a history may well be complete
    order = await kit.intent()
    entry, _ = await kit.entered(order)
    resting = await kit.taken(await kit.resting())
    await kit.waits_for(
        lambda account: any(
            each.exchange_order_id == resting.exchange_order_id for each in account.open_orders
        )
    )
    account, ours = await kit.account(), {entry.exchange_order_id, resting.exchange_order_id}
    kit.http.plan.read, kit.http.plan.strange_rows = STRANGE_ROWS, 0
    strange = await kit.account()
    if not kit.http.plan.strange_rows:
        raise CaseSkipped(
            "its answers have no lists of objects, so no row of them can be made strange"
        )
    shown = [(each.symbol, each.side, each.quantity) for each in strange.positions]
    wanted = [(each.symbol, each.side, each.quantity) for each in account.positions]
    expect(
        shown == wanted,
        f"expected the positions {wanted} beside a row that cannot be read, found {shown}",
    )
    orders = [each.exchange_order_id for each in strange.open_orders]
    expect(
        resting.exchange_order_id in orders,
        f"expected the resting order beside a row that cannot be read, found {orders}",
    )
    expect(
        len(strange.unreadable) >= 2,
        "expected a position and an order that cannot be read in AccountReport.unreadable, found "
        f"{', '.join(each.what for each in strange.unreadable) or 'none'}",
    )
    history = await connection.find_orders(order.symbol, since)
    missing = ours - {each.exchange_order_id for each in history.orders}
    expect(
        not missing,
        f"expected both orders beside a row that cannot be read, found {missing} missing",
    )
    expect(
        bool(history.unreadable),
        "expected the row that cannot be read in OrderHistory.unreadable, found none there",
    )
    expect(
        not history.complete,
        "expected a history with a row that could be any order not to be complete, found complete",
    )
    await _spoil_field_by_field(kit, account, order.symbol, since)
    kit.http.plan.read = STRANGE_ROWS
    answer = await kit.send(kit.exit_of(account.positions[0]))
    kit.http.plan.heal()
    expect(
        isinstance(answer, Accepted),
        f"expected the exit to be accepted while rows cannot be read, found {answer}",
    )
    gone = await kit.waits_for(lambda report: not report.positions)
    expect(not gone.positions, f"expected the position closed, found {gone.positions}")


async def _spoil_field_by_field(
    kit: ExchangeKit, account: AccountReport, symbol: Symbol, since: datetime
) -> None:
    """Read with one field of a true row after another unknown: what is reported of an order is what
    was true of it before. A reading that fails as a whole says nothing false.
    """
    connection, plan = await kit.connection(), kit.http.plan
    plan.heal()
    history = await connection.find_orders(symbol, since)
    orders = {each.exchange_order_id: each for each in (*history.orders, *account.open_orders)}
    sides = {each.symbol: each.side for each in account.positions}
    for name in sorted(plan.row_fields):
        plan.read, plan.spoilt = SPOILT_ROWS, name
        shown: list[OrderReport] = []
        with suppress(ExchangeError):
            spoilt = await kit.account()
            shown += spoilt.open_orders
            for position in spoilt.positions:
                expect(
                    position.side is sides.get(position.symbol, position.side),
                    f"expected a position whose {name} cannot be read in unreadable, found it "
                    f"{position.side.value}",
                )
        with suppress(ExchangeError):
            shown += (await connection.find_orders(symbol, since)).orders
        for found in shown:
            true = orders.get(found.exchange_order_id, found)
            expect(
                (found.status, found.side) == (true.status, true.side),
                f"expected an order whose {name} cannot be read in unreadable, found it "
                f"{found.status.value} {found.side.value} where it is {true.status.value} "
                f"{true.side.value}",
            )
