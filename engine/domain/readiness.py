"""Whether an account can be read at its exchange now, and which moves exist.

Entries need an account that is READY; they wait while the cause may pass, and are denied otherwise.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Readiness(Enum):
    """The result of the newest reading of an account."""

    UNREAD = "unread"
    """No reading has ended since the start."""
    READY = "ready"
    FAILED = "failed"
    """The reading failed for a reason that may pass: a time-out, a rate limit, an unreadable
    answer.
    """
    REFUSED = "refused"
    """The exchange refused, and will refuse again."""
    KEY_REFUSED = "key_refused"
    """The exchange refused the account's key."""

    @property
    def is_refused(self) -> bool:
        """Return whether the exchange refused: waiting does not help."""
        return self in (Readiness.REFUSED, Readiness.KEY_REFUSED)


_READ: Final = frozenset(Readiness) - {Readiness.UNREAD}

READINESS_MOVES: Final[Mapping[Readiness, frozenset[Readiness]]] = dict.fromkeys(Readiness, _READ)
"""Every reading sets the state again; none returns to the state before the first."""
