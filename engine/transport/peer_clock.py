"""How far a peer's clock is from ours, measured from the ``Date`` of its answers.

A ``Date`` is a whole second, written somewhere between our request and its answer. Half a second
later than it says, compared with the middle of that time, it is wrong by half a second and half the
round trip at most: an answer that took longer than a second is left out.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

ROUND_TRIP_MAX = timedelta(seconds=1)


class PeerClock:
    """Remember the newest measurement. ``now`` tells our own time, UTC."""

    __slots__ = ("now", "offset_s")

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.offset_s: float | None = None
        """What must be added to our time to get the peer's, in seconds, right to a second; None
        until an answer told.
        """

    def note(self, date: str | None, sent: datetime) -> None:
        """Measure with an answer that is being read now; one without a usable date, or that took
        long, changes nothing.
        """
        received = self.now()
        told = _read(date)
        if told is None or not timedelta(0) <= received - sent <= ROUND_TRIP_MAX:
            return
        self.offset_s = (
            told + timedelta(seconds=0.5) - (sent + (received - sent) / 2)
        ).total_seconds()


def _read(date: str | None) -> datetime | None:
    try:
        told = parsedate_to_datetime(date or "")
    except (ValueError, OverflowError):
        return None
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told
