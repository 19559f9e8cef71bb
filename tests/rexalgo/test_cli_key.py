"""``rexalgo key``: its output and questions, and what the doctor says about root keys."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from click.testing import CliRunner

from engine.keys.vault import new_root_key, parse_root_keys
from engine.ledger import Ledger
from engine.ledger.codec import to_us
from engine.ports.secret import Secret
from rexalgo.cli import main
from rexalgo.cli.leaked import _scope


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ENCRYPTION_KEY", "ENCRYPTION_KEY_FILE", "JWT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "place"
    CliRunner().invoke(main, ["init", "--dir", str(folder)], catch_exceptions=False)
    run(folder, "operator", "create", "ops")
    return folder


def run(place: Path, *args: object, code: int = 0) -> str:
    """Run a command and return its output, stdout and stderr."""
    result = CliRunner().invoke(main, ["--config", str(place), *map(str, args)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def only_kid(place: Path) -> str:
    """Return the kid of the only root key."""
    (each,) = json.loads(run(place, "key", "status", "--json"))["keys"]
    return str(each["kid"])


def change(place: Path, sql: str, *values: object) -> None:
    """Change the ledger's file directly."""
    db = apsw.Connection(str(place / "data" / "ledger.sqlite3"))
    db.execute(sql, values)  # type: ignore[arg-type]
    db.close()


def test_a_rotation_says_what_to_copy_and_what_backups_need_and_shows_no_key(place: Path) -> None:
    old = only_kid(place)
    assert f"{old}  active, since" in run(place, "key", "status")
    told = run(place, "key", "rotate")
    assert "Copy that file to your safe place now" in told
    assert f"Existing backups need the older key ({old})" in told
    assert f"rexalgo key remove {old}" in told
    told += (
        run(place, "key", "status")
        + run(place, "key", "status", "--json")
        + run(place, "doctor", "--json", code=0)
    )
    line = next(
        each
        for each in (place / ".env").read_text().splitlines()
        if each.startswith("ENCRYPTION_KEY=")
    )
    for each in line.partition("=")[2].split(","):
        assert each.partition(":")[0] in told
        assert each.partition(":")[2] not in told
    assert "expected --yes" in run(place, "key", "remove", old, code=2)
    assert f"root key {old} is erased" in run(place, "key", "remove", old, "--yes")
    assert f"{old}  removed" in run(place, "key", "status")
    assert "no root key 0badcafe is known here" in run(
        place, "key", "remove", "0badcafe", "--yes", code=4
    )


def test_what_does_not_open_ends_the_rotation_with_no_and_is_counted(place: Path) -> None:
    old = only_kid(place)
    change(place, "UPDATE person SET key_wrapped = zeroblob(72)")
    told = run(place, "key", "rotate", code=1)
    assert f"some secrets do not open and stay: under {old} 1 wrapped data keys" in told
    assert "continuing it; no new key is created" in run(place, "key", "rotate", code=1)
    assert f"1 secrets are still under a key older than {only_active(place)}" in run(
        place, "key", "status"
    )


def only_active(place: Path) -> str:
    """Return the kid of the active root key."""
    return str(json.loads(run(place, "key", "status", "--json"))["active"])


def test_the_doctor_says_when_a_key_is_old_unneeded_or_gone(place: Path) -> None:
    old = only_kid(place)
    told = run(place, "doctor")
    assert "root key" not in told
    assert told.index("no server runs") < told.index("quick check ok"), "the longest check is last"
    change(place, "UPDATE canary SET added_us = ?", to_us(datetime.now(UTC) - timedelta(days=400)))
    assert (
        f"WARN  root key {old} has been active for 400 days\n      do: rexalgo key rotate"
        in run(place, "doctor")
    )
    run(place, "key", "rotate")
    assert f"nothing here needs root key {old}" in run(place, "doctor")
    text = (place / ".env").read_text()
    keys = next(each for each in text.splitlines() if each.startswith("ENCRYPTION_KEY=")).partition(
        "="
    )[2]
    (place / ".env").write_text(text.replace(keys, keys.split(",")[1]))
    told = run(place, "doctor", code=1), run(place, "key", "status")
    assert "is missing from" in told[0]
    assert [each.count("put back the copy of .env that you keep elsewhere") for each in told] == [
        1,
        1,
    ]
    (place / ".env").write_text("JWT_SECRET=" + new_root_key()[9:])
    os.chmod(place / ".env", 0o600)
    told_unset = run(place, "doctor", code=1)
    assert "ENCRYPTION_KEY is not set\n      do: put back the copy of .env" in told_unset
    (place / ".env").write_text(text.replace(keys, new_root_key()))
    for command, code in (("doctor", 1), ("key status", 0)):
        said = run(place, *command.split(), code=code)
        assert "put back the copy of .env that you keep elsewhere" in said
        assert "rexalgo key rewrap" not in said


