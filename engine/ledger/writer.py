"""One writer: a thread that runs whole closures in order and commits them in groups. Signals, stops
and what a person does go first, because somebody waits for them: after a fan-out hundreds of
outcomes wait to be recorded.

A closure is one transaction: all of it is durable when ``write`` returns, or none of it and
``write`` raises. A cancelled caller does not know whether its closure ran: read again. A closure
may run a second time before anything of it is recorded, so it changes nothing but the database.
``InlineRunner`` does the same on the caller's task, for virtual clocks (a thread would keep them
from jumping) and for commands that open the ledger themselves.
"""

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from time import perf_counter
from typing import Final, Protocol, TypeVar, cast

import apsw
import trio

from engine.ledger.errors import DiskRefused, LedgerError, WriteRefused
from engine.ledger.query import Database

_LOG = logging.getLogger("rexalgo.ledger")
T = TypeVar("T")
_GROUP_MAX: Final = 100
_FIRST_MAX: Final = 50
"""Closures that go first, at most, before others have their turn: a flood of them keeps no other from
being written.
"""
_TURN_MIN: Final = 25
"""Closures of a group that run before it is cut short for one that goes first: a group of 100 takes
tens of milliseconds, a commit one or two.
"""
_WOKEN_AT_ONCE: Final = 8
"""Callers that are woken in one turn of the loop. An account whose exit was recorded plans and claims
its entry then, half a millisecond; a hundred in one turn kept signals waiting for 50 ms.
"""
_TOLD_WITHIN_S: Final = 5.0
"""How long the file stays open at its end for callers that have not gone on yet."""
_OF_ONE_WRITE: Final = (
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    apsw.RangeError,
    apsw.BindingsError,
    apsw.SQLError,
)
"""What SQLite raises if the statement or its values are wrong. Everything else is taken as a
failing disk or file.
"""

_OF_THE_DISK: Final = (
    apsw.FullError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
)
"""What SQLite raises if the disk takes nothing, whoever writes."""


class Runner(Protocol):
    """A runner of closures on the one writing connection."""

    @property
    def commits(self) -> int:
        """Return how many groups were committed so far."""
        ...

    @property
    def busy_s(self) -> float:
        """Return how long groups were written so far, in seconds; 0 if it is not measured."""
        ...

    @property
    def failure(self) -> str:
        """Return why nothing can be written any more; empty while the runner works."""
        ...

    async def write(self, work: Callable[[apsw.Connection], T], *, first: bool = False) -> T:
        """Run ``work`` as one durable transaction, ``first`` before what waits without it; raises
        what it raised, WriteRefused, DiskRefused, or LedgerError if it could not be committed.
        """
        ...

    async def aclose(self, *, leaves_log: bool = False) -> None:
        """Finish what was handed over, then close the connection; with ``leaves_log`` nothing more
        is moved into the file.
        """
        ...


def undone(db: Database, work: Callable[[Database], T]) -> T:
    """Run ``work`` inside a closure and undo everything it wrote; return its result, raise what it
    raised.
    """
    db.execute("SAVEPOINT undone")
    try:
        return work(db)
    finally:
        db.execute("ROLLBACK TO undone")
        db.execute("RELEASE undone")


class _Job:
    __slots__ = ("done", "error", "has_ended", "result", "work")

    def __init__(self, work: Callable[[apsw.Connection], object], done: Callable[[], None]) -> None:
        self.work = work
        self.done = done
        self.result: object = None
        self.error: BaseException | None = None
        self.has_ended = False


class _Mark(Enum):
    """What stands among the jobs that wait: a look at those that go first, and the end."""

    LOOK = "look"
    END = "end"


def _run_group(
    db: apsw.Connection, jobs: list[_Job], is_called: Callable[[], bool] = lambda: False
) -> int:
    """Run jobs in one transaction and return how many ran; a job that raises leaves no trace, a
    commit that fails leaves none of them.

    The rest is left for another group if the writer ``is_called`` elsewhere. If one raises, all run
    again, apart: savepoints cost a fifth of an order's writes, and a closure raises seldom.
    """
    ran = _run_together(db, jobs, is_called)
    if ran is None:
        _run_apart(db, jobs)
        return len(jobs)
    return ran


