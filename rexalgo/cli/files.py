"""Writing small files so that a crash leaves the old one or the new one, never half of either, and never a readable secret."""

import os
import stat
import tempfile
from pathlib import Path


def replace_file(file: Path, text: str) -> None:
    """Replace a file whole, keeping its mode (0644 for a new one); follows no half-way state."""
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o644
    temporary = _written_beside(file, text, mode)
    temporary.replace(file)
    _sync_folder(file.parent)


def create_file(file: Path, text: str, mode: int) -> None:
    """Create a file that must not exist yet; raises FileExistsError and then leaves everything as it was."""
    temporary = _written_beside(file, text, mode)
    try:
        os.link(temporary, file)
    finally:
        temporary.unlink()
    _sync_folder(file.parent)


def _written_beside(file: Path, text: str, mode: int) -> Path:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # made with mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fchmod(out.fileno(), mode)
        os.fsync(out.fileno())
    return Path(name)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
