"""Time as an argument."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The source of time. Plugins use it instead of the system clock, so that tests and replays can
    set the time.
    """

    def now(self) -> datetime:
        """Return the current time in UTC."""
        ...
