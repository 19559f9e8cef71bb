"""After the strategy's own stop or target has closed a position, its next entry is copied: its
master is flat by the same level. What anybody else closed waits for a close of the master.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import BTC, World, world
from test_books_are_completed import reluctant
from test_books_hold import by_hand, closed, opened, price_is, trades
from trio.testing import MockClock

from engine.domain.amounts import Price
from engine.domain.order import OrderSide, ProtectionOrder
from engine.domain.signal import Action, PositionSide
from engine.ledger.query import fetch_all

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
STOP, TARGET = Price(Decimal(64_000)), Price(Decimal(66_000))


async def closes_at(house: World, price: str) -> None:
    """Let the price go there for as long as one reading takes."""
    price_is(house, price)
    await house.followers[0].reader.read_account()
    price_is(house, "65000")
    await trio.sleep(5)  # until the feed has read it


async def next_open(house: World, side: PositionSide = LONG) -> list[str | None]:
    return await house.outcome(await house.send(Action.OPEN, side=side))


@pytest.mark.parametrize(
    ("price", "side", "levels"),
    [
        ("63000", LONG, {"stop_loss": STOP, "take_profit": TARGET}),
        ("67000", LONG, {"stop_loss": STOP, "take_profit": TARGET}),
        ("67000", SHORT, {"stop_loss": TARGET}),
        ("63000", SHORT, {"take_profit": STOP}),
    ],
)
async def test_the_next_open_is_copied_after_the_strategys_own_level_has_closed(
    tmp_path: Path,
    autojump_clock: MockClock,
    price: str,
    side: PositionSide,
    levels: dict[str, Any],
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=side, **levels))
        await trio.sleep(1)
        await closes_at(house, price)
        await trio.sleep(30)
        (trade,) = await trades(house)
        assert trade.cause is not None
        assert trade.cause.value in ("stop_loss", "take_profit")
        assert house.holdings() == []
        assert await next_open(house, side.opposite) == ["filled"]


async def test_the_cause_that_comes_minutes_later_ends_it_then(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=STOP)
        line = reluctant(house)
        line.orders = line.positions = False
        await closes_at(house, "63000")
        await trio.sleep(300)
        assert await next_open(house) == ["skipped.detached"]
        line.orders = line.positions = True
        await trio.sleep(130)
        assert await next_open(house) == ["filled"]


async def test_a_level_that_the_owner_moved_and_a_close_by_hand_wait_for_a_close_of_the_master(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=STOP)
        session = await house.followers[0].account.connected()
        await session.set_protection(ProtectionOrder(BTC, LONG, Price(Decimal(64_700))))
        await closes_at(house, "64600")
        await trio.sleep(60)
        assert [each.cause and each.cause.value for each in await trades(house)] == ["stop_loss"]
        assert await next_open(house) == ["skipped.detached"]
        await house.outcome(await house.send(Action.CLOSE))
        await opened(house, stop_loss=STOP)
        await by_hand(house, OrderSide.SELL, "0.003")
        await house.followers[0].reader.read_account()
        await trio.sleep(60)
        assert await next_open(house) == ["skipped.detached"]


async def test_a_stop_of_a_trade_before_does_not_end_what_a_close_by_hand_began(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=STOP)
        line = reluctant(house)
        line.orders = line.positions = False
        await closes_at(house, "63000")
        await house.outcome(await house.send(Action.CLOSE))
        await opened(house, stop_loss=STOP)
        await by_hand(house, OrderSide.SELL, "0.003")
        await house.followers[0].reader.read_account()
        line.orders = line.positions = True
        await trio.sleep(300)
        causes = fetch_all(house.ledger.db, "SELECT cause FROM fill WHERE is_entry = 0 ORDER BY id")
        assert causes == [("stop_loss",), ("owner",)]
        assert await next_open(house) == ["skipped.detached"]
        await house.outcome(await house.send(Action.CLOSE))
        await opened(house)
        await closed(house)
