"""The engine's clocks."""

from datetime import UTC, datetime, timedelta

import trio


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)


class TrioClock:
    """Trio's clock from a fixed beginning, so that a virtual clock decides the time."""

    def __init__(self, beginning: datetime) -> None:
        self._beginning = beginning
        self._started = trio.current_time()

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return self._beginning + timedelta(seconds=trio.current_time() - self._started)
