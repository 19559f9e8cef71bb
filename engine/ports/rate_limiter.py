"""Rate limiting. The plugin only counts; the engine does the waiting."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Protocol

LATEST_S: Final = 60.0
"""How far ahead an answer may lie, if the limit's own period is no longer."""


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


class UnusableAnswer(Exception):
    """Raised when a limiter's answer, or what it raised, is none that can be waited for."""


class RateLimiter(Protocol):
    """A counter of units per pool. Synchronous, in memory, never sleeping, never raising for a
    well-formed call.

    If a limiter raises, or answers what ``ask`` does not take, entries are refused and exits go
    through the engine's own half-rate limiter.
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


def ask(
    limiter: RateLimiter, pool: str, limit: RateLimit, cost: int, priority: Priority, now: datetime
) -> Granted | Refused:
    """Ask a limiter; raises UnusableAnswer for whatever it raises and for an answer that nobody can
    wait for: another type, a time without a zone, one more than a minute, or the limit's period, ahead, or
    asking again at a time that has passed.
    """
    try:
        answer = limiter.reserve(pool, limit, cost, priority, now)
        at = answer.at if isinstance(answer, Granted) else answer.retry_at
        ahead = at - now
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and other libraries' cancellations too
        raise UnusableAnswer(type(error).__name__) from error
    if ahead > timedelta(seconds=max(LATEST_S, limit.period_s)):
        raise UnusableAnswer(f"it answered a time {ahead} ahead")
    if isinstance(answer, Refused) and ahead <= timedelta(0):
        raise UnusableAnswer("it refused, and named a time that has passed")
    return answer
