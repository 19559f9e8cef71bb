"""Orders: what we intend, and what the exchange reports about them."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from engine.domain.amounts import Money, Price, Quantity, Ratio
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import CLIENT_ORDER_ID_PREFIX, ClientOrderId, Symbol
from engine.domain.signal import OrderType, PositionSide
from engine.domain.text import for_people, require_text


class OrderSide(Enum):
    """The direction of an order."""

    BUY = "BUY"
    SELL = "SELL"

    @staticmethod
    def opening(side: PositionSide) -> "OrderSide":
        """Return the order side that opens or grows a position on ``side``."""
        return OrderSide.BUY if side is PositionSide.LONG else OrderSide.SELL

    @staticmethod
    def closing(side: PositionSide) -> "OrderSide":
        """Return the order side that closes or shrinks a position on ``side``."""
        return OrderSide.SELL if side is PositionSide.LONG else OrderSide.BUY


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """The exact order that one account is to send; the quantity checked is the quantity sent.

    ``whole_position`` is set only on an exit for everything that the account held in the symbol when
    it was last read. An adapter may then use the exchange's close-position call, if the position is
    no larger than ``quantity``: the owner may have added since. ``reduce_only`` is set on every exit.
    ``position_id`` is set on exits: the exchange's id of the position to close, empty if unknown.
    An adapter refuses the exit (POSITION_NOT_OPEN) if another position is open in its place,
    because that one is not ours.
    """

    client_order_id: ClientOrderId
    symbol: Symbol
    side: OrderSide
    position_side: PositionSide
    quantity: Quantity
    order_type: OrderType
    leverage: Ratio
    limit_price: Price | None = None
    stop_loss: Price | None = None
    take_profit: Price | None = None
    reduce_only: bool = False
    whole_position: bool = False
    position_id: str = ""

    def __post_init__(self) -> None:
        if not self.quantity.is_finite() or self.quantity <= 0:
            raise InvalidValue("quantity", f"more than 0 ({self.symbol})", self.quantity)
        if (self.order_type is OrderType.LIMIT) != (self.limit_price is not None):
            raise InvalidValue(
                "limit_price", f"a price exactly for LIMIT orders ({self.symbol})", self.limit_price
            )
        opens = OrderSide.opening(self.position_side)
        if (self.side is opens) == self.reduce_only:
            raise InvalidValue(
                "side",
                f"{opens.value} to open or the other side with reduce_only ({self.symbol})",
                self.side.value,
            )


@dataclass(frozen=True, slots=True)
class ProtectionOrder:
    """The stop loss and take profit that a position is to have from now on; None removes that kind.

    ``position_id`` is the exchange's id of that position, empty if unknown. An adapter refuses
    (POSITION_NOT_OPEN) if another position is open in its place.
    """

    symbol: Symbol
    position_side: PositionSide
    stop_loss: Price | None = None
    take_profit: Price | None = None
    position_id: str = ""


class OrderStatus(Enum):
    """The state of an order at the exchange."""

    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def is_terminal(self) -> bool:
        """Return whether the exchange will not change this order any more."""
        return self in (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED)


class ClosedBy(Enum):
    """What made an exchange close all or part of a position, as far as its rows say."""

    ORDER = "order"
    """An ordinary order or close call: ours or the owner's."""
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    LIQUIDATION = "liquidation"
    DELEVERAGING = "deleveraging"


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What the exchange reports about one order; times are the exchange's clock in UTC.

    ``average_price`` is None until something filled. ``fee`` is None until the exchange reports it:
    unknown is not zero. ``reason`` is the exchange's text for a rejection or cancellation.
    ``reduce_only`` is None if the exchange's rows do not say whether the order opened or closed.
    ``position_id`` is the exchange's id of the position that the order opened, grew or closed,
    empty if it names none. ``closed_by`` is None for an entry, and if the row does not say what
    closed the position.
    """

    exchange_order_id: str
    client_order_id: ClientOrderId | None
    symbol: Symbol
    side: OrderSide
    quantity: Quantity
    status: OrderStatus
    filled_quantity: Quantity
    average_price: Price | None
    fee: Money | None
    created_at: datetime
    reduce_only: bool | None = False
    reason: str = ""
    position_id: str = ""
    closed_by: ClosedBy | None = None

    def __post_init__(self) -> None:
        require_text(self.exchange_order_id, "exchange_order_id")
        require_text(self.position_id, "position_id")
        object.__setattr__(self, "reason", for_people(self.reason))

    @property
    def has_our_mark(self) -> bool:
        """Return whether the order carries one of this engine's client order ids."""
        return self.client_order_id is not None and self.client_order_id.startswith(
            CLIENT_ORDER_ID_PREFIX
        )
