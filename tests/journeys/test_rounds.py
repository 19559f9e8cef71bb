"""Rounds of open and close, and flips, at the simulated Mudrex, whatever rows it writes about a
close, and however late.

Every close is proven by what the exchange reports about the position, the next entry is sent at
once, nothing is lost, and the books agree with the exchange's own record of the wallets.
"""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running, until
from judged_books import books_agree
from simulated_mudrex import Simulator, simulated

FOLLOWERS = 5
"""Four rounds of each are twenty; four flips to each side are twenty, too."""
KEYS = {f"f{number:04}": f"paper-{number:04}" for number in range(1, FOLLOWERS + 1)}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulated(tmp_path_factory.mktemp("mudrex") / "orders.jsonl") as made:
        yield made


@pytest.fixture(scope="module")
def place(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with at(simulator, tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulator, Place]]:
    """Let orders fill 0.2 to 2 s after they are accepted."""
    with (
        simulated(tmp_path_factory.mktemp("slow") / "orders.jsonl", "--fill-ms", "2000") as made,
        at(made, tmp_path_factory) as place,
    ):
        yield made, place


def at(simulator: Simulator, folders: pytest.TempPathFactory) -> AbstractContextManager[Place]:
    made = Place(folders.mktemp("place"), f'[plugin.mudrex]\nbase_url = "{simulator.base_url}"')
    run_cli("plugin", "enable", "mudrex", cwd=made.folder)
    made.provision(DECLARATIONS.format(followers=FOLLOWERS).replace('"paper"', '"mudrex"'))
    return running(made)


def switch(simulator: Simulator, **switches: object) -> None:
    httpx.post(f"{simulator.control}/switches", json=switches, trust_env=False).raise_for_status()


def looks(simulator: Simulator) -> int:
    """Count the look-ups of orders."""
    counts: dict[str, int] = httpx.get(f"{simulator.control}/counts", trust_env=False).json()
    return sum(count for what, count in counts.items() if "/orders/history" in what)


def send(place: Place, body: dict[str, object]) -> str:
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = place.bots["trend"].post(client, body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["signal_id"])


def all_filled(place: Place, signal_id: str) -> None:
    assert place.settled(signal_id) == ["filled"] * FOLLOWERS


def waited_s(place: Place, signal_id: str) -> float:
    """Return the longest time of an entry of a signal from its receipt to its claim."""
    sql = """SELECT max(attempt.claimed_us - signal.received_us) FROM attempt JOIN copy ON copy.id = copy_id
        JOIN signal ON signal.number = signal_number WHERE signal.id = ?"""
    return float(place.rows(sql, signal_id)[0][0]) / 1_000_000


@pytest.mark.parametrize(
    ("row", "late_s", "looks_max"), [("at_once", 0, 2), ("never", 0, 2), ("never", 8, 10)]
)
def test_rounds_of_open_and_close(
    simulator: Simulator, place: Place, row: str, late_s: int, looks_max: int
) -> None:
    """``looks_max``: readings of the orders for each close, those of the closing call itself (five
    at most) among them.

    A closed position that the exchange tells only after the call has given up is proven by the
    engine, by a reading without it.
    """
    switch(simulator, closing_row=row, closed_rows_late_s=late_s)
    for number in range(4):
        opened = send(place, opening(f"open-{row}-{late_s}-{number}"))
        all_filled(place, opened)
        assert waited_s(place, opened) < 5
        before = looks(simulator)
        all_filled(place, send(place, closing(f"close-{row}-{late_s}-{number}")))
        assert looks(simulator) - before <= looks_max * FOLLOWERS
    assert simulator.positions() == 0
    books_agree(place, simulator.control, KEYS)


@pytest.mark.parametrize("row", ["at_once", "late", "never"])
def test_flips_sent_as_close_then_open_lose_no_entry(
    slow: tuple[Simulator, Place], row: str
) -> None:
    simulator, place = slow
    switch(simulator, closing_row=row, closing_row_late_s=5)
    all_filled(place, send(place, opening(f"open-{row}", side="SHORT")))
    for number, side in enumerate(("LONG", "SHORT") * 4):
        left, entered = (
            send(place, closing(f"close-{row}-{number}")),
            send(place, opening(f"open-{row}-{number}", side=side)),
        )
        all_filled(place, left)
        all_filled(place, entered)
    all_filled(place, send(place, closing(f"close-{row}")))
    assert simulator.positions() == 0
    books_agree(place, simulator.control, KEYS)


def test_flips_on_paper_whose_answers_take_a_while_lose_no_entry(tmp_path: Path) -> None:
    place = Place(tmp_path / "paper", "[plugin.paper]\nlatency_ms = 400")
    place.provision(DECLARATIONS.format(followers=FOLLOWERS))
    with running(place):
        all_filled(place, send(place, opening("open", side="SHORT")))
        for number, side in enumerate(("LONG", "SHORT") * 4):
            left, entered = (
                send(place, closing(f"close-{number}")),
                send(place, opening(f"open-{number}", side=side)),
            )
            all_filled(place, left)
            all_filled(place, entered)
        all_filled(place, send(place, closing("close")))
        until(
            lambda: json.loads(
                run_cli("books", "check", "--all", "--json", cwd=place.folder, code=None)
            )["agrees"],
            60,
        )
        assert place.rows("SELECT count(*) FROM trade WHERE state = 'settled'") == [
            (9 * FOLLOWERS,)
        ]
