"""Flips sent as a close and then an open lose no entry where orders take a while to fill: at the
simulated Mudrex, whatever rows it writes about a close, and on paper.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running, until
from judged_books import books_agree
from simulated_mudrex import Simulator, simulated, trading_there

FOLLOWERS = 5
"""Four flips to each side are twenty of each."""
ALL_FILLED = ["filled"] * FOLLOWERS
KEYS = {f"f{number:04}": f"sim-{number:04}" for number in range(1, FOLLOWERS + 1)}


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulator, Place]]:
    """Let orders fill 0.2 to 2 s after they are accepted."""
    folder = tmp_path_factory.mktemp("slow")
    with (
        simulated(folder / "orders.jsonl", "--fill-ms", "2000") as made,
        trading_there(made, folder / "place", FOLLOWERS) as place,
    ):
        yield made, place


@pytest.mark.parametrize("row", ["at_once", "late", "never"])
def test_flips_sent_as_close_then_open_lose_no_entry(
    slow: tuple[Simulator, Place], row: str
) -> None:
    simulator, place = slow
    simulator.switch(closing_row=row, closing_row_late_s=5)
    assert place.settled(place.send(opening(f"open-{row}", side="SHORT"))) == ALL_FILLED
    for number, side in enumerate(("LONG", "SHORT") * 4):
        left, entered = (
            place.send(closing(f"close-{row}-{number}")),
            place.send(opening(f"open-{row}-{number}", side=side)),
        )
        assert place.settled(left) == ALL_FILLED
        assert place.settled(entered) == ALL_FILLED
    assert place.settled(place.send(closing(f"close-{row}"))) == ALL_FILLED
    assert simulator.positions() == 0
    books_agree(place, simulator.control, KEYS)


def test_flips_on_paper_whose_answers_take_a_while_lose_no_entry(tmp_path: Path) -> None:
    place = Place(tmp_path / "paper", "[plugin.paper]\nlatency_ms = 400")
    place.provision(DECLARATIONS.format(followers=FOLLOWERS))
    with running(place):
        assert place.settled(place.send(opening("open", side="SHORT"))) == ALL_FILLED
        for number, side in enumerate(("LONG", "SHORT") * 4):
            left, entered = (
                place.send(closing(f"close-{number}")),
                place.send(opening(f"open-{number}", side=side)),
            )
            assert place.settled(left) == ALL_FILLED
            assert place.settled(entered) == ALL_FILLED
        assert place.settled(place.send(closing("close"))) == ALL_FILLED
        until(
            lambda: json.loads(
                run_cli("books", "check", "--all", "--json", cwd=place.folder, code=None)
            )["agrees"],
        )
        assert place.rows("SELECT count(*) FROM trade WHERE state = 'settled'") == [
            (9 * FOLLOWERS,)
        ]
