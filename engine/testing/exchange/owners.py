"""E62 on: what the account's owner opened or added by hand is left alone by an exit."""

from dataclasses import replace
from decimal import Decimal

from engine.decisions.order_lifecycle import Refused
from engine.domain.account import AccountReport
from engine.domain.amounts import ZERO, Quantity
from engine.ports.exchange import RejectionKind
from engine.testing.exchange.kit import LONG, SHORT, ExchangeKit
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


@case(
    "E64",
    "a whole exit closes at most its own quantity of a position that has grown, and what is left "
    "of one that has shrunk",
    do=(
        "use the exchange's close-position call only for a position that a reading made for this "
        "exit shows no larger than OrderIntent.quantity, else close exactly that quantity: the "
        "owner may have added since the engine last read the account"
    ),
)
async def _whole_of_another_size(kit: ExchangeKit) -> None:
    for side in (LONG, SHORT):
        order = await kit.intent(side, times=8)
        _, position = await kit.entered(order)
        held = order.quantity
        for asked in (Quantity(held / 2), held):
            await kit.taken(replace(kit.exit_of(position, asked), whole_position=True))
            what = f"a whole exit of {asked} from a {side.value} of {held}"
            held = Quantity(held - min(held, asked))
            await kit.waits_for(lambda report, held=held: _quantity(report) == held)  # type: ignore[misc]
            await kit.aftermath()
            found = _quantity(await kit.account())
            expect(found == held, f"expected {what} to leave {held}, found {found}")
        await kit.flatten()


def _quantity(report: AccountReport) -> Decimal:
    return sum((each.quantity for each in report.positions), ZERO)
