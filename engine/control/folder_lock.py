"""The folder's lock: at most one process works on a folder. It is an ``flock``, so a killed process
leaves nothing to clean up.
"""

import fcntl
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final

from engine.domain.errors import InUse
from engine.settings.files import give_all_to_owner

LOCK_NAME: Final = "lock"


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a folder, since when (ISO 8601), and what it runs."""

    what: str
    pid: int
    since: str


class FolderLocked(InUse):
    """Raised when another process works on this folder; names it if it says who it is."""

    def __init__(self, text: str, holder: Holder | None = None) -> None:
        super().__init__(text)
        self.holder = holder


class FolderLock:
    """The lock that reserves a folder for one process, as a context manager; raises FolderLocked,
    naming the holder.

    What root creates in the folder belongs to the folder's owner, so that the server can open it.
    """

    def __init__(self, folder: Path, what: str, now: datetime, *, name: str = LOCK_NAME) -> None:
        self._file = folder / name
        self._about = {"pid": os.getpid(), "what": what, "since": now.isoformat(timespec="seconds")}
        self._handle = -1

    def __enter__(self) -> "FolderLock":
        handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_all_to_owner(self._file.parent)  # also what a killed command of root left
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _holder(os.read(handle, 1000))
            os.close(handle)
            who = (
                "another process"
                if holder is None
                else f"{holder.what} (process {holder.pid}, since {holder.since})"
            )
            raise FolderLocked(
                f"the folder {self._file.parent} is in use by {who}; stop it first, or use "
                "another folder",
                holder,
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(self._about).encode(), 0)
        self._handle = handle
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        give_all_to_owner(self._file.parent)
        os.ftruncate(self._handle, 0)
        os.close(self._handle)


def _holder(text: bytes) -> Holder | None:
    try:
        about = json.loads(text)
        return Holder(str(about["what"]), int(about["pid"]), str(about["since"]))
    except (ValueError, KeyError, TypeError):
        return None
