"""What a start costs for each account without positions: tasks and statements, counted.

Both are the difference between two starts, so what is paid once does not count. And what a start must
not save: the look at an account's history.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any, Final, cast

import apsw
import pytest
import trio
from engine_world import world
from trio.testing import MockClock

from engine.actors.old_ledger import AGAIN_S, OldLedger
from engine.domain.order import OrderReport

FEW, MANY = 2, 6
TASKS: Final = 4
"""Beside the account's own, one each to read it, to look at its history, to check it, and for its
books: none that only waits, and none for positions that are not there.
"""
STATEMENTS: Final = 25


class Spawned(trio.abc.Instrument):
    """The tasks that were begun."""

    def __init__(self) -> None:
        self.count = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


async def start(folder: Path, followers: int) -> tuple[int, list[str]]:
    """Start so many accounts; return how many tasks were begun, and the statements that ran."""
    statements: list[str] = []
    spawned = Spawned()

    async with world(folder, followers=followers) as house:
        cast(apsw.Connection, house.ledger.db).trace_v2(
            apsw.SQLITE_TRACE_STMT, lambda event: statements.append(cast(Any, event)["sql"])
        )
        trio.lowlevel.add_instrument(spawned)
        await trio.sleep(5)
        trio.lowlevel.remove_instrument(spawned)
        assert all(each.preflight.newest is not None for each in house.followers)
        assert all(each.account.history.looked.is_set() for each in house.followers)
    return spawned.count, statements


async def test_each_account_costs_a_few_tasks_and_statements(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    for name in ("few", "many"):
        (tmp_path / name).mkdir()
    few_tasks, few = await start(tmp_path / "few", FEW)
    many_tasks, many = await start(tmp_path / "many", MANY)
    assert many_tasks - few_tasks <= TASKS * (MANY - FEW)
    # One more or less is the place's own, asked by its clock.
    assert len(many) - len(few) < (STATEMENTS + 1) * (MANY - FEW)


async def test_a_history_that_cannot_be_asked_is_asked_again_until_it_answers(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    ask = OldLedger.lost_orders

    async def lost_orders(self: OldLedger) -> list[OrderReport]:
        asked.append(trio.current_time())
        if len(asked) <= 2:
            raise TimeoutError("no answer")
        return await ask(self)

    monkeypatch.setattr(OldLedger, "lost_orders", lost_orders)
    async with world(tmp_path, followers=1) as house:
        await trio.sleep(1)
        assert house.followers[0].account.history.looked.is_set()  # the first try has ended
        await trio.sleep(10 * AGAIN_S)
        pauses = [after - before for before, after in pairwise(asked)]
        assert pauses == pytest.approx([AGAIN_S, AGAIN_S])
