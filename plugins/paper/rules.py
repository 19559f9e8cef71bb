"""The venue's decisions, pure: an order and an account give an event or a refusal; a price path
gives its triggers.

Nothing here changes an account: the caller makes events durable first and applies them afterwards.
Refusals read like those of real venues and name what was expected and found. Margin is isolated: an
account never loses more in a position than the margin behind it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from plugins.paper.account import TWELFTH, WIDE, ZERO, Account, OpenPosition, Order, share
from plugins.paper.contracts import CONTRACTS, MAINTENANCE_RATE
from plugins.paper.events import (
    Event,
    Fill,
    OrderCancelled,
    OrderFilled,
    OrderPlaced,
    ProtectionSet,
)
from plugins.paper.market import BLOCK_S, PricePath, second_of
from rexalgo import (
    Instrument,
    Money,
    OrderIntent,
    OrderSide,
    OrderType,
    PositionSide,
    Price,
    ProtectionOrder,
    Quantity,
    Ratio,
    Rejected,
    RejectionKind,
    Symbol,
    floor_to_step,
    initial_margin,
    notional,
    plain,
)

LOOKBACK_S: Final = 3600
_CLIENT_ID: Final = re.compile(r"[a-zA-Z0-9-]{1,36}")


@dataclass(frozen=True, slots=True)
class Terms:
    """The venue's costs as shares (0.0005 is 5 bps)."""

    fee_rate: Decimal
    slippage_rate: Decimal

    @staticmethod
    def of_bps(fee_bps: Decimal, slippage_bps: Decimal) -> "Terms":
        """Return the terms from basis points."""
        return Terms(
            WIDE.divide(fee_bps, Decimal(10_000)), WIDE.divide(slippage_bps, Decimal(10_000))
        )

    def fee(self, worth: Money) -> Money:
        """Return the taker fee, rounded up at the 12th decimal. Every fill is charged as taker."""
        return Money(WIDE.multiply(worth, self.fee_rate).quantize(TWELFTH, ROUND_CEILING, WIDE))


# ---- an order arrives ----


def decide_order(
    account: Account, order: OrderIntent, price: Price, order_id: str, now: datetime, terms: Terms
) -> OrderPlaced:
    """Return the event that accepts the order, filled at once or resting. Raise Rejected.

    ``price`` is the last price now. A market order fills there, worse by the slippage; a limit
    order that crosses fills at ``price``. The caller must have applied all triggers up to ``now``.
    """
    instrument = check_contract(order, closes_all=closes_all(account, order))
    if not _CLIENT_ID.fullmatch(order.client_order_id):
        raise Rejected("client order id must be 1 to 36 of a-z, A-Z, 0-9 and '-'")
    _check_limit_price(order, instrument)
    _check_position(account, order)
    placed = OrderPlaced(
        account=account.key,
        order_id=order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        order_type=order.order_type,
        leverage=order.leverage,
        limit_price=order.limit_price,
        stop_loss=None if order.reduce_only else order.stop_loss,
        take_profit=None if order.reduce_only else order.take_profit,
        reduce_only=order.reduce_only,
        reserve=Money(ZERO),
        fill=None,
        reason="",
        at=now,
    )
    limit = order.limit_price
    if limit is not None and (price > limit if order.side is OrderSide.BUY else price < limit):
        return _rest(account, placed=placed, limit=limit, instrument=instrument, terms=terms)
    paid = price if limit is not None else _slipped(price, order.side, instrument, terms)
    return _take(account, placed=placed, price=paid, instrument=instrument, terms=terms)


