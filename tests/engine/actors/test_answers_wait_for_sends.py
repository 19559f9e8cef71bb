"""Answers wait while a fan-out sends: not forever, not without a bound, and not for one another."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from engine_world import world
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.actors import unsent as module
from engine.actors.unsent import ANSWER_WAITS_S, ANSWERS_AT_ONCE, Unsent
from engine.domain.signal import Action, PositionSide

SLOTS = 2


class Answers:
    """Answers that arrive in tasks of their own; ``recorded`` are those that went on."""

    def __init__(self, unsent: Unsent, nursery: trio.Nursery) -> None:
        self.unsent = unsent
        self.nursery = nursery
        self.recorded: list[int] = []

    async def arrive(self, *numbers: int) -> None:
        for number in numbers:
            self.nursery.start_soon(self._record, number)
        await wait_all_tasks_blocked()

    async def _record(self, number: int) -> None:
        await self.unsent.wait_for_sends()
        self.recorded.append(number)


@asynccontextmanager
async def answers() -> AsyncIterator[Answers]:
    async with trio.open_nursery() as nursery:
        yield Answers(Unsent(SLOTS), nursery)
        nursery.cancel_scope.cancel()


async def test_an_answer_is_recorded_at_once_where_nothing_is_sent(
    autojump_clock: MockClock,
) -> None:
    async with answers() as world:
        await world.unsent.acquire()
        await world.arrive(1)
        assert world.recorded == [1]
        assert trio.current_time() == 0


async def test_answers_wait_until_every_leg_is_handed_on_and_no_claim_waits(
    autojump_clock: MockClock,
) -> None:
    async with answers() as world:
        with world.unsent.fanning_out():
            await world.arrive(1)
            for _ in range(SLOTS):
                await world.unsent.acquire()
            world.nursery.start_soon(world.unsent.acquire)
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert not world.recorded, "a claim still waits for its slot"
        world.unsent.release()
        await wait_all_tasks_blocked()
        assert world.recorded == [1]


async def test_an_answer_waits_for_a_second_at_most(autojump_clock: MockClock) -> None:
    async with answers() as world:
        with world.unsent.fanning_out():
            began = trio.current_time()
            await world.unsent.wait_for_sends()
            assert trio.current_time() - began == ANSWER_WAITS_S
            with trio.move_on_after(ANSWER_WAITS_S / 2):
                await world.unsent.wait_for_sends()
                raise AssertionError("the next one waits for itself")


async def test_the_answers_that_wait_have_a_bound(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWERS_MAX", 3)
    async with answers() as world:
        with world.unsent.fanning_out():
            await world.arrive(1, 2, 3)
            assert not world.recorded
            await world.arrive(4)
            assert world.recorded == [4]


async def test_answers_go_on_a_few_at_a_time(autojump_clock: MockClock) -> None:
    async with answers() as world:
        with world.unsent.fanning_out():
            await world.arrive(*range(50))
        seen = []
        while len(world.recorded) < 50:
            await trio.lowlevel.checkpoint()
            seen.append(len(world.recorded))
        steps = [after - before for before, after in zip([0, *seen], seen, strict=False)]
        assert max(steps) <= 2 * ANSWERS_AT_ONCE
        assert len([each for each in steps if each]) >= 50 / (2 * ANSWERS_AT_ONCE)


async def test_the_next_fan_out_stops_those_that_were_being_let_go(
    autojump_clock: MockClock,
) -> None:
    async with answers() as world:
        with world.unsent.fanning_out():
            await world.arrive(*range(50))
        await trio.lowlevel.checkpoint()
        with world.unsent.fanning_out():
            await wait_all_tasks_blocked()
            assert len(world.recorded) < 50
        await wait_all_tasks_blocked()
        assert sorted(world.recorded) == list(range(50))


async def test_every_outcome_of_a_fan_out_is_recorded(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=30) as house:
        signal = await house.send(Action.OPEN, side=PositionSide.LONG)
        await house.outcome(signal)
        await trio.sleep(3 * ANSWER_WAITS_S)
        assert house.codes(signal).count("filled") == 30
