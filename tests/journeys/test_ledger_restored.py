"""An old, missing or removed ledger: no order before a person confirms, then the right ones, and
never a healthy, empty installation.

The real server on the paper exchange, whose own journal shows what was sent.
"""

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import coming_in
import httpx
import pytest
import trio
from browser_free import close_all
from journey_place import DECLARATIONS, REXALGO, Place, closing, opening, run_cli, until
from simulated_mudrex import simulated

from engine.control import ask_server
from engine.ledger import back_up

SETTINGS = '[plugin.paper]\nprice_fixed = { BTCUSDT = "65000" }'


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=20) as made:
        yield made


def place_of(folder: Path, followers: int = 2) -> Place:
    place = Place(folder, SETTINGS)
    place.provision(DECLARATIONS.format(followers=followers))
    return place


def data(place: Place) -> Path:
    return place.folder / "data"


def ask(place: Place, *args: str, code: int | None = 0) -> Any:
    return json.loads(run_cli(*args, "--json", cwd=place.folder, code=code))


def command(place: Place, method: str) -> dict[str, Any]:
    """Run a command against the running server, as the command line does."""
    return trio.run(ask_server, data(place), method, {})


def refused(place: Place, *args: str) -> tuple[int, str]:
    """Run a failing command; return its exit code and its output."""
    told = subprocess.run(
        [*REXALGO, *args], cwd=place.folder, capture_output=True, text=True, timeout=60
    )
    return told.returncode, told.stderr


def serve_frozen(place: Place) -> None:
    """Start a server from which nothing may leave, and wait until every account was read."""
    place.serve(ready=False)
    until(lambda: command(place, "status")["engine"]["accounts_read"] == 2)


