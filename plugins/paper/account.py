"""One account at the venue: its state, and how each event changes it. No clock, no file, no market: events decide everything.

What must hold: the state is exactly what its events make it, so replaying the journal rebuilds it. A position keeps its cost
(the sum of price x quantity) instead of an average price, so that once flat the wallet is exactly the start plus what was sold,
minus what was bought, minus fees. Only two divisions round, when a part of a position is closed: the part's cost and the part's
margin, each half-even at the 12th decimal. Balances are at most 10^12, so every sum stays exact.
"""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal

from plugins.paper.events import AccountOpened, Event, Fill, OrderCancelled, OrderFilled, OrderPlaced, ProtectionSet
from plugins.paper.market import second_of
from rexalgo import (
    ClientOrderId,
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
CUT_REASON = "reduce-only: what was above the position was cancelled"


@dataclass(slots=True)
class OpenPosition:
    """Hold one netted position; ``cost`` is its entry notional, ``margin`` its isolated margin."""

    side: PositionSide
    quantity: Quantity
    cost: Money
    margin: Money
    leverage: Ratio
    stop_loss: Price | None
    take_profit: Price | None

    @property
    def entry_price(self) -> Price:
        """Return the average entry price, half-even at the 12th decimal; for showing, never for reckoning."""
        return Price(share(self.cost, Decimal(1), self.quantity))

    def profit_at(self, price: Price) -> Money:
        """Return what closing everything at ``price`` would earn, before the fee."""
        earned = notional(price, self.quantity) - self.cost
        return Money(earned if self.side is PositionSide.LONG else -earned)


@dataclass(slots=True)
class Order:
    """Hold one accepted order and what became of it. ``reserve`` is the margin and fee kept back while it rests."""

    placed: OrderPlaced
    status: OrderStatus
    reserve: Money
    fill: Fill | None = None
    reason: str = ""

    def report(self) -> OrderReport:
        """Write the order as the port wants it."""
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
        )


@dataclass(slots=True)
class Account:
    """Hold everything the venue knows of one account. ``checked_s`` is the last second whose price was evaluated (memory only)."""

    key: str
    wallet: Money
    positions: dict[Symbol, OpenPosition] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    resting: dict[str, Order] = field(default_factory=dict)
    by_client_id: dict[ClientOrderId, Order] = field(default_factory=dict)
    realised: Money = NOTHING
    fees: Money = NOTHING
    checked_s: int = field(default=0, compare=False)

    @property
    def available(self) -> Money:
        """Return the free margin: the wallet less the margin of positions and what resting orders keep back."""
        used = sum((position.margin for position in self.positions.values()), ZERO)
        kept = sum((order.reserve for order in self.resting.values()), ZERO)
        return Money(self.wallet - used - kept)


def open_account(event: AccountOpened) -> Account:
    """Make the account that the event describes."""
    return Account(event.account, event.balance, checked_s=second_of(event.at) - 1)


def apply(account: Account, event: Event) -> None:
    """Change the account as the event says. Events come from decisions that already checked them; nothing is refused here."""
    match event:
        case AccountOpened():
            raise ValueError(f"account {account.key} was opened twice")
        case OrderPlaced():
            _place(account, event)
        case OrderFilled():
            order = account.resting.pop(event.order_id)
            _execute(account, order, event.fill)
        case OrderCancelled():
            order = account.resting.pop(event.order_id)
            order.status, order.reason, order.reserve = OrderStatus.CANCELLED, event.reason, NOTHING
        case ProtectionSet():
            position = account.positions[event.symbol]
            position.stop_loss, position.take_profit = event.stop_loss, event.take_profit
    account.checked_s = second_of(event.at) - 1  # the same second is looked at again: two things may trigger in it


def share(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
    """Compute whole x part / of, rounded half-even at the 12th decimal."""
    return WIDE.quantize(WIDE.divide(WIDE.multiply(whole, part), of), TWELFTH)


def _place(account: Account, event: OrderPlaced) -> None:
    order = Order(event, OrderStatus.OPEN, event.reserve, reason=event.reason)
    account.orders[event.order_id] = order
    if event.client_order_id is not None:
        account.by_client_id.setdefault(event.client_order_id, order)
    if event.fill is None:
        account.resting[event.order_id] = order
    else:
        _execute(account, order, event.fill)


def _execute(account: Account, order: Order, fill: Fill) -> None:
    order.fill, order.reserve = fill, NOTHING
    order.status = OrderStatus.FILLED
    if fill.quantity < order.placed.quantity:
        order.status, order.reason = OrderStatus.CANCELLED, CUT_REASON
    side = PositionSide.LONG if order.placed.side is OrderSide.BUY else PositionSide.SHORT
    position = account.positions.get(order.placed.symbol)
    rest: Decimal = fill.quantity
    if position is not None and position.side is not side:
        rest -= _close(account, order.placed.symbol, position, min(fill.quantity, position.quantity), fill.price)
    if rest:
        _grow(account, order.placed, side, Quantity(rest), fill.price)
    account.wallet = Money(account.wallet - fill.fee)
    account.fees = Money(account.fees + fill.fee)


def _close(account: Account, symbol: Symbol, position: OpenPosition, part: Quantity, price: Price) -> Quantity:
    whole = part == position.quantity
    cost = position.cost if whole else share(position.cost, part, position.quantity)
    earned = notional(price, part) - cost
    profit = earned if position.side is PositionSide.LONG else -earned
    if whole:
        del account.positions[symbol]
    else:
        position.margin = Money(position.margin - share(position.margin, part, position.quantity))
        position.cost = Money(position.cost - cost)
        position.quantity = Quantity(position.quantity - part)
    account.wallet = Money(account.wallet + profit)
    account.realised = Money(account.realised + profit)
    return part


def _grow(account: Account, order: OrderPlaced, side: PositionSide, quantity: Quantity, price: Price) -> None:
    cost, margin = notional(price, quantity), initial_margin(price, quantity, order.leverage)
    position = account.positions.get(order.symbol)
    if position is None:
        account.positions[order.symbol] = OpenPosition(
            side, quantity, cost, margin, order.leverage, order.stop_loss, order.take_profit
        )  # fmt: skip
        return
    position.quantity = Quantity(position.quantity + quantity)
    position.cost = Money(position.cost + cost)
    position.margin = Money(position.margin + margin)
    position.leverage = order.leverage
    position.stop_loss = order.stop_loss or position.stop_loss
    position.take_profit = order.take_profit or position.take_profit
