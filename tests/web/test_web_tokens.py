"""API tokens: shown once, stored hashed, listed, revoked, and ended where sessions end."""

from dataclasses import fields
from datetime import timedelta
from inspect import signature
from pathlib import Path

import pytest
from api_place import Program, make_token, program
from web_place import PASSWORD, Browser, WebPlace, web_place

from engine.domain.person import Role
from engine.domain.token import ScopeExceeded, TokenScope
from engine.ledger.query import fetch_all


def everything(folder: Path) -> bytes:
    """Return what all files of a folder contain."""
    return b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())


def last_used(browser: Browser) -> str:
    return browser.text.partition('data-label="Last used">')[2].partition("</td>")[0]


async def test_a_token_is_shown_once_and_stored_as_a_hash(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        token = await make_token(bob, "pause", "laptop")
        assert token.startswith("rxa_")
        assert len(token) > 40
        await bob.get(f"{bob.path}?{bob.query}")
        assert token in bob.text, "the same page for ten minutes"
        await bob.get("/security/tokens")
        assert token not in bob.text
        assert "Read and pause" in bob.words
        assert ">never<" in last_used(bob)
        place.clock.passed += timedelta(minutes=11)
        await bob.get("/security/tokens/new")
        assert bob.path == "/security/tokens"
        dump = everything(tmp_path)
        assert b"laptop" in dump
        assert token.encode() not in dump
        assert token[4:].encode() not in dump
        acts = fetch_all(place.context.ledger.db, "SELECT act, data FROM audit ORDER BY number")
        assert acts[-1][0] == "token_made"
        assert token not in str(acts)

        me = Program(place.app.test_client(), token)
        told = await me.ask("/me")
        assert told["name"] == "bob"
        assert told["token"]["scope"] == "pause"
        await bob.get("/security/tokens")
        assert "<time" in last_used(bob)

        (row,) = fetch_all(place.context.ledger.db, "SELECT id FROM api_token")
        await bob.post(f"/security/tokens/{row[0]}/revoke")
        assert "no longer works" in bob.words
        assert "Revoked" in bob.words
        assert (await me.ask("/me", 401))["error"] == "unauthorized"
        assert me.headers["www-authenticate"].startswith("Bearer")


async def test_the_form_says_all_that_is_wrong_and_asks_for_a_factor(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/security/tokens")
        page = "/security/tokens"
        await bob.post(page, 422, name=" ", scope="trade", days="0", factor=PASSWORD)
        assert "1 to 60 printable characters" in bob.words
        assert "one of read, pause, reduce" in bob.words
        assert "from 1 to 366" in bob.words
        place.clock.passed += timedelta(minutes=6)
        await bob.get(page)
        await bob.post(page, name="later", scope="read", days="30")
        assert bob.path == "/confirm", "making one asks for a factor"
        assert fetch_all(place.context.ledger.db, "SELECT 1 FROM api_token") == []
        await bob.post(page, factor=PASSWORD)
        assert bob.path == "/security/tokens/new"
        await bob.get(page)
        await bob.post(page, 422, name="later", scope="read", days="30")
        assert "no valid token of yours has" in bob.words


async def test_a_token_ends_where_sessions_end(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        operator = await place.person("olga", Role.OPERATOR)
        for name, end in (("ann", _new_password), ("ben", _sign_out_elsewhere)):
            person = await place.person(name, balance="1000")
            asks = await program(place, person)
            await asks.ask("/me")
            await end(place, person)
            await asks.ask("/me", 401)
        cat = await place.person("cat", balance="1000")
        asks = await program(place, cat)
        for command, status in (("user_suspend", 401), ("user_resume", 401)):
            await place.engine.commands.run(command, {"name": "cat", "by": "olga"})
            await asks.ask("/me", status)
        dan = await place.person("dan", balance="1000")
        short = Program(place.app.test_client(), await make_token(dan, days="1"))
        await short.ask("/me")
        place.clock.passed += timedelta(days=1, seconds=1)
        await short.ask("/me", 401)
        assert operator.path


async def _new_password(place: WebPlace, person: Browser) -> None:
    again = "other calm words in a row"
    await person.get("/security/password")
    await person.post("/security/password", password=again, again=again, factor=PASSWORD)


async def _sign_out_elsewhere(place: WebPlace, person: Browser) -> None:
    await person.get("/security")
    await person.post("/security/sessions/others")


async def test_a_person_asks_so_often_and_what_lowers_risk_keeps_its_part(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        asks = await program(place, bob)
        taken = 0
        while True:
            answer = await asks.client.get(
                "/api/v1/me", headers={"Authorization": f"Bearer {asks.token}"}
            )
            if answer.status_code == 429:
                break
            taken += 1
        assert 48 <= taken < 60, "a fifth of the burst is kept"
        assert int(answer.headers["Retry-After"]) >= 1
        wrong = Program(place.app.test_client(), "rxa_" + "x" * 43)
        statuses = []
        for _ in range(40):
            answer = await wrong.client.get(
                "/api/v1/me", headers={"Authorization": f"Bearer {wrong.token}"}
            )
            statuses.append(answer.status_code)
        assert set(statuses[:30]) == {401}
        assert 429 in statuses[30:]


OPEN = {
    "ChartingService.position": TokenScope.READ,
    "ChartingService.trade": TokenScope.READ,
    "FollowingService.any_position": TokenScope.READ,
    "FollowingService.cards": TokenScope.READ,
    "FollowingService.position": TokenScope.READ,
    "FollowingService.positions": TokenScope.READ,
    "FollowingService.why": TokenScope.READ,
    "PerformanceService.total_equity": TokenScope.READ,
    "ShadowingService.missed": TokenScope.READ,
    "FollowingService.pause": TokenScope.PAUSE,
    "AgreeingService.pause": TokenScope.PAUSE,
    "StudioService.pause": TokenScope.PAUSE,
    "FollowingService.close": TokenScope.REDUCE,
    "FollowingService.flatten": TokenScope.REDUCE,
}
"""Everything that a token may ask of the engine, with the scope that it needs."""


async def test_services_refuse_a_token_whatever_a_route_declares(tmp_path: Path) -> None:
    """Each method that a page asks of the engine is called with a token of each scope."""
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        users = {}
        for scope in TokenScope:
            users[scope] = place.services.identity.user_again(
                await make_token(bob, scope.value), ""
            )
        asked = {
            f"{type(service).__name__}.{name}": getattr(service, name)
            for field in fields(place.services)
            for service in [getattr(place.services, field.name)]
            for name in dir(type(service))
            if getattr(getattr(type(service), name), "is_asked", False)
        }
        takes_user = {
            name: method
            for name, method in asked.items()
            if next(iter(signature(method).parameters), "") == "user"
        }
        assert len(takes_user) > 30
        assert OPEN.keys() <= takes_user.keys()
        before = fetch_all(place.context.ledger.db, "SELECT count(*) FROM audit")
        for name, method in takes_user.items():
            parameters = list(signature(method).parameters.values())[1:]
            given = {each.name: None for each in parameters if each.default is each.empty}
            for scope, user in users.items():
                if name in OPEN and scope.includes(OPEN[name]):
                    continue
                with pytest.raises(ScopeExceeded):
                    await method(user, **given)
        assert fetch_all(place.context.ledger.db, "SELECT count(*) FROM audit") == before
