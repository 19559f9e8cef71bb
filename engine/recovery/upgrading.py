"""Say what this version will do to the ledger that is here, by doing it to a copy.

Nothing of the installation is changed. The copy is made in the data folder, migrated, checked and
removed, so that a check takes about the time that the upgrade takes.
"""

import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.ledger import LedgerError, back_up, check_ledger
from engine.ledger.database import open_database, version_of
from engine.ledger.schema import MIGRATIONS
from engine.recovery.backups import DISK_FREE_MIN
from engine.settings.config import Config

_CHANGES: Final = re.compile(
    r"\b(CREATE TABLE|ALTER TABLE|DROP TABLE|UPDATE|INSERT INTO|INSERT OR IGNORE INTO)\s+([a-z_]+)"
)
_FOLDER: Final = "upgrade-"


@dataclass(frozen=True, slots=True)
class Step:
    """One migration, by the version that it leads to, and the tables that it creates or changes."""

    version: int
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpgradeCheck:
    """What an upgrade would do: the version that is here (0: no ledger yet) and the one that this
    program knows, the steps between them, and what prevents it.

    ``copy`` is the file that the start makes first: the way back. ``took_s`` is how long the steps
    took on a copy; None if they were not tried.
    """

    found: int
    known: int
    steps: tuple[Step, ...]
    copy: Path | None
    took_s: float | None
    problems: tuple[str, ...]


def check_upgrade(config: Config) -> UpgradeCheck:
    """Check what a start of this program would do to the ledger; a running server may use it."""
    path, known = config.ledger.path, len(MIGRATIONS)
    if not path.exists():
        return UpgradeCheck(0, known, (), None, None, ())
    try:
        found = version_of(path)
    except (LedgerError, OSError) as error:
        return UpgradeCheck(0, known, (), None, None, (str(error),))
    if found > known:
        return UpgradeCheck(found, known, (), None, None, (_too_new(path, found, known),))
    if found in (0, known):
        return UpgradeCheck(found, known, (), None, None, ())
    steps = tuple(Step(number + 1, _tables(MIGRATIONS[number])) for number in range(found, known))
    copy = Path(f"{path}.before-{found + 1}")
    problems = _space(path)
    took_s = None
    if not problems:
        try:
            took_s = _try(path)
        except (LedgerError, OSError) as error:
            problems = (f"on a copy it failed: {error}",)
    return UpgradeCheck(found, known, steps, copy, took_s, problems)


def _too_new(path: Path, found: int, known: int) -> str:
    copies = sorted(each.name for each in path.parent.glob(f"{path.name}.before-*"))
    back = (
        f"a copy from before an upgrade is here: {copies[-1]}"
        if copies
        else "no older copy is here"
    )
    return (
        f"the ledger is of version {found}, this program knows {known}: start the newer program; "
        f"{back}"
    )


def _space(path: Path) -> tuple[str, ...]:
    """Return why the copy of the start, or the copy of this check, has no room."""
    needed = 2 * path.stat().st_size + DISK_FREE_MIN
    free = shutil.disk_usage(path.parent).free
    if free >= needed:
        return ()
    return (
        f"expected {needed // 2**20} MiB free at {path.parent} for the copy before the upgrade, "
        f"found {free // 2**20} MiB; free some space",
    )


def _try(path: Path) -> float:
    """Migrate a copy; return the seconds it took. Raises LedgerError."""
    with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=path.parent) as folder:
        copy = Path(folder) / path.name
        back_up(path, copy)
        began = time.monotonic()
        open_database(str(copy)).close()
        took_s = time.monotonic() - began
        state = check_ledger(copy)
        if state != "ok":
            raise LedgerError(f"the migrated copy is damaged ({state})")
        return took_s


def _tables(migration: str) -> tuple[str, ...]:
    """Return the tables that a migration creates or changes, in order."""
    return tuple(dict.fromkeys(name for _, name in _CHANGES.findall(migration)))
