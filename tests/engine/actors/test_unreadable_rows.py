"""An unreadable row of the exchange stops only what it is about, and people see it."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from engine_world import BEGINNING, BTC, World, world
from trio.testing import MockClock

from engine.domain.account import AccountReport, UnreadableRow
from engine.domain.alert import Alert, AlertCode
from engine.domain.preflight import Level
from engine.domain.signal import Action, PositionSide
from engine.ledger.alerts import newest_alerts
from engine.ports.exchange import OutcomeUnknown
from engine.services.explaining import explain_copy

ELSEWHERE = UnreadableRow("order", "o-7", None, "status must be a known word, was ODD")
OF_POSITION = UnreadableRow("position", "p-1", BTC, "quantity must be a number, was ?")


class Odd:
    """A connection whose readings have unreadable rows; the position's own row is missing then.
    With ``loses_orders`` an order vanishes on its way.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.rows: tuple[UnreadableRow, ...] = ()
        self.in_history: tuple[UnreadableRow, ...] = ()
        self.loses_orders = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def fetch_account(self) -> AccountReport:
        report: AccountReport = await self._real.fetch_account()
        hidden = {row.symbol for row in self.rows if row.what == "position"}
        there = tuple(each for each in report.positions if each.symbol not in hidden)
        return replace(report, positions=there, unreadable=self.rows)

    async def place_order(self, order: Any) -> Any:
        if self.loses_orders:
            raise OutcomeUnknown("the order vanished on its way")
        return await self._real.place_order(order)

    async def find_orders(self, *given: Any) -> Any:
        found = await self._real.find_orders(*given)
        return replace(found, unreadable=self.in_history)


async def opened(house: World, rows: tuple[UnreadableRow, ...]) -> Odd:
    assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == ["filled"]
    await trio.sleep(5)
    session = house.followers[0].account.session
    assert session is not None
    session._connection = odd = Odd(session._connection)  # type: ignore[assignment]
    odd.rows = rows
    assert await house.followers[0].reader.try_to_read()
    return odd


def told(house: World) -> list[Alert]:
    return [
        each
        for each in newest_alerts(house.ledger.db, BEGINNING, 100)
        if each.code is AlertCode.ROWS_UNREADABLE
    ]


@pytest.mark.parametrize(
    "rows",
    [(ELSEWHERE,), (OF_POSITION,), (replace(OF_POSITION, symbol=None),), (ELSEWHERE, OF_POSITION)],
)
async def test_no_row_that_cannot_be_read_stops_an_exit(
    tmp_path: Path, autojump_clock: MockClock, rows: tuple[UnreadableRow, ...]
) -> None:
    async with world(tmp_path, followers=1) as house:
        odd = await opened(house, rows)
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        odd.rows = ()
        assert await house.position() is None
        assert house.holdings() == []


async def test_a_position_whose_row_cannot_be_read_is_not_taken_for_gone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        odd = await opened(house, (OF_POSITION,))
        held = house.holdings()
        await trio.sleep(600)
        assert house.holdings() == held
        odd.rows = (ELSEWHERE,)
        await trio.sleep(600)
        assert house.holdings() == held
        assert not [
            each
            for each in newest_alerts(house.ledger.db, BEGINNING, 100)
            if each.code is AlertCode.CLOSED_OUTSIDE
        ]


async def test_a_close_without_trace_is_not_repeated_until_the_position_can_be_read(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The row may show a part of the owner's, which a repetition could close."""
    async with world(tmp_path, followers=1) as house:
        odd = await opened(house, (OF_POSITION,))
        odd.loses_orders = True
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed, unlike=(None, "unknown")) == ["not_confirmed"]
        odd.loses_orders = False
        await trio.sleep(600)
        assert house.codes(closed) == ["not_confirmed"]
        assert len(house.orders()) == 1
        odd.rows = (ELSEWHERE,)
        assert await house.outcome(closed, unlike=(None, "not_confirmed")) == ["filled"]
        assert len(house.orders()) == 2
        assert house.holdings() == []


async def test_entries_there_are_denied_truthfully_and_elsewhere_go_on(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        odd = await opened(house, ())
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        odd.rows = (OF_POSITION, ELSEWHERE)
        await house.followers[0].reader.try_to_read()
        refused = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(refused) == ["denied.account_not_ready"]
        found = explain_copy(
            SimpleNamespace(ledger=house.ledger, live=house.account_tasks), refused, "f0"
        )  # type: ignore[arg-type]
        assert found is not None
        assert (
            "the position in BTCUSDT cannot be read (quantity must be a number, was ?)"
            in found.sentence
        )
        odd.rows = (ELSEWHERE, replace(OF_POSITION, symbol="ETHUSDT"))  # type: ignore[arg-type]
        await house.followers[0].reader.try_to_read()
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == [
            "filled"
        ]


async def test_rows_are_told_once_and_the_check_lists_them(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        odd = await opened(house, (ELSEWHERE, OF_POSITION))
        await trio.sleep(900)
        (alert,) = told(house)
        assert alert.sentence == (
            "PAPER f0: 2 of the exchange's rows cannot be read: order o-7: "
            "status must be a known word, was ODD; "
            "position p-1 in BTCUSDT: "
            "quantity must be a number, was ?."
        )
        check = house.followers[0].preflight.newest
        assert check is not None
        rows = [
            (each.level, each.sentence)
            for each in check.items
            if "cannot be read" in each.sentence or "denied" in each.sentence
        ]
        assert rows[0] == (
            Level.WARNING,
            "2 rows of the exchange cannot be read; closing orders are sent all the same",
        )
        assert rows[1] == (
            Level.STOPS_ENTRIES,
            "position p-1 in BTCUSDT: quantity must be a number, was ?; entries into BTCUSDT are "
            "denied",
        )
        odd.rows = ()
        await house.followers[0].reader.try_to_read()
        await trio.sleep(5)
        newest = house.followers[0].preflight.newest
        assert newest is not None
        assert not [each for each in newest.items if each.about == "unreadable"]


async def test_rows_of_a_history_are_kept_too(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with world(tmp_path, followers=1, paper={"lose_answer_every": 2}) as house:
        odd = await opened(house, ())
        odd.in_history = (ELSEWHERE,)
        await house.outcome(await house.send(Action.CLOSE), unlike=(None, "unknown"))
        assert house.followers[0].unreadable.rows == (ELSEWHERE,)
        assert len(told(house)) == 1
