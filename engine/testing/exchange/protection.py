"""E15 to E17, E49 and E63: stop and target, with the entry and afterwards, and what is reported if they
could not be set.
"""

from dataclasses import replace
from decimal import Decimal
from typing import cast

import trio

from engine.domain.amounts import Price, ceil_to_step, floor_to_step
from engine.domain.order import OrderIntent, ProtectionOrder
from engine.domain.signal import PositionSide
from engine.ports.exchange import ProtectionConnection, Rejected, RejectionKind
from engine.testing.exchange.kit import LONG, LOOK_S, SETTLE_S, SHORT, ExchangeKit
from engine.testing.exchange.registry import case
from engine.testing.faulty_http import LOST
from engine.testing.report import CaseFailed, expect


@case(
    "E15",
    "stop and target go with the entry and are shown with the position",
    do=(
        "send stop_loss and take_profit with the order, for a short too, and read both back with "
        "the position; else "
        "protects_with_entry=False"
    ),
)
async def _protected_entry(kit: ExchangeKit) -> None:
    kit.needs(kit.adapter.traits.protects_with_entry, "stop and target do not go with an entry")
    for side in (LONG, SHORT):
        stop, target = await _levels(kit, side)
        order = await kit.intent(side, stop_loss=stop, take_profit=target)
        await kit.entered(order)
        await _shows(kit, order, stop, target)
        await kit.flatten()


@case(
    "E16",
    "a position's stop and target are set, moved and removed; setting them twice does no harm",
    do=(
        "make both exactly what set_protection is given: None removes; compare with what stands, "
        "create, move or remove the difference"
    ),
)
async def _protection(kit: ExchangeKit) -> None:
    kit.needs(kit.adapter.traits.sets_protection, "stop and target of a position cannot be set")
    instrument, _ = await kit.contract()
    connection = cast(ProtectionConnection, await kit.connection())
    for side in (LONG, SHORT):
        stop, target = await _levels(kit, side)
        order = await kit.intent(side)
        _, position = await kit.entered(order)
        moved = Price(stop - instrument.price_step * (1 if side is LONG else -1))
        steps = (
            (stop, None),
            (stop, target),
            (stop, target),
            (moved, target),
            (None, target),
            (None, None),
        )
        for levels in steps if side is LONG else steps[1:2]:
            wanted = ProtectionOrder(order.symbol, side, *levels)
            await connection.set_protection(replace(wanted, position_id=position.id))
            await _shows(kit, order, *levels)
        await kit.flatten()


@case(
    "E17",
    "protection of no position is Rejected of kind POSITION_NOT_OPEN",
    do=(
        "raise Rejected(text, RejectionKind.POSITION_NOT_OPEN) where there is no position of that "
        "side"
    ),
)
async def _protection_of_nothing(kit: ExchangeKit) -> None:
    kit.needs(kit.adapter.traits.sets_protection, "stop and target of a position cannot be set")
    stop, _ = await _levels(kit, LONG)
    instrument, _quote = await kit.contract()
    connection = cast(ProtectionConnection, await kit.connection())
    try:
        await connection.set_protection(ProtectionOrder(instrument.symbol, LONG, stop))
    except Rejected as error:
        expect(
            error.kind is RejectionKind.POSITION_NOT_OPEN,
            f"expected kind POSITION_NOT_OPEN, found {error.kind}",
        )
        return
    raise CaseFailed("expected Rejected, found that nothing was protected without a word")


@case(
    "E63",
    "protection that names a position which is not open is Rejected of kind POSITION_NOT_OPEN, and "
    "leaves the one in its place alone",
    do="compare ProtectionOrder.position_id with the id of the open position before anything is set",
)
async def _protection_of_another(kit: ExchangeKit) -> None:
    kit.needs(kit.adapter.traits.sets_protection, "stop and target of a position cannot be set")
    stop, _ = await _levels(kit, LONG)
    gone, place = await kit.replaced()
    connection = cast(ProtectionConnection, await kit.connection())
    try:
        await connection.set_protection(
            ProtectionOrder(place.symbol, LONG, stop, position_id=gone.id)
        )
    except Rejected as error:
        expect(
            error.kind is RejectionKind.POSITION_NOT_OPEN,
            f"expected kind POSITION_NOT_OPEN, found {error.kind}",
        )
    else:
        raise CaseFailed(f"expected Rejected, found that {place.id} has the stop of {gone.id}")
    now = await kit.position(place.symbol)
    expect(
        now is not None and (now.id, now.stop_loss) == (place.id, None),
        f"expected {place.id} without a stop as before, found {now}",
    )


async def _levels(kit: ExchangeKit, side: PositionSide) -> tuple[Price, Price]:
    instrument, quote = await kit.contract()
    step = instrument.price_step
    below, above = (
        Price(floor_to_step(quote.last * Decimal("0.8"), step)),
        Price(ceil_to_step(quote.last * Decimal("1.2"), step)),
    )
    return (below, above) if side is LONG else (above, below)


async def _shows(
    kit: ExchangeKit, order: OrderIntent, stop: Price | None, target: Price | None
) -> None:
    found: tuple[Price | None, Price | None] = (None, None)
    with trio.move_on_after(SETTLE_S):
        while True:
            position = await kit.position(order.symbol)
            if position is not None:
                found = (position.stop_loss, position.take_profit)
                if found == (stop, target):
                    return
            await trio.sleep(LOOK_S)
    raise CaseFailed(
        f"expected stop {stop} and target {target} at the {order.position_side.value} position, "
        f"found {found[0]} and {found[1]}"
    )


@case(
    "E49",
    "stop and target that could not be set are an error",
    do=(
        "raise from set_protection whatever is not the exchange's yes, and read back that they "
        "are set: an unprotected position raises an alert"
    ),
)
async def _protecting_fails(kit: ExchangeKit) -> None:
    kit.needs(kit.adapter.traits.sets_protection, "stop and target of a position cannot be set")
    connection = cast(ProtectionConnection, await kit.connection())
    kit.needs_http()
    stop, target = await _levels(kit, LONG)
    order = await kit.intent()
    await kit.entered(order)
    wanted = ProtectionOrder(order.symbol, LONG, stop, target)
    for fault in LOST:
        kit.http.plan.write = fault
        try:
            await connection.set_protection(wanted)
        except Exception as error:
            kit.look_for_secrets(error)
            continue
        position = await kit.position(order.symbol)
        stands = position is not None and (position.stop_loss, position.take_profit) == (
            wanted.stop_loss,
            wanted.take_profit,
        )
        expect(
            stands,
            f"expected set_protection to raise after {fault}, found that it says nothing and the "
            "position has neither",
        )
