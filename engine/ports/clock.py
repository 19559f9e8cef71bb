"""Time as an argument."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tell the time. Plugins use this instead of the system clock, so that tests and replays can
    decide it.
    """

    def now(self) -> datetime:
        """Return the present moment, zone UTC."""
        ...
