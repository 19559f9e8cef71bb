"""What an exchange teaches about its real rate: each "too many requests" halves the share of the
stated rate that is used, and it is forgotten slowly.

Stated limits may be wrong, or shared with what else the owner runs. Pure arithmetic on times that
are passed in; all accounts at an exchange share one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from engine.ports.rate_limiter import RateLimit

SHARE_MIN: Final = 0.125
FORGOTTEN_WITHIN: Final = timedelta(minutes=10)
APART: Final = timedelta(seconds=1)


@dataclass(slots=True)
class LearnedRate:
    """The share of one exchange's stated rate that is used; times are UTC."""

    _share: float = 1.0
    _refused_at: datetime | None = None

    def refused(self, now: datetime) -> None:
        """Halve the share because the exchange refused a request as one too many.

        Refusals within a second of each other count as one: they were sent before the first was
        answered.
        """
        if self._refused_at is None or now - self._refused_at >= APART:
            self._share = max(SHARE_MIN, self.share(now) / 2)
            self._refused_at = now

    def share(self, now: datetime) -> float:
        """Return the share in use: it grows back to 1 at a constant speed, from nothing in 10
        minutes.
        """
        if self._refused_at is None:
            return 1.0
        return min(1.0, self._share + max(0.0, (now - self._refused_at) / FORGOTTEN_WITHIN))

    def limit(self, stated: RateLimit, requests: int, now: datetime) -> RateLimit:
        """Return the limit to count with; its burst holds at least ``requests``."""
        share = self.share(now)
        if share == 1.0:
            return stated
        burst = max(1, requests, int(stated.burst * share))
        return RateLimit(stated.count, stated.period_s / share, burst)
