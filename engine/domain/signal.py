"""A master's instruction, as it was said: what to do with which contract, and where it stands in the order of signals.

``SignalDraft`` is what a signal source makes of a delivery; ``Signal`` is the draft once the ledger has given it an id, a
number and an order key. A signal says nothing about any follower.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NewType

from engine.domain.amounts import Price, Quantity, Ratio
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import SignalId, StrategyId, Symbol


class Action(Enum):
    """What the master asks for. Exits reduce risk and are always taken; entries may be switched off."""

    OPEN = "open"
    CLOSE = "close"

    @property
    def is_entry(self) -> bool:
        """Tell whether the action can raise exposure."""
        return self is Action.OPEN


class PositionSide(Enum):
    """The direction of a position."""

    LONG = "LONG"
    SHORT = "SHORT"

    @property
    def opposite(self) -> "PositionSide":
        """Return the other direction."""
        return PositionSide.SHORT if self is PositionSide.LONG else PositionSide.LONG


class OrderType(Enum):
    """How the order meets the book."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class SizeMode(Enum):
    """Who decides the size: each follower's own sizing, or a multiple of the quantity that the master names."""

    FOLLOWER = "follower"
    QUANTITY = "quantity"


@dataclass(frozen=True, slots=True)
class SignalSize:
    """Say what the master tells about size; ``quantity`` is the master's own, present exactly when mode is QUANTITY."""

    mode: SizeMode = SizeMode.FOLLOWER
    quantity: Quantity | None = None

    def __post_init__(self) -> None:
        if (self.mode is SizeMode.QUANTITY) != (self.quantity is not None):
            raise InvalidValue("size.quantity", "a quantity exactly when size.mode is 'quantity'")


@dataclass(frozen=True, slots=True)
class SignalDraft:
    """Hold one parsed instruction before it is recorded.

    ``dedupe_key`` is the sender's idempotency id, unique per endpoint for ever. ``sent_at`` is the sender's clock (UTC) or
    None where none was sent. ``price`` is the price the master saw (MARKET) or the limit (LIMIT). ``side`` is required for an
    entry; on a close it narrows the close to that side. ``is_test`` runs everything and cannot reach an exchange.
    """

    dedupe_key: str
    action: Action
    symbol: Symbol
    side: PositionSide | None = None
    order_type: OrderType = OrderType.MARKET
    price: Price | None = None
    leverage: Ratio | None = None
    stop_loss: Price | None = None
    take_profit: Price | None = None
    sent_at: datetime | None = None
    size: SignalSize = SignalSize()
    seq: int | None = None
    position_after: str | None = None
    is_test: bool = False

    def __post_init__(self) -> None:
        if self.action.is_entry and self.side is None:
            raise InvalidValue("side", "LONG or SHORT for an entry")
        if self.order_type is OrderType.LIMIT and self.price is None:
            raise InvalidValue("price", "a price for a LIMIT order")
        if self.sent_at is not None and self.sent_at.tzinfo is None:
            raise InvalidValue("sent_at", "a time with a zone, such as 2026-11-23T10:00:00Z", self.sent_at)
        if self.seq is not None and not 0 <= self.seq < 10**18:
            raise InvalidValue("seq", "a whole number from 0 to 10^18", self.seq)


OrderKey = NewType("OrderKey", str)
"""A sortable text: the later of two signals of one strategy has the greater key. The empty text is before every signal."""

NO_ORDER_KEY = OrderKey("")


def order_key(seq: int, at_us: int, ledger_number: int) -> OrderKey:
    """Build the order key: by ``seq`` first, then the sender's time in microseconds, then the ledger's number.

    A signal without ``seq`` is given the greatest seq that its strategy had sent up to its time, so that strategies which
    number only some of their signals still have one total order (see docs/order-protocol.md).
    """
    return OrderKey(f"{seq:019d}.{at_us:019d}.{ledger_number:012d}")


@dataclass(frozen=True, slots=True)
class Signal:
    """Hold one recorded instruction. Times are UTC; ``decided_at`` is the sender's time, clamped to not lie after receipt."""

    id: SignalId
    number: int
    strategy: StrategyId
    draft: SignalDraft
    order_key: OrderKey
    decided_at: datetime
    received_at: datetime
