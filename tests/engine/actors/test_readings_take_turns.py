"""After a fan-out the readings of accounts are spread out; one that something waits for is not."""

from pathlib import Path

import trio
import trio.lowlevel
from engine_world import world
from trio.testing import MockClock

from engine.actors.shared import (
    CALM_AFTER_S,
    CALM_WITHIN_S,
    READING_EVERY_S,
    READING_WITHIN_S,
)
from engine.domain.signal import Action, PositionSide

LONG = PositionSide.LONG


async def test_readings_after_a_fan_out_come_one_after_another(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=40, paper={"latency_ms": 20}) as house:
        began = house.shared.clock.now()
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        await trio.sleep(1)
        read = sorted((each.account.read_at - began).total_seconds() for each in house.followers)
        assert all(0 < each < 1 for each in read)
        assert max(read) - min(read) >= 30 * READING_EVERY_S


async def test_a_reading_that_an_entry_waits_for_does_not_wait_for_its_turn(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        account = house.followers[0].account
        await trio.sleep(1)
        with house.shared.sending():
            account.read_in_turn()
            await trio.lowlevel.checkpoint()
        for _ in range(10_000):  # as if so many had asked before
            house.shared.next_reading_at()
        first, began = account.read_at, trio.current_time()
        with house.shared.sending():
            account.read_in_turn()
            await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(READING_WITHIN_S / 2)
        assert account.read_at == first
        account.read_soon()
        await trio.sleep(0.5)
        assert account.read_at is not None
        assert account.read_at != first
        assert trio.current_time() - began < READING_WITHIN_S


async def test_readings_wait_while_orders_keep_leaving_and_not_for_one_that_hangs(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        shared, calm_at = house.shared, list[float]()

        async def order(takes_s: float) -> None:
            with shared.sending():
                await trio.sleep(takes_s)

        async def wait() -> None:
            await trio.testing.wait_all_tasks_blocked()  # until an order is in flight
            began = trio.current_time()
            await shared.calm()
            calm_at.append(round(trio.current_time() - began, 3))

        await trio.sleep(60)
        nursery.start_soon(order, 8.0)  # an exchange that does not answer
        nursery.start_soon(wait)
        await trio.sleep(60)
        for number in range(70):  # a fan-out of seven seconds
            nursery.start_soon(order, 0.5)
            if not number:
                nursery.start_soon(wait)
            await trio.sleep(0.1)
        await trio.sleep(60)
        for number in range(300):  # one that does not end
            nursery.start_soon(order, 0.5)
            if not number:
                nursery.start_soon(wait)
            await trio.sleep(0.1)
    assert calm_at == [CALM_AFTER_S, 7.4, CALM_WITHIN_S]


async def test_a_reading_is_never_put_off_for_long(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        now = trio.current_time()
        turns = [house.shared.next_reading_at() - now for _ in range(10_000)]
        assert round(turns[0], 6) == READING_EVERY_S
        assert max(turns) <= READING_WITHIN_S
