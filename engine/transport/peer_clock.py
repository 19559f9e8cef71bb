"""The offset of a peer's clock from ours, measured from the ``Date`` of its answers.

A ``Date`` is a whole second, written between our request and its answer. It is read as half a
second later and compared with the middle of that time; the error is at most half a second plus half
the round trip. An answer that took longer than a second is ignored.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

ROUND_TRIP_MAX = timedelta(seconds=1)


class PeerClock:
    """The newest measurement of a peer's clock. ``now`` returns our own time, UTC."""

    __slots__ = ("now", "offset_s")

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.offset_s: float | None = None
        """The seconds to add to our time to get the peer's, accurate to a second; None until an
        answer was measured.
        """

    def note(self, date: str | None, sent: datetime) -> None:
        """Measure with an answer that is being read now; one that has no usable date, or took long,
        changes nothing.
        """
        received = self.now()
        peer_time = _read(date)
        if peer_time is None or not timedelta(0) <= received - sent <= ROUND_TRIP_MAX:
            return
        self.offset_s = (
            peer_time + timedelta(seconds=0.5) - (sent + (received - sent) / 2)
        ).total_seconds()


@lru_cache(maxsize=64)  # answers of one second carry one Date, and reading it costs 3 us
def _read(date: str | None) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(date or "")
    except (ValueError, OverflowError):
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
