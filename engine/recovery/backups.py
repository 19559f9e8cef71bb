"""The backups of an installation: when one is due, how one is made, which ones are removed.

A backup is one file whose name is its time. A file has its name only once it is complete, verified
and on disk, so the newest name is the newest backup. The ones that the engine made are removed when
there are more than ``backup.keep``; what a person made is never removed.
"""

import errno
import re
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from engine.domain.errors import RexAlgoError
from engine.keys.encrypted_files import encrypt_file
from engine.ledger import DiskRefused, LedgerError, back_up
from engine.settings.config import Config
from engine.settings.files import make_folder, remove_old_leftovers, whole_file

DISK_FREE_MIN: Final = 256 * 2**20
"""Bytes that a backup leaves free: with a full disk no signal is taken."""
LEFTOVER_S: Final = 86_400.0
OVERDUE_AFTER: Final = 2
"""A backup is overdue after this many intervals."""
_AHEAD_MAX: Final = timedelta(hours=1)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NAME: Final = re.compile(r"(backup|scheduled)-(\d{8}T\d{6}Z)\.sqlite3(\.enc)?")


class BackupFailed(RexAlgoError):
    """Raised when no backup could be made: nothing was left behind, and earlier ones are kept."""


@dataclass(frozen=True, slots=True)
class Backup:
    """One complete backup. ``scheduled``: the engine made it by itself."""

    file: Path
    taken: datetime
    scheduled: bool
    encrypted: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was just made: the size of its file in bytes, and its verified rows."""

    file: Path
    bytes: int
    rows: int
    encrypted: bool


def backups_in(folder: Path) -> list[Backup]:
    """Return the backups in a folder by their names, oldest first; none if it cannot be read."""
    found = []
    with suppress(OSError):
        for each in folder.iterdir():
            matched = _NAME.fullmatch(each.name)
            if matched is None or not stat.S_ISREG(each.lstat().st_mode):
                continue
            with suppress(ValueError):  # 13 digits that are no date
                taken = datetime.strptime(matched[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                found.append(Backup(each, taken, matched[1] == "scheduled", matched[3] is not None))
    return sorted(found, key=lambda each: (each.taken, each.file.name))


def newest_backup(config: Config, now: datetime) -> Backup | None:
    """Return the newest backup in the configured folder. One with a time ahead of ``now`` was made
    under a wrong clock and does not count.
    """
    known = [each for each in backups_in(config.backup.folder) if each.taken <= now + _AHEAD_MAX]
    return known[-1] if known else None


def is_due(newest: datetime | None, now: datetime, every: timedelta) -> bool:
    """Return whether the engine makes a backup now."""
    return bool(every) and (newest is None or now - newest >= every)


def is_overdue(
    newest: datetime | None, first_run: datetime, now: datetime, every: timedelta
) -> bool:
    """Return whether a backup is missing for so long that a person has to look. A new installation
    has as much time for its first one as for every other.
    """
    return bool(every) and now - (newest or first_run) > OVERDUE_AFTER * every


def name_of(config: Config, now: datetime, *, scheduled: bool) -> str:
    """Return the name of a backup that is made now."""
    kind, tail = "scheduled" if scheduled else "backup", ".enc" if config.backup.public_key else ""
    return f"{kind}-{now:%Y%m%dT%H%M%SZ}.sqlite3{tail}"


def make_backup(config: Config, target: Path) -> Made:
    """Copy the ledger to a new file, verified, and encrypted if a public key is set; it may be in
    use meanwhile. Blocks: call it in a thread.

    Only the copy in the ledger's own folder is ever unencrypted. Raises FileExistsError if the
    target exists, BackupFailed.
    """
    try:
        make_folder(target.parent)
        if not config.backup.public_key:
            _leave_space(config, target.parent, 1)
            copied = back_up(config.ledger.path, target)
        else:
            if target.exists():  # before the work; whole_file looks again
                raise FileExistsError(f"{target} already exists")
            _leave_space(config, config.data_dir, 1 + _is_same_disk(config.data_dir, target.parent))
            _leave_space(config, target.parent, 1)
            plain = config.data_dir / f"{target.name}.plain"
            try:
                copied = back_up(config.ledger.path, plain)
                with whole_file(target) as encrypted:
                    encrypt_file(plain, encrypted, config.backup.public_key)
            finally:
                plain.unlink(missing_ok=True)
        return Made(target, target.stat().st_size, copied.rows, bool(config.backup.public_key))
    except FileExistsError:
        raise
    except (OSError, LedgerError, RexAlgoError) as error:
        raise BackupFailed(_told(error, target)) from error


def make_scheduled(config: Config, now: datetime) -> Made:
    """Make the engine's own backup, then remove the oldest of its own above ``backup.keep`` and what
    killed backups left. Raises BackupFailed.
    """
    folder = config.backup.folder
    try:
        made = make_backup(config, folder / name_of(config, now, scheduled=True))
    except FileExistsError as error:
        raise BackupFailed(str(error)) from error
    own = [each for each in backups_in(folder) if each.scheduled and each.file != made.file]
    try:
        for each in own[: max(0, len(own) + 1 - config.backup.keep)]:
            each.file.unlink()
        for leftovers in {folder, config.data_dir}:
            remove_old_leftovers(leftovers, LEFTOVER_S, now)
    except OSError as error:
        raise BackupFailed(
            f"{made.file} was made, and older backups could not be removed: {error}"
        ) from error
    return made


def _leave_space(config: Config, folder: Path, copies: int) -> None:
    """Refuse a backup that would fill the disk under the ledger."""
    path = config.ledger.path
    files = (path, path.with_name(f"{path.name}-wal"))
    needed = copies * sum(each.stat().st_size for each in files if each.exists())
    free = shutil.disk_usage(folder).free
    if free - needed < DISK_FREE_MIN:
        raise BackupFailed(
            f"expected {(needed + DISK_FREE_MIN) // 2**20} MiB free at {folder}, found "
            f"{free // 2**20} MiB; free some space, or set backup.folder to another disk"
        )


def _is_same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _told(error: Exception, target: Path) -> str:
    cause = error.__cause__ if isinstance(error, LedgerError) else error
    if isinstance(error, DiskRefused) or getattr(cause, "errno", None) in _FULL:
        return (
            f"{target} cannot be written: no space is left, or the disk fails; free some space, or "
            "set backup.folder to another disk"
        )
    if isinstance(cause, OSError) and cause.errno == errno.EROFS:
        return (
            f"{target} cannot be written: {target.parent} is read-only for this process; if systemd "
            f"runs the server, allow it: ReadWritePaths=-{target.parent} in a drop-in of its unit "
            "(deploy/README.md)"
        )
    if isinstance(cause, OSError):
        return f"{target} cannot be written: {cause.strerror or cause}"
    return str(error)
