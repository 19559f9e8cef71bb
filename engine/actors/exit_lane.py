"""The exit lane: close what is ours, or a part of it, again and again until a reading shows that it
is done.

No guard of entries stops an exit, it has no maximum age, and it is tried without limit, with pauses
that grow to a minute.
"""

from functools import partial
from typing import Final

from engine.actors.account import Account
from engine.actors.lanes import Lanes
from engine.actors.last_line import nothing_stops
from engine.actors.resting_lane import take_back_resting
from engine.actors.sending import send, witness
from engine.decisions.order_lifecycle import AttemptState
from engine.decisions.planning import Reading, Wait
from engine.decisions.planning_exits import (
    NO_CONTRACT,
    Carry,
    ExitContext,
    ExitPlan,
    is_below_minimum,
    plan_exit,
)
from engine.decisions.risk import position_of
from engine.domain.alert import AlertCode
from engine.domain.amounts import ZERO, Money, Quantity, plain
from engine.domain.holding import Holding
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import PositionSide, Signal
from engine.ledger import Database
from engine.ledger.attempts import Attempt, open_attempts
from engine.ledger.claims import Claim
from engine.ledger.copies import WaitingLeg, is_entering, is_waiting
from engine.ledger.holdings import attach, keep_carried, read_holding
from engine.ledger.resolving import outcome_of_fills
from engine.ports.exchange import NotExecuted, RejectionKind

EXIT_RETRY_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
WAIT_S: Final = 0.25
WAIT_S_MAX: Final = 2.0
WITNESS_AGE_S: Final = 5.0
"""How old a reading may be for its quantity to be evidence if positions have no ids."""
_NOTHING_LEFT: Final = (
    OutcomeCode.SKIPPED_NOTHING_TO_CLOSE,
    OutcomeCode.NOTHING_TO_DO,
    OutcomeCode.SKIPPED_CARRIED,
)


async def close(lanes: Lanes, leg: WaitingLeg) -> None:
    """Take one exit through its steps, or let it wait."""
    account = lanes.account
    signal = account.shared.signal(leg.signal_number)
    context = _context(account, leg, signal)
    if context.is_flat_after and not signal.draft.is_test:
        await take_back_resting(account, leg)
    plan = plan_exit(context)
    if isinstance(plan, ExitPlan) and (
        _may_be_refused(context, plan) or _needs_witness(account, context, plan)
    ):
        # Whether it is a part or the whole of the position decides what the exchange reports, and
        # how the exit is proven.
        await lanes.reader.try_to_read()
        context = _context(account, leg, signal)
        plan = plan_exit(context)
    match plan:
        case Wait(cause) if plan is NO_CONTRACT and context.holding is not None:
            await _tell_failing(lanes, leg, context.holding.side, context.holding.share)
            lanes.fail(
                leg,
                NotExecuted(cause),
                EXIT_RETRY_S[min(lanes.now(leg.copy).failed, len(EXIT_RETRY_S) - 1)],
            )
        case Wait(cause):
            lanes.wait(leg, min(WAIT_S_MAX, WAIT_S * 2 ** min(lanes.waits(leg), 5)), cause)
        case Carry(outcome, carried):
            await lanes.conclude(
                leg, _with_fills(lanes, leg, outcome), partial(_keep_carried, leg, carried)
            )
        case Outcome():
            await _conclude(lanes, leg, plan, is_flat=context.is_flat_after)
        case ExitPlan():
            await _send(lanes, leg=leg, signal=signal, plan=plan, context=context)


def _may_be_refused(context: ExitContext, plan: ExitPlan) -> bool:
    return not plan.intent.whole_position and is_below_minimum(context, plan.intent.quantity)


def _needs_witness(account: Account, context: ExitContext, plan: ExitPlan) -> bool:
    """Return whether only the position's size before and after can prove a part, and the last
    reading is too old for that.
    """
    position = context.position
    holding = context.holding
    is_part = (
        not plan.intent.whole_position
        and position is not None
        and holding is not None
        and position.quantity > holding.share
    )
    is_named = account.session is not None and account.session.reads_client_order_id(plan.intent)
    return is_part and not is_named and not _is_fresh(account)


def _residue_kinds(context: ExitContext) -> frozenset[RejectionKind]:
    """Return which refusals prove that the exchange does not close this: as too small, and none while
    a reading or an entry may still change what it is.
    """
    if context.position is None or context.holding is None or context.holding.entries_open > 0:
        return frozenset()
    return frozenset({RejectionKind.BELOW_MINIMUM})


def _context(account: Account, leg: WaitingLeg, signal: Signal) -> ExitContext:
    shared = account.shared
    db = shared.ledger.db
    # Before the holding is read: an entry that ends between the two statements is seen in one of
    # them.
    entering = is_entering(
        db, account=leg.account, strategy=leg.strategy, symbol=leg.symbol, before=signal.order_key
    )
    exits = [
        each
        for each in open_attempts(db, leg.account)
        if each.intent.symbol == leg.symbol and not each.is_entry
    ]
    without_trace = [
        each
        for each in exits
        if each.state is AttemptState.NOT_CONFIRMED and _may_leave_no_trace(account, each)
    ]
    attempts = [each for each in exits if each.state is not AttemptState.NOT_CONFIRMED]
    return ExitContext(
        signal=signal,
        subscription=shared.subscription(leg.subscription),
        copy=leg.copy,
        leg=leg.number,
        attempt=leg.attempts + 1,
        holding=_holding(account, leg),
        position=None if account.report is None else position_of(account.report, leg.symbol),
        instrument=shared.feeds[account.exchange].instrument(leg.symbol),
        outstanding=Quantity(
            sum((each.intent.quantity - each.filled for each in attempts), start=ZERO)
        ),
        now=shared.clock.now(),
        leave=leg.leave,
        is_entering=entering,
        without_trace=Quantity(
            sum((each.intent.quantity - each.filled for each in without_trace), start=ZERO)
        ),
    )


