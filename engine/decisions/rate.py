"""Rate limiting as arithmetic on explicit time: GCRA (the leaky bucket as a meter) in whole
microseconds.

A pool's whole memory is its *theoretical arrival time* (TAT): each unit moves it one interval
(period / count, rounded up) into the future; the further it lies ahead of now, the less may be
sent. A reservation is permitted at the moment when the TAT lies at most the usable burst ahead.

What must always hold: all permits together, in the order of their times, never exceed ``burst`` at
once plus ``count`` per period, whatever the priorities. Entries and reads leave a fifth of the
burst (at least one unit, if there are two) to exits. Permits may lie ahead in time, so an exit
would otherwise queue behind entries that have not been sent yet. It may instead overtake them for
as long as that fifth (``slack``) lasts, which is exactly the room that their permits leave.

Nothing here sleeps, reads a clock or keeps more than the pools that are not idle.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from engine.ports.rate_limiter import Granted, Priority, RateLimit, Refused

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SWEEP_AT_LEAST: Final = 1024


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool's memory; times are microseconds since 1970.

    ``waiting_until_us`` is the latest permit given ahead of time, ``slack`` how many units may
    still overtake such permits, and ``sent_tat_us`` the TAT of what could be sent before the first
    of them: an overtaking unit must fit beside that as well.
    """

    tat_us: int
    sent_tat_us: int
    waiting_until_us: int
    slack: int


@dataclass(frozen=True, slots=True)
class _Pace:
    """A limit in whole microseconds; the interval is rounded up, so that rounding never sends more."""

    interval_us: int
    period_us: int
    burst: int

    @staticmethod
    def of(limit: RateLimit) -> "_Pace":
        period_us = max(1, round(limit.period_s * 1_000_000))
        return _Pace(-(-period_us // limit.count), period_us, limit.burst)


def burst_share(limit: RateLimit, priority: Priority) -> int:
    """Return how many units of the burst this priority may use: all for exits, four fifths (at
    least one) for the others.
    """
    return limit.burst if priority is Priority.EXIT else max(1, limit.burst * 4 // 5)


def reserve(
    state: PoolState | None, limit: RateLimit, cost: int, share: int, now: datetime
) -> tuple[PoolState, Granted] | Refused:
    """Count ``cost`` units against ``share`` units of the burst; None is a pool that was never
    used.

    Grants a time at most one period ahead, otherwise refuses and counts nothing. A cost above
    ``share`` needs the bucket that much fuller. A cost above the burst could never be sent and
    raises ValueError, as does a cost below 1.
    """
    if not 1 <= cost <= limit.burst:
        raise ValueError(f"cost must be from 1 to the burst of {limit.burst} units, was {cost}")
    pace, at = _Pace.of(limit), (now - _EPOCH) // timedelta(microseconds=1)
    before = _as_of(state, pace, at)
    overtaken = _overtake(before, pace, cost, at) if max(share, cost) == limit.burst else None
    if overtaken is not None:
        return overtaken, Granted(now)
    usable = max(share, cost)
    tat = before.tat_us + cost * pace.interval_us
    permit = max(at, tat - usable * pace.interval_us)
    if permit > at + pace.period_us:
        return Refused(_moment(permit - pace.period_us))
    if permit == at:
        return PoolState(tat, tat, before.waiting_until_us, before.slack), Granted(now)
    waiting_until = max(before.waiting_until_us, permit)
    return PoolState(
        tat, before.sent_tat_us, waiting_until, min(before.slack, limit.burst - usable)
    ), Granted(_moment(permit))


def _overtake(before: PoolState, pace: _Pace, cost: int, at: int) -> PoolState | None:
    """Send now, ahead of waiting permits, if their slack and what was already sent leave room; None
    otherwise.
    """
    sent_tat = before.sent_tat_us + cost * pace.interval_us
    if (
        before.waiting_until_us <= at
        or cost > before.slack
        or sent_tat > at + pace.burst * pace.interval_us
    ):
        return None
    return PoolState(
        before.tat_us + cost * pace.interval_us,
        sent_tat,
        before.waiting_until_us,
        before.slack - cost,
    )


def _as_of(state: PoolState | None, pace: _Pace, at: int) -> PoolState:
    """Bring a pool to ``at``: forget time already passed; with nobody waiting, everything is sent
    and the whole burst is slack.

    A TAT further ahead than any permit can put it comes from a clock that was set back. It is
    brought into reach, so that such a clock delays exits by one period, not by the whole step.
    """
    if state is None:
        return PoolState(at, at, at, pace.burst)
    tat = min(max(state.tat_us, at), at + pace.period_us + pace.burst * pace.interval_us)
    waiting_until = min(state.waiting_until_us, at + pace.period_us)
    if waiting_until <= at:
        return PoolState(tat, tat, at, pace.burst)
    return PoolState(
        tat, min(max(state.sent_tat_us, at), tat), waiting_until, min(state.slack, pace.burst)
    )


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


class RatePools:
    """Many pools by name, without the idle ones: a pool whose TAT has passed is the same as one
    never used.

    Memory is bounded by the pools used within about the last period: a sweep runs whenever their
    number has doubled.
    """

    def __init__(self) -> None:
        self._pools: dict[str, PoolState] = {}
        self._sweep_at = _SWEEP_AT_LEAST

    def __len__(self) -> int:
        return len(self._pools)

    def reserve(
        self, pool: str, limit: RateLimit, cost: int, priority: Priority, now: datetime
    ) -> Granted | Refused:
        """Count ``cost`` units of ``pool``; see this module's ``reserve`` for rules and errors."""
        answer = reserve(
            self._pools.get(pool),
            limit=limit,
            cost=cost,
            share=burst_share(limit, priority),
            now=now,
        )
        if isinstance(answer, Refused):
            return answer
        self._pools[pool], granted = answer
        if len(self._pools) >= self._sweep_at:
            self._forget_idle(now)
        return granted

    def _forget_idle(self, now: datetime) -> None:
        at = (now - _EPOCH) // timedelta(microseconds=1)
        self._pools = {name: state for name, state in self._pools.items() if state.tat_us > at}
        self._sweep_at = max(_SWEEP_AT_LEAST, 2 * len(self._pools))


class HalfRateLimiter:
    """The substitute for a limiter plugin that raised: the same arithmetic at half the rate and
    half the burst.

    It takes only half because it does not know what the plugin had already counted.
    """

    name = "half_rate"

    def __init__(self) -> None:
        self._pools = RatePools()

    def reserve(
        self, pool: str, limit: RateLimit, cost: int, priority: Priority, now: datetime
    ) -> Granted | Refused:
        """Count ``cost`` units of ``pool`` under half of ``limit``; a cost above half the burst
        still fits once.
        """
        half = RateLimit(limit.count, limit.period_s * 2, max(1, cost, limit.burst // 2))
        return self._pools.reserve(pool, half, cost, priority, now)
