"""GCRA: what one pool permits, in which order, to whom; the schedule of all permits always fits the
limit.
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decisions.rate import HalfRateLimiter, RatePools
from engine.ports.rate_limiter import Granted, Priority, RateLimit, RateLimiter, Refused

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
TEN = RateLimit(10, 1.0, 10)
EXIT, ENTRY, READ = Priority.EXIT, Priority.ENTRY, Priority.READ


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def ask(
    pools: RateLimiter | RatePools,
    count: int,
    priority: Priority,
    now: datetime = NOW,
    limit: RateLimit = TEN,
) -> list[float]:
    """Reserve ``count`` times; return how many seconds ahead each permit is, -1 for a refusal."""
    answers = [pools.reserve("pool", limit, 1, priority, now) for _ in range(count)]
    return [
        round((a.at - now).total_seconds(), 6) if isinstance(a, Granted) else -1 for a in answers
    ]


def test_entries_leave_a_fifth_of_the_burst_and_exits_use_all_of_it() -> None:
    assert ask(RatePools(), 10, ENTRY) == [0] * 8 + [0.1, 0.2]
    assert ask(RatePools(), 10, READ) == [0] * 8 + [0.1, 0.2]
    assert ask(RatePools(), 12, EXIT) == [0] * 10 + [0.1, 0.2]
    pools = RatePools()
    assert ask(pools, 8, ENTRY) == [0] * 8
    assert ask(pools, 3, EXIT) == [0, 0, 0.1]


def test_exit_overtakes_entries_that_wait_for_their_permit() -> None:
    pools = RatePools()
    assert ask(pools, 13, ENTRY)[-1] == 0.5
    assert ask(pools, 3, EXIT) == [0, 0, 0.6]


def test_exit_does_not_overtake_when_exits_have_used_the_whole_burst_already() -> None:
    pools, two = RatePools(), RateLimit(2, 1.0, 2)
    assert pools.reserve("pool", two, 2, EXIT, NOW) == Granted(NOW)
    assert pools.reserve("pool", two, 1, ENTRY, NOW) == Granted(after(1))
    assert pools.reserve("pool", two, 1, EXIT, NOW) == Granted(after(1))


def test_slack_for_exits_comes_back_once_nobody_waits() -> None:
    pools = RatePools()
    ask(pools, 10, ENTRY)
    assert ask(pools, 2, EXIT) == [0, 0]
    assert ask(pools, 1, EXIT, after(2)) == [0]
    assert ask(pools, 8, ENTRY, after(5))[-1] == 0
    assert ask(pools, 2, EXIT, after(5)) == [0, 0]


@pytest.mark.parametrize(
    ("burst", "entries", "exits"),
    [(1, 1, 0), (2, 1, 1), (3, 2, 1), (4, 3, 1), (5, 4, 1), (6, 4, 2)],
)
def test_small_bursts_leave_at_least_one_unit_where_there_are_two(
    burst: int, entries: int, exits: int
) -> None:
    limit = RateLimit(10, 1.0, burst)
    pools = RatePools()
    assert ask(pools, entries, ENTRY, limit=limit) == [0] * entries
    assert ask(pools, exits, EXIT, limit=limit) == [0] * exits
    assert ask(pools, 1, EXIT, limit=limit) != [0]


def test_permits_reach_one_period_ahead_and_then_refusal_counts_nothing() -> None:
    pools = RatePools()
    assert ask(pools, 19, ENTRY)[-2:] == [1.0, -1]
    first, second = (pools.reserve("pool", TEN, 1, ENTRY, NOW) for _ in range(2))
    assert first == second == Refused(after(0.1))
    assert pools.reserve("pool", TEN, 1, ENTRY, after(0.1)) == Granted(after(1.1))


def test_pools_do_not_share_units() -> None:
    pools = RatePools()
    ask(pools, 18, ENTRY)
    assert pools.reserve("other", TEN, 8, ENTRY, NOW) == Granted(NOW)


def test_a_cost_that_can_never_be_sent_is_a_programming_error() -> None:
    pools = RatePools()
    for cost in (0, -1, 11):
        with pytest.raises(ValueError, match="cost must be from 1 to the burst of 10 units"):
            pools.reserve("pool", TEN, cost, EXIT, NOW)


def test_entry_that_costs_more_than_the_share_still_goes_when_the_bucket_is_full() -> None:
    pools = RatePools()
    assert pools.reserve("pool", TEN, 10, ENTRY, NOW) == Granted(NOW)
    assert pools.reserve("pool", TEN, 10, ENTRY, NOW) == Granted(after(1))


def test_a_clock_that_is_set_back_an_hour_does_not_stop_exits_for_an_hour() -> None:
    pools = RatePools()
    ask(pools, 15, ENTRY)
    back = NOW - timedelta(hours=1)
    for _ in range(4):
        answer = pools.reserve("pool", TEN, 1, EXIT, back)
        waited = answer.retry_at if isinstance(answer, Refused) else answer.at
        assert waited <= back + timedelta(seconds=2)


def test_rounding_never_sends_more_than_the_limit() -> None:
    limit = RateLimit(7, 1.0, 1)
    permits = ask(RatePools(), 8, EXIT, limit=limit)
    assert permits[-1] == -1  # seven intervals of 142,858 microseconds are more than one second
    assert permits[:2] == [0, 0.142858]


def test_idle_pools_are_forgotten_and_busy_ones_are_not() -> None:
    pools = RatePools()
    for number in range(5000):
        pools.reserve(f"pool-{number}", TEN, 1, ENTRY, after(number))
    assert len(pools) <= 1024
    for number in range(2000):
        pools.reserve(f"busy-{number}", TEN, 10, EXIT, after(6000))
    assert pools.reserve("busy-0", TEN, 1, EXIT, after(6000)) == Granted(after(6000.1))


def test_half_rate_limiter_takes_half_the_rate_and_half_the_burst() -> None:
    half: RateLimiter = HalfRateLimiter()
    assert ask(half, 7, EXIT) == [0] * 5 + [0.2, 0.4]
    assert HalfRateLimiter().reserve("pool", TEN, 10, EXIT, NOW) == Granted(NOW)


requests = st.lists(
    st.tuples(st.integers(0, 400_000), st.sampled_from(list(Priority)), st.integers(1, 12)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=400)
@given(
    requests=requests,
    count=st.integers(1, 20),
    burst=st.integers(1, 12),
    period_s=st.sampled_from([0.5, 1.0, 1.7, 60.0]),
)
def test_all_permits_in_time_order_fit_the_limit(
    requests: list[tuple[int, Priority, int]], count: int, burst: int, period_s: float
) -> None:
    limit, pools, now = RateLimit(count, period_s, burst), RatePools(), NOW
    permits: list[tuple[datetime, int]] = []
    for step_us, priority, cost in requests:
        now += timedelta(microseconds=step_us)
        units = min(cost, burst)
        match pools.reserve("pool", limit, units, priority, now):
            case Granted(at):
                assert now <= at <= now + timedelta(seconds=period_s)
                permits.append((at, units))
            case Refused(retry_at):
                assert retry_at > now
    fits(permits, limit)


def fits(permits: list[tuple[datetime, int]], limit: RateLimit) -> None:
    """Replay the permits through a plain token bucket with exact fractions: it must never run below
    zero.
    """
    used_us_times_count, last = 0, NOW
    period_us = round(limit.period_s * 1_000_000)
    for at, units in sorted(permits):
        passed_us = (at - last) // timedelta(microseconds=1)
        used_us_times_count = (
            max(0, used_us_times_count - passed_us * limit.count) + units * period_us
        )
        last = at
        assert (
            used_us_times_count <= limit.burst * period_us + limit.count * limit.burst
        )  # a microsecond of rounding per unit
