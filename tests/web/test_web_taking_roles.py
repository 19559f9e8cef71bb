"""An operator takes a role away: what it stood for takes no entries, exits go on, and giving it back
ends that.
"""

from datetime import timedelta
from pathlib import Path

import pyotp
import pytest
from api_place import program
from test_web_suspending import TERMS, following, outcome
from web_place import PASSWORD, Browser, web_place

from engine.domain.person import Role
from engine.ledger.query import fetch_all

ENTRY = {"action": "open", "side": "LONG"}


async def change(ops: Browser, name: str, role: str, **take: str) -> None:
    """Give or take a role on the page of a person."""
    ops.place.clock.passed += timedelta(minutes=6)  # the factor of before counts no more
    await ops.get(f"/operate/people/{name}")
    stops = bool(take) and "Without it: no new entries" in ops.words
    fields = {"csrf": ops.csrf, "name": name, "role": role, **take}
    await ops.post("/operate/people/role", bare=True, **fields)
    assert ops.path == "/confirm"
    assert ("exits go on" in ops.words) is stops, ops.words
    code = pyotp.TOTP(ops.totp).at(ops.place.clock.now())
    await ops.post("/operate/people/role", factor=code)
    assert "done=role" in ops.query, ops.words


@pytest.mark.parametrize("two_roles", [False, True])
@pytest.mark.parametrize(
    ("who", "role", "scope"),
    [("ada", "master", "strategy trend"), ("bob", "follower", "account bob")],
)
async def test_a_taken_role_stops_entries_and_no_exit_until_it_is_given_back(
    tmp_path: Path, who: str, role: str, scope: str, two_roles: bool
) -> None:
    async with web_place(tmp_path, two_roles=two_roles) as place:
        strategy, bob = await following(place)
        run = place.engine.commands.run
        ops = await place.person("ops", Role.OPERATOR)
        assert await outcome(place, strategy, **ENTRY) == "filled"
        await ops.get(f"/operate/people/{who}")
        without = f"no new entries for 1 {scope.split()[0]}, and those that rest are cancelled; exits go on"
        assert f"Without it: {without}" in ops.words, ops.words

        await change(ops, who, role, take="yes")
        assert f"No longer a {role}: {without}" in ops.words, ops.words
        told = await place.signal(strategy, symbol="BTCUSDT", **ENTRY)
        if role == "master":
            assert (told.mirrored, told.reason) == (False, "new entries are switched off")
        assert await outcome(place, strategy, action="close") == "filled"
        assert await outcome(place, strategy, **ENTRY) == "skipped.entries_off"
        await ops.get("/operate/switches")
        assert f"{scope.capitalize()}Reduce only" in ops.words, ops.words
        assert f"no longer a {role}" in ops.words
        if role == "master":
            [(signal,)] = fetch_all(
                place.context.ledger.db, "SELECT id FROM signal ORDER BY number DESC LIMIT 1"
            )
            await bob.get(f"/signals/{signal}/bob")
            assert "off for strategy trend: its master is no longer a master" in bob.words
        seen = await run("status", {})
        assert f"rexalgo user role {who} {role}" in [each["do"] for each in seen["needs"]]

        await change(ops, who, role)
        assert await outcome(place, strategy, **ENTRY) == "filled"
        assert not (await run("status", {}))["switches"]


async def test_an_operator_stays_one_until_another_operator_or_the_shell_takes_the_role(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR, Role.FOLLOWER)
        await ops.get("/operate/people/ops")
        fields = {"csrf": ops.csrf, "name": "ops", "take": "yes"}
        await ops.post("/operate/people/role", 422, bare=True, role="operator", **fields)
        assert "somebody else" in ops.words
        await ops.get("/operate/people/ops")
        assert "operator" in ops.words
        run = place.engine.commands.run
        asked = {"name": "ops", "role": "operator", "take": True}
        assert (await run("user_role", {**asked, "role": "follower", "by": "ops"}))["changed"]
        assert (await run("user_role", {**asked, "by": "ops"}))["roles"] == []


