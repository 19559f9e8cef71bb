"""Orders whose answer never came, looked up by reading alone: what proves them, what does not, and
what a person may name.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import BEGINNING, World, world
from trio.testing import MockClock

from engine.actors.exchange_session import ExchangeSession
from engine.actors.last_line import LastLine
from engine.domain.alert import AlertCode
from engine.domain.amounts import Price, Quantity
from engine.domain.errors import NothingThere
from engine.domain.order import OrderStatus
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Action, OrderType, PositionSide
from engine.ledger.alerts import newest_alerts
from engine.ledger.attempts import knows_client_order_id, read_attempt
from engine.ledger.query import fetch_all
from engine.ports.exchange import OrderHistory

Change = Callable[[OrderHistory], OrderHistory]
NOTHING_WHOLE: Change = lambda history: OrderHistory((), complete=True)  # noqa: E731
NOTHING_IN_PART: Change = lambda history: OrderHistory((), complete=False)  # noqa: E731


class Silent:
    """A connection that never answers an order. With ``takes`` the exchange has it; ``readings``
    change the readings of orders.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.is_on = True
        self.takes = True
        self.readings: list[Change | Exception] = []
        self.account: Callable[[Any], Any] = lambda report: report

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def place_order(self, order: Any) -> Any:
        if self.is_on:
            if self.takes:
                await self._real.place_order(order)
            await trio.sleep_forever()
        return await self._real.place_order(order)

    async def find_orders(self, symbol: Any, since: Any) -> OrderHistory:
        history: OrderHistory = await self._real.find_orders(symbol, since)
        change = self.readings.pop(0) if self.readings else None
        if isinstance(change, Exception):
            raise change
        return history if change is None else change(history)

    async def fetch_account(self) -> Any:
        return self.account(await self._real.fetch_account())


@asynccontextmanager
async def silent(folder: Path) -> AsyncIterator[tuple[World, Silent]]:
    async with world(folder, followers=1) as house:
        await house.followers[0].account.wait_read()
        session = await house.followers[0].account.connected()
        line = Silent(session._connection)
        session._connection = line  # type: ignore[assignment]
        await house.followers[0].account.history.looked.wait()
        yield house, line


def attempts(house: World, state: str) -> list[int]:
    return [
        row[0]
        for row in fetch_all(
            house.ledger.db, "SELECT id FROM attempt WHERE state = ? ORDER BY id", (state,)
        )
    ]


async def test_what_cannot_be_read_or_is_read_in_part_proves_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with silent(tmp_path) as (house, line):
        line.readings = [TimeoutError("slow"), NOTHING_IN_PART, NOTHING_WHOLE, NOTHING_IN_PART]
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(opened, unlike=(None, "unknown")) == ["filled"]
        assert len(house.orders()) == 1
        (number,) = attempts(house, "filled")
        known = read_attempt(house.ledger.db, number)
        assert knows_client_order_id(house.ledger.db, known.intent.client_order_id)
        assert not knows_client_order_id(house.ledger.db, "rxofsomebodyelse")
        house.followers[0].account.look_now(
            number + 1
        )  # of which there is none: nothing is looked at


