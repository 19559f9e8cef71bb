"""The shadow book: what one account would have done with a strategy's signals under given terms, from
recorded signals and recorded prices.

The planner that plans live orders plans here too. A fill is made as the paper exchange makes it: a
market order at the price of its second, a limit at its limit once the price is there, a stop or a
target at the first price that reached it, each with the taker fee; margin is isolated. The account
holds this strategy alone and begins flat. Nothing here is sent, stored or traded. Pure: the same
signals and prices give the same book.

What a live account has and this one does not: stops set by people, what its owner and other
strategies do on it, an exchange that refuses, answers late or fills partly, funding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from engine.decisions.planning import AccountView, EntryContext, EntryPlan, Wait, plan_entry
from engine.decisions.planning_exits import Carry, ExitContext, ExitPlan, plan_exit
from engine.decisions.planning_protection import (
    ProtectionContext,
    ProtectionPlan,
    plan_protection,
)
from engine.decisions.reconciliation import closed_by_own_level
from engine.decisions.recorded_prices import Sample
from engine.decisions.results import Open, Trade, fold
from engine.decisions.risk import equity, fee, is_held, position_of, trading_day
from engine.decisions.routing import CANCEL, ENTRY, EXIT, legs
from engine.domain.account import AccountReport, Balance, EquityMarks, Position
from engine.domain.amounts import (
    FINEST,
    ZERO,
    Money,
    Price,
    Quantity,
    Ratio,
    initial_margin,
    notional,
    plain,
)
from engine.domain.booking import Cause, Fill
from engine.domain.holding import Holding, PendingEntry
from engine.domain.identifiers import AccountId, CopyId, StrategyId, Symbol
from engine.domain.instrument import Instrument
from engine.domain.order import OrderIntent, OrderSide, ProtectionOrder
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import NO_ORDER_KEY, Action, OrderKey, PositionSide, Signal, SignalDraft
from engine.domain.subscription import CopyPolicy, Mode, RiskLimits, Subscription, strictest
from engine.ports.market_data import Quote

MAINTENANCE_RATE: Final = Decimal("0.005")
"""The share of the entry value below which a position's margin is liquidated."""
_WIDE: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_COPY: Final = CopyId("shadow")
_TRIES: Final = 1_000
"""How many orders one exit may take: more than any size needs at any exchange's largest order."""


