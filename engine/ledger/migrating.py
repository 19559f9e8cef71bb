"""Migrate the ledger of an earlier version: a verified copy first, then each step as one
transaction.

What always holds: before the first step there is a copy beside the file that SQLite checked page by
page and that has as many rows in every table. A kill leaves the file at the version before or after
a step, whole, and the next start continues there. Nothing is begun without the disk space for it.
Progress is logged as a warning, because a command without a log shows warnings, and told to
``on_progress``: nobody, and no service manager, must take a long migration for a start that hangs.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Final

import apsw

from engine.domain.amounts import EXACT, ZERO, plain
from engine.ledger.errors import LedgerError
from engine.ledger.query import Database
from engine.settings.files import sync_folder

COPY: Final = 0x52584350
"""The application id in the header of every copy: a restore starts from such a copy."""
_LOG: Final = logging.getLogger("rexalgo.ledger")
_MIB: Final = 2**20
_ROOM: Final = 2
"""How many times the size of the ledger must be free: for the copy, and for the log and the growth
of the file while a step writes rows anew. From 0.1 it was 1.13 times.
"""
_PAGES_AT_ONCE: Final = 16_384
_LOOKS_EVERY: Final = 5_000_000
"""How many steps of SQLite's machine pass between two looks at the clock: well below a second."""
_TELLS_EVERY_S: Final = 10.0
_BESIDE: Final = ("-wal", "-shm", "-journal")
WAY_BACK: Final = "stop, install the older version, and type rexalgo restore {copy} with it"
"""Moving the copy over the ledger is no way back: after a kill the log of the newer version lies
beside the ledger, and SQLite would play it over the copy.
"""
on_progress: Final[ContextVar[Callable[[str], None]]] = ContextVar(
    "on_progress", default=lambda how_far: None
)
"""What is told how far a migration is, at least every ten seconds."""


class _ExactSum:
    """An aggregate of SQLite: the exact sum of decimals that are written as plain text."""

    def __init__(self) -> None:
        self._sum = ZERO

    def step(self, *values: object) -> None:
        """Add one amount."""
        self._sum = EXACT.add(self._sum, Decimal(str(values[0])))

    def final(self) -> str:
        """Return the sum."""
        return plain(self._sum)


def let_add_up(db: apsw.Connection) -> None:
    """Let a step add up amounts (``exact_sum``): SQLite itself has only sums of floats."""
    db.create_aggregate_function("exact_sum", _ExactSum, 1)


def migrate(db: apsw.Connection, path: Path, version: int, steps: Sequence[str]) -> None:
    """Migrate a ledger that has rows from its version to the newest one; raises LedgerError, and
    then nothing after the last finished step is changed.
    """
    began = monotonic()
    size = require_room(path, version, len(steps))
    copy = Path(f"{path}.before-{version + 1}")
    _tell(
        f"the ledger {path} ({size / _MIB:.0f} MiB) is migrated from version {version} to "
        f"{len(steps)}; first a copy, {copy}"
    )
    rows = _copy_first(db, copy)
    _tell(f"the copy is verified: {rows:,} rows, {monotonic() - began:.1f} s")
    for number in range(version, len(steps)):
        take_step(db, number, steps)
    _tell(
        f"the ledger is migrated to version {len(steps)}, {monotonic() - began:.1f} s in all; "
        f"{copy} can be removed once everything runs as before; the way back: "
        + WAY_BACK.format(copy=copy)
    )


def _tell(how_far: str) -> None:
    _LOG.warning("%s", how_far)
    on_progress.get()(how_far)


@contextmanager
def _told(db: apsw.Connection, what: str) -> Iterator[None]:
    """Report every ten seconds that a long statement goes on."""
    began = told = monotonic()

    def look() -> bool:
        nonlocal told
        if monotonic() - told >= _TELLS_EVERY_S:
            told = monotonic()
            _tell(f"{what}: {told - began:.0f} s so far")
        return False

    db.set_progress_handler(look, _LOOKS_EVERY)
    try:
        yield
    finally:
        db.set_progress_handler(None)


