"""A full disk while orders are in flight is the installation's fault: no account is quarantined for
it, and once there is space every order is answered for and new ones flow, without a person.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
import trio
from engine_world import World, world
from trio.testing import MockClock

from engine.actors.resolver import Resolver
from engine.actors.supervisor import Vitals, keep
from engine.domain.alert import AlertCode
from engine.domain.signal import Action, PositionSide
from engine.ledger import Database, DiskRefused, Ledger
from engine.ledger.alerts import raise_alert
from engine.ledger.query import fetch_all
from engine.monitor import Running


class FullDisk:
    """The writing connection, whose commits fail as on a full disk."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if sql == "COMMIT":
            self.refused += 1
            raise apsw.FullError("database or disk is full")
        return self._db.execute(sql, *values)


@contextmanager
def full_disk(house: World) -> Iterator[FullDisk]:
    runner: Any = house.ledger._runner
    db = runner._db
    runner._db = full = FullDisk(db)
    try:
        yield full
    finally:
        runner._db = db


def states(house: World) -> list[str]:
    return [row[0] for row in fetch_all(house.ledger.db, "SELECT state FROM attempt")]


async def test_orders_in_flight_are_answered_for_and_new_ones_flow(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, paper={"latency_ms": 6000}) as house:
        opened = await house.send(Action.OPEN, side=PositionSide.LONG)
        await house.until(lambda: states(house) == ["claimed"] * 3)
        with full_disk(house) as disk:
            await trio.sleep(45)
            assert disk.refused
            vitals = house.account_tasks.vitals().values()
            assert not any(each["quarantined"] for each in vitals)
            tried = disk.refused
            await trio.sleep(600)
            # One tries for all of them, and a write that fails is committed twice: thousands of
            # accounts must not fill the log.
            assert disk.refused - tried < 2 * 600 + 10
        assert await house.outcome(opened, unlike=(None, "unknown")) == ["filled"] * 3
        assert len(house.orders()) == 3
        assert not any(each["quarantined"] for each in house.account_tasks.vitals().values())
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed, unlike=(None, "unknown")) == ["filled"] * 3
        assert house.holdings() == []


async def test_it_is_no_hang_and_health_tells_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Else the service manager's watchdog kills the server, and no start works before there is
    space.
    """
    async with world(tmp_path, followers=1) as house:
        running = Running(house.shared, house.account_tasks, "1")
        with full_disk(house):
            with pytest.raises(DiskRefused):
                await house.ledger.write(lambda db: None)
            assert not (await running.health()).ok
            assert await running.is_alive()
        house.ledger._runner.failure = "the writer of the ledger ended"  # type: ignore[misc]
        assert not await running.is_alive()


async def test_a_part_of_the_task_waits_too(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = 0

    async def run(self: Resolver) -> None:
        nonlocal runs
        runs += 1
        await house.ledger.write(lambda db: None)

    monkeypatch.setattr(Resolver, "run", run)
    async with world(tmp_path, followers=1) as house:
        await trio.sleep(100)
        with full_disk(house):
            house.followers[0].account.watch_open_attempts()
            await trio.sleep(100)
            assert runs == 1
        await trio.sleep(5)
        assert (runs, house.followers[0].vitals.quarantined) == (2, False)


async def test_a_task_that_serves_all_goes_on_once_there_is_space_and_is_not_named(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A flatten must not wait out a pause that a full disk has made long."""
    done = []

    async def flatten() -> None:
        await house.ledger.write(lambda db: None)
        done.append(trio.current_time())
        await trio.sleep_forever()

    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        with full_disk(house):
            house.account_tasks.keep_running(nursery, "flattening", flatten)
            await trio.sleep(300)
            assert house.account_tasks.failing() == {}
        began = trio.current_time()
        await trio.sleep(5)
        assert [each - began < 5 for each in done] == [True]
        nursery.cancel_scope.cancel()


async def test_a_fault_beside_a_refused_write_counts(autojump_clock: MockClock) -> None:
    vitals, ledger = Vitals("account f0"), Ledger.in_memory()

    async def run() -> None:
        raise ExceptionGroup("both", [DiskRefused("full"), RuntimeError("a mistake of our own")])

    with trio.move_on_after(60):
        await keep(vitals, run, Random(1), ledger)
    assert vitals.quarantined
    await ledger.aclose()


async def test_an_alert_that_the_disk_did_not_take_is_recorded_once_it_does(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_full = True

    def raising(db: Database, **alert: Any) -> None:
        if is_full:
            raise DiskRefused("the ledger could not be written: database or disk is full")
        raise_alert(db, **alert)

    monkeypatch.setattr("engine.actors.shared.raise_alert", raising)
    async with world(tmp_path, followers=1) as house:
        for change in ("30 s", "60 s"):
            await house.shared.alert(AlertCode.CLOCK_STEPPED, change, change=change)
        await trio.sleep(3)
        is_full = False
        await trio.sleep(120)
        rows = fetch_all(house.ledger.db, "SELECT subject FROM alert WHERE code = 'clock_stepped'")
        assert rows == [("30 s",), ("60 s",)]