async def test_connecting_makes_a_follower_once_and_never_again_whom_an_operator_stopped(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        ada = await place.person("ada", Role.MASTER, balance="1000")
        run, db = place.engine.commands.run, place.context.ledger.db
        given = "SELECT by, subject, data FROM audit WHERE act = 'role_given'"
        assert fetch_all(db, given) == [("ada", "ada", '{"role":"follower"}')]
        await change(ops, "ada", "follower", take="yes")
        await ada.get("/sign-in")
        await ada.post("/sign-in", name="ada", password=PASSWORD)
        await ada.get("/accounts/connect?exchange=paper")
        fields = {"exchange": "paper", "balance": "1000", "factor": PASSWORD}
        await ada.post("/accounts/connect", 422, **fields)
        assert "An operator took the role of a follower from you" in ada.words
        assert fetch_all(db, "SELECT count(*) FROM account") == [(1,)]
        assert (await run("user", {"name": "ada"}))["roles"] == ["master"]
        await change(ops, "ada", "follower")
        await ada.get("/sign-in")
        await ada.post("/sign-in", name="ada", password=PASSWORD)
        await ada.get("/accounts/connect?exchange=paper")
        await ada.post("/accounts/connect", **fields)
        assert ada.path == "/accounts/ada-2"
        assert len(fetch_all(db, given)) == 2, "by ada's first account and by ops"


async def test_who_owns_an_account_reads_and_ends_everything_without_the_role(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        strategy, bob = await following(place)
        ops = await place.person("ops", Role.OPERATOR)
        eve = await place.person("eve")
        assert await outcome(place, strategy, **ENTRY) == "filled"
        for name, browser in (("bob", bob), ("eve", eve)):
            await change(ops, name, "follower", take="yes")
            await browser.get("/sign-in")
            await browser.post("/sign-in", name=name, password=PASSWORD)
        for page in ("/home", "/positions", "/accounts/bob/positions/BTCUSDT"):
            await eve.get(page, 404)  # whose role was taken before an account was theirs

        assert bob.path == "/home"
        assert "its owner is no longer a follower" in bob.words
        for page in ("/positions", "/signals", "/performance", "/accounts"):
            assert f'href="{page}"' in bob.text, page
            await bob.get(page)
        for page in ("/calendar", "/accounts/bob/positions/BTCUSDT", "/accounts/bob"):
            await bob.get(page)
        way = f"/strategies/{strategy}"
        await bob.get(f"{way}/follow")
        await bob.post(f"{way}/follow", 422, do="agree", confirmed="yes", factor=PASSWORD, **TERMS)
        assert "no longer a follower here" in bob.words, bob.words
        await bob.get(way)
        await bob.post(f"{way}/pause", account="bob")
        await bob.post(f"{way}/resume", 422, account="bob")
        assert "no longer a follower here" in bob.words
        await bob.get("/accounts/bob")
        await bob.post("/accounts/bob/pause")
        await bob.post("/accounts/bob/resume", 422)
        assert "no longer a follower here" in bob.words

        asks = await program(place, bob, "reduce")
        assert (await asks.ask("/me"))["roles"] == []
        for path in ("/accounts", "/positions"):
            assert "bob" in str(await asks.ask(path))
        await asks.ask("/accounts/bob/positions/BTCUSDT/close", method="POST")
        db = place.context.ledger.db
        await place.until(lambda: not fetch_all(db, "SELECT 1 FROM holding WHERE share != '0'"))
        await asks.ask("/accounts/bob/flatten", method="POST")
        await bob.get("/accounts/bob/flatten")
        await bob.post("/accounts/bob/flatten")
        await bob.get("/accounts/bob/disconnect")
        await bob.post("/accounts/bob/disconnect")
        assert fetch_all(db, "SELECT count(*) FROM account WHERE disconnected_us IS NULL") == [(0,)]
        await bob.get("/orders")
        assert "BTCUSDT" in bob.words, "the history stays"
