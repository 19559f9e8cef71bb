"""The exchange reports prices, causes and fees late, in parts or never: the books ask again, are
corrected, or say that they are unknown.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import trio
from engine_world import World, world
from test_books_hold import by_hand, closed, opened, price_is, trades
from trio.testing import MockClock

from engine.domain.amounts import Price
from engine.domain.order import OrderSide
from engine.domain.signal import Action, PositionSide
from engine.ledger.query import fetch_all
from engine.ports.exchange import ExchangeError, OrderHistory, OutcomeUnknown


class Reluctant:
    """A connection with an empty history of orders and positions, or without fees, for as long as
    the test sets.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.orders = self.positions = self.fees = self.complete = self.answers = True
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def place_order(self, order: Any) -> Any:
        done = await self._real.place_order(order)
        if not self.answers:
            raise OutcomeUnknown("the answer was lost")
        return done if self.fees else replace(done, fee=None)

    async def find_orders(self, symbol: Any, since: Any) -> OrderHistory:
        self.asked += 1
        if not self.answers:
            raise ExchangeError("no history now")
        history: OrderHistory = await self._real.find_orders(symbol, since)
        rows = history.orders if self.orders else ()
        return OrderHistory(
            tuple(each if self.fees else replace(each, fee=None) for each in rows), self.complete
        )

    async def closed_positions(self, since: Any, ids: Any = ()) -> Any:
        told = await self._real.closed_positions(since, ids)
        return told if self.positions else replace(told, rows=())


def reluctant(house: World) -> Reluctant:
    session = house.followers[0].account.session
    assert session is not None
    session._connection = line = Reluctant(session._connection)  # type: ignore[assignment]
    return line


async def stopped_out(house: World) -> None:
    """Close the first account's position by its stop, and let a reading see it."""
    price_is(house, "63000")
    await house.followers[0].reader.read_account()
    price_is(house, "65000")


async def test_a_fee_history_that_cannot_be_read_keeps_no_price_and_no_cause_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=Price(64000))  # type: ignore[arg-type]  # a whole number
        session = house.followers[0].account.session
        assert session is not None
        session._adapter.traits = replace(session._adapter.traits, reports_fees=True)  # type: ignore[misc]  # it has no such call: it fails
        await stopped_out(house)
        await trio.sleep(300)
        (trade,) = await trades(house)
        assert (trade.exit_price, trade.cause and trade.cause.value) == ("63000", "stop_loss")
        assert trade.result is None


async def test_rows_that_come_minutes_late_still_tell_price_cause_and_fee(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=Price(64000))  # type: ignore[arg-type]  # a whole number
        line = reluctant(house)
        line.orders = line.positions = False
        await stopped_out(house)
        await trio.sleep(300)
        (trade,) = await trades(house)
        assert (trade.exit_price, trade.result, trade.cause, trade.state.value) == (
            None,
            None,
            None,
            "open",
        )
        line.orders = True
        await trio.sleep(130)
        (trade,) = await trades(house)
        assert (trade.exit_price, trade.cause and trade.cause.value) == ("63000", "stop_loss")
        assert line.asked < 20


async def test_what_nobody_told_for_a_quarter_of_an_hour_is_unexplained_and_still_corrected(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=Price(64000))  # type: ignore[arg-type]
        line = reluctant(house)
        line.orders = line.positions = False
        await stopped_out(house)
        await trio.sleep(1_200)
        (trade,) = await trades(house)
        assert (trade.exit_price, trade.result, trade.cause and trade.cause.value) == (
            None,
            None,
            "unexplained",
        )
        assert trade.state.value == "unexplained"
        line.orders = line.positions = True
        await trio.sleep(7_300)
        (trade,) = await trades(house)
        assert (trade.exit_price, trade.cause and trade.cause.value, trade.state.value) == (
            "63000",
            "stop_loss",
            "settled",
        )


async def test_an_incomplete_history_is_no_reason_to_give_up(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=Price(64000))  # type: ignore[arg-type]
        line = reluctant(house)
        line.orders = line.positions = line.complete = False
        await stopped_out(house)
        await trio.sleep(1_800)
        assert [each.state.value for each in await trades(house)] == ["open"]


async def test_a_fee_that_is_told_later_is_not_zero_until_then(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await trio.sleep(1)
        line = reluctant(house)
        line.fees = False
        await opened(house)
        await closed(house)
        await trio.sleep(60)
        (trade,) = await trades(house)
        assert (trade.exit_price, trade.fees, trade.result, trade.state.value) == (
            "65000",
            None,
            None,
            "open",
        )
        line.fees = True
        await trio.sleep(130)
        (trade,) = await trades(house)
        assert trade.fees is not None
        assert (trade.fees > 0, trade.state.value) == (True, "settled")


async def test_what_closed_while_an_order_of_ours_was_unproven_is_looked_for_from_when_it_was_last_seen(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=Price(64000))  # type: ignore[arg-type]
        line = reluctant(house)
        line.answers = False
        assert await house.outcome(await house.send(Action.ADD, side=PositionSide.LONG)) == [
            "unknown"
        ]
        await stopped_out(house)
        await trio.sleep(
            60
        )  # readings show that it is gone, and correct nothing while the order is not proven
        line.answers = True
        await trio.sleep(120)
        (trade,) = await trades(house)
        assert (trade.quantity, trade.exit_price, trade.cause and trade.cause.value) == (
            "0.006",
            "63000",
            "stop_loss",
        )
        assert trade.state.value == "settled"


async def test_what_the_owner_adds_and_takes_away_is_his_own_in_the_books(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        price_is(house, "64000")
        await by_hand(house, OrderSide.BUY, "0.002")
        await house.followers[0].reader.read_account()
        price_is(house, "66000")
        await closed(house)
        await trio.sleep(30)
        await by_hand(house, OrderSide.SELL, "0.002")
        await house.followers[0].reader.read_account()
        await trio.sleep(30)
        (trade,) = await trades(house)
        assert (trade.quantity, trade.entry_price, trade.exit_price) == ("0.003", "65000", "66000")
        own = fetch_all(
            house.ledger.db,
            "SELECT is_entry, quantity, price, cause, state FROM fill WHERE strategy_id = '' "
            "ORDER BY id",
        )
        assert own == [
            (1, "0.002", "64000", "owner", "settled"),
            (0, "0.002", "66000", "owner", "settled"),
        ]
