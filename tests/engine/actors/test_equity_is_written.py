"""Equity is recorded at an account's first reading and after each fill, as it was read, and at no
other time.
"""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import trio
from engine_world import World, world
from trio.testing import MockClock

from engine.actors.bookkeeping import EQUITY_EVERY_S, EVERY_S, Bookkeeping
from engine.domain.identifiers import AccountId
from engine.domain.signal import Action, PositionSide
from engine.ledger.results import equity_points

EVER = datetime(2020, 1, 1, tzinfo=UTC)


def points(house: World, index: int) -> list[tuple[datetime, Decimal]]:
    return equity_points(house.ledger.db, AccountId(f"a{index}"), EVER)


async def test_a_curve_begins_with_the_first_reading_and_moves_with_each_fill(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=2) as house, trio.open_nursery() as nursery:
        nursery.start_soon(Bookkeeping(house.shared, house.account_tasks).run)
        for each in house.followers:
            await each.account.wait_read()
        await trio.sleep(2 * EVERY_S)
        assert [[worth for _, worth in points(house, each)] for each in (0, 1)] == [
            [Decimal(10_000)],
            [Decimal(10_000)],
        ]
        await trio.sleep(60)
        assert len(points(house, 0)) == 1  # nothing happened: nothing is written
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == [
            "filled",
            "filled",
        ]
        while len(points(house, 0)) < 2:
            await house.next_commit()
        (first, _), (second, worth) = points(house, 0)
        assert second > first
        assert worth < 10_000  # the fee was paid
        await trio.sleep(3600 + EQUITY_EVERY_S)
        assert len(points(house, 0)) == 3  # the hour's
        nursery.cancel_scope.cancel()


async def test_an_entry_that_is_filled_at_once_is_seen_on_the_account_within_seconds(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        (follower,) = house.followers
        await follower.account.wait_read()
        await trio.sleep(1)  # the reader is in its long pause now: nothing is open
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == [
            "filled"
        ]
        await trio.sleep(5)
        assert follower.account.report is not None
        assert [each.symbol for each in follower.account.report.positions] == ["BTCUSDT"]
