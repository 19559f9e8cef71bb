"""One account at the venue: its state, and how each event changes it. No clock, no file, no market.

The state is exactly what its events make it, so replaying the journal rebuilds it. A position keeps
its cost (the sum of price x quantity), not an average price. So once it is flat, the wallet is
exactly the starting balance plus sales, minus purchases, minus fees. Only two divisions round, when
part of a position is closed: the part's cost and the part's margin, each half-even at the 12th
decimal. Balances are at most 10^12, so every sum stays exact.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

from plugins.paper.events import (
    AccountOpened,
    Event,
    Fill,
    OrderCancelled,
    OrderFilled,
    OrderPlaced,
    ProtectionSet,
)
from plugins.paper.market import second_of
from rexalgo import (
    ClientOrderId,
    ClosedBy,
    ClosedPosition,
    Money,
    OrderReport,
    OrderSide,
    OrderStatus,
    PositionSide,
    Price,
    Quantity,
    Ratio,
    Symbol,
    initial_margin,
    notional,
)

ZERO = Decimal(0)
NOTHING = Money(ZERO)
TWELFTH = Decimal("0.000000000001")
WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
FORCED = {
    "liquidation": ClosedBy.LIQUIDATION,
    "stop loss": ClosedBy.STOP_LOSS,
    "take profit": ClosedBy.TAKE_PROFIT,
}
"""Prefix of the reason of a venue's own order -> what closed the position."""
KEPT = 1_000
"""How many ended orders, and how many closed positions, an account lists: the newest."""
CUT_REASON = "reduce-only: what was above the position was cancelled"


@dataclass(slots=True)
class OpenPosition:
    """One netted position. ``cost`` is its entry notional, ``margin`` its isolated margin.

    ``id`` is the order that opened it. ``entered`` and ``paid`` are the quantity and notional of
    all entries since it was flat, ``brought`` is the notional of its closes.
    """

    side: PositionSide
    quantity: Quantity
    cost: Money
    margin: Money
    leverage: Ratio
    stop_loss: Price | None
    take_profit: Price | None
    id: str = ""
    opened_at: datetime | None = None
    entered: Decimal = ZERO
    paid: Decimal = ZERO
    brought: Decimal = ZERO

    @property
    def entry_price(self) -> Price:
        """Return the average entry price, half-even at the 12th decimal. For display only, never
        for calculation.
        """
        return Price(share(self.cost, Decimal(1), self.quantity))

    def profit_at(self, price: Price) -> Money:
        """Return the profit of closing everything at ``price``, before the fee."""
        earned = notional(price, self.quantity) - self.cost
        return Money(earned if self.side is PositionSide.LONG else -earned)


@dataclass(slots=True)
class Order:
    """One accepted order and its result. ``reserve`` is the margin and fee reserved while it rests.

    ``position_id`` is the position that the order opened, increased or closed; it is empty while
    nothing is filled.
    """

    placed: OrderPlaced
    status: OrderStatus
    reserve: Money
    fill: Fill | None = None
    reason: str = ""
    position_id: str = ""
    closes: bool = False

    @property
    def closed_by(self) -> ClosedBy | None:
        """Return what closed a position, or None for an order that opened or increased one."""
        forced = next(
            (by for words, by in FORCED.items() if self.placed.reason.startswith(words)),
            ClosedBy.ORDER,
        )
        return forced if self.closes else None

    def report(self) -> OrderReport:
        """Return the order as an OrderReport."""
        fill = self.fill
        return OrderReport(
            exchange_order_id=self.placed.order_id,
            client_order_id=self.placed.client_order_id,
            symbol=self.placed.symbol,
            side=self.placed.side,
            quantity=self.placed.quantity,
            status=self.status,
            filled_quantity=Quantity(ZERO) if fill is None else fill.quantity,
            average_price=None if fill is None else fill.price,
            fee=NOTHING if fill is None else fill.fee,
            created_at=self.placed.at,
            reduce_only=self.placed.reduce_only,
            reason=self.reason,
            position_id=self.position_id,
            closed_by=self.closed_by,
        )


@dataclass(slots=True)
class Account:
    """The state of one account. ``checked_s`` is the last second whose price was evaluated, kept in
    memory only. ``orders_from`` and ``closed_from``: all orders and closed positions after that
    time are listed; None if all are.
    """

    key: str
    wallet: Money
    positions: dict[Symbol, OpenPosition] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    resting: dict[str, Order] = field(default_factory=dict)
    by_client_id: dict[ClientOrderId, Order] = field(default_factory=dict)
    realised: Money = NOTHING
    fees: Money = NOTHING
    closed: list[ClosedPosition] = field(default_factory=list)
    checked_s: int = field(default=0, compare=False)
    orders_from: datetime | None = None
    closed_from: datetime | None = None

    @property
    def available(self) -> Money:
        """Return the free margin: the wallet less the margin of positions and the reserves of
        resting orders.
        """
        used = sum((position.margin for position in self.positions.values()), ZERO)
        kept = sum((order.reserve for order in self.resting.values()), ZERO)
        return Money(self.wallet - used - kept)


def open_account(event: AccountOpened) -> Account:
    """Return the account that the event describes."""
    return Account(event.account, event.balance, checked_s=second_of(event.at) - 1)


