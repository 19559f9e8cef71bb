"""Move the stop and target of what is held. It raises no exposure, and setting the same levels
twice does no harm, so it is repeated.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import trio

from engine.actors.account import Account
from engine.actors.attempt_result import refused_outcome
from engine.actors.lanes import Lanes
from engine.decisions.order_lifecycle import Refused
from engine.decisions.planning import Wait
from engine.decisions.planning_protection import (
    LEVELS_NOT_KNOWN,
    ProtectionContext,
    ProtectionPlan,
    levels_words,
    plan_protection,
    protection_words,
)
from engine.decisions.risk import position_of
from engine.domain.account import Position
from engine.domain.alert import AlertCode
from engine.domain.identifiers import Symbol
from engine.domain.order import ProtectionOrder
from engine.domain.outcome import Outcome, OutcomeCode
from engine.ledger import Database
from engine.ledger.alerts import raise_alert
from engine.ledger.copies import WaitingLeg, is_entering, protected_later
from engine.ledger.holdings import read_holding, want_protection
from engine.ports.exchange import Rejected

LOOK_S: Final = 0.5
RETRY_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)


async def protect(lanes: Lanes, leg: WaitingLeg) -> None:
    """Move the stop and target of what the strategy holds. Where one of them is to stay, the account
    is read first: the owner may have moved it since the last reading.
    """
    pace = lanes.account.shared.pace
    plan, waited_s = await _plan(lanes, leg), 0.0
    if plan is LEVELS_NOT_KNOWN or (isinstance(plan, ProtectionPlan) and plan.leaves_a_level):
        # If that fails, what the strategy last set must do; a level that it never set is waited for,
        # and a newer signal begins no new wait.
        await lanes.reader.try_to_read()
        plan = await _plan(lanes, leg)
    if plan is LEVELS_NOT_KNOWN:
        now = trio.current_time()
        waited_s = now - lanes.unknown_since.setdefault((leg.strategy, leg.symbol), now)
        if waited_s >= pace.unprotected_s:
            plan = await _plan(lanes, leg, guesses=True)
    match plan:
        case Wait(cause) if plan is LEVELS_NOT_KNOWN:
            pause_s = RETRY_S[min(lanes.waits(leg), len(RETRY_S) - 1)]
            lanes.wait(leg, min(pause_s, pace.unprotected_s - waited_s), cause)
        case Wait(cause):
            lanes.wait(leg, LOOK_S, cause)
        case Outcome():
            await _end(lanes, leg, plan)
        case ProtectionPlan():
            await lanes.account.shared.ledger.write(
                partial(want_protection, account=leg.account, wanted=plan.wants)
            )
            await _apply(lanes, leg, plan.order, waited_s)


async def _plan(
    lanes: Lanes, leg: WaitingLeg, *, guesses: bool = False
) -> ProtectionPlan | Outcome | Wait:
    account, shared = lanes.account, lanes.account.shared
    signal, db = shared.signal(leg.signal_number), lanes.account.shared.ledger.db
    entering = is_entering(
        db, account=leg.account, strategy=leg.strategy, symbol=leg.symbol, before=signal.order_key
    )
    later = protected_later(
        db, account=leg.account, strategy=leg.strategy, symbol=leg.symbol, key=leg.order_key
    )
    holding = read_holding(db, leg.account, leg.symbol)
    feed = shared.feeds[account.exchange]
    quote = await feed.quote(leg.symbol, shared.pace.price_age_s)
    return plan_protection(
        ProtectionContext(
            signal=signal,
            holding=account.located(holding)
            if holding is not None and holding.strategy == leg.strategy
            else None,
            position=_position(lanes, leg.symbol, guesses=guesses),
            instrument=feed.instrument(leg.symbol),
            price=None if quote is None else quote.last,
            can_protect=account.can_protect,
            is_entering=entering,
            later=tuple(shared.signal(each).draft for each in later),
            guesses=guesses,
        )
    )


def _position(lanes: Lanes, symbol: Symbol, *, guesses: bool) -> Position | None:
    """Return the position with the levels that stand at the exchange: as read, or as we have just set
    them where the reading cannot show that yet. None if it does not show which stand; ``guesses``
    takes what was last read all the same.
    """
    account = lanes.account
    report = account.last_report if guesses else account.report
    position = None if report is None else position_of(report, symbol)
    if position is None or (not guesses and account.may_miss_fill(symbol)):
        return None  # an order of ours may have moved them since
    if (ours := lanes.levels.get(symbol)) is not None:
        set_at, levels = ours
        if not account.shows(set_at):
            return replace(position, stop_loss=levels.stop_loss, take_profit=levels.take_profit)
    return position


async def _apply(
    lanes: Lanes, leg: WaitingLeg, wanted: ProtectionOrder, guessed_after_s: float
) -> None:
    session = None
    await lanes.tell_failing(
        leg,
        AlertCode.PROTECTION_FAILING,
        side=wanted.position_side.value,
        levels=levels_words(wanted),
    )
    try:
        session = await lanes.account.connected()
        await session.set_protection(wanted)
    except Exception as error:  # whatever it was: setting the same levels again does no harm
        is_judged = session is None or not lanes.account.replaced(session)
        if isinstance(error, Rejected) and is_judged:
            await _end(lanes, leg, refused_outcome(Refused(error.kind, error.text)))
            return
        lanes.account.note(f"the protection of {leg.symbol} could not be set", error)
        lanes.fail(leg, error, RETRY_S[min(lanes.waits(leg), len(RETRY_S) - 1)])
        return
    lanes.levels[leg.symbol] = (trio.current_time(), wanted)
    levels = protection_words(wanted)
    tell = partial(_tell_guess, lanes.account, leg, levels, guessed_after_s)
    await _end(lanes, leg, Outcome(OutcomeCode.APPLIED, {"what": levels}), tell)
    lanes.account.read_soon()


async def _end(
    lanes: Lanes,
    leg: WaitingLeg,
    outcome: Outcome,
    also: Callable[[Database], None] = lambda db: None,
) -> None:
    # What is replaced leaves its wait to the newer signal; what never waited ends nobody's.
    has_waited = lanes.waits(leg) > 0 and outcome.code is not OutcomeCode.SKIPPED_SUPERSEDED
    if has_waited or outcome.code is OutcomeCode.APPLIED:
        lanes.unknown_since.pop((leg.strategy, leg.symbol), None)
    await lanes.conclude(leg, outcome, also)


def _tell_guess(
    account: Account, leg: WaitingLeg, levels: str, waited_s: float, db: Database
) -> None:
    if waited_s == 0:
        return
    raise_alert(
        db,
        code=AlertCode.LEVELS_NOT_READ,
        subject=account.name,
        details={"symbol": leg.symbol, "levels": levels, "waited_s": str(round(waited_s))},
        at=account.shared.clock.now(),
        sameness=leg.symbol,
    )
