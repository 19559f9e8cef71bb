"""Open the ledger's file: pragmas, file modes, migrations behind a verified copy.

What always holds: WAL with synchronous=FULL, STRICT tables, SQLite 3.51.3 or newer (before it, a
WAL reset could corrupt), file mode 0600 in a folder 0700. The file is never copied as a file: only
the library's backup call copies it.
"""

import errno
import os
import secrets
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import apsw

from engine.ledger.errors import DiskRefused, LedgerError, NotMigrated
from engine.ledger.migrating import (
    COPY,
    check_copy,
    copy_into,
    count_rows,
    let_add_up,
    migrate,
)
from engine.ledger.query import Database
from engine.ledger.schema import MIGRATIONS
from engine.settings.files import make_folder, sync_folder, whole_file

_SQLITE_MIN = (3, 51, 3)
MEMORY = ":memory:"
_HEADER = 100
_STATEMENTS_KEPT = 500
"""Prepared statements of a connection. An engine with its pages runs some hundreds: with the usual 100
a page can push out those of orders, and preparing one takes several times what finding it takes.
"""
_WITHOUT_LOG = b"\x01"
"""The format byte in the header of a file in rollback mode, as ``back_up`` leaves every copy; in
WAL it is 2.
"""
_CACHE_KIB = 65_536
"""The writer's cache of a long ledger: it holds the upper levels of its indexes. With SQLite's
default of 2 MiB each order reads 14 pages again.
"""


def open_database(path: str, *, may_migrate: bool = True) -> apsw.Connection:
    """Open one writing connection, creating the file if needed; raises LedgerError with what to do
    next.

    A file of an earlier version is migrated; without ``may_migrate`` it is refused.
    """
    if tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) < _SQLITE_MIN:
        raise LedgerError(
            f"SQLite 3.51.3 or newer is needed, found {apsw.sqlite_lib_version()}; install the "
            "locked apsw"
        )
    try:
        if path != MEMORY:
            _prepare_file(Path(path))
        db = apsw.Connection(path, statementcachesize=_STATEMENTS_KEPT)
        _tune(db)
        _migrate(db, path, may_migrate=may_migrate)
        if not db.pragma("application_id"):
            take_into_use(db)
    except (apsw.Error, OSError) as error:
        raise LedgerError(f"the ledger {path} cannot be opened: {error}") from error
    return db


def open_memory() -> apsw.Connection:
    """Open a new ledger without a file, for tests of pure flow."""
    db = apsw.Connection(MEMORY, statementcachesize=_STATEMENTS_KEPT)
    db.deserialize("main", _without_rows())
    _tune(db)
    let_add_up(db)
    take_into_use(db)
    return db


@cache
def _without_rows() -> bytes:
    """Return a new ledger, made once: its steps take longer than most tests of pure flow."""
    db = open_database(MEMORY)
    try:
        return db.serialize("main")
    finally:
        db.close()


def take_into_use(db: Database) -> None:
    """Give a file an application id of its own: it is a ledger from now on, not a copy."""
    db.execute(f"PRAGMA application_id = {secrets.randbelow(COPY - 1) + 1}")


def is_copy(db: Database) -> bool:
    """Return whether this file was created by ``back_up`` and has not been taken into use."""
    return bool(db.execute("PRAGMA application_id").fetchone()[0] == COPY)


def touch(db: Database) -> None:
    """Write what is there already, only to see whether the disk takes it."""
    db.execute(f"PRAGMA user_version = {db.execute('PRAGMA user_version').fetchone()[0]}")


def open_reader(path: str) -> apsw.Connection:
    """Open one reading connection of a file that ``open_database`` created."""
    db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY, statementcachesize=_STATEMENTS_KEPT)
    db.set_busy_timeout(5_000)
    db.execute("PRAGMA query_only = ON")
    return db