def decide_protection(
    account: Account, wanted: ProtectionOrder, price: Price, now: datetime
) -> ProtectionSet:
    """Return the event that sets or removes a position's stop and target.

    Raise Rejected for a missing position, a wrong step, or a level that the price has passed
    already.
    """
    _check_position(account, wanted)
    position = account.positions.get(wanted.symbol)
    if position is None or position.side is not wanted.position_side:
        text = f"no {wanted.position_side.value} position to protect ({wanted.symbol})"
        raise Rejected(text, RejectionKind.POSITION_NOT_OPEN)
    step, is_long = (
        CONTRACTS[wanted.symbol].instrument.price_step,
        position.side is PositionSide.LONG,
    )
    for name, level, is_below in (
        ("stop loss", wanted.stop_loss, is_long),
        ("take profit", wanted.take_profit, not is_long),
    ):
        if level is None:
            continue
        if level <= 0 or floor_to_step(level, step) != level:
            raise Rejected(
                f"{name} must be a multiple of the step {plain(step)}, was {plain(level)} "
                f"({wanted.symbol})"
            )
        if level >= price if is_below else level <= price:
            raise Rejected(
                f"{name} {plain(level)} would trigger at once at {plain(price)} ({wanted.symbol})"
            )
    return ProtectionSet(
        account=account.key,
        symbol=wanted.symbol,
        stop_loss=wanted.stop_loss,
        take_profit=wanted.take_profit,
        at=now,
    )


def closes_all(account: Account, order: OrderIntent) -> bool:
    """Return whether an order closes the whole of a position."""
    position = account.positions.get(order.symbol)
    return order.reduce_only and position is not None and order.quantity == position.quantity


def check_contract(order: OrderIntent, *, closes_all: bool = False) -> Instrument:
    """Return the order's contract. Check the leverage, and the quantity's step and maximum. Raise
    Rejected.

    A reducing order changes no leverage, and closing a whole position is a separate call: neither
    is checked for what it does not use.
    """
    contract = CONTRACTS.get(order.symbol)
    if contract is None:
        raise Rejected(f"{order.symbol} is not traded here; traded are " + ", ".join(CONTRACTS))
    instrument, quantity = contract.instrument, order.quantity
    if (
        not order.reduce_only
        and not instrument.leverage_min <= order.leverage <= instrument.leverage_max
    ):
        allowed = f"{plain(instrument.leverage_min)} to {plain(instrument.leverage_max)}"
        raise Rejected(f"leverage must be {allowed}, was {plain(order.leverage)} ({order.symbol})")
    if closes_all:
        return instrument
    if quantity > instrument.quantity_max:
        raise Rejected(
            f"quantity must be at most {plain(instrument.quantity_max)}, was {plain(quantity)} "
            f"({order.symbol})"
        )
    if floor_to_step(quantity, instrument.quantity_step) != quantity:
        step = plain(instrument.quantity_step)
        raise Rejected(
            f"quantity must be a multiple of the step {step}, was {plain(quantity)} "
            f"({order.symbol})"
        )
    return instrument


def _check_limit_price(order: OrderIntent, instrument: Instrument) -> None:
    price = order.limit_price
    if price is not None and (price <= 0 or floor_to_step(price, instrument.price_step) != price):
        raise Rejected(
            f"price must be a multiple of the step {plain(instrument.price_step)}, was "
            f"{plain(price)} ({order.symbol})"
        )


def _slipped(price: Price, side: OrderSide, instrument: Instrument, terms: Terms) -> Price:
    if not terms.slippage_rate:
        return price
    factor = 1 + terms.slippage_rate if side is OrderSide.BUY else 1 - terms.slippage_rate
    steps = WIDE.divide(WIDE.multiply(price, factor), instrument.price_step)
    whole = steps.to_integral_value(ROUND_CEILING if side is OrderSide.BUY else ROUND_FLOOR)
    return Price(max(whole, Decimal(1)) * instrument.price_step)


def _check_position(account: Account, order: OrderIntent | ProtectionOrder) -> None:
    """Refuse an exit or a protection that names another position than the open one."""
    position = account.positions.get(order.symbol)
    if order.position_id and (position is None or position.id != order.position_id):
        raise Rejected(
            f"position {order.position_id} is not open ({order.symbol})",
            RejectionKind.POSITION_NOT_OPEN,
        )


