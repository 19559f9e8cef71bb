"""The reserve of an entry survives the task that sent it: a crash or a restart must not free room
under the caps.
"""

from functools import partial
from pathlib import Path

import trio
from engine_world import World, world
from trio.testing import MockClock

from engine.actors.account import Account, read_openings
from engine.domain.signal import Action, PositionSide
from engine.domain.subscription import Subscription


async def crash(house: World) -> None:
    """Make the only follower's task fail by an engine error while it plans, and wait until it runs
    again.
    """
    follower, real = house.followers[0], house.shared.read_subscription

    def fail_once(identifier: str) -> Subscription:
        house.shared.read_subscription = real
        raise RuntimeError("a mistake of the engine's own")

    house.shared.forget_subscriptions()
    house.shared.read_subscription = fail_once
    await house.send(Action.CLOSE)
    for _ in range(300):  # half a minute of the virtual clock
        if follower.vitals.restarts and follower.vitals.running:
            return
        await trio.sleep(0.1)
    raise AssertionError("the task was not restarted")


async def test_an_unproven_entry_counts_against_every_cap_after_its_task_crashed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1, paper={"hang_for": ["a0"]}) as house:
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(opened) == ["unknown"]
        follower = house.followers[0]
        before = tuple(each.entry for each in follower.account.reserved.values())
        assert len(before) == 1
        follower.account.reserved.clear()  # what the end of the process does
        opening = read_openings(house.ledger.db, [follower.account.id])[follower.account.id]
        assert opening.has_open_attempts, "a start of the process reserves it too"
        new = partial(Account, follower.account.id, "f0", "paper", "paper", house.shared)
        assert not new(follower.account._new_session, opening).begins_without_open_attempts()
        await crash(house)
        assert tuple(each.entry for each in follower.account.reserved.values()) == before
        assert await house.outcome(opened, unlike=("unknown",)) == ["not_confirmed"]
        assert tuple(each.entry for each in follower.account.reserved.values()) == before
        await trio.sleep(1_000)
        assert follower.account.reserved == {}