def version_of(path: Path) -> int:
    """Read a ledger's version without changing the file; 0 if nothing was ever created in it.
    Raises LedgerError if it is no ledger, PermissionError if this user may not read it.

    A copy with the log of another ledger beside it is no ledger: SQLite would mix the two. A copy
    that was opened has a log of its own, and its header says that it is written with one.

    This process must not have the file open: reading the header drops the locks that it holds on
    the file.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER)
    log = Path(f"{path}-wal")
    if (
        int.from_bytes(head[68:72], "big") == COPY
        and head[18:19] == _WITHOUT_LOG
        and log.exists()
        and log.stat().st_size
    ):
        state = (
            f"a backup was put in the place of the ledger {path}, and the log of the former one "
            f"({log.name}) lies beside it"
        )
        raise LedgerError(
            f"{state}: move the backup out again, and put it into place with rexalgo restore"
        )
    try:
        db = open_reader(str(path))
        try:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            version = _version(db)
        finally:
            db.close()
    except apsw.Error as error:
        if not os.access(path.parent, os.R_OK | os.W_OK | os.X_OK):  # the ledger may be sound
            raise PermissionError(errno.EACCES, "Permission denied", str(path.parent)) from error
        raise LedgerError(f"the ledger {path} cannot be read: {error}") from error
    page, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    is_short = pages * (65_536 if page == 1 else page) > path.stat().st_size
    if (
        is_short and (state := check_ledger(path)) != "ok"
    ):  # a kill within a checkpoint leaves it short too, and then its log has the rest
        raise LedgerError(f"the ledger {path} is cut ({state[:100]})")
    return version


def check_ledger(path: Path) -> str:
    """Run SQLite's quick check on a file without changing it; return "ok" or what is damaged.
    Raises LedgerError.
    """
    try:
        db = open_reader(str(path))
        try:
            return str(db.pragma("quick_check"))
        finally:
            db.close()
    except apsw.Error as error:
        raise LedgerError(f"the ledger {path} cannot be read: {error}") from error


def _prepare_file(path: Path) -> None:
    make_folder(path.parent)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        sync_folder(path.parent)
    path.chmod(0o600)


def _tune(db: apsw.Connection) -> None:
    db.set_busy_timeout(5_000)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "wal_autocheckpoint = 4000",
        f"cache_size = -{_CACHE_KIB}",
    ):
        db.execute(f"PRAGMA {pragma}")


def _version(db: apsw.Connection) -> int:
    return int(db.pragma("user_version"))


def _migrate(db: apsw.Connection, path: str, *, may_migrate: bool) -> None:
    version = _version(db)
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"the ledger {path} is of version {version}, this program knows {len(MIGRATIONS)}; "
            "run the newer program"
        )
    let_add_up(db)
    if 0 < version < len(MIGRATIONS) and path != MEMORY:
        if not may_migrate:
            raise NotMigrated(
                f"the ledger {path} is of version {version}; this program needs {len(MIGRATIONS)}, and "
                "migrates it when its server starts: rexalgo upgrade --check says what that does. If "
                "another process works on it: one that says in its log that it migrates the ledger "
                "is waited for, a server of the earlier program is started again with this one"
            )
        migrate(db, Path(path), version, MIGRATIONS)
        return
    with db:  # a new one has nothing to lose: one commit for all steps
        for number in range(version, len(MIGRATIONS)):
            db.execute(MIGRATIONS[number])
            db.execute(f"PRAGMA user_version = {number + 1}")


@dataclass(frozen=True, slots=True)
class Copied:
    """A finished copy of a ledger: its size in bytes, and how many rows its tables have."""

    bytes: int
    rows: int


def back_up(path: Path, target: Path) -> Copied:
    """Copy a ledger to a new file of mode 0600 while it may be in use, and verify the copy: its
    integrity, and the number of rows of every table. A kill leaves no file under that name.

    The copy is marked as one (``is_copy``), so that it is never taken for the newest
    ledger.

    Raises FileExistsError if the target exists, DiskRefused if it cannot be written, LedgerError if
    the copy cannot be made or is damaged.
    """
    try:
        with whole_file(target) as copy:
            rows = copy_moment(path, copy)
    except FileExistsError:
        raise
    except (apsw.FullError, apsw.IOError) as error:
        raise DiskRefused(f"{target} cannot be written: {error}") from error
    except (apsw.Error, LedgerError, OSError) as error:
        raise LedgerError(f"the ledger {path} could not be copied to {target}: {error}") from error
    return Copied(target.stat().st_size, rows)


def copy_moment(path: Path, copy: Path) -> int:
    """Copy one moment of a ledger into an empty file and verify it; return the number of its rows.
    Raises apsw.Error, LedgerError.
    """
    source = open_reader(str(path))
    try:
        source.execute("BEGIN")  # one moment: copied and counted are the same rows
        expected = count_rows(source)
        copy_into(source, copy)
    finally:
        source.close()  # while it reads, the ledger's log cannot be emptied
    check_copy(copy)
    opened = open_reader(str(copy))
    try:
        found = count_rows(opened)
    finally:
        opened.close()
    if found != expected:
        differ = sorted(
            name for name in {*expected, *found} if expected.get(name) != found.get(name)
        )
        raise LedgerError(f"the copy has other numbers of rows in {', '.join(differ)}")
    return sum(found.values())


def copy_ledger(file: Path, target: Path) -> None:
    """Copy a backup to a new file of mode 0600 and check the copy; the backup is not touched.
    Raises LedgerError if it is no ledger.
    """
    alone = "" if Path(f"{file}-wal").exists() else "?immutable=1"
    os.close(os.open(target, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600))
    try:
        source = apsw.Connection(
            f"file:{quote(str(file))}{alone}",
            flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
        )
        try:
            version = _version(source)
            if not 0 < version <= len(MIGRATIONS):
                raise LedgerError(
                    f"expected a ledger of version 1 to {len(MIGRATIONS)}, found version "
                    f"{version}: no ledger, or a newer one"
                )
            copy_into(source, target)
        finally:
            source.close()
        check_copy(target)
    except apsw.Error as error:
        raise LedgerError(f"it cannot be read: {error}") from error


def settle(db: Database) -> None:
    """Move everything into the one file, durably; its only connection is closed next."""
    db.execute("PRAGMA journal_mode = delete").fetchall()
