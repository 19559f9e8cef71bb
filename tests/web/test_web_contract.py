"""What SECURITY.md promises of every answer: its headers, no permission for another site, the
cookie, and the rate of deliveries.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from web_place import SETTINGS, WebPlace, web_place

from engine.domain.person import Role
from engine.keys.sealed_secrets import new_person
from engine.ledger.people import insert_person
from engine.ports.signal_source import Delivery
from engine.services.identity import make_link
from engine.views import ReceptionKind
from web.headers import security_headers
from web.routes import Route

ELSEWHERE = "https://elsewhere.example"
STREAMS = ("/pulse", "/events")


def address_of(route: Route) -> str:
    return re.sub(r"<[^>]+>", "nothing-here", route.address)


def routes(place: WebPlace) -> list[Route]:
    """Return every route that answers and ends; the sign-out comes last."""
    declared: tuple[Route, ...] = place.app.config["ROUTES"]
    return sorted(
        (each for each in declared if each.address not in STREAMS),
        key=lambda each: each.address == "/sign-out",
    )


async def test_every_route_carries_the_headers_whoever_asks(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        everybody = await place.person("all", Role.FOLLOWER, Role.MASTER, Role.OPERATOR)
        for browser in (place.browser(), everybody):
            for route in routes(place):
                answer = await ask(browser, route, "http://localhost")
                told = (route.method, route.address, answer.status_code)
                assert answer.status_code < 500, told
                for name, value in security_headers(https=False):
                    assert answer.headers.getlist(name) == [value], (*told, name)
                assert "Server" not in answer.headers, told
                assert "Strict-Transport-Security" not in answer.headers, told


async def ask(browser: Any, route: Route, origin: str) -> Any:
    if route.method == "GET":
        return await browser.client.get(address_of(route), headers={"Origin": origin})
    form = {"csrf": browser.csrf} if browser.csrf else {}
    return await browser.client.post(address_of(route), form=form, headers={"Origin": origin})


async def test_no_answer_permits_another_site(tmp_path: Path) -> None:
    """No route allows another origin to read it, whatever a preflight asks for."""
    asked = {
        "Origin": ELSEWHERE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,authorization",
    }
    async with web_place(tmp_path) as place:
        everybody = await place.person("all", Role.FOLLOWER, Role.MASTER, Role.OPERATOR)
        for route in routes(place):
            for answer in (
                await everybody.client.options(address_of(route), headers=asked),
                await ask(everybody, route, ELSEWHERE),
            ):
                permits = [
                    name for name, _ in answer.headers.items() if name.lower().startswith("access-")
                ]
                assert permits == [], (route.method, route.address)
        assert place.context.ledger.db.execute("SELECT count(*) FROM switch").fetchone() == (0,)


async def test_the_cookie_is_bound_to_this_host_and_out_of_reach_of_scripts(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path, https=True) as place:
        new = new_person(await place.context.open_vault(), "ada")
        await place.context.ledger.write(
            lambda db: insert_person(db, "ada", new.key, place.clock.now())
        )
        token = await make_link(place.context, new.id, "test", "")
        here = {"Origin": "https://localhost"}
        answer = await place.app.test_client().post(f"/welcome/{token}", headers=here)
        (cookie,) = answer.headers.getlist("Set-Cookie")
        name, parts = parts_of(cookie)
        assert name == "__Host-rexalgo"
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"} <= parts
        assert not any(part.lower().startswith("domain") for part in parts)
        (seconds,) = (part.partition("=")[2] for part in parts if part.startswith("Max-Age="))
        assert 0 < int(seconds) <= timedelta(days=7).total_seconds()
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def parts_of(cookie: str) -> tuple[str, set[str]]:
    first, *rest = cookie.split("; ")
    return first.partition("=")[0], set(rest)


async def test_deliveries_above_the_rate_wait_and_a_stranger_uses_none_of_it(
    tmp_path: Path,
) -> None:
    settings = SETTINGS + "[engine]\nwebhook_rate_per_minute = 4\n"
    async with web_place(tmp_path, settings) as place:
        master = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(master)
        (endpoint,) = place.context.ledger.db.execute(
            "SELECT id FROM endpoint WHERE token_hash IS NULL"
        ).fetchone()
        for _ in range(30):
            stranger = Delivery(b"{}", (), "192.0.2.9", place.clock.now())
            refused = await place.engine.ingress.receive(endpoint, stranger)
            assert refused.kind is ReceptionKind.NOT_AUTHENTIC
        place.engine.ingress._steady = place.clock  # type: ignore[assignment]  # a minute at once
        told = [await place.signal(strategy, action="close", symbol="BTCUSDT") for _ in range(5)]
        assert told[0].kind is ReceptionKind.ACCEPTED
        assert told[-1].kind is ReceptionKind.LIMITED
        assert told[-1].retry_after_s is not None
        place.clock.passed += timedelta(seconds=told[-1].retry_after_s)
        again = await place.signal(strategy, action="close", symbol="BTCUSDT")
        assert again.kind is ReceptionKind.ACCEPTED
