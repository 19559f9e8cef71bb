"""A backup on another machine: an encrypted one is nothing without its key, and a place with it.

The real server on the paper exchange and on the simulated Mudrex, the real command line.
"""

import json
import shutil
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import trio
from journey_place import DECLARATIONS, REXALGO, Place, closing, opening, run_cli, until
from simulated_mudrex import Simulator, simulated

from engine.control import ask_server
from engine.ledger.database import open_reader
from engine.ledger.query import fetch_all

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


FOLLOWERS = 3
HELD, FLYING, LEFT, BUSY = "BTCUSDT", "ETHUSDT", "DOGEUSDT", "AAPLUSDT"
"""Contracts: held before and after the backup, entered while it is made, closed after it, traded all
the time.
"""
SIMULATED = [f"sim-{number:04}" for number in range(1, FOLLOWERS + 1)]
ORDER = "/v2/futures/order"


@dataclass
class Moving:
    """A place that is lost and goes on elsewhere, and the exchange that remembers everything."""

    exchange: Simulator
    place: Place
    client: httpx.Client

    def deliver(self, body: dict[str, object]) -> dict[str, Any]:
        answer = self.place.bots["trend"].post(self.client, body)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def ends(self, body: dict[str, object]) -> list[str]:
        """Deliver a signal; return the outcomes of its copies."""
        return self.place.settled(self.deliver(body)["signal_id"])

    def send_slowly(self, body: dict[str, object], seconds: float) -> None:
        """Deliver an entry; return once each of its orders is on its way, unanswered."""
        before = self.exchange.counts().get("fault slow", 0)
        self.exchange.fault(ORDER, "slow", FOLLOWERS, seconds=seconds)
        self.deliver(body)
        until(lambda: self.exchange.counts().get("fault slow", 0) == before + FOLLOWERS)

    def command(self, method: str) -> dict[str, Any]:
        """Run a command against the running server, as the command line does."""
        return trio.run(ask_server, self.place.folder / "data", method, {})

    def plans(self) -> dict[str, list[tuple[str, str]]]:
        """Return what each account's plan says, as kinds and words."""
        return {
            each["account"]: [(step["kind"], step["differs"]) for step in each["steps"]]
            for each in self.command("reconcile_all")["accounts"]
        }

    def plans_read(self) -> dict[str, list[tuple[str, str]]]:
        """Let a person read the plans, once nothing is looked up any more; return them."""
        until(lambda: "looked up" not in str(self.plans()) and self.plans() == self.plans())
        told = run_cli("reconcile", "--plan", cwd=self.place.folder, code=1)
        plans = self.plans()
        for words in (words for steps in plans.values() for _, words in steps):
            assert words in told
        return plans

    def shares(self) -> dict[tuple[str, str], Decimal]:
        """Return what the ledger says is ours, by account at the exchange and contract."""
        rows = self.place.rows(
            "SELECT account.name, symbol, share FROM holding JOIN account ON account.id = account_id"
        )
        return {
            (name.replace("f", "sim-"), symbol): Decimal(share)
            for name, symbol, share in rows
            if Decimal(share)
        }


def entries(exchange: Simulator) -> list[dict[str, Any]]:
    """Return the entries that the exchange ever accepted from us, by its own record."""
    return [each for each in exchange.orders() if each["client_order_id"]]


