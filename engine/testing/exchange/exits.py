"""E20 to E29: exits close exactly what they are told to and nothing else; refusals say why; two
orders at once stay two.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import cast

import trio

from engine.decisions.order_lifecycle import Accepted, Answer, Refused, classify
from engine.decisions.sizing import smallest_quantity
from engine.domain.account import Position
from engine.domain.amounts import Price, Quantity, floor_to_step
from engine.domain.order import OrderIntent, OrderReport, OrderSide
from engine.ports.exchange import ClosedPositionsConnection, Rejected, RejectionKind
from engine.testing.exchange.kit import DEADLINE_S, LONG, LOOK_S, SETTLE_S, SHORT, ExchangeKit
from engine.testing.exchange.looks import expect_sound
from engine.testing.exchange.registry import case
from engine.testing.report import CaseFailed, CaseSkipped, expect


@case(
    "E20",
    "a part of a long and of a short is closed exactly, and no more",
    do=(
        "send the quantity of the order, to the other side, reduce-only; whole_position is only "
        "set where all is meant"
    ),
)
async def _part(kit: ExchangeKit) -> None:
    for side in (LONG, SHORT):
        order = await kit.intent(side, times=8)
        _, position = await kit.entered(order)
        part = Quantity(order.quantity / 2)
        leaving = kit.exit_of(position, part)
        report = await kit.taken(leaving)
        await kit.found(leaving, report.exchange_order_id)
        wanted = order.quantity - part
        await kit.waits_for(
            lambda report, wanted=wanted: [each.quantity for each in report.positions] == [wanted]  # type: ignore[misc]
        )
        await kit.aftermath()
        left = await kit.position(order.symbol)
        expect(
            left is not None and left.side is side,
            f"expected the {side.value} to stay open with {wanted}, found {left}",
        )
        expect(
            left is not None and left.quantity == wanted, f"expected {wanted} left, found {left}"
        )
        await kit.flatten()


@case(
    "E21",
    "the whole of a position is closed by one writing request, the account is flat and stays so, "
    "and the exit is read back",
    do=(
        "close with one POST; read exits back with their side, their fill and reduce_only (None "
        "where rows do not say); count in "
        "exit_requests what one exit sends"
    ),
)
async def _whole(kit: ExchangeKit) -> None:
    for side in (LONG, SHORT):
        order = await kit.intent(side)
        _, position = await kit.entered(order)
        leaving = kit.exit_of(position)
        before = kit.http.plan.requests
        report = await kit.taken(leaving)
        if kit.http.used:
            took, allowed = kit.http.plan.requests - before, kit.adapter.traits.exit_requests
            expect(
                kit.http.plan.writes == 1,
                f"expected one writing request for an exit, found {kit.http.plan.writes}",
            )
            looks = (
                "exits that wait for their order may look again and again; exit_requests counts "
                "the usual way"
            )
            expect(
                took <= allowed * 3,
                f"expected about exit_requests = {allowed} requests for an exit, found {took} "
                f"({looks})",
            )
        expect(
            report.side is leaving.side,
            f"expected side {leaving.side.value}, found {report.side.value}",
        )
        expect(
            report.reduce_only is not False,
            "expected reduce_only True or None of an exit, found False",
        )
        found = await read_back(kit, leaving, report)
        expect_sound(found, "the exit read back")
        expect(
            found.side is leaving.side,
            f"expected the exit read back as {leaving.side.value}, found {found.side.value}",
        )
        expect(
            found.reduce_only is not False,
            "expected the exit read back with reduce_only True or None, found False",
        )
        expect(
            found.filled_quantity == order.quantity,
            f"expected the exit read back with {order.quantity} filled, found "
            f"{found.filled_quantity}",
        )
        await kit.waits_for(lambda report: not report.positions)
        await kit.aftermath()
        left = (await kit.account()).positions
        expect(not left, f"expected no position after the whole was closed, found {left}")


async def read_back(kit: ExchangeKit, leaving: OrderIntent, report: OrderReport) -> OrderReport:
    """Return an exit as it is read back: its order, or the first report if only the closed position
    names that order.
    """
    if not kit.adapter.traits.reports_closed_positions:
        return await kit.found(leaving, report.exchange_order_id)
    connection, since = await kit.connection(), kit.begun - timedelta(seconds=60)
    with trio.move_on_after(SETTLE_S):
        while True:
            history = await connection.find_orders(leaving.symbol, since)
            order = next(
                (
                    each
                    for each in history.orders
                    if each.exchange_order_id == report.exchange_order_id
                ),
                None,
            )
            if order is not None and order.status.is_terminal:
                return order
            closed = await cast(ClosedPositionsConnection, connection).closed_positions(
                since, [report.position_id]
            )
            if order is None and any(
                each.order_id == report.exchange_order_id for each in closed.rows
            ):
                return report
            await trio.sleep(LOOK_S)
    raise CaseFailed(
        f"expected order {report.exchange_order_id}, or a closed position that names it, within "
        f"{SETTLE_S:g} s, found neither"
    )


@case(
    "E22",
    "an exit without a position is Rejected of kind POSITION_NOT_OPEN, whole or in part",
    do=(
        "raise Rejected(text, RejectionKind.POSITION_NOT_OPEN) where the exchange says that there "
        "is nothing to close; never open anything"
    ),
)
async def _nothing_to_close(kit: ExchangeKit) -> None:
    order = await kit.intent()
    leaving = replace(order, side=OrderSide.closing(LONG), reduce_only=True)
    for whole in (True, False):
        answer = await kit.send(replace(leaving, whole_position=whole))
        kind = answer.kind if isinstance(answer, Refused) else answer
        expect(
            kind is RejectionKind.POSITION_NOT_OPEN,
            f"expected a refusal of kind POSITION_NOT_OPEN, found {kind}",
        )
    await kit.aftermath()
    left = (await kit.account()).positions
    expect(not left, f"expected that an exit without a position opens nothing, found {left}")


@case(
    "E23",
    "an order below the minimum is Rejected",
    do="raise Rejected(text, RejectionKind.BELOW_MINIMUM) where the exchange refuses the size",
)
async def _too_small(kit: ExchangeKit) -> None:
    instrument, quote = await kit.contract()
    least = smallest_quantity(instrument, quote.last)
    small = Quantity(instrument.quantity_step)
    if small >= least:
        raise CaseSkipped("one step is the minimum of every contract here")
    order = await kit.intent(quantity=small)
    answer = await _refused_somewhere(kit, order)
    expect(isinstance(answer, Refused), f"expected a refusal, found {answer}")


@case(
    "E24",
    "an order that the balance does not cover is Rejected of kind BALANCE",
    do="raise Rejected(text, RejectionKind.BALANCE) for the exchange's words of missing money",
)
async def _too_large(kit: ExchangeKit) -> None:
    available = (await kit.account()).balance.available
    sizes = [
        (
            number,
            Quantity(
                floor_to_step(
                    available * 3 / quote.last + instrument.quantity_min, instrument.quantity_step
                )
            ),
        )
        for number, (instrument, quote) in enumerate(await kit.contracts())
        if available * 3 / quote.last + instrument.quantity_min <= instrument.quantity_max
    ]
    if not sizes:
        raise CaseSkipped("the balance of this account covers the largest order of every contract")
    number, wanted = sizes[0]
    order = await kit.intent(contract=number, leverage=1, quantity=wanted)
    answer = await _refused_somewhere(kit, order)
    kind = answer.kind if isinstance(answer, Refused) else answer
    expect(kind is RejectionKind.BALANCE, f"expected a refusal of kind BALANCE, found {kind}")


async def _refused_somewhere(kit: ExchangeKit, order: OrderIntent) -> Answer:
    try:
        return await kit.send(order)
    except Rejected as error:
        return Refused(error.kind, error.text)


@case(
    "E25",
    "an exit touches its own contract and no other",
    do="close by the order's symbol and side; never close 'the position' or everything",
)
async def _own_contract(kit: ExchangeKit) -> None:
    for closing in (1, 0):  # each of them once is not the account's first position
        orders = [await kit.intent(LONG, 4, 0), await kit.intent(LONG, 1, 1)]
        positions = [(await kit.entered(each))[1] for each in orders]
        gone, staying = positions[closing], positions[1 - closing]
        await kit.taken(replace(kit.exit_of(gone), position_id=""))  # the contract alone tells it
        await kit.waits_for(
            lambda report, symbol=gone.symbol: all(  # type: ignore[misc]
                each.symbol != symbol for each in report.positions
            )
        )
        await kit.aftermath()
        left = [(each.symbol, each.quantity) for each in (await kit.account()).positions]
        wanted = [(staying.symbol, staying.quantity)]
        expect(
            left == wanted,
            f"expected {wanted} left after {gone.symbol} was closed, found {left or 'nothing'}",
        )
        await kit.flatten()


@case(
    "E26",
    "an exit of more than is held, or of the side that is not held, never opens, grows or closes "
    "anything else",
    do=(
        "send every exit reduce-only, and refuse it where the position that the exchange shows "
        "has the other side (a person may "
        "have turned it)"
    ),
)
async def _never_opens(kit: ExchangeKit) -> None:
    for side in (LONG, SHORT):
        order = await kit.intent(side)
        _, position = await kit.entered(order)
        for whole in (True, False):
            wrong = replace(
                kit.exit_of(position, position.quantity, side.opposite),
                whole_position=whole,
                position_id="",
            )
            answer = await kit.send(wrong)
            await kit.aftermath(answer)
            now = await kit.position(order.symbol)
            same = now is not None and (now.side, now.quantity) == (
                position.side,
                position.quantity,
            )
            what = (
                f"an exit of a {side.opposite.value} while a {side.value} of {position.quantity} "
                "is held"
            )
            expect(same, f"expected {what} to change nothing, found {_words(now)}")
            expect(isinstance(answer, Refused), f"expected {what} to be Rejected, found {answer}")
        await kit.aftermath(
            await kit.send(
                replace(kit.exit_of(position, position.quantity * 2), whole_position=False)
            )
        )
        now = await kit.position(order.symbol)
        fits = now is None or (now.side is side and now.quantity <= position.quantity)
        expect(
            fits,
            f"expected an exit of twice the {side.value} to leave at most {position.quantity} of "
            f"it, found {_words(now)}",
        )
        await kit.flatten()


def _words(position: Position | None) -> str:
    return "no position" if position is None else f"a {position.side.value} of {position.quantity}"


@case(
    "E27",
    "two orders at the same time are two orders, each with its own answer",
    do=(
        "keep what belongs to one order in local variables: accounts trade several contracts at "
        "once over one connection object"
    ),
)
async def _two_at_once(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    orders = [await kit.intent(LONG, 4, 0), await kit.intent(SHORT, 1, 1)]
    for each in orders:
        await connection.prepare_entry(each)
    answers: dict[int, Answer] = {}

    async def place(number: int) -> None:
        result: OrderReport | BaseException
        try:
            with trio.fail_after(DEADLINE_S):
                result = await connection.place_order(orders[number])
        except Exception as error:
            result = error
        answers[number] = classify(orders[number], result, None)

    async with trio.open_nursery() as nursery:
        for number in range(len(orders)):
            nursery.start_soon(place, number)
    for number, order in enumerate(orders):
        answer = answers[number]
        expect(
            isinstance(answer, Accepted),
            f"expected both orders to be accepted, found {answer} for {order.symbol}",
        )
        position = await kit.held(order)
        expect(
            (position.side, position.quantity) == (order.position_side, order.quantity),
            f"expected a {order.position_side.value} of {order.quantity} in {order.symbol}, found "
            f"{_words(position)}",
        )


@case(
    "E28",
    "a whole exit after a part was closed closes the rest, and only that",
    do="close what the exchange shows as held, not what was once entered",
)
async def _rest(kit: ExchangeKit) -> None:
    order = await kit.intent(times=8)
    _, position = await kit.entered(order)
    part = kit.exit_of(position, Quantity(order.quantity / 4))
    report = await kit.taken(part)
    await kit.found(part, report.exchange_order_id)
    rest = order.quantity - part.quantity
    await kit.waits_for(lambda report: [each.quantity for each in report.positions] == [rest])
    now = await kit.position(order.symbol)
    expect(now is not None and now.quantity == rest, f"expected {rest} left, found {_words(now)}")
    if now is not None:
        leaving = kit.exit_of(now)
        report = await kit.taken(leaving)
        found = await kit.found(
            leaving, report.exchange_order_id, kit.begun - timedelta(seconds=60)
        )
        expect(
            found.filled_quantity == rest, f"expected {rest} closed, found {found.filled_quantity}"
        )


@case(
    "E29",
    "the smallest order that the contract allows is taken",
    do=(
        "correct quantity_min, quantity_step and notional_min of instruments: followers with "
        "little money trade at this size"
    ),
)
async def _smallest(kit: ExchangeKit) -> None:
    instrument, quote = await kit.contract()
    lower = Price(quote.last * Decimal("0.98"))  # the price may move meanwhile
    await kit.entered(await kit.intent(quantity=smallest_quantity(instrument, lower)))
