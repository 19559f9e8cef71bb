"""Apply what is due in a SIMULATED account: fills, later rejections, stops, targets, liquidations,
freed margin. Time is passed in.

Stops, targets and liquidations are evaluated at the price of the moment when somebody asks for the
account; until then it does not change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from plugins.mudrex.simulator.netting import Books, apply_fill, shrink
from plugins.mudrex.simulator.prices import Prices
from plugins.mudrex.simulator.switches import Switches
from plugins.mudrex.simulator.values import (
    NEVER,
    STOP,
    TARGET,
    WORKING,
    ZERO,
    Account,
    Order,
    Position,
    contract_of,
    digits,
)

REST_AFTER_S = 2.0


@dataclass(slots=True)
class World:
    """The parts that every account shares."""

    prices: Prices
    books: Books

    @property
    def switches(self) -> Switches:
        """Return the current switches."""
        return self.books.switches

    @property
    def new_id(self) -> Callable[[float], str]:
        """Return the source of ids."""
        return self.books.new_id


def settle(account: Account, now: float, world: World) -> list[Order] | None:
    """Apply everything due. Return the orders that changed, or None if nothing changed at all."""
    touched: list[Order] = []
    for order in sorted(
        (each for each in account.orders if _is_due(each, now, world)), key=lambda each: each.due
    ):
        at = min(order.due, now)
        position = account.positions.get(order.symbol)
        touched += (
            [] if position is None else _trigger(account, position, at, world)
        )  # triggers of the price come before fills of the same moment
        _advance(account, order, at, world)
        touched.append(order)
    for position in tuple(account.positions.values()):
        touched += _trigger(account, position, now, world)
    freed = [amount for when, amount in account.freed if when <= now]
    if freed:
        account.balance += sum(freed, ZERO)
        account.freed = [each for each in account.freed if each[0] > now]
    return touched if touched or freed else None


def _is_due(order: Order, now: float, world: World) -> bool:
    if order.status not in WORKING or order.is_leg:
        return False
    return order.due <= now or (
        order.trigger == "LIMIT"
        and order.fate != "held"
        and crosses(order, world.prices.at(order.symbol, now))
    )


def crosses(order: Order, price: Decimal) -> bool:
    """Return whether a limit order executes at this price."""
    return price <= order.price if order.side == "LONG" else price >= order.price


def _advance(account: Account, order: Order, at: float, world: World) -> None:
    order.updated = at
    if order.fate == "reject_later":
        order.status, order.reason, order.due = (
            "REJECTED",
            "order rejected by the exchange after it was accepted",
            NEVER,
        )
        return
    position = account.positions.get(order.symbol)
    if order.reduce_only and (position is None or position.side == order.side):
        order.status, order.reason, order.due = "CANCELLED", "nothing is left to reduce", NEVER
        return
    resting = order.trigger == "LIMIT" and order.due == NEVER
    price = order.price if resting else world.prices.at(order.symbol, at)
    if world.switches.fills_at_levels and not resting:
        price = digits(
            price + contract_of(order.symbol).price_step * (1 if order.side == "LONG" else -1) / 3
        )
    asked = _part(order)
    filled = apply_fill(account, order=order, quantity=asked, price=price, at=at, books=world.books)
    order.filled_price = (order.filled_price * order.filled + price * filled) / (
        order.filled + filled
    )
    order.filled += filled
    if order.reduce_only and order.trigger == "MARKET":
        order.price = (
            order.filled_price
        )  # as recorded: only an entry's row keeps the requested price
    _after_fill(order, at, whole=filled == asked)
    _protect(account, order, at, world)


def _part(order: Order) -> Decimal:
    if order.fate not in ("fill_partly", "fill_part_only"):
        return order.left
    step = contract_of(order.symbol).quantity_step
    return max(step, order.left / 2 // step * step)


def _after_fill(order: Order, at: float, *, whole: bool) -> None:
    order.due = NEVER
    if not order.left or not whole:
        order.status = "FILLED"
    elif order.fate == "fill_part_only" and order.trigger == "MARKET":
        order.status, order.reason = "CANCELLED", "no more could be filled"
    else:
        order.status = "PARTIALLY_FILLED"
        order.due = at + REST_AFTER_S if order.fate == "fill_partly" else NEVER
        order.fate = "" if order.fate == "fill_partly" else "held"


def _protect(account: Account, order: Order, at: float, world: World) -> None:
    """Set the stop and target that came with an entry, unless a switch or a fault drops them
    silently.
    """
    position = account.positions.get(order.symbol)
    if (
        position is None
        or position.side != order.side
        or not world.switches.attached_protection_is_kept
        or order.fate == "drop_protection"
    ):
        return
    for kind, price in ((STOP, order.stop), (TARGET, order.target)):
        if price is not None:
            set_leg(account, position=position, kind=kind, price=price, at=at, world=world)


def set_leg(
    account: Account, position: Position, kind: str, price: Decimal, at: float, world: World
) -> Order:
    """Add or move one leg of a position."""
    leg = account.legs(position.id).get(kind)
    if leg is None:
        leg = Order(
            id=world.new_id(at),
            symbol=position.symbol,
            side=kind,
            trigger="MARKET",
            quantity=ZERO,
            price=price,
            leverage=ZERO,
            created=at,
            due=NEVER,
            reduce_only=True,
            position_id=position.id,
        )
        account.orders.append(leg)
    leg.price, leg.updated = price, at
    return leg


def _trigger(account: Account, position: Position, now: float, world: World) -> list[Order]:
    price = world.prices.at(position.symbol, now)
    legs = account.legs(position.id)
    if (price - position.liquidation_price) * position.sign <= 0 and position.liquidation_price > 0:
        return [*legs.values(), liquidate(account, position, now, world)]
    for kind, leg in legs.items():
        beyond = (price - leg.price) * position.sign
        if (beyond <= 0) if kind == STOP else (beyond >= 0):
            return [
                *legs.values(),
                *_hit(account, position=position, leg=leg, price=price, now=now, world=world),
            ]
    return []


def liquidate(account: Account, position: Position, now: float, world: World) -> Order:
    """Liquidate a position at the price of its row, by an ordinary order of the closing side."""
    price, market = position.liquidation_price, world.prices.at(position.symbol, now)
    asked = (
        market if market != price else price + contract_of(position.symbol).price_step
    )  # as recorded: two prices
    order = Order(
        id=world.new_id(now),
        symbol=position.symbol,
        side=position.closing_side,
        trigger="MARKET",
        quantity=position.quantity,
        price=asked,
        leverage=position.leverage,
        created=now,
        due=NEVER,
        reduce_only=True,
        by="liquidation",
    )
    shrink(
        account,
        position=position,
        order=order,
        quantity=position.quantity,
        price=price,
        at=now,
        books=world.books,
    )
    order.status, order.filled, order.filled_price, order.updated = (
        "FILLED",
        order.quantity,
        price,
        now,
    )
    account.orders.append(order)
    return order


def _hit(
    account: Account, position: Position, leg: Order, price: Decimal, now: float, world: World
) -> list[Order]:
    """Close a position by its stop or target. A switch says which row that leaves."""
    quantity = position.quantity
    leg.by, leg.status, leg.filled, leg.filled_price, leg.updated = (
        "stop" if leg.side == STOP else "target",
        "FILLED",
        quantity,
        price,
        now,
    )
    leg.visible_from = now if world.switches.stop_row == "leg" else NEVER
    shrink(
        account,
        position=position,
        order=leg,
        quantity=quantity,
        price=price,
        at=now,
        books=world.books,
    )
    if world.switches.stop_row != "order":
        return []
    shown = Order(
        id=world.new_id(now),
        symbol=position.symbol,
        side=position.closing_side,
        trigger="MARKET",
        quantity=quantity,
        price=price,
        leverage=position.leverage,
        created=now,
        due=NEVER,
        reduce_only=True,
        status="FILLED",
        filled=quantity,
        filled_price=price,
        updated=now,
        position_id=position.id,
        by=leg.by,
    )
    account.orders.append(shown)
    return [shown]
