"""The planner: what one account is to do about one signal, decided from values alone.

Live copying, paper, watching, test signals, what-if and replay all call these functions, so the
answer is the same everywhere. What always holds: total (never raises for valid values) and
deterministic; an entry that comes out keeps every cap, ceiling and minimum, its quantity is a whole
number of steps and is the quantity to send; every refusal is an outcome with its numbers. Nothing
is written, sent or remembered here. Exits are planned in ``planning_exits``.

An entry is checked in this order; the first check that applies decides:

| check                                                              | outcome                                        |
|--------------------------------------------------------------------|------------------------------------------------|
| an exit with the same or a later order key is recorded             | skipped.superseded                             |
| older than the strictest entry age                                 | expired, expired.waiting                       |
| entries are switched off                                           | skipped.entries_off                            |
| the subscription takes no entries now                              | skipped.paused, left, consent, strategy_off    |
| the follower did not agree to the symbol                           | denied.symbol_not_agreed                       |
| the account has not been read                                      | denied.account_not_ready                       |
| an earlier exit of this strategy there has not ended, or the       |                                                |
| account was not read since one of ours there did                   | waits                                          |
| the owner closed this symbol by hand, the master is not flat yet   | skipped.detached                               |
| this strategy holds the symbol, or (add) does not                  | skipped.already_open, opposite_held, not_open  |
| another strategy holds the symbol                                  | skipped.symbol_held                            |
| the owner has a position or resting order there (unless allowed)   | skipped.own_position                           |
| not traded, leverage outside its range, no expressible limit price | denied.instrument                              |
| the follower follows leverage, and the signal's or (add) the       |                                                |
| position's is above the ceiling                                    | denied.leverage                                |
| no fresh price                                                     | denied.price_stale                             |
| the price went against a market entry by more than agreed          | denied.slippage                                |
| a multiplier without the master's quantity, a stop distance        |                                                |
| without a stop                                                     | skipped.no_master_quantity, skipped.no_stop    |
| floored to the step: below the minimum, not lifted                 | skipped.below_minimum                          |
| above the exchange's largest order                                 | denied.instrument                              |
| stop or target on the wrong side of the price                      | denied.protection                              |
| a cap (order, symbol, account notional, margin, open positions)    | denied.order_notional ... open_positions       |
| the day's loss or the drawdown is above its cap                    | denied.daily_loss, denied.drawdown             |
| margin and fee above what is free                                  | denied.balance                                 |
| a test signal, a watching subscription                             | skipped.test, skipped.watch_only with the size |

Test and watch come last on purpose: they report what would really have happened, refusals included.
What a reading shows soon after an exit of ours (a position, margin in use) may be what that exit
closed: the entry then waits for a later reading instead of being refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final

from engine.decisions.risk import (
    Carried,
    broken_cap,
    equity,
    equity_not_known,
    hides_equity,
    is_held,
    lacking_balance,
    lost_too_much,
    position_of,
)
from engine.decisions.sizing import (
    Missing,
    SizingBasis,
    exceeds_ceiling,
    execution_price,
    floored,
    leverage_of,
    raw_quantity,
    sizing_price,
    smallest_quantity,
)
from engine.domain.account import AccountReport, EquityMarks
from engine.domain.amounts import (
    EXACT,
    FINEST,
    Money,
    Price,
    Quantity,
    Ratio,
    ceil_to_step,
    floor_to_step,
    initial_margin,
    notional,
    plain,
)
from engine.domain.holding import Holding, PendingEntry, Switch
from engine.domain.identifiers import CopyId, StrategyId, client_order_id
from engine.domain.instrument import Instrument
from engine.domain.order import OrderIntent, OrderSide
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import (
    NO_ORDER_KEY,
    Action,
    OrderKey,
    OrderType,
    PositionSide,
    Signal,
    SignalDraft,
)
from engine.domain.subscription import (
    BelowMinimum,
    EquityShare,
    Mode,
    RiskLimits,
    StopDistance,
    Subscription,
    SubscriptionState,
)
from engine.ports.market_data import Quote

_TENTH: Final = Decimal("0.1")
EXIT_FIRST: Final = "an earlier exit of this strategy has not ended"
_COUNTS_WHAT_IS_HELD: Final = (
    OutcomeCode.DENIED_SYMBOL_NOTIONAL,
    OutcomeCode.DENIED_ACCOUNT_NOTIONAL,
    OutcomeCode.DENIED_ACCOUNT_MARGIN,
    OutcomeCode.DENIED_OPEN_POSITIONS,
    OutcomeCode.DENIED_BALANCE,
    OutcomeCode.DENIED_ACCOUNT_NOT_READY,
)
_LACKING: Final = {
    Missing.MASTER_QUANTITY: OutcomeCode.SKIPPED_NO_MASTER_QUANTITY,
    Missing.STOP: OutcomeCode.SKIPPED_NO_STOP,
}


@dataclass(frozen=True, slots=True)
class AccountView:
    """The newest report of the exchange plus what we know ourselves.

    ``holdings`` are the account's, of every strategy. ``pending`` is every entry attempt of ours
    that the report does not show as a position yet, each with its whole quantity: claimed, unknown,
    placed, resting, and those that filled after ``report.as_of``.
    """

    report: AccountReport
    holdings: tuple[Holding, ...]
    pending: tuple[PendingEntry, ...]


class Reading(Enum):
    """How the newest reading of an account relates to our last exit: an older reading shows what we
    closed as the owner's.
    """

    BEFORE = "before"
    """The reading began before the exit ended."""
    SOON_AFTER = "soon_after"
    """The reading began after the exit ended, within the time in which the exchange may still show
    what was closed.
    """
    AFTER = "after"
    """The reading shows what the exit left, or there was no exit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryContext:
    """Everything that decides one entry of one account.

    ``limits`` are already the strictest of operator, master and follower. ``switches`` are those
    that are on and apply to this account, strategy or exchange. ``goal_key`` is the order key of
    the newest *exit* recorded for (account, strategy, symbol). ``account_problem`` is why
    ``account`` is None. ``fee_bps`` is the taker fee in basis points; ages are in seconds. ``day``
    holds the equities that loss limits compare with, None if none is recorded yet. ``is_exiting``:
    an earlier exit or cancel of this strategy in the symbol has not ended. ``here`` and
    ``anywhere`` relate the reading to our exits in the symbol and in any symbol. ``waited_for`` is
    why the entry had to wait when it was last planned, empty if it did not.
    """

    signal: Signal
    subscription: Subscription
    copy: CopyId
    leg: int
    account: AccountView | None
    account_problem: str
    instrument: Instrument | None
    quote: Quote | None
    limits: RiskLimits
    switches: tuple[Switch, ...]
    goal_key: OrderKey
    strategy_names: Mapping[StrategyId, str]
    fee_bps: Decimal
    entry_age_s: int
    price_age_s: int
    now: datetime
    currency: str = "USDT"
    day: EquityMarks | None = None
    is_exiting: bool = False
    here: Reading = Reading.AFTER
    anywhere: Reading = Reading.AFTER
    waited_for: str = ""

    @property
    def adds(self) -> bool:
        """Return whether the entry grows a position that the strategy holds."""
        return self.signal.draft.action is Action.ADD

    @property
    def side(self) -> PositionSide:
        """Return the side to enter."""
        side = self.signal.draft.side
        assert side is not None, "SignalDraft refuses an entry without a side"
        return side


