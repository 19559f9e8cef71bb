"""The states of one leg of a copy, and the moves between them.

A leg is a step of a copy: an entry, an exit, a cancellation or a protection. While an order of it is
under way its state is that of an attempt (``decisions.order_lifecycle``, whose table is
part of this one). It alone can end without any order, and only an exit is reopened after it ended,
because more is held than it is to leave behind.

One move is in no table: an order that was given up as NOT_CONFIRMED may be proven after its leg went
on with another one. The attempt's own table judges that proof; whether the leg takes it over is
decided in ``decisions.leading_attempt``.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class LegState(Enum):
    """The state of one leg of a copy."""

    NEW = "new"
    CLAIMED = "claimed"
    PLACED = "placed"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_CONFIRMED = "not_confirmed"
    KILLED = "killed"
    EXPIRED = "expired"
    SKIPPED = "skipped"
    DENIED = "denied"
    APPLIED = "applied"
    NOTHING_TO_DO = "nothing_to_do"

    @property
    def is_live(self) -> bool:
        """Return whether the leg waits or has an order under way: the index ``leg_live``."""
        return self in LIVE_LEGS


_S = LegState
LIVE_LEGS: Final = frozenset({_S.NEW, _S.CLAIMED, _S.UNKNOWN, _S.PLACED, _S.PARTIALLY_FILLED})
_UNSENT: Final = frozenset({_S.KILLED, _S.EXPIRED, _S.SKIPPED, _S.DENIED})
_AGAIN: Final = frozenset({_S.NEW})
_NONE: Final[frozenset[LegState]] = frozenset()

LEG_MOVES: Final[Mapping[LegState, frozenset[LegState]]] = {
    # Without an order: what it came to. FILLED where earlier orders of an exit closed everything.
    _S.NEW: frozenset({_S.CLAIMED, _S.FILLED, _S.REJECTED, _S.APPLIED, _S.NOTHING_TO_DO}) | _UNSENT,
    _S.CLAIMED: frozenset({_S.NEW, _S.PLACED, _S.REJECTED, _S.UNKNOWN}) | _UNSENT,
    _S.PLACED: frozenset(
        {_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.NOT_CONFIRMED}
    ),
    _S.PARTIALLY_FILLED: frozenset(
        {_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.NOT_CONFIRMED}
    ),
    _S.UNKNOWN: frozenset({_S.PLACED, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.NOT_CONFIRMED}),
    _S.NOT_CONFIRMED: frozenset({_S.PLACED, _S.FILLED, _S.CANCELLED, _S.REJECTED}) | _AGAIN,
    # An exit whose order ended, while more is held than it leaves behind.
    _S.FILLED: _AGAIN,
    _S.CANCELLED: _AGAIN,
    _S.REJECTED: _AGAIN,
    _S.KILLED: _AGAIN,
    _S.EXPIRED: _AGAIN,
    _S.SKIPPED: _AGAIN,
    _S.DENIED: _AGAIN,
    _S.APPLIED: _NONE,
    _S.NOTHING_TO_DO: _NONE,
}
