"""A written file is on the disk when the call returns: its content, its name, and each folder made
for it.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.ledger import back_up
from engine.ledger.database import open_database
from engine.plugin.kit_record import KitRecord, read_record, write_record
from engine.settings.files import create_file, make_folder, replace_file
from plugins.mudrex.entry_api import Choices
from plugins.mudrex.settings import EntryApi
from rexalgo import AccountId

RECORD = KitRecord(
    plugin="paper",
    distribution="rexalgo",
    version="0.2",
    code="hash",
    kit_version=3,
    api_version=1,
    at=datetime(2026, 11, 24, tzinfo=UTC).isoformat(),
    environment="paper",
    read_only=False,
    passed=True,
    cases=9,
    failed=(),
)


def _ledger_and_copy(folder: Path) -> None:
    open_database(str(folder / "data" / "ledger")).close()
    back_up(folder / "data" / "ledger", folder / "copy")


def _record(folder: Path) -> None:
    write_record(folder / "data", RECORD)
    assert read_record(folder / "data", "paper") == RECORD


def _made_twice(folder: Path) -> None:
    make_folder(folder / "a" / "b")
    make_folder(folder / "a" / "b")


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (_record, {".", "data", "data/kit", "data/kit/paper.json"}),
        (_ledger_and_copy, {".", "data"}),
        (
            lambda folder: Choices(str(folder)).keep(AccountId("a0"), EntryApi.V2),
            {".", "entry-api.json"},
        ),
        (lambda folder: replace_file(folder / "file", "text"), {".", "file"}),
        (lambda folder: create_file(folder / "file", "text", 0o600), {".", "file"}),
        (_made_twice, {".", "a"}),
    ],
)
def test_file_name_and_new_folders_are_synced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], None],
    expected: set[str],
) -> None:
    synced: set[tuple[int, int]] = set()
    sync = os.fsync

    def fsync(handle: int) -> None:
        sync(handle)
        stands = os.fstat(handle)
        synced.add((stands.st_dev, stands.st_ino))

    monkeypatch.setattr(os, "fsync", fsync)
    write(tmp_path)
    found = {
        str(each.relative_to(tmp_path))
        for each in (tmp_path, *tmp_path.rglob("*"))
        if (each.stat().st_dev, each.stat().st_ino) in synced
    }
    assert found >= expected