def _run_together(
    db: apsw.Connection, jobs: list[_Job], is_called: Callable[[], bool]
) -> int | None:
    """Run jobs without savepoints and return how many ran; None, with nothing recorded, if they must
    run apart.
    """
    ran = 0
    try:
        db.execute("BEGIN IMMEDIATE")
        while ran < len(jobs) and (ran < _TURN_MIN or not is_called()):
            jobs[ran].result = jobs[ran].work(db)
            ran += 1
        db.execute("COMMIT")
    except Exception as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if len(jobs) > 1 or isinstance(error, apsw.Error):
            return None
        jobs[0].error = error  # a closure's own refusal: it is alone, and does not run twice
        ran = 1
    return ran


def _run_apart(db: apsw.Connection, jobs: list[_Job]) -> None:
    """Run jobs in one transaction with a savepoint each."""
    try:
        db.execute("BEGIN IMMEDIATE")
        for job in jobs:
            db.execute("SAVEPOINT job")
            try:
                job.result = job.work(db)
            except _OF_ONE_WRITE as error:
                job.error = WriteRefused(f"the ledger refused a write: {error}")
                job.error.__cause__ = error
                db.execute("ROLLBACK TO job")
            except apsw.Error:
                raise
            except (
                Exception
            ) as error:  # handed to the caller: a closure's own refusal is not the ledger's failure
                job.error = error
                db.execute("ROLLBACK TO job")
            db.execute("RELEASE job")
        db.execute("COMMIT")
    except apsw.Error as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        refused = DiskRefused if isinstance(error, _OF_THE_DISK) else LedgerError
        if len(jobs) > 1 and refused is not DiskRefused:
            for job in jobs:  # one closure met a damaged page: its neighbours must not fail with it
                job.error = None
                _run_apart(db, [job])
            return
        for job in jobs:
            job.error = refused(f"the ledger could not be written: {error}")
            job.error.__cause__ = error


def _close(db: apsw.Connection, *, leaves_log: bool) -> None:
    if leaves_log:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    db.close()


class InlineRunner:
    """A runner that runs each closure at once on the caller's task."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self.commits = 0
        self.busy_s = 0.0
        self.failure = ""

    async def write(self, work: Callable[[apsw.Connection], T], *, first: bool = False) -> T:
        """Run ``work`` as one durable transaction."""
        result = self.write_now(work)
        await trio.lowlevel.checkpoint()
        return result

    def write_now(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run ``work`` as one durable transaction, synchronously."""
        job = _Job(work, lambda: None)
        _run_group(self._db, [job])
        self.commits += 1
        if job.error is not None:
            raise job.error
        return cast(T, job.result)

    async def aclose(self, *, leaves_log: bool = False) -> None:
        """Close the connection."""
        _close(self._db, leaves_log=leaves_log)


class NoWriter:
    """A runner that writes nothing, for a process that only reads the ledger."""

    commits: Final = 0
    busy_s: Final = 0.0
    failure: Final = ""

    async def write(self, work: Callable[[apsw.Connection], T], *, first: bool = False) -> T:
        """Refuse; raises LedgerError."""
        raise LedgerError("this process only reads the ledger: writing is asked of the engine")

    async def aclose(self, *, leaves_log: bool = False) -> None:
        """Do nothing: there is no writing connection."""


