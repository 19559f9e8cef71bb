"""Parts that run only when they are woken: an idle account has no task for them, and none is lost."""

from pathlib import Path

import pytest
import trio
from engine_world import world
from trio.testing import MockClock

from engine.actors.account import Account
from engine.actors.follower import Follower
from engine.actors.log_context import logged, working_for
from engine.actors.resolver import Resolver
from engine.actors.wakeup import Timetable, WakeUp
from engine.domain.order import OrderIntent, OrderReport
from engine.domain.signal import Action, PositionSide
from engine.ports.exchange import OutcomeUnknown
from engine.transport import SendPermit, send_permit


def parts_of(follower: Follower) -> list[str]:
    """Return the names of the running tasks that belong to on-demand parts of any follower."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    names, tasks = [], [root]
    while tasks:
        task = tasks.pop()
        names.append(task.name)
        tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return [name for name in names if "OnDemand" in name]


async def test_an_idle_account_has_no_task_for_them(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await trio.sleep(100)
        assert parts_of(house.followers[0]) == []


async def test_an_account_at_rest_remembers_nothing_of_its_legs(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        lanes = house.followers[0]._lanes
        session = await house.followers[0].account.connected()
        place, warm, tries = session._open.place_order, session.warm, []

        async def loses_its_answer(order: OrderIntent) -> OrderReport:
            await place(order)
            raise OutcomeUnknown("502")

        async def cold_at_first() -> None:
            tries.append(trio.current_time())
            if len(tries) % 3:
                raise ConnectionRefusedError("no route")
            await warm()

        def remembered() -> list[object]:
            return [each for each in vars(lanes).values() if isinstance(each, dict) and each]

        for _ in range(2):  # the first round as it goes well, the second with everything against it
            entered = await house.send(Action.OPEN, side=PositionSide.LONG)
            assert await house.outcome(entered, unlike=(None, "unknown")) == ["filled"]
            closed = await house.send(Action.CLOSE)
            overtaken = await house.send(Action.OPEN, side=PositionSide.LONG)
            again = await house.send(Action.CLOSE)
            for signal, code in (
                (closed, "filled"),
                (overtaken, "skipped.superseded"),
                (again, "skipped.nothing_to_close"),
            ):
                assert await house.outcome(signal, unlike=(None, "unknown")) == [code]
            await trio.sleep(60)
            assert remembered() == []
            monkeypatch.setattr(session, "warm", cold_at_first)
            monkeypatch.setattr(session._open, "place_order", loses_its_answer)
        assert len(tries) == 6


async def test_a_wake_up_while_the_part_ends_starts_it_again(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    async def run(self: Resolver) -> None:
        runs.append(trio.current_time())
        if len(runs) == 1:
            self._account.watch_open_attempts()

    monkeypatch.setattr(Resolver, "run", run)
    async with world(tmp_path, followers=1) as house:
        house.followers[0].account.watch_open_attempts()
        await trio.sleep(1)
        assert len(runs) == 2
        house.followers[0].account.watch_open_attempts()
        await trio.sleep(1)
        assert len(runs) == 3


async def test_a_task_that_begins_again_looks_at_what_is_open(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    looked = Resolver.run

    async def run(self: Resolver) -> None:
        runs.append(trio.current_time())
        await looked(self)

    monkeypatch.setattr(Resolver, "run", run)
    async with world(tmp_path, followers=1, paper={"latency_ms": 20}) as house:
        follower = house.followers[0]
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        before, take = len(runs), Account.take_waiting

        def breaks(account: Account) -> list[object]:
            monkeypatch.setattr(Account, "take_waiting", take)
            raise RuntimeError("a mistake of the engine's own")

        monkeypatch.setattr(Account, "take_waiting", breaks)
        follower.account.wake()
        await trio.sleep(5)
        assert follower.vitals.restarts == 1
        assert len(runs) == before + 1
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]


async def test_a_wake_up_after_the_end_starts_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        account = house.followers[0].account
    account.watch_open_attempts()
    account.protection.wake()


async def test_starts_at_once_if_a_wake_up_came() -> None:
    wakeup, starts = WakeUp(), []
    wakeup.starts(lambda: starts.append(1))
    assert starts == []
    wakeup.wake()
    wakeup.wake()
    assert starts == [1]
    wakeup.starts(lambda: starts.append(2))
    assert starts == [1, 2]
    assert wakeup.take()
    wakeup.starts(lambda: starts.append(3))
    assert starts == [1, 2]


async def test_the_timetable_wakes_what_is_due(autojump_clock: MockClock) -> None:
    timetable, early, late = Timetable(), WakeUp(), WakeUp()
    timetable.wake_at(late, 20)
    timetable.wake_at(early, 30)
    timetable.wake_at(early, 10)
    await trio.sleep(9)
    timetable.ring()
    assert (early.take(), late.take()) == (False, False)
    await trio.sleep(1)
    timetable.ring()
    assert (early.take(), late.take()) == (True, False)
    timetable.forget(late)
    await trio.sleep(100)
    timetable.ring()
    assert (early.take(), late.take()) == (False, False)  # replaced and forgotten requests


async def test_the_timetable_does_not_grow_with_replaced_requests(
    autojump_clock: MockClock,
) -> None:
    timetable, wakeup = Timetable(), WakeUp()
    for at in range(10_000):
        timetable.wake_at(wakeup, 50_000 - at)
    assert len(timetable._heap) < 100
    await trio.sleep(50_000 - 9_999)
    timetable.ring()
    assert wakeup.take()


async def test_an_account_is_checked_at_the_start_and_every_day(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await trio.sleep(30)
        first = house.followers[0].preflight.newest
        assert first is not None
        autojump_clock.jump(86_300)  # slept through, it would be 86,400 sweeps
        await trio.sleep(100)
        newest = house.followers[0].preflight.newest
        assert newest is not None
        assert newest.at > first.at


async def test_a_part_works_in_the_context_of_its_account_whoever_wakes_it(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def run(self: Resolver) -> None:
        seen.append((dict(working_for()), send_permit.get(None)))

    monkeypatch.setattr(Resolver, "run", run)
    async with world(tmp_path, followers=1) as house:
        account = house.followers[0].account
        await trio.sleep(1)
        seen.clear()  # the first run, which the account's own task began
        permit = send_permit.set(SendPermit(lambda: None, lambda: None))
        with logged(account="another", copy="cp_1"):
            account.watch_open_attempts()
        send_permit.reset(permit)
        await trio.sleep(1)
    assert seen == [({"account": account.id}, None)]