def test_a_place_that_was_lost_goes_on_elsewhere_from_a_backup_of_a_busy_moment(
    tmp_path: Path,
) -> None:
    with (
        simulated(tmp_path / "orders.jsonl", "--per-second", "0") as exchange,
        httpx.Client(trust_env=False, timeout=20) as client,
    ):
        place = Place(
            tmp_path / "here",
            f'[plugin.mudrex]\nbase_url = "{exchange.base_url}"\norders_per_s = 100\n'
            "reads_per_s = 100",
        )
        run_cli("plugin", "enable", "mudrex", cwd=place.folder)
        place.provision(
            DECLARATIONS.format(followers=FOLLOWERS)
            .replace('"paper"', '"mudrex"')
            .replace("paper-", "sim-")
            .replace(f'["{HELD}"]', json.dumps([HELD, FLYING, LEFT, BUSY]))
        )
        place.serve()
        moving = Moving(exchange, place, client)
        assert set(moving.ends(opening("held", symbol=HELD))) == {"filled"}
        assert set(moving.ends(opening("left", symbol=LEFT))) == {"filled"}
        until(lambda: place.rows("SELECT count(*) FROM holding WHERE position_id != ''") == [(6,)])

        # A backup while signals flow and orders are in flight
        moving.send_slowly(opening("flying", symbol=FLYING), seconds=7)
        safe = tmp_path / "safe"
        safe.mkdir()
        flowed = 0
        with subprocess.Popen(
            [*REXALGO, "backup", "--to", str(safe)], cwd=place.folder, stdout=subprocess.DEVNULL
        ) as backing_up:
            while backing_up.poll() is None:
                flowed += 1
                assert set(moving.ends(opening(f"in-{flowed}", symbol=BUSY))) == {"filled"}
                assert set(moving.ends(closing(f"out-{flowed}", symbol=BUSY))) == {"filled"}
        assert (backing_up.returncode, flowed > 0) == (0, True)
        (backup,) = safe.iterdir()
        db = open_reader(str(backup))
        states = fetch_all(db, "SELECT state FROM attempt WHERE symbol = ?", (FLYING,))
        db.close()
        assert set(states) <= {("claimed",), ("unknown",)}
        assert len(states) == FOLLOWERS

        # More follows that it lacks; then the machine is lost, with orders on their way
        assert set(moving.ends(closing("left-close", symbol=LEFT))) == {"filled"}
        moving.send_slowly(opening("last", symbol=BUSY), seconds=1)
        place.end(signal.SIGKILL)
        there = tmp_path / "there"
        (there / "backups").mkdir(parents=True)
        for name in (".env", "rexalgo.toml"):
            shutil.copy(place.folder / name, there / name)
        shutil.rmtree(place.folder)
        shutil.copy(backup, there / "backups")
        until(lambda: len(entries(exchange)) == FOLLOWERS * (4 + flowed))
        until(lambda: len(exchange.held()) == FOLLOWERS * 3)
        own = {"account": "sim-0001", "symbol": LEFT}
        exchange.does("owner", **own, act="open", side="LONG", quantity="500")
        before = exchange.orders()

        # It stands still elsewhere: nothing leaves, and signals are answered
        run_cli("restore", there / "backups" / backup.name, cwd=there)
        moving.place = moved = Place(there, bots=place.bots)
        moved.serve(ready=False)
        until(lambda: len(moving.command("status")["still"]) == 1 + FOLLOWERS)
        entry = moving.deliver(opening("meanwhile", symbol=BUSY))
        exit_ = moving.deliver(closing("held-close", symbol=HELD))
        assert (entry["mirrored"], "confirmed" in entry["reason"]) == (False, True)
        assert all(drilled(moved, 0).values())
        assert exchange.orders() == before
        plans = moving.plans_read()
        for name, steps in plans.items():
            told = Counter(kind for kind, _ in steps)
            words = "; ".join(words for _, words in steps)
            assert (told["lost"], told["stays"], told["sends"] > 0) == (1, 2, True), (name, steps)
            assert f"{BUSY} stands beside our share: an order of this engine that this" in words
            assert f"{LEFT}: the position was closed outside the engine" in words
            assert (f"the owner holds LONG 500 {LEFT} beside us" in words) is (name == "f0001")
        assert exchange.orders() == before
        for account in SIMULATED:  # the plan says so: what the missing orders opened, by hand
            exchange.does("owner", account=account, symbol=BUSY, act="close")
        assert BUSY not in str(
            [step for steps in moving.plans_read().values() for step in steps if step[0] == "own"]
        )
        confirmed = json.loads(run_cli("restore", "confirm", "--json", cwd=there))
        assert (confirmed["confirmed"], confirmed["still"]) == (FOLLOWERS, {})

        # It goes on, with exactly what is ours
        assert set(moved.settled(entry["signal_id"])) == {"killed"}
        assert set(moved.settled(exit_["signal_id"])) == {"filled"}
        assert set(moving.ends(opening("again", symbol=HELD))) == {"filled"}
        left = exchange.held()
        assert left.pop(("sim-0001", LEFT)) == 500
        assert moving.shares() == left
        assert set(left) == {(each, symbol) for each in SIMULATED for symbol in (HELD, FLYING)}
        for symbol in (HELD, FLYING):
            assert set(moving.ends(closing(f"end-{symbol}", symbol=symbol))) == {"filled"}
        assert set(moving.ends(closing("end-left", symbol=LEFT))) == {"skipped.nothing_to_close"}
        assert exchange.held() == {("sim-0001", LEFT): Decimal(500)}
        assert moving.shares() == {}

        # The exchange's own record: one order for each entry, and none that the ledger lacks
        made = entries(exchange)
        assert set(Counter(each["client_order_id"] for each in made).values()) == {1}
        assert Counter((each["account"], each["symbol"]) for each in made) == {
            (account, symbol): times
            for account in SIMULATED
            for symbol, times in ((HELD, 2), (FLYING, 1), (LEFT, 1), (BUSY, flowed + 1))
        }
        asked = exchange.counts().items()
        assert sum(times for what, times in asked if f"{ORDER} " in what) == len(made)
        assert sum(times for what, times in asked if "/close" in what) == FOLLOWERS * (4 + flowed)
        known = {each for (each,) in moved.rows("SELECT client_order_id FROM attempt")}
        lost = {each["id"] for each in made if each["client_order_id"] not in known}
        assert lost == {
            each for (each,) in moved.rows("SELECT exchange_order_id FROM foreign_order")
        }
        assert moved.end(signal.SIGTERM) == 0
