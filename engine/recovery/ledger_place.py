"""The ledger of an installation, and the mark beside it: the last recorded end of the ledger, in a
small file that is replaced whole.

What always holds: a mark is written after what it records is durable, so the ledger is never behind
its own mark. A ledger that lacks something of the mark, that was separated from its mark, or that
is marked as a copy, is not taken for the newest one. A used folder never starts as a new
installation. The mark names no path, machine or file number, so a folder may be moved.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from engine.ledger import Database, Ledger, LedgerError
from engine.ledger.database import is_copy, open_reader, version_of
from engine.ledger.freeze import EVERYBODY, why_frozen
from engine.ledger.lineage import LedgerEnd, knows_marks, lacks, read_end, was_marked
from engine.settings.config import Config
from engine.settings.files import remove_leftovers, replace_file

MARK_NAME: Final = "mark.json"
RESTORE_NAME: Final = "restore.json"
"""The file that says that a restore has happened whose files are still to be moved."""
SUFFIXES: Final = ("", "-wal", "-shm")
"""The files of a ledger, by the suffix after its path."""
DO_WITHOUT: Final = (
    "rexalgo restore FILE puts a backup into place; to start afresh without the history, move the "
    "whole data folder away first"
)


class NoMark(LedgerError):
    """Raised when the mark exists but cannot be read."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A recorded end of the ledger, and when it was recorded."""

    end: LedgerEnd
    at: str


def mark_file(config: Config) -> Path:
    """Return the path of the mark."""
    return config.data_dir / MARK_NAME


def read_mark(file: Path) -> Mark | None:
    """Read the mark; None if there is none. Raises NoMark if it cannot be read."""
    try:
        row: Any = json.loads(file.read_text(encoding="utf-8"))
        numbers: Mapping[str, Any] = row["numbers"]
        return Mark(
            LedgerEnd(
                str(row["run"]), {str(name): int(number) for name, number in numbers.items()}
            ),
            str(row["at"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoMark(f"the mark {file} cannot be read ({type(error).__name__})") from None


def write_mark(file: Path, end: LedgerEnd, at: datetime) -> None:
    """Write an end durably; raises OSError."""
    replace_file(
        file,
        json.dumps({"run": end.run, "numbers": end.numbers, "at": at.isoformat(timespec="seconds")})
        + "\n",
        0o600,
    )


# Before it is opened


def why_unfit(config: Config) -> str:
    """Return why a used folder has no ledger to start with; empty if there is one, or if the folder
    was never used.
    """
    path, mark = config.ledger.path, mark_file(config)
    if (config.data_dir / RESTORE_NAME).exists():
        return (
            "a restore was cut off before its last step; rexalgo serve, or rexalgo restore FILE "
            "once more, finishes it"
        )
    was_used = "" if not mark.exists() else "this installation was used before (its mark is there)"
    log = Path(f"{path}-wal")
    if not path.exists():
        if log.exists():
            was_used = was_used or f"{log.name} is there without it"
        return was_used and f"the ledger {path} is missing, and {was_used}; {DO_WITHOUT}"
    size = path.stat().st_size
    if size == 0 and not _has_content(log):
        return was_used and f"the ledger {path} is empty, and {was_used}; {DO_WITHOUT}"
    try:
        version = version_of(path)
    except LedgerError as error:
        return f"{error}. Keep these files; {DO_WITHOUT}"
    if version == 0 and was_used:
        return (
            f"the ledger {path} holds nothing ({size} bytes), and {was_used}: it may have lost "
            f"its -wal file; {DO_WITHOUT}"
        )
    return ""


def _has_content(file: Path) -> bool:
    with suppress(OSError):
        return file.stat().st_size > 0
    return False


def open_place(config: Config, *, inline: bool = False, may_migrate: bool = True) -> Ledger:
    """Open the ledger of an installation, creating it if the installation is new; raises
    LedgerError with what was found and what to do. Only the holder of the folder's lock
    ``may_migrate`` it.
    """
    unfit = why_unfit(config)
    if unfit:
        raise LedgerError(unfit)
    return Ledger.open(config.ledger.path, inline=inline, may_migrate=may_migrate)


# Once it is open


def why_old(config: Config, db: Database) -> str:
    """Return why an opened ledger is not known to be the newest one of this installation; empty if
    it is.
    """
    if is_copy(db):
        return "the ledger is a copy that rexalgo backup made: what was done after it is not in it"
    try:
        mark = read_mark(mark_file(config))
    except NoMark as error:
        return f"{error}: whether the ledger is the newest one is not known"
    if mark is None:
        return (
            "the ledger has no mark beside it: whether it is the newest one is not known"
            if was_marked(db)
            else ""
        )
    lacking = lacks(db, mark.end)
    return lacking and (
        f"the ledger is older than the mark beside it, of {mark.at} ({lacking}); it may be a "
        "copy, or have lost its -wal file"
    )


def why_old_on_disk(config: Config) -> str:
    """Return the same for the ledger file on disk, which may be in use; empty too if a person
    already has to confirm it.
    """
    db = open_reader(str(config.ledger.path))
    try:
        return "" if not knows_marks(db) or why_frozen(db, EVERYBODY) else why_old(config, db)
    finally:
        db.close()


class MarkKeeper:
    """The keeper of an opened ledger's mark: it writes the mark whenever it is asked, and only
    while the ledger is the newest one.

    Created before anything is written to the ledger: ``old`` is why the ledger is not known to be
    the newest one, empty if it is.
    """

    def __init__(self, config: Config, db: Database) -> None:
        self._file = mark_file(config)
        self._db = db
        self._noted: LedgerEnd | None = None
        self.old = why_old(config, db)
        remove_leftovers(self._file)

    def due(self) -> LedgerEnd | None:
        """Return the end to record: None if it is recorded already, or if the ledger is not known
        to be the newest one.
        """
        end = read_end(self._db)
        return None if self.old or end == self._noted or why_frozen(self._db, EVERYBODY) else end

    def note(self, end: LedgerEnd, at: datetime) -> None:
        """Record an end durably; may be called in another thread. Raises OSError."""
        write_mark(self._file, end, at)
        self._noted = end

    def keep(self, at: datetime) -> None:
        """Record where the ledger ends, if that is due; raises OSError."""
        end = self.due()
        if end is not None:
            self.note(end, at)

    def confirm(self, at: datetime) -> None:
        """Record where the ledger ends, because a person confirmed it as the one to continue with;
        raises OSError.
        """
        self.old = ""
        self.note(read_end(self._db), at)
