"""An action that lowers risk and met an ended session is offered again after signing in, and done
by one click.
"""

from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pyotp
import pytest
from web_place import PASSWORD, Browser, WebPlace, web_place

from engine.domain.identifiers import PersonId
from engine.domain.person import Role
from engine.ledger.identity import give_role
from engine.ledger.query import fetch_all

OVER = timedelta(hours=13)


def switches(place: WebPlace) -> list[tuple[object, ...]]:
    return fetch_all(place.context.ledger.db, "SELECT scope, target, level FROM switch")


async def come_back(browser: Browser, way: str = "/sign-in", **typed: str) -> None:
    """Sign in on the page that an ended session led to."""
    assert browser.path == "/sign-in", browser.path
    assert "not done" in browser.words
    if way != "/sign-in":
        await browser.get(f"{way}?{browser.query}")
    await browser.post(way, **typed)


@pytest.mark.parametrize("deed", ["pause", "flatten"])
async def test_a_pause_pressed_after_the_session_ended_is_offered_again(
    tmp_path: Path, deed: str
) -> None:
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
        assert switches(place) == [
            ("account", "bob", {"pause": "entries", "flatten": "flatten"}[deed])
        ]


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
        await bob.post("/accounts/bob/resume", bare=True, csrf=old)
        assert len(switches(place)) == 1, "what raises risk is not offered: its page comes back"
        assert (bob.path, "Press it again" in bob.words) == ("/accounts/bob", True)
        foreign = place.app.test_client()
        answer = await foreign.post(
            "/accounts/bob/pause", form={}, headers={"Origin": "https://elsewhere.example"}
        )
        assert answer.headers["location"].startswith("/sign-in?next=")


async def test_leaving_a_strategy_and_an_operators_switch_are_offered_again(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob, ops = (
            await place.person("bob", balance="1000"),
            await place.person("ops", Role.OPERATOR),
        )
        way = f"/strategies/{strategy}"
        terms = {
            "mode": "watch",
            "sizing": "fixed_margin",
            "size": "50",
            "leverage_mode": "capped",
            "leverage": "5",
        }
        await bob.get(f"{way}/follow")
        await bob.post(f"{way}/follow", do="agree", symbols="BTCUSDT", **terms)
        await bob.get(f"{way}/leave?account=bob")
        await ops.get("/operate/switches")
        place.clock.passed += OVER
        await bob.post(f"{way}/leave", close="yes")
        await come_back(bob, name="bob", password=PASSWORD)
        assert "Leave this strategy with bob and close what it opened" in bob.words
        await bob.post(f"{way}/leave")
        assert fetch_all(place.context.ledger.db, "SELECT state FROM subscription") == [("left",)]
        note = "the & exchange = ill; \u00fc" * 6
        await ops.post(
            "/operate/switches/on", level="reduce", scope="strategy", target="trend", note=note
        )
        await come_back(
            ops, name="ops", password=PASSWORD, code=pyotp.TOTP(ops.totp).at(place.clock.now())
        )
        assert "Reduce only for strategy trend" in ops.words
        await ops.post("/operate/switches/on")
        assert fetch_all(place.context.ledger.db, "SELECT level, target, note FROM switch") == [
            ("reduce", "trend", note)
        ]


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "to=",
        "to=/accounts/bob/resume",
        "to=/accounts/bob/key",
        "to=/strategies/x/resume",
        "to=/nowhere",
        "to=https://elsewhere.example/",
        "to=//elsewhere.example/accounts/bob/pause",
        "to=/operate/switches/on&level=entries",
        "to=/accounts/../pause%0A",
        "to=/studio/strategies/x/state&state=published",
    ],
)
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
        assert (bob.path, "%2Fagain" in bob.query) == ("/sign-in", False)
        assert "what you sent was not done" in bob.words


async def made_operator(place: WebPlace, name: str) -> None:
    """Return an operator who must set up a second factor first."""
    who = fetch_all(place.context.ledger.db, "SELECT id FROM person WHERE name = ?", (name,))[0][0]
    await place.context.ledger.write(
        lambda db: give_role(db, PersonId(str(who)), Role.OPERATOR, "test", place.clock.now())
    )


async def test_a_pause_is_kept_while_a_second_factor_is_set_up(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/home")
        place.clock.passed += OVER
        await bob.post("/accounts/bob/pause")
        await made_operator(place, "bob")
        await come_back(bob, name="bob", password=PASSWORD)
        assert bob.path == "/security/second-factor"
        assert "Not done yet: Pause bob" in bob.words
        await bob.post("/security/second-factor", 422, code="000000")
        await bob.get("/home")  # looks elsewhere, and is led back
        assert (bob.path, "Not done yet: Pause bob" in bob.words) == (
            "/security/second-factor",
            True,
        )
        secret = bob.value("secret")
        await bob.post("/security/second-factor", code=pyotp.TOTP(secret).at(place.clock.now()))
        assert bob.path == "/again"
        await bob.get("/home")  # still neither done nor declined
        assert "Not done yet: Pause bob" in bob.words
        await bob.get("/again?to=/accounts/bob/pause")
        await bob.post("/accounts/bob/pause")
        assert switches(place) == [("account", "bob", "entries")]
        assert "Not done yet" not in bob.words


async def test_a_pause_pressed_while_a_factor_is_missing_is_kept_and_what_raises_risk_is_said_not_to_be_done(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/home")
        await made_operator(place, "bob")
        await bob.post("/accounts/bob/resume")
        assert bob.path == "/security/second-factor"
        assert "What you sent was not done" in bob.words
        await bob.post("/accounts/bob/pause")
        assert "Not done yet: Pause bob" in bob.words
        assert switches(place) == []


async def test_what_is_declined_is_not_offered_any_longer(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/home")
        place.clock.passed += OVER
        await bob.post("/accounts/bob/pause")
        await come_back(bob, name="bob", password=PASSWORD)
        await bob.get("/accounts/bob")
        assert "Not done yet: Pause bob" in bob.words
        await bob.get("/again?to=/accounts/bob/pause")
        await bob.post("/again/decline")
        assert (bob.path, switches(place)) == ("/home", [])
        assert "Not done yet" not in bob.words


async def test_each_of_several_deeds_is_kept_until_it_is_done(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        await place.strategy(await place.person("ada", Role.MASTER))
        ops = await place.person("ops", Role.OPERATOR)
        await ops.get("/operate/switches")
        place.clock.passed += OVER
        asked = [
            {"level": "reduce", "scope": "all", "target": ""},
            {"level": "entries", "scope": "strategy", "target": "trend"},
        ]
        led = [
            await ops.post("/operate/switches/on", bare=True, follow=False, **each)
            for each in asked
        ]
        await ops.get(led[0])
        await come_back(
            ops, name="ops", password=PASSWORD, code=pyotp.TOTP(ops.totp).at(place.clock.now())
        )
        await ops.get(unquote(led[1].partition("next=")[2].partition("&done")[0]))
        await ops.post("/operate/switches/on")
        assert switches(place) == [("strategy", "trend", "entries")]
        assert "Not done yet: Reduce only for everything" in ops.words, "another switch was done"
        assert "Not done yet: No new entries" not in ops.words
