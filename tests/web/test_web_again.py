"""A deed that lowers risk and met an ended session is not lost: it is offered again after signing in, and done by one press."""

from datetime import timedelta
from pathlib import Path

import pyotp
import pytest
from web_place import PASSWORD, Browser, WebPlace, web_place

from engine.domain.person import Role
from engine.ledger.query import fetch_all

OVER = timedelta(hours=13)


def switches(place: WebPlace) -> list[tuple[object, ...]]:
    return fetch_all(place.office.ledger.db, "SELECT scope, target, level FROM switch")


async def come_back(browser: Browser, way: str = "/sign-in", **typed: str) -> None:
    """Sign in on the page where an ended session led."""
    assert browser.path == "/sign-in", browser.path
    assert "not done" in browser.words
    if way != "/sign-in":
        await browser.get(f"{way}?{browser.query}")
    await browser.post(way, **typed)


@pytest.mark.parametrize("deed", ["pause", "flatten"])
async def test_a_pause_pressed_after_the_session_ended_is_offered_again(tmp_path: Path, deed: str) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/home" if deed == "pause" else "/accounts/bob/flatten")
        place.clock.passed += OVER
        await bob.post(f"/accounts/bob/{deed}")
        assert switches(place) == []  # nothing is done for a browser without a session
        await come_back(bob, name="bob", password=PASSWORD)
        assert bob.path == "/again"
        assert f"{deed.capitalize()} bob" in bob.words
        assert switches(place) == []
        await bob.post(f"/accounts/bob/{deed}")
        assert switches(place) == [("account", "bob", {"pause": "entries", "flatten": "flatten"}[deed])]


async def test_it_is_offered_after_a_recovery_code_too(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/security")
        await bob.post("/security/codes", factor=PASSWORD)
        code = bob.text.partition("<li><code>")[2].partition("<")[0]
        await bob.get("/home")
        place.clock.passed += OVER
        await bob.post("/accounts/bob/pause")
        await come_back(bob, "/sign-in/recovery", name="bob", code=code)
        assert bob.path == "/security/password"
        await bob.post("/security/password", password=PASSWORD, again=PASSWORD)
        assert bob.path == "/again"
        await bob.post("/accounts/bob/pause")
        assert len(switches(place)) == 1


async def test_a_page_of_an_earlier_session_still_pauses_by_one_more_press(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/home")
        old = bob.csrf
        await bob.post("/sign-out")
        await bob.get("/sign-in")
        await bob.post("/sign-in", name="bob", password=PASSWORD)
        await bob.post("/accounts/bob/pause", bare=True, csrf=old)
        assert (bob.path, switches(place)) == ("/again", [])
        await bob.post("/accounts/bob/pause")
        assert len(switches(place)) == 1
        await bob.post("/accounts/bob/resume", 403, bare=True, csrf=old)  # what raises risk is refused as before
        foreign = place.app.test_client()
        answer = await foreign.post("/accounts/bob/pause", form={}, headers={"Origin": "https://elsewhere.example"})
        assert answer.headers["location"].startswith("/sign-in?next=")


async def test_leaving_a_strategy_and_an_operators_switch_are_offered_again(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob, ops = await place.person("bob", balance="1000"), await place.person("ops", Role.OPERATOR)
        way = f"/strategies/{strategy}"
        terms = {"mode": "watch", "sizing": "fixed_margin", "size": "50", "leverage_mode": "capped", "leverage": "5"}
        await bob.get(f"{way}/follow")
        await bob.post(f"{way}/follow", do="agree", symbols="BTCUSDT", **terms)
        await bob.get(f"{way}/leave?account=bob")
        await ops.get("/operate/switches")
        place.clock.passed += OVER
        await bob.post(f"{way}/leave", close="yes")
        await come_back(bob, name="bob", password=PASSWORD)
        assert "Leave this strategy with bob and close what it opened" in bob.words
        await bob.post(f"{way}/leave")
        assert fetch_all(place.office.ledger.db, "SELECT state FROM subscription") == [("left",)]
        note = "the & exchange = ill; \u00fc" * 6
        await ops.post("/operate/switches/on", level="reduce", scope="strategy", target="trend", note=note)
        await come_back(ops, name="ops", password=PASSWORD, code=pyotp.TOTP(ops.totp).at(place.clock.now()))
        assert "Reduce only for strategy trend" in ops.words
        await ops.post("/operate/switches/on")
        assert fetch_all(place.office.ledger.db, "SELECT level, target, note FROM switch") == [("reduce", "trend", note)]


@pytest.mark.parametrize(
    "asked",
    [
        "", "to=", "to=/accounts/bob/resume", "to=/accounts/bob/key", "to=/strategies/x/resume", "to=/nowhere", "to=https://elsewhere.example/",
        "to=//elsewhere.example/accounts/bob/pause", "to=/operate/switches/on&level=entries", "to=/accounts/../pause%00",
        "to=/studio/strategies/x/state&state=published",
    ],
)  # fmt: skip
async def test_only_what_lowers_risk_is_offered(tmp_path: Path, asked: str) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob")
        await bob.get(f"/again?{asked}", 404)
        assert "Not done yet" not in bob.words


async def test_what_raises_risk_is_not_offered_but_said_not_to_be_done(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/home")
        place.clock.passed += OVER
        await bob.post("/accounts/bob/resume")
        assert (bob.path, bob.query) == ("/sign-in", "done=ended")
        assert "what you sent was not done" in bob.words
