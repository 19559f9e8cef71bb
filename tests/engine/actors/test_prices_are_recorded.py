"""Prices are recorded beside the orders: they survive a restart, and a month of them is kept."""

from datetime import timedelta

import trio

from engine.actors.price_recording import EVERY_S, record_prices
from engine.decisions.recorded_prices import RecordedPrices
from engine.ledger.prices import KEPT, read_blocks
from engine.ledger.query import fetch_one
from plugins.paper.market import SimulatedPrices
from tests.engine.actors.engine_world import BEGINNING, BTC, World, world


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


def _old() -> int:
    return int((KEPT + timedelta(hours=4)).total_seconds())


def _rows(house: World) -> int:
    row = fetch_one(house.ledger.db, "SELECT count(*) FROM price_block")
    assert row is not None
    return int(row[0])
