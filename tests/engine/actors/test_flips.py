"""Close and open directly after each other, on an exchange that fills after its acknowledgement: no
entry is lost.
"""

from pathlib import Path

import pytest
import trio
from engine_world import BTC, World, world
from trio.testing import MockClock

from engine.domain.signal import Action, PositionSide
from engine.ledger.query import fetch_all
from engine.ports.clock import Clock
from tests.faults.dice import Dice
from tests.faults.fault_exchange import FaultExchange, Habits

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


class Slow:
    """An exchange without faults that fills within two seconds, and shows orders and positions
    later.
    """

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self.made: FaultExchange

    def __call__(self, clock: Clock) -> FaultExchange:
        self.made = FaultExchange(clock, Dice(1, 0.0, off=True), self.habits)
        return self.made


async def settled(house: World, signal: str) -> set[str | None]:
    return set(await house.outcome(signal, unlike=(None, "placed", "partially_filled", "unknown")))


@pytest.mark.parametrize(
    "habits",
    [
        Habits("both"),
        Habits("none"),
        Habits("none", rows_of_closes=False),
        Habits("none", rows_of_closes=False, tells_closed=False),
        Habits("none", rows_of_closes=False, tells_closed=False, names_positions=False),
    ],
    ids=[
        "ids",
        "no ids",
        "no rows of closes",
        "no rows, no closed positions",
        "no rows, nothing but readings",
    ],
)
@pytest.mark.parametrize("first", [LONG, SHORT])
async def test_twenty_flips_sent_as_close_then_open_lose_no_entry(
    tmp_path: Path, autojump_clock: MockClock, first: PositionSide, habits: Habits
) -> None:
    exchange = Slow(habits)
    async with world(tmp_path, followers=2, exchange=exchange) as house:
        side = first
        assert await settled(house, await house.send(Action.OPEN, side=side)) == {"filled"}
        for number in range(20):
            side = side.opposite if number % 4 else side  # now and then the same side again
            closed, opened = (
                await house.send(Action.CLOSE),
                await house.send(Action.OPEN, side=side),
            )
            assert await settled(house, opened) == {"filled"}, number
            assert await settled(house, closed) == {"filled"}
            assert [share for _, share, _ in house.holdings()] == ["2.5"] * 2
        assert exchange.made.problems == []
        sign = 1 if side is LONG else -1
        assert {each * sign for each in exchange.made.positions.values()} == {2.5}


async def test_an_open_right_behind_a_close_of_everything_that_was_just_opened_waits_for_both(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=2, exchange=Slow(Habits("none"))) as house:
        sent = [
            await house.send(Action.OPEN, side=LONG),
            await house.send(Action.CLOSE),
            await house.send(Action.OPEN, side=SHORT),
        ]
        assert await settled(house, sent[2]) == {"filled"}
        assert {row[0] for row in fetch_all(house.ledger.db, "SELECT side FROM holding")} == {
            "SHORT"
        }


async def test_waiting_for_an_exit_costs_nothing_of_what_entries_may_be_tried_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=2, exchange=Slow(Habits("none"))) as house:
        assert await settled(house, await house.send(Action.OPEN, side=LONG)) == {"filled"}
        for each in house.account_tasks.followers.values():
            assert each.account.session is not None
            while each.account.session._circuit.may_retry():
                pass
        await house.send(Action.CLOSE)
        assert await settled(house, await house.send(Action.OPEN, side=SHORT)) == {"filled"}


async def test_a_flip_whose_exit_does_not_end_in_time_says_so(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    exchange = Slow(Habits("none"))
    async with world(tmp_path, followers=1, exchange=exchange) as house:
        assert await settled(house, await house.send(Action.OPEN, side=LONG)) == {"filled"}
        exchange.made.is_open_for = lambda account, intent: True  # type: ignore[method-assign]
        exchange.made.accept = _never(exchange.made)  # type: ignore[method-assign]
        await house.send(Action.CLOSE)
        opened = await house.send(Action.OPEN, side=SHORT)
        assert await house.outcome(opened) == ["expired.waiting"]
        numbers = fetch_all(
            house.ledger.db,
            "SELECT numbers FROM copy JOIN signal ON number = signal_number WHERE signal.id = ?",
            (opened,),
        )
        assert "an earlier exit of this strategy has not ended" in numbers[0][0]


def _never(exchange: FaultExchange):  # type: ignore[no-untyped-def]
    accept = exchange.accept

    def taken(*told):  # type: ignore[no-untyped-def]
        row = accept(*told)
        row.plan = [(at.replace(year=at.year + 1), quantity) for at, quantity in row.plan]
        return row

    return taken


async def test_a_reverse_and_an_add_behind_a_close_wait_for_it_too(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1, exchange=Slow(Habits("none"))) as house:
        assert await settled(house, await house.send(Action.OPEN, side=LONG)) == {"filled"}
        await house.send(Action.CLOSE)
        added = await house.send(Action.ADD, side=LONG)
        turned = await house.send(Action.REVERSE, side=SHORT)
        assert await settled(house, added) == {"skipped.superseded"}
        assert await settled(house, turned) == {"filled"}
        await house.send(Action.CLOSE)
        assert await settled(house, await house.send(Action.ADD, side=SHORT)) == {
            "skipped.not_open"
        }


async def test_what_we_closed_a_moment_ago_is_not_taken_for_the_owners(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The reading that the entry would be planned from began before the exit ended: it shows our
    own position.
    """
    async with world(tmp_path, followers=1) as house:
        assert await settled(house, await house.send(Action.OPEN, side=LONG)) == {"filled"}
        follower = house.followers[0]
        await trio.sleep(1)
        stale = follower.account.report
        assert stale is not None
        assert [each.symbol for each in stale.positions] == [BTC]
        reads, read = [0], follower.reader.try_to_read

        async def hang() -> bool:
            reads[0] += 1
            return await read() if reads[0] > 1 else False

        follower.reader.try_to_read = hang  # type: ignore[method-assign]  # the reading after the exit is lost
        assert await settled(house, await house.send(Action.CLOSE)) == {"filled"}
        assert follower.account.report is stale
        assert await settled(house, await house.send(Action.OPEN, side=LONG)) == {"filled"}
        assert reads[0] > 1
