"""Exits that the size of a position, or unreadable rows of other contracts, must not stop. The
exchange's record decides.
"""

import json
from collections.abc import Iterator

import httpx
import pytest
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running, until
from judged_books import books_agree
from simulated_mudrex import Simulator, simulated

KEYS = {"f0001": "paper-0001", "f0002": "paper-0002"}
DOGE = "DOGEUSDT"
NEVER_SEEN: dict[str, list[object]] = {
    "orders": [
        {
            "id": "o-1",
            "symbol": "SOLUSDT",
            "status": "PARKED",
            "order_type": "LONG",
            "quantity": "1",
            "created_at": "5 Oct, 08:00",
        },
        ["no", "row"],
    ],
    "history": [
        {
            "id": "o-2",
            "symbol": "SOLUSDT",
            "status": "PARKED",
            "order_type": "TWAP",
            "quantity": 1,
            "created_at": "5 Oct, 08:00",
        }
    ],
    "positions": [
        {
            "id": "p-1",
            "symbol": "SOLUSDT",
            "order_type": "SPREAD",
            "quantity": "some",
            "status": "FROZEN",
        },
        {"id": 7},
    ],
    "closed": [{"id": "p-2", "symbol": "SOLUSDT", "status": "MOVED", "created_at": "yesterday"}],
    "fees": [{"id": "f-1", "symbol": "SOLUSDT", "fee_type": "BONUS", "fee_amount": "free"}],
}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulated(tmp_path_factory.mktemp("mudrex") / "orders.jsonl") as made:
        yield made


@pytest.fixture(scope="module")
def place(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(
        tmp_path_factory.mktemp("place"), f'[plugin.mudrex]\nbase_url = "{simulator.base_url}"'
    )
    run_cli("plugin", "enable", "mudrex", cwd=made.folder)
    people = (
        DECLARATIONS.format(followers=len(KEYS))
        .replace('"paper"', '"mudrex"')
        .replace("BTCUSDT", DOGE)
    )
    made.provision(people.replace('margin = "50"', 'margin = "1.025"'))
    price(simulator, "0.125")  # before the server reads one: it sizes by what it read last
    with running(made):
        yield made


def price(simulator: Simulator, value: str) -> None:
    httpx.post(
        f"{simulator.control}/price", json={"symbol": DOGE, "price": value}, trust_env=False
    ).raise_for_status()


def sent(place: Place, body: dict[str, object]) -> list[str]:
    """Send a signal and return its outcome for each account."""
    return place.settled(place.send(body))


def alerts(place: Place) -> set[str]:
    return {
        each["code"]
        for each in json.loads(run_cli("alert", "list", "--json", cwd=place.folder))["alerts"]
    }


def newest(simulator: Simulator) -> set[tuple[str, str, bool]]:
    """Return quantity and kind of the newest accepted order of each account."""
    return {
        (each["account"], each["quantity"], each["reduce_only"]) for each in simulator.orders()[-2:]
    }


def test_what_is_worth_less_than_an_order_may_open_is_closed_by_flatten_and_by_a_close(
    simulator: Simulator, place: Place
) -> None:
    assert sent(place, opening("open-small", symbol=DOGE)) == ["filled"] * 2
    assert newest(simulator) == {(each, "41", False) for each in KEYS.values()}
    price(simulator, "0.12")  # 41 of them are worth 4.92 now
    told = run_cli(
        "halt", "flatten", "--account", "f0001", "--yes", "--wait", "60", cwd=place.folder
    )
    assert "FLAT: the engine has nothing open" in told
    assert sorted(sent(place, closing("close-small", symbol=DOGE))) == [
        "filled",
        "skipped.nothing_to_close",
    ]
    assert newest(simulator) == {(each, "41", True) for each in KEYS.values()}
    assert simulator.positions() == 0
    assert not {"residue", "exit_failing"} & alerts(place)
    run_cli("resume", "entries", "--account", "f0001", cwd=place.folder)


@pytest.mark.parametrize("by", ["close", "flatten"])
def test_rows_of_another_contract_that_nobody_can_read_stop_no_exit(
    simulator: Simulator, place: Place, by: str
) -> None:
    assert sent(place, opening(f"open-beside-{by}", symbol=DOGE)) == ["filled"] * 2
    put(simulator, NEVER_SEEN)
    try:
        checked = run_cli("account", "check", "f0001", cwd=place.folder, code=None)
        assert "SOLUSDT" in checked, checked
        if by == "close":
            assert sent(place, closing("close-beside", symbol=DOGE)) == ["filled"] * 2
        else:
            assert "FLAT" in run_cli(
                "halt", "flatten", "--all", "--yes", "--wait", "60", cwd=place.folder
            )
        assert simulator.positions() == 0
        assert {each[2] for each in newest(simulator)} == {True}
        assert "exit_failing" not in alerts(place)
    finally:
        put(simulator, {name: [] for name in NEVER_SEEN})
        run_cli("resume", "entries", "--all", cwd=place.folder)
    for name in KEYS:  # each reads its account again: an entry is denied while a row was unreadable
        until(
            lambda name=name: (
                "SOLUSDT" not in run_cli("account", "check", name, cwd=place.folder, code=None)
            ),  # a list that nothing asks for is read again within half a minute
        )


def put(simulator: Simulator, lists: dict[str, list[object]]) -> None:
    """Put these rows at the head of lists of every account."""
    for account in KEYS.values():
        for name, rows in lists.items():
            body = {"account": account, "list": name, "rows": rows}
            httpx.post(
                f"{simulator.control}/rows", json=body, trust_env=False, timeout=20
            ).raise_for_status()


def test_the_books_of_all_this_agree_with_the_wallets(simulator: Simulator, place: Place) -> None:
    assert books_agree(place, simulator.control, KEYS) == 3 * len(KEYS)
