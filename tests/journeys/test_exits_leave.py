"""Exits are sent whatever stops entries: a broken limiter, an open circuit, a quarantine. The
simulated exchange's own record decides.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running, until
from simulated_mudrex import Simulator, simulated

FOLLOWERS = 6
TROUBLED_SERVE = [sys.executable, str(Path(__file__).with_name("troubled_serve.py"))]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulated(tmp_path_factory.mktemp("mudrex") / "orders.jsonl") as made:
        yield made


@pytest.fixture(scope="module")
def place(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    settings = f'[plugin.mudrex]\nbase_url = "{simulator.base_url}"'
    made = Place(tmp_path_factory.mktemp("place"), settings, serving=TROUBLED_SERVE)
    file = made.folder / "rexalgo.toml"
    text = file.read_text(encoding="utf-8").replace(
        "[engine]", "[engine]\nreconcile_active_s = 5\nreconcile_idle_s = 5\nentry_age_s = 5"
    )
    file.write_text(text, encoding="utf-8")
    run_cli("plugin", "enable", "mudrex", cwd=made.folder)
    people = (
        DECLARATIONS.format(followers=FOLLOWERS)
        .replace('"paper"', '"mudrex"')
        .replace('["BTCUSDT"]', '["BTCUSDT", "ETHUSDT"]')
    )
    made.provision(people)
    with running(made):
        yield made


@pytest.fixture
def client(simulator: Simulator, place: Place) -> Iterator[httpx.Client]:
    """Open BTC for everybody, with no fault before and after."""
    wait_until_all_are_well(place)
    with httpx.Client(trust_env=False, timeout=30) as made:
        opened = send(place, made, opening(f"open-{len(simulator.orders())}"))
        assert Counter(place.settled(opened)) == {"filled": FOLLOWERS}
        yield made
        simulator.rules()
        until(lambda: simulator.positions() == 0)


def wait_until_all_are_well(place: Place) -> None:
    """Wait for the accounts' first good reading after a fault: entries expire within five seconds."""
    until(lambda: not any(each["task"]["problem"] for each in listed(place)))


def listed(place: Place) -> list[dict[str, Any]]:
    return list(json.loads(run_cli("account", "list", "--json", cwd=place.folder))["accounts"])


def send(place: Place, client: httpx.Client, body: dict[str, object]) -> str:
    answer = place.bots["trend"].post(client, body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["signal_id"])


def entries(simulator: Simulator, symbol: str) -> int:
    return sum(1 for each in simulator.orders() if each["symbol"] == symbol)


def alerts(place: Place) -> set[str]:
    return {
        each["code"]
        for each in json.loads(run_cli("alert", "list", "--json", cwd=place.folder))["alerts"]
    }


def test_exits_leave_while_the_limiter_is_broken_and_entries_do_not(
    simulator: Simulator, place: Place, client: httpx.Client
) -> None:
    trouble = place.folder / "limiter-broken"
    trouble.touch()
    try:
        entered = send(place, client, opening("limiter-eth", symbol="ETHUSDT"))
        send(place, client, closing("limiter-close"))
        until(lambda: simulator.positions() == 0)
        assert set(place.settled(entered)) <= {"expired", "denied.account_not_ready"}
        assert entries(simulator, "ETHUSDT") == 0
    finally:
        trouble.unlink()


def test_exits_leave_while_the_circuit_is_open_and_entries_wait(
    simulator: Simulator, place: Place, client: httpx.Client
) -> None:
    simulator.rules(
        {"path": "/funds", "fault": "refuse_503", "times": 0},
        {"path": "/v2/futures/order", "fault": "refuse_503", "times": 0},
    )
    # Every account has met the failure: one that was read well a moment ago may send between two
    # openings of the circuit.
    until(
        lambda: (
            "circuit_open" in alerts(place)
            and all(each["task"]["problem"] for each in listed(place))
        ),
    )
    entered = send(place, client, opening("circuit-eth", symbol="ETHUSDT"))
    send(place, client, closing("circuit-close"))
    until(lambda: simulator.positions() == 0)
    assert set(place.settled(entered)) <= {"expired", "denied.account_not_ready"}
    assert entries(simulator, "ETHUSDT") == 0


def test_exits_leave_an_account_whose_entries_are_in_quarantine(
    simulator: Simulator, place: Place, client: httpx.Client
) -> None:
    trouble = place.folder / "crash-f0002"
    trouble.touch()
    try:
        entered = send(place, client, opening("quarantine-eth", symbol="ETHUSDT"))
        until(lambda: "account_quarantined" in alerts(place))
        send(place, client, closing("quarantine-close"))
        send(place, client, closing("quarantine-eth-close", symbol="ETHUSDT"))
        until(lambda: simulator.positions() == 0)
        assert {each["account"] for each in simulator.orders() if each["symbol"] == "ETHUSDT"} == {
            f"paper-{n:04}" for n in range(1, FOLLOWERS + 1) if n != 2
        }
        told = json.loads(run_cli("account", "list", "--json", cwd=place.folder))["accounts"]
        assert [each["name"] for each in told if each["task"]["quarantined"]] == ["f0002"]
    finally:
        trouble.unlink()
    run_cli("account", "release", "f0002", cwd=place.folder)
    assert len(place.settled(entered)) == FOLLOWERS


def test_flatten_ends_flat_though_what_stands_is_worth_less_than_an_order_may_be(
    simulator: Simulator, place: Place
) -> None:
    prices = f"{simulator.control}/price"
    wait_until_all_are_well(place)
    with httpx.Client(trust_env=False, timeout=30) as made:
        opened = send(place, made, opening("small-open", side="SHORT"))
        assert Counter(place.settled(opened)) == {"filled": FOLLOWERS}
    try:
        httpx.post(
            prices, json={"symbol": "BTCUSDT", "price": "600"}, trust_env=False
        ).raise_for_status()
        until(lambda: _worth_at_most(simulator) < 5)
        told = run_cli("halt", "flatten", "--all", "--yes", "--wait", "60", cwd=place.folder)
        assert "FLAT: the engine has nothing open for everything" in told
        assert (simulator.positions(), "residue" in alerts(place)) == (0, False)
    finally:
        httpx.post(
            prices, json={"symbol": "BTCUSDT", "price": None}, trust_env=False
        ).raise_for_status()
        run_cli("resume", "entries", "--all", cwd=place.folder)


def _worth_at_most(simulator: Simulator) -> float:
    seen = httpx.get(f"{simulator.control}/accounts", trust_env=False, timeout=20).json()
    return max(
        float(held["quantity"]) * 600 for each in seen.values() for held in each["positions"]
    )
