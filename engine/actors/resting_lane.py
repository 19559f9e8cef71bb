"""Cancel entries that rest at the exchange. It raises no exposure, so it is repeated until the
exchange has done it or refused.
"""

from typing import Final

import trio

from engine.actors.account import Account
from engine.actors.lanes import Lanes
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import OrderType
from engine.ledger.attempts import Attempt, entries_before, taken_back_since
from engine.ledger.copies import WaitingLeg

ASK_AGAIN_S: Final = 5.0
ASK_UNSEEN_AGAIN_S: Final = 60.0
LOOK_S: Final = 0.5


async def cancel(lanes: Lanes, leg: WaitingLeg) -> None:
    """Cancel the strategy's resting entries in the symbol that are older than the signal, and wait
    until each has ended.
    """
    account, signal = lanes.account, lanes.account.shared.signal(leg.signal_number)
    if signal.draft.is_test:
        await lanes.conclude(
            leg,
            Outcome(
                OutcomeCode.SKIPPED_TEST,
                {"side": "cancel", "quantity": "all", "symbol": leg.symbol},
            ),
        )
        return
    if await take_back_resting(account, leg):
        lanes.wait(leg, LOOK_S)
        return
    count = taken_back_since(
        account.shared.ledger.db,
        account=leg.account,
        strategy=leg.strategy,
        symbol=leg.symbol,
        since=signal.received_at,
    )
    if count:
        outcome = Outcome(
            OutcomeCode.APPLIED,
            {"what": f"{count} resting order{'s' if count > 1 else ''} in {leg.symbol} taken back"},
        )
    else:
        outcome = Outcome(
            OutcomeCode.NOTHING_TO_DO, {"why": f"no entry of this strategy rests in {leg.symbol}"}
        )
    await lanes.conclude(leg, outcome)


async def take_back_resting(account: Account, leg: WaitingLeg) -> bool:
    """Ask the exchange to cancel resting entries older than the leg; return whether an entry is
    still open.

    A market entry is only waited for: by the time a cancellation arrives it has filled. One that was
    given up is not waited for, because a person decides about it.
    """
    entries = entries_before(
        account.shared.ledger.db,
        account=leg.account,
        strategy=leg.strategy,
        symbol=leg.symbol,
        before=leg.order_key,
    )
    for attempt in entries:
        await take_back(account, attempt, is_shown=attempt.state.is_open)
    return any(each.state.is_open for each in entries)


async def take_back(account: Account, attempt: Attempt, *, is_shown: bool = True) -> None:
    """Ask the exchange to cancel one resting entry, at most every 5 s; what becomes of it is found by
    reading. It is asked less often about an entry that it does not show.
    """
    now = trio.current_time()
    asked = account.asked_to_cancel.get(attempt.id)
    pause_s = ASK_AGAIN_S if is_shown else ASK_UNSEEN_AGAIN_S
    if (
        attempt.intent.order_type is not OrderType.LIMIT
        or attempt.exchange_order_id is None
        or (asked is not None and now - asked < pause_s)
    ):
        return
    account.asked_to_cancel[attempt.id] = now
    try:
        session = await account.connected()
        await session.cancel_order(attempt.intent.symbol, attempt.exchange_order_id)
    except (
        Exception
    ) as error:  # asked again after 5 s; reading shows what became of the order either way
        account.note(f"order {attempt.exchange_order_id} could not be cancelled", error)
    account.look_now(attempt.id)
