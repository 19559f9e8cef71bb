"""Rate limiter ``gcra``: a smooth limit with a burst, counted in memory. It keeps a fifth of the
burst for exits.

It counts and never sleeps. Its counts end with the process, so an unknown pool starts with a full
burst. It has no settings.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from rexalgo import (
    Granted,
    InvalidValue,
    Priority,
    RateLimit,
    RateLimiter,
    RatePools,
    Refused,
    hookimpl,
)

rexalgo_api_version = 1
default_settings: Mapping[str, object] = {}


class GcraLimiter:
    """A rate limiter that counts units per pool by GCRA and drops idle pools."""

    name = "gcra"

    def __init__(self) -> None:
        self._pools = RatePools()

    def reserve(
        self, pool: str, limit: RateLimit, cost: int, priority: Priority, now: datetime
    ) -> Granted | Refused:
        """Count ``cost`` units of ``pool``. Raise ValueError only for a cost below 1 or above the
        burst.
        """
        return self._pools.reserve(pool, limit, cost, priority, now)


@hookimpl
def register_rate_limiters(
    register: Callable[[RateLimiter], None], settings: Mapping[str, object]
) -> None:
    """Register the limiter. Refuse every setting."""
    for unknown in sorted(settings):
        raise InvalidValue(f"plugin.gcra.{unknown}", "no such setting: gcra has none")
    register(GcraLimiter())
