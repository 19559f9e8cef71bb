"""The room of record: one writer with group commit, migrations, and SQL beside the value it stores, all of it behind verbs.

A verb is a plain function over a connection. ``Ledger.write(verb)`` runs it as one durable transaction in the writer;
``Ledger.db`` is the reading connection of this process for verbs that only read: point reads take microseconds and never wait
for the writer (WAL). Nothing outside this folder knows SQL.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from engine.ledger.database import MEMORY, LedgerError, WriteRefused, back_up, check_ledger, open_database, open_reader
from engine.ledger.writer import InlineRunner, Runner, ThreadRunner

T = TypeVar("T")
Database = apsw.Connection
"""What verbs run against; others name this type only to pass it on."""

__all__ = ["Database", "Ledger", "LedgerError", "WriteRefused", "back_up", "check_ledger"]


class Ledger:
    """Hold the two connections and tell who wants to know that something was committed."""

    def __init__(self, runner: Runner, db: apsw.Connection) -> None:
        self._runner = runner
        self.db = db
        self.healthy = True
        self._listeners: list[Callable[[], None]] = []

    @classmethod
    def open(cls, path: Path, *, inline: bool = False) -> "Ledger":
        """Open or make the file. ``inline``: no writer thread (virtual clocks, short commands). Raises LedgerError."""
        writing = open_database(str(path))
        return cls(InlineRunner(writing) if inline else ThreadRunner(writing), open_reader(str(path)))

    @classmethod
    def in_memory(cls) -> "Ledger":
        """Make a ledger without a file, for tests of pure flow; it reads through its writing connection."""
        writing = open_database(MEMORY)
        return cls(InlineRunner(writing), writing)

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called (synchronously, in the loop) after each write: it rings a doorbell, nothing more."""
        self._listeners.append(listener)

    async def write(self, verb: Callable[[apsw.Connection], T]) -> T:
        """Run ``verb`` as one transaction; returns when it is durable. Raises what the verb raised, or LedgerError.

        A write that breaks a rule of the database (WriteRefused) fails alone and says nothing about the ledger's health.
        """
        try:
            result = await self._runner.write(verb)
        except WriteRefused:
            raise
        except LedgerError:
            self.healthy = False
            raise
        self.healthy = True
        for listener in self._listeners:
            listener()
        return result

    async def aclose(self) -> None:
        """Finish what was handed over and close."""
        await self._runner.aclose()
        if self.db is not getattr(self._runner, "_db", None):
            self.db.close()
