"""Exits at an exchange that writes no order row for a close, loses the answer, or closes the
position for another reason.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import BTC, World, world
from trio.testing import MockClock

from engine.actors.exchange_session import ExchangeSession
from engine.domain.account import AccountReport, ClosedPositions, UnreadableRow
from engine.domain.alert import AlertCode
from engine.domain.amounts import Price, Quantity, Ratio
from engine.domain.identifiers import ClientOrderId
from engine.domain.order import ClosedBy, OrderIntent, OrderSide, OrderStatus
from engine.domain.signal import Action, OrderType, PositionSide, SignalSize, SizeMode
from engine.ledger.alerts import newest_alerts
from engine.ledger.attempts import read_attempt
from engine.ledger.query import fetch_all
from engine.ports.exchange import OrderHistory, OutcomeUnknown

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Closing:
    """A connection whose closing calls are accepted and never answered, and whose closes leave no
    order row.

    With ``tells_closed`` closed positions are reported. ``reads`` counts the engine's readings.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.takes = True
        self.tells_closed = True
        self.change_closed: Any = lambda each: each
        self.orders_read = 0
        self.shows_closes = False
        self.is_blind = False
        self.keeps_entries = False
        self.kept: list[OrderIntent] = []
        self.halves = 0
        self.lagging: AccountReport | None = None
        self.untaken = trio.Event()
        self.names_closes = False
        self.splits_entries = False
        self.drops_stops = False
        self.split: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def place_order(self, order: OrderIntent) -> Any:
        if not order.reduce_only and self.keeps_entries:
            self.kept.append(order)
            raise OutcomeUnknown("the order is on its way, and nobody says so")
        if not order.reduce_only and self.splits_entries:
            return await self._first_part(order)
        if not order.reduce_only:
            return await self._real.place_order(order)
        if self.halves:
            return await self._half(order)
        if self.names_closes:
            report = await self._real.place_order(order)
            return replace(
                report,
                status=OrderStatus.OPEN,
                filled_quantity=Quantity(Decimal(0)),
                average_price=None,
            )
        if self.takes:
            await self._real.place_order(order)
        else:
            self.untaken.set()
        raise OutcomeUnknown("the closing call was taken, and nothing shows what became of it")

    async def _half(self, order: OrderIntent) -> Any:
        """Fill half of a closing call and cancel the rest; readings show the account as before."""
        self.halves -= 1
        self.lagging = await self._real.fetch_account()
        report = await self._real.place_order(replace(order, quantity=Quantity(order.quantity / 2)))
        return replace(report, quantity=order.quantity, status=OrderStatus.CANCELLED)

    async def _first_part(self, order: OrderIntent) -> Any:
        """Fill a part of an entry; the rest works on until ``fill_the_rest``."""
        part = replace(order, quantity=Quantity(Decimal("0.001")))
        part = replace(part, stop_loss=None) if self.drops_stops else part
        report = await self._real.place_order(part)
        self.split = replace(report, quantity=order.quantity, status=OrderStatus.OPEN)
        return self.split

    async def fill_the_rest(self) -> None:
        """Fill the rest of the entry that was split."""
        rest = self.split.quantity - self.split.filled_quantity
        await self.by_hand(OrderSide.BUY, str(rest))
        self.split = replace(
            self.split, status=OrderStatus.FILLED, filled_quantity=self.split.quantity
        )

    async def find_orders(self, symbol: Any, since: Any) -> OrderHistory:
        self.orders_read += 1
        self._look()
        history: OrderHistory = await self._real.find_orders(symbol, since)
        if self.split is not None:
            history = replace(
                history,
                orders=tuple(
                    self.split if each.exchange_order_id == self.split.exchange_order_id else each
                    for each in history.orders
                    if each.client_order_id is None or not each.client_order_id.startswith("hand")
                ),
            )
        bare = tuple(
            replace(each, client_order_id=None) if each.closed_by else each
            for each in history.orders
        )
        shown = tuple(replace(each, closed_by=None) for each in bare) if self.shows_closes else bare
        return replace(history, orders=tuple(each for each in shown if each.closed_by is None))

    async def closed_positions(self, since: Any, ids: Any = ()) -> ClosedPositions:
        self._look()
        if not self.tells_closed:
            return ClosedPositions((), complete=False, lacks=frozenset(ids))
        told: ClosedPositions = await self._real.closed_positions(since, ids)
        return replace(told, rows=tuple(self.change_closed(each) for each in told.rows))

    async def fetch_account(self) -> Any:
        self._look()
        return self.lagging or await self._real.fetch_account()

    def _look(self) -> None:
        if self.is_blind:
            raise TimeoutError("nothing can be read")

    async def by_hand(self, side: OrderSide, quantity: str, *, closes: bool = False) -> None:
        """Trade as the account's owner, beside the engine."""
        opening = OrderSide.opening(PositionSide.LONG)
        held = PositionSide.LONG if (side is opening) != closes else PositionSide.SHORT
        order = OrderIntent(
            ClientOrderId(f"hand{self.orders_read}{side.value}{quantity.replace('.', '')}"),
            BTC,
            side,
            held,
            Quantity(Decimal(quantity)),
            OrderType.MARKET,
            Ratio(Decimal(5)),
            reduce_only=closes,
        )
        await self._real.place_order(order)