class ThreadRunner:
    """A runner with one thread of its own, up to 100 closures in one commit. Created inside a
    running trio loop.

    If the thread ends by an error (a rollback that fails), everybody who waits gets a LedgerError
    and does not know whether the write was committed; every later write gets one too.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self.commits = 0
        self.busy_s = 0.0
        self.failure = ""
        self._open: set[_Job] = set()
        """What was handed over and whose caller has not gone on yet; only the loop looks at it."""
        self._first: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._jobs: queue.SimpleQueue[_Job | _Mark] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self._closed = False
        self._leaves_log = False
        self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[apsw.Connection], T], *, first: bool = False) -> T:
        """Hand ``work`` over, then wait until its group is committed."""
        if self._closed:
            raise LedgerError("the ledger is closed")
        if self.failure:
            raise LedgerError(self.failure)
        finished = trio.Event()
        job = _Job(work, finished.set)
        self._open.add(job)
        try:
            if first:
                self._first.put(job)
                self._jobs.put(_Mark.LOOK)
            else:
                self._jobs.put(job)
            await finished.wait()
        finally:
            self._open.discard(job)
        if job.error is not None:
            raise job.error
        return cast(T, job.result)

    async def aclose(self, *, leaves_log: bool = False) -> None:
        """Finish what was handed over, then close the connection."""
        if not self._closed:
            self._closed, self._leaves_log = True, leaves_log
            self._jobs.put(_Mark.END)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await self._ended.wait()

    def _work(self) -> None:
        try:
            self._run_until_closed()
            self._wait_told()
            _close(self._db, leaves_log=self._leaves_log)
        except BaseException as error:  # else everybody who waits would wait for ever
            self.failure = f"the writer of the ledger ended: {type(error).__name__}: {error}"
            with suppress(Exception):
                _LOG.critical("the writer of the ledger ended", exc_info=True)
            # What is open is undone by this, or when the file is opened the next time.
            with suppress(Exception):
                _close(self._db, leaves_log=True)
            self._call(self._fail)
        self._call(self._end)

    def _run_until_closed(self) -> None:
        running, waiting = True, list[_Job]()
        while running or waiting or not self._first.empty():
            if running and not waiting:
                taken = self._take_waiting()
                running = _Mark.END not in taken
                waiting = [job for job in taken if isinstance(job, _Job)]
            if first := self._take_first():
                self._run(first)
            if waiting:
                waiting = waiting[self._run(waiting, lambda: not self._first.empty()) :]

    def _run(self, jobs: list[_Job], is_called: Callable[[], bool] = lambda: False) -> int:
        """Run jobs in one commit, tell their callers, and return how many ran."""
        began = perf_counter()
        ran = _run_group(self._db, jobs, is_called)
        self.busy_s += perf_counter() - began
        self.commits += 1
        self._tell(jobs[:ran])
        return ran

    def _take_waiting(self) -> list[_Job | _Mark]:
        taken = [self._jobs.get()]
        while len(taken) < _GROUP_MAX and not self._jobs.empty():
            taken.append(self._jobs.get())
        return taken

    def _take_first(self) -> list[_Job]:
        taken: list[_Job] = []
        while len(taken) < _FIRST_MAX and not self._first.empty():
            taken.append(self._first.get())
        if not self._first.empty():
            self._jobs.put(_Mark.LOOK)  # their own marks may be taken already
        return taken

    def _tell(self, jobs: list[_Job]) -> None:
        for job in jobs:
            job.has_ended = True
        self._call(partial(self._wake, jobs))

    def _wake(self, jobs: list[_Job]) -> None:
        """Wake some callers in this turn of the loop, and the others in the next ones."""
        for job in jobs[:_WOKEN_AT_ONCE]:
            job.done()
        if others := jobs[_WOKEN_AT_ONCE:]:
            self._call(partial(self._wake, others))

    def _wait_told(self) -> None:
        """Wait until every caller has gone on: each looks at the files once its write is durable, and
        closing removes the log.
        """
        told = threading.Event()
        if self._call(partial(self._once_told, told.set)):
            told.wait(_TOLD_WITHIN_S)

    def _end(self) -> None:
        self._once_told(self._ended.set)

    def _once_told(self, then: Callable[[], None]) -> None:
        if self._open:
            self._call(partial(self._once_told, then))
        else:
            then()

    def _fail(self) -> None:
        """Raise at everybody whose job did not end. Whether it was committed is not known: read
        again.
        """
        for job in [each for each in self._open if not each.has_ended]:
            job.error = LedgerError(self.failure)
            job.done()

    def _call(self, wake: Callable[[], None]) -> bool:
        """Call something in the loop; return False if the loop ended: nobody waits any more."""
        try:
            self._token.run_sync_soon(wake)
        except trio.RunFinishedError:
            return False
        return True
