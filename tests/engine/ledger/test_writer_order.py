"""Who writes first: a signal that a sender waits for, before what a fan-out left to be recorded; and
nobody is kept from being written by it.
"""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import trio
import trio.testing

from engine.ledger import Ledger, LedgerError
from engine.ledger.query import Database


@asynccontextmanager
async def held(tmp_path: Path) -> AsyncIterator[tuple[Ledger, threading.Event, list[str]]]:
    """Open a ledger whose writer is within a write until the event is set; what is written after
    it, is in the list.
    """
    ledger = Ledger.open(tmp_path / "ledger.sqlite3")
    go, began, written = threading.Event(), threading.Event(), list[str]()

    def wait(db: Database) -> None:
        began.set()
        assert go.wait(20)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.write, wait)
        assert await trio.to_thread.run_sync(began.wait, 20)
        try:
            yield ledger, go, written
        finally:
            go.set()
    await ledger.aclose()


async def write(ledger: Ledger, work: Callable[[Database], None], first: bool) -> None:
    with suppress(LedgerError):  # the file is closed before it is looked at
        await ledger.write(work, first=first)


async def hand_over(nursery: trio.Nursery, ledger: Ledger, written: list[str], *names: str) -> None:
    """Hand writes over, in order; those whose name begins with "signal" go first."""
    for name in names:
        first = name.startswith("signal")
        work = partial(lambda each, db: written.append(each), name)
        nursery.start_soon(write, ledger, work, first)
        await trio.testing.wait_all_tasks_blocked()


async def test_a_signal_is_written_before_the_outcomes_that_wait(tmp_path: Path) -> None:
    outcomes = [f"outcome {number}" for number in range(250)]
    async with held(tmp_path) as (ledger, go, written), trio.open_nursery() as nursery:
        await hand_over(nursery, ledger, written, *outcomes, "signal 1", "signal 2")
        go.set()
    assert written == ["signal 1", "signal 2", *outcomes]


async def test_a_flood_of_signals_keeps_no_outcome_from_being_written(tmp_path: Path) -> None:
    signals = [f"signal {number}" for number in range(180)]
    async with held(tmp_path) as (ledger, go, written), trio.open_nursery() as nursery:
        await hand_over(nursery, ledger, written, "outcome", *signals)
        go.set()
    assert written.index("outcome") == 50, "in the first group"
    assert [each for each in written if each != "outcome"] == signals


async def test_what_goes_first_is_written_before_the_ledger_closes(tmp_path: Path) -> None:
    signals = [f"signal {number}" for number in range(180)]
    async with held(tmp_path) as (ledger, go, written), trio.open_nursery() as nursery:
        await hand_over(nursery, ledger, written, *signals)
        nursery.start_soon(ledger.aclose)
        await trio.testing.wait_all_tasks_blocked()
        go.set()
    assert written == signals
