"""Funding that one reading did not reach is asked for again: as far back as the oldest trade that is
open, and until a reading was complete.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import BTC, World, world
from test_books_hold import closed, opened, trades
from trio.testing import MockClock

from engine.actors.books_watch import GIVE_UP_AFTER, BooksWatch
from engine.domain.amounts import Money
from engine.ledger.codec import to_us
from engine.ledger.query import fetch_all
from engine.ports.exchange import FeeHistory, FeeKind, FeeReport, OrderHistory


class Charging:
    """A connection that reports fees: its rows, newest first, at most ``reach`` of them."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.rows: list[FeeReport] = []
        self.reach = 100
        self.asked: list[datetime] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def find_orders(self, symbol: Any, since: Any) -> OrderHistory:
        return OrderHistory((), complete=True)

    async def fees(self, since: datetime) -> FeeHistory:
        self.asked.append(since)
        newest = sorted(self.rows, key=lambda each: each.at, reverse=True)
        rows = [each for each in newest if each.at >= since]
        return FeeHistory(tuple(rows[: self.reach]), len(rows) <= self.reach)


def funding(name: str, at: datetime) -> FeeReport:
    return FeeReport(
        name, BTC, FeeKind.FUNDING, Money(Decimal("0.1")), Money(Decimal(0)), "USDT", at
    )


def recorded(house: World) -> list[tuple[str, str]]:
    return fetch_all(house.ledger.db, "SELECT id, strategy_id FROM funding ORDER BY at_us")


def passes(house: World, **time: float) -> None:
    """Let time pass, in which nothing of the engine runs."""
    clock: Any = house.shared.clock
    clock._beginning += timedelta(**time)


@asynccontextmanager
async def charged(folder: Path) -> AsyncIterator[tuple[World, Charging, datetime]]:
    """Run a world whose account has held since the time that is given with it, five days ago, and
    was charged every day.
    """
    async with world(folder, followers=1) as house:
        at = house.shared.clock.now()
        await opened(house)
        session = house.followers[0].account.session
        assert session is not None
        session._adapter.traits = replace(session._adapter.traits, reports_fees=True)  # type: ignore[misc]
        session._connection = line = Charging(session._connection)  # type: ignore[assignment]
        passes(house, days=5)
        line.rows = [funding(f"f{day}", at + timedelta(days=day)) for day in range(1, 5)]
        yield house, line, at


async def test_an_engine_that_was_down_for_days_asks_since_its_oldest_trade_was_opened(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with charged(tmp_path) as (house, line, at):
        books = BooksWatch(house.followers[0].account)
        await books.look()
        assert line.asked[0] <= at + timedelta(seconds=1)
        assert recorded(house) == [(f"f{day}", "s") for day in range(1, 5)]
        passes(house, hours=1)
        await books.look()
        assert line.asked[1] > at + timedelta(days=4), "what was read completely is not read again"


async def test_a_trade_that_a_close_ended_right_at_the_start_is_asked_for_as_well(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with charged(tmp_path) as (house, _, _):
        await closed(house)
        await BooksWatch(house.followers[0].account).look()
        assert recorded(house) == [(f"f{day}", "s") for day in range(1, 5)]


async def test_a_reading_that_was_not_complete_is_repeated_from_where_it_began_an_hour_later(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with charged(tmp_path) as (house, line, _):
        books, line.reach = BooksWatch(house.followers[0].account), 2
        await books.look()
        await books.look()
        assert len(line.asked) == 1, "once an hour"
        assert recorded(house) == [("f3", "s"), ("f4", "s")]
        passes(house, hours=1)
        line.reach = 100
        await books.look()
        assert line.asked[1] == line.asked[0]
        assert recorded(house) == [(f"f{day}", "s") for day in range(1, 5)]


@pytest.mark.parametrize(("reach", "state"), [(100, "unexplained"), (0, "open")])
async def test_an_incomplete_history_of_fees_is_no_reason_to_give_a_fill_up(
    tmp_path: Path, autojump_clock: MockClock, reach: int, state: str
) -> None:
    async with charged(tmp_path) as (house, line, _):
        line.reach = reach
        await trio.sleep(10)
        await closed(house)
        line.rows = [replace(each, at=house.shared.clock.now()) for each in line.rows]
        await trio.sleep(1_300)
        assert [each.state.value for each in await trades(house)] == [state]


async def test_a_fee_history_that_was_not_complete_keeps_back_no_fill_that_lacks_its_price_alone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with charged(tmp_path) as (house, line, _):
        books, line.reach = BooksWatch(house.followers[0].account), 2
        await books.look()
        seen_us = to_us(house.shared.clock.now() - GIVE_UP_AFTER)
        house.ledger.db.execute(
            "UPDATE fill SET price = NULL, state = 'open', seen_us = ?", (seen_us,)
        )
        await books.look()
        assert len(line.asked) == 1, "no fee is missing"
        assert fetch_all(house.ledger.db, "SELECT state, price FROM fill") == [("settled", "65000")]
