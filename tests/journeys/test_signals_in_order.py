"""An exit is never ordered before its own entry, a flip loses nothing, and a sender learns when
nobody copies. Real sockets.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running
from simulated_mudrex import Simulator, simulated

FOLLOWERS = 3
Body = dict[str, object]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("paper"))
    made.provision(DECLARATIONS.format(followers=FOLLOWERS))
    with running(made):
        yield made


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulated(tmp_path_factory.mktemp("mudrex") / "orders.jsonl") as made:
        yield made


@pytest.fixture
def slow_place(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(
        tmp_path_factory.mktemp("slow"), f'[plugin.mudrex]\nbase_url = "{simulator.base_url}"'
    )
    run_cli("plugin", "enable", "mudrex", cwd=made.folder)
    made.provision(DECLARATIONS.format(followers=FOLLOWERS).replace('"paper"', '"mudrex"'))
    with running(made):
        yield made


def sent_at(seconds: float = 0.0) -> Body:
    """Return the field for a signal that was sent so many seconds from now."""
    return {"sent_at": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()}


def whole_seconds() -> Body:
    return {"sent_at": datetime.now(UTC).replace(microsecond=0).isoformat()}


def send(place: Place, body: Body, *, dialect: str = "a") -> Body:
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = place.bots["trend"].post(client, body, dialect=dialect)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def outcomes(place: Place, answer: Body) -> dict[str, int]:
    return dict(Counter(place.settled(str(answer["signal_id"]))))


ORDERINGS: dict[str, tuple[Callable[[], Body], Callable[[], Body]]] = {
    "the seq began anew with the bot": (lambda: {"seq": 5_000}, lambda: {"seq": 1}),
    "the seq began anew and times are told": (
        lambda: {"seq": 6_000, **sent_at()},
        lambda: {"seq": 2, **sent_at()},
    ),
    "whole seconds after microseconds": (sent_at, whole_seconds),
    "an entry without a time": (dict, lambda: sent_at(-2)),
    "a clock that is behind": (sent_at, lambda: sent_at(-120)),
}


@pytest.mark.parametrize("dialect", ["a", "b"])
@pytest.mark.parametrize("case", ORDERINGS)
def test_an_exit_that_comes_after_its_entry_closes_it(
    place: Place, case: str, dialect: str
) -> None:
    of_entry, of_exit = ORDERINGS[case]
    key = f"{list(ORDERINGS).index(case)}-{dialect}"
    entered = send(place, opening(f"open-{key}", **of_entry()), dialect=dialect)
    assert "mirrored" not in entered
    assert outcomes(place, entered) == {"filled": FOLLOWERS}
    left = send(place, closing(f"close-{key}", **of_exit()), dialect=dialect)
    assert "mirrored" not in left
    assert outcomes(place, left) == {"filled": FOLLOWERS}
    assert place.rows("SELECT * FROM holding") == []


def test_a_numbering_that_fell_back_is_told(place: Place) -> None:
    told = json.loads(run_cli("alert", "list", "--json", cwd=place.folder))["alerts"]
    assert "numbering_restarted" in {each["code"] for each in told}


def test_an_open_that_its_own_number_puts_before_a_close_reaches_nobody_and_its_sender_is_told(
    place: Place,
) -> None:
    entered = send(place, opening("seq-10", seq=10_010))
    assert outcomes(place, entered) == {"filled": FOLLOWERS}
    assert outcomes(place, send(place, closing("seq-12", seq=10_012))) == {"filled": FOLLOWERS}
    late = send(place, opening("seq-11", seq=10_011))
    assert late["mirrored"] is False
    assert "a later exit of BTCUSDT is recorded" in str(late["reason"])
    assert outcomes(place, late) == {"skipped.superseded": FOLLOWERS}
    nothing = send(place, closing("seq-13", seq=10_013))
    assert (nothing["mirrored"], nothing["reason"]) == (
        False,
        "no follower holds anything of the strategy in BTCUSDT",
    )
    told = run_cli(
        "signal",
        "send",
        "--url",
        place.bots["trend"].url,
        "--secret",
        place.bots["trend"].secret.reveal(),
        "-",
        cwd=place.folder,
        stdin=json.dumps({"action": "open", "symbol": "BTCUSDT", "side": "LONG", "test": True}),
    )
    assert "NOT MIRRORED: it is a test" in told


def test_flips_sent_as_close_then_open_lose_no_entry_where_orders_fill_a_while_after_they_are_accepted(
    simulator: Simulator, slow_place: Place
) -> None:
    place, side = slow_place, "LONG"
    assert outcomes(place, send(place, opening("flip", side=side))) == {"filled": FOLLOWERS}
    for number in range(8):
        side = "SHORT" if side == "LONG" else "LONG"
        left, entered = (
            send(place, closing(f"flip-close-{number}")),
            send(place, opening(f"flip-open-{number}", side=side)),
        )
        assert outcomes(place, entered) == {"filled": FOLLOWERS}, number
        assert outcomes(place, left) == {"filled": FOLLOWERS}
    assert simulator.positions() == FOLLOWERS
    assert {row[0] for row in place.rows("SELECT side FROM holding")} == {side}
