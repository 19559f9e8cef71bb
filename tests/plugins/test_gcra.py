"""The gcra plugin: registered without settings, counts by the rules of the port."""

from datetime import UTC, datetime

import pytest

from plugins import gcra
from rexalgo import Granted, InvalidValue, Priority, RateLimit, RateLimiter, Refused

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def registered() -> RateLimiter:
    found: list[RateLimiter] = []
    gcra.register_rate_limiters(found.append, {})
    (limiter,) = found
    return limiter


def test_gcra_keeps_a_fifth_of_the_burst_for_exits_and_refuses_beyond_one_period() -> None:
    limiter, limit = registered(), RateLimit(5, 1.0, 5)
    entries = [limiter.reserve("p", limit, 1, Priority.ENTRY, NOW) for _ in range(10)]
    assert entries[:4] == [Granted(NOW)] * 4
    assert isinstance(entries[4], Granted)
    assert entries[4].at > NOW
    assert isinstance(entries[9], Refused)
    assert limiter.reserve("p", limit, 1, Priority.EXIT, NOW) == Granted(NOW)
    assert limiter.name == "gcra"


def test_gcra_refuses_every_setting() -> None:
    with pytest.raises(InvalidValue, match=r"plugin\.gcra\.burst: expected no such setting"):
        gcra.register_rate_limiters(lambda _: None, {"burst": 3})
    assert gcra.rexalgo_api_version == 1
    assert gcra.default_settings == {}
