"""The file itself: a backup while it is written, migrations after one verified copy, a newer file
refused.
"""

import stat
from pathlib import Path

import pytest

from engine.ledger import Ledger, LedgerError, back_up, check_ledger
from engine.ledger.copies import begin_run
from engine.ledger.database import open_database, take_into_use, version_of
from engine.ledger.schema import MIGRATIONS


async def test_a_backup_while_it_is_open_is_whole_private_and_never_overwrites(
    tmp_path: Path,
) -> None:
    ledger = Ledger.open(tmp_path / "ledger", inline=True)
    await ledger.write(lambda db: begin_run(db, 1))
    made = back_up(tmp_path / "ledger", tmp_path / "copy")
    assert (made.bytes, made.rows > 0) == ((tmp_path / "copy").stat().st_size, True)
    await ledger.write(lambda db: begin_run(db, 2))
    await ledger.aclose()
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    assert check_ledger(tmp_path / "copy") == "ok"
    copy = open_database(str(tmp_path / "copy"))
    assert copy.execute("SELECT count(*) FROM run").fetchone() == (1,)
    copy.close()
    with pytest.raises(FileExistsError):
        back_up(tmp_path / "ledger", tmp_path / "copy")


def test_an_older_file_is_migrated_after_a_verified_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import engine.ledger.database as database

    path = str(tmp_path / "ledger")
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS[:1])
    old = open_database(path)
    old.execute("INSERT INTO run (started_us) VALUES (7)")
    old.close()
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS)
    new = open_database(path)
    assert new.execute("SELECT count(*) FROM run").fetchone() == (1,)
    assert int(new.pragma("user_version")) == len(MIGRATIONS)
    log = Path(f"{path}-wal").read_bytes()  # as a kill leaves it
    new.close()
    assert [each.name for each in tmp_path.glob("*.before-*")] == ["ledger.before-2"]
    assert check_ledger(Path(f"{path}.before-2")) == "ok"
    moved = tmp_path / "moved"  # over the ledger, by hand
    moved.write_bytes(Path(f"{path}.before-2").read_bytes())
    Path(f"{moved}-wal").write_bytes(log)
    with pytest.raises(LedgerError, match="put it into place with rexalgo restore"):
        version_of(moved)
    open_database(str(tmp_path / "new")).close()
    assert list(tmp_path.glob("new.before-*")) == []


def test_a_file_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    db = open_database(str(tmp_path / "ledger"))
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LedgerError, match="run the newer program"):
        open_database(str(tmp_path / "ledger"))


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(
        b"this is no database at all, and long enough to be looked at" * 40
    )
    with pytest.raises(LedgerError, match="cannot be read"):
        check_ledger(tmp_path / "ledger")


async def test_a_copy_in_use_is_read_beside_its_own_log_and_never_beside_a_former_one(
    tmp_path: Path,
) -> None:
    path, log = tmp_path / "ledger", tmp_path / "ledger-wal"
    ledger = Ledger.open(path, inline=True)
    await ledger.write(lambda db: begin_run(db, 1))
    back_up(path, tmp_path / "copy")
    former_log = log.read_bytes()
    await ledger.aclose()
    path.write_bytes((tmp_path / "copy").read_bytes())
    log.write_bytes(former_log)
    with pytest.raises(LedgerError, match="the log of the former one"):
        version_of(path)
    log.unlink()
    started = Ledger.open(path, inline=True)
    await started.write(take_into_use)
    await started.write(lambda db: begin_run(db, 2))
    assert log.stat().st_size > 0
    for name in ("ledger", "ledger-wal"):  # what a process that was killed now leaves behind
        (tmp_path / f"killed-{name}").write_bytes((tmp_path / name).read_bytes())
    (tmp_path / "killed-ledger-wal").rename(tmp_path / "killed-wal")
    (tmp_path / "killed-ledger").rename(tmp_path / "killed")
    await started.aclose()
    assert version_of(tmp_path / "killed") == len(MIGRATIONS)