def test_the_doctor_does_not_say_to_start_what_cannot_start(place: Path) -> None:
    assert "do: rexalgo serve\n" in run(place, "doctor")
    run(place, "backup", place / "copy")
    (place / "data" / "mark.json").write_text("{}")
    (place / "data" / "ledger.sqlite3").unlink()
    said = run(place, "doctor", code=1)
    assert "is missing" in said
    assert "do: rexalgo serve\n" not in said
    run(place, "restore", place / "copy")
    assert "do: rexalgo serve\n" in run(place, "doctor", code=1)


def test_a_fresh_key_is_printed_and_stored_nowhere(place: Path) -> None:
    parse_root_keys(Secret(run(place, "key", "new").strip()))
    parse_root_keys(Secret(json.loads(run(place, "key", "new", "--json"))["key"]))
    only_kid(place)


def test_an_older_ledger_learns_since_when_its_key_may_be_here(tmp_path: Path) -> None:
    from engine.ledger.database import open_database
    from engine.ledger.schema import MIGRATIONS

    file = tmp_path / "ledger.sqlite3"
    db = apsw.Connection(str(file))
    before = next(number for number, each in enumerate(MIGRATIONS) if "ADD COLUMN added_us" in each)
    for each in MIGRATIONS[:before]:
        db.execute(each)
    db.execute(
        f"PRAGMA user_version = {before}; INSERT INTO canary VALUES ('0badcafe', x'00');"
        " INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('p', "
        "'p', 7, x'00', '0badcafe', x'00')"
    )
    db.close()
    open_database(str(file)).close()
    ledger = Ledger.open(file, inline=True)
    assert ledger.db.execute("SELECT added_us, disabled_us, removed_us FROM canary").fetchall() == [
        (7, None, None)
    ]
    ledger.db.close()


def test_a_backup_of_before_is_restored_with_the_old_key_behind_the_new_one(place: Path) -> None:
    old, env = only_kid(place), place / ".env"
    text = env.read_text()
    old_key = next(
        each for each in text.splitlines() if each.startswith("ENCRYPTION_KEY=")
    ).partition("=")[2]
    run(place, "backup", place / "before.sqlite3")
    run(place, "key", "rotate")
    run(place, "key", "remove", old, "--yes")
    for each in (place / "data").glob("ledger.sqlite3*"):
        each.unlink()
    (place / "before.sqlite3").rename(place / "data" / "ledger.sqlite3")
    assert f"ENCRYPTION_KEY has no key '{old}'" in run(place, "key", "rewrap", code=1)
    new_key = next(
        each for each in env.read_text().splitlines() if each.startswith("ENCRYPTION_KEY=")
    ).partition("=")[2]
    env.write_text(env.read_text().replace(new_key, f"{new_key},{old_key}"))
    assert "1 moved under" in run(place, "key", "rewrap")
    run(place, "key", "remove", old, "--yes")
    assert "each follows from the one before" in run(place, "audit", "verify")


def test_a_leaked_key_is_handled_by_one_command_that_says_what_is_left_to_a_person(
    place: Path,
) -> None:
    for args, expected in (
        (("webhook",), "expected the name of the strategy, found no NAME"),
        (("addresses",), "expected the name of the strategy, found no NAME"),
        (("jwt", "x"), "expected no NAME, found 'x'"),
        (("root",), "expected --yes"),
    ):
        assert expected in run(place, "key", "leaked", *args, code=2)
    before = (place / ".env").read_text()
    told = run(place, "key", "leaked", "root", "--yes")
    assert "is the only one" in told
    assert "everybody has another data key" in told
    assert "destroy the older copies" in told
    old = parse_root_keys(Secret(before.partition("ENCRYPTION_KEY=")[2].split()[0])).active
    after = (place / ".env").read_text()
    assert old not in after
    answer = json.loads(run(place, "key", "leaked", "jwt", "--json"))
    assert answer["left_to_you"][0].startswith("copy ")
    assert answer["active"] not in answer["erased"]
    assert (place / ".env").read_text().splitlines()[-1] != after.splitlines()[-1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "entries and closes"),
        ({"actions": [], "symbols": [], "expires_at": ""}, "entries and closes"),
        (
            {
                "actions": ["close"],
                "symbols": ["BTCUSDT", "ETHUSDT"],
                "expires_at": "2026-12-24T10",
            },
            "closes only of BTCUSDT, ETHUSDT, until 2026-12-24",
        ),
    ],
)
def test_an_address_is_told_apart_by_what_it_may_send(settings: dict[str, Any], words: str) -> None:
    assert _scope(settings) == words


@pytest.mark.parametrize("command", [("config", "check"), ("serve",), ("key", "status")])
@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("JWT_SECRET", "changeme" * 5, "found a template or a common word"),
        ("ENCRYPTION_KEY", "00000000:" + "A" * 43 + "=", "found few different bytes"),
    ],
)
def test_every_command_refuses_a_secret_that_is_not_random(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    name: str,
    value: str,
    found: str,
) -> None:
    monkeypatch.setenv(name, value)
    told = run(place, *command, code=2)
    assert f"{name}: expected" in told
    assert found in told
    assert value not in told
