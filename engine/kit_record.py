"""The record that a plugin passed its kit: tied to plugin, version, kit and API version, so that an update has to prove itself again.

It lies in the place's data folder and is written by ``rexalgo plugin test``. Real money asks for it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engine.plugin_api import PLUGIN_API_VERSION

KIT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class KitRecord:
    """Hold one run of a kit; ``at`` is ISO 8601 in UTC, ``version`` the distribution's. A read-only run proves nothing about orders."""

    plugin: str
    distribution: str
    version: str
    kit_version: int
    api_version: int
    at: str
    environment: str
    read_only: bool
    passed: bool
    cases: int
    failed: tuple[str, ...]


def _file(data_dir: Path, plugin: str) -> Path:
    return data_dir / "kit" / f"{plugin}.json"


def write_record(data_dir: Path, record: KitRecord) -> Path:
    """Write a record in place of the plugin's last one; returns the file."""
    file = _file(data_dir, record.plugin)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    return file


def read_record(data_dir: Path, plugin: str) -> KitRecord | None:
    """Read a plugin's last record; None where there is none, or none that can be read."""
    try:
        row = json.loads(_file(data_dir, plugin).read_text(encoding="utf-8"))
        return KitRecord(**{**row, "failed": tuple(row["failed"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def is_proven(data_dir: Path, plugin: str, version: str) -> bool:
    """Tell whether this version of a plugin passed this kit under this API, with orders."""
    record = read_record(data_dir, plugin)
    return (
        record is not None
        and record.passed
        and not record.read_only
        and (record.version, record.kit_version, record.api_version) == (version, KIT_VERSION, PLUGIN_API_VERSION)
    )