def require_room(path: Path, version: int, newest: int) -> int:
    """Return the size of a ledger in bytes; raises LedgerError unless the disk has room to migrate
    it.
    """
    log = Path(f"{path}-wal")
    size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
    free = shutil.disk_usage(path.parent).free
    if free < _ROOM * size:
        raise LedgerError(
            f"the ledger {path} is of version {version} and must be migrated to {newest}: expected "
            f"{_ROOM * size / _MIB:.0f} MiB free in {path.parent} for a copy and the new rows, found "
            f"{free / _MIB:.0f} MiB; free some space and start again, nothing was changed"
        )
    return size


def take_step(db: apsw.Connection, number: int, steps: Sequence[str]) -> None:
    """Run one step with its version as one transaction, and say how long it takes."""
    what, began = f"step {number + 1} of {len(steps)}", monotonic()
    with _told(db, what), db:
        db.execute(steps[number])
        db.execute(f"PRAGMA user_version = {number + 1}")
    _tell(f"{what} is done, {monotonic() - began:.1f} s")


def copy_into(db: apsw.Connection, target: Path, *, alone: bool = False) -> None:
    """Copy a database into an empty file; ``check_copy`` is next.

    The copy is one file whatever happens to it, and is marked as a copy. The database may be
    written to meanwhile; whoever is ``alone`` with it is told how far the copy is.
    """
    copy, told = apsw.Connection(str(target)), monotonic()
    try:
        backup = copy.backup("main", db, "main")
        try:
            while not backup.done:
                # at once, or every write in between would begin it anew
                backup.step(_PAGES_AT_ONCE if alone else -1)
                if monotonic() - told >= _TELLS_EVERY_S:
                    told = monotonic()
                    done = 1 - backup.remaining / max(1, backup.page_count)
                    _tell(f"copying the ledger: {done * 100:.0f} %")
        finally:
            backup.close(True)  # forced: a failed step has told its error already
        copy.pragma("journal_mode", "delete")
        copy.pragma("application_id", COPY)
    finally:
        copy.close()


def check_copy(target: Path, *, alone: bool = False) -> None:
    """Have SQLite check every page of a copy; raises LedgerError. It takes most of a
    backup's time: whoever holds a moment of the ledger for the copy lets go of it before.
    """
    copy = apsw.Connection(str(target))
    try:
        with _told(copy, "checking the copy") if alone else nullcontext():
            answer = copy.pragma("integrity_check")
    finally:
        copy.close()
    if answer != "ok":
        raise LedgerError(
            f"the copy {target} of the ledger is damaged ({answer}): the ledger is damaged too, or "
            "the disk fails; restore a backup with rexalgo restore"
        )


def _copy_first(db: apsw.Connection, target: Path) -> int:
    """Copy a ledger under its final name only once the copy is verified; return its rows."""
    unfinished = Path(f"{target}.unfinished")
    _remove(unfinished)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        rows = _verified(db, unfinished)
    except BaseException:
        _remove(unfinished)
        raise
    unfinished.replace(target)
    sync_folder(target.parent)
    return rows


def _verified(db: apsw.Connection, unfinished: Path) -> int:
    copy_into(db, unfinished, alone=True)
    check_copy(unfinished, alone=True)
    here = count_rows(db)
    copy = apsw.Connection(str(unfinished), flags=apsw.SQLITE_OPEN_READONLY)
    there = count_rows(copy)
    copy.close()
    if here != there:
        differs = [name for name in here if here[name] != there.get(name)]
        raise LedgerError(
            f"the copy {unfinished} of the ledger differs from it in {', '.join(differs)}: another "
            "process writes to the ledger; stop it and start again, nothing was changed"
        )
    for suffix in _BESIDE:
        Path(f"{unfinished}{suffix}").unlink(missing_ok=True)
    return sum(here.values())


def _remove(unfinished: Path) -> None:
    for suffix in ("", *_BESIDE):
        Path(f"{unfinished}{suffix}").unlink(missing_ok=True)


def count_rows(db: Database) -> dict[str, int]:
    """Count the rows of every table."""
    names = db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    ).fetchall()
    return {
        name: int(db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for (name,) in names
    }
