"""An account has the name that its owner gives it, on the owner's pages; terms go to another account
in one act.
"""

import json
from pathlib import Path

import pytest
from test_web_home import SETTINGS, follow
from web_place import PASSWORD, WebPlace, web_place

from engine.domain.alert import AlertCode
from engine.domain.person import Role
from engine.ledger.alerts import raise_alert
from engine.ledger.messages import person_of_account
from engine.ledger.query import fetch_all, fetch_one

RENAME = "/accounts/bob/rename"


def stored(place: WebPlace) -> list[tuple[str, str, str]]:
    rows = fetch_all(
        place.context.ledger.db,
        "SELECT account.name, subscription.state, policy FROM subscription JOIN account ON "
        "account.id = account_id ORDER BY account.name",
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def change(place: WebPlace, statement: str) -> None:
    await place.context.ledger.write(lambda db: db.execute(statement))


@pytest.mark.parametrize("two_roles", [False, True])
async def test_a_title_is_shown_to_its_owner_and_nothing_else_changes(
    tmp_path: Path, two_roles: bool
) -> None:
    async with web_place(tmp_path, SETTINGS, two_roles=two_roles) as place:
        bob = await place.person("bob", balance="1000")
        eve = await place.person("eve", Role.FOLLOWER, Role.OPERATOR, balance="1000")
        await bob.get(RENAME)
        await bob.post(RENAME, title="  Rainy   day <b> ")
        assert (bob.path, bob.query) == ("/accounts/bob", "done=renamed")
        db = place.context.ledger.db
        assert fetch_one(db, "SELECT name, title FROM account WHERE name = 'bob'") == (
            "bob",
            "Rainy day <b>",
        )
        for page in (
            "/home",
            "/accounts",
            "/accounts/bob",
            "/performance",
            "/accounts/bob/flatten",
        ):
            await bob.get(page)
            assert "Rainy day <b>" in bob.words
            assert "<b>" not in bob.text
        await eve.get("/operate/accounts/bob")
        assert "Rainy" not in eve.words, "it stays its name for others"
        audit = fetch_one(db, "SELECT by, data FROM audit WHERE act = 'account_renamed'")
        assert audit is not None
        assert json.loads(audit[1]) == {"before": "", "now": "Rainy day <b>"}
        await eve.get("/home")
        await eve.post(RENAME, 404, bare=True, csrf=eve.csrf, title="mine")

        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        await follow(bob, strategy, "bob", "BTCUSDT")
        await change(place, "UPDATE subscription SET agreed_us = -1")
        await bob.get("/home")
        assert "Rainy day <b>: the master of trend changed its contracts" in bob.words
        await bob.get(f"/strategies/{strategy}")
        assert "Agree to the new terms" in bob.words
        await change(place, "UPDATE strategy SET state = 'retired'")
        await bob.get(f"/strategies/{strategy}")
        assert "Agree to the new terms" not in bob.words
        assert "need your consent" not in bob.words
        await bob.get("/home")
        assert "changed its contracts" not in bob.words, "nothing would come of it"
        assert "takes no new entries now: paused, retired, or its terms wait for you" in bob.words

        await bob.get(RENAME)
        assert bob.value("title") == "Rainy day <b>"
        await bob.post(RENAME, title=" ")
        assert "Rainy" not in bob.words


@pytest.mark.parametrize("typed", ["x" * 41, "a\u202eb", "a\x07b", "BOB-2", "Savings"])
async def test_what_cannot_be_told_apart_is_refused_at_its_field(
    tmp_path: Path, typed: str
) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        bob = await place.person("bob", balance="1000")
        await second_account(bob)
        await bob.get("/accounts/bob-2/rename")
        await bob.post("/accounts/bob-2/rename", title="savings")
        await bob.get(RENAME)
        await bob.post(RENAME, 422, title=typed)
        assert bob.text.count('class="field-error"') == 1
        row = fetch_one(place.context.ledger.db, "SELECT title FROM account WHERE name = 'bob'")
        assert row == ("",)


async def second_account(bob) -> None:  # type: ignore[no-untyped-def]
    await bob.get("/accounts/connect?exchange=paper")
    await bob.post("/accounts/connect", exchange="paper", balance="500", factor=PASSWORD)
    assert bob.path == "/accounts/bob-2", bob.words[-300:]


async def test_terms_are_copied_to_another_account_after_they_were_shown(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        ada = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(ada)
        bob = await place.person("bob", balance="1000")
        eve = await place.person("eve", balance="1000")
        way = f"/strategies/{strategy}/copy-terms"
        await follow(bob, strategy, "bob", "BTCUSDT")
        await bob.get(f"/strategies/{strategy}")
        assert way not in bob.text, "there is no other account"
        await second_account(bob)
        await bob.get(f"/strategies/{strategy}")
        await bob.post(way, account="bob-2")
        assert bob.path == f"/strategies/{strategy}/confirm"
        assert "on bob-2" in bob.words
        assert "100 USDT" in bob.words
        assert len(stored(place)) == 1, "nothing is agreed before it was shown"
        await bob.post(f"/strategies/{strategy}/follow", factor=PASSWORD)
        first, second = stored(place)
        assert (first[0], second[0]) == ("bob", "bob-2")
        assert first[1:] == second[1:]
        for fields in (
            {"from": "bob", "account": "eve"},
            {"from": "eve", "account": "bob"},
            {"from": "bob", "account": ""},
        ):
            await bob.get("/home")
            await bob.post(way, 404, bare=True, csrf=bob.csrf, **fields)
        await eve.get("/home")
        await eve.post(way, 404, bare=True, csrf=eve.csrf, **{"from": "eve", "account": "eve"})


async def test_a_name_like_a_former_one_is_refused_and_one_of_before_reads_nobodys_alerts(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        db, stranger = place.context.ledger.db, place.browser()
        await stranger.get("/join")
        await stranger.post("/join", 422, name="bob.gone.x", exchange="paper", balance="1000")
        assert "expected a name without '.gone'" in stranger.words

        bob = await place.person("bob", balance="1000")
        others = [
            await place.person(name, balance="1000")
            for name in ("bob.gone.x", "bob.gone")  # they were there before it was refused
        ]
        about = {"symbol": "BTCUSDT", "quantity": "0.0071", "cause": "too small"}
        at = place.clock.now()
        await place.context.ledger.write(
            lambda db: raise_alert(db, AlertCode.RESIDUE, "bob", about, at)
        )
        for browser in (*others, bob):
            await browser.get("/notifications")
            assert ("0.0071" in browser.words) is (browser is bob)
        for browser, name in ((others[1], "bob.gone"), (bob, "bob")):
            await browser.get(f"/accounts/{name}/disconnect")
            await browser.post(f"/accounts/{name}/disconnect")
        await others[1].get("/notifications")
        assert "0.0071" not in others[1].words
        whose = fetch_one(db, "SELECT id FROM person WHERE name = 'bob'")
        assert whose == (person_of_account(db, "bob", at),)
