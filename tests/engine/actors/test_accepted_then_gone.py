"""Orders that the exchange accepted with an id, and then does not show any more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import BEGINNING, World, by_owner, world
from trio.testing import MockClock

from engine.actors.exchange_session import ExchangeSession
from engine.domain.account import AccountReport, UnreadableRow
from engine.domain.alert import AlertCode
from engine.domain.amounts import ZERO, Price, Quantity
from engine.domain.errors import InvalidMove, NothingThere
from engine.domain.order import OrderIntent, OrderReport, OrderSide, OrderStatus
from engine.domain.outcome import OutcomeCode, WhoseMove
from engine.domain.signal import Action, OrderType, PositionSide
from engine.ledger.alerts import newest_alerts
from engine.ledger.attempts import Attempt, read_attempt
from engine.ledger.outcomes import read_outcome
from engine.ledger.query import fetch_all
from engine.ledger.reports import unknown, unproven_attempts
from engine.ledger.resolving import decide_done, decide_none
from engine.ports.exchange import OrderHistory
from tests.faults.sums_of_orders import wrong_sums

RESTING = {
    "side": PositionSide.LONG,
    "order_type": OrderType.LIMIT,
    "price": Price(Decimal(64_000)),
}


class Hiding:
    """A connection that ``hides`` one of the orders that it accepted, the first unless ``which`` says
    another. Without ``takes`` an order is accepted and never reaches the book; with ``fills`` only
    that much of it does. ``filled`` is what its row shows as filled.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.takes = True
        self.which = 0
        self.fills: str | None = None
        self.hides = False
        self.flickers = False
        self.is_complete = True
        self.lists = False
        self.unreadable: tuple[UnreadableRow, ...] = ()
        self.filled = Decimal(0)
        self.ids: list[str] = []
        self.asked: list[tuple[float, str]] = []
        self.read: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def place_order(self, order: OrderIntent) -> OrderReport:
        report: OrderReport
        if self.fills is not None:
            part = replace(order, quantity=Quantity(Decimal(self.fills)), whole_position=False)
            report = await self._real.place_order(part)
            report = replace(report, quantity=order.quantity, status=OrderStatus.PARTIALLY_FILLED)
        else:
            report = await self._real.place_order(order) if self.takes else accepted(order)
        self.ids.append(report.exchange_order_id)
        return report

    async def cancel_order(self, symbol: Any, exchange_order_id: str) -> Any:
        self.asked.append((trio.current_time(), exchange_order_id))
        return await self._real.cancel_order(symbol, exchange_order_id)

    async def find_orders(self, symbol: Any, since: Any) -> OrderHistory:
        self.read.append(trio.current_time())
        if self.flickers:
            self.hides = not self.hides
        history: OrderHistory = await self._real.find_orders(symbol, since)
        shown = [self._part(each) for each in history.orders if not self._is_hidden(each)]
        return OrderHistory(tuple(shown), complete=self.is_complete)

    def _is_hidden(self, report: OrderReport) -> bool:
        return self.hides and report.exchange_order_id == self.ids[self.which]

    def _part(self, report: OrderReport) -> OrderReport:
        if not self.filled or report.exchange_order_id != self.ids[self.which]:
            return report
        return replace(
            report,
            status=OrderStatus.PARTIALLY_FILLED,
            filled_quantity=Quantity(self.filled),
            average_price=Price(Decimal(64_000)),
        )

    async def fetch_account(self) -> AccountReport:
        report: AccountReport = await self._real.fetch_account()
        orders = report.open_orders
        listed = (
            orders if self.lists else tuple(each for each in orders if not self._is_hidden(each))
        )
        return replace(report, open_orders=listed, unreadable=self.unreadable)


def accepted(order: OrderIntent) -> OrderReport:
    return OrderReport(
        exchange_order_id="gone-1",
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        status=OrderStatus.OPEN,
        filled_quantity=Quantity(ZERO),
        average_price=None,
        fee=None,
        created_at=BEGINNING,
        reduce_only=order.reduce_only,
        reason="",
    )


@asynccontextmanager
async def hiding(folder: Path) -> AsyncIterator[tuple[World, Hiding]]:
    async with world(folder, followers=1) as house:
        await house.followers[0].account.wait_read()
        session = await house.followers[0].account.connected()
        line = Hiding(session._connection)
        session._connection = line  # type: ignore[assignment]
        await house.followers[0].account.history.looked.wait()
        yield house, line


def tries(house: World) -> list[Attempt]:
    rows = fetch_all(house.ledger.db, "SELECT id FROM attempt ORDER BY id")
    return [read_attempt(house.ledger.db, row[0]) for row in rows]


def states(house: World) -> list[str]:
    return [each.state.value for each in tries(house)]


