"""Every route of the site, by every kind of user: who may come in is declared, and nobody else
does.
"""

import re
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from browser_free import User, close_all
from coming_in import come_in
from coming_in import operator as operator_of
from journey_place import DECLARATIONS, Place, running

from web.app import create_app
from web.pulse import STREAMS_PER_PERSON_MAX
from web.routes import Route, Who
from web.settings import WebSettings


class _Anything(SimpleNamespace):
    """A stand-in for the services while routes are declared; nothing is called."""

    def __getattr__(self, name: str) -> "_Anything":
        return _Anything()


APP = create_app(_Anything(), WebSettings())  # type: ignore[arg-type]  # only its routes are read
ROUTES: tuple[Route, ...] = APP.config["ROUTES"]
ROLES = ("nobody", "follower", "master", "operator", "operator without a second factor")
MAY = {
    Who.SIGNED_IN: ("follower", "master", "operator"),
    Who.FOLLOWER: ("follower",),
    Who.MASTER: ("master",),
    Who.OPERATOR: ("operator",),
}


def test_every_route_is_declared_and_every_declaration_is_a_route() -> None:
    routes = {
        (rule.rule, method)
        for rule in APP.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert routes == {(route.address, route.method) for route in ROUTES}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    made.provision(DECLARATIONS.format(followers=2))
    with running(made):
        yield made


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_servers_memory_is_dumped_nowhere_and_its_files_are_its_own(place: Place) -> None:
    assert place.process is not None
    process = Path(f"/proc/{place.process.pid}")
    assert re.search(r"Max core file size +0 +0 ", (process / "limits").read_text())
    assert "Umask:\t0077" in (process / "status").read_text()
    assert (
        process.joinpath("environ").stat().st_uid == 0
    )  # not to be dumped: what tells of its memory belongs to root
    data = place.folder / "data"
    loose = [
        each
        for each in (data, *data.rglob("*"))
        if each.name != "plugins" and stat.S_IMODE(each.lstat().st_mode) & 0o077
    ]
    assert loose == []


@pytest.fixture(scope="module")
def users(place: Place) -> Iterator[dict[str, User]]:
    """Return one user of each kind, each with exactly one role."""
    operator = operator_of(place)[0]
    yield {
        "nobody": User(place.url),
        "follower": come_in(place, "user", "link", "follower:f0001"),
        "master": come_in(place, "user", "link", "master:alpha"),
        "operator": operator,
        "operator without a second factor": come_in(place, "operator", "create", "newcomer"),
    }
    close_all()


def address_of(route: Route) -> str:
    """Put names of nothing into the places of an address."""
    return re.sub(r"<[^>]+>", "nothing-here", route.address)


@pytest.mark.parametrize("role", ROLES)
def test_a_page_answers_those_it_is_for_and_nobody_else(users: dict[str, User], role: str) -> None:
    user = users[role]
    for route in ROUTES:
        if route.method != "GET" or route.address in ("/pulse", "/events"):
            continue
        answer = user.client.get(user.url + address_of(route), follow_redirects=False)
        _judge(route, role, answer)


@pytest.mark.parametrize("role", ROLES)
def test_an_act_answers_those_it_is_for_and_nobody_else(users: dict[str, User], role: str) -> None:
    user = users[role]
    for route in ROUTES:
        if route.method != "POST" or route.who is Who.BOT or route.address == "/sign-out":
            continue
        user.get("/security" if role != "nobody" else "/sign-in")
        told = {"csrf": user.csrf} if user.csrf else {}
        address = user.url + address_of(route)
        _judge(
            route,
            role,
            user.client.post(
                address, data=told, headers={"Origin": user.url}, follow_redirects=False
            ),
        )
        if route.who is Who.PROGRAM:
            continue
        foreign = user.client.post(
            address,
            data=told,
            headers={"Origin": "https://elsewhere.example"},
            follow_redirects=False,
        )
        assert foreign.status_code in (403, 303, 404), (route, role, foreign.status_code)
        if role in MAY.get(route.who, ()):
            bare = user.client.post(address, headers={"Origin": user.url}, follow_redirects=False)
            onward = bare.headers.get("location", "")
            # what lowers risk, and what was typed, is not done either, but not lost
            kept = onward.startswith("/again?") or "?typed=" in onward
            assert bare.status_code == 403 or kept, (route, role, bare.status_code)


def _judge(route: Route, role: str, answer: httpx.Response) -> None:
    told = (route, role, answer.status_code, answer.headers.get("location"))
    assert answer.status_code < 500, (*told, answer.text[-400:])
    assert "default-src 'none'" in answer.headers["content-security-policy"], told
    if route.who in (Who.ANYONE, Who.BOT, Who.HERE):
        return
    if route.who is Who.PROGRAM:  # a session opens nothing there
        assert answer.status_code == 401, told
        return
    if role == "nobody":
        assert answer.status_code == 303, told
        assert answer.headers["location"].startswith("/sign-in"), told
    elif role == "operator without a second factor":
        needs = (
            answer.status_code == 303
            and answer.headers["location"].partition("?")[0] == "/security/second-factor"
        )
        assert needs or route.address.startswith(
            (
                "/security/password",
                "/security/second-factor",
                "/security/passkeys",
                "/sign-out",
                "/confirm",
            )
        ), told
    elif role in MAY[route.who]:
        assert answer.status_code != 403, told
    else:
        assert answer.status_code == 404, told


OWNED = (
    ("follower", "/accounts/f0002"),
    ("follower", "/accounts/f0002/flatten"),
    ("follower", "/accounts/f0002/key"),
    ("follower", "/accounts/f0002/disconnect"),
    ("follower", "/accounts/f0002/positions/BTCUSDT"),
    ("follower", "/accounts/f0002/positions/BTCUSDT/take-over"),
    ("follower", "/accounts/f0002/rename"),
    ("follower", "/performance?account=f0002"),
    ("follower", "/performance/trades/1"),
    ("follower", "/performance.csv?account=f0002"),
    ("follower", "/orders?account=f0002"),
    ("follower", "/trades.csv?account=f0002"),
    ("follower", "/strategies/str_nothing/follow"),
    ("master", "/studio/strategies/str_nothing"),
    ("master", "/studio/strategies/str_nothing/deliveries"),
    ("operator", "/operate/accounts/nobody-here"),
)
ACTS = (
    ("follower", "/accounts/f0002/pause"),
    ("follower", "/accounts/f0002/resume"),
    ("follower", "/accounts/f0002/flatten"),
    ("follower", "/accounts/f0002/check"),
    ("follower", "/accounts/f0002/positions/BTCUSDT/take-over"),
    ("follower", "/accounts/f0002/rename"),
    ("follower", "/accounts/f0002/key"),
    ("follower", "/accounts/f0002/disconnect"),
    ("follower", "/security/sessions/ses_nothing"),
    ("master", "/studio/strategies/str_nothing/rotate"),
    ("master", "/studio/strategies/str_nothing/state"),
    ("master", "/studio/strategies/str_nothing/close"),
    ("master", "/studio/strategies/str_nothing/test"),
)


@pytest.mark.parametrize(("role", "path"), OWNED)
def test_another_persons_object_is_not_there(users: dict[str, User], role: str, path: str) -> None:
    users[role].get(path, 404)


@pytest.mark.parametrize(("role", "path"), ACTS)
def test_another_persons_object_cannot_be_acted_on(
    users: dict[str, User], place: Place, role: str, path: str
) -> None:
    user = users[role]
    user.get("/security")
    user.post(path, 404)
    assert place.rows("SELECT count(*) FROM switch") == [(0,)]


def test_one_person_has_so_many_streams_and_leaves_the_others_theirs(
    users: dict[str, User],
) -> None:
    reading: list[Iterator[bytes]] = []
    with ExitStack() as opened:

        def open_stream(role: str) -> int:
            user = users[role]
            answer = opened.enter_context(user.client.stream("GET", f"{user.url}/pulse"))
            if answer.status_code == 200:
                reading.append(
                    answer.iter_bytes()
                )  # kept: httpx ends a stream whose reader is dropped
                assert b"retry" in next(reading[-1])  # it has begun, and counts
            return answer.status_code

        assert [open_stream("follower") for _ in range(STREAMS_PER_PERSON_MAX + 1)] == [
            200
        ] * STREAMS_PER_PERSON_MAX + [429]
        assert open_stream("master") == 200
    head = users["follower"].client.head(f"{users['follower'].url}/pulse")
    assert head.status_code in (200, 429)  # and is answered whole, not left open