@pytest.mark.parametrize("action", [Action.OPEN, Action.CLOSE])
async def test_an_order_that_cannot_be_told_from_another_is_told_and_left_to_a_person(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    monkeypatch.setattr(ExchangeSession, "reports_closed_positions", False)

    def twice(history: OrderHistory) -> OrderHistory:
        return replace(
            history, orders=(*history.orders, replace(history.orders[0], exchange_order_id="x2"))
        )

    async with silent(tmp_path) as (house, line):
        if action is Action.CLOSE:
            line.is_on = False
            opened = await house.send(Action.OPEN, side=PositionSide.LONG)
            assert await house.outcome(opened) == ["filled"]
            line.is_on = True
            shown = await line._real.fetch_account()
            line.account = lambda report: shown
        line.readings = [twice] * 100
        sent = await house.send(action, side=PositionSide.LONG)
        await trio.sleep(60)
        assert newest_alerts(house.ledger.db, BEGINNING, 100) == []
        await trio.sleep(120)
        assert house.codes(sent) == ["unknown"]
        (alert,) = newest_alerts(house.ledger.db, BEGINNING, 100)
        assert (alert.code, alert.wakes) == (AlertCode.ORDER_AMBIGUOUS, True)
        assert "x2" in alert.details["orders"]


async def test_an_order_that_shows_after_it_was_given_up_is_found_late_and_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with silent(tmp_path) as (house, line):
        line.readings = [NOTHING_WHOLE] * 9
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(opened, unlike=(None, "unknown")) == ["not_confirmed"]
        line.readings = []
        assert await house.outcome(opened, unlike=(None, "unknown", "not_confirmed")) == ["filled"]
        told = fetch_all(
            house.ledger.db, "SELECT json_extract(data, '$.code') FROM event WHERE kind = 'alert'"
        )
        assert [each[0] for each in told] == ["order_not_confirmed", "order_found_late"]


async def test_an_exit_whose_account_cannot_be_connected_is_told_and_not_sent_again_until_it_is_found(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(session: ExchangeSession) -> None:
        raise ConnectionRefusedError("no route")

    async with silent(tmp_path) as (house, line):
        line.is_on = False
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == [
            "filled"
        ]
        line.is_on = True
        closed = await house.send(Action.CLOSE)
        await house.until(lambda: len(house.orders()) == 2)
        # while its answer is awaited, its owner gives the account a new key
        house.followers[0].account.renew_session()
        monkeypatch.setattr(ExchangeSession, "open", unreachable)
        await trio.sleep(120)
        assert house.codes(closed) == ["unknown"]
        (alert,) = (
            each
            for each in newest_alerts(house.ledger.db, BEGINNING, 100)
            if each.code is AlertCode.EXIT_FAILING
        )
        assert (alert.details["tries"], alert.details["problem"]) == (
            "3",
            "its order cannot be looked up: ConnectionRefusedError: no route",
        )
        monkeypatch.undo()
        assert await house.outcome(closed, unlike=(None, "unknown")) == ["filled"]
        assert len(house.orders()) == 2
        assert house.holdings() == []


async def test_an_order_found_by_its_time_alone_is_believed_with_a_warning(
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with silent(tmp_path) as (house, line):
        session = house.followers[0].account.session
        assert session is not None
        monkeypatch.setattr(session, "reads_client_order_id", lambda intent: False)
        monkeypatch.setattr(ExchangeSession, "clock_offset_s", property(lambda session: None))
        line.readings = [
            lambda history: replace(
                history,
                orders=tuple(replace(each, client_order_id=None) for each in history.orders),
            )
        ]
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(opened, unlike=(None, "unknown")) == ["filled"]
        assert "was found by its time" in caplog.text


async def test_a_closing_order_that_rests_is_looked_at_until_it_is_done(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    def resting(history: OrderHistory) -> OrderHistory:
        newest = replace(
            history.orders[0],
            status=OrderStatus.OPEN,
            filled_quantity=Quantity(history.orders[0].quantity * 0),
        )
        return replace(history, orders=(newest, *history.orders[1:]))

    async with silent(tmp_path) as (house, line):
        line.is_on = False
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == [
            "filled"
        ]
        line.is_on, line.readings = True, [resting]
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed, unlike=(None, "unknown", "placed")) == ["filled"]
        assert "placed" in house.story(closed)
        assert len(house.orders()) == 2


async def test_a_close_without_trace_is_repeated_once_and_looked_at_further(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with silent(tmp_path) as (house, line):
        line.is_on = False
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == [
            "filled"
        ]
        line.is_on, line.takes = True, False
        closed = await house.send(Action.CLOSE)
        await house.until(lambda: bool(attempts(house, "not_confirmed")))
        line.is_on = False
        assert await house.outcome(closed, unlike=(None, "unknown", "not_confirmed")) == ["filled"]
        await trio.sleep(
            200
        )  # the one without trace is looked at further, and nothing is closed again
        assert len(house.orders()) == 2
        assert attempts(house, "not_confirmed")


async def test_a_close_without_trace_is_not_repeated_where_the_owner_has_a_part(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    def with_his(report: Any) -> Any:
        return replace(
            report,
            positions=tuple(
                replace(each, quantity=Quantity(each.quantity * 2)) for each in report.positions
            ),
        )

    async with silent(tmp_path) as (house, line):
        line.is_on = False
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == [
            "filled"
        ]
        line.is_on, line.takes, line.account = True, False, with_his
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed, unlike=(None, "unknown")) == ["not_confirmed"]
        await trio.sleep(300)
        assert house.codes(closed) == ["not_confirmed"]
        assert len(house.orders()) == 1


async def test_a_person_names_only_an_order_that_is_there_fits_and_is_nobody_elses(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with silent(tmp_path) as (house, line):
        line.is_on = False
        follower = house.followers[0]
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == [
            "filled"
        ]
        await trio.sleep(2)  # so that a reading begins later than the entry ended
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        await trio.sleep(2)
        bought, sold = (
            read_attempt(house.ledger.db, each).exchange_order_id
            for each in attempts(house, "filled")
        )
        assert bought is not None
        assert sold is not None
        line.is_on, line.takes = True, False
        again = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(again, unlike=(None, "unknown")) == ["not_confirmed"]
        (lost,) = attempts(house, "not_confirmed")
        for named, why in (
            ("nowhere", "shows no order nowhere"),
            (sold, "expected BUY"),
            (bought, "is known already as another one"),
        ):
            with pytest.raises(NothingThere, match=why):
                await follower.bind(lost, named)
        assert house.codes(again) == ["not_confirmed"]


async def test_the_lanes_own_check_comes_before_conservation(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        stopped = Outcome(OutcomeCode.KILLED, {"cause": "a switch"})
        line = LastLine(house.followers[0], None, 1, lambda: stopped)  # type: ignore[arg-type]
        assert line.ask() is stopped


async def test_a_sender_that_counts_orders_its_signals_itself(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        closed = await house.send(Action.CLOSE, seq=7)
        assert await house.outcome(closed) == ["skipped.nothing_to_close"]
        opened = await house.send(
            Action.OPEN, side=PositionSide.LONG, seq=6
        )  # sent before it, and came after it
        assert await house.outcome(opened) == ["skipped.superseded"]


def shown(status: OrderStatus, filled: str) -> Change:
    """Return a reading in which every order shows this, whatever became of it."""
    price = Price(Decimal(64_000)) if Decimal(filled) else None

    def change(history: OrderHistory) -> OrderHistory:
        changed = [
            replace(
                each, status=status, filled_quantity=Quantity(Decimal(filled)), average_price=price
            )
            for each in history.orders
        ]
        return replace(history, orders=tuple(changed))

    return change


async def test_an_old_row_takes_no_fill_back_and_none_is_counted_twice(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with silent(tmp_path) as (house, line):
        line.is_on = False
        resting = await house.send(
            Action.OPEN,
            side=PositionSide.LONG,
            order_type=OrderType.LIMIT,
            price=Price(Decimal(64_000)),
        )
        assert await house.outcome(resting) == ["placed"]
        for status, filled in (
            (OrderStatus.PARTIALLY_FILLED, "0.002"),
            (OrderStatus.PARTIALLY_FILLED, "0.001"),
            (OrderStatus.PARTIALLY_FILLED, "0.002"),
            (OrderStatus.OPEN, "0"),
            (OrderStatus.PARTIALLY_FILLED, "0.002"),
        ):
            line.readings = [shown(status, filled)]
            house.followers[0].account.look_now(read_only_attempt(house))
            await trio.sleep(1)
            assert not line.readings
            assert house.codes(resting) == ["partially_filled"]
            assert fetch_all(house.ledger.db, "SELECT filled, state FROM attempt") == [
                ("0.002", "partially_filled")
            ]
            assert [share for _, share, _ in house.holdings()] == ["0.002"]
        line.readings = [shown(OrderStatus.CANCELLED, "0.001")]
        house.followers[0].account.look_now(read_only_attempt(house))
        assert await house.outcome(resting, unlike=("partially_filled",)) == ["cancelled"]
        assert fetch_all(house.ledger.db, "SELECT filled, price FROM attempt") == [
            ("0.002", "64000")
        ]
        assert fetch_all(house.ledger.db, "SELECT sum(quantity) FROM fill") == [(0.002,)]


def read_only_attempt(house: World) -> int:
    [(number,)] = fetch_all(house.ledger.db, "SELECT id FROM attempt")
    return int(number)
