"""The words of the books: a fill, how it came about, and how much of it is known."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from engine.domain.order import ClosedBy
from engine.domain.signal import PositionSide


class Cause(Enum):
    """Why a position changed."""

    SIGNAL = "signal"
    """The master's signal; an order of ours that is proven late is that too."""
    FLATTEN = "flatten"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    LIQUIDATION = "liquidation"
    DELEVERAGING = "deleveraging"
    OWNER = "owner"
    UNEXPLAINED = "unexplained"
    """Nobody told, and nobody will."""


CAUSE_OF = {
    ClosedBy.ORDER: Cause.OWNER,
    ClosedBy.STOP_LOSS: Cause.STOP_LOSS,
    ClosedBy.TAKE_PROFIT: Cause.TAKE_PROFIT,
    ClosedBy.LIQUIDATION: Cause.LIQUIDATION,
    ClosedBy.DELEVERAGING: Cause.DELEVERAGING,
}
"""What an exchange's word means for a close that we did not send: an ordinary order is the owner's
hand.
"""


class BookState(Enum):
    """How much of a fill, or of a trade made of fills, is known."""

    SETTLED = "settled"
    OPEN = "open"
    """The exchange has not told its price, its fee or its cause yet; it is asked again."""
    UNEXPLAINED = "unexplained"
    """It was asked long enough."""
    OLD = "old"
    """From before the books were kept fill by fill: never compared with the exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Hold one change of a position: ``is_entry`` opens or grows the position of ``side``,
    otherwise it closes; quantities above 0.

    ``price`` and ``fee`` are None while nobody told them, ``cause`` likewise. ``fee`` is net of
    what was paid back.
    """

    side: PositionSide
    is_entry: bool
    quantity: Decimal
    price: Decimal | None
    fee: Decimal | None
    at: datetime
    id: int = 0
    cause: Cause | None = Cause.SIGNAL
    state: BookState = BookState.SETTLED
