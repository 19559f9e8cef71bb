"""Whether an account can be read at its exchange now, and which moves exist.

Entries need an account that is READY; they wait for what may pass, and are denied otherwise.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Readiness(Enum):
    """What the newest reading of an account came to."""

    UNREAD = "unread"
    """No reading has ended since the start."""
    READY = "ready"
    FAILED = "failed"
    """It failed for a reason that may pass: a time-out, a rate limit, an answer nobody can read."""
    REFUSED = "refused"
    """The exchange said no, and will say it again."""
    KEY_REFUSED = "key_refused"
    """The exchange refused the account's key."""

    @property
    def is_refused(self) -> bool:
        """Tell whether the exchange said no: nothing is gained by waiting."""
        return self in (Readiness.REFUSED, Readiness.KEY_REFUSED)


_READ: Final = frozenset(Readiness) - {Readiness.UNREAD}

READINESS_MOVES: Final[Mapping[Readiness, frozenset[Readiness]]] = dict.fromkeys(Readiness, _READ)
"""Every reading says anew how it is; none says that there was none."""
