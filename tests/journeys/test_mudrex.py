"""Mudrex against its simulator in a process of its own: the simulator's record decides, and
everything is labelled SIMULATED.
"""

import json
from collections import Counter
from collections.abc import Iterator

import coming_in
import httpx
import pytest
from browser_free import close_all
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running, until
from simulated_mudrex import Simulator, simulated

FOLLOWERS = 20


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulated(tmp_path_factory.mktemp("mudrex") / "orders.jsonl") as made:
        yield made


@pytest.fixture(scope="module")
def place(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(
        tmp_path_factory.mktemp("place"), f'[plugin.mudrex]\nbase_url = "{simulator.base_url}"'
    )
    file = made.folder / "rexalgo.toml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("[engine]", "[engine]\nnot_confirmed_after_s = 5"),
        encoding="utf-8",
    )
    run_cli("plugin", "enable", "mudrex", cwd=made.folder)
    made.provision(DECLARATIONS.format(followers=FOLLOWERS).replace('"paper"', '"mudrex"'))
    with running(made):
        yield made


def test_an_open_and_a_close_over_everybody_and_each_fill_is_proven(
    simulator: Simulator, place: Place
) -> None:
    with httpx.Client(trust_env=False, timeout=20) as client:
        opened = place.bots["trend"].post(client, opening("first")).json()["signal_id"]
        assert Counter(place.settled(opened)) == {"filled": FOLLOWERS}
        assert simulator.positions() == FOLLOWERS
        closed = place.bots["trend"].post(client, closing("first-close")).json()["signal_id"]
        assert Counter(place.settled(closed)) == {"filled": FOLLOWERS}
        assert simulator.positions() == 0
    assert len(simulator.orders()) == 2 * FOLLOWERS
    why = json.loads(run_cli("why", opened, "f0003", "--json", cwd=place.folder))
    assert (why["environment"], why["code"]) == ("simulated", "filled")


def test_funding_that_was_paid_while_the_engine_held_is_told_once_the_position_is_closed(
    simulator: Simulator, place: Place
) -> None:
    with httpx.Client(trust_env=False, timeout=20) as client:
        opened = place.bots["trend"].post(client, opening("funded")).json()["signal_id"]
        assert Counter(place.settled(opened)) == {"filled": FOLLOWERS}
        simulator.fund("BTCUSDT", "0.001")
        simulator.fund("ETHUSDT", "0.001")  # nobody holds it
        closed = place.bots["trend"].post(client, closing("funded-close")).json()["signal_id"]
        assert Counter(place.settled(closed)) == {"filled": FOLLOWERS}
        until(
            lambda: (
                json.loads(run_cli("account", "show", "f0003", "--json", cwd=place.folder))[
                    "funding_paid"
                ]
                != "0"
            ),
        )
    assert "funding paid while the engine held" in run_cli(
        "account", "show", "f0003", cwd=place.folder
    )


@pytest.mark.parametrize("fault", ["accept_then_503", "accept_then_drop", "garbage"])
def test_accepted_but_the_answer_is_lost_for_everybody_is_one_order_each(
    simulator: Simulator, place: Place, fault: str
) -> None:
    before = len(simulator.orders())
    with httpx.Client(trust_env=False, timeout=20) as client:
        simulator.fault("/v2/futures/order", fault, FOLLOWERS)
        opened = place.bots["trend"].post(client, opening(f"lost-{fault}")).json()["signal_id"]
        assert Counter(place.settled(opened)) == {"filled": FOLLOWERS}
        made = simulator.orders()[before:]
        assert Counter(Counter(each["account"] for each in made).values()) == {1: FOLLOWERS}
        simulator.fault("/close", fault, FOLLOWERS)
        closed = (
            place.bots["trend"].post(client, closing(f"lost-{fault}-close")).json()["signal_id"]
        )
        assert Counter(place.settled(closed)) == {"filled": FOLLOWERS}
        assert simulator.positions() == 0


