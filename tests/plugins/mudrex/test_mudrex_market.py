"""Contracts, prices and candles: few requests for many contracts, keys in turn, one fault that costs
the others nothing, and candles that agree with prices.
"""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from mudrex_world import BTC, WallClock, mudrex_world

from engine.market.feed import DEADLINE_S
from plugins.mudrex import market as market_module
from plugins.mudrex import parsing
from plugins.mudrex.market import MudrexMarket
from plugins.mudrex.shared import Shared
from plugins.mudrex.simulator.contracts import CONTRACTS
from plugins.mudrex.simulator.faults import Drill
from plugins.mudrex.simulator.prices import Prices
from rexalgo import ExchangeError, HttpAnswer, HttpClient, Symbol

ALL = frozenset(map(Symbol, CONTRACTS))


async def test_many_prices_come_with_one_page_and_few_with_one_request_each(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path) as world:
        market = await world.adapter.market_data(world.context)
        assert {each.symbol for each in await market.instruments()} == ALL
        world.simulator.counts.clear()
        quotes = {each.symbol: each.last for each in await market.quotes(ALL)}
        assert quotes == {symbol: each.price for symbol, each in CONTRACTS.items()}
        assert world.simulator.counts == {"GET /fapi/v1/futures 200": 1}
        await market.quotes(frozenset({BTC}))
        assert world.simulator.counts["GET /fapi/v1/futures/BTCUSDT 200"] == 1


async def test_a_reading_takes_few_requests_and_what_was_left_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_module, "LEAST_CONTRACT_ROWS", 1)
    monkeypatch.setattr(market_module, "QUOTE_READS_MAX", 3)
    one_a_page = Drill(
        switches={"prices_move": False, "page_rows_max": 1}
    )  # however many are asked for
    async with mudrex_world(tmp_path, drill=one_a_page) as world:
        market = await world.adapter.market_data(world.context)
        assert {each.symbol for each in await market.instruments()} == ALL
        first = {each.symbol for each in await market.quotes(ALL)}
        second = {each.symbol for each in await market.quotes(ALL)}
        assert (len(first), len(second)) == (3, 3)
        assert first | second == ALL


async def test_keys_take_turns_and_without_one_nothing_is_read(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path, per_s=10) as world:
        market = await world.adapter.market_data(world.context)
        other = await world.connect("another key")
        for _ in range(16):  # more than one key may ask in a second, less than two may
            await market.quotes(frozenset({BTC}))
        await other.aclose()
        await world.connection.aclose()
        with pytest.raises(ExchangeError, match="no account is connected"):
            await market.quotes(frozenset({BTC}))
        assert await market.candles(BTC, 60, 3)  # public


async def test_a_key_that_cannot_read_costs_no_price_and_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_module, "LEAST_CONTRACT_ROWS", 1)
    one_a_page = Drill(switches={"prices_move": False, "page_rows_max": 1})
    two = frozenset({BTC, Symbol("ETHUSDT")})
    async with mudrex_world(tmp_path, drill=one_a_page) as world:
        market = await world.adapter.market_data(world.context)
        await market.instruments()
        await world.control("rotate", account="someone", key="its new key")
        with pytest.raises(ExchangeError, match="refused the key"):
            await market.quotes(two)
        await world.connect("its new key")
        world.simulator.counts.clear()
        for _ in range(4):  # the old connection stays open
            assert {each.symbol for each in await market.quotes(two)} == two
        assert not [each for each in world.simulator.counts if "401" in each], "it rests"
        await world.connect("another key", "a3")
        await world.fault("/futures", "rate_limit")
        assert {each.symbol for each in await market.instruments()} == ALL


@pytest.mark.parametrize("by_page", [True, False])
async def test_a_contract_that_is_gone_costs_the_others_no_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_page: bool
) -> None:
    async with mudrex_world(tmp_path) as world:
        market = await world.adapter.market_data(world.context)
        wanted = ALL if by_page else frozenset(sorted(ALL)[:2])
        if by_page:
            await market.instruments()
        gone = sorted(wanted)[0]
        monkeypatch.delitem(CONTRACTS, gone)
        assert {each.symbol for each in await market.quotes(wanted)} == wanted - {gone}
        monkeypatch.setattr(market_module, "QUOTE_READS_MAX", 1)
        read = set()
        for _ in range(2):
            with suppress(ExchangeError):  # nothing else was asked for
                read |= {each.symbol for each in await market.quotes(wanted)}
        assert read == wanted - {gone}, "it is asked for in its turn, not always first"


class Slow(HttpClient):
    """A client whose answers take their time."""

    async def request(self, method: str, path: str, **_: Any) -> HttpAnswer:
        await trio.sleep(1.1)
        row = {"symbol": path.rpartition("/")[2], "price": "2"}
        body = json.dumps({"success": True, "data": row}).encode()
        return cast(HttpAnswer, SimpleNamespace(status_code=200, content=body))


async def test_what_was_read_in_time_is_kept_and_the_rest_comes_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    market = MudrexMarket(Shared(readers=[Slow()]), Slow(), WallClock())
    first = {each.symbol for each in await market.quotes(ALL)}
    assert trio.current_time() <= DEADLINE_S
    second = {each.symbol for each in await market.quotes(ALL)}
    assert len(first) == 2
    assert first | second == ALL


