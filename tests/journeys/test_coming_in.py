"""Signing in: an operator by one-time link with two factors, a trader by invitation, and recovery
when everything else is lost.
"""

import json
import re
from collections.abc import Iterator

import pyotp
import pytest
from browser_free import User, close_all
from coming_in import PASSWORD, link
from journey_place import DECLARATIONS, Place, run_cli, running


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    made.provision(DECLARATIONS.format(followers=1))
    with running(made):
        yield made


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    yield
    close_all()


def cli(place: Place, *args: object) -> dict[str, object]:
    """Run a command against the running server."""
    return dict(json.loads(run_cli(*args, "--json", cwd=place.folder)))


def join(place: Place, name: str) -> tuple[User, list[str]]:
    """Join by invitation with a paper account; return the browser and the recovery codes."""
    user = User(place.url)
    user.get(link(place, "invite", "create"))
    user.post("/join", invite=user.value("invite"), exchange="paper", name=name, balance="5000")
    assert user.path == "/security/password"
    shown = user.post("/security/password", password=PASSWORD, again=PASSWORD)
    codes = re.findall(r"<li><code>([a-z0-9-]{14})</code></li>", shown)
    assert len(codes) == 10
    return user, codes


def test_an_operator_comes_in_by_one_link_once_and_needs_two_factors(place: Place) -> None:
    way = link(place, "operator", "create", "ops")
    user = User(place.url)
    user.get(way)
    user.post(way)
    assert user.path == "/security/password"
    user.post("/security/password", password=PASSWORD, again=PASSWORD)
    user.get("/security")
    assert user.path == "/security/second-factor"
    secret = user.value("secret")
    user.post("/security/second-factor", secret=secret, code=pyotp.TOTP(secret).now())
    assert user.path == "/security"
    again = User(place.url)
    assert "was used or has expired" in again.post(way, 422)
    assert "is wrong" in again.post("/sign-in", 422, name="ops", password=PASSWORD, code="")
    assert cli(place, "audit", "verify")["broken_at"] is None


def test_a_link_is_shown_as_a_qr_code_where_that_was_asked_for(place: Place) -> None:
    plain = run_cli("user", "link", "follower:f0001", cwd=place.folder)
    assert len(plain.splitlines()) == 2
    for asked in (("user", "link", "follower:f0001", "--qr"), ("invite", "create", "--qr")):
        told = run_cli(*asked, cwd=place.folder).splitlines()
        assert sum("█" in each or "▀" in each or "▄" in each for each in told) > 15, asked


def test_a_trader_joins_once_per_invitation_and_comes_back_with_a_password(place: Place) -> None:
    user, _ = join(place, "ada")
    assert "ada" in user.get("/security")
    user.post("/sign-out")
    user.get("/security")
    assert user.path == "/sign-in"
    user.post("/sign-in", name="ada", password=PASSWORD, next="/security")
    assert user.path == "/security"
    assert {"name": "ada", "roles": ["follower"]}.items() <= next(
        each.items()
        for each in cli(place, "user", "list")["users"]
        if each["name"] == "ada"  # type: ignore[attr-defined]
    )


def test_an_invitation_that_was_used_lets_nobody_in_and_a_bad_name_uses_none_up(
    place: Place,
) -> None:
    way = link(place, "invite", "create")
    first = User(place.url)
    first.get(way)
    token = first.value("invite")
    told = first.post("/join", 422, invite=token, exchange="paper", name="Not a Name", balance="x")
    assert "Nothing you typed was lost" in told or "expected" in told
    assert 'value="Not a Name"' in told
    first.post("/join", invite=token, exchange="paper", name="bob", balance="100")
    second = User(place.url)
    assert "has expired" in second.get(way)
    second.post("/join", 422, invite=token, exchange="paper", name="eve", balance="100")
    assert "\neve " not in run_cli("user", "list", cwd=place.folder)


def test_a_recovery_code_stands_for_everything_and_works_once(place: Place) -> None:
    _, codes = join(place, "carl")
    back = User(place.url)
    back.post("/sign-in/recovery", name="carl", code=codes[3].upper().replace("-", " "))
    assert back.path == "/security/password"
    assert "is wrong" in User(place.url).post("/sign-in/recovery", 422, name="carl", code=codes[3])


def test_changing_the_password_ends_the_other_sessions(place: Place) -> None:
    user, _ = join(place, "dora")
    other = User(place.url)
    other.post("/sign-in", name="dora", password=PASSWORD, next="/security")
    user.get("/security/password")
    user.post("/security/password", password=PASSWORD + "!", again=PASSWORD + "!")
    assert user.path == "/security"
    other.get("/security")
    assert other.path == "/sign-in"


def test_a_form_from_elsewhere_or_without_its_token_is_refused(place: Place) -> None:
    user, _ = join(place, "fred")
    user.get("/security")
    user.post("/security/zone", 403, origin="https://elsewhere.example", zone="UTC")
    user.get("/security")
    for token in ({}, {"csrf": "00"}):
        told = user.post("/security/zone", 200, token=False, zone="Asia/Tokyo", **token)
        assert 'value="Asia/Tokyo"' in told, "it is not lost, and not done either"
        assert "Asia/Tokyo" not in user.get("/security")
    assert "Europe/Berlin" in user.post("/security/zone", zone="Europe/Berlin")
    told = user.post("/security/zone", 422, zone="Mars/North")
    assert 'value="Mars/North"' in told


def test_too_many_tries_have_to_wait_and_say_nothing_about_the_name(place: Place) -> None:
    answers = []
    for name in ("ada-who", "nobody"):
        user = User(place.url)
        told = [
            user.post("/sign-in", 422, name=name, password="wrong words here") for _ in range(2)
        ]
        answers.append(re.sub(r"\d+ s|value=\"[^\"]*\"", "", told[0]))
    assert answers[0] == answers[1]
    user = User(place.url)
    for _ in range(4):
        told_last = user.post("/sign-in", 422, name="nobody", password="wrong words here")
    assert re.search(r"Try again in \d+ s", told_last)


def test_the_cookie_and_the_pages_keep_to_themselves(place: Place) -> None:
    assert place.url.startswith("http://127.0.0.1")
    user = User(place.url)
    way = link(place, "user", "link", "follower:f0001")
    user.get(way)
    answer = user.client.post(user.url + way, headers={"Origin": user.url}, follow_redirects=False)
    if answer.status_code == 422:  # the address waits after the tries of the test before
        pytest.skip("this address has to wait after the tries of another test")
    cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie
    page = user.client.get(user.url + "/security/password")
    assert page.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert user.get("/security/password").count("style=") == 0


def test_the_ledger_holds_no_token_password_or_code_in_the_clear(place: Place) -> None:
    whole = b"".join(file.read_bytes() for file in (place.folder / "data").glob("ledger.sqlite3*"))
    assert PASSWORD.encode() not in whole
    assert b"/welcome/" not in whole
