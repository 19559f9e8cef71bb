"""Move the stop and target of what is held. It raises no exposure, and setting the same levels
twice does no harm, so it is repeated.
"""

from functools import partial
from typing import Final

from engine.actors.attempt_result import refused_outcome
from engine.actors.lanes import Lanes
from engine.decisions.order_lifecycle import Refused
from engine.decisions.planning import Wait
from engine.decisions.planning_protection import (
    ProtectionContext,
    plan_protection,
    protection_words,
)
from engine.domain.order import ProtectionOrder
from engine.domain.outcome import Outcome, OutcomeCode
from engine.ledger.copies import WaitingLeg, is_entering, is_protected_later
from engine.ledger.holdings import read_holding, want_protection
from engine.ports.exchange import Rejected

LOOK_S: Final = 0.5
RETRY_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)


async def protect(lanes: Lanes, leg: WaitingLeg) -> None:
    """Move the stop and target of what the strategy holds."""
    account, shared = lanes.account, lanes.account.shared
    signal, db = shared.signal(leg.signal_number), lanes.account.shared.ledger.db
    entering = is_entering(
        db, account=leg.account, strategy=leg.strategy, symbol=leg.symbol, before=signal.order_key
    )
    holding = read_holding(db, leg.account, leg.symbol)
    feed = shared.feeds[account.exchange]
    quote = await feed.quote(leg.symbol, shared.pace.price_age_s)
    plan = plan_protection(
        ProtectionContext(
            signal=signal,
            holding=holding if holding is not None and holding.strategy == leg.strategy else None,
            instrument=feed.instrument(leg.symbol),
            price=None if quote is None else quote.last,
            can_protect=account.can_protect,
            is_entering=entering,
            is_replaced=is_protected_later(
                db, account=leg.account, strategy=leg.strategy, symbol=leg.symbol, key=leg.order_key
            ),
        )
    )
    match plan:
        case Wait():
            lanes.wait(leg, LOOK_S)
        case Outcome():
            await lanes.conclude(leg, plan)
        case ProtectionOrder():
            await shared.ledger.write(partial(want_protection, account=leg.account, wanted=plan))
            await _apply(lanes, leg, plan)


async def _apply(lanes: Lanes, leg: WaitingLeg, wanted: ProtectionOrder) -> None:
    try:
        session = await lanes.account.connected()
        await session.set_protection(wanted)
    except Rejected as error:
        await lanes.conclude(leg, refused_outcome(Refused(error.kind, error.text)))
        return
    except Exception as error:  # whatever it was: setting the same levels again does no harm
        lanes.account.note(f"the protection of {leg.symbol} could not be set", error)
        lanes.wait(leg, RETRY_S[min(lanes.waits(leg), len(RETRY_S) - 1)])
        return
    await lanes.conclude(leg, Outcome(OutcomeCode.APPLIED, {"what": protection_words(wanted)}))
    lanes.account.read_soon()
