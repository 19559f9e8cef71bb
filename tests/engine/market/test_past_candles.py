"""The candles of a chart: few enough, closed, read once, and never in the way of a price."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from engine.actors.clock import TrioClock
from engine.domain.amounts import Price
from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import Symbol
from engine.market.feed import MarketFeed
from engine.market.past_candles import DEADLINE_S, window_of
from engine.ports.market_data import Candle

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
BTC = Symbol("BTCUSDT")
LENGTHS = (60, 300, 3600, 86_400)


@given(
    st.integers(0, 400 * 86_400),
    st.integers(0, 300 * 86_400),
    st.sampled_from([LENGTHS, (1,), (60,), (86_400, 604_800)]),
)
def test_a_chart_shows_few_closed_candles_around_its_time(
    ago_s: int, span_s: int, lengths: tuple[int, ...]
) -> None:
    ended = NOW - timedelta(seconds=ago_s)
    began = ended - timedelta(seconds=span_s)
    found = window_of(lengths, began, ended, NOW)
    assert found is not None
    length, since, until = found
    assert length in lengths
    assert all(each.timestamp() % length == 0 for each in (since, until))
    assert until <= NOW
    assert ended - timedelta(seconds=length) <= until
    assert (until - since).total_seconds() <= 160 * length
    finest = next(
        (each for each in lengths if 1.5 * span_s + 2 * each <= 160 * each and span_s <= 99 * each),
        lengths[-1],
    )
    assert length <= finest, "as fine as fits"
    if span_s <= 99 * length:
        assert since <= began - timedelta(seconds=11 * length)


def test_an_exchange_without_past_candles_has_no_window() -> None:
    assert window_of((), NOW, NOW, NOW) is None


class Market:
    """A market with past candles that counts readings; ``other`` changes what it answers."""

    def __init__(self, other: dict[str, object] | None = None, takes_s: float = 0) -> None:
        self.readings = 0
        self.other = other or {}
        self.takes_s = takes_s

    async def past_candles(
        self, symbol: Symbol, interval_s: int, since: datetime, until: datetime
    ) -> Sequence[Candle]:
        self.readings += 1
        await trio.sleep(self.takes_s)
        count = int((until - since).total_seconds()) // interval_s
        made = [
            {
                "symbol": symbol,
                "interval_s": interval_s,
                "opened_at": since + timedelta(seconds=interval_s * number),
                **dict.fromkeys(("open", "high", "low", "close"), Price(Decimal(number + 1))),
                "volume": Decimal(1),
                **self.other,
            }
            for number in reversed(range(count))
        ]
        return [Candle(**each) for each in made]  # type: ignore[arg-type]


def feed_of(market: Market | None, lengths: tuple[int, ...] = LENGTHS) -> MarketFeed:
    adapter: Any = SimpleNamespace(
        name="x", traits=SimpleNamespace(past_candle_lengths_s=lengths), market_data=None
    )
    context: Any = None
    feed = MarketFeed(adapter, context, TrioClock(NOW))
    feed._market = market  # type: ignore[assignment]
    return feed


async def test_what_is_closed_is_read_once_and_oldest_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    market = Market()
    feed = feed_of(market)
    began, ended = NOW - timedelta(hours=2), NOW - timedelta(hours=1)
    first = await feed.chart(BTC, began, ended)
    assert first is not None
    assert [each.opened_at for each in first] == sorted(each.opened_at for each in first)
    assert await feed.chart(BTC, began, ended) == first
    assert market.readings == 1
    for number in range(4):
        await feed.chart(BTC, began - timedelta(hours=number + 1), ended)
    assert trio.current_time() >= 1.5, "readings take turns"
    assert await feed_of(market, ()).chart(BTC, began, ended) is None


@pytest.mark.parametrize(
    ("market", "words"),
    [
        (Market({"symbol": Symbol("ETHUSDT")}), "found others"),
        (Market({"interval_s": 7}), "found others"),
        (Market({"opened_at": NOW}), "found others"),
        (Market(takes_s=DEADLINE_S + 1), "found none"),
        (None, "expected market data of x, found none yet"),
    ],
)
async def test_what_was_not_asked_for_is_no_chart(
    autojump_clock: trio.testing.MockClock, market: Market | None, words: str
) -> None:
    with pytest.raises(RexAlgoError, match=words):
        await feed_of(market).chart(BTC, NOW - timedelta(hours=2), NOW)


async def test_whoever_waits_too_long_behind_other_charts_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    feed = feed_of(Market(takes_s=2))
    told: list[object] = []

    async def ask(number: int) -> None:
        began = NOW - timedelta(hours=number + 2)
        try:
            told.append(await feed.chart(BTC, began, began + timedelta(hours=1)))
        except RexAlgoError as error:
            told.append(str(error))

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(ask, number)
    assert sum("other charts waiting" in str(each) for each in told) == 1
