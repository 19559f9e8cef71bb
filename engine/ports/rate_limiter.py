"""Counting what may be sent. The engine sleeps; the plugin only counts."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Allow ``count`` units per ``period_s`` seconds, at most ``burst`` of them at once."""

    count: int
    period_s: float
    burst: int

    def __post_init__(self) -> None:
        if self.count < 1 or self.burst < 1 or not self.period_s > 0:
            raise ValueError(
                f"a rate limit needs count and burst of at least 1 and a period above 0, was {self}"
            )


class Priority(Enum):
    """Who is asking: exits may use the share of the budget that entries and reads leave untouched."""

    EXIT = "exit"
    ENTRY = "entry"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Granted:
    """Permit the cost at ``at`` (UTC, now or later): the caller waits until then. The units are
    already counted.
    """

    at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """Refuse: nothing was counted. ``retry_at`` is when asking again makes sense (UTC)."""

    retry_at: datetime


class RateLimiter(Protocol):
    """Count units per pool. Synchronous, in memory, never sleeping, never raising for a well-formed
    call.

    A limiter that raises is replaced for entries by refusal and for exits by the engine's own
    half-rate limiter.
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
