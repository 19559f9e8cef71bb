"""E10 to E14, E18 and E19: entries, what is read back of them, resting orders, leverage. Stop and
target are in ``protection``.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

import trio

from engine.decisions.order_lifecycle import Accepted, NoProof, NothingSent, Refused
from engine.domain.account import Balance
from engine.domain.amounts import Ratio, initial_margin
from engine.domain.order import OrderIntent, OrderReport, OrderStatus
from engine.ports.exchange import NotExecuted, Rejected
from engine.testing.exchange.kit import LONG, LOOK_S, SETTLE_S, SHORT, ExchangeKit
from engine.testing.exchange.looks import expect_all_sound, expect_position_adds_up, expect_sound
from engine.testing.exchange.registry import case
from engine.testing.report import CaseFailed, expect

CLOCKS_APART: Final = timedelta(minutes=5)
VISIBLE_SLACK_S: Final = 1.0
FREE_AGAIN_S: Final = 3.0


@case(
    "E10",
    "an entry is one writing request, and what comes back describes it",
    do=(
        "send one POST in place_order and return an OrderReport of this very order; what has not "
        "been filled yet is OPEN with "
        "nothing filled"
    ),
)
async def _entry_is_one_order(kit: ExchangeKit) -> None:
    order = await kit.intent()
    report, _ = await kit.entered(order)
    if kit.http.used:
        expect(
            kit.http.plan.writes == 1,
            f"expected one writing request in place_order, found {kit.http.plan.writes}",
        )
    expect_sound(report, "the report of place_order")
    expect(
        report.client_order_id in (None, order.client_order_id),
        f"expected client order id {order.client_order_id}, found {report.client_order_id}",
    )
    expect(report.reduce_only is not True, "expected reduce_only False of an entry, found True")
    as_of = (await kit.account()).as_of
    expect(
        abs(report.created_at - as_of) < CLOCKS_APART,
        f"expected created_at near the exchange's clock {as_of}, found {report.created_at}",
    )


@case(
    "E11",
    "an order is read back with its fill, under the id and the client order id that the traits "
    "promise, within the promised time",
    do=(
        "map side, quantity, state, fill, price and creation time of the exchange's rows; let "
        "since include its own moment; "
        "correct reads_client_order_id or visible_within_s where the traits promise too much"
    ),
)
async def _read_back(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    for side in (LONG, SHORT):
        order = await kit.intent(side)
        _, quote = await kit.contract()
        report = await kit.taken(order)
        await _seen_in_time(kit, order, report.exchange_order_id)
        found = await kit.found(order, report.exchange_order_id)
        expect_sound(found, "the order read back")
        expect(
            found.status is OrderStatus.FILLED,
            f"expected a market order to be filled, found {found.status}",
        )
        expect(
            found.quantity == order.quantity,
            f"expected quantity {order.quantity}, found {found.quantity}",
        )
        expect(
            found.side is order.side,
            f"expected side {order.side.value} for a {side.value} entry, found {found.side.value}",
        )
        expect(found.reduce_only is not True, "expected reduce_only False of an entry, found True")
        if await kit.reads_client_order_id():
            expect(
                found.client_order_id == order.client_order_id,
                f"expected client order id {order.client_order_id}, found {found.client_order_id}",
            )
        paid = found.average_price or Decimal(0)
        expect(
            quote.last * Decimal("0.8") < paid < quote.last * Decimal("1.2"),
            f"expected an average price near {quote.last}, found {paid}",
        )
        again = await connection.find_orders(order.symbol, found.created_at)
        same = next(
            (each for each in again.orders if each.exchange_order_id == found.exchange_order_id),
            None,
        )
        expect(
            same is not None,
            f"expected an order created at {found.created_at} in the reading since that moment, "
            "found none",
        )
        expect(
            same is not None and same.created_at == found.created_at,
            f"expected created_at {found.created_at} each time, found {same}",
        )
        as_of = (await kit.account()).as_of
        expect(
            abs(found.created_at - as_of) < CLOCKS_APART,
            f"expected created_at near the exchange's clock {as_of}, found {found.created_at}",
        )
        await kit.held(order)
        await kit.flatten()


async def _seen_in_time(kit: ExchangeKit, order: OrderIntent, identifier: str) -> None:
    """Fail if an order shows later than the traits say: the engine would take it as lost."""
    connection, promised = await kit.connection(), kit.adapter.traits.visible_within_s
    began = trio.current_time()
    while trio.current_time() - began < promised + SETTLE_S:
        took = trio.current_time() - began
        history = await connection.find_orders(order.symbol, kit.begun - timedelta(seconds=60))
        expect_all_sound(history.orders, "order")
        if any(each.exchange_order_id == identifier for each in history.orders):
            expect(
                took <= promised + VISIBLE_SLACK_S,
                f"expected the order to show within visible_within_s = {promised:g} s, found "
                f"{took:.1f} s",
            )
            return
        await trio.sleep(LOOK_S)
    raise CaseFailed(
        f"expected find_orders to show order {identifier} within visible_within_s = {promised:g} "
        "s, found no such order"
    )


@case(
    "E12",
    "a long and a short entry open that side, with that quantity, leverage and margin, and take "
    "their money",
    do=(
        "map side, quantity (in the base asset, positive), leverage, margin and prices of the "
        "exchange's positions, and free and "
        "total money; set the leverage of this order, every time that it differs"
    ),
)
async def _position_is_right(kit: ExchangeKit) -> None:
    trades = [(LONG, 0, 2, 4), (SHORT, 0, 3, 4)] + (
        [(LONG, 1, 2, 1)] if len(await kit.contracts()) > 1 else []
    )
    for side, number, leverage, times in trades:
        _, quote = await kit.contract(number)
        before = await _all_free(kit)
        order = await kit.intent(side, times, number, leverage)
        _, position = await kit.entered(order)
        expect(
            position.side is side, f"expected a {side.value} position, found {position.side.value}"
        )
        expect(
            position.quantity == order.quantity,
            f"expected {order.quantity} of {order.symbol}, found {position.quantity}",
        )
        expect(
            position.leverage == order.leverage,
            f"expected leverage {order.leverage}, found {position.leverage}",
        )
        expect_position_adds_up(position, quote)
        line = position.liquidation_price
        if line is not None:
            below = line < position.entry_price
            expect(
                below == (side is LONG),
                f"expected a liquidation price {'below' if side is LONG else 'above'} the entry "
                f"price of a {side.value}, found {line}",
            )
        _money_is_taken(position.margin, before, (await kit.account()).balance)
        await kit.flatten()


async def _all_free(kit: ExchangeKit) -> Balance:
    """Return the balance once the margin of the previous trade is free again, which may take a
    moment.
    """
    balance = (await kit.account()).balance
    with trio.move_on_after(FREE_AGAIN_S):
        while balance.available < balance.total:
            await trio.sleep(LOOK_S)
            balance = (await kit.account()).balance
    return balance


def _money_is_taken(margin: Decimal, was: Balance, after: Balance) -> None:
    expect(after.total >= after.available, f"expected total >= available, found {after}")
    used = was.available - after.available
    expect(
        used >= margin / 2,
        f"expected about {margin} less free money with the position's margin in use, found {used} "
        f"less ({was} before, {after} after)",
    )
    gone = was.total - after.total
    expect(
        gone < margin / 2,
        f"expected a total that includes margin in use, found {gone} less than before",
    )


@case(
    "E13",
    "the same client order id sent again never makes a second order, and is never taken for a "
    "refusal",
    do=(
        "what the exchange says about an id that it knows (often 409) is doubt: raise "
        "OutcomeUnknown, for the first one may be executed"
    ),
)
async def _never_twice(kit: ExchangeKit) -> None:
    kit.needs(kit.adapter.traits.refuses_repeated_ids, "the exchange takes a client order id twice")
    order = await kit.intent()
    _, position = await kit.entered(order)
    again = await kit.send(order)
    expect(
        isinstance(again, NoProof | Accepted),
        f"expected doubt or the first order again, for the first one was executed; found {again}",
    )
    await kit.aftermath(again)
    now = await kit.position(order.symbol)
    expect(
        now is not None and now.quantity == position.quantity,
        f"expected the position to stay {position.quantity}, found {now}",
    )


@case(
    "E14",
    "past orders come newest first, of the asked contract and time, and completeness is not "
    "claimed wrongly",
    do=(
        "filter by contract and creation time, sort newest first, and set complete only where the "
        "reading reaches back past since"
    ),
)
async def _history(kit: ExchangeKit) -> None:
    first = await kit.intent()
    report, position = await kit.entered(first)
    await kit.found(first, report.exchange_order_id)
    leaving = await kit.taken(kit.exit_of(position))
    connection = await kit.connection()
    await kit.waits_for(lambda report: not report.positions)
    history = await connection.find_orders(first.symbol, kit.begun - timedelta(seconds=60))
    times = [each.created_at for each in history.orders]
    expect(times == sorted(times, reverse=True), "expected newest first, found another order")
    expect(
        all(each.symbol == first.symbol for each in history.orders),
        f"expected only {first.symbol}, found others",
    )
    expect_all_sound(history.orders, "order")
    expect(
        history.complete, "expected a reading of the last minutes to be complete, found incomplete"
    )
    later = await connection.find_orders(first.symbol, kit.clock.now() + timedelta(hours=1))
    expect(not later.orders, f"expected nothing from the future, found {len(later.orders)} orders")
    others = [each for each, _ in await kit.contracts() if each.symbol != first.symbol]
    if others:
        ours = {report.exchange_order_id, leaving.exchange_order_id}
        strange = await connection.find_orders(others[0].symbol, kit.begun - timedelta(seconds=60))
        mixed = ours & {each.exchange_order_id for each in strange.orders}
        expect(
            not mixed,
            f"expected no order of {first.symbol} among those of {others[0].symbol}, found "
            f"{', '.join(sorted(mixed))}",
        )


@case(
    "E18",
    (
        "limit entries rest, are shown among open orders and in find_orders, keep their money if "
        "the traits say so, and are cancelled one by one; cancelling again is no error"
    ),
    do=(
        "send limit_price with the order; show resting orders in fetch_account and find_orders; "
        "cancel the one order with this "
        "id, and take 'done already' for done; set reserves_for_resting only if free money lacks "
        "what resting orders may cost"
    ),
)
async def _resting(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    before = await _all_free(kit) if kit.adapter.traits.reserves_for_resting else None
    orders = [await kit.resting(LONG), await kit.resting(SHORT)]
    reports = [await kit.taken(each) for each in orders]
    for order, report in zip(orders, reports, strict=True):
        expect(
            report.status is OrderStatus.OPEN,
            f"expected place_order to report a resting order as OPEN, found {report.status.value}",
        )
        shown = await _open(kit, report.exchange_order_id)
        expect_sound(shown, "an open order")
        expect(
            (shown.side, shown.quantity) == (order.side, order.quantity),
            f"expected {order.side.value} {order.quantity} among open orders, found {shown}",
        )
        expect(
            shown.reduce_only is not True,
            "expected reduce_only False of a resting entry, found True",
        )
        history = (
            await connection.find_orders(order.symbol, kit.begun - timedelta(seconds=60))
        ).orders
        expect(
            any(each.exchange_order_id == report.exchange_order_id for each in history),
            "expected find_orders to show a resting order, found that it does not",
        )
    if before is not None:
        await _money_is_kept(kit, orders, before.available)
    first, second = (each.exchange_order_id for each in reports)
    await connection.cancel_order(orders[0].symbol, first)
    gone = await kit.found(orders[0], first)
    expect(
        gone.status is OrderStatus.CANCELLED and gone.filled_quantity == 0,
        f"expected it cancelled without a fill, found {gone}",
    )
    await connection.cancel_order(orders[0].symbol, first)
    left = [each.exchange_order_id for each in (await kit.account()).open_orders]
    expect(
        left == [second],
        f"expected the other order {second} to rest on after {first} was cancelled, found "
        f"{left or 'none'}",
    )


async def _money_is_kept(kit: ExchangeKit, orders: Sequence[OrderIntent], free: Decimal) -> None:
    margin = sum(
        initial_margin(each.limit_price, each.quantity, each.leverage)
        for each in orders
        if each.limit_price is not None
    )
    report = await kit.waits_for(lambda report: free - report.balance.available >= margin)
    expect(
        free - report.balance.available >= margin,
        f"expected {margin} less of free money while the orders rest, because the traits say "
        f"reserves_for_resting, found {free} before and {report.balance.available} then",
    )


async def _open(kit: ExchangeKit, identifier: str) -> OrderReport:
    report = await kit.waits_for(
        lambda report: any(each.exchange_order_id == identifier for each in report.open_orders)
    )
    shown = next(
        (each for each in report.open_orders if each.exchange_order_id == identifier), None
    )
    if shown is None:
        raise CaseFailed(
            f"expected order {identifier} among the account's open orders within {SETTLE_S:g} s, "
            f"found {len(report.open_orders)} others"
        )
    return shown


@case(
    "E19",
    "a leverage that the exchange does not take is refused, and never becomes another one",
    do=(
        "send the leverage as it is; raise Rejected in prepare_entry or place_order where the "
        "exchange refuses it; never round it"
    ),
)
async def _leverage(kit: ExchangeKit) -> None:
    instrument, _ = await kit.contract()
    for wanted in (Ratio(instrument.leverage_max + 1), Ratio(Decimal("2.5"))):
        order = await kit.intent()
        changed = OrderIntent(
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            position_side=order.position_side,
            quantity=order.quantity,
            order_type=order.order_type,
            leverage=wanted,
        )
        try:
            answer = await kit.send(changed)
        except (Rejected, NotExecuted):
            continue
        if isinstance(answer, Refused | NothingSent):
            continue
        position = await kit.held(changed)
        expect(
            position.leverage == wanted,
            f"expected leverage {wanted} or a refusal, found a position at leverage "
            f"{position.leverage}",
        )
        await kit.flatten()