def _take(
    account: Account, placed: OrderPlaced, price: Price, instrument: Instrument, terms: Terms
) -> OrderPlaced:
    quantity = _admitted(account, placed, price, instrument)
    fee = terms.fee(notional(price, quantity))
    if not placed.reduce_only:
        _check_balance(account, placed, price, fee)
    return replace(placed, fill=Fill(quantity, price, fee))


def _rest(
    account: Account, placed: OrderPlaced, limit: Price, instrument: Instrument, terms: Terms
) -> OrderPlaced:
    quantity = _admitted(account, placed, limit, instrument)
    if placed.reduce_only:
        return placed
    fee = terms.fee(notional(limit, quantity))
    reserve = Money(initial_margin(limit, quantity, placed.leverage) + fee)
    _check_funds(placed, reserve, account.available)
    return replace(placed, reserve=reserve)


def _admitted(
    account: Account, placed: OrderPlaced, price: Price, instrument: Instrument
) -> Quantity:
    """Return what an order may trade, an exit no more than is open. Refuse what is too small, and an
    entry whose levels would trigger at once.
    """
    if not placed.reduce_only:
        _check_minimum(placed, placed.quantity, price, instrument)
        _check_protection(placed, price)
        return placed.quantity
    quantity = _reducible(account, placed)
    if quantity != account.positions[placed.symbol].quantity:
        _check_minimum(placed, quantity, price, instrument)
    return quantity


def _reducible(account: Account, placed: OrderPlaced) -> Quantity:
    position = account.positions.get(placed.symbol)
    if position is None or OrderSide.closing(position.side) is not placed.side:
        text = f"reduce-only {placed.side.value} found no position to reduce ({placed.symbol})"
        raise Rejected(text, RejectionKind.POSITION_NOT_OPEN)
    return min(placed.quantity, position.quantity)


def _check_minimum(
    placed: OrderPlaced, quantity: Quantity, price: Price, instrument: Instrument
) -> None:
    """Refuse an order that is too small; not asked of what closes a whole position. A reducing order
    has no minimum notional.
    """
    if quantity < instrument.quantity_min:
        text = (
            f"quantity must be at least {plain(instrument.quantity_min)}, was {plain(quantity)} "
            f"({placed.symbol})"
        )
        raise Rejected(text, RejectionKind.BELOW_MINIMUM)
    worth = notional(price, quantity)
    if not placed.reduce_only and worth < instrument.notional_min:
        text = (
            f"order must be worth at least {plain(instrument.notional_min)} USDT, was "
            f"{plain(worth)} ({placed.symbol})"
        )
        raise Rejected(text, RejectionKind.BELOW_MINIMUM)


def _check_protection(placed: OrderPlaced, price: Price) -> None:
    buys = placed.side is OrderSide.BUY
    stop, target = placed.stop_loss, placed.take_profit
    if stop is not None and (stop >= price if buys else stop <= price):
        raise Rejected(
            f"stop loss {plain(stop)} would trigger at once at {plain(price)} ({placed.symbol})"
        )
    if target is not None and (target <= price if buys else target >= price):
        raise Rejected(
            f"take profit {plain(target)} would trigger at once at {plain(price)} ({placed.symbol})"
        )


def _check_balance(account: Account, placed: OrderPlaced, price: Price, fee: Money) -> None:
    available: Decimal = account.available
    opened: Decimal = placed.quantity
    position = account.positions.get(placed.symbol)
    if position is not None and position.side is not _direction(placed.side):
        part = min(placed.quantity, position.quantity)
        freed = position.margin + position.profit_at(price)
        available += share(freed, part, position.quantity)
        opened -= part
    needed = Money(
        (initial_margin(price, Quantity(opened), placed.leverage) if opened else ZERO) + fee
    )
    if opened:
        _check_funds(placed, needed, Money(available))


