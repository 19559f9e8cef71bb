"""Reload, back and a double click repeat nothing, and a secret shown once survives the reload of
its page.
"""

import re
from datetime import timedelta
from pathlib import Path

import pyotp
import trio
from web_place import PASSWORD, Browser, WebPlace, web_place

from engine.domain.person import Role
from engine.ledger.query import fetch_one
from web.routes import Who
from web.words import NOTICES


def count(place: WebPlace, table: str) -> int:
    row = fetch_one(place.context.ledger.db, f"SELECT count(*) FROM {table}")
    return 0 if row is None else int(row[0])


async def twice(
    browser: Browser, page: str, path: str, *, form: str = "", **typed: str
) -> tuple[str, str]:
    """Open a page and send its form twice unchanged; return where both led."""
    await browser.get(page)
    said = {"csrf": browser.csrf, **browser.hidden(form or path), **typed}
    first = await browser.post(path, bare=True, follow=False, **said)
    return first, await browser.post(path, bare=True, follow=False, **said)


async def test_a_secret_is_renewed_once_and_its_page_can_be_reloaded_for_a_while(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        master = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(master)
        before = count(place, "endpoint_secret")
        page = f"/studio/strategies/{strategy}"
        first, second = await twice(master, page, f"{page}/rotate")
        assert count(place, "endpoint_secret") == before + 1
        assert second == f"{first}&done=again"
        secrets = set()
        for way in (first, first, second):
            await master.get(way)
            secrets.update(re.findall(r'id="secret"[^>]*>(whsec_[^<]+)<', master.text))
        assert len(secrets) == 1
        assert "nothing was repeated" in master.words
        other = await place.person("eve", Role.MASTER)
        await other.get(first, 404)  # neither the strategy nor what was made is theirs
        place.clock.passed += timedelta(minutes=11)
        await master.get(first)
        assert (master.path, secrets.pop() in master.text) == (page, False)
        assert "can no longer be shown: it is kept for ten minutes only" in master.words


async def test_a_double_click_where_a_factor_is_asked_for_is_one_deed(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        master = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(master)
        before, page = count(place, "endpoint_secret"), f"/studio/strategies/{strategy}"
        place.clock.passed += timedelta(minutes=6)
        await master.get(page)
        await master.post(f"{page}/rotate")
        assert "Confirm that it is you" in master.words
        said = {"csrf": master.csrf, **master.hidden(f"{page}/rotate"), "factor": PASSWORD}
        first, second = [
            await master.post(f"{page}/rotate", bare=True, follow=False, **said) for _ in range(2)
        ]
        assert (second, count(place, "endpoint_secret")) == (f"{first}&done=again", before + 1)
        unconfirmed = {name: value for name, value in said.items() if name != "factor"}
        third = await master.post(
            f"{page}/rotate", bare=True, follow=False, **unconfirmed
        )  # back to the page before the factor
        assert (third, count(place, "endpoint_secret")) == (second, before + 1)


async def test_a_double_click_is_one_deed_though_both_are_under_way(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        master = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(master)
        before, page, led = count(place, "endpoint_secret"), f"/studio/strategies/{strategy}", []
        await master.get(page)
        said = {"csrf": master.csrf, **master.hidden(f"{page}/rotate")}

        async def click() -> None:
            answer = await master.client.post(
                f"{page}/rotate", form=said, headers={"Origin": "http://localhost"}
            )
            led.append(answer.headers["location"].partition("&done=")[0])

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(click)
        assert count(place, "endpoint_secret") == before + 1
        assert len(set(led)) == 1


async def test_an_invitation_a_link_codes_and_accounts_are_made_once(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        bob = await place.person("bob", balance="1000")
        place.clock.passed += timedelta(minutes=1)
        await ops.get("/operate/people")
        code = pyotp.TOTP(ops.totp).at(place.clock.now())
        asked = {"role": "follower", "uses": "1", "days": "7", "strategy": ""}
        first, second = await twice(
            ops, "/operate/people", "/operate/people/invite", **asked, factor=code
        )
        assert count(place, "ticket WHERE kind = 'invitation'") == 1
        await ops.get(first)
        link = re.search(r'id="link">([^<]+)<', ops.text)
        assert link is not None
        await ops.get(second)
        assert link[1] in ops.text
        links = count(place, "ticket")
        await twice(ops, "/operate/people/bob", "/operate/people/link")
        assert count(place, "ticket") == links + 1
        first, _ = await twice(bob, "/security", "/security/codes")
        shown = await bob.get(first)
        assert len(re.findall(r"<li><code>([a-z0-9-]{14})</code>", shown)) == 10
        assert count(place, "recovery_code") == 20
        await twice(
            bob,
            "/accounts/connect?exchange=paper",
            "/accounts/connect",
            exchange="paper",
            balance="77",
        )
        assert count(place, "account") == 2
        first, second = await twice(bob, "/accounts/bob-2/disconnect", "/accounts/bob-2/disconnect")
        assert (first, second) == ("/accounts?done=disconnected-paper", "/accounts?done=again")


async def test_joining_twice_by_one_click_comes_in_both_times(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        new = place.browser()
        said = {"name": "carl", "exchange": "paper", "balance": "50"}
        await new.get("/join?exchange=paper")
        said |= new.hidden("/join")
        cookies = []
        for _ in range(2):
            answer = await place.app.test_client().post(
                "/join", form=said, headers={"Origin": "http://localhost"}
            )
            cookies.append(answer.headers["set-cookie"])
        assert cookies[0] == cookies[1]
        assert count(place, "person WHERE name = 'carl'") == 1
        stranger = await place.app.test_client().post(
            "/join", form={**said, "once": "another"}, headers={"Origin": "http://localhost"}
        )
        assert stranger.status_code == 422


async def test_signing_in_again_after_signing_out_begins_another_session(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob")
        await bob.post("/sign-out")
        await bob.get("/sign-in")
        said = {**bob.hidden("/sign-in"), "name": "bob", "password": PASSWORD}
        for _ in range(2):
            await bob.post("/sign-in", bare=True, **said)
            assert bob.path == "/home"
            await bob.post("/sign-out")
            place.clock.passed += timedelta(minutes=1)


async def test_a_code_that_a_first_click_used_up_fails_no_second_one(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        await ops.get("/operate/switches")
        await ops.post("/operate/switches/on", level="entries", scope="all", target="", note="")
        place.clock.passed += timedelta(minutes=6)
        code, answers = pyotp.TOTP(ops.totp).at(place.clock.now()), []
        said = {"csrf": ops.csrf, "scope": "all", "target": "", "factor": code}

        async def click() -> None:
            answer = await ops.client.post(
                "/operate/switches/off", form=said, headers={"Origin": "http://localhost"}
            )
            answers.append(answer.status_code)

        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(click)
        assert 422 not in answers
        assert count(place, "switch") == 0


async def test_a_form_that_was_refused_is_taken_when_corrected_and_another_one_is_another_deed(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob")
        place.clock.passed += timedelta(minutes=6)
        await bob.get("/accounts/connect?exchange=paper")
        said = {"csrf": bob.csrf, **bob.hidden("/accounts/connect"), "exchange": "paper"}
        await bob.post("/accounts/connect", 422, bare=True, **said, balance="1,234")
        await bob.post(
            "/accounts/connect", 200, bare=True, **said, balance="1234"
        )  # asks for the password first
        assert count(place, "account") == 0
        await bob.post("/accounts/connect", bare=True, **said, balance="1234", factor=PASSWORD)
        await bob.post("/accounts/connect", bare=True, **said, balance="99")  # back, and changed
        assert count(place, "account") == 2


async def test_what_lowers_risk_is_done_each_time_it_is_pressed(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/home")
        kept = {"csrf": bob.csrf, **bob.hidden("/accounts/bob/pause")}
        await bob.post("/accounts/bob/pause", bare=True, **kept)
        await bob.post("/accounts/bob/resume", factor=PASSWORD)
        assert count(place, "switch") == 0
        await bob.post(
            "/accounts/bob/pause", bare=True, **kept
        )  # back to the page of before, and pressed there
        assert count(place, "switch") == 1


async def test_a_pause_of_its_owner_goes_with_the_account(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/home")
        await bob.post("/accounts/bob/pause")
        assert count(place, "switch") == 1
        await twice(bob, "/accounts/bob/disconnect", "/accounts/bob/disconnect")
        assert (
            count(place, "switch") == 0
        )  # else the place asked for ever to resume an account that is gone


MAKES = {
    "/sign-in",
    "/sign-in/recovery",
    "/sign-in/exchange",
    "/welcome/<token>",
    "/join",
    "/demo/<name>",
    "/security/password",
    "/security/second-factor",
    "/security/codes",
    "/security/passkeys/new",
    "/security/tokens",
    "/accounts/connect",
    "/accounts/<name>/disconnect",
    "/studio/copy-trading/new",
    "/studio/strategies/<identifier>/rotate",
    "/studio/strategies/<identifier>/endpoint",
    "/studio/strategies/<identifier>/test",
    "/studio/strategies/<identifier>/addresses/<source>",
    "/operate/people/link",
    "/operate/people/invite",
    "/operate/alerts/test",
}
"""Makes something, or uses something up: done once."""
LOWERS_RISK = {
    "/security/tokens/<token>/revoke",
    "/accounts/<name>/positions/<symbol>/close",
    "/security/sessions/<session>",
    "/accounts/<name>/pause",
    "/accounts/<name>/flatten",
    "/strategies/<identifier>/<act>",
    "/studio/strategies/<identifier>/revoke",
    "/studio/strategies/<identifier>/close",
    "/studio/strategies/<identifier>/state",
    "/studio/strategies/<identifier>/endpoints/<endpoint>/<act>",
    "/operate/switches/on",
    "/operate/people/revoke",
    "/operate/people/suspend",
    "/operate/people/sign-out",
}
"""Done each time that it is pressed, and offered again where the session had ended."""
THE_SAME_TWICE = {
    "/sign-out",
    "/security/second-factor/remove",
    "/security/zone",
    "/security/become-master",
    "/accounts/<name>/resume",
    "/accounts/<name>/check",
    "/accounts/<name>/key",
    "/strategies/<identifier>/follow",
    "/strategies/<identifier>/meaning",
    "/studio/strategies/<identifier>/describe",
    "/studio/debugger",
    "/operate/switches/off",
    "/operate/accounts/<name>/<act>",
    "/operate/unknowns",
    "/operate/people/role",
    "/operate/people/resume",
    "/operate/people/reset-factors",
    "/operate/people/master",
    "/operate/audit/verify",
    "/security/passkeys",
    "/security/passkeys/<passkey>/remove",
    "/sign-in/passkey",
    "/again/decline",
    "/accounts/<name>/rename",
    "/accounts/<name>/positions/<symbol>/take-over",
    "/strategies/<identifier>/copy-terms",
    "/channels/<name>/begin",
    "/channels/<name>/confirm",
    "/channels/<name>/wants",
    "/channels/<name>/test",
    "/channels/<name>/drop",
    "/notifications/read",
    "/studio/strategies/<identifier>/callback",
}
"""Sets or asks something: done twice it is as done once, or the second is refused. A second code
replaces the first.
"""


async def test_every_act_is_known_as_one_that_makes_lowers_risk_or_is_the_same_twice(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        acts = [
            route
            for route in place.app.config["ROUTES"]
            if route.method == "POST" and route.who not in (Who.BOT, Who.PROGRAM)
        ]
        assert {route.address for route in acts} == MAKES | LOWERS_RISK | THE_SAME_TWICE
        assert {route.address for route in acts if route.once} == MAKES
        assert {route.address for route in acts if route.again} == LOWERS_RISK


async def test_a_notice_is_shown_once(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob, paused = await place.person("bob", balance="1000"), "Paused. No new entries."
        await bob.get("/home")
        for _ in range(2):  # pressed twice, done twice, shown twice
            await bob.post("/accounts/bob/pause")
            assert paused in bob.words
            way = f"{bob.path}?{bob.query}"
            await bob.get(way)
            assert paused not in bob.words, "a reload does nothing, and shows no notice"
        other = await place.person("carl")
        await other.get(way)
        assert paused not in other.words, "a link to the address of a notice shows none"
        place.clock.passed += timedelta(hours=13)
        await bob.get(way)
        await bob.post("/sign-in", name="bob", password=PASSWORD)
        assert bob.path == "/home"
        assert paused not in bob.words


async def test_an_address_alone_shows_no_notice(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob")
        for code, words in NOTICES.items():
            await bob.get(f"/home?done={code}")
            assert words not in bob.words
        stranger = place.browser()
        await stranger.get("/sign-in?done=paused")
        assert "Paused" not in stranger.words
        await stranger.get("/sign-in?done=ended")
        assert NOTICES["ended"] in stranger.words
