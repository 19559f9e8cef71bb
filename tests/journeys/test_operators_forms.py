"""Operators' forms: an unclear form stops nothing and loses nothing."""

from collections.abc import Iterator

import coming_in
import httpx
import pytest
from browser_free import User, close_all
from journey_place import DECLARATIONS, Place, opening, running


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    made.provision(DECLARATIONS.format(followers=2))
    with running(made):
        yield made


@pytest.fixture(scope="module")
def operator(place: Place) -> Iterator[User]:
    yield coming_in.operator(place)[0]
    close_all()


def switched(place: Place) -> list[tuple[object, ...]]:
    return place.rows("SELECT scope, target, level FROM switch")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"scope": "account", "target": "f00001", "level": "entries"}, "did you mean f0001"),
        ({"scope": "account", "target": "", "level": "entries"}, "no account"),
        (
            {"scope": "all", "target": "f0001", "level": "entries"},
            "expected nothing here for everything",
        ),
        (
            {"scope": "all", "target": "f0001", "level": "flatten", "sure": "yes"},
            "expected nothing here for everything",
        ),
        ({"scope": "strategy", "target": "trendy", "level": "flatten"}, "did you mean trend"),
        ({"scope": "", "target": "", "level": "entries"}, "expected one of"),
        ({"scope": "all", "target": "", "level": "everything"}, "expected one of"),
    ],
)
def test_a_switch_that_does_not_say_what_it_stops_is_not_set_and_what_was_typed_stays(
    operator: User, place: Place, typed: dict[str, str], told: str
) -> None:
    operator.get("/operate/switches")
    page = operator.post("/operate/switches/on", 422, note="the feed is <late>", **typed)
    assert told in page.replace("&#39;", "'")
    assert 'value="the feed is &lt;late&gt;"' in page
    assert f'value="{typed["target"]}" list="targets"' in page
    assert switched(place) == []


def test_a_flatten_shows_first_what_it_closes_and_then_closes_it(
    operator: User, place: Place
) -> None:
    with httpx.Client(trust_env=False, timeout=20) as client:
        opened = place.bots["trend"].post(client, opening("to-be-flattened")).json()
    assert place.settled(opened["signal_id"]) == ["filled", "filled"]
    operator.get("/operate/switches")
    page = operator.post(
        "/operate/switches/on", scope="all", target="", level="flatten", note="a drill"
    )
    assert "Flatten everything?" in page
    assert '<strong class="num">2</strong> positions' in page
    assert switched(place) == []
    operator.post(
        "/operate/switches/on",
        scope="all",
        target="",
        level="flatten",
        note=operator.value("note"),
        sure="yes",
    )
    told = operator.get("/operate")
    assert "Switches that are on:</strong> everything (flatten, by" in told
    assert "until somebody resumes" in told
    operator.get("/operate/switches")
    told = operator.post("/operate/switches/off", scope="all", target="")
    assert "Trades that the master opened meanwhile are not entered" in told
    assert "All is well" in operator.get("/operate")


def test_an_invitation_that_cannot_be_made_says_why_beside_its_fields(
    operator: User, place: Place
) -> None:
    operator.get("/operate/people")
    page = operator.post(
        "/operate/people/invite", 422, role="master", uses="NaN", days="", strategy="trend"
    )
    assert page.count("expected a whole number") == 2
    assert 'name="uses" value="NaN"' in page
    assert "<option selected>master</option>" in page
    page = operator.post(
        "/operate/people/invite", 422, role="follower", uses="1001", days="7", strategy="none-such"
    )
    assert "no strategy none-such" in page
    page = operator.post(
        "/operate/people/invite", 422, role="follower", uses="1001", days="7", strategy=""
    )
    assert "expected a whole number from 1 to 1000" in page
    assert place.rows("SELECT count(*) FROM audit WHERE act = 'invitation_made'") == [(0,)]


def test_a_decision_about_an_order_that_is_not_in_question_says_so(operator: User) -> None:
    operator.get("/operate/unknowns")
    page = operator.post(
        "/operate/unknowns",
        422,
        signal="sig_gone",
        follower="f0001",
        decided="not-filled",
        order="",
        note="looked at the exchange",
    )
    assert "no order of f0001 for signal sig_gone is unknown or not confirmed" in page
