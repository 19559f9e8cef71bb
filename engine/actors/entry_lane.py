"""The entry lane: plan an entry, reserve it, do what must be set before it, send it; try again only
with proof that nothing was sent.

An entry waits for the first reading of its account and fails closed without one; it is tried only
within its entry age.
"""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

from engine.actors.account import Account
from engine.actors.attempt_result import refused_outcome
from engine.actors.lanes import Lanes
from engine.actors.last_line import what_stops_entry
from engine.actors.sending import send, witness
from engine.decisions.order_lifecycle import AttemptState, Refused
from engine.decisions.planning import (
    AccountView,
    EntryContext,
    EntryPlan,
    Reading,
    Wait,
    plan_entry,
)
from engine.decisions.portfolio import marked
from engine.decisions.sizing import TAKER_FEE_BPS
from engine.domain.holding import PendingEntry
from engine.domain.identifiers import Symbol
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.readiness import Readiness
from engine.domain.signal import Action, Signal
from engine.domain.subscription import Subscription, strictest
from engine.ledger.claims import Claim
from engine.ledger.copies import WaitingLeg, is_exiting_before
from engine.ledger.holdings import goal_key
from engine.market.feed import MarketFeed
from engine.ports.exchange import NotExecuted, Rejected
from engine.ports.rate_limiter import Priority

ENTRY_RETRY_S: Final = 0.5
READ_AGAIN_S: Final = 1.0
READ_MARGIN_S: Final = 1.0
_NEVER_SENT: Final = (
    AttemptState.SKIPPED,
    AttemptState.DENIED,
    AttemptState.EXPIRED,
    AttemptState.KILLED,
)


async def enter(lanes: Lanes, leg: WaitingLeg) -> bool:
    """Take one entry through its steps, or let it wait; return whether it is over: it ended without
    an order, or its order may be at the exchange.
    """
    account, shared = lanes.account, lanes.account.shared
    await account.wait_read()
    signal, subscription = shared.signal(leg.signal_number), shared.subscription(leg.subscription)
    if account.reading_after_exits(leg.symbol)[0] is Reading.BEFORE:
        await lanes.reader.read_after_exits(
            leg.symbol
        )  # the newest reading still shows what we closed, as if the owner held it
    plan = plan_entry(await _context(lanes, leg, signal, subscription))
    if isinstance(plan, Wait):
        if plan.reads:
            account.read_soon()
        lanes.wait(leg, READ_AGAIN_S if plan.reads else ENTRY_RETRY_S, plan.cause)
    elif isinstance(plan, Outcome):
        if plan.code is OutcomeCode.DENIED_ACCOUNT_NOT_READY and _may_be_read_in_time(
            lanes, signal
        ):
            account.read_soon()
            lanes.wait(leg, ENTRY_RETRY_S)
        else:
            await lanes.conclude(leg, plan)
            return True
    else:
        # No await between planning and reserving: a burst of entries cannot pass a cap together.
        _reserve(lanes, leg, plan)
        kept = False
        try:
            with shared.sending():
                kept = await _send(
                    lanes, leg=leg, signal=signal, subscription=subscription, plan=plan
                )
        finally:
            if not kept:
                account.release(leg.copy, proven=False)
        return kept
    return False


async def _context(
    lanes: Lanes, leg: WaitingLeg, signal: Signal, subscription: Subscription
) -> EntryContext:
    account, shared = lanes.account, lanes.account.shared
    feed = shared.feeds[account.exchange]
    quote = await feed.quote(leg.symbol, shared.pace.price_age_s)
    # Before the holdings are read: an exit that ends between the two statements is seen in one of
    # them.
    exiting = is_exiting_before(
        shared.ledger.db,
        account=leg.account,
        strategy=leg.strategy,
        symbol=leg.symbol,
        before=signal.entry_key,
    )
    here, anywhere = account.reading_after_exits(leg.symbol)
    if here is Reading.SOON_AFTER:
        account.forget_settled(leg.symbol)
    problem = account.trouble or _unread(account, leg.symbol)
    return EntryContext(
        signal=signal,
        subscription=subscription,
        copy=leg.copy,
        leg=leg.number,
        account=None if problem else _view(account, feed),
        account_problem=problem,
        instrument=feed.instrument(leg.symbol),
        quote=quote,
        limits=strictest(shared.limits, subscription.policy.limits),
        switches=shared.switches_for(account.id, account.name, leg.strategy, account.exchange),
        goal_key=goal_key(shared.ledger.db, leg.account, leg.strategy, leg.symbol),
        strategy_names=shared.strategy_names,
        fee_bps=TAKER_FEE_BPS,
        entry_age_s=shared.pace.entry_age_s,
        price_age_s=shared.pace.price_age_s,
        now=lanes.now_for(leg),
        day=account.equity_marks,
        is_exiting=exiting,
        here=here,
        anywhere=anywhere,
        waited_for=lanes.waited_for(leg),
    )


