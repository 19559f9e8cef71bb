"""The planner of exits: what one account closes of what the engine opened there, decided from
values alone.

Total and deterministic like the planner of entries. An exit never closes more than our share, never
looks at switches, age, caps, balance, price or the subscription's mode, and waits only while proof
is missing. A close and the exit of a reverse leave nothing. A reduce leaves a fixed rest, decided
once: what rounding to the step leaves over is carried to the next reduction, and a close takes it.

The exchange's minimums are for opening. Everything that we hold is closed whatever it is worth:
only the exchange decides whether something is too small to close. Only a part that a reduce takes
out is carried if it is below the minimums.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.decisions.planning import Wait
from engine.decisions.risk import is_held
from engine.decisions.sizing import floored
from engine.domain.account import Position
from engine.domain.amounts import EXACT, ZERO, Quantity, Ratio, notional, plain
from engine.domain.holding import Holding
from engine.domain.identifiers import CopyId, exit_client_order_id
from engine.domain.instrument import Instrument
from engine.domain.order import OrderIntent, OrderSide
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import NO_ORDER_KEY, Action, OrderType, Signal
from engine.domain.subscription import Subscription

NONE: Final = Quantity(ZERO)
NO_CONTRACT: Final = Wait("the contract has not been read from the exchange yet")
"""What a reduce waits for while the contract's step is unknown: nothing on our side ends this, so
it counts as a failed try.
"""


NO_TRACE: Final = (
    "an earlier closing order without trace may have closed this, and the owner holds a part of "
    "the position: rexalgo unknown decide"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitContext:
    """Everything that decides one exit of one account.

    ``holding`` is this strategy's, None if it has none. ``position`` is the newest known at the
    exchange, None if there is none or it is unknown. ``outstanding`` is the quantity of exit
    attempts that are not resolved. ``attempt`` counts from 1. ``leave`` is the share to leave
    behind as an earlier attempt of this exit fixed it, None before. ``is_entering``: an earlier
    entry of this strategy has not ended. ``without_trace`` is the quantity of exits that were given
    up without trace, at an exchange where an exit may leave none although it closed something.
    """

    signal: Signal
    subscription: Subscription
    copy: CopyId
    leg: int
    attempt: int
    holding: Holding | None
    position: Position | None
    instrument: Instrument | None
    outstanding: Quantity
    now: datetime
    leave: Quantity | None = None
    is_entering: bool = False
    without_trace: Quantity = NONE

    @property
    def is_flat_after(self) -> bool:
        """Return whether the exit is to leave nothing."""
        return self.signal.draft.action is not Action.REDUCE


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """A reduce-only order to send; ``leave`` is the share left behind, ``carried`` what rounding
    leaves for the next reduction.
    """

    intent: OrderIntent
    leave: Quantity
    carried: Quantity


@dataclass(frozen=True, slots=True)
class Carry:
    """The part to close is too small for the exchange: the exit ends in ``outcome``, and
    ``carried`` is kept for the next one.
    """

    outcome: Outcome
    carried: Quantity


def plan_exit(context: ExitContext) -> ExitPlan | Carry | Outcome | Wait:
    """Decide one exit: close our share or a part of it, wait for proof, or return why there is
    nothing to do. Total.

    What was opened live is closed live, even if the follower has since switched to watching.
    Without an instrument the share itself is sent: it is a sum of fills. A reduce waits for the
    instrument, because only whole steps can be closed.
    """
    holding, draft = context.holding, context.signal.draft
    if holding is None or not is_held(holding) or not _is_meant(context, holding):
        if context.is_entering and not context.is_flat_after and not draft.is_test:
            return Wait("an entry of this strategy has not ended yet")
        return Outcome(OutcomeCode.SKIPPED_NOTHING_TO_CLOSE, {"symbol": draft.symbol})
    if holding.entry_key != NO_ORDER_KEY and context.signal.order_key <= holding.entry_key:
        return Outcome(OutcomeCode.SKIPPED_SUPERSEDED, {"symbol": draft.symbol})
    if draft.is_test:
        numbers = {
            "side": holding.side.value,
            "quantity": plain(holding.share),
            "symbol": draft.symbol,
        }
        return Outcome(OutcomeCode.SKIPPED_TEST, numbers)
    if context.outstanding > 0:
        # One exit at a time: until it is proven, closing again could close what is not ours any
        # more.
        return Wait("an exit of this strategy is not resolved yet")
    if _surely_ours(context, holding) <= 0 < holding.share:
        return Wait(NO_TRACE)
    return (
        _close_share(context, holding) if context.is_flat_after else _reduce_share(context, holding)
    )


def _surely_ours(context: ExitContext, holding: Holding) -> Quantity:
    """Return how much of the share can be closed without closing what the owner holds beside it.

    An exit without trace may already have closed its part of the share. If the position is no
    larger than the share, all of it is ours, whatever became of that exit.
    """
    position = context.position
    is_all_ours = position is not None and position.quantity <= holding.share
    return (
        holding.share
        if is_all_ours
        else Quantity(EXACT.subtract(holding.share, context.without_trace))
    )


def _is_meant(context: ExitContext, holding: Holding) -> bool:
    """Return whether the signal's side permits closing this holding: a reverse names the side to
    enter, so it closes the other one.
    """
    side = context.signal.draft.side
    if context.signal.draft.action is Action.REVERSE:
        return side is not holding.side
    return side in (None, holding.side)


def _close_share(context: ExitContext, holding: Holding) -> ExitPlan | Wait:
    if holding.share == 0:
        return Wait("an entry of this strategy is not resolved yet")
    return ExitPlan(
        _exit_intent(context, holding, _surely_ours(context, holding)),
        Quantity(ZERO),
        Quantity(ZERO),
    )


def _reduce_share(context: ExitContext, holding: Holding) -> ExitPlan | Carry | Outcome | Wait:
    """Close a fraction of what is proven to be ours; what an unproven entry brings later is not
    reduced by this signal.
    """
    fraction = context.signal.draft.size.fraction
    assert fraction is not None, "SignalDraft refuses a reduce without a fraction"
    if context.leave is not None:
        return _reduce_on(context, holding, context.leave)
    if holding.share == 0:
        return Wait("an entry of this strategy is not resolved yet")
    wanted = min(
        _surely_ours(context, holding),
        EXACT.add(EXACT.multiply(holding.share, fraction), holding.carried),
    )
    if wanted == holding.share:
        return _close_share(context, holding)
    if context.instrument is None:
        # A share is a sum of fills, a fraction of it is not: off the step the exchange refuses it,
        # or leaves a rest that nobody can close.
        return NO_CONTRACT
    quantity = floored(Quantity(wanted), context.instrument)
    if is_below_minimum(context, quantity):
        return _carried(context, context.instrument, Quantity(wanted))
    leave, rest = EXACT.subtract(holding.share, quantity), EXACT.subtract(wanted, quantity)
    return ExitPlan(_exit_intent(context, holding, quantity), Quantity(leave), Quantity(rest))


def _reduce_on(
    context: ExitContext, holding: Holding, leave: Quantity
) -> ExitPlan | Carry | Outcome:
    """Continue towards the share that the first attempt fixed: an attempt may have closed a part of
    it, the owner another.
    """
    rest = Quantity(EXACT.subtract(holding.share, leave))
    if rest <= 0:
        return Outcome(
            OutcomeCode.NOTHING_TO_DO,
            {
                "why": (
                    f"no more than {plain(leave)} {context.signal.draft.symbol} is held, as it "
                    "asked for"
                )
            },
        )
    if context.instrument is not None and is_below_minimum(
        context, floored(rest, context.instrument)
    ):
        return _carried(context, context.instrument, Quantity(EXACT.add(holding.carried, rest)))
    return ExitPlan(
        _exit_intent(context, holding, min(rest, _surely_ours(context, holding))),
        leave,
        holding.carried,
    )


def _carried(context: ExitContext, instrument: Instrument, wanted: Quantity) -> Carry:
    least = max(instrument.quantity_min, instrument.quantity_step)
    numbers = {
        "quantity": plain(wanted),
        "symbol": context.signal.draft.symbol,
        "minimum": plain(least),
    }
    return Carry(Outcome(OutcomeCode.SKIPPED_CARRIED, numbers), wanted)


def is_below_minimum(context: ExitContext, quantity: Quantity) -> bool:
    """Return whether an entry of ``quantity`` would be refused as too small, as far as we know."""
    instrument, position = context.instrument, context.position
    if instrument is None:
        return False
    worth = (
        None
        if position is None or position.mark_price <= 0
        else notional(position.mark_price, quantity)
    )
    return (
        quantity <= 0
        or quantity < instrument.quantity_min
        or (worth is not None and worth < instrument.notional_min)
    )


def _exit_intent(context: ExitContext, holding: Holding, quantity: Quantity) -> OrderIntent:
    position, draft = context.position, context.signal.draft
    same = (
        position is not None
        and position.side is holding.side
        and holding.position_id in ("", position.id)
    )
    whole = (
        same
        and position is not None
        and position.quantity == quantity == holding.share
        and not _is_to_be_split(context, quantity)
    )
    if not whole and context.instrument is not None:
        quantity = _orderable(quantity, context.instrument)
    # An exit changes no leverage; the field repeats the current one, or the neutral 1 if it is
    # unknown.
    leverage = (
        position.leverage if position is not None and position.leverage > 0 else Ratio(Decimal(1))
    )
    return OrderIntent(
        client_order_id=exit_client_order_id(context.copy, context.leg, context.attempt),
        symbol=draft.symbol,
        side=OrderSide.closing(holding.side),
        position_side=holding.side,
        quantity=quantity,
        order_type=OrderType.MARKET,
        leverage=leverage,
        reduce_only=True,
        whole_position=whole,
        position_id=holding.position_id or (position.id if same and position is not None else ""),
    )


def _is_to_be_split(context: ExitContext, quantity: Quantity) -> bool:
    """Return whether a whole position is closed in parts: it is above the largest order, and a try
    to close it as one has failed.
    """
    contract = context.instrument
    return context.attempt > 1 and contract is not None and quantity > contract.quantity_max


def _orderable(quantity: Quantity, instrument: Instrument) -> Quantity:
    """Return how much of ``quantity`` one order can close: whole steps, at most the exchange's
    maximum; the next order closes the rest.

    Less than one step is sent as it is: the exchange decides what becomes of it.
    """
    most = floored(min(quantity, instrument.quantity_max), instrument)
    return most if most > 0 else quantity