def deliver(
    place: Place, client: httpx.Client, body: dict[str, object], status: int = 202
) -> dict[str, Any]:
    answer = place.bots["trend"].post(client, body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def filled(place: Place, client: httpx.Client, body: dict[str, object]) -> None:
    assert set(place.settled(deliver(place, client, body)["signal_id"])) == {"filled"}


def end(place: Place, number: signal.Signals = signal.SIGTERM) -> None:
    code = place.end(number)
    assert code == (0 if number is signal.SIGTERM else -number), (place.folder / "log").read_text()


def planned(place: Place) -> dict[str, set[str]]:
    """Return the kinds of steps in each account's plan."""
    return {
        each["account"]: {step["kind"] for step in each["steps"]}
        for each in command(place, "reconcile_all")["accounts"]
    }


def test_a_backup_put_back_stands_still_until_the_plan_was_read_then_only_what_is_ours_is_closed(
    tmp_path: Path, client: httpx.Client
) -> None:
    place = place_of(tmp_path)
    place.serve()
    filled(place, client, opening("one"))
    run_cli("backup", "old.sqlite3", cwd=tmp_path)
    filled(place, client, closing("two"))  # a close done meanwhile
    filled(place, client, opening("three"))  # positions of later than the backup
    code, said = refused(place, "restore", "old.sqlite3")
    assert (code, "stop it first" in said) == (3, True)
    end(place)

    assert Path(ask(place, "restore", "old.sqlite3")["former"]).exists()
    before = place.orders()
    serve_frozen(place)
    assert client.get(f"{place.url}/api/ready").status_code == 503
    health = client.get(f"{place.url}/api/health")
    assert (health.status_code, "is frozen" in health.text) == (200, True)
    ops, _ = coming_in.operator(place)
    ops.get("/operate/switches")
    asked = ops.post("/operate/switches/on", level="flatten", scope="all", target="", note="")
    assert "nothing is closed or cancelled from this installation" in asked
    page = ops.get("/operate")
    assert "Nothing is sent from this installation now, closing orders included" in page
    assert "This installation is frozen, no order of any kind is sent" in page
    close_all()
    exit_ = deliver(place, client, closing("four"))
    entry = deliver(place, client, opening("five"))
    assert (entry["mirrored"], "confirmed" in entry["reason"]) == (False, True)
    assert {each["code"] for each in command(place, "status")["needs"]} >= {"still"}
    assert "has been frozen" in run_cli("doctor", cwd=tmp_path, code=1)
    assert "nothing is sent" in run_cli("why", exit_["signal_id"], "f0001", cwd=tmp_path)
    code, said = refused(place, "restore", "confirm")
    assert (code, said.count("was not shown")) == (1, 2)
    end(place, signal.SIGKILL)
    serve_frozen(place)  # neither a restart nor a crash changes that

    for each in ask(place, "reconcile", "--plan", code=1)["accounts"]:
        differs = {step["kind"]: step["differs"] for step in each["steps"]}
        assert set(differs) == {"share", "own", "lost", "sends"}, each
        assert (
            "an order of this engine that this ledger lacks closed the position; the one that "
            "is open there now" in differs["share"]
        )
        assert "an order of this engine that this ledger lacks opened it" in differs["own"]
    assert place.orders() == before
    confirmed = ask(place, "restore", "confirm")
    assert (confirmed["confirmed"], confirmed["still"], confirmed["entries_ended"]) == (2, {}, 2)
    assert "restore confirm" not in run_cli("status", cwd=tmp_path)
    assert set(place.settled(entry["signal_id"])) == {"killed"}
    assert set(place.settled(exit_["signal_id"])) == {"skipped.nothing_to_close"}
    assert (
        place.orders() == before
    )  # what was opened after the backup is not known as ours: a person was told
    assert client.get(f"{place.url}/api/ready").status_code == 200
    end(place)
    place.serve()  # confirmed once and for all
    assert command(place, "status")["still"] == []
    end(place)


def test_an_owners_own_position_of_later_than_the_backup_is_never_taken_for_ours(
    tmp_path: Path, client: httpx.Client
) -> None:
    with simulated(tmp_path / "orders.jsonl") as exchange:
        place = Place(tmp_path / "place", f'[plugin.mudrex]\nbase_url = "{exchange.base_url}"')
        run_cli("plugin", "enable", "mudrex", cwd=place.folder)
        place.provision(
            DECLARATIONS.format(followers=2)
            .replace('"paper"', '"mudrex"')
            .replace("paper-", "sim-")
        )
        place.serve()
        filled(place, client, opening("one"))
        until(lambda: place.rows("SELECT count(*) FROM holding WHERE position_id != ''") == [(2,)])
        back_up(data(place) / "ledger.sqlite3", place.folder / "old.sqlite3")
        end(place)
        exchange.does("owner", account="sim-0001", symbol="BTCUSDT", act="close")
        exchange.does(
            "owner", account="sim-0001", symbol="BTCUSDT", act="open", side="LONG", quantity="0.05"
        )
        ask(place, "restore", "old.sqlite3")
        before = exchange.orders()
        serve_frozen(place)
        exit_ = deliver(place, client, closing("two"))
        # Until the exchange's history tells what became of the position, the plan says that it is
        # looked up.
        until(
            lambda: (
                planned(place) == {"f0001": {"share", "own", "sends"}, "f0002": {"stays", "sends"}}
            ),
        )
        assert exchange.orders() == before
        command(place, "restore_confirm")
        assert sorted(place.settled(exit_["signal_id"])) == ["filled", "skipped.nothing_to_close"]
        assert len(exchange.orders()) == len(before) + 1
        left = httpx.get(f"{exchange.control}/accounts", trust_env=False, timeout=20).json()
        assert {name: len(each["positions"]) for name, each in left.items()} == {
            "sim-0001": 1,
            "sim-0002": 0,
        }
        end(place)


def test_a_whole_folder_put_back_is_betrayed_by_the_history_of_its_accounts(
    tmp_path: Path, client: httpx.Client
) -> None:
    place = place_of(tmp_path)
    place.serve()
    filled(place, client, opening("one"))
    end(place)
    files = [each for each in data(place).iterdir() if each.is_file()]
    assert {"ledger.sqlite3", "mark.json"} <= {each.name for each in files}
    assert "ledger.sqlite3-wal" not in {each.name for each in files}  # a stop leaves one file
    for each in files:
        shutil.copy(each, tmp_path / f"kept-{each.name}")
    place.serve()
    filled(place, client, closing("two"))
    end(place)
    for each in files:
        shutil.copy(tmp_path / f"kept-{each.name}", each)
    before = place.orders()
    place.serve()
    until(lambda: len(command(place, "status")["still"]) == 2)
    assert {each["account"] for each in command(place, "status")["still"]} == {"f0001", "f0002"}
    deliver(place, client, closing("three"))
    command(place, "reconcile_all")
    assert place.orders() == before
    command(place, "restore_confirm")
    filled(place, client, opening("four"))
    end(place)
    place.serve()
    until(lambda: command(place, "status")["engine"]["accounts_read"] == 2)
    filled(place, client, closing("five"))
    assert command(place, "status")["still"] == []
    end(place)


def removed(file: Path, backup: Path) -> None:
    file.unlink()


def replaced(file: Path, backup: Path) -> None:
    backup.replace(file)


def written_over(file: Path, backup: Path) -> None:
    content = backup.read_bytes()
    with file.open("r+b") as ledger:  # at no moment empty, or a reading may end the server first
        ledger.write(content)
        ledger.truncate()


def until_gone(place: Place, client: httpx.Client) -> list[httpx.Response]:
    """Deliver until the server no longer answers."""
    answers: list[httpx.Response] = []
    try:
        while True:
            answers.append(place.bots["trend"].post(client, closing("two")))
    except httpx.HTTPError:
        return answers


@pytest.mark.parametrize(
    ("harm", "then"),
    [(removed, "is missing"), (replaced, "lies beside it"), (written_over, "lies beside it")],
)
def test_a_ledger_that_goes_away_while_it_is_used_promises_nothing_and_the_server_ends(
    harm: Callable[[Path, Path], None], then: str, tmp_path: Path, client: httpx.Client
) -> None:
    place = place_of(tmp_path)
    place.serve()
    filled(place, client, opening("one"))
    back_up(data(place) / "ledger.sqlite3", tmp_path / "old.sqlite3")
    before = place.orders()
    ledger = data(place) / "ledger.sqlite3"
    harm(ledger, tmp_path / "old.sqlite3")
    answers = until_gone(place, client)
    # No answer at all: the engine saw it first and had ended. 429: who asks without a pause.
    assert {each.status_code for each in answers} <= {503, 429}
    assert all(int(each.headers["retry-after"]) >= 1 for each in answers)
    assert place.end(signal.SIGCONT) == 1
    said = (tmp_path / "log").read_text()
    assert "while it was in use" in said
    assert "rexalgo doctor" in said
    assert place.orders() == before
    assert then in run_cli("doctor", cwd=tmp_path, code=1)
    code, said = refused(place, "serve")
    assert (code, then in said) == (1, True)


def test_a_place_moved_with_its_whole_folder_starts_as_usual(
    tmp_path: Path, client: httpx.Client
) -> None:
    place = place_of(tmp_path / "here")
    place.serve()
    filled(place, client, opening("one"))
    end(place, signal.SIGKILL)
    shutil.copytree(tmp_path / "here", tmp_path / "there", ignore=shutil.ignore_patterns("*.sock"))
    shutil.rmtree(tmp_path / "here")
    moved = Place(tmp_path / "there", bots=place.bots)
    moved.serve()
    assert command(moved, "status")["still"] == []
    filled(moved, client, closing("two"))
    end(moved)
