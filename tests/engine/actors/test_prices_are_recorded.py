"""Prices are recorded beside the orders: they survive a restart, and a month of them is kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import trio

from engine.actors.price_recording import EVERY_S, record_prices
from engine.decisions.recorded_prices import RecordedPrices
from engine.domain.identifiers import Symbol
from engine.ledger.prices import KEPT, forget_prices, read_blocks
from engine.ledger.query import fetch_one
from plugins.paper.market import SimulatedPrices
from tests.engine.actors import engine_world
from tests.engine.actors.engine_world import BEGINNING, BTC, World

OTHER = Symbol("ETHUSDT")


@asynccontextmanager
async def world(*args: Any, **named: Any) -> AsyncIterator[World]:
    """Make a world whose strategy lists its contract."""
    async with engine_world.world(*args, **named) as house:
        house.ledger.db.execute("UPDATE strategy SET symbols = '[\"BTCUSDT\"]'")
        yield house


async def test_what_the_feed_saw_is_in_the_ledger_after_a_stop(autojump_clock, tmp_path) -> None:
    async with world(tmp_path, followers=1, paper={"price_fixed": {}}) as house:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(record_prices, house.shared)
            await trio.sleep(EVERY_S + 90.5)
            nursery.cancel_scope.cancel()
        blocks = read_blocks(house.ledger.db, "paper", BTC, BEGINNING)
        prices, market = RecordedPrices({BTC: blocks}), SimulatedPrices(1, 20, {})
        begin = int(BEGINNING.timestamp())
        for second in range(begin, begin + int(EVERY_S) + 90):
            assert prices.at(BTC, second) == (second, market.price(BTC, second))
        assert len(blocks) == 1, "a block grows until its hour ends"


async def test_a_month_is_kept_and_each_hour_is_one_row(autojump_clock, tmp_path) -> None:
    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        nursery.start_soon(record_prices, house.shared)
        await trio.sleep(2 * 3_600 + EVERY_S + 10)
        assert _rows(house) == 3
        house.ledger.db.execute("UPDATE price_block SET begin_s = begin_s - ?", (_old(),))
        await trio.sleep(EVERY_S)
        assert _rows(house) == 1, "what is older than a month is gone"
        nursery.cancel_scope.cancel()


async def test_old_prices_go_in_small_writes(autojump_clock, tmp_path) -> None:
    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        house.ledger.db.executemany(
            "INSERT INTO price_block (exchange, symbol, begin_s, end_s, low, high, packed) VALUES "
            "('paper', ?, 0, 1, '1', '1', x'00')",
            [(f"C{number}",) for number in range(450)],
        )
        now = house.shared.clock.now()
        assert forget_prices(house.ledger.db, now, 200) == 200
        nursery.start_soon(record_prices, house.shared)
        await trio.sleep(EVERY_S + 10)
        assert _rows(house) == 1
        nursery.cancel_scope.cancel()


async def test_what_nobody_names_any_more_is_not_recorded(autojump_clock, tmp_path) -> None:
    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        feed = house.shared.feeds["paper"]
        assert await feed.quote(OTHER, 5) is not None
        await trio.sleep(5)
        assert OTHER in feed.tape.symbols, "who asked is answered from then on"
        nursery.start_soon(record_prices, house.shared)
        await trio.sleep(2 * EVERY_S)
        assert set(feed.tape.symbols) == {BTC}
        assert read_blocks(house.ledger.db, "paper", OTHER, BEGINNING) == []
        assert await feed.quote(OTHER, 5) is not None
        nursery.cancel_scope.cancel()


def _old() -> int:
    return int((KEPT + timedelta(hours=4)).total_seconds())


def _rows(house: World) -> int:
    row = fetch_one(house.ledger.db, "SELECT count(*) FROM price_block")
    assert row is not None
    return int(row[0])
