"""What a refusal for too many requests teaches, and how it is forgotten."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.learned_rate import SHARE_MIN, LearnedRate
from engine.ports.rate_limiter import RateLimit

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
STATED = RateLimit(count=10, period_s=1.0, burst=20)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_an_exchange_that_never_refused_is_used_as_it_states() -> None:
    rate = LearnedRate()
    assert rate.limit(STATED, 1, NOW) is STATED


def test_each_refusal_halves_the_rate_and_the_burst() -> None:
    rate = LearnedRate()
    rate.refused(NOW)
    assert rate.limit(STATED, 1, NOW) == RateLimit(count=10, period_s=2.0, burst=10)
    rate.refused(after(1))
    assert round(rate.share(after(1)), 2) == 0.25


def test_refusals_of_one_second_count_as_one() -> None:
    rate = LearnedRate()
    for millisecond in range(0, 900, 10):
        rate.refused(after(millisecond / 1000))
    assert rate.share(NOW) == 0.5


def test_it_is_forgotten_slowly() -> None:
    rate = LearnedRate()
    rate.refused(NOW)
    assert round(rate.share(after(60)), 2) == 0.6
    assert rate.share(after(299)) < 1.0
    assert rate.limit(STATED, 1, after(300)) is STATED


@given(st.lists(st.floats(min_value=-5, max_value=400), max_size=60), st.integers(1, 20))
def test_the_rate_stays_between_an_eighth_and_what_is_stated(
    pauses: list[float], requests: int
) -> None:
    """Whatever the clock does, and the burst always holds what one call takes."""
    rate, at = LearnedRate(), 0.0
    for pause in pauses:
        at += pause
        rate.refused(after(at))
        limit = rate.limit(STATED, requests, after(at))
        assert SHARE_MIN <= rate.share(after(at)) <= 1.0
        assert requests <= limit.burst <= STATED.burst
        assert limit.period_s >= STATED.period_s
