"""Backups: due by their names, complete or not there, the engine's own removed and no other."""

import errno
import os
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
import trio

from engine.keys.encrypted_files import decrypt_file, is_encrypted, new_key_pair
from engine.ledger import Database, Ledger, check_ledger
from engine.ledger.outcomes import write_event
from engine.ports.secret import Secret
from engine.recovery import backups
from engine.recovery.backups import (
    BackupFailed,
    backups_in,
    is_due,
    is_overdue,
    make_backup,
    make_scheduled,
    newest_backup,
)
from engine.settings.config import Config, load_config

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LEDGER = {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"}


async def _a_place(folder: Path, settings: str, events: int) -> Config:
    (folder / "rexalgo.toml").write_text(settings)
    config = load_config(folder, {})
    ledger = Ledger.open(config.ledger.path, inline=True)

    def write(db: Database) -> None:
        for _ in range(events):
            write_event(db, kind="decision", subject="s", data={"text": "word " * 400}, at=NOW)

    await ledger.write(write)
    await ledger.aclose()
    return config


def a_place(folder: Path, settings: str = "", events: int = 1) -> Config:
    return trio.run(_a_place, folder, settings, events)


@pytest.mark.parametrize(
    ("age", "every", "due", "overdue"),
    [
        (None, DAY, True, False),
        (timedelta(hours=23, minutes=59), DAY, False, False),
        (DAY, DAY, True, False),
        (2 * DAY, DAY, True, False),
        (2 * DAY + timedelta(seconds=1), DAY, True, True),
        (50 * DAY, timedelta(0), False, False),
    ],
)
def test_a_backup_is_due_after_one_interval_and_overdue_after_two(
    age: timedelta | None, every: timedelta, due: bool, overdue: bool
) -> None:
    newest = None if age is None else NOW - age
    assert is_due(newest, NOW, every) is due
    assert is_overdue(newest, NOW, NOW, every) is overdue
    assert is_overdue(None, NOW - 3 * DAY, NOW, DAY)


def test_only_the_engines_own_are_removed_and_the_newest_is_found_by_name(
    tmp_path: Path,
) -> None:
    config = a_place(tmp_path, "[backup]\nkeep = 2\n")
    folder = tmp_path / "backups"
    folder.mkdir()
    strangers = {
        "backup-20260101T000000Z.sqlite3",
        "notes.txt",
        "scheduled-29991399T999999Z.sqlite3",
    }
    for name in strangers:
        (folder / name).write_text("")
    for days in range(4):
        make_scheduled(config, NOW + days * DAY)
    assert {each.name for each in folder.iterdir()} == strangers | {
        "scheduled-20261201T120000Z.sqlite3",
        "scheduled-20261202T120000Z.sqlite3",
    }
    newest = newest_backup(config, NOW + 3 * DAY)
    assert newest is not None
    assert (newest.taken, newest.scheduled) == (NOW + 3 * DAY, True)
    earlier = newest_backup(config, NOW + 2 * DAY)  # a clock that went back: no hole of a day
    assert earlier is not None
    assert earlier.taken == NOW + 2 * DAY
    with pytest.raises(BackupFailed, match="already exists"):
        make_scheduled(config, NOW + 3 * DAY)


def test_an_encrypted_backup_leaves_no_plain_copy_anywhere(tmp_path: Path) -> None:
    private, public = new_key_pair()
    config = a_place(tmp_path, f'[backup]\npublic_key = "{public}"\n')
    made = make_scheduled(config, NOW)
    assert made.file.name == "scheduled-20261129T120000Z.sqlite3.enc"
    assert is_encrypted(made.file)
    assert [each for each in config.data_dir.iterdir() if "sqlite3.enc" in each.name] == []
    (tmp_path / "plain").write_bytes(b"")
    decrypt_file(
        made.file,
        tmp_path / "plain",
        Secret(private.removeprefix("rexalgo-private:").strip()),
    )
    assert check_ledger(tmp_path / "plain") == "ok"


MAKE = """
import sys
from pathlib import Path
from engine.recovery.backups import make_backup, BackupFailed
from engine.settings.config import load_config
config = load_config(Path(sys.argv[1]), {})
print("begins", flush=True)
try:
    make_backup(config, Path(sys.argv[1]) / "backups" / "scheduled-20261129T120000Z.sqlite3")
except BackupFailed as error:
    print(error)
    sys.exit(1)
"""


def small_disk() -> None:
    """Let no file grow beyond 200 KiB, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (200 * 1024, 200 * 1024))


@pytest.mark.parametrize("encrypts", [False, True])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, encrypts: bool) -> None:
    public = new_key_pair()[1] if encrypts else ""
    a_place(tmp_path, f'[backup]\npublic_key = "{public}"\n', events=300)
    ended = subprocess.run(
        [sys.executable, "-c", MAKE, tmp_path],
        capture_output=True,
        text=True,
        preexec_fn=small_disk,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "no space is left" in ended.stdout
    assert "set backup.folder to another disk" in ended.stdout
    assert list((tmp_path / "backups").iterdir()) == []
    assert {each.name for each in (tmp_path / "data").iterdir()} <= LEDGER


def test_a_read_only_folder_is_told_with_what_lets_the_unit_write_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that the unit does not name is read-only for the server."""
    config = a_place(tmp_path)

    def refuse(folder: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(backups, "make_folder", refuse)
    with pytest.raises(
        BackupFailed, match=r"read-only for .* ReadWritePaths=-/.*/backups in a dro"
    ):
        make_backup(config, tmp_path / "backups" / "backup.sqlite3")


def test_a_backup_that_would_fill_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = a_place(tmp_path)
    monkeypatch.setattr("engine.recovery.backups.DISK_FREE_MIN", 2**60)
    with pytest.raises(BackupFailed, match=r"expected \d+ MiB free at .*, found \d+ MiB"):
        make_backup(config, tmp_path / "backups" / "copy")
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_disk_without_hard_links_takes_a_backup_and_none_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    config = a_place(tmp_path)
    make_backup(config, tmp_path / "backups" / "copy")
    with pytest.raises(FileExistsError):
        make_backup(config, tmp_path / "backups" / "copy")
    assert [each.name for each in (tmp_path / "backups").iterdir()] == ["copy"]


def test_a_killed_backup_has_no_name_and_is_cleared_away_a_day_later(tmp_path: Path) -> None:
    config = a_place(tmp_path, events=2_000)
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    folder = tmp_path / "backups"
    while not (left := list(folder.glob(".scheduled-*"))) and process.poll() is None:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert left, "the backup was complete before the kill: more events are needed"
    assert newest_backup(config, NOW) is None
    made = make_scheduled(config, datetime.now(UTC))
    assert [each.file for each in backups_in(folder)] == [made.file]
    assert left[0].exists()  # another process may still write a young one
    make_scheduled(config, datetime.now(UTC) + 2 * DAY)
    assert not left[0].exists()


def test_a_copy_that_lacks_rows_is_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = a_place(tmp_path)
    import engine.ledger.database as database

    copy_into = database.copy_into

    def loses_a_row(db: apsw.Connection, target: Path) -> None:
        copy_into(db, target)
        other = apsw.Connection(str(target))
        other.execute("DELETE FROM event")
        other.close()

    monkeypatch.setattr(database, "copy_into", loses_a_row)
    with pytest.raises(BackupFailed, match="other numbers of rows in event"):
        make_backup(config, tmp_path / "backups" / "copy")
    assert list((tmp_path / "backups").iterdir()) == []


def test_the_log_of_the_ledger_can_be_emptied_while_a_copy_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = a_place(tmp_path)
    import engine.ledger.database as database

    check_copy, busy = database.check_copy, list[int]()

    def checking(target: Path) -> None:
        other = apsw.Connection(str(config.ledger.path))
        other.execute("INSERT INTO run (started_us) VALUES (9)")
        busy.append(other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0])
        other.close()
        check_copy(target)

    monkeypatch.setattr(database, "check_copy", checking)
    make_backup(config, tmp_path / "backups" / "copy")
    assert busy == [0], "a reader holds the moment that was copied"
