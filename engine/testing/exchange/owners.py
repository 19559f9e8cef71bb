"""E62 on: what the account's owner opened or added by hand is left alone by an exit."""

from dataclasses import replace

from engine.decisions.order_lifecycle import Refused
from engine.ports.exchange import RejectionKind
from engine.testing.exchange.kit import ExchangeKit
from engine.testing.exchange.registry import case
from engine.testing.report import expect


@case(
    "E62",
    "an exit that names a position which is not open is Rejected of kind POSITION_NOT_OPEN, and "
    "leaves the one in its place alone",
    do=(
        "compare OrderIntent.position_id with the id of the open position before anything is sent, "
        "whole or in part: ours may be gone, and its owner may have opened another one"
    ),
)
async def _exit_of_another(kit: ExchangeKit) -> None:
    gone, place = await kit.replaced()
    for part in (place.quantity, place.quantity / 2):
        answer = await kit.send(replace(kit.exit_of(place, part), position_id=gone.id))
        await kit.aftermath(answer)
        kind = answer.kind if isinstance(answer, Refused) else answer
        expect(
            kind is RejectionKind.POSITION_NOT_OPEN,
            f"expected an exit of {gone.id} while {place.id} is open to be a refusal of kind "
            f"POSITION_NOT_OPEN, found {kind}",
        )
        now = await kit.position(place.symbol)
        expect(
            now is not None and (now.id, now.quantity) == (place.id, place.quantity),
            f"expected {place.quantity} in {place.id} as before, found {now}",
        )