@pytest.mark.parametrize("skew_s", [-400, 400])
def test_a_lost_answer_of_an_exchange_whose_clock_is_wrong_is_found_all_the_same(
    simulator: Simulator, place: Place, skew_s: int
) -> None:
    before = len(simulator.orders())
    simulator.skew(skew_s)
    try:
        with httpx.Client(trust_env=False, timeout=20) as client:
            simulator.fault("/v2/futures/order", "accept_then_503", FOLLOWERS)
            opened = (
                place.bots["trend"].post(client, opening(f"skewed{skew_s}")).json()["signal_id"]
            )
            assert Counter(place.settled(opened)) == {"filled": FOLLOWERS}
            simulator.fault("/close", "accept_then_503", FOLLOWERS)
            closed = (
                place.bots["trend"]
                .post(client, closing(f"skewed-close{skew_s}"))
                .json()["signal_id"]
            )
            assert Counter(place.settled(closed)) == {"filled": FOLLOWERS}
    finally:
        simulator.skew(0)
    assert len(simulator.orders()) == before + 2 * FOLLOWERS
    assert simulator.positions() == 0


def test_a_rate_limit_is_proof_and_the_order_goes_out_later_once(
    simulator: Simulator, place: Place
) -> None:
    before = len(simulator.orders())
    with httpx.Client(trust_env=False, timeout=20) as client:
        simulator.fault("/v2/futures/order", "rate_limit", FOLLOWERS)
        opened = place.bots["trend"].post(client, opening("limited")).json()["signal_id"]
        assert Counter(place.settled(opened)) == {"filled": FOLLOWERS}
        assert len(simulator.orders()) == before + FOLLOWERS
        closed = place.bots["trend"].post(client, closing("limited-close")).json()["signal_id"]
        assert Counter(place.settled(closed)) == {"filled": FOLLOWERS}
        assert simulator.positions() == 0


def test_an_order_without_a_trace_is_told_and_a_person_may_decide(
    simulator: Simulator, place: Place
) -> None:
    before = len(simulator.orders())
    with httpx.Client(trust_env=False, timeout=20) as client:
        simulator.fault("/v2/futures/order", "refuse_503", FOLLOWERS)
        opened = place.bots["trend"].post(client, opening("no-trace")).json()["signal_id"]
        assert Counter(place.settled(opened)) == {"not_confirmed": FOLLOWERS}
        assert len(simulator.orders()) == before
        assert (
            len(json.loads(run_cli("unknown", "list", "--json", cwd=place.folder))["unknown"])
            == FOLLOWERS
        )
        assert "wrong" in {
            each["level"]
            for each in json.loads(run_cli("doctor", "--json", cwd=place.folder, code=1))[
                "findings"
            ]
        }
        run_cli("unknown", "decide", opened, "f0001", "--note", "no", cwd=place.folder, code=2)
        run_cli(
            "unknown",
            "decide",
            opened,
            "f0001",
            "--none",
            "--note",
            "looked at the history",
            cwd=place.folder,
        )
        run_cli(
            "unknown",
            "decide",
            opened,
            "f0001",
            "--none",
            "--note",
            "again",
            cwd=place.folder,
            code=4,
        )
        why = json.loads(run_cli("why", opened, "f0001", "--json", cwd=place.folder))
        assert why["code"] == "not_executed"
        assert "looked at the history" in why["sentence"]
        decided_on_the_page(place, opened)
        again = place.bots["trend"].post(client, opening("after-decision")).json()["signal_id"]
        assert (
            Counter(place.settled(again))["filled"] == 2
        )  # the two that were decided; for the others the symbol stays held
        assert len(simulator.orders()) == before + 2


def decided_on_the_page(place: Place, signal: str) -> None:
    """Decide about the order of f0002 with the two buttons of the operator's page."""
    ops, _ = coming_in.operator(place)
    about = {"signal": signal, "follower": "f0002", "note": "looked at the app"}
    page = ops.get("/operate/unknowns")
    assert page.count('value="filled">It was filled</button>') == FOLLOWERS - 1
    page = ops.post("/operate/unknowns", 422, decided="filled", order="", **about)
    assert "expected the exchange’s id of the order that was filled" in page
    assert 'value="looked at the app"' in page
    page = ops.post("/operate/unknowns", 422, decided="filled", order="of-nobody", **about)
    assert "the exchange shows no order of-nobody" in page
    page = ops.post("/operate/unknowns", 422, decided="not-filled", order="of-nobody", **about)
    assert "expected nothing here for an order that was not filled" in page
    page = ops.post("/operate/unknowns", 422, order="", **about)
    assert "press one of the two buttons" in page
    page = ops.post("/operate/unknowns", decided="not-filled", order="", **about)
    assert "Decided: it was not filled." in page
    assert page.count('value="filled">It was filled</button>') == FOLLOWERS - 2
    assert "decided about an unknown order of account f0002" in ops.get("/operate/audit")
    close_all()
