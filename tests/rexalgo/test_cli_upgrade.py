"""``rexalgo upgrade --check``: told before it is done, tried on a copy, and nothing is changed."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import engine.ledger.database as database
from engine.ledger.schema import MIGRATIONS
from engine.settings.config import load_config
from rexalgo.cli import main


def ledger_of(folder: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create an installation as an older version left it."""
    path = load_config(folder, {}).ledger.path
    with monkeypatch.context() as older:
        older.setattr(database, "MIGRATIONS", MIGRATIONS[:version])
        db = database.open_database(str(path))
        db.execute("INSERT INTO run (started_us) VALUES (7)")
        db.close()
    return path


def check(folder: Path, code: int) -> dict[str, Any]:
    told = CliRunner().invoke(main, ["--config", str(folder), "upgrade", "--check", "--json"])
    assert told.exit_code == code, told.output
    answer: dict[str, Any] = json.loads(told.output)
    assert answer["possible"] is (code == 0)
    return answer


@pytest.mark.parametrize("version", [1, 2, len(MIGRATIONS) - 1])
def test_every_step_is_told_and_the_ledger_is_left_alone(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ledger_of(tmp_path, version, monkeypatch)
    before = hashlib.sha256(path.read_bytes()).digest()
    answer = check(tmp_path, 0)
    assert (answer["found"], answer["known"]) == (version, len(MIGRATIONS))
    assert [each["version"] for each in answer["steps"]] == list(
        range(version + 1, len(MIGRATIONS) + 1)
    )
    assert answer["took_s"] >= 0
    assert answer["copy"] == f"{path}.before-{version + 1}"
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert database.version_of(path) == version
    assert [each for each in path.parent.iterdir() if each.is_dir()] == []
    database.open_database(str(path)).close()  # the upgrade keeps what the check promised
    assert database.version_of(Path(answer["copy"])) == version
    assert check(tmp_path, 0)["steps"] == []


def test_the_first_step_names_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = ledger_of(tmp_path, 2, monkeypatch)
    told = CliRunner().invoke(main, ["--config", str(tmp_path), "upgrade", "--check"]).output
    assert "step 3 of" in caplog.text
    assert "upgrade-" not in caplog.text, "a file that is gone when it is read of"
    assert f"type rexalgo restore {path}.before-3 with it" in told
    third = check(tmp_path, 0)["steps"][0]
    assert {"leg", "holding", "switch", "alert", "equity_mark"} <= set(third["tables"])


def test_everything_that_prevents_it_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rexalgo.toml").write_text('[plugins]\nenabled = ["paper", "absent"]\n')
    path = ledger_of(tmp_path, 3, monkeypatch)
    monkeypatch.setattr("engine.recovery.upgrading.DISK_FREE_MIN", 2**60)
    told = check(tmp_path, 1)["problems"]
    assert ["absent" in told[0], "MiB free" in told[1], len(told)] == [True, True, 2]
    (tmp_path / "rexalgo.toml").write_text("[web]\nport = 'x'\nhost = 7\n")
    assert len(check(tmp_path, 1)["problems"]) == 2
    (tmp_path / "rexalgo.toml").write_text("")
    db = database.apsw.Connection(str(path))
    db.pragma("user_version", 99)
    db.close()
    (problem,) = check(tmp_path, 1)["problems"]
    assert "start the newer program; no older copy is here" in problem


def test_a_damaged_ledger_and_an_empty_folder_are_told(tmp_path: Path) -> None:
    assert check(tmp_path, 0)["found"] == 0
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ledger.sqlite3").write_bytes(b"no database at all" * 300)
    (problem,) = check(tmp_path, 1)["problems"]
    assert "cannot be read" in problem
    told = CliRunner().invoke(main, ["--config", str(tmp_path), "upgrade"])
    assert (told.exit_code, "expected --check" in told.output) == (2, True)


def test_addresses_that_would_not_be_called_are_named_with_the_line_that_allows_them(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "topic"
    secret.write_text("https://10.1.2.3/my-secret-topic\n")
    secret.chmod(0o600)
    settings = (
        '[plugins]\nenabled = ["paper", "mudrex", "webhook_out", "smtp"]\n'
        '[operator]\nheartbeat_url = "https://192.168.7.9/beat"\n'
        '[plugin.mudrex]\nbase_url = "http://localhost:8900/fapi"\n'
        '[plugin.smtp]\nhost = "::1"\nsender = "ops@example.org"\nrecipients = []\n'
        f'[plugin.webhook_out]\nntfy_url_file = "{secret}"\n'
    )
    file = tmp_path / "rexalgo.toml"
    file.write_text(settings + '[outgoing]\ninternal = ["10.9.0.0/16"]\n')
    told = [each for each in check(tmp_path, 1)["problems"] if "leads to" in each]
    assert [each.partition(" leads to ")[0] for each in told] == [
        "operator.heartbeat_url",
        "plugin.mudrex.base_url",
        "plugin.webhook_out.ntfy_url_file",
        "plugin.smtp.host",
    ]
    assert "127.0.0.1 (this machine itself)" in told[1]
    assert "192.168.7.9 (an address of an internal network)" in told[0]
    assert "my-secret-topic" not in str(told)
    (line,) = {each.partition("[outgoing] internal = ")[2].partition(" in ")[0] for each in told}
    assert set(json.loads(line)) >= {"10.9.0.0/16", "192.168.7.9", "127.0.0.1", "10.1.2.3", "::1"}
    file.write_text(f"{settings}[outgoing]\ninternal = {line}\n")
    assert check(tmp_path, 0)["problems"] == []


def test_a_public_address_and_a_name_that_leads_nowhere_are_not_named(tmp_path: Path) -> None:
    for url in ("https://8.8.8.8/beat", "https://there-is-none.invalid/beat", ""):
        (tmp_path / "rexalgo.toml").write_text(f'[operator]\nheartbeat_url = "{url}"\n')
        assert check(tmp_path, 0)["problems"] == []