def _check_funds(placed: OrderPlaced, needed: Money, available: Money) -> None:
    if needed > available:
        text = (
            f"insufficient balance: margin and fee need {plain(needed)} USDT, {plain(available)} "
            f"available ({placed.symbol})"
        )
        raise Rejected(text, RejectionKind.BALANCE)


def _direction(side: OrderSide) -> PositionSide:
    return PositionSide.LONG if side is OrderSide.BUY else PositionSide.SHORT


# ---- time passes ----


def next_trigger(
    account: Account, prices: PricePath, now: datetime, order_id: str, terms: Terms
) -> Event | None:
    """Return the earliest event that the price path has triggered since the last look, or None up
    to ``now``.

    Looks back at most 3,600 seconds. The caller makes the event durable, applies it and asks again
    until None.
    """
    orphan = _orphan(account, now)
    if orphan is not None:
        return orphan
    last = second_of(now)
    first = max(account.checked_s + 1, last - LOOKBACK_S + 1)
    earliest: tuple[int, Symbol] | None = None
    for symbol in sorted(
        {*account.positions, *(order.placed.symbol for order in account.resting.values())}
    ):
        low, high = _levels(account, symbol)
        second = _first_crossing(
            prices,
            symbol=symbol,
            low=low,
            high=high,
            seconds=range(first, (last if earliest is None else earliest[0] - 1) + 1),
        )
        if second is not None:
            earliest = (second, symbol)
    if earliest is None:
        return None
    second, symbol = earliest
    return _triggered(
        account,
        symbol=symbol,
        price=prices.price(symbol, second),
        at=datetime.fromtimestamp(second, UTC),
        order_id=order_id,
        terms=terms,
    )


def liquidation_price(position: OpenPosition) -> Price | None:
    """Return the price where margin + profit falls to the maintenance margin, half-even at the 12th
    decimal; None if no price reaches it.
    """
    keep = position.cost * MAINTENANCE_RATE
    sign = 1 if position.side is PositionSide.LONG else -1
    worth = position.cost + sign * (keep - position.margin)
    price = share(worth, Decimal(1), position.quantity)
    return Price(price) if price > 0 else None


def _orphan(account: Account, now: datetime) -> OrderCancelled | None:
    for order_id, order in account.resting.items():
        if order.placed.reduce_only and not _faces_position(account, order):
            return OrderCancelled(account.key, order_id, "reduce-only: the position is closed", now)
    return None


def _faces_position(account: Account, order: Order) -> bool:
    position = account.positions.get(order.placed.symbol)
    return position is not None and OrderSide.closing(position.side) is order.placed.side


def _levels(account: Account, symbol: Symbol) -> tuple[Price | None, Price | None]:
    """Return the price at or below which something triggers, and the price at or above which
    something triggers.
    """
    lows: list[Price | None] = []
    highs: list[Price | None] = []
    position = account.positions.get(symbol)
    if position is not None:
        losing, winning = (lows, highs) if position.side is PositionSide.LONG else (highs, lows)
        losing += (liquidation_price(position), position.stop_loss)
        winning.append(position.take_profit)
    for order in _resting_on(account, symbol):
        (lows if order.placed.side is OrderSide.BUY else highs).append(order.placed.limit_price)
    below, above = (
        [price for price in lows if price is not None],
        [price for price in highs if price is not None],
    )
    return (max(below) if below else None), (min(above) if above else None)


def _resting_on(account: Account, symbol: Symbol) -> Iterator[Order]:
    return (order for order in account.resting.values() if order.placed.symbol == symbol)


