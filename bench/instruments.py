"""What the measured process can tell of itself: CPU time by thread, memory, SQL, turns of the loop.

Clocks and memory may be read at any time. Counting statements and timing turns cost time
themselves, so they are switched on for rounds of their own.
"""

import os
import threading
import time
from pathlib import Path
from typing import Any, Final, cast

import apsw
import trio

from bench.rows import percentile
from engine.ledger import Database, Ledger

WRITER: Final = "ledger-writer"
KIB_OF_PAGE: Final = os.sysconf("SC_PAGE_SIZE") // 1024


def _clock_of(thread: threading.Thread) -> int:
    assert thread.ident is not None
    return time.pthread_getcpuclockid(thread.ident)


class Clocks:
    """The CPU clocks of the loop's thread (the main one) and of the ledger's writer."""

    def __init__(self) -> None:
        writer = next(each for each in threading.enumerate() if each.name == WRITER)
        self._loop, self._writer = _clock_of(threading.main_thread()), _clock_of(writer)

    def read(self) -> dict[str, float]:
        """Return the microseconds so far, of any thread."""
        return {
            "loop_us": time.clock_gettime(self._loop) * 1e6,
            "writer_us": time.clock_gettime(self._writer) * 1e6,
            "process_us": time.process_time() * 1e6,
        }


def memory_kib() -> float:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * KIB_OF_PAGE


class StatementCount:
    """The statements that the loop's and the writer's connection ran, the steps of the loop's ones in
    SQLite's machine, and the writer's commits.

    Statements of triggers are not counted; BEGIN, SAVEPOINT and COMMIT are.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.counts = {"loop": 0, "writer": 0, "commits": 0, "steps": 0}

    async def start(self) -> None:
        """Count from now on."""
        self.counts = dict.fromkeys(self.counts, 0)
        self._trace(self._ledger.db, "loop")
        await self._ledger.write(lambda db: self._trace(db, "writer"))

    async def stop(self) -> dict[str, int]:
        """Stop, and return the counts."""
        _connection(self._ledger.db).trace_v2(0)
        await self._ledger.write(lambda db: _connection(db).trace_v2(0))
        return self.counts

    def _trace(self, db: Database, who: str) -> None:
        counts = self.counts

        def note(event: Any) -> None:
            counts[who] += 1
            if who == "loop":
                counts["steps"] += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]
            if event["sql"] == "COMMIT":
                counts["commits"] += 1

        _connection(db).trace_v2(apsw.SQLITE_TRACE_PROFILE, note)


def _connection(db: Database) -> apsw.Connection:
    return cast(apsw.Connection, db)


class Turns(trio.abc.Instrument):
    """The turns of the loop, from one look at the sockets to the next, and the steps of tasks in
    them, in milliseconds of wall time; and the turns in CPU time.
    """

    def __init__(self) -> None:
        self._turn: tuple[float, float] | None = None
        self._step = 0.0
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.steps: list[float] = []

    def start(self) -> None:
        """Measure from now on; called in the loop."""
        trio.lowlevel.add_instrument(self)

    def stop(self) -> dict[str, float]:
        """Stop; return the percentiles."""
        trio.lowlevel.remove_instrument(self)
        told = {"turns": float(len(self.wall)), "steps": float(len(self.steps))}
        for name, values in (("wall", self.wall), ("cpu", self.cpu), ("step", self.steps)):
            told |= {f"{name}_p{at}_ms": percentile(values, at) for at in (50, 99)}
            told[f"{name}_max_ms"] = max(values)
        return told

    def after_io_wait(self, timeout: float) -> None:
        """Begin a turn."""
        self._turn = (time.perf_counter(), time.thread_time())

    def before_io_wait(self, timeout: float) -> None:
        """End a turn."""
        if self._turn is not None:
            wall, cpu = self._turn
            self.wall.append((time.perf_counter() - wall) * 1e3)
            self.cpu.append((time.thread_time() - cpu) * 1e3)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Begin a step."""
        self._step = time.perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """End a step."""
        if self._step:
            self.steps.append((time.perf_counter() - self._step) * 1e3)
