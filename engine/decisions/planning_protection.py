"""The planner of protection: the stop and target a held position is to have after a signal, decided
from values alone.

A level that a signal does not name stays as it stands at the exchange, where the owner may have moved
it or set one of their own; one that is missing there is set as the strategy last wanted it. Levels
are rounded to the price step towards the price, and one that is not beyond the price it protects is
refused, because the exchange would close at once.
"""

from dataclasses import dataclass, replace
from typing import Final

from engine.decisions.planning import Wait
from engine.decisions.risk import is_held, is_held_position
from engine.domain.account import Position
from engine.domain.amounts import Price, ceil_to_step, floor_to_step, plain
from engine.domain.holding import Holding
from engine.domain.instrument import Instrument
from engine.domain.order import ProtectionOrder
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import PositionSide, Signal, SignalDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionContext:
    """Everything that decides one ``set_protection`` of one account.

    ``holding`` is this strategy's, ``position`` the exchange's as last read, None if that does not
    show which levels stand. ``price`` is the last
    one, None if there is no fresh one: the exchange then judges the levels. ``can_protect``: the
    exchange can move levels. ``is_entering``: an earlier entry has not ended. ``later``: what
    later signals of this kind say. ``guesses``: waiting for the levels that stand has an end; the
    ``position`` as last read, or what the strategy wants, must do.
    """

    signal: Signal
    holding: Holding | None
    position: Position | None
    instrument: Instrument | None
    price: Price | None
    can_protect: bool
    is_entering: bool
    later: tuple[SignalDraft, ...]
    guesses: bool = False


LEVELS_NOT_KNOWN: Final = Wait("the levels that stand at the exchange are not known")
"""A level that stays would be removed by an order that does not know it."""


@dataclass(frozen=True, slots=True)
class ProtectionPlan:
    """The levels that the position is to have, and those of them that the strategy ``wants``: only
    the latter are set again where they are missing. ``leaves_a_level``: one of them stays as it is, so
    that it must be known.
    """

    order: ProtectionOrder
    wants: ProtectionOrder
    leaves_a_level: bool


def _without_replaced(context: ProtectionContext) -> SignalDraft | None:
    """Return what the signal says without the levels that a later one names; None if nothing is left.
    A test replaces nothing, nor does a signal for the other side.
    """
    draft, holding = context.signal.draft, context.holding
    side = draft.side or (None if holding is None else holding.side)
    stop_stays, target_stays = _staying(draft)
    for later in context.later:
        if not later.is_test and (None in (side, later.side) or later.side is side):
            stop_is_left, target_is_left = _staying(later)
            stop_stays, target_stays = (
                stop_stays or not stop_is_left,
                target_stays or not target_is_left,
            )
    if stop_stays and target_stays:
        return None
    return replace(
        draft,
        stop_loss=None if stop_stays else draft.stop_loss,
        no_stop_loss=draft.no_stop_loss and not stop_stays,
        take_profit=None if target_stays else draft.take_profit,
        no_take_profit=draft.no_take_profit and not target_stays,
    )


def _staying(draft: SignalDraft) -> tuple[bool, bool]:
    """Return whether the stop and the target stay as they are."""
    return (
        not draft.no_stop_loss and draft.stop_loss is None,
        not draft.no_take_profit and draft.take_profit is None,
    )