async def test_a_contract_without_a_readable_price_is_left_out(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path) as world:
        market = await world.adapter.market_data(world.context)
        with pytest.raises(ExchangeError, match="404"):
            await market.quotes(frozenset({Symbol("NOSUCHUSDT")}))
        await world.fault("/futures", "garbage")
        with pytest.raises(ExchangeError, match="cannot be read"):
            await market.quotes(frozenset({BTC}))


async def test_candles_are_closed_in_order_and_agree_with_the_prices(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path, drill=Drill(switches={"prices_move": True})) as world:
        market = await world.adapter.market_data(world.context)
        now = datetime.now(UTC).timestamp()
        read = await market.candles(BTC, 60, 5)
        starts = [each.opened_at.timestamp() for each in read]
        assert len(read) == 5
        assert starts == [starts[0] + 60 * index for index in range(5)]
        assert now - 130 < starts[-1] <= now - 59
        prices = world.simulator.exchange.world.prices
        assert [each.open for each in read] == [prices.at(BTC, start) for start in starts]
        assert all(
            each.low <= min(each.open, each.close) <= max(each.open, each.close) <= each.high
            for each in read
        )
        assert len(await market.candles(BTC, 3_600, 2)) == 2
        with pytest.raises(ExchangeError, match="candles of 7 s"):
            await market.candles(BTC, 7, 1)
        assert await market.candles(Symbol("NOSUCHUSDT"), 60, 5) == []


async def test_past_candles_are_those_of_their_time_and_join_the_newest(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path, drill=Drill(switches={"prices_move": True})) as world:
        market = await world.adapter.market_data(world.context)
        assert world.adapter.traits.past_candle_lengths_s[0] == 60
        newest = (await market.candles(BTC, 60, 5))[0].opened_at
        since = newest - timedelta(minutes=30)
        read = await market.past_candles(BTC, 60, since, newest + timedelta(minutes=1))
        assert [each.opened_at for each in read] == [
            since + timedelta(minutes=number) for number in range(31)
        ]
        assert read[-1] == (await market.candles(BTC, 60, 5))[0]
        running = await market.past_candles(BTC, 60, newest, newest + timedelta(hours=1))
        assert running[-1].opened_at <= datetime.now(UTC) - timedelta(seconds=60)


def test_recorded_candles_are_read_and_no_candles_are_none() -> None:
    data = {
        "asset_ticks": {
            "btc/usdt": [
                [Decimal(120), 1, 3, Decimal("0.5"), "2", 9],
                [Decimal(60), "1", "1", "1", "1"],
            ]
        }
    }
    read = parsing.candles(data, BTC, 60)
    assert [(int(each.opened_at.timestamp()), each.low, each.volume) for each in read] == [
        (60, 1, 0),
        (120, Decimal("0.5"), 9),
    ]
    assert parsing.candles({}, BTC, 60) == []
    assert [parsing.newest_closed(read, now, 1) for now in (120, 179, 180)] == [
        read[:1],
        read[:1],
        read[1:],
    ]
    with pytest.raises(ValueError, match="expected candles"):
        parsing.candles({"asset_ticks": {"btc/usdt": [[1, 2]]}}, BTC, 60)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"assets": ""}, "assets are required"),
        ({"assets": ",".join(["BTC/USDT"] * 26)}, "allowed assets size is 25"),
        ({"aggregation": "5x"}, "5x aggregation not supported"),
        ({"start_time": "0"}, "start and end time should be greater than 0"),
        ({"end_time": "10"}, "end time should be greater than start time"),
    ],
)
async def test_the_simulator_refuses_klines_as_the_exchange_does(
    tmp_path: Path, query: dict[str, str], text: str
) -> None:
    good = {"assets": "BTC/USDT", "aggregation": "1m", "start_time": "1000", "end_time": "2000"}
    async with mudrex_world(tmp_path) as world:
        client = world.context.http(f"{world.url}/fapi")
        answer = await client.get("/v1/price/kline", params={**good, **query})
        assert (answer.status_code, answer.json()["errors"][0]["text"]) == (400, text)
        mark = await client.get("/v1/price/mark-kline", params=good)
        assert {len(each) for each in mark.json()["data"]["asset_ticks"]["btc/usdt"]} == {5}


def test_prices_repeat_with_the_seed_stay_on_the_step_and_obey_a_hand() -> None:
    one, same, other = Prices(1), Prices(1), Prices(2)
    seconds = range(1_700_000_000, 1_700_000_400, 7)
    path = [one.at("BTCUSDT", each) for each in seconds]
    assert path == [same.at("BTCUSDT", each) for each in seconds]
    assert path != [other.at("BTCUSDT", each) for each in seconds]
    assert len(set(path)) > 20
    assert all(
        each % Decimal("0.1") == 0 and abs(each / 65000 - 1) < Decimal("0.011") for each in path
    )
    one.set("BTCUSDT", Decimal(50000), 1_700_000_100)
    one.set("BTCUSDT", None, 1_700_000_200)
    assert one.at("BTCUSDT", 1_700_000_150) == 50000
    assert one.at("BTCUSDT", 1_700_000_099) == same.at("BTCUSDT", 1_700_000_099)
    assert one.at("BTCUSDT", 1_700_000_200) == same.at("BTCUSDT", 1_700_000_200)
