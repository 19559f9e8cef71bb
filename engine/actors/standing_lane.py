"""What stands at the exchange and is to be changed there: resting entries that are taken back, stops and targets that are moved.

Neither raises exposure, so both are asked again until the exchange has done it or refused; asking twice does no harm.
"""

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from engine.actors.recording import refused_outcome
from engine.decisions.order_lifecycle import AttemptState, Refused
from engine.decisions.planning import Wait
from engine.decisions.planning_protection import ProtectionContext, plan_protection, protection_words
from engine.domain.order import ProtectionOrder
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import OrderType
from engine.ledger.attempts import Attempt, entries_before, taken_back_since
from engine.ledger.copies import WaitingLeg, is_entering, is_protected_later
from engine.ledger.holdings import read_holding, want_protection
from engine.ports.exchange import Rejected

if TYPE_CHECKING:
    from engine.actors.follower import Follower
    from engine.actors.lanes import Lanes

ASK_AGAIN_S: Final = 5.0
LOOK_S: Final = 0.5
RETRY_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)


# Taking back


async def cancel(lanes: "Lanes", leg: WaitingLeg) -> None:
    """Take back the strategy's resting entries in the symbol that are older than the signal, and wait until each has ended."""
    follower, signal = lanes.follower, lanes.follower.shared.signal(leg.signal_number)
    if signal.draft.is_test:
        await lanes.conclude(leg, Outcome(OutcomeCode.SKIPPED_TEST, {"side": "cancel", "quantity": "all", "symbol": leg.symbol}))
        return
    if await take_back_resting(follower, leg):
        lanes.wait(leg, LOOK_S)
        return
    count = taken_back_since(follower.shared.ledger.db, leg.account, leg.strategy, leg.symbol, signal.received_at)
    if count:
        outcome = Outcome(OutcomeCode.APPLIED, {"what": f"{count} resting order{'s' if count > 1 else ''} in {leg.symbol} taken back"})
    else:
        outcome = Outcome(OutcomeCode.NOTHING_TO_DO, {"why": f"no entry of this strategy rests in {leg.symbol}"})
    await lanes.conclude(leg, outcome)


async def take_back_resting(follower: "Follower", leg: WaitingLeg) -> bool:
    """Ask the exchange to cancel resting entries older than the leg; tells whether an entry is still open.

    A market entry is only waited for: by the time a cancellation arrives it has filled.
    """
    entries = entries_before(follower.shared.ledger.db, leg.account, leg.strategy, leg.symbol, leg.order_key)
    for attempt in entries:
        await take_back(follower, attempt)
    return bool(entries)


async def take_back(follower: "Follower", attempt: Attempt) -> None:
    """Ask the exchange to cancel one resting entry, at most every 5 s; what becomes of it is found by reading."""
    rests = attempt.state in (AttemptState.PLACED, AttemptState.PARTIALLY_FILLED) and attempt.intent.order_type is OrderType.LIMIT
    now = follower.shared.clock.now()
    asked = follower.asked_to_cancel.get(attempt.id)
    if not rests or attempt.exchange_order_id is None or (asked is not None and now - asked < timedelta(seconds=ASK_AGAIN_S)):
        return
    follower.asked_to_cancel[attempt.id] = now
    try:
        session = await follower.connected()
        await session.cancel_order(attempt.intent.symbol, attempt.exchange_order_id)
    except Exception as error:  # asked again after 5 s; reading tells what became of the order either way
        follower.note(f"order {attempt.exchange_order_id} could not be cancelled", error)
    follower.look_now(attempt.id)


# Stop and target


async def protect(lanes: "Lanes", leg: WaitingLeg) -> None:
    """Move the stop and target of what the strategy holds."""
    follower, shared = lanes.follower, lanes.follower.shared
    signal, db = shared.signal(leg.signal_number), lanes.follower.shared.ledger.db
    entering = is_entering(db, leg.account, leg.strategy, leg.symbol, signal.order_key)
    held = read_holding(db, leg.account, leg.symbol)
    feed = shared.feeds[follower.exchange]
    quote = await feed.quote(leg.symbol, shared.pace.price_age_s)
    plan = plan_protection(
        ProtectionContext(
            signal=signal,
            holding=held if held is not None and held.strategy == leg.strategy else None,
            instrument=feed.instrument(leg.symbol),
            price=None if quote is None else quote.last,
            can_protect=follower.can_protect,
            is_entering=entering,
            is_replaced=is_protected_later(db, leg.account, leg.strategy, leg.symbol, leg.order_key),
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


async def _apply(lanes: "Lanes", leg: WaitingLeg, wanted: ProtectionOrder) -> None:
    try:
        session = await lanes.follower.connected()
        await session.set_protection(wanted)
    except Rejected as error:
        await lanes.conclude(leg, refused_outcome(Refused(error.kind, error.text)))
        return
    except Exception as error:  # whatever it was: setting the same levels again does no harm
        lanes.follower.note(f"the protection of {leg.symbol} could not be set", error)
        lanes.wait(leg, RETRY_S[min(lanes.waits(leg), len(RETRY_S) - 1)])
        return
    await lanes.conclude(leg, Outcome(OutcomeCode.APPLIED, {"what": protection_words(wanted)}))
    lanes.follower.read_soon()
