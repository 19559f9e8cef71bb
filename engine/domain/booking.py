"""The terms of the books: a fill, its cause, and how much of it is known."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from engine.domain.order import ClosedBy
from engine.domain.signal import PositionSide


class Cause(Enum):
    """Why a position changed."""

    SIGNAL = "signal"
    """The master's signal; also an order of ours that was proven late."""
    FLATTEN = "flatten"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    LIQUIDATION = "liquidation"
    DELEVERAGING = "deleveraging"
    OWNER = "owner"
    TAKEN_OVER = "taken_over"
    """The owner of the account took the position over: nothing was traded."""
    UNEXPLAINED = "unexplained"
    """Nobody reported the cause, and nobody will."""


CAUSE_OF = {
    ClosedBy.ORDER: Cause.OWNER,
    ClosedBy.STOP_LOSS: Cause.STOP_LOSS,
    ClosedBy.TAKE_PROFIT: Cause.TAKE_PROFIT,
    ClosedBy.LIQUIDATION: Cause.LIQUIDATION,
    ClosedBy.DELEVERAGING: Cause.DELEVERAGING,
}
"""What an exchange's cause means for a close that we did not send: an ordinary order is the
owner's.
"""


class BookState(Enum):
    """How much is known of a fill, or of a trade made of fills."""

    SETTLED = "settled"
    OPEN = "open"
    """The exchange has not yet reported the price, the fee or the cause; it is asked again."""
    UNEXPLAINED = "unexplained"
    """The exchange was asked long enough and did not report it."""
    OLD = "old"
    """From before the books were kept fill by fill; never compared with the exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One change of a position: ``is_entry`` opens or grows the position on ``side``, otherwise the
    fill closes; quantities are above 0.

    ``price``, ``fee`` and ``cause`` are None until they are reported. ``fee`` is net of rebates.
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