def plan_protection(context: ProtectionContext) -> ProtectionPlan | Outcome | Wait:
    """Decide the stop and target of the position, wait for an entry, or return why nothing is done.
    Total.
    """
    draft, holding = _without_replaced(context), context.holding
    if draft is None:
        return Outcome(OutcomeCode.SKIPPED_SUPERSEDED, {"symbol": context.signal.draft.symbol})
    if holding is None or not is_held(holding) or draft.side not in (None, holding.side):
        if context.is_entering and not draft.is_test:
            return Wait("an entry of this strategy has not ended yet")
        return Outcome(
            OutcomeCode.NOTHING_TO_DO,
            {"why": f"this strategy holds nothing in {draft.symbol} on this account"},
        )
    if context.signal.order_key <= holding.entry_key:
        return Outcome(OutcomeCode.SKIPPED_SUPERSEDED, {"symbol": draft.symbol})
    if holding.share == 0 and not draft.is_test:
        return Wait("nothing of the entry is proven to be filled yet")
    if not context.can_protect:
        return Outcome(OutcomeCode.SKIPPED_CANNOT_PROTECT, {"symbol": draft.symbol})
    position = _standing(context, holding)
    stop, target = _levels(context, draft, holding)
    stop_stays, target_stays = _staying(draft)
    kept_stop = position.stop_loss if position is not None and stop_stays else None
    kept_target = position.take_profit if position is not None and target_stays else None
    refused = _wrong_side(
        context, holding, None if kept_stop else stop, None if kept_target else target
    )
    if refused is not None:
        return refused
    if (
        not draft.is_test
        and not context.guesses
        and context.position is None
        and _is_unknown(draft, holding)
    ):
        return LEVELS_NOT_KNOWN
    if draft.is_test:
        return Outcome(
            OutcomeCode.SKIPPED_TEST,
            {"side": holding.side.value, "quantity": plain(holding.share), "symbol": draft.symbol},
        )
    return ProtectionPlan(
        ProtectionOrder(
            draft.symbol,
            holding.side,
            kept_stop or stop,
            kept_target or target,
            holding.position_id,
        ),
        ProtectionOrder(draft.symbol, holding.side, stop, target),
        leaves_a_level=stop_stays or target_stays,
    )


def _is_unknown(draft: SignalDraft, holding: Holding) -> bool:
    """Return whether a level that stays is one that the strategy never set: the owner may have."""
    stop_stays, target_stays = _staying(draft)
    return (stop_stays and holding.stop_loss is None) or (
        target_stays and holding.take_profit is None
    )


def _standing(context: ProtectionContext, holding: Holding) -> Position | None:
    position = context.position
    return position if position is not None and is_held_position(holding, position) else None


def _levels(
    context: ProtectionContext, draft: SignalDraft, holding: Holding
) -> tuple[Price | None, Price | None]:
    """Return the stop and target that the strategy wants now."""
    is_long = holding.side is PositionSide.LONG
    stop = (
        None
        if draft.no_stop_loss
        else holding.stop_loss
        if draft.stop_loss is None
        else draft.stop_loss
    )
    target = (
        None
        if draft.no_take_profit
        else holding.take_profit
        if draft.take_profit is None
        else draft.take_profit
    )
    if context.instrument is None:
        return stop, target
    step = context.instrument.price_step
    up, down = ceil_to_step, floor_to_step
    return (
        None if stop is None else Price((up if is_long else down)(stop, step)),
        None if target is None else Price((down if is_long else up)(target, step)),
    )


def _wrong_side(
    context: ProtectionContext, holding: Holding, stop: Price | None, target: Price | None
) -> Outcome | None:
    price, is_long = context.price, holding.side is PositionSide.LONG
    for which, level, is_below in (
        ("stop loss", stop, is_long),
        ("take profit", target, not is_long),
    ):
        if level is None:
            continue
        if level <= 0 or (price is not None and (level >= price if is_below else level <= price)):
            shown = "?" if price is None else plain(price)
            return Outcome(
                OutcomeCode.DENIED_PROTECTION,
                {"which": which, "level": plain(level), "price": shown},
            )
    return None


def protection_words(wanted: ProtectionOrder) -> str:
    """Return in words the levels that a position has now."""
    return f"{wanted.symbol} {wanted.position_side.value} has {levels_words(wanted)}"


def levels_words(wanted: ProtectionOrder) -> str:
    """Return in words a stop and a target."""
    stop = "no stop" if wanted.stop_loss is None else f"stop {plain(wanted.stop_loss)}"
    target = "no target" if wanted.take_profit is None else f"target {plain(wanted.take_profit)}"
    return f"{stop} and {target}"