class Prices(Protocol):
    """Recorded prices by the second; see ``RecordedPrices``."""

    def at(self, symbol: Symbol, second: int) -> Sample | None:
        """Return the newest price up to a second, with the second until which it was seen."""
        ...

    def after(self, symbol: Symbol, second: int) -> Sample | None:
        """Return the price at a second, or else the first one that was recorded later."""
        ...

    def first_beyond(
        self, symbol: Symbol, seconds: range, low: Price | None, high: Price | None
    ) -> Sample | None:
        """Return the first of ``seconds`` with its price at or beyond a level."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTerms:
    """What a shadow book is planned with: the terms of one account, and what its place and exchange
    add.

    ``operator`` are the limits of the place, ``balance`` the money that the account begins with.
    ``fee_bps`` is what the planner reserves, ``taker_fee_bps`` what a fill is charged. Ages are in
    seconds, ``zone`` is that of the trading day.
    """

    account: AccountId
    strategy: StrategyId
    policy: CopyPolicy
    operator: RiskLimits
    balance: Money
    contracts: Mapping[Symbol, Instrument]
    fee_bps: Decimal
    taker_fee_bps: Decimal
    entry_age_s: int
    price_age_s: int
    resting_entry_s: int
    zone: str
    sets_protection: bool = True


@dataclass(frozen=True, slots=True)
class ShadowOutcome:
    """What became of one signal's entry, or of what else it asks for: an outcome as live copies have
    it.
    """

    signal: Signal
    outcome: Outcome
    is_entry: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTrade:
    """One closed trade that nobody made; ``margin`` was behind its entry."""

    symbol: Symbol
    trade: Trade
    margin: Money


@dataclass(slots=True)
class _Position:
    """An open position. ``cost`` is its entry value, ``margin`` its isolated margin."""

    side: PositionSide
    quantity: Quantity
    cost: Decimal
    margin: Decimal
    leverage: Ratio
    stop_loss: Price | None
    take_profit: Price | None

    @property
    def sign(self) -> int:
        return 1 if self.side is PositionSide.LONG else -1

    def profit_at(self, price: Price) -> Money:
        return Money(self.sign * (notional(price, self.quantity) - self.cost))

    @property
    def liquidation_price(self) -> Price | None:
        keep = self.cost * MAINTENANCE_RATE
        worth = self.cost + self.sign * (keep - self.margin)
        price = _share(worth, Decimal(1), self.quantity)
        return Price(price) if price > 0 else None


@dataclass(frozen=True, slots=True)
class _Resting:
    """A limit entry that waits for its price; ``reserve`` is its margin and fee."""

    signal: Signal
    order: OrderIntent
    key: OrderKey
    reserve: Money
    since: datetime


class ShadowBook:
    """The book of one account. Signals are taken in the order in which they were recorded."""

    def __init__(self, terms: ShadowTerms, prices: Prices, since: datetime) -> None:
        self.wallet: Money = terms.balance
        self.fees: Money = Money(ZERO)
        self.outcomes: list[ShadowOutcome] = []
        self.trades: list[ShadowTrade] = []
        self.curve: list[tuple[datetime, Money]] = [(since, terms.balance)]
        """The equity at each change, signal and beginning of a trading day."""
        self._terms = terms
        self._prices = prices
        self._subscription = Subscription(
            id="shadow",
            account=terms.account,
            strategy=terms.strategy,
            policy=replace(terms.policy, mode=Mode.LIVE),
        )
        self._limits = strictest(terms.operator, terms.policy.limits)
        self._positions: dict[Symbol, _Position] = {}
        self._resting: dict[Symbol, _Resting] = {}
        self._holdings: dict[Symbol, Holding] = {}
        self._books: dict[Symbol, Open] = {}
        self._goals: dict[Symbol, OrderKey] = {}
        self._waiting: list[Signal] = []
        self._detaching: set[Symbol] = set()
        self._now = since
        self._checked_s = _second(since) - 1
        self._marks = EquityMarks(terms.balance, since, terms.zone, terms.balance)

    # What a reader sees

    @property
    def is_flat(self) -> bool:
        """Return whether nothing is held and nothing rests."""
        return not self._positions and not self._resting

    @property
    def closed_positions(self) -> list[ShadowTrade]:
        """Return the trades of the positions of which nothing is open any more."""
        opened = {(symbol, each.opened_at) for symbol, each in self._books.items()}
        return [each for each in self.trades if (each.symbol, each.trade.opened_at) not in opened]

    def report(self) -> AccountReport:
        """Return the account as of the last look, as an exchange would report it."""
        positions = tuple(self._position(each) for each in sorted(self._positions))
        used = sum((each.margin for each in self._positions.values()), ZERO)
        kept = sum((each.reserve for each in self._resting.values()), ZERO)
        balance = Balance(available=Money(self.wallet - used - kept), total=self.wallet)
        return AccountReport(balance, positions, (), self._now)

    def _position(self, symbol: Symbol) -> Position:
        held, mark = self._positions[symbol], self._mark(symbol)
        return Position(
            symbol=symbol,
            side=held.side,
            quantity=held.quantity,
            entry_price=Price(_share(held.cost, Decimal(1), held.quantity)),
            mark_price=mark,
            leverage=held.leverage,
            margin=Money(held.margin),
            unrealised_profit=held.profit_at(mark),
            liquidation_price=held.liquidation_price,
            stop_loss=held.stop_loss,
            take_profit=held.take_profit,
        )

    def _mark(self, symbol: Symbol) -> Price:
        known = self._prices.at(symbol, _second(self._now))
        assert known is not None, "what is held was filled at a recorded price"
        return known[1]

    # Time passes

    def look(self, until: datetime) -> None:
        """Do everything that the prices up to ``until`` did: stops, targets, liquidations, limits."""
        while (midnight := _next_day(self._now, self._terms.zone)) <= until:
            self._look(midnight)
            self._mark_equity(begins_day=True)
        self._look(until)

    def _look(self, until: datetime) -> None:
        last = _second(until)
        while (event := self._next_event(last)) is not None:
            self._now = event[0]
            self._happen(*event)
            self._checked_s = _second(self._now) - 1  # two things may happen in the same second
        self._checked_s = max(self._checked_s, last)
        self._now = until

    def _next_event(self, last: int) -> tuple[datetime, Symbol, Price | None] | None:
        """Return the earliest second in which something happens, and where; no price: a resting
        entry was taken back because it rested too long.
        """
        found: tuple[int, Symbol, Price | None] | None = None
        for symbol in sorted({*self._positions, *self._resting}):
            stop = (last if found is None else found[0] - 1) + 1
            beyond = self._prices.first_beyond(
                symbol, range(self._checked_s + 1, stop), *self._levels(symbol)
            )
            if beyond is not None:
                found = (beyond[0], symbol, beyond[1])
        for symbol, resting in self._resting.items():
            ends = _second(resting.since) + self._terms.resting_entry_s
            if ends <= last and (found is None or ends < found[0]):
                found = (ends, symbol, None)
        if found is None:
            return None
        return datetime.fromtimestamp(found[0], UTC), found[1], found[2]

    def _levels(self, symbol: Symbol) -> tuple[Price | None, Price | None]:
        lows: list[Price] = []
        highs: list[Price] = []
        held, resting = self._positions.get(symbol), self._resting.get(symbol)
        if held is not None:
            losing, winning = (lows, highs) if held.sign > 0 else (highs, lows)
            losing += [each for each in (held.liquidation_price, held.stop_loss) if each]
            winning += [held.take_profit] if held.take_profit else []
        if resting is not None and resting.order.limit_price is not None:
            buys = resting.order.side is OrderSide.BUY
            (lows if buys else highs).append(resting.order.limit_price)
        return max(lows, default=None), min(highs, default=None)

    def _happen(self, at: datetime, symbol: Symbol, price: Price | None) -> None:
        if price is None:
            self._take_back(symbol)
            return
        held = self._positions.get(symbol)
        cause = None if held is None else _why_forced(held, price)
        if held is not None and cause is not None:
            charged = fee(notional(price, held.quantity), self._terms.taker_fee_bps)
            if cause is Cause.LIQUIDATION:
                price, charged = _liquidation(held, price, self._terms.taker_fee_bps)
            self._close(symbol, held.quantity, price, charged, cause)
            self._holdings[symbol] = replace(self._holdings[symbol], share=Quantity(ZERO))
            if not closed_by_own_level(self._holdings[symbol], cause, price):
                self._detaching.add(symbol)
            if symbol not in self._resting:  # else noticed once the entry beside it has ended
                self._let_go_or_detach(symbol)
            self._mark_equity()
            return
        self._detaching.discard(symbol)
        resting = self._resting.pop(symbol)
        order, limit = resting.order, _limit(resting.order)
        self._fill_entry(order, limit)
        self._end_resting(resting, _filled(order, order.quantity, limit))
        self._mark_equity()
        self._try_again(symbol)

    # A signal arrives

    def take(self, signal: Signal) -> None:
        """Do what the signal asks for, at the time when it was received. Test signals do nothing."""
        self.look(signal.received_at)
        draft = signal.draft
        if draft.is_test:
            return
        symbol = draft.symbol
        if draft.action.ends_older_entries:
            self._goals[symbol] = max(self._goals.get(symbol, NO_ORDER_KEY), signal.order_key)
        for leg in legs(draft.action):
            if leg == ENTRY:
                self._enter(signal)
            elif leg == EXIT:
                self._exit(signal)
            elif leg == CANCEL:
                self._cancel(signal)
            else:
                self._protect(signal)
        self._mark_equity()

    def _enter(self, signal: Signal) -> None:
        symbol = signal.draft.symbol
        known = self._prices.at(symbol, _second(self._now))
        context = EntryContext(
            signal=signal,
            subscription=self._subscription,
            copy=_COPY,
            leg=1,
            account=AccountView(
                self.report(), tuple(self._holdings.values()), tuple(self._pending())
            ),
            account_problem="",
            instrument=self._terms.contracts.get(symbol),
            quote=None if known is None else _quote(symbol, known),
            limits=self._limits,
            switches=(),
            goal_key=self._goals.get(symbol, NO_ORDER_KEY),
            strategy_names={},
            fee_bps=self._terms.fee_bps,
            entry_age_s=self._terms.entry_age_s,
            price_age_s=self._terms.price_age_s,
            now=self._now,
            day=self._marks,
            is_exiting=self._is_exiting(symbol),
        )
        plan = plan_entry(context)
        if isinstance(plan, EntryPlan):
            assert known is not None, "an entry without a price is refused"
            self._hold(signal, plan.intent)
            limit = plan.intent.limit_price
            buys = plan.intent.side is OrderSide.BUY
            if limit is not None and (known[1] > limit if buys else known[1] < limit):
                self._rest(signal, plan)
            else:
                self._fill_entry(plan.intent, known[1])
                self._end(
                    signal, _filled(plan.intent, plan.intent.quantity, known[1]), is_entry=True
                )
        elif isinstance(plan, Wait):
            # What it waits for outlasts its age: an entry that rests, or an exit that has no price.
            limit_s = str(self._terms.entry_age_s)
            numbers = {"age_s": limit_s, "limit_s": limit_s, "cause": plan.cause}
            self._end(signal, Outcome(OutcomeCode.EXPIRED_WAITING, numbers), is_entry=True)
        else:
            self._end(signal, plan, is_entry=True)

    def _is_exiting(self, symbol: Symbol) -> bool:
        return any(
            each.draft.symbol == symbol and each.draft.action is not Action.SET_PROTECTION
            for each in self._waiting
        )

    def _pending(self) -> list[PendingEntry]:
        return [
            PendingEntry(
                copy=_COPY,
                symbol=symbol,
                strategy=self._terms.strategy,
                side=each.order.position_side,
                quantity=each.order.quantity,
                notional=notional(_limit(each.order), each.order.quantity),
                margin=initial_margin(_limit(each.order), each.order.quantity, each.order.leverage),
                is_reserved=True,  # ``report`` takes it off
            )
            for symbol, each in self._resting.items()
        ]

    def _hold(self, signal: Signal, order: OrderIntent) -> None:
        held = self._holdings.get(order.symbol)
        if signal.draft.action is Action.ADD and held is not None:
            self._holdings[order.symbol] = replace(
                held,
                entries_open=held.entries_open + 1,
                stop_loss=order.stop_loss or held.stop_loss,
                take_profit=order.take_profit or held.take_profit,
            )
            return
        self._holdings[order.symbol] = Holding(
            account=self._terms.account,
            symbol=order.symbol,
            strategy=self._terms.strategy,
            side=order.position_side,
            share=Quantity(ZERO),
            entries_open=1,
            entry_key=signal.entry_key,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
        )

    def _rest(self, signal: Signal, plan: EntryPlan) -> None:
        order, limit = plan.intent, _limit(plan.intent)
        margin = initial_margin(limit, order.quantity, order.leverage)
        charged = fee(notional(limit, order.quantity), self._terms.taker_fee_bps)
        self._resting[order.symbol] = _Resting(
            signal, order, signal.entry_key, Money(margin + charged), self._now
        )
        numbers = {
            "side": order.side.value,
            "quantity": plain(order.quantity),
            "symbol": order.symbol,
            "price": plain(limit),
        }
        self._end(signal, Outcome(OutcomeCode.PLACED, numbers), is_entry=True)

    def _exit(self, signal: Signal) -> None:
        symbol = signal.draft.symbol
        is_flat_after = signal.draft.action is not Action.REDUCE
        if is_flat_after:
            self._take_back_older(symbol, signal.order_key)
        leave: Quantity | None = None
        closed, last = ZERO, None
        for attempt in range(1, _TRIES):
            plan = plan_exit(self._exit_context(signal, leave, attempt))
            if not isinstance(plan, ExitPlan):
                break
            known = self._fresh(symbol) or self._prices.after(symbol, _second(self._now))
            if known is None:
                plan = Wait("no price was recorded since")
                break
            quantity = min(plan.intent.quantity, self._positions[symbol].quantity)
            charged = fee(notional(known[1], quantity), self._terms.taker_fee_bps)
            self._close(symbol, quantity, known[1], charged, Cause.SIGNAL)
            held = self._holdings[symbol]
            carried = plan.carried if leave is None else held.carried
            self._holdings[symbol] = replace(
                held, share=Quantity(held.share - quantity), carried=carried
            )
            leave = plan.leave
            closed, last = closed + quantity, known[1]
        if isinstance(plan, Wait):
            self._waiting.append(signal)
        elif last is not None:
            side = OrderSide.closing(self._holdings[symbol].side)
            self._end(signal, _filled_as(side, symbol, closed, last))
        elif isinstance(plan, Carry):
            self._holdings[symbol] = replace(self._holdings[symbol], carried=plan.carried)
            self._end(signal, plan.outcome)
        elif isinstance(plan, Outcome):
            self._end(signal, plan)
        self._let_go(symbol, attach=is_flat_after)

    def _exit_context(self, signal: Signal, leave: Quantity | None, attempt: int) -> ExitContext:
        symbol = signal.draft.symbol
        return ExitContext(
            signal=signal,
            subscription=self._subscription,
            copy=_COPY,
            leg=1,
            attempt=attempt,
            holding=self._holdings.get(symbol),
            position=position_of(self.report(), symbol),
            instrument=self._terms.contracts.get(symbol),
            outstanding=Quantity(ZERO),
            now=self._now,
            leave=leave,
            is_entering=symbol in self._resting,
        )

    def _cancel(self, signal: Signal) -> None:
        symbol = signal.draft.symbol
        if self._take_back_older(symbol, signal.order_key):
            what = {"what": f"1 resting order in {symbol} taken back"}
            self._end(signal, Outcome(OutcomeCode.APPLIED, what))
        else:
            why = {"why": f"no entry of this strategy rests in {symbol}"}
            self._end(signal, Outcome(OutcomeCode.NOTHING_TO_DO, why))

    def _protect(self, signal: Signal, later: tuple[SignalDraft, ...] = ()) -> None:
        symbol = signal.draft.symbol
        known = self._fresh(symbol)
        plan = plan_protection(
            ProtectionContext(
                signal=signal,
                holding=self._holdings.get(symbol),
                position=self._position(symbol) if symbol in self._positions else None,
                instrument=self._terms.contracts.get(symbol),
                price=None if known is None else known[1],
                can_protect=self._terms.sets_protection,
                is_entering=symbol in self._resting,
                later=later,
            )
        )
        if isinstance(plan, ProtectionPlan):
            self._apply(plan.order)
            self._end(signal, Outcome(OutcomeCode.APPLIED, {"what": f"protection of {symbol} set"}))
        elif isinstance(plan, Wait):
            self._waiting.append(signal)
        else:
            self._end(signal, plan)

    def _fresh(self, symbol: Symbol) -> Sample | None:
        """Return the price of now, None if the last one is older than an entry may use."""
        known = self._prices.at(symbol, _second(self._now))
        oldest = self._now - timedelta(seconds=self._terms.price_age_s)
        return known if known is not None and _moment(known[0]) >= oldest else None

    def _apply(self, wanted: ProtectionOrder) -> None:
        held = self._positions[wanted.symbol]
        held.stop_loss, held.take_profit = wanted.stop_loss, wanted.take_profit
        self._holdings[wanted.symbol] = replace(
            self._holdings[wanted.symbol],
            stop_loss=wanted.stop_loss,
            take_profit=wanted.take_profit,
        )

    def _try_again(self, symbol: Symbol) -> None:
        """Do what waited for an entry in the symbol that has ended now."""
        waiting = [each for each in self._waiting if each.draft.symbol == symbol]
        self._waiting = [each for each in self._waiting if each.draft.symbol != symbol]
        moves = [each for each in waiting if each.draft.action is Action.SET_PROTECTION]
        for each in waiting:
            if each.draft.action is Action.SET_PROTECTION:
                later = tuple(one.draft for one in moves if one.order_key > each.order_key)
                self._protect(each, later)
            else:
                self._exit(each)

    # What an order changes

    def _take_back_older(self, symbol: Symbol, key: OrderKey) -> bool:
        resting = self._resting.get(symbol)
        if resting is None or resting.key >= key:
            return False
        self._take_back(symbol)
        return True

    def _take_back(self, symbol: Symbol) -> None:
        resting = self._resting.pop(symbol)
        quantity = plain(resting.order.quantity)
        numbers = {"symbol": symbol, "quantity": quantity, "filled": "0"}
        self._end_resting(resting, Outcome(OutcomeCode.CANCELLED, numbers))
        held = self._holdings[symbol]
        self._holdings[symbol] = replace(held, entries_open=held.entries_open - 1)
        self._let_go_or_detach(symbol)
        self._try_again(symbol)

    def _let_go_or_detach(self, symbol: Symbol) -> None:
        """Enter no more until the master is flat, where something else than its own level closed the
        position; not while an exit of the master's waits there.
        """
        if symbol in self._detaching:
            self._detaching.discard(symbol)
            self._holdings[symbol] = replace(
                self._holdings[symbol], detached=not self._is_exiting(symbol)
            )
        self._let_go(symbol, attach=False)

    def _let_go(self, symbol: Symbol, *, attach: bool) -> None:
        """Forget a holding that holds nothing; with ``attach`` also a detached one, because the
        master is flat.
        """
        held = self._holdings.get(symbol)
        if held is not None and not is_held(held) and (attach or not held.detached):
            del self._holdings[symbol]

    def _fill_entry(self, order: OrderIntent, price: Price) -> None:
        symbol, quantity = order.symbol, order.quantity
        cost, margin = notional(price, quantity), initial_margin(price, quantity, order.leverage)
        held = self._positions.get(symbol)
        if held is None:
            self._positions[symbol] = _Position(
                side=order.position_side,
                quantity=quantity,
                cost=cost,
                margin=margin,
                leverage=order.leverage,
                stop_loss=order.stop_loss,
                take_profit=order.take_profit,
            )
        else:
            held.quantity = Quantity(held.quantity + quantity)
            held.cost, held.margin = held.cost + cost, held.margin + margin
            held.leverage = order.leverage
            held.stop_loss = order.stop_loss or held.stop_loss
            held.take_profit = order.take_profit or held.take_profit
        holding = self._holdings[symbol]
        self._holdings[symbol] = replace(
            holding,
            share=Quantity(holding.share + quantity),
            entries_open=holding.entries_open - 1,
        )
        charged = fee(cost, self._terms.taker_fee_bps)
        self._pay(charged)
        self._book(symbol, self._fill(order.position_side, quantity, price, charged, Cause.SIGNAL))

    def _close(
        self, symbol: Symbol, quantity: Quantity, price: Price, charged: Money, cause: Cause
    ) -> None:
        held = self._positions[symbol]
        is_whole = quantity == held.quantity
        cost = held.cost if is_whole else _share(held.cost, quantity, held.quantity)
        margin = held.margin if is_whole else _share(held.margin, quantity, held.quantity)
        self.wallet = Money(self.wallet + held.sign * (notional(price, quantity) - cost))
        if is_whole:
            del self._positions[symbol]
        else:
            held.margin -= margin
            held.cost -= cost
            held.quantity = Quantity(held.quantity - quantity)
        self._pay(charged)
        fill = self._fill(held.side, quantity, price, charged, cause)
        trade = self._book(symbol, replace(fill, is_entry=False))
        if trade is not None:
            self.trades.append(ShadowTrade(symbol=symbol, trade=trade, margin=Money(margin)))

    def _pay(self, charged: Money) -> None:
        self.wallet, self.fees = Money(self.wallet - charged), Money(self.fees + charged)

    def _fill(
        self, side: PositionSide, quantity: Quantity, price: Price, charged: Money, cause: Cause
    ) -> Fill:
        return Fill(
            side=side,
            is_entry=True,
            quantity=quantity,
            price=price,
            fee=charged,
            at=self._now,
            cause=cause,
        )

    def _book(self, symbol: Symbol, fill: Fill) -> Trade | None:
        left, trade = fold(self._books.get(symbol), fill)
        if left is None:
            self._books.pop(symbol, None)
        else:
            self._books[symbol] = left
        return trade

    def _mark_equity(self, *, begins_day: bool = False) -> None:
        worth, zone = equity(self.report()), self._terms.zone
        self.curve.append((self._now, worth))
        is_new = begins_day or trading_day(self._now, zone) != trading_day(self._marks.since, zone)
        self._marks = EquityMarks(
            worth if is_new else self._marks.day_start,
            self._now if is_new else self._marks.since,
            zone,
            max(worth, self._marks.peak),
        )

    def _end(self, signal: Signal, outcome: Outcome, *, is_entry: bool = False) -> None:
        self.outcomes.append(ShadowOutcome(signal, outcome, is_entry))

    def _end_resting(self, resting: _Resting, outcome: Outcome) -> None:
        self.outcomes = [
            replace(each, outcome=outcome)
            if each.is_entry and each.signal is resting.signal
            else each
            for each in self.outcomes
        ]


def _second(moment: datetime) -> int:
    return int(moment.timestamp())


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _next_day(moment: datetime, zone: str) -> datetime:
    there = moment.astimezone(ZoneInfo(zone))
    midnight = there.replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight + timedelta(days=1)).astimezone(UTC)


def _share(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
    """Return whole x part / of, rounded half-even at the 12th decimal, as the paper exchange does."""
    return _WIDE.quantize(_WIDE.divide(_WIDE.multiply(whole, part), of), FINEST)


def _limit(order: OrderIntent) -> Price:
    assert order.limit_price is not None, "only a limit rests"
    return order.limit_price


def _quote(symbol: Symbol, known: Sample) -> Quote:
    return Quote(symbol, known[1], known[1], _moment(known[0]))


def _filled(order: OrderIntent, quantity: Decimal, price: Price) -> Outcome:
    return _filled_as(order.side, order.symbol, quantity, price)


def _filled_as(side: OrderSide, symbol: Symbol, quantity: Decimal, price: Price) -> Outcome:
    numbers = {
        "side": side.value,
        "filled": plain(quantity),
        "symbol": symbol,
        "price": plain(price),
    }
    return Outcome(OutcomeCode.FILLED, numbers)


def _why_forced(held: _Position, price: Price) -> Cause | None:
    """Return why the exchange closes a position at this price: liquidation first, then stop, then
    target; None if it does not.
    """
    for cause, level, sign in (
        (Cause.LIQUIDATION, held.liquidation_price, -held.sign),
        (Cause.STOP_LOSS, held.stop_loss, -held.sign),
        (Cause.TAKE_PROFIT, held.take_profit, held.sign),
    ):
        if level is not None and (price - level) * sign >= 0:
            return cause
    return None


def _liquidation(held: _Position, price: Price, fee_bps: Decimal) -> tuple[Price, Money]:
    """Return price and fee of a liquidation: never beyond bankruptcy, the fee at most what is left
    of the margin.
    """
    worth = held.cost - held.sign * held.margin
    rounding = ROUND_CEILING if held.sign > 0 else ROUND_FLOOR
    bankrupt = _WIDE.divide(worth, held.quantity).quantize(FINEST, rounding, _WIDE)
    price = Price(max(price, bankrupt) if held.sign > 0 else min(price, bankrupt))
    charged = fee(notional(price, held.quantity), fee_bps)
    return price, Money(min(charged, held.margin + held.profit_at(price)))