def _first_crossing(
    prices: PricePath, symbol: Symbol, low: Price | None, high: Price | None, seconds: range
) -> int | None:
    """Return the first second whose price is at or beyond a level. Skips whole minutes without a
    crossing.
    """

    def crossed(lowest: Price, highest: Price) -> bool:
        return (low is not None and lowest <= low) or (high is not None and highest >= high)

    second = seconds.start
    while second < seconds.stop:
        if (
            second % BLOCK_S == 0
            and second + BLOCK_S <= seconds.stop
            and not crossed(*prices.block(symbol, second // BLOCK_S))
        ):
            second += BLOCK_S
            continue
        price = prices.price(symbol, second)
        if crossed(price, price):
            return second
        second += 1
    return None


def _triggered(
    account: Account, symbol: Symbol, price: Price, at: datetime, order_id: str, terms: Terms
) -> Event:
    """Return the first event at ``price``: liquidation, stop, target, then resting orders, oldest
    first.
    """
    position = account.positions.get(symbol)
    if position is not None:
        forced = _forced(
            account.key,
            symbol=symbol,
            position=position,
            price=price,
            at=at,
            order_id=order_id,
            terms=terms,
        )
        if forced is not None:
            return forced
    for order in _resting_on(account, symbol):
        limit = order.placed.limit_price
        if limit is not None and (
            price <= limit if order.placed.side is OrderSide.BUY else price >= limit
        ):
            quantity = order.placed.quantity
            if order.placed.reduce_only:
                quantity = min(quantity, account.positions[symbol].quantity)
            return OrderFilled(
                account.key,
                order.placed.order_id,
                Fill(quantity, limit, terms.fee(notional(limit, quantity))),
                at,
            )
    raise AssertionError(
        f"the price {price} of {symbol} crossed a level that nothing owns: a mistake in _levels"
    )


def _forced(
    account: str,
    symbol: Symbol,
    position: OpenPosition,
    price: Price,
    at: datetime,
    order_id: str,
    terms: Terms,
) -> OrderPlaced | None:
    reason = _why_forced(position, price)
    if reason is None:
        return None
    fill = Fill(position.quantity, price, terms.fee(notional(price, position.quantity)))
    if reason.startswith("liquidation"):
        fill = _liquidation_fill(position, price, terms)
    return OrderPlaced(
        account=account,
        order_id=order_id,
        client_order_id=None,
        symbol=symbol,
        side=OrderSide.closing(position.side),
        quantity=position.quantity,
        order_type=OrderType.MARKET,
        leverage=Ratio(position.leverage),
        limit_price=None,
        stop_loss=None,
        take_profit=None,
        reduce_only=True,
        reserve=Money(ZERO),
        fill=fill,
        reason=reason,
        at=at,
    )


def _why_forced(position: OpenPosition, price: Price) -> str | None:
    sign = 1 if position.side is PositionSide.LONG else -1

    def lost(level: Price | None) -> bool:
        return level is not None and (price - level) * sign <= 0

    def won(level: Price | None) -> bool:
        return level is not None and (price - level) * sign >= 0

    for name, level, reached in (
        ("liquidation", liquidation_price(position), lost),
        ("stop loss", position.stop_loss, lost),
        ("take profit", position.take_profit, won),
    ):
        if reached(level) and level is not None:
            return f"{name} {plain(level)} reached at {plain(price)}"
    return None


def _liquidation_fill(position: OpenPosition, price: Price, terms: Terms) -> Fill:
    """Return the fill of a liquidation at ``price``, never beyond bankruptcy. The fee is at most
    the margin that is left.
    """
    quantity = position.quantity
    if position.side is PositionSide.LONG:
        bankrupt = WIDE.divide(position.cost - position.margin, quantity).quantize(
            TWELFTH, ROUND_CEILING, WIDE
        )
        price = Price(max(price, bankrupt))
    else:
        bankrupt = WIDE.divide(position.cost + position.margin, quantity).quantize(
            TWELFTH, ROUND_FLOOR, WIDE
        )
        price = Price(min(price, bankrupt))
    left = position.margin + position.profit_at(price)
    return Fill(quantity, price, Money(min(terms.fee(notional(price, quantity)), left)))
