"""A backup on another machine: an encrypted one is nothing without its key, and a place with it.

The real server on the paper exchange, the real command line.
"""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
from journey_place import DECLARATIONS, REXALGO, Place, opening, run_cli

SETTINGS = '[plugin.paper]\nprice_fixed = { BTCUSDT = "65000" }'


def refused(folder: Path, *args: str) -> tuple[int, str]:
    told = subprocess.run(
        [*REXALGO, *args], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return told.returncode, told.stderr


def test_a_stolen_backup_is_nothing_and_with_its_key_the_place_starts_elsewhere(
    tmp_path: Path,
) -> None:
    safe = tmp_path / "safe"
    safe.mkdir()
    public = json.loads(run_cli("key", "backup", safe / "private.txt", "--json", cwd=tmp_path))
    assert (safe / "private.txt").stat().st_mode & 0o777 == 0o600
    code, said = refused(tmp_path, "key", "backup", str(safe / "private.txt"))
    assert (code, "already exists" in said) == (3, True)
    place = Place(tmp_path / "here", f'[backup]\npublic_key = "{public["public_key"]}"\n{SETTINGS}')
    place.provision(DECLARATIONS.format(followers=2))
    place.serve()
    with httpx.Client(trust_env=False, timeout=20) as client:
        signal_id = place.bots["trend"].post(client, opening("one")).json()["signal_id"]
        assert set(place.settled(signal_id)) == {"filled"}
    made = json.loads(run_cli("backup", "--to", safe, "--json", cwd=place.folder))
    backup = Path(made["file"])
    assert (backup.parent, backup.suffix, made["encrypted"]) == (safe, ".enc", True)
    content = backup.read_bytes()
    assert b"SQLite format" not in content
    assert b"f0001" not in content
    assert place.end(signal.SIGTERM) == 0

    there = tmp_path / "there"
    there.mkdir()
    for name in (".env", "rexalgo.toml"):
        shutil.copy(place.folder / name, there / name)
    shutil.rmtree(place.folder)
    cut = safe / "cut.enc"
    cut.write_bytes(content[:-1])
    for args, why in (
        ((str(backup),), "give its private key with --key FILE"),
        ((str(backup), "--key", str(there / ".env")), "expected the file of a private key"),
        ((str(cut), "--key", str(safe / "private.txt")), "was cut or changed"),
    ):
        code, said = refused(there, "restore", *args)
        assert (code in (1, 2), why in said) == (True, True), said
        assert not (there / "data" / "ledger.sqlite3").exists()
    run_cli("restore", backup, "--key", safe / "private.txt", cwd=there)
    moved = Place(there)
    moved.serve(ready=False)
    seen = json.loads(run_cli("status", "--json", cwd=there))
    assert [each["account"] for each in seen["still"]] == [""]
    assert seen["accounts"] == {"paper": 2}
    assert moved.end(signal.SIGTERM) == 0
