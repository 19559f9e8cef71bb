"""The record that a plugin passed its kit: tied to plugin, version, code, kit and API version, so
that a change must be proven again.

``rexalgo plugin test`` writes it to the data folder. LIVE accounts require it. A read-only run has
a record of its own: it proves nothing about orders, and takes no proof away.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engine.plugin.api import PLUGIN_API_VERSION
from engine.settings.files import make_folder, replace_file

KIT_VERSION: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class KitRecord:
    """One run of a kit; ``at`` is ISO 8601 in UTC, ``version`` the distribution's, ``code`` a hash
    of the plugin's own files.

    A read-only run proves nothing about orders.
    """

    plugin: str
    distribution: str
    version: str
    code: str
    kit_version: int
    api_version: int
    at: str
    environment: str
    read_only: bool
    passed: bool
    cases: int
    failed: tuple[str, ...]


def _file(data_dir: Path, plugin: str, *, read_only: bool = False) -> Path:
    return data_dir / "kit" / f"{plugin}{'.read-only' if read_only else ''}.json"


def write_record(data_dir: Path, record: KitRecord) -> Path:
    """Replace the plugin's last record of the same kind (read-only or not); return the file."""
    file = _file(data_dir, record.plugin, read_only=record.read_only)
    make_folder(file.parent)
    replace_file(file, json.dumps(asdict(record), indent=2) + "\n")
    return file


def read_record(data_dir: Path, plugin: str, *, read_only: bool = False) -> KitRecord | None:
    """Read a plugin's last record of one kind; None if there is none, or it cannot be read."""
    try:
        row = json.loads(_file(data_dir, plugin, read_only=read_only).read_text(encoding="utf-8"))
        return KitRecord(**{**row, "failed": tuple(row["failed"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def why_unproven(data_dir: Path, plugin: str, version: str, code: str | None) -> str:
    """Return why nothing proves that this version and code of a plugin passed this kit under this
    API, with orders; empty if something does.

    ``code`` is None if the plugin is not loaded: its files are then not compared.
    """
    record = read_record(data_dir, plugin)
    if record is None:
        return "its kit was never run here"
    if record.read_only or not record.passed:
        return (
            "its kit only read, and placed no order"
            if record.read_only
            else f"its kit failed {', '.join(record.failed)}"
        )
    for what, then, now in (
        ("version", record.version, version),
        ("the kit's version", str(record.kit_version), str(KIT_VERSION)),
        ("API version", str(record.api_version), str(PLUGIN_API_VERSION)),
    ):
        if then != now:
            return f"it passed with {what} {then}, and now it is {now}"
    return "" if code is None or record.code == code else "its files were changed since it passed"
