"""The ledger: one writer with group commit, migrations, and SQL beside the value it stores, all of
it behind verbs.

A verb is a plain function over a connection. ``Ledger.write(verb)`` runs it as one durable
transaction in the writer; ``Ledger.db`` is the reading connection of this process for verbs that
only read: point reads take microseconds and never wait for the writer (WAL). Nothing outside this
folder knows SQL.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import apsw
import trio

from engine.ledger.database import (
    MEMORY,
    back_up,
    check_ledger,
    copy_ledger,
    open_database,
    open_memory,
    open_reader,
    touch,
)
from engine.ledger.errors import DiskRefused, LedgerError, WriteRefused
from engine.ledger.query import Database
from engine.ledger.witness import Witness
from engine.ledger.writer import InlineRunner, NoWriter, Runner, ThreadRunner

T = TypeVar("T")

__all__ = [
    "Database",
    "DiskRefused",
    "Ledger",
    "LedgerError",
    "WriteRefused",
    "back_up",
    "check_ledger",
    "copy_ledger",
]


TRIES_EVERY_S: Final = 1.0


class Ledger:
    """The two connections of a ledger, and the listeners to its commits."""

    def __init__(
        self, runner: Runner, reading: apsw.Connection, witness: Witness | None = None
    ) -> None:
        self._runner = runner
        self._reading = reading
        self.db: Database = reading
        self._witness = witness
        self.healthy = True
        self._seen = (0, "")
        """The newest commit after which the files were looked at, and what was wrong then."""
        self._listeners: list[Callable[[], None]] = []
        self._file = (0, 0)
        self._trying = trio.Lock()

    @classmethod
    def open(cls, path: Path, *, inline: bool = False, may_migrate: bool = True) -> "Ledger":
        """Open or create the file. ``inline``: no writer thread (virtual clocks, short commands).
        ``may_migrate`` as in ``open_database``. Raises LedgerError.
        """
        writing = open_database(str(path), may_migrate=may_migrate)
        try:
            witness, reading = (
                Witness(path, int(writing.pragma("application_id"))),
                open_reader(str(path)),
            )
        except apsw.Error as error:
            writing.close()
            raise LedgerError(f"the ledger {path} cannot be read: {error}") from error
        except LedgerError:
            writing.close()
            raise
        return cls(InlineRunner(writing) if inline else ThreadRunner(writing), reading, witness)

    @classmethod
    def alone(cls, path: Path) -> "Ledger":
        """Open a file that nobody else has open, with one connection that reads and writes; raises
        LedgerError.
        """
        writing = open_database(str(path))
        return cls(InlineRunner(writing), writing)

    @classmethod
    def in_memory(cls) -> "Ledger":
        """Create a ledger without a file, for tests of pure flow; it reads through its writing
        connection.
        """
        writing = open_memory()
        return cls(InlineRunner(writing), writing)

    @classmethod
    def of_another(cls) -> "Ledger":
        """Create a ledger that another process writes; it holds nothing until ``read_from``."""
        return cls(NoWriter(), open_reader(MEMORY))

    def read_from(self, path: Path) -> None:
        """Read this file from now on; it is opened again only if it is not the one that is read, as
        after a restore. Raises LedgerError.
        """
        try:
            found = path.stat()
            if (found.st_dev, found.st_ino) == self._file:
                return
            reading = open_reader(str(path))
        except (OSError, apsw.Error) as error:
            raise LedgerError(f"the ledger {path} cannot be read: {error}") from error
        self._reading.close()
        self._reading = self.db = reading
        self._file = (found.st_dev, found.st_ino)

    @property
    def unusable(self) -> str:
        """Return why nothing can be recorded any more: its writer ended, or its files were removed,
        replaced or cut. Empty if they were still those at the path within the last five
        milliseconds.
        """
        moved = "" if self._witness is None else self._witness.recent_problem()
        return self._runner.failure or moved

    def know_id(self) -> None:
        """Adopt the file's current application id after it was changed on purpose."""
        if self._witness is not None:
            self._witness.know_id(int(self._reading.pragma("application_id")))

    async def answers(self) -> None:
        """Wait until the writer has done what was handed over before; writes nothing, and says
        nothing about the disk.
        """
        await self._runner.write(lambda db: None)

    def writer_times(self) -> tuple[int, float]:
        """Return how many groups were committed so far, and the seconds that took."""
        return self._runner.commits, self._runner.busy_s

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` (synchronously, in the loop) after each write; it only wakes tasks."""
        self._listeners.append(listener)

    def off_commit(self, listener: Callable[[], None]) -> None:
        """Call a listener no more."""
        self._listeners.remove(listener)

    async def write(self, verb: Callable[[Database], T], *, first: bool = False) -> T:
        """Run ``verb`` as one transaction; return once it is durable. Raises what the verb raised,
        or LedgerError. ``first`` puts it before the writes that wait without it; it is for a write
        that depends on none of them.

        A write that breaks a rule of the database (WriteRefused) fails alone and says nothing about
        the ledger's health.
        """
        try:
            result = await self._runner.write(verb, first=first)
        except WriteRefused:
            raise
        except LedgerError:
            self.healthy = False
            raise
        if problem := self._misplaced_after_commit():
            self.healthy = False
            raise LedgerError(f"nothing can be recorded any more: {problem}")
        self.healthy = True
        for listener in self._listeners:
            listener()
        return result

    async def writable(self) -> None:
        """Wait until a write succeeds, if the last one failed; one of those who wait tries for all
        of them. Returns at once if nothing can be recorded any more.
        """
        async with self._trying:
            while not self.healthy and not self.unusable:
                with suppress(LedgerError):
                    await self.write(touch)
                    return
                await trio.sleep(TRIES_EVERY_S)

    def _misplaced_after_commit(self) -> str:
        """Look at the files once for all writes of a commit: what was in the right file after it is
        there.
        """
        if (commits := self._runner.commits) != self._seen[0]:
            self._seen = (commits, "" if self._witness is None else self._witness.problem())
        return self._seen[1]

    async def aclose(self) -> None:
        """Finish what was handed over and close."""
        if self._reading is not getattr(self._runner, "_db", None):
            # first, so that the writer is the last one and leaves nothing in the log
            self._reading.close()
        # If another ledger was written over the file, our log must not be mixed into it.
        await self._runner.aclose(
            leaves_log=self._witness is not None and self._witness.is_written_over
        )
        if self._witness is not None:
            self._witness.close()
