"""Check that the files a ledger writes to are still those at its path: what is committed into a
removed file is lost.

The file is held open until the ledger is closed, because closing any handle of a file drops the
locks that SQLite has on it. A file that cannot be checked is a problem too: nothing is promised
into a file that cannot be seen.
"""

import os
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from engine.ledger.errors import LedgerError

LOOK_HOLDS_S: Final = 0.005
"""How long a look holds: it takes three system calls, and a fan-out asks several times for each
order.
"""
_ID_AT: Final = 68
"""The offset of the application id in a database's header: a copy of ``back_up`` that was written
over the file has another one.
"""


class Witness:
    """A watch over one opened ledger; ``known_id`` is its application id as the database reports
    it. Raises LedgerError.
    """

    def __init__(self, path: Path, known_id: int) -> None:
        self._path = str(path)
        self._log = f"{path}-wal"
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            opened = os.fstat(self._handle)
            file_id = os.pread(self._handle, 4, _ID_AT)
        except OSError as error:
            raise LedgerError(
                f"{_unseen(path, error)}; rexalgo doctor says what is there and what to do"
            ) from error
        self._file = (opened.st_dev, opened.st_ino)
        self._size = opened.st_size
        self._ids = {file_id, known_id.to_bytes(4, "big")}
        self._log_file: tuple[int, int] | None = None
        self._problem = ""
        self._looked_at = 0.0
        self.is_written_over = False
        """Whether the file is the same one with another content."""

    def know_id(self, known_id: int) -> None:
        """Accept this application id too: it enters the file with a later checkpoint."""
        self._ids.add(known_id.to_bytes(4, "big"))

    def problem(self) -> str:
        """Return what happened to the files, empty if nothing did; once reported it stays, because
        what was written since is lost.
        """
        self._problem = self._problem or self._look()
        self._looked_at = monotonic()
        return self._problem

    def recent_problem(self) -> str:
        """Return what a look of the last five milliseconds found, or look now. Not for what was just
        committed.
        """
        if monotonic() - self._looked_at < LOOK_HOLDS_S:
            return self._problem
        return self.problem()

    def _look(self) -> str:
        try:
            now = os.stat(self._path)
            file_id = os.pread(self._handle, 4, _ID_AT)
        except (FileNotFoundError, NotADirectoryError):
            return f"{self._path} was removed while it was in use"
        except OSError as error:
            return _unseen(self._path, error)
        if (now.st_dev, now.st_ino) != self._file:
            return f"{self._path} was replaced by another file while it was in use"
        if now.st_size < self._size:
            self.is_written_over = True
            return (
                f"{self._path} was cut from {self._size} to {now.st_size} bytes while it was in use"
            )
        self._size = now.st_size
        if file_id not in self._ids:
            self.is_written_over = True
            return f"{self._path} was written over with another ledger while it was in use"
        return self._look_at_log()

    def _look_at_log(self) -> str:
        try:
            now = os.stat(self._log)
        except (FileNotFoundError, NotADirectoryError):
            return "" if self._log_file is None else f"{self._log} was removed while it was in use"
        except OSError as error:
            return _unseen(self._log, error)
        if self._log_file not in (None, (now.st_dev, now.st_ino)):
            return f"{self._log} was replaced by another file while it was in use"
        self._log_file = (now.st_dev, now.st_ino)
        return ""

    def close(self) -> None:
        """Close the file, after the database has closed it."""
        with suppress(OSError):  # nothing was written through it
            os.close(self._handle)


def _unseen(file: Path | str, error: OSError) -> str:
    return (
        f"{file} could not be looked at while it was in use ({error.strerror or error}): see to "
        "its disk, its folder and their rights"
    )