def told(house: World) -> list[AlertCode]:
    return [each.code for each in newest_alerts(house.ledger.db, BEGINNING, 100)]


async def resting(house: World) -> str:
    signal = await house.send(Action.OPEN, **RESTING)
    assert await house.outcome(signal) == ["placed"]
    return signal


async def test_an_entry_that_was_accepted_and_is_not_shown_any_more_is_told_and_left_to_a_person(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with hiding(tmp_path) as (house, line):
        opened = await resting(house)
        await trio.sleep(30)
        assert told(house) == []
        line.hides = True
        await trio.sleep(50)
        assert states(house) == ["placed"]
        assert await house.outcome(opened, unlike=("placed",)) == ["not_confirmed"]
        (alert,) = newest_alerts(house.ledger.db, BEGINNING, 100)
        assert (alert.code, alert.wakes) == (AlertCode.ORDER_NOT_CONFIRMED, True)
        assert "the exchange does not show it" in alert.sentence
        outcome = read_outcome(*fetch_all(house.ledger.db, "SELECT code, numbers FROM copy")[0])
        assert outcome is not None
        assert outcome.explanation.move is WhoseMove.YOU
        (view,) = unknown(house.ledger.db)
        assert view.cause == f"the exchange accepted it as {line.ids[0]}, and does not show it"
        # it holds its symbol and is looked up; nothing is sent again
        again = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(again) == ["skipped.already_open"]
        assert house.holdings() == [("a0", "0", 1)]
        assert len(house.orders()) == 1
        looked = len(line.read)
        await trio.sleep(200)
        assert len(line.read) > looked
        (number,) = unproven_attempts(house.ledger.db, opened, "f0")
        at = house.shared.clock.now()
        await house.ledger.write(lambda db: decide_none(db, number, "not there", "op", at))
        assert house.codes(opened) == ["not_executed"]
        assert house.holdings() == []


async def test_fifteen_minutes_of_absence_free_the_symbol_and_ask_the_exchange_to_cancel_the_order(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with hiding(tmp_path) as (house, line):
        await resting(house)
        line.hides = True
        await trio.sleep(700)
        assert (house.holdings(), line.asked) == ([("a0", "0", 1)], [])
        await trio.sleep(400)
        assert house.holdings() == []
        assert {each[1] for each in line.asked} == set(line.ids)
        assert house.followers[0].account.reserved == {}
        line.hides = False  # the cancellation arrived: late proof corrects it
        await trio.sleep(120)
        assert states(house) == ["cancelled"]
        assert AlertCode.ORDER_FOUND_LATE in told(house)


async def test_an_order_that_shows_again_is_followed_again_and_its_absence_counted_afresh(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with hiding(tmp_path) as (house, line):
        opened = await resting(house)
        line.flickers = True
        await trio.sleep(600)
        assert (states(house), told(house)) == (["placed"], [])
        line.flickers, line.hides = False, True
        assert await house.outcome(opened, unlike=("placed",)) == ["not_confirmed"]
        line.hides = False
        assert await house.outcome(opened, unlike=("not_confirmed",)) == ["placed"]
        assert house.holdings() == [("a0", "0", 1)]
        line.filled = Decimal("0.001")
        assert await house.outcome(opened, unlike=("placed",)) == ["partially_filled"]
        assert house.holdings() == [("a0", "0.001", 1)]


async def test_what_a_vanished_entry_filled_stays_and_is_closed_and_a_person_ends_the_rest(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with hiding(tmp_path) as (house, line):
        opened = await resting(house)
        line.filled = Decimal("0.001")
        await by_owner(line._real, OrderSide.BUY, "0.001")  # what of it filled
        assert await house.outcome(opened, unlike=("placed",)) == ["partially_filled"]
        line.hides = True
        assert await house.outcome(opened, unlike=("partially_filled",)) == ["not_confirmed"]
        assert house.holdings() == [("a0", "0.001", 1)]
        line.filled, line.hides = Decimal("0.0005"), False  # an old row takes nothing back
        await trio.sleep(100)
        assert states(house) == ["not_confirmed"]
        line.hides = True
        closed = await house.send(Action.CLOSE)
        await house.until(lambda: "filled" in states(house))
        assert await house.position() is None
        assert house.holdings() == [("a0", "0", 1)]
        assert line.asked  # a close asks for it too, shown or not
        number = tries(house)[0].id
        at = house.shared.clock.now()
        await house.ledger.write(lambda db: decide_none(db, number, "not there", "op", at))
        entry = tries(house)[0]
        assert (entry.state.value, entry.filled, entry.price) == (
            "cancelled",
            Decimal("0.001"),
            "64000",
        )
        assert house.codes(opened) == ["cancelled"]
        assert await house.outcome(closed) == ["filled"]
        assert house.holdings() == []
        assert wrong_sums(house.ledger.db) == []
        with pytest.raises(InvalidMove):
            await house.ledger.write(lambda db: decide_none(db, number, "again", "op", at))
        assert AlertCode.CONSERVATION_BROKEN not in told(house)


@pytest.mark.parametrize("is_freed", [False, True])
async def test_a_part_that_a_person_ends_is_still_counted_for_its_share(
    tmp_path: Path, autojump_clock: MockClock, is_freed: bool
) -> None:
    async with hiding(tmp_path) as (house, line):
        opened = await resting(house)
        line.filled = Decimal("0.001")
        await by_owner(line._real, OrderSide.BUY, "0.001")
        assert await house.outcome(opened, unlike=("placed",)) == ["partially_filled"]
        line.hides = True
        assert await house.outcome(opened, unlike=("partially_filled",)) == ["not_confirmed"]
        if is_freed:
            await trio.sleep(1_100)
            assert house.holdings() == [("a0", "0.001", 0)]
        number = tries(house)[0].id
        at = house.shared.clock.now()
        await house.ledger.write(lambda db: decide_none(db, number, "not there", "op", at))
        assert house.holdings() == [("a0", "0.001", 0)]
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        assert (house.holdings(), wrong_sums(house.ledger.db)) == ([], [])
        assert AlertCode.CONSERVATION_BROKEN not in told(house)


async def test_an_order_that_only_the_account_lists_is_not_absent(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with hiding(tmp_path) as (house, line):
        await resting(house)
        line.hides = line.lists = True
        await trio.sleep(1_200)
        assert (states(house), told(house), line.asked) == (["placed"], [], [])


@pytest.mark.parametrize("problem", ["in part", "order", "account", "shown late"])
async def test_what_is_read_in_part_or_not_or_too_soon_proves_no_absence(
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
) -> None:
    async with hiding(tmp_path) as (house, line):
        await resting(house)
        line.hides = True
        line.is_complete = problem != "in part"
        if problem == "order":
            line.unreadable = (UnreadableRow("order", "", None, "its side is 7"),)
        if problem == "account":
            monkeypatch.setattr(line, "fetch_account", fails)
        if problem == "shown late":
            monkeypatch.setattr(ExchangeSession, "visible_within_s", 3_600.0)
        await trio.sleep(1_200)
        assert (states(house), house.holdings()) == (["placed"], [("a0", "0", 1)])
        assert AlertCode.ORDER_NOT_CONFIRMED not in told(house)


async def fails() -> AccountReport:
    raise TimeoutError("the account cannot be read")


@pytest.mark.parametrize("is_complete", [True, False])
async def test_the_age_limit_asks_for_a_cancellation_by_the_id_without_a_row(
    tmp_path: Path, autojump_clock: MockClock, is_complete: bool
) -> None:
    async with hiding(tmp_path) as (house, line):
        house.shared.pace = replace(house.shared.pace, resting_entry_s=300.0)
        await resting(house)
        line.hides, line.is_complete = True, is_complete
        await trio.sleep(280)
        assert line.asked == []
        await trio.sleep(200)
        assert len(line.asked) > 1
        assert {each[1] for each in line.asked} == set(line.ids)
        asked = [at for at, _ in line.asked]
        assert all(later - at >= 60 for at, later in pairwise(asked))


async def test_an_exit_that_was_accepted_and_is_not_shown_is_told_and_closed_again_if_all_is_ours(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with hiding(tmp_path) as (house, line):
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(opened) == ["filled"]
        await trio.sleep(2)
        line.takes = False
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed) == ["placed"]
        await house.until(lambda: states(house)[1] == "not_confirmed")
        line.takes = True
        assert await house.outcome(closed, unlike=(None, "placed", "not_confirmed")) == ["filled"]
        assert told(house) == [AlertCode.ORDER_NOT_CONFIRMED]
        await trio.sleep(200)
        assert states(house) == ["filled", "not_confirmed", "filled"]
        assert (len(house.orders()), house.holdings()) == (2, [])


async def test_the_rest_of_an_exit_that_is_not_shown_any_more_is_closed_and_what_it_filled_stays(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with hiding(tmp_path) as (house, line):
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(opened) == ["filled"]
        await trio.sleep(2)
        line.which, line.fills, line.hides = 1, "0.001", True
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed) == ["partially_filled"]
        line.fills = None
        await house.until(lambda: states(house)[1] == "not_confirmed")
        assert await house.outcome(closed, unlike=(None, "partially_filled", "not_confirmed")) == [
            "filled"
        ]
        whole = tries(house)[0].filled
        parts = [each.filled for each in tries(house)[1:]]
        assert parts == [Decimal("0.001"), whole - Decimal("0.001")]
        assert told(house) == [AlertCode.ORDER_NOT_CONFIRMED]
        assert (await house.position(), house.holdings()) == (None, [])
        number = tries(house)[1].id
        at = house.shared.clock.now()
        await house.ledger.write(lambda db: decide_none(db, number, "not there", "op", at))
        assert states(house) == ["filled", "cancelled", "filled"]
        assert house.codes(closed) == ["filled"]


async def test_an_exit_that_filled_in_part_is_proven_by_its_position_and_keeps_its_id(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExchangeSession, "reports_closed_positions", False)
    async with hiding(tmp_path) as (house, line):
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(opened) == ["filled"]
        await trio.sleep(2)
        line.which, line.fills, line.hides = 1, "0.001", True
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed) == ["partially_filled"]
        whole = tries(house)[0].filled
        await by_owner(line._real, OrderSide.SELL, str(whole - Decimal("0.001")))  # the rest of it
        assert await house.outcome(closed, unlike=("partially_filled",)) == ["filled"]
        done = tries(house)[1]
        assert (done.state.value, done.filled, done.exchange_order_id) == (
            "filled",
            whole,
            line.ids[1],
        )
        assert (told(house), house.holdings()) == ([], [])


async def test_an_exit_that_was_accepted_and_is_not_shown_waits_for_a_person_beside_the_owners_part(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with hiding(tmp_path) as (house, line):
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(opened) == ["filled"]
        await by_owner(line._real, OrderSide.BUY, "0.002")
        await trio.sleep(2)
        line.takes = False
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed) == ["placed"]
        assert await house.outcome(closed, unlike=("placed",)) == ["not_confirmed"]
        line.takes = True
        await trio.sleep(300)
        assert (house.codes(closed), len(house.orders())) == (["not_confirmed"], 2)
        (number,) = unproven_attempts(house.ledger.db, closed, "f0")
        at = house.shared.clock.now()
        await house.ledger.write(lambda db: decide_done(db, number, at))
        done = tries(house)[1]
        assert (done.state.value, done.exchange_order_id) == ("filled", "gone-1")
        assert house.codes(closed) == [OutcomeCode.FILLED.value]


@pytest.mark.parametrize("is_seen_before", [True, False])
async def test_a_later_close_takes_nothing_of_the_owners_for_an_exit_that_is_not_shown(
    tmp_path: Path, autojump_clock: MockClock, is_seen_before: bool
) -> None:
    async with hiding(tmp_path) as (house, line):
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(opened) == ["filled"]
        await trio.sleep(2)
        await by_owner(line._real, OrderSide.BUY, "0.004")
        if is_seen_before:
            await house.followers[0].reader.try_to_read()
        line.takes = False
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed, unlike=(None, "placed")) == ["not_confirmed"]
        await by_owner(line._real, OrderSide.SELL, str(tries(house)[0].filled))  # it did close it
        line.takes = True
        again = await house.send(Action.CLOSE)
        await trio.sleep(200)
        if is_seen_before:  # the position is smaller by exactly that part
            assert house.codes(closed) == ["filled"]
        else:
            assert house.codes(again) == [None]
            assert AlertCode.EXIT_FAILING in told(house)
            number, at = tries(house)[1].id, house.shared.clock.now()
            await house.ledger.write(lambda db: decide_done(db, number, at))
        assert await house.outcome(again) == ["skipped.nothing_to_close"]
        assert AlertCode.CONSERVATION_BROKEN not in told(house)
        his = await house.position()
        assert his is not None
        assert his.quantity == Decimal("0.004")


async def test_nothing_is_sent_for_the_rest_of_an_exit_that_a_person_ended(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with hiding(tmp_path) as (house, line):
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(opened) == ["filled"]
        await by_owner(line._real, OrderSide.BUY, "0.002")
        await trio.sleep(2)
        line.which, line.fills, line.hides = 1, "0.001", True
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed, unlike=(None, "partially_filled")) == ["not_confirmed"]
        sent = len(line.ids)
        number = tries(house)[1].id
        at = house.shared.clock.now()
        await house.ledger.write(lambda db: decide_none(db, number, "not there", "op", at))
        await trio.sleep(200)
        assert (states(house), house.codes(closed)) == (["filled", "cancelled"], ["cancelled"])
        assert len(line.ids) == sent


async def test_a_person_may_name_the_order_that_the_exchange_named_itself(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with hiding(tmp_path) as (house, line):
        opened = await resting(house)
        line.hides = True
        assert await house.outcome(opened, unlike=("placed",)) == ["not_confirmed"]
        (number,) = unproven_attempts(house.ledger.db, opened, "f0")
        with pytest.raises(NothingThere, match="shows no order"):
            await house.followers[0].bind(number, line.ids[0])
        line.hides = False
        await house.followers[0].bind(number, line.ids[0])
        assert house.codes(opened) == ["placed"]