def apply(account: Account, event: Event) -> None:
    """Change the account as the event says. Refuse nothing: the decision behind the event checked
    it.
    """
    match event:
        case AccountOpened():
            raise ValueError(f"account {account.key} was opened twice")
        case OrderPlaced():
            _place(account, event)
        case OrderFilled():
            order = account.resting.pop(event.order_id)
            _execute(account, order, event.fill, event.at)
        case OrderCancelled():
            order = account.resting.pop(event.order_id)
            order.status, order.reason, order.reserve = OrderStatus.CANCELLED, event.reason, NOTHING
        case ProtectionSet():
            position = account.positions[event.symbol]
            position.stop_loss, position.take_profit = event.stop_loss, event.take_profit
    # the same second is evaluated again, because two events may trigger in it
    account.checked_s = second_of(event.at) - 1
    _forget(account)


def _forget(account: Account) -> None:
    """Drop the oldest of what has ended beyond ``KEPT``, so that memory and the cost of a reading do
    not grow with the history.
    """
    while len(account.orders) - len(account.resting) > KEPT:
        oldest = next(each for each in account.orders.values() if not _rests(account, each))
        placed = oldest.placed
        del account.orders[placed.order_id]
        sent_as = placed.client_order_id
        if sent_as is not None and account.by_client_id.get(sent_as) is oldest:
            del account.by_client_id[sent_as]
        account.orders_from = max(placed.at, account.orders_from or placed.at)
    while len(account.closed) > KEPT:
        closed_at = account.closed.pop(0).closed_at
        account.closed_from = max(closed_at, account.closed_from or closed_at)


def _rests(account: Account, order: Order) -> bool:
    return order.placed.order_id in account.resting


def share(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
    """Return whole x part / of, rounded half-even at the 12th decimal."""
    return WIDE.quantize(WIDE.divide(WIDE.multiply(whole, part), of), TWELFTH)


def _place(account: Account, event: OrderPlaced) -> None:
    order = Order(event, OrderStatus.OPEN, event.reserve, reason=event.reason)
    account.orders[event.order_id] = order
    if event.client_order_id is not None:
        account.by_client_id.setdefault(event.client_order_id, order)
    if event.fill is None:
        account.resting[event.order_id] = order
    else:
        _execute(account, order, event.fill, event.at)


def _execute(account: Account, order: Order, fill: Fill, at: datetime) -> None:
    order.fill, order.reserve = fill, NOTHING
    order.status = OrderStatus.FILLED
    if fill.quantity < order.placed.quantity:
        order.status, order.reason = OrderStatus.CANCELLED, CUT_REASON
    side = PositionSide.LONG if order.placed.side is OrderSide.BUY else PositionSide.SHORT
    position = account.positions.get(order.placed.symbol)
    rest: Decimal = fill.quantity
    if position is not None and position.side is not side:
        order.position_id, order.closes = position.id, True
        rest -= _close(
            account,
            order=order,
            position=position,
            part=min(fill.quantity, position.quantity),
            price=fill.price,
            at=at,
        )
    if rest:
        _grow(
            account, order=order.placed, side=side, quantity=Quantity(rest), price=fill.price, at=at
        )
        order.position_id = order.position_id or account.positions[order.placed.symbol].id
    account.wallet = Money(account.wallet - fill.fee)
    account.fees = Money(account.fees + fill.fee)


def _close(
    account: Account,
    order: Order,
    position: OpenPosition,
    part: Quantity,
    price: Price,
    at: datetime,
) -> Quantity:
    symbol, whole = order.placed.symbol, part == position.quantity
    position.brought += notional(price, part)
    cost = position.cost if whole else share(position.cost, part, position.quantity)
    earned = notional(price, part) - cost
    profit = earned if position.side is PositionSide.LONG else -earned
    if whole:
        del account.positions[symbol]
        account.closed.append(_closed_position(order, position, at))
    else:
        position.margin = Money(position.margin - share(position.margin, part, position.quantity))
        position.cost = Money(position.cost - cost)
        position.quantity = Quantity(position.quantity - part)
    account.wallet = Money(account.wallet + profit)
    account.realised = Money(account.realised + profit)
    return part


def _closed_position(order: Order, position: OpenPosition, at: datetime) -> ClosedPosition:
    """Return the record of a flat position: average prices over all entries and exits, half-even at
    the 12th decimal.
    """
    earned = position.brought - position.paid
    assert position.opened_at is not None, "an open position was opened"
    return ClosedPosition(
        position_id=position.id,
        symbol=order.placed.symbol,
        side=position.side,
        quantity=Quantity(position.entered),
        entry_price=Price(share(position.paid, Decimal(1), position.entered)),
        exit_price=Price(share(position.brought, Decimal(1), position.entered)),
        closed_at=at,
        opened_at=position.opened_at,
        closed_by=order.closed_by,
        order_id=order.placed.order_id,
        result=Money(earned if position.side is PositionSide.LONG else -earned),
    )


def _grow(
    account: Account,
    order: OrderPlaced,
    side: PositionSide,
    quantity: Quantity,
    price: Price,
    at: datetime,
) -> None:
    cost, margin = notional(price, quantity), initial_margin(price, quantity, order.leverage)
    position = account.positions.get(order.symbol)
    if position is None:
        account.positions[order.symbol] = OpenPosition(
            side=side,
            quantity=quantity,
            cost=cost,
            margin=margin,
            leverage=order.leverage,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            id=order.order_id,
            opened_at=at,
            entered=quantity,
            paid=cost,
        )
        return
    position.entered += quantity
    position.paid += cost
    position.quantity = Quantity(position.quantity + quantity)
    position.cost = Money(position.cost + cost)
    position.margin = Money(position.margin + margin)
    position.leverage = order.leverage
    position.stop_loss = order.stop_loss or position.stop_loss
    position.take_profit = order.take_profit or position.take_profit
