"""A ledger of 0.1 is migrated: nothing is lost, whenever it is killed, and nothing is begun that
cannot be finished. ``make bench ARGS=migration`` does the same with 100,000 outcomes.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.migration import differences, schema
from bench.past_0_1 import AUDIT_KEY, OPEN_FOLLOWERS, VERSION, write_ledger_of_0_1
from engine.control.direct import run_with_lock
from engine.control.folder_lock import FolderLock
from engine.domain.identifiers import AccountId
from engine.ledger import LedgerError, check_ledger, migrating
from engine.ledger.attempts import all_unknown, knows_client_order_id, open_attempts
from engine.ledger.audit import verify_audit
from engine.ledger.books import differences as books_that_differ
from engine.ledger.copies import waiting_legs
from engine.ledger.database import MEMORY, open_database, open_reader, version_of
from engine.ledger.query import fetch_all
from engine.ledger.reports import receipt, why
from engine.ledger.schema import MIGRATIONS
from engine.settings.config import load_config
from rexalgo.cli import main

OUTCOMES = 2_000
UNTIL = datetime(2026, 11, 29, 12, tzinfo=UTC)
OPENS = """
import logging, sys
from engine.ledger.database import open_database
logging.basicConfig(level=logging.WARNING, format="%(message)s")
open_database(sys.argv[1]).close()
print("opened", flush=True)
"""


@pytest.fixture(scope="module")
def ledger_of_0_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("old") / "ledger"
    assert write_ledger_of_0_1(path, OUTCOMES, UNTIL) >= OUTCOMES
    return path


@pytest.fixture
def path(ledger_of_0_1: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "data" / "ledger.sqlite3"
    copied.parent.mkdir(mode=0o700)
    copied.write_bytes(ledger_of_0_1.read_bytes())
    return copied


def copy_of(path: Path) -> Path:
    return Path(f"{path}.before-{VERSION + 1}")


def test_every_id_sum_holding_and_seal_is_what_it_was_and_the_schema_is_a_new_one_s(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    db = open_database(str(path))
    before = open_reader(str(copy_of(path)))
    assert differences(before, db) == []
    fresh = open_database(MEMORY)
    assert schema(db) == schema(fresh)  # and so every plan is the same: nothing counts rows
    assert fetch_all(db, "PRAGMA foreign_key_check") == []
    proof = verify_audit(db, {AUDIT_KEY.kid: AUDIT_KEY.key}.__getitem__)
    assert (proof.rows, proof.broken_at) == (20, None)
    told = [each.getMessage() for each in caplog.records if each.name == "rexalgo.ledger"]
    assert f"from version {VERSION} to {len(MIGRATIONS)}; first a copy" in told[0]
    assert "the copy is verified: " in told[1]
    assert len(told) == 3 + len(MIGRATIONS) - VERSION
    assert copy_of(path).stat().st_mode & 0o777 == 0o600
    for each in (fresh, before, db):
        each.close()
    assert not list(path.parent.glob("*unfinished*"))


def test_the_verbs_find_again_what_was_open(path: Path) -> None:
    db = open_database(str(path))
    [unknown] = all_unknown(db)
    assert knows_client_order_id(db, unknown.intent.client_order_id)
    assert [each.id for each in open_attempts(db, unknown.account)] == [unknown.id]
    accounts = [AccountId(row[0]) for row in fetch_all(db, "SELECT id FROM account")]
    assert len(waiting_legs(db, accounts)) == 2
    assert not books_that_differ(db)
    told = receipt(db, "rcp_open")
    assert told is not None
    assert (told.signal_id, told.copies, told.open) == ("sig_open", OPEN_FOLLOWERS, 4)
    [(account,)] = fetch_all(db, "SELECT name FROM account WHERE id = ?", (unknown.account,))
    seen = why(db, "sig_open", account)
    assert seen is not None
    assert seen.code == "unknown"
    db.close()


@pytest.mark.parametrize("lines", range(1, 4 + len(MIGRATIONS) - VERSION))
def test_a_kill_leaves_a_whole_file_and_the_next_start_goes_on(path: Path, lines: int) -> None:
    """The child is killed right after it said so many lines: within the copy, within each step."""
    child = subprocess.Popen(
        [sys.executable, "-c", OPENS, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    for _ in range(lines):
        assert child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert VERSION <= version_of(path) <= len(MIGRATIONS)
    assert check_ledger(path) == "ok"
    db, before = open_database(str(path)), None
    if copy_of(path).exists():
        before = open_reader(str(copy_of(path)))
    assert before is not None
    assert differences(before, db) == []
    db.close()
    before.close()


def test_without_the_disk_for_it_nothing_is_begun(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        migrating.shutil, "disk_usage", lambda _: type("", (), {"free": path.stat().st_size})
    )
    with pytest.raises(LedgerError, match=r"expected \d+ MiB free in .*, found \d+ MiB; free some"):
        open_database(str(path))
    assert version_of(path) == VERSION
    assert not copy_of(path).exists()


def test_a_damaged_ledger_is_not_migrated(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 8192 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(LedgerError, match=r"restore a backup|malformed"):
        open_database(str(path))
    assert version_of(path) == VERSION
    assert not list(path.parent.glob("*.before-*"))


def test_a_ledger_that_somebody_writes_to_is_not_migrated(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Iterator[int] = iter((1, 2))
    monkeypatch.setattr(migrating, "count_rows", lambda db: {"run": next(counts)})
    with pytest.raises(LedgerError, match="differs from it in run: another process writes"):
        open_database(str(path))
    assert version_of(path) == VERSION
    assert not list(path.parent.glob("*.before-*"))


async def test_a_command_beside_a_running_server_of_the_earlier_program_leaves_its_ledger_alone(
    path: Path,
) -> None:
    (path.parent.parent / "rexalgo.toml").write_text("", encoding="utf-8")
    config = load_config(path.parent.parent, {})
    assert config.ledger.path == path
    with (
        FolderLock(config.data_dir, "rexalgo serve", datetime.now(UTC)),
        pytest.raises(LedgerError, match="another process works on it"),
    ):
        await run_with_lock(config, "status", {}, may_go_without=True)
    assert version_of(path) == VERSION


def test_what_only_reads_does_not_migrate_and_a_halt_does(path: Path) -> None:
    folder = path.parent.parent
    (folder / "rexalgo.toml").write_text("", encoding="utf-8")

    def run(*command: str) -> str:
        return CliRunner().invoke(main, ["--config", str(folder), *command]).output

    for command in (("status",), ("alert", "list"), ("doctor",)):
        assert f"is of version {VERSION};" in run(*command)
        assert version_of(path) == VERSION
    told = run("doctor", "--production")
    assert "do: rexalgo upgrade --check, then rexalgo serve" in told
    assert "root keys cannot be read" not in told
    assert not copy_of(path).exists()
    assert "new entries are OFF" in run("halt", "entries", "--all")
    assert version_of(path) == len(MIGRATIONS)