def _view(account: Account, feed: MarketFeed) -> AccountView | None:
    """Return the account at the newest prices: a reading may be as old as the pause between two."""
    view = account.view()
    if view is None or not view.report.positions:
        return view
    return replace(view, report=marked(view.report, feed.newest))


def _unread(account: Account, symbol: Symbol) -> str:
    """Return which row about the symbol could not be read, empty if there is none: what is open
    there is then not known.
    """
    row = account.unread(symbol)
    return (
        ""
        if row is None
        else (
            f"the {row.what} in {row.symbol or 'an unknown contract'} cannot be read "
            f"({row.problem})"
        )
    )


def _may_be_read_in_time(lanes: Lanes, signal: Signal) -> bool:
    """Return whether an unreadable account (unless its key was refused) may be ready before the
    entry is too old.
    """
    shared = lanes.account.shared
    young_until = signal.decided_at + timedelta(seconds=shared.pace.entry_age_s - READ_MARGIN_S)
    return (
        lanes.account.readiness is Readiness.FAILED
        and not lanes.account.foreign
        and shared.clock.now() < young_until
    )


def _reserve(lanes: Lanes, leg: WaitingLeg, plan: EntryPlan) -> None:
    intent = plan.intent
    entry = PendingEntry(
        copy=leg.copy,
        symbol=leg.symbol,
        strategy=leg.strategy,
        side=intent.position_side,
        quantity=intent.quantity,
        notional=plan.notional,
        margin=plan.margin,
    )
    lanes.account.reserve(entry)


async def _send(
    lanes: Lanes, leg: WaitingLeg, signal: Signal, subscription: Subscription, plan: EntryPlan
) -> bool:
    """Send one planned entry; return whether something of it may be at the exchange."""
    account, shared, session = lanes.account, lanes.account.shared, None
    try:
        session = await account.connected()
        session.check_circuit(
            is_retry=leg.attempts + lanes.now(leg.copy).failed > 0
        )  # waiting for an exit is no try
        await session.prepare_entry(plan.intent)
        await session.permit(Priority.ENTRY)
        await session.warm()
    except Rejected as error:
        if session is not None and account.replaced(session):
            lanes.fail(leg, error, ENTRY_RETRY_S)
        else:
            await lanes.conclude(leg, refused_outcome(Refused(error.kind, error.text)))
        return False
    # nothing of the order was sent yet, whatever the plugin raised: try again while it is young
    except Exception as error:
        lanes.fail(
            leg,
            error,
            (error.retry_after_s if isinstance(error, NotExecuted) else None) or ENTRY_RETRY_S,
        )
        return False
    limits = strictest(shared.limits, subscription.policy.limits)
    wanted = Claim(
        copy=leg.copy,
        leg=leg.number,
        number=leg.attempts + 1,
        kind=leg.kind,
        account=leg.account,
        strategy=leg.strategy,
        epoch=shared.epoch,
        order_key=signal.entry_key,
        intent=plan.intent,
        notional=plan.notional,
        margin=plan.margin,
        witness=witness(account, leg),
        at=shared.clock.now(),
        adds=signal.draft.action is Action.ADD,
    )
    done = await send(
        lanes,
        leg=leg,
        session=session,
        wanted=wanted,
        what_stops=partial(
            what_stops_entry,
            lanes,
            leg,
            signal=signal,
            side=plan.intent.position_side,
            limits=limits,
        ),
        retry_s=ENTRY_RETRY_S,
    )
    if done is None or done.state in (AttemptState.NEW, AttemptState.REJECTED, *_NEVER_SENT):
        return False
    if done.state.is_terminal:
        account.release(leg.copy, proven=True)
    if done.state.is_terminal or done.filled:
        # the reader's current pause may have begun when nothing was open: it is the long one
        account.read_in_turn()
    return True
