"""Rate limiting. The plugin only counts; the engine does the waiting."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit of ``count`` units per ``period_s`` seconds, at most ``burst`` of them at once."""

    count: int
    period_s: float
    burst: int

    def __post_init__(self) -> None:
        if self.count < 1 or self.burst < 1 or not self.period_s > 0:
            raise ValueError(
                f"a rate limit needs count and burst of at least 1 and a period above 0, was {self}"
            )


class Priority(Enum):
    """The priority of a request: exits may use the share of the budget that entries and reads leave
    untouched.
    """

    EXIT = "exit"
    ENTRY = "entry"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Granted:
    """The cost is granted at ``at`` (UTC, now or later): the caller waits until then. The units are
    already counted.
    """

    at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """The cost is refused and nothing was counted. ``retry_at`` is when to ask again (UTC)."""

    retry_at: datetime


class RateLimiter(Protocol):
    """A counter of units per pool. Synchronous, in memory, never sleeping, never raising for a
    well-formed call.

    If a limiter raises, entries are refused and exits go through the engine's own half-rate
    limiter.
    """

    @property
    def name(self) -> str:
        """Return the short name used in config."""
        ...

    def reserve(
        self, pool: str, limit: RateLimit, cost: int, priority: Priority, now: datetime
    ) -> Granted | Refused:
        """Count ``cost`` units of ``pool`` (such as ``paper:orders:ACCOUNT``) under ``limit``.

        Entries and reads leave 20 % of the burst to exits. May grant a time up to one period ahead,
        otherwise refuse.
        """
        ...