def _may_leave_no_trace(account: Account, attempt: Attempt) -> bool:
    """Return whether an exit may have executed although no order of it was found: only an order
    that carries our id is surely absent.
    """
    return account.session is None or not account.session.reads_client_order_id(attempt.intent)


def _holding(account: Account, leg: WaitingLeg) -> Holding | None:
    holding = read_holding(account.shared.ledger.db, leg.account, leg.symbol)
    return holding if holding is not None and holding.strategy == leg.strategy else None


async def _conclude(lanes: Lanes, leg: WaitingLeg, outcome: Outcome, *, is_flat: bool) -> None:
    """End an exit: with the sum of its fills if it had any, and with the symbol free again if it
    was detached.
    """
    await lanes.conclude(
        leg,
        _with_fills(lanes, leg, outcome),
        partial(_set_free, leg) if is_flat else lambda db: None,
    )


def _held_before(account: Account, plan: ExitPlan) -> Quantity | None:
    """Return the position's size at the last reading, if that reading can show what the exit
    changes.
    """
    position = None if account.report is None else position_of(account.report, plan.intent.symbol)
    if position is None or position.side is not plan.intent.position_side:
        return None
    if account.reading_after_exits(plan.intent.symbol)[0] is not Reading.AFTER:
        # it may show what an earlier try has closed since: that much less would look like this
        # one's work
        return None
    is_named = plan.intent.position_id != "" and plan.intent.position_id == position.id
    return position.quantity if is_named or _is_fresh(account) else None


def _is_fresh(account: Account) -> bool:
    return account.reading_age_s <= WITNESS_AGE_S


def _set_free(leg: WaitingLeg, db: Database) -> None:
    holding = read_holding(db, leg.account, leg.symbol)
    if (
        holding is not None
        and holding.strategy == leg.strategy
        and holding.detached
        and holding.share == 0
    ):
        attach(db, leg.account, leg.symbol)


def _keep_carried(leg: WaitingLeg, carried: Quantity, db: Database) -> None:
    holding = read_holding(db, leg.account, leg.symbol)
    if holding is not None and holding.strategy == leg.strategy:
        keep_carried(db, leg.account, leg.symbol, carried)


def _with_fills(lanes: Lanes, leg: WaitingLeg, outcome: Outcome) -> Outcome:
    """Return what an exit did if an earlier try of it closed something, else ``outcome``."""
    if outcome.code not in _NOTHING_LEFT:
        return outcome
    return outcome_of_fills(lanes.account.shared.ledger.db, leg.copy, leg.number) or outcome


async def _tell_failing(
    lanes: Lanes, leg: WaitingLeg, side: PositionSide, quantity: Quantity
) -> None:
    await lanes.tell_failing(leg, AlertCode.EXIT_FAILING, side=side.value, quantity=plain(quantity))


async def _send(
    lanes: Lanes, leg: WaitingLeg, signal: Signal, plan: ExitPlan, context: ExitContext
) -> None:
    assert context.holding is not None, "only what is held is closed"
    account = lanes.account
    retry_s = EXIT_RETRY_S[min(leg.attempts + lanes.now(leg.copy).failed, len(EXIT_RETRY_S) - 1)]
    await _tell_failing(lanes, leg, plan.intent.position_side, plan.intent.quantity)
    try:
        session = await account.connected()
        await session.permit_exit()
        await session.warm()
    except Exception as error:  # an exit goes on for ever; nothing of it was sent yet
        lanes.fail(
            leg, error, (error.retry_after_s if isinstance(error, NotExecuted) else None) or retry_s
        )
        return
    wanted = Claim(
        copy=leg.copy,
        leg=leg.number,
        number=leg.attempts + 1,
        kind=leg.kind,
        account=leg.account,
        strategy=leg.strategy,
        epoch=account.shared.epoch,
        order_key=signal.order_key,
        intent=plan.intent,
        notional=Money(ZERO),
        margin=Money(ZERO),
        witness=witness(account, leg),
        at=account.shared.clock.now(),
        leave=plan.leave,
        carried=plan.carried if leg.leave is None else None,
        planned_from=context.holding.share,
        held_before=_held_before(account, plan),
    )
    with account.shared.sending():
        done = await send(
            lanes,
            leg=leg,
            session=session,
            wanted=wanted,
            what_stops=nothing_stops,
            retry_s=retry_s,
            residue_kinds=_residue_kinds(context),
        )
    if done is None or not done.state.is_terminal or done.residue is not None:
        return
    if is_waiting(account.shared.ledger.db, leg.copy, leg.number):
        await lanes.reader.try_to_read()  # what the next try is planned from
    else:
        account.read_in_turn()  # what proves that there is nothing left
