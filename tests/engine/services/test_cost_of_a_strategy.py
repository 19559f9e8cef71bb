"""The page of a strategy and of a trade ask the ledger equally often however long the history is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from trio.testing import MockClock

from bench.past import write_past
from engine.domain.identifiers import PersonId
from engine.ledger import Database
from engine.ledger.charting import closed_trade
from engine.ledger.query import fetch_one
from engine.ledger.results import all_strategies
from engine.services import performance
from engine.services.performance import PerformanceService
from tests.engine.actors.engine_world import BEGINNING, world

COMPARED = 200
STATEMENTS_MAX = 120
FOLLOWERS = 3


@contextmanager
def counted(db: Database) -> Iterator[list[int]]:
    """Yield the steps of each statement that the caller's task runs: other tasks run between its
    checkpoints.
    """
    steps, mine = list[int](), trio.lowlevel.current_task()

    def trace(event: Any) -> None:
        if trio.lowlevel.current_task() is mine:
            steps.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])

    db.trace_v2(apsw.SQLITE_TRACE_PROFILE, trace)
    yield steps
    db.trace_v2(0)


async def asked(folder: Path, past: int) -> list[int]:
    """Return the steps of the statements behind both pages after a history of that length."""
    async with world(folder, followers=FOLLOWERS) as house:
        db: Any = house.ledger.db
        write_past(db, past, BEGINNING)
        context: Any = type("Context", (), {"ledger": house.ledger, "clock": house.shared.clock})
        service = PerformanceService(context)
        (row,) = all_strategies(db)
        newest = fetch_one(
            db, "SELECT max(trade.id), person_id FROM trade JOIN account ON account.id = account_id"
        )
        assert newest is not None
        with counted(db) as steps:
            (environment,) = service.environments_of(row)
            compared = await service.record(row, environment, None)
            assert compared.record is not None
            assert compared.is_cut
            assert compared.record.followers == FOLLOWERS
            service.funding_per_follower(compared)
            assert sum((await service.outcomes(row.id))[environment].values()) > 0
            found = closed_trade(db, PersonId(newest[1]), newest[0])
            assert found is not None
            assert found.fills
        return steps


async def test_a_longer_history_costs_a_page_nothing(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performance, "TRADES_COMPARED", COMPARED)
    for name in ("young", "old"):
        (tmp_path / name).mkdir()
    young = await asked(tmp_path / "young", 1_200)
    old = await asked(tmp_path / "old", 4_800)
    assert len(young) == len(old) <= STATEMENTS_MAX
    assert sum(old) < 1.2 * sum(young), (sum(young), sum(old))


async def test_orders_go_between_the_signals_of_a_page_and_it_reads_them_once_a_minute(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=FOLLOWERS) as house, trio.open_nursery() as nursery:
        db: Any = house.ledger.db
        write_past(db, 200, BEGINNING)
        context: Any = type("Context", (), {"ledger": house.ledger, "clock": house.shared.clock})
        service = PerformanceService(context)
        (row,) = all_strategies(db)
        turns = 0

        async def order() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        nursery.start_soon(order)
        await trio.lowlevel.checkpoint()
        began = turns
        with counted(db) as steps:
            first = await service.outcomes(row.id)
        assert turns - began >= performance.SIGNALS_COUNTED - 1
        assert len(steps) == 1 + performance.SIGNALS_COUNTED
        with counted(db) as steps:
            assert await service.outcomes(row.id) == first
        assert len(steps) == 1, "what settled is kept for a minute"
        nursery.cancel_scope.cancel()
