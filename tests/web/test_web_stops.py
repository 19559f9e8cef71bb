"""A stop is lifted by who may lift it: an owner's by the owner, any other one by the operator."""

from pathlib import Path

from api_place import program
from web_place import PASSWORD, WebPlace, web_place

from engine.domain.person import Role
from engine.ledger.query import fetch_all

OPERATORS = ("entries", "ops", "fraud case 17")


def stops(place: WebPlace) -> list[tuple[object, ...]]:
    return fetch_all(
        place.context.ledger.db, "SELECT level, set_by, note FROM switch ORDER BY is_owners"
    )


async def test_an_owner_neither_lifts_nor_hides_the_operators_stop(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        bob = await place.person("bob", balance="1000")
        stop = {"scope": "account", "target": "bob", "level": "entries", "note": OPERATORS[2]}
        await ops.get("/operate/switches")
        await ops.post("/operate/switches/on", **stop)

        await bob.get("/accounts/bob")
        told = "Switched for account bob by ops. Only the operator resumes it."
        assert told in bob.words
        assert bob.hidden("/accounts/bob/pause"), "an owner may pause beside it"
        assert not bob.hidden("/accounts/bob/resume")
        await bob.post("/accounts/bob/resume", 422, factor=PASSWORD)
        assert "You did not stop this account: ops did, and only the operator" in bob.words
        assert stops(place) == [OPERATORS]

        await (await program(place, bob, "pause")).ask("/accounts/bob/pause", 200, "POST")
        assert stops(place) == [OPERATORS, ("entries", "bob", "by the owner")]
        await bob.get("/accounts/bob/flatten")
        await bob.post("/accounts/bob/flatten")
        assert stops(place) == [OPERATORS, ("flatten", "bob", "by the owner")]
        await bob.post("/accounts/bob/resume", factor=PASSWORD)
        await bob.get("/home")
        assert told in bob.words
        assert stops(place) == [OPERATORS]

        await bob.post("/accounts/bob/pause")
        await ops.get("/operate/accounts/bob")
        assert "No new entries Paused by its owner" in ops.words
        await ops.get("/operate/switches")
        assert "bob resumes it" in ops.words
        await ops.post("/operate/switches/off", scope="account", target="bob", factor=PASSWORD)
        assert stops(place) == [("entries", "bob", "by the owner")]
        await ops.post("/operate/switches/off", scope="account", target="bob", factor=PASSWORD)
        assert stops(place) == [("entries", "bob", "by the owner")]
        await bob.get("/home")
        assert "Switched for account bob by bob." in bob.words
        assert "Only the operator" not in bob.words

        await ops.post("/operate/switches/on", **stop)
        await bob.get("/accounts/bob/disconnect")
        await bob.post("/accounts/bob/disconnect")
        assert stops(place) == [OPERATORS], "it waits for the account that replaces it"


async def test_an_account_that_replaces_a_stopped_one_is_stopped_whatever_its_name(
    tmp_path: Path,
) -> None:
    async def connect() -> None:
        await bob.get("/accounts/connect?exchange=paper")
        await bob.post("/accounts/connect", exchange="paper", balance="1000", factor=PASSWORD)

    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        bob = await place.person("bob", balance="1000")
        eve = await place.person("eve", balance="1000")
        await connect()
        stop = {"scope": "account", "target": "bob-2", "level": "entries", "note": OPERATORS[2]}
        await ops.get("/operate/switches")
        await ops.post("/operate/switches/on", **stop)
        for name in ("bob", "bob-2"):
            await bob.get(f"/accounts/{name}/disconnect")
            await bob.post(f"/accounts/{name}/disconnect")

        await connect()
        assert bob.path == "/accounts/bob", "bob-2 is free too, and not the first"
        assert "Switched for account bob by ops. Only the operator resumes it." in bob.words
        carried = ("entries", "ops", "stopped as bob-2, now disconnected: fraud case 17")
        assert stops(place) == [OPERATORS, carried]
        await connect()
        assert stops(place) == [OPERATORS, carried], "the second one has the name that is stopped"
        await connect()
        assert stops(place) == [OPERATORS, carried], "bob-2 is replaced: bob-3 is another account"
        await eve.get("/accounts/connect?exchange=paper")
        await eve.post("/accounts/connect", exchange="paper", balance="1000", factor=PASSWORD)
        assert stops(place) == [OPERATORS, carried], "and no stop of hers"
