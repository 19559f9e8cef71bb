"""The feed of an exchange: a contract that it does not list costs the others nothing, and neither a
list nor candles that take long delay a price.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
import trio

from engine.actors.clock import TrioClock
from engine.domain.amounts import Price, Quantity, Ratio
from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import Symbol
from engine.domain.instrument import Instrument
from engine.market.feed import DEADLINE_S, INSTRUMENTS_S, LIST_DEADLINE_S, MarketFeed
from engine.ports.market_data import Candle, Quote

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
BTC, ETH, GONE = Symbol("BTCUSDT"), Symbol("ETHUSDT"), Symbol("NOTLISTEDUSDT")


class Market:
    """A market that lists one contract and fails for any other, as exchanges do."""

    async def instruments(self) -> Sequence[Instrument]:
        one = Decimal(1)
        return [
            Instrument(
                BTC,
                Price(one),
                Quantity(one),
                Quantity(one),
                Quantity(one * 100),
                one * 5,
                Ratio(one),
                Ratio(one * 50),
            )
        ]  # type: ignore[arg-type]

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        if symbols != {BTC}:
            raise ValueError(f"asset not found: {sorted(symbols)}")
        return [Quote(BTC, Price(Decimal(65_000)), Price(Decimal(65_000)), NOW)]

    async def aclose(self) -> None:
        pass


async def test_a_contract_that_is_not_listed_leaves_the_others_their_price(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def market_data(context: object) -> Market:
        return Market()

    feed = MarketFeed(
        SimpleNamespace(name="x", market_data=market_data), None, SimpleNamespace(now=lambda: NOW)
    )  # type: ignore[arg-type]
    feed.want(frozenset({BTC, GONE}))
    quote = await feed.quote(BTC, 5)
    assert quote is not None
    assert quote.last == 65_000
    assert await feed.quote(GONE, 5) is None
    assert feed.problem == ""


class Unruly(Market):
    """A market that returns candles of a minute newest first, including the running one;
    ``failing`` raises.
    """

    def __init__(self, clock: TrioClock) -> None:
        self.clock = clock
        self.failing = False

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        if self.failing:
            raise ConnectionError("503")
        running = int((self.clock.now() - NOW).total_seconds()) // interval_s
        return [
            Candle(
                symbol,
                interval_s,
                NOW + timedelta(seconds=interval_s * number),
                *[Price(Decimal(number + 100))] * 4,
                Decimal(1),
            )
            for number in range(running, running - limit, -1)
        ]


async def test_candles_come_once_closed_and_oldest_first_whatever_the_exchange_tells(
    autojump_clock: trio.testing.MockClock,
) -> None:
    clock = TrioClock(NOW)
    market = Unruly(clock)

    async def market_data(context: object) -> Market:
        return market

    feed = MarketFeed(SimpleNamespace(name="x", market_data=market_data), None, clock)  # type: ignore[arg-type]
    await trio.sleep(5 * 60 + 30)
    past = await feed.history(BTC, 60, 4)
    assert [each.close for each in past] == [102, 103, 104]
    came = []
    async with aclosing(feed.candles(BTC, 60)) as coming:
        async for candle in coming:
            came.append(candle.close)
            assert candle.opened_at + timedelta(minutes=1) <= clock.now()
            if len(came) == 2:
                await trio.sleep(3 * 60)
            if len(came) == 6:
                break
    assert came == [104, 105, 106, 107, 108, 109]
    market.failing = True
    with pytest.raises(ConnectionError):
        await feed.history(BTC, 60, 4)


async def test_a_history_that_cannot_be_read_is_no_empty_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def market_data(context: object) -> Market:
        raise ConnectionError("503")

    feed = MarketFeed(SimpleNamespace(name="x", market_data=market_data), None, TrioClock(NOW))  # type: ignore[arg-type]
    with pytest.raises(RexAlgoError, match="expected market data of x, found ConnectionError: 503"):
        await feed.history(BTC, 60, 4)


class Two(Market):
    """A market with a second contract, whose quote is ``odd``; what is no Exception is raised."""

    def __init__(self, odd: object) -> None:
        self.odd = odd

    async def instruments(self) -> Sequence[Instrument]:
        (one,) = await super().instruments()
        return [one, replace(one, symbol=ETH)]

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        if isinstance(self.odd, BaseException):
            raise self.odd
        return [self.odd, *await super().quotes(frozenset({BTC}))]  # type: ignore[list-item]


async def a_second_of(market: Market) -> MarketFeed:
    async def market_data(context: object) -> Market:
        return market

    feed = MarketFeed(
        SimpleNamespace(name="x", market_data=market_data), None, SimpleNamespace(now=lambda: NOW)
    )  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, frozenset({BTC, ETH}))
        await trio.sleep(2.5)
        nursery.cancel_scope.cancel()
    return feed


USUAL = Quote(ETH, Price(Decimal(3_000)), Price(Decimal(3_000)), NOW)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"last": Decimal("NaN")}, "last: expected a Decimal above zero, found Decimal('NaN')"),
        ({"last": 3_000.5}, "last: expected a Decimal above zero, found 3000.5"),
        ({"last": Decimal(0)}, "last: expected a Decimal above zero, found Decimal('0')"),
        ({"mark": None}, "mark: expected a Decimal above zero, found None"),
        ({"at": None}, "at: expected a datetime with a time zone, found None"),
        ({"at": 1_795_000_000_000}, "at: expected a datetime with a time zone, found 1795"),
        ({"at": NOW.replace(tzinfo=None)}, "at: expected a datetime with a time zone"),
    ],
)
async def test_an_odd_quote_is_told_and_costs_the_other_contracts_nothing(
    autojump_clock: trio.testing.MockClock, changes: dict[str, object], found: str
) -> None:
    feed = await a_second_of(Two(replace(USUAL, **changes)))  # type: ignore[arg-type]
    assert f"quote of ETHUSDT: {found}" in feed.problem
    newest = feed.newest(BTC)
    assert newest is not None
    assert newest.last == 65_000
    assert feed.newest(ETH) is None


@pytest.mark.parametrize("raised", [asyncio.CancelledError(), SystemExit(1)])
async def test_what_a_market_raises_ends_nothing_but_its_reading(
    autojump_clock: trio.testing.MockClock, raised: BaseException
) -> None:
    feed = await a_second_of(Two(raised))
    assert feed.problem == f"RexAlgoError: the plugin raised {type(raised).__name__}"


class Long(Market):
    """A market whose list of contracts and whose candles take long."""

    def __init__(self, clock: TrioClock, takes_s: float) -> None:
        self.clock, self.takes_s = clock, takes_s
        self.lists = 0

    async def instruments(self) -> Sequence[Instrument]:
        self.lists += 1
        await trio.sleep(self.takes_s)
        return await super().instruments()

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        (quote,) = await super().quotes(symbols)
        return [replace(quote, at=self.clock.now())]

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        await trio.sleep(DEADLINE_S - 1)
        return []


async def test_a_list_that_takes_long_is_read_and_delays_no_price(
    autojump_clock: trio.testing.MockClock,
) -> None:
    clock = TrioClock(NOW)
    market = Long(clock, LIST_DEADLINE_S - 1)

    async def market_data(context: object) -> Market:
        return market

    feed = MarketFeed(SimpleNamespace(name="x", market_data=market_data), None, clock)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, frozenset({BTC}))
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        assert await feed.quote(BTC, 5) is None
        assert not await feed.trades(BTC)
        assert trio.current_time() - began == 2 * DEADLINE_S, "nobody waits longer for the list"
        assert "no list of them" in feed.problem
        await trio.sleep(LIST_DEADLINE_S)
        assert feed.newest(BTC) is not None
        assert (market.lists, feed.problem) == (1, "")
        await trio.sleep(INSTRUMENTS_S - 20)  # soon it is read again
        assert market.lists == 1
        began = trio.current_time()
        while trio.current_time() < began + 2 * LIST_DEADLINE_S:
            await trio.sleep(1)
            newest = feed.newest(BTC)
            assert newest is not None
            assert clock.now() - newest.at <= timedelta(seconds=2)
            assert await feed.quote(BTC, 0) is not None
        assert (market.lists, feed.problem) == (2, "")
        nursery.cancel_scope.cancel()


async def test_candles_that_take_long_delay_no_price(
    autojump_clock: trio.testing.MockClock,
) -> None:
    clock = TrioClock(NOW)

    async def market_data(context: object) -> Market:
        return Long(clock, 0)

    feed = MarketFeed(SimpleNamespace(name="x", market_data=market_data), None, clock)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, frozenset({BTC}))
        await trio.sleep(2)
        for _ in range(3):  # as many strategies, when a minute ends
            nursery.start_soon(feed.history, BTC, 60, 4)
        began = trio.current_time()
        while trio.current_time() < began + 3 * DEADLINE_S:
            await trio.sleep(0.7)
            asked = trio.current_time()
            assert await feed.quote(BTC, 0.5) is not None
            assert trio.current_time() == asked
        nursery.cancel_scope.cancel()