async def _lacks_nothing() -> bool:
    return False


@asynccontextmanager
async def closing(folder: Path, price: str = "65000") -> AsyncIterator[tuple[World, Closing]]:
    async with world(folder, followers=1, paper={"price_fixed": {"BTCUSDT": price}}) as house:
        await house.followers[0].account.wait_read()
        house.followers[0].books.look = _lacks_nothing  # type: ignore[method-assign]  # what the books ask for is no proof of an exit
        session = await house.followers[0].account.connected()
        line = Closing(session._connection)
        session._connection = line  # type: ignore[assignment]
        yield house, line


def exits(house: World) -> list[Any]:
    return [
        read_attempt(house.ledger.db, row[0])
        for row in fetch_all(
            house.ledger.db, "SELECT id FROM attempt WHERE kind = 'exit' ORDER BY id"
        )
    ]


async def held(house: World) -> None:
    """Open a position for the account, and read it."""
    assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == ["filled"]
    await trio.sleep(1)
    assert await house.followers[0].reader.try_to_read()


async def test_a_close_without_a_row_is_proven_by_the_closed_position_with_its_price(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        await held(house)
        assert await house.outcome(await house.send(Action.CLOSE), unlike=(None, "unknown")) == [
            "filled"
        ]
        (attempt,) = exits(house)
        assert (attempt.state.value, attempt.price, attempt.intent.position_id) == (
            "filled",
            "65000",
            "P0000000001",
        )
        assert attempt.exchange_order_id == "P0000000002"
        assert line.orders_read <= 2
        assert house.holdings() == []


async def test_a_close_that_nothing_tells_is_proven_by_the_reading_without_the_position(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        line.tells_closed = False
        await held(house)
        assert await house.outcome(await house.send(Action.CLOSE), unlike=(None, "unknown")) == [
            "filled"
        ]
        (attempt,) = exits(house)
        assert (attempt.state.value, attempt.price, attempt.exchange_order_id) == (
            "filled",
            "?",
            None,
        )
        assert line.orders_read <= 2


async def test_an_exit_that_the_exchange_named_is_told_by_its_own_row_alone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """An order may act on another position than the one it names: a record that says that one was
    over before is no word about it.
    """
    async with closing(tmp_path) as (house, line):
        await held(house)
        line.names_closes = True
        line.change_closed = lambda each: replace(
            each, closed_at=each.closed_at - timedelta(minutes=1)
        )
        closed = await house.send(Action.CLOSE)
        await trio.sleep(30)
        assert [each.state.value for each in exits(house)] == ["placed"]
        line.names_closes, line.change_closed = False, lambda each: each
        assert await house.outcome(closed, unlike=(None, "unknown", "placed")) == ["filled"]
        assert len(exits(house)) == 1


async def test_twenty_rounds_without_rows_lose_no_entry(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        for number in range(20):
            side = PositionSide.LONG if number % 2 else PositionSide.SHORT
            assert await house.outcome(await house.send(Action.OPEN, side=side)) == ["filled"]
            before = line.orders_read
            assert await house.outcome(
                await house.send(Action.CLOSE), unlike=(None, "unknown")
            ) == ["filled"]
            assert line.orders_read - before <= 2
        assert [each.price for each in exits(house)] == ["65000"] * 20


async def test_a_second_try_is_not_proven_by_what_the_first_one_closed(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try fills half; the second leaves while readings show the whole, and is never
    executed: half stands, by the first alone.
    """
    monkeypatch.setattr(ExchangeSession, "visible_within_s", 5.0)
    async with closing(tmp_path, "62500") as (house, line):
        line.tells_closed, line.halves, line.takes = False, 1, False
        await held(house)
        closed = await house.send(Action.CLOSE)
        await line.untaken.wait()
        line.lagging = None
        await house.until(
            lambda: [each.state.value for each in exits(house)][1:2] == ["not_confirmed"]
        )
        first, second, *_ = exits(house)
        assert [(each.state.value, each.intent.quantity) for each in (first, second)] == [
            ("cancelled", Decimal("0.004")),
            ("not_confirmed", Decimal("0.002")),
        ]
        line.takes = True
        assert await house.outcome(closed, unlike=(None, "unknown", "not_confirmed")) == ["filled"]
        assert house.holdings() == []
        assert (await line.fetch_account()).positions == ()


async def test_a_part_is_proven_by_the_position_that_is_smaller_by_the_part(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, _):
        await held(house)
        size = SignalSize(SizeMode.FRACTION, None, Ratio(Decimal("0.5")))
        assert await house.outcome(
            await house.send(Action.REDUCE, size=size), unlike=(None, "unknown")
        ) == ["filled"]
        (attempt,) = exits(house)
        assert (attempt.state.value, attempt.price) == ("filled", "?")
        position = await house.position()
        assert position is not None
        assert house.holdings() == [("a0", str(position.quantity), 0)]


async def test_a_position_that_was_liquidated_first_is_not_our_close(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        await held(house)
        line.change_closed = lambda each: replace(each, closed_by=ClosedBy.LIQUIDATION)
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed, unlike=(None, "unknown", "rejected")) == [
            "skipped.nothing_to_close"
        ]
        assert [each.state.value for each in exits(house)] == ["rejected"]
        assert "liquidation" in exits(house)[0].cause


@pytest.mark.parametrize("is_read_before", [True, False])
async def test_a_position_that_its_owner_opened_in_place_of_ours_is_his(
    tmp_path: Path, autojump_clock: MockClock, is_read_before: bool
) -> None:
    async with closing(tmp_path) as (house, line):
        await held(house)
        ours = await house.position()
        assert ours is not None
        await line.by_hand(OrderSide.SELL, str(ours.quantity), closes=True)
        await line.by_hand(OrderSide.BUY, "0.004")
        if is_read_before:
            await house.followers[0].reader.try_to_read()
            assert house.holdings() == [("a0", "0", 0)]
        session = await house.followers[0].account.connected()
        session._connection = line._real
        assert await house.outcome(await house.send(Action.CLOSE), unlike=(None, "rejected")) == [
            "skipped.nothing_to_close"
        ]
        his = await house.position()
        assert his is not None
        assert (his.quantity, his.id != ours.id) == (Decimal("0.004"), True)


async def test_the_stop_of_a_position_that_is_gone_is_not_set_on_the_owners_next_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        opened = await house.send(
            Action.OPEN, side=PositionSide.LONG, stop_loss=Price(Decimal("60000"))
        )
        assert await house.outcome(opened) == ["filled"]
        await trio.sleep(1)
        line.change_closed = fails
        await line.by_hand(OrderSide.SELL, "0.003", closes=True)
        await line.by_hand(OrderSide.BUY, "0.004")
        moved = await house.send(Action.SET_PROTECTION, stop_loss=Price(Decimal("61000")))
        assert await house.outcome(moved) == ["rejected"]
        await trio.sleep(120)
        his = await house.position()
        assert his is not None
        assert (his.quantity, his.stop_loss) == (Decimal("0.004"), None)
        assert fetch_all(house.ledger.db, "SELECT stop_loss, share FROM holding") == [
            ("61000", "0.003")
        ]
        assert (
            fetch_all(house.ledger.db, "SELECT 1 FROM alert WHERE code = 'position_unprotected'")
            == []
        )


async def test_a_new_id_of_our_position_is_followed_once_no_close_is_told_for_long(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        await held(house)
        fetch, line.tells_closed = line._real.fetch_account, False

        async def renamed() -> Any:
            report = await fetch()
            return replace(
                report, positions=tuple(replace(each, id="another") for each in report.positions)
            )

        line._real.fetch_account = renamed
        await house.followers[0].reader.try_to_read()
        await trio.sleep(600)
        assert fetch_all(house.ledger.db, "SELECT position_id, detached FROM holding") == [
            ("P0000000001", 0)
        ]
        await trio.sleep(400)
        assert fetch_all(house.ledger.db, "SELECT position_id, detached FROM holding") == [
            ("another", 0)
        ]


async def test_another_position_is_not_followed_while_the_record_of_closed_positions_cannot_be_read(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        await held(house)
        line.change_closed = fails
        await line.by_hand(OrderSide.SELL, "0.003", closes=True)
        await line.by_hand(OrderSide.BUY, "0.004")
        await trio.sleep(
            1_500
        )  # a record that cannot be read tells of no close, and says of none that it was not there
        assert fetch_all(house.ledger.db, "SELECT position_id, share FROM holding") == [
            ("P0000000001", "0.003")
        ]
        line.change_closed = lambda each: each
        await trio.sleep(60)
        assert fetch_all(house.ledger.db, "SELECT share, detached FROM holding") == [("0", 1)]
        his = await house.position()
        assert his is not None
        assert his.quantity == Decimal("0.004")


@pytest.mark.parametrize(
    "unread", [(), (UnreadableRow("closed position", "P0000000001", BTC, "status: ADL"),)]
)
async def test_another_position_is_not_followed_while_a_row_of_the_record_cannot_be_read(
    unread: tuple[UnreadableRow, ...], tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        await held(house)

        async def hides(since: Any, ids: Any = ()) -> ClosedPositions:
            return ClosedPositions((), complete=False, unreadable=unread)

        line.closed_positions = hides  # type: ignore[method-assign]
        await line.by_hand(OrderSide.SELL, "0.003", closes=True)
        await line.by_hand(OrderSide.BUY, "0.004")
        await trio.sleep(1_500)
        assert fetch_all(house.ledger.db, "SELECT position_id, share FROM holding") == [
            ("P0000000001", "0.003")
        ]
        told = [each.code for each in newest_alerts(house.ledger.db, LONG_AGO, 20)]
        assert (AlertCode.ROWS_UNREADABLE in told) == bool(unread)
        del line.closed_positions
        await trio.sleep(60)
        assert fetch_all(house.ledger.db, "SELECT share, detached FROM holding") == [("0", 1)]
        assert house.followers[0].unreadable.rows == ()


def fails(_: Any) -> Any:
    raise RuntimeError("the record of closed positions cannot be read")


@pytest.mark.parametrize("side", [PositionSide.LONG, PositionSide.SHORT])
async def test_an_exit_that_was_given_up_is_not_proven_by_what_happened_to_a_later_position(
    tmp_path: Path, autojump_clock: MockClock, side: PositionSide
) -> None:
    async with closing(tmp_path) as (house, line):
        await held(house)
        line.takes = False
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed) == ["unknown"]
        session = await house.followers[0].account.connected()
        session._connection = line._real
        assert await house.outcome(closed, unlike=(None, "unknown", "not_confirmed")) == ["filled"]
        assert await house.outcome(await house.send(Action.OPEN, side=side)) == ["filled"]
        await trio.sleep(300)
        position = await house.position()
        assert position is not None
        assert house.holdings() == [("a0", str(position.quantity), 0)]
        assert [each.state.value for each in exits(house)] == ["not_confirmed", "filled"]


async def test_a_part_that_was_given_up_is_not_proven_by_the_try_that_closed_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        await held(house)
        line.takes = False
        reduced = await house.send(
            Action.REDUCE, size=SignalSize(SizeMode.FRACTION, None, Ratio(Decimal("0.5")))
        )
        assert await house.outcome(reduced) == ["unknown"]
        # taken, and not answered: it is looked up while the one that was given up still is
        line.takes = True
        assert await house.outcome(reduced, unlike=(None, "unknown", "not_confirmed")) == ["filled"]
        await trio.sleep(300)
        position = await house.position()
        assert position is not None
        assert house.holdings() == [("a0", str(position.quantity), 0)]
        assert [each.state.value for each in exits(house)] == ["not_confirmed", "filled"]


async def test_a_row_that_a_liquidation_left_is_not_our_close(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with closing(tmp_path) as (house, line):
        await held(house)
        monkeypatch.setattr(
            house.followers[0].account.session, "reads_client_order_id", lambda intent: False
        )
        line.shows_closes = True
        line.change_closed = lambda each: replace(each, closed_by=ClosedBy.LIQUIDATION)
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed, unlike=(None, "unknown", "rejected")) == [
            "skipped.nothing_to_close"
        ]
        assert [each.state.value for each in exits(house)] == ["rejected"]


@pytest.mark.parametrize("is_found_at_once", [True, False])
async def test_an_add_that_arrived_after_the_close_is_closed_too_though_it_stands_in_a_new_position(
    tmp_path: Path, autojump_clock: MockClock, is_found_at_once: bool
) -> None:
    async with closing(tmp_path) as (house, line):
        await held(house)
        line.keeps_entries, line.is_blind = True, True
        assert await house.outcome(await house.send(Action.ADD, side=PositionSide.LONG)) == [
            "unknown"
        ]
        closed = await house.send(Action.CLOSE)
        await trio.sleep(3)
        # both are found at once, or the close is proven before the add arrives
        line.is_blind = is_found_at_once
        await trio.sleep(30)
        await line._real.place_order(line.kept[0])
        line.is_blind = False
        assert await house.outcome(closed, unlike=(None, "unknown", "rejected")) == ["filled"]
        await trio.sleep(200)
        assert (await house.position(), house.holdings()) == (None, [])


@pytest.mark.parametrize("is_known_first", [True, False])
async def test_what_an_entry_fills_after_its_position_was_closed_is_closed_in_the_next_position(
    tmp_path: Path, autojump_clock: MockClock, is_known_first: bool
) -> None:
    async with closing(tmp_path) as (house, line):
        line.splits_entries = True
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        await house.outcome(opened)
        first = await house.position()
        assert first is not None
        line.tells_closed = not is_known_first
        closed = await house.send(Action.CLOSE)
        await house.outcome(closed)
        await line.fill_the_rest()
        second = await house.position()
        assert second is not None
        assert second.id != first.id
        await trio.sleep(30)
        line.tells_closed = True
        assert await house.outcome(closed, unlike=(None, "unknown", "rejected")) == ["filled"]
        await trio.sleep(200)
        assert (await house.position(), house.holdings()) == (None, [])
        codes = {each.code for each in newest_alerts(house.ledger.db, since=LONG_AGO, limit=20)}
        assert AlertCode.CLOSED_OUTSIDE not in codes


async def test_what_an_entry_fills_after_its_owner_closed_its_position_is_closed_too(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        line.splits_entries = True
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        await line.by_hand(OrderSide.SELL, "0.001", closes=True)
        await line.fill_the_rest()
        await house.until(lambda: house.holdings() == [("a0", "0.003", 0)])
        await trio.sleep(60)
        assert house.holdings() == [("a0", "0.002", 0)]
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed, unlike=(None, "unknown", "rejected")) == ["filled"]
        assert (await house.position(), house.holdings()) == (None, [])


async def test_a_position_opened_after_our_entries_ended_is_the_owners_whatever_the_record_adds_up_to(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        await held(house)
        line.change_closed = lambda each: replace(each, quantity=Quantity(Decimal("0.001")))
        await trio.sleep(200)
        await line.by_hand(OrderSide.SELL, "0.003", closes=True)
        await line.by_hand(OrderSide.BUY, "0.004")
        await house.followers[0].reader.try_to_read()
        assert house.holdings() == [("a0", "0", 0)]


async def test_a_third_position_is_not_taken_for_the_one_that_followed_the_first(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        line.splits_entries = True
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        await line.by_hand(OrderSide.SELL, "0.001", closes=True)
        await line.by_hand(OrderSide.BUY, "0.001")  # a further part of our entry: the second
        line.split = replace(line.split, filled_quantity=Quantity(Decimal("0.002")))
        await trio.sleep(20)
        await line.by_hand(OrderSide.SELL, "0.001", closes=True)
        await line.by_hand(OrderSide.BUY, "0.004")  # the owner's own: the third
        await trio.sleep(20)
        line.split = replace(line.split, status=OrderStatus.CANCELLED)
        await trio.sleep(120)
        closed = await house.send(Action.CLOSE)
        await house.outcome(closed, unlike=(None, "unknown", "rejected"))
        await trio.sleep(100)
        his = await house.position()
        assert his is not None
        assert his.quantity == Decimal("0.004")
        codes = {each.code for each in newest_alerts(house.ledger.db, since=LONG_AGO, limit=20)}
        assert AlertCode.CLOSED_OUTSIDE in codes


async def parted(house: World, line: Closing, **levels: Price) -> None:
    """Open: the first part of the entry fills, the rest works on."""
    line.splits_entries = True
    await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG, **levels))
    await trio.sleep(1)


async def fill_more(house: World, line: Closing, quantity: str, named: str) -> None:
    """Fill a further part of the entry; its row names no position, the first, or the newest one."""
    await line.by_hand(OrderSide.BUY, quantity)
    there = await house.position()
    assert there is not None
    filled = Quantity(line.split.filled_quantity + Decimal(quantity))
    is_all = filled == line.split.quantity
    line.split = replace(
        line.split,
        filled_quantity=filled,
        status=OrderStatus.FILLED if is_all else OrderStatus.OPEN,
        position_id={"none": "", "first": line.split.position_id, "newest": there.id}[named],
    )


@pytest.mark.parametrize("named", ["none", "first", "newest"])
async def test_what_fills_beside_the_owners_own_position_is_all_that_is_closed_there(
    tmp_path: Path, autojump_clock: MockClock, named: str
) -> None:
    async with closing(tmp_path) as (house, line):
        await parted(house, line)
        await line.by_hand(OrderSide.SELL, "0.001", closes=True)
        await line.by_hand(OrderSide.BUY, "0.004")
        await fill_more(house, line, "0.002", named)
        await trio.sleep(120)
        assert house.holdings() == [("a0", "0.002", 0)]
        closed = await house.send(Action.CLOSE)
        await house.outcome(closed, unlike=(None, "unknown", "rejected"))
        his = await house.position()
        assert his is not None
        assert his.quantity == Decimal("0.004")


@pytest.mark.parametrize("named", ["none", "first", "newest"])
async def test_of_an_entry_in_three_positions_what_is_in_the_last_one_is_held(
    tmp_path: Path, autojump_clock: MockClock, named: str
) -> None:
    async with closing(tmp_path) as (house, line):
        await parted(house, line)
        await line.by_hand(OrderSide.SELL, "0.001", closes=True)
        await trio.sleep(20)
        await fill_more(house, line, "0.001", named)
        await trio.sleep(20)
        line.orders_read += 1_000  # a new id for the same trade by hand
        await line.by_hand(OrderSide.SELL, "0.001", closes=True)
        await trio.sleep(20)
        await line.by_hand(OrderSide.BUY, "0.004")
        line.orders_read += 1_000
        await fill_more(house, line, "0.001", named)
        await trio.sleep(120)
        assert house.holdings() == [("a0", "0.001", 0)]


async def test_a_record_of_the_last_part_alone_makes_nothing_of_the_owners_ours(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path, "32500") as (house, line):
        await parted(house, line)
        await fill_more(house, line, "0.002", "first")
        await trio.sleep(40)
        less = SignalSize(SizeMode.FRACTION, None, Ratio(Decimal("0.4")))
        await house.outcome(await house.send(Action.REDUCE, size=less), unlike=(None, "unknown"))
        left = await house.position()
        assert left is not None
        await line.by_hand(OrderSide.SELL, str(left.quantity), closes=True)
        line.change_closed = lambda each: replace(each, quantity=left.quantity)
        await line.by_hand(OrderSide.BUY, "0.004")
        line.split = replace(line.split, status=OrderStatus.CANCELLED)
        await trio.sleep(120)
        assert house.holdings() == [("a0", "0", 0)]


async def test_without_a_record_of_closed_positions_the_row_of_an_entry_says_what_is_in_the_next_one(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExchangeSession, "reports_closed_positions", False)
    async with closing(tmp_path) as (house, line):
        await parted(house, line)
        await line.by_hand(OrderSide.SELL, "0.001", closes=True)
        await fill_more(house, line, "0.002", "newest")
        await trio.sleep(120)
        assert house.holdings() == [("a0", "0.002", 0)]
        there = await house.position()
        assert there is not None
        assert fetch_all(house.ledger.db, "SELECT position_id FROM holding") == [(there.id,)]


@pytest.mark.parametrize("named", ["none", "first", "newest"])
async def test_what_a_working_entry_fills_in_the_next_position_has_its_stop_at_once(
    tmp_path: Path, autojump_clock: MockClock, named: str
) -> None:
    async with closing(tmp_path) as (house, line):
        await parted(house, line, stop_loss=Price(Decimal("60000")))
        await line.by_hand(OrderSide.SELL, "0.001", closes=True)
        await fill_more(house, line, "0.001", named)
        await trio.sleep(60)
        second = await house.position()
        assert second is not None
        assert (second.quantity, second.stop_loss) == (Decimal("0.001"), Decimal("60000"))
        moved = await house.send(Action.SET_PROTECTION, stop_loss=Price(Decimal("61000")))
        assert await house.outcome(moved) == ["applied"]
        second = await house.position()
        assert second is not None
        assert second.stop_loss == Decimal("61000")


async def test_the_stop_of_a_working_entry_is_not_set_on_the_owners_next_position(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        await parted(house, line, stop_loss=Price(Decimal("60000")))
        await line.by_hand(OrderSide.SELL, "0.001", closes=True)
        await trio.sleep(20)
        await line.by_hand(OrderSide.BUY, "0.004")
        await trio.sleep(200)
        his = await house.position()
        assert his is not None
        assert (his.quantity, his.stop_loss) == (Decimal("0.004"), None)


async def test_a_stop_that_the_exchange_dropped_is_set_as_soon_as_a_part_of_the_entry_filled(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        line.drops_stops = True
        await parted(house, line, stop_loss=Price(Decimal("60000")))
        await fill_more(house, line, "0.001", "first")
        await trio.sleep(10)
        ours = await house.position()
        assert ours is not None
        assert (ours.quantity, ours.stop_loss) == (Decimal("0.002"), Decimal("60000"))


async def test_what_netted_with_the_owners_other_side_is_not_in_their_next_position(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        await parted(house, line, stop_loss=Price(Decimal("60000")))
        await line.by_hand(OrderSide.SELL, "0.003")  # closes ours, and opens their short
        await line.by_hand(OrderSide.BUY, "0.001")  # a part of our entry
        line.orders_read += 1_000
        await line.by_hand(OrderSide.BUY, "0.005")
        line.split = replace(line.split, filled_quantity=Quantity(Decimal("0.002")))
        await trio.sleep(90)
        his = await house.position()
        assert his is not None
        assert (his.side, his.quantity, his.stop_loss) == (
            PositionSide.LONG,
            Decimal("0.004"),
            None,
        )
        line.split = replace(line.split, status=OrderStatus.CANCELLED)
        await trio.sleep(60)
        closed = await house.send(Action.CLOSE)
        await house.outcome(closed, unlike=(None, "unknown", "rejected"))
        his = await house.position()
        assert his is not None
        assert his.quantity == Decimal("0.004")


@pytest.mark.parametrize("seen", ["0.001", "0.002"])
async def test_what_readings_saw_go_beside_a_working_entry_is_not_closed_of_the_owners_later_part(
    tmp_path: Path, autojump_clock: MockClock, seen: str
) -> None:
    async with closing(tmp_path) as (house, line):
        await parted(house, line)
        await fill_more(house, line, "0.001", "first")
        await trio.sleep(40)
        line.orders_read += 1_000
        await line.by_hand(OrderSide.SELL, seen, closes=True)
        await trio.sleep(60)
        left = Decimal("0.002") - Decimal(seen)
        assert [Decimal(str(share)) for _, share, _ in house.holdings()] == [left]
        await line.by_hand(OrderSide.BUY, "0.004")
        await trio.sleep(40)
        closed = await house.send(Action.CLOSE)
        await trio.sleep(20)
        line.split = replace(line.split, status=OrderStatus.CANCELLED)
        await house.outcome(closed, unlike=(None, "unknown", "rejected"))
        await trio.sleep(60)
        his = await house.position()
        assert his is not None
        assert his.quantity == Decimal("0.004")


async def test_a_reduce_after_a_stop_out_beside_a_working_entry_sends_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        await parted(house, line)
        await fill_more(house, line, "0.001", "first")
        await trio.sleep(40)
        line.orders_read += 1_000
        await line.by_hand(OrderSide.SELL, "0.002", closes=True)
        await trio.sleep(60)
        half = SignalSize(SizeMode.FRACTION, None, Ratio(Decimal("0.5")))
        reduced = await house.send(Action.REDUCE, size=half)
        await trio.sleep(300)
        assert exits(house) == []
        codes = [each.code for each in newest_alerts(house.ledger.db, since=LONG_AGO, limit=20)]
        assert AlertCode.EXIT_FAILING not in codes
        assert codes.count(AlertCode.CLOSED_OUTSIDE) == 1
        await fill_more(house, line, "0.001", "none")
        await trio.sleep(60)
        assert [share for _, share, _ in house.holdings()] == ["0.001"]
        line.orders_read += 1_000
        assert reduced is not None


async def test_a_gap_without_a_stop_ends_with_the_position(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        session = await house.followers[0].account.connected()

        async def refuses(_: Any) -> None:
            raise TimeoutError("no stop can be set")

        line.set_protection = refuses  # type: ignore[attr-defined]
        assert session.can_protect
        line.drops_stops = True
        for _ in range(2):
            line.splits_entries = True
            await house.outcome(
                await house.send(
                    Action.OPEN, side=PositionSide.LONG, stop_loss=Price(Decimal("60000"))
                )
            )
            line.split = replace(line.split, status=OrderStatus.CANCELLED)
            await trio.sleep(12)
            assert await house.outcome(
                await house.send(Action.CLOSE), unlike=(None, "unknown", "rejected")
            ) == ["filled"]
            line.split, line.splits_entries = None, False
            await trio.sleep(300)
        codes = [each.code for each in newest_alerts(house.ledger.db, since=LONG_AGO, limit=20)]
        assert AlertCode.POSITION_UNPROTECTED not in codes


async def test_a_new_id_of_our_position_is_followed_beside_a_working_entry(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path) as (house, line):
        await parted(house, line)
        await trio.sleep(40)
        fetch, line.tells_closed = line._real.fetch_account, False

        async def renamed() -> Any:
            report = await fetch()
            return replace(
                report, positions=tuple(replace(each, id="another") for each in report.positions)
            )

        line._real.fetch_account = renamed
        await trio.sleep(1_000)
        assert fetch_all(house.ledger.db, "SELECT position_id, share FROM holding") == [
            ("another", "0.001")
        ]


async def test_a_position_that_a_working_entry_opened_by_closing_the_owners_has_its_stop(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with closing(tmp_path, "32500") as (house, line):
        first_part = line._first_part

        async def netted(order: OrderIntent) -> Any:
            await line.by_hand(OrderSide.SELL, "0.002")
            return await first_part(order)

        line.shows_closes = True
        line._first_part = netted  # type: ignore[method-assign]
        await parted(house, line, stop_loss=Price(Decimal("30000")))
        await fill_more(house, line, "0.002", "first")
        await trio.sleep(90)
        ours = await house.position()
        assert ours is not None
        assert (ours.side, ours.quantity, ours.stop_loss) == (
            PositionSide.LONG,
            Decimal("0.001"),
            Decimal("30000"),
        )
        assert [share for _, share, _ in house.holdings()] == ["0.001"]
