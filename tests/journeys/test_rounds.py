"""Rounds of open and close at the simulated Mudrex, whatever rows it writes about a close, and
however late.

Every close is proven by what the exchange reports about the position, the next entry is sent at
once, nothing is lost, and the books agree with the exchange's own record of the wallets.
"""

from collections.abc import Iterator

import pytest
from journey_place import Place, closing, opening
from judged_books import books_agree
from simulated_mudrex import Simulator, simulated, trading_there

FOLLOWERS = 5
"""Four rounds of each are twenty."""
ALL_FILLED = ["filled"] * FOLLOWERS
KEYS = {f"f{number:04}": f"sim-{number:04}" for number in range(1, FOLLOWERS + 1)}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulated(tmp_path_factory.mktemp("mudrex") / "orders.jsonl") as made:
        yield made


@pytest.fixture(scope="module")
def place(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with trading_there(simulator, tmp_path_factory.mktemp("place"), FOLLOWERS) as made:
        yield made


def looks(simulator: Simulator) -> int:
    """Count the look-ups of orders."""
    return sum(count for what, count in simulator.counts().items() if "/orders/history" in what)


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
    simulator.switch(closing_row=row, closed_rows_late_s=late_s)
    for number in range(4):
        opened = place.send(opening(f"open-{row}-{late_s}-{number}"))
        assert place.settled(opened) == ALL_FILLED
        assert waited_s(place, opened) < 5
        before = looks(simulator)
        assert place.settled(place.send(closing(f"close-{row}-{late_s}-{number}"))) == ALL_FILLED
        assert looks(simulator) - before <= looks_max * FOLLOWERS
    assert simulator.positions() == 0
    books_agree(place, simulator.control, KEYS)