@dataclass(frozen=True, slots=True)
class EntryPlan:
    """An order to send; ``price`` is what it was sized at, ``notional`` and ``margin`` (no fee)
    what it reserves.
    """

    intent: OrderIntent
    price: Price
    notional: Money
    margin: Money


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be decided now, and that may change: plan again when ``cause`` is settled.

    ``cause`` is a clause that follows "because". ``reads``: only a new reading of the account can
    settle it.
    """

    cause: str
    reads: bool = False


_MAY_BE_OURS: Final = Wait("the account was not read since our last exit", reads=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """An entry between sizing and the last checks."""

    instrument: Instrument
    leverage: Ratio
    price: Price
    limit_price: Price | None
    quantity: Quantity
    stop_loss: Price | None = None
    take_profit: Price | None = None

    @property
    def carried(self) -> Carried:
        return Carried(
            notional(self.price, self.quantity),
            initial_margin(self.price, self.quantity, self.leverage),
        )


def plan_entry(context: EntryContext) -> EntryPlan | Outcome | Wait:
    """Decide one entry: return the order to send, or the outcome that says why there is none.
    Total; see the table above.

    An entry waits for the exits of its strategy that came before it in the symbol; an ``add`` also
    waits until the entry before it is settled (one at a time is under way in a symbol). It waits
    only within its entry age.
    """
    refused = next(
        (outcome for check in _BEFORE_ACCOUNT if (outcome := check(context)) is not None), None
    )
    if refused is not None:
        return refused
    if context.account is None:
        return Outcome(
            OutcomeCode.DENIED_ACCOUNT_NOT_READY,
            {"why": context.account_problem or "it has not been read since the start"},
        )
    waiting = next(
        (answer for find in _WHO_HOLDS if (answer := find(context, context.account)) is not None),
        None,
    )
    if waiting is not None:
        return waiting
    order = _sized(context, context.account)
    if isinstance(order, Outcome):
        return order
    return (
        _over_limits(context, context.account, order)
        or _not_for_real(context, order)
        or _entry_plan(context, order)
    )


def last_line_entry(
    signal: Signal,
    goal_key: OrderKey,
    switches: tuple[Switch, ...],
    entry_age_s: int,
    now: datetime,
    waited_for: str = "",
) -> Outcome | None:
    """Check again, right before the write, what may have changed since planning; an outcome proves
    that nothing was sent.

    ``entry_age_s`` is the strictest of configuration and limits.
    """
    return (
        _superseded(signal, goal_key)
        or _expired(signal, entry_age_s, now, waited_for)
        or _entries_off(switches)
    )


def _superseded(signal: Signal, goal_key: OrderKey) -> Outcome | None:
    if goal_key == NO_ORDER_KEY or signal.entry_key > goal_key:
        return None
    return Outcome(OutcomeCode.SKIPPED_SUPERSEDED, {"symbol": signal.draft.symbol})


def _expired(signal: Signal, limit_s: int, now: datetime, waited_for: str) -> Outcome | None:
    age = now - signal.decided_at
    if age <= timedelta(seconds=limit_s):
        return None
    # Rounded up, so that nobody reads "10 s old and the limit is 10 s".
    exact_s = EXACT.divide(Decimal(age // timedelta(microseconds=1)), Decimal(1_000_000))
    numbers = {"age_s": plain(ceil_to_step(exact_s, _TENTH)), "limit_s": str(limit_s)}
    # What came too late did not become so by waiting here.
    came_in_time = signal.received_at - signal.decided_at <= timedelta(seconds=limit_s)
    if waited_for and came_in_time:
        return Outcome(OutcomeCode.EXPIRED_WAITING, numbers | {"cause": waited_for})
    return Outcome(OutcomeCode.EXPIRED, numbers)


def _entries_off(switches: tuple[Switch, ...]) -> Outcome | None:
    if not switches:
        return None
    return Outcome(
        OutcomeCode.SKIPPED_ENTRIES_OFF,
        {"scope": switches[0].label, "note": switches[0].note or "no note was left"},
    )


def age_limit_s(place_s: int, limits: RiskLimits) -> int:
    """Return how old an entry may be, in seconds: the stricter of the engine's setting and the
    limits.
    """
    return place_s if limits.entry_age_s is None else min(limits.entry_age_s, place_s)


def _changed_meanwhile(context: EntryContext) -> Outcome | None:
    waited_for = EXIT_FIRST if context.is_exiting else context.waited_for
    return last_line_entry(
        context.signal,
        goal_key=context.goal_key,
        switches=context.switches,
        entry_age_s=age_limit_s(context.entry_age_s, context.limits),
        now=context.now,
        waited_for=waited_for,
    )


_OF_STATE: Final = {
    SubscriptionState.PAUSED: OutcomeCode.SKIPPED_PAUSED,
    SubscriptionState.LEFT: OutcomeCode.SKIPPED_LEFT,
    SubscriptionState.CONSENT: OutcomeCode.SKIPPED_CONSENT,
    SubscriptionState.STRATEGY_PAUSED: OutcomeCode.SKIPPED_STRATEGY_OFF,
}


def takes_entries(subscription: Subscription) -> Outcome | None:
    """Return why a subscription takes no entries now, None if it does; checked again right before
    the write.
    """
    code = _OF_STATE.get(subscription.state)
    return None if code is None else Outcome(code)


def _does_not_stand(context: EntryContext) -> Outcome | None:
    return takes_entries(context.subscription)


def _not_agreed(context: EntryContext) -> Outcome | None:
    symbol = context.signal.draft.symbol
    if symbol in context.subscription.policy.symbols:
        return None
    return Outcome(OutcomeCode.DENIED_SYMBOL_NOT_AGREED, {"symbol": symbol})


_BEFORE_ACCOUNT: Final[tuple[Callable[[EntryContext], Outcome | None], ...]] = (
    _changed_meanwhile,
    _does_not_stand,
    _not_agreed,
)


def _exits_first(context: EntryContext, account: AccountView) -> Wait | None:
    if context.is_exiting:
        return Wait(EXIT_FIRST)
    return _MAY_BE_OURS if context.here is Reading.BEFORE else None


def _detached(context: EntryContext, account: AccountView) -> Outcome | None:
    symbol, strategy = context.signal.draft.symbol, context.subscription.strategy
    if any(
        each.detached and each.symbol == symbol and each.strategy == strategy
        for each in account.holdings
    ):
        return Outcome(OutcomeCode.SKIPPED_DETACHED, {"symbol": symbol})
    return None


def _strategy_holds(context: EntryContext, account: AccountView) -> Outcome | Wait | None:
    holding = _held_by(context.subscription.strategy, context, account)
    symbol = context.signal.draft.symbol
    if holding is None:
        return Outcome(OutcomeCode.SKIPPED_NOT_OPEN, {"symbol": symbol}) if context.adds else None
    side, quantity = holding
    if side is not context.side:
        if context.signal.draft.action is Action.REVERSE:
            # A test closes nothing, and it reports what would have been entered.
            return (
                None
                if context.signal.draft.is_test
                else Wait("what its exit is to close is still held")
            )
        return Outcome(
            OutcomeCode.SKIPPED_OPPOSITE_HELD,
            {"held": plain(quantity), "symbol": symbol, "held_side": side.value},
        )
    if context.adds:
        return (
            Wait("an earlier entry of this strategy is not settled yet")
            if _is_unsettled(context, account)
            else None
        )
    return Outcome(
        OutcomeCode.SKIPPED_ALREADY_OPEN,
        {"held": plain(quantity), "symbol": symbol, "side": side.value},
    )


def _is_unsettled(context: EntryContext, account: AccountView) -> bool:
    symbol = context.signal.draft.symbol
    return any(each.symbol == symbol and each.entries_open > 0 for each in account.holdings)


def _held_by(
    strategy: StrategyId, context: EntryContext, account: AccountView
) -> tuple[PositionSide, Quantity] | None:
    """Return what a strategy holds in the signal's symbol; an entry in flight counts, with the
    quantity it may bring.
    """
    symbol = context.signal.draft.symbol
    flying = [
        each for each in account.pending if each.symbol == symbol and each.strategy == strategy
    ]
    most = max((each.quantity for each in flying), default=Quantity(Decimal(0)))
    for holding in account.holdings:
        if holding.symbol == symbol and holding.strategy == strategy and is_held(holding):
            return holding.side, max(holding.share, most)
    return (flying[0].side, most) if flying else None


def _another_holds(context: EntryContext, account: AccountView) -> Outcome | None:
    symbol, own = context.signal.draft.symbol, context.subscription.strategy
    claims = [each.strategy for each in account.holdings if each.symbol == symbol and is_held(each)]
    claims += [each.strategy for each in account.pending if each.symbol == symbol]
    holder = next((strategy for strategy in claims if strategy != own), None)
    if holder is None:
        return None
    return Outcome(
        OutcomeCode.SKIPPED_SYMBOL_HELD,
        {"holder": context.strategy_names.get(holder, holder), "symbol": symbol},
    )


def _owner_is_there(context: EntryContext, account: AccountView) -> Outcome | Wait | None:
    """Protect the owner's position: whatever is open in the symbol beyond our share (for an entry
    other than ``add``, everything) is the owner's.

    The owner may allow entries beside it, but never against it: the exchange nets, so an entry of the
    other side would close what is theirs, and what it opened could not be told from theirs.
    """
    symbol, side = context.signal.draft.symbol, context.signal.draft.side
    allowed = context.subscription.policy.allow_own_position
    position = position_of(account.report, symbol)
    ours = next(
        (each.share for each in account.holdings if each.symbol == symbol), Quantity(Decimal(0))
    )
    if (
        position is not None
        and position.quantity > ours
        and not (allowed and position.side is side)
    ):
        own = f"{position.side.value} {plain(EXACT.subtract(position.quantity, ours))}"
    elif not allowed and any(
        each.symbol == symbol and not each.has_our_mark for each in account.report.open_orders
    ):
        own = "a resting order"
    else:
        return None
    if context.here is not Reading.AFTER:
        return _MAY_BE_OURS
    return Outcome(OutcomeCode.SKIPPED_OWN_POSITION, {"symbol": symbol, "own": own})


_WHO_HOLDS: Final[tuple[Callable[[EntryContext, AccountView], Outcome | Wait | None], ...]] = (
    _exits_first,
    _detached,
    _strategy_holds,
    _another_holds,
    _owner_is_there,
)


def _sized(context: EntryContext, account: AccountView) -> _Order | Outcome:
    """Size the order from the instrument, with quantity and protection, or return what stands in
    the way.
    """
    draft, policy, instrument = (
        context.signal.draft,
        context.subscription.policy,
        context.instrument,
    )
    held = _position_leverage(context, account)
    agreed = leverage_of(policy.leverage, draft.leverage)
    leverage = agreed if held is None else held
    if instrument is None or instrument.symbol != draft.symbol:
        return _untradable(context, leverage, "no such contract is listed")
    if not instrument.leverage_min <= leverage <= instrument.leverage_max:
        return _untradable(
            context,
            leverage,
            f"its leverage is {plain(instrument.leverage_min)}x to "
            f"{plain(instrument.leverage_max)}x",
        )
    limit = _limit_price(context, instrument)
    if limit is not None and limit <= 0:
        return _untradable(
            context,
            leverage,
            f"the limit price is below its price step {plain(instrument.price_step)}",
        )
    highest = max((each for each in (draft.leverage, held) if each is not None), default=None)
    if highest is not None and exceeds_ceiling(policy.leverage, highest):
        return Outcome(
            OutcomeCode.DENIED_LEVERAGE,
            {"asked": plain(highest), "ceiling": plain(policy.leverage.value)},
        )
    quote = context.quote
    if (
        quote is None
        or quote.symbol != draft.symbol
        or context.now - quote.at > timedelta(seconds=context.price_age_s)
    ):
        return Outcome(
            OutcomeCode.DENIED_PRICE_STALE,
            {"symbol": draft.symbol, "limit_s": str(context.price_age_s)},
        )
    moved = slipped(draft, context.side, context.limits.slippage_bps, quote)
    if moved is not None:
        return moved
    price = sizing_price(context.side, limit, quote.last)
    quantity = _quantity(
        context,
        account=account,
        instrument=instrument,
        leverage=min(agreed, leverage),
        price=price,
    )
    if isinstance(quantity, Outcome):
        return quantity
    return _protected(
        context,
        _Order(
            instrument=instrument,
            leverage=leverage,
            price=price,
            limit_price=limit,
            quantity=quantity,
        ),
        execution_price(context.side, limit, quote.last),
    )


def _position_leverage(context: EntryContext, account: AccountView) -> Ratio | None:
    """Return the leverage of the position that an ``add`` grows, None if there is none to keep.

    Leverage belongs to the whole position, so the order has it. It may be above what was agreed
    (terms changed, or the owner set it at the exchange): the size is computed with the lower one.
    """
    position = position_of(account.report, context.signal.draft.symbol) if context.adds else None
    return None if position is None or position.leverage <= 0 else position.leverage


def slipped(
    draft: SignalDraft, side: PositionSide, cap: int | None, quote: Quote
) -> Outcome | None:
    """Refuse a market entry if the price moved against it by more than was agreed (``cap`` in basis
    points) since the master saw it.
    """
    if cap is None or draft.price is None or draft.order_type is not OrderType.MARKET:
        return None
    worse = (
        EXACT.subtract(quote.last, draft.price)
        if side is PositionSide.LONG
        else EXACT.subtract(draft.price, quote.last)
    )
    exact = EXACT.divide(EXACT.multiply(worse, Decimal(10_000)), draft.price)
    if exact <= cap:
        return None
    numbers = {
        "price": plain(quote.last),
        "asked": plain(draft.price),
        "slippage": plain(ceil_to_step(exact, _TENTH)),
        "cap": str(cap),
    }
    return Outcome(OutcomeCode.DENIED_SLIPPAGE, numbers | {"symbol": draft.symbol})


def _untradable(context: EntryContext, leverage: Ratio, why: str) -> Outcome:
    numbers = {"symbol": context.signal.draft.symbol, "leverage": plain(leverage), "why": why}
    return Outcome(OutcomeCode.DENIED_INSTRUMENT, numbers)


def _limit_price(context: EntryContext, instrument: Instrument) -> Price | None:
    """Round a limit to the price step, never to a worse price than the master's: long down, short
    up.
    """
    draft = context.signal.draft
    if draft.order_type is not OrderType.LIMIT or draft.price is None:
        return None
    rounding = floor_to_step if context.side is PositionSide.LONG else ceil_to_step
    return Price(rounding(draft.price, instrument.price_step))


def _quantity(
    context: EntryContext,
    account: AccountView,
    instrument: Instrument,
    leverage: Ratio,
    price: Price,
) -> Quantity | Outcome:
    draft, policy = context.signal.draft, context.subscription.policy
    unread = hides_equity(account.report)
    if unread is not None and isinstance(policy.sizing, EquityShare | StopDistance):
        return equity_not_known(unread)
    basis = SizingBasis(
        leverage=leverage,
        price=price,
        master_quantity=draft.size.quantity,
        equity=equity(account.report),
        stop=draft.stop_loss,
    )
    raw = raw_quantity(policy.sizing, basis)
    if isinstance(raw, Missing):
        return Outcome(_LACKING[raw], {"symbol": draft.symbol})
    quantity, least = floored(raw, instrument), smallest_quantity(instrument, price)
    if quantity < least:
        if policy.below_minimum is BelowMinimum.SKIP:
            return _below_minimum(context, raw, price, least)
        quantity = least
    if quantity > instrument.quantity_max:
        why = (
            f"the size {plain(quantity)} is above its largest order "
            f"{plain(instrument.quantity_max)}"
        )
        return _untradable(context, leverage, why)
    return quantity


def _below_minimum(context: EntryContext, raw: Quantity, price: Price, least: Quantity) -> Outcome:
    numbers = {
        "quantity": plain(raw),
        "symbol": context.signal.draft.symbol,
        "notional": _rounded(notional(price, raw)),
        "currency": context.currency,
        "minimum": plain(least),
    }
    return Outcome(OutcomeCode.SKIPPED_BELOW_MINIMUM, numbers)


def _protected(context: EntryContext, order: _Order, executes_at: Price) -> _Order | Outcome:
    """Round stop and target to the price step, towards the price; refuse one that is not beyond the
    price it protects.
    """
    draft, is_long = context.signal.draft, context.side is PositionSide.LONG
    step = order.instrument.price_step
    stop = (
        None
        if draft.stop_loss is None
        else Price((ceil_to_step if is_long else floor_to_step)(draft.stop_loss, step))
    )
    target = (
        None
        if draft.take_profit is None
        else Price((floor_to_step if is_long else ceil_to_step)(draft.take_profit, step))
    )
    if stop is not None and (
        stop <= 0 or (stop >= executes_at if is_long else stop <= executes_at)
    ):
        return _wrong_side("stop loss", draft.stop_loss, executes_at)
    if target is not None and (
        target <= 0 or (target <= executes_at if is_long else target >= executes_at)
    ):
        return _wrong_side("take profit", draft.take_profit, executes_at)
    return _Order(
        instrument=order.instrument,
        leverage=order.leverage,
        price=order.price,
        limit_price=order.limit_price,
        quantity=order.quantity,
        stop_loss=stop,
        take_profit=target,
    )


def _wrong_side(which: str, level: Price | None, price: Price) -> Outcome:
    assert level is not None, "only a level that was given can be on the wrong side"
    return Outcome(
        OutcomeCode.DENIED_PROTECTION,
        {"which": which, "level": plain(level), "price": plain(price)},
    )


def _over_limits(
    context: EntryContext, account: AccountView, order: _Order
) -> Outcome | Wait | None:
    symbol, entry = context.signal.draft.symbol, order.carried
    over = broken_cap(
        context.limits,
        symbol=symbol,
        entry=entry,
        holdings=account.holdings,
        report=account.report,
        pending=account.pending,
        currency=context.currency,
    )
    lost = lost_too_much(context.limits, account.report, context.day, context.currency, context.now)
    refused = (
        over or lost or lacking_balance(entry, account.report, account.pending, context.fee_bps)
    )
    if (
        refused is not None
        and refused.code in _COUNTS_WHAT_IS_HELD
        and context.anywhere is not Reading.AFTER
    ):
        # what our last exit closed may still count, and its margin may not be released yet
        return _MAY_BE_OURS
    return refused


def _not_for_real(context: EntryContext, order: _Order) -> Outcome | None:
    numbers = {
        "side": context.side.value,
        "quantity": plain(order.quantity),
        "symbol": context.signal.draft.symbol,
    }
    if context.signal.draft.is_test:
        return Outcome(OutcomeCode.SKIPPED_TEST, numbers)
    if context.subscription.policy.mode is Mode.WATCH:
        worth = {"notional": _rounded(order.carried.notional), "currency": context.currency}
        return Outcome(OutcomeCode.SKIPPED_WATCH_ONLY, numbers | worth)
    return None


def _entry_plan(context: EntryContext, order: _Order) -> EntryPlan:
    intent = OrderIntent(
        client_order_id=client_order_id(context.copy, context.leg),
        symbol=context.signal.draft.symbol,
        side=OrderSide.opening(context.side),
        position_side=context.side,
        quantity=order.quantity,
        order_type=context.signal.draft.order_type,
        leverage=order.leverage,
        limit_price=order.limit_price,
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
    )
    return EntryPlan(intent, order.price, order.carried.notional, order.carried.margin)


def _rounded(amount: Decimal) -> str:
    """Format an approximate amount: rounded down to cents, or to the last stored decimal if cents
    would read as zero.
    """
    cents = floor_to_step(amount, Decimal("0.01"))
    return plain(cents if cents > 0 else floor_to_step(amount, FINEST))
