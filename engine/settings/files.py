"""Writing small files so that a crash leaves the old one or the new one, never half of either, and
never a readable secret.

When a call returns, everything it created is on disk: the file, its name in its folder, and each
folder made for it.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

_MARK: Final = "rexalgo-"
_NO_LINKS: Final = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
"""What a file system without hard links answers, such as that of a memory stick."""


def replace_file(file: Path, text: str, mode: int | None = None) -> None:
    """Replace a file whole, keeping its owner, and its mode (0644 for a new one) unless ``mode`` is
    given; a link stays a link.

    Raises OSError and then leaves everything as it was; PermissionError also if the file could not
    be given back to its owner.
    """
    file = file.resolve()
    stands = file.stat() if file.exists() else None
    kept = 0o644 if stands is None else stat.S_IMODE(stands.st_mode)
    temporary = _written_beside(file, text, kept if mode is None else mode, stands)
    try:
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Create a folder and its missing parents durably; an existing one stays as it is."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=mode)
    for each in reversed(missing):
        give_to_owner(each)
        sync_folder(each.parent)


def give_to_owner(path: Path) -> None:
    """Give what root created to the owner of its folder, who has to open it later; nothing else
    changes, and nobody but root can.

    A file with several names may be one of root's own elsewhere, and stays.
    """
    if os.geteuid() != 0:
        return
    like = path.parent.stat()
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        is_file = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
        if found.st_uid == 0 != like.st_uid and (is_file or stat.S_ISDIR(found.st_mode)):
            os.fchown(handle, like.st_uid, like.st_gid)
    finally:
        os.close(handle)


def give_all_to_owner(folder: Path) -> None:
    """Give every file in a folder that root created to the folder's owner."""
    if os.geteuid() != 0:
        return
    with suppress(OSError):  # the folder is gone
        for each in folder.iterdir():
            with suppress(OSError):  # gone meanwhile, a link, a socket
                give_to_owner(each)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(file: Path) -> None:
    """Remove what a killed writer left beside a file; only for callers that know that nobody else
    writes it now.
    """
    file = file.resolve()
    for each in file.parent.glob(f".{file.name}.{_MARK}*"):
        each.unlink()


def create_file(file: Path, text: str, mode: int) -> None:
    """Create a file that must not exist yet; raises FileExistsError and then leaves everything as
    it was.
    """
    temporary = _written_beside(file, text, mode, None)
    try:
        os.link(temporary, file)
    finally:
        temporary.unlink()
    sync_folder(file.parent)


def _written_beside(file: Path, text: str, mode: int, like: os.stat_result | None) -> Path:
    handle, name = tempfile.mkstemp(
        dir=file.parent, prefix=f".{file.name}.{_MARK}"
    )  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            if like is not None and (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(out.fileno(), like.st_uid, like.st_gid)
            os.fchmod(out.fileno(), mode)
            os.fsync(out.fileno())
    except BaseException:
        Path(name).unlink()
        raise
    return Path(name)


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Yield an empty private file (mode 0600) beside ``file``; at the end of the block it is on disk
    under that name, or if the block raised it is gone.

    Raises FileExistsError if ``file`` exists: nothing is ever replaced.
    """
    if os.path.lexists(file):
        raise FileExistsError(f"{file} already exists")
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.{_MARK}")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        give_to_owner(temporary)
        handle = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        _name_it(temporary, file)
    finally:
        for each in (temporary, *file.parent.glob(f"{temporary.name}-*")):
            each.unlink(missing_ok=True)
    sync_folder(file.parent)


def _name_it(temporary: Path, file: Path) -> None:
    """Give a finished file its name unless there is one of that name."""
    try:
        os.link(temporary, file)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(file):
            raise FileExistsError(f"{file} already exists") from None
        temporary.rename(file)


def remove_old_leftovers(folder: Path, older_than_s: float, now: datetime) -> None:
    """Remove what killed writers left in a folder; a younger file may still be written."""
    for each in folder.glob(f".*.{_MARK}*"):
        with suppress(FileNotFoundError):
            if now.timestamp() - each.stat().st_mtime > older_than_s:
                each.unlink()
