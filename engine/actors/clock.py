"""Where the engine gets the time from."""

from datetime import UTC, datetime, timedelta

import trio


class SystemClock:
    """Tell the machine's time in UTC."""

    def now(self) -> datetime:
        """Return the present moment, zone UTC."""
        return datetime.now(UTC)


class TrioClock:
    """Tell trio's time from a fixed beginning, so that a virtual clock decides what time it is."""

    def __init__(self, beginning: datetime) -> None:
        self._beginning = beginning
        self._started = trio.current_time()

    def now(self) -> datetime:
        """Return the present moment, zone UTC."""
        return self._beginning + timedelta(seconds=trio.current_time() - self._started)
