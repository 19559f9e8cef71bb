"""A backup on another machine: an encrypted one is nothing without its key, and a place with it.

The real server on the paper exchange, the real command line.
"""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
from journey_place import DECLARATIONS, REXALGO, Place, closing, opening, run_cli
from simulated_mudrex import simulated

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


def drilled(place: Place, code: int, *args: object) -> dict[str, bool]:
    """Rehearse a restore; return each check and whether it held."""
    told = json.loads(run_cli("drill", "restore", *args, "--json", cwd=place.folder, code=code))
    assert told["passed"] is (code == 0)
    return {each["what"]: each["held"] for each in told["held"]}


def test_a_rehearsed_restore_passes_beside_the_server_and_sends_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, SETTINGS)
    code, said = refused(tmp_path, "drill", "restore")
    assert (code, "found none: rexalgo backup" in said) == (4, True)
    code, said = refused(tmp_path, "drill", "storms", "--key", "x", "--backup", "y")
    assert (code, said.count("leave it out"), "found 'storms'" in said) == (2, 2, True)
    place.provision(DECLARATIONS.format(followers=2))
    place.serve()
    with httpx.Client(trust_env=False, timeout=20) as client:
        first = place.bots["trend"].post(client, opening("one")).json()["signal_id"]
        assert set(place.settled(first)) == {"filled"}
        run_cli("backup", cwd=tmp_path)
        assert all(drilled(place, 0).values())
        second = place.bots["trend"].post(client, closing("two")).json()["signal_id"]
        assert set(place.settled(second)) == {"filled"}
    orders = place.orders()
    held = drilled(place, 0)  # what differs was traded after the backup
    assert len(held) == 6
    assert place.orders() == orders
    assert list((tmp_path / "data").glob("drill-*")) == []
    assert place.end(signal.SIGTERM) == 0

    damaged = tmp_path / "damaged.sqlite3"
    content = bytearray((next((tmp_path / "backups").iterdir())).read_bytes())
    content[5000:9000] = b"x" * 4000
    damaged.write_bytes(content)
    assert drilled(place, 1, "--backup", damaged) == {
        "the backup is whole, and the keys here open it": False
    }


def test_a_rehearsed_restore_fails_where_the_exchange_has_something_else(tmp_path: Path) -> None:
    with simulated(tmp_path / "orders.jsonl") as exchange:
        place = Place(tmp_path / "place", f'[plugin.mudrex]\nbase_url = "{exchange.base_url}"')
        run_cli("plugin", "enable", "mudrex", cwd=place.folder)
        place.provision(
            DECLARATIONS.format(followers=2)
            .replace('"paper"', '"mudrex"')
            .replace("paper-", "sim-")
        )
        place.serve()
        with httpx.Client(trust_env=False, timeout=20) as client:
            first = place.bots["trend"].post(client, opening("one")).json()["signal_id"]
            assert set(place.settled(first)) == {"filled"}
        assert place.end(signal.SIGTERM) == 0
        run_cli("backup", cwd=place.folder)
        exchange.does("owner", account="sim-0001", symbol="BTCUSDT", act="close")
        orders = exchange.orders()
        held = drilled(place, 1)
        assert [what for what, holds in held.items() if not holds] == [
            "it agrees with the exchange, but for what was done after it"
        ]
        assert exchange.orders() == orders
