"""What lowers risk through the API: done by the service of its page, once under a key, and written
down with the name of the token.
"""

import json
from pathlib import Path

from api_place import program
from test_web_home import SETTINGS, exits, follow, held
from web_place import WebPlace, web_place

from engine.domain.person import Role
from engine.ledger.query import fetch_all

CLOSE = "/accounts/bob/positions/BTCUSDT/close"


async def enter(place: WebPlace, strategy: str) -> None:
    """Let bob's account enter, and wait until it holds."""
    await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
    await place.until(lambda: held(place) == [("bob", "BTCUSDT")])


async def test_a_deed_is_done_once_under_its_key_and_told_in_the_audit(tmp_path: Path) -> None:
    """In two processes: a deed is asked of the engine, which reads the token again."""
    async with web_place(tmp_path, SETTINGS, two_roles=True) as place:
        ada = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(ada)
        bob = await place.person("bob", balance="1000")
        await follow(bob, strategy, "bob", "BTCUSDT")
        await enter(place, strategy)
        asks = await program(place, bob, "reduce")

        async def do(path: str, key: str = "", status: int = 200) -> object:
            headers = {"Idempotency-Key": key} if key else {}
            told = await asks.ask(path, status, "POST", **headers)
            return told["repeated"] if status == 200 else told["error"]

        assert await do(CLOSE, "k-1") is False
        await place.until(lambda: held(place) == [])
        assert await do(CLOSE, "k-1") is True
        assert await do(CLOSE, "k-2", 409) == "refused"
        await enter(place, strategy)
        assert await do(CLOSE, "k-1") is True
        assert held(place) == [("bob", "BTCUSDT")], "the key closed the earlier position"
        assert exits(place) == 1
        assert await do("/accounts/bob/flatten", "k-1", 409) == "conflict"
        assert await do("/accounts/bob/flatten", "k 3", 422) == "invalid"
        assert await do("/accounts/bob/flatten", "k-3") is False
        await place.until(lambda: held(place) == [])
        account = await asks.ask("/accounts/bob")
        assert (account["paused"], account["level"], account["open_shares"]) == (True, "flatten", 0)
        await bob.get("/home")
        await bob.post("/accounts/bob/resume")
        assert await do("/accounts/bob/flatten", "k-3") is True
        assert (await asks.ask("/accounts/bob"))["paused"] is False, "nothing was done again"

        way = f"/accounts/bob/strategies/{strategy}/pause"
        assert await do(way) is False
        (agreement,) = (await asks.ask("/agreements"))["agreements"]
        assert (agreement["state"], agreement["takes_entries"]) == ("paused", False)
        assert await do("/accounts/bob/pause") is False
        assert await do("/accounts/bob/strategies/str_none/pause", status=404) == "not_found"

        masters = await program(place, ada, "pause")
        own = f"/studio/strategies/{strategy}/pause"
        assert await do(own, status=404) == "not_found", "bob is no master"
        for repeated in (False, True):
            told = await masters.ask(own, 200, "POST", **{"Idempotency-Key": "m-1"})
            assert told["repeated"] is repeated
        (mine,) = (await masters.ask("/studio/strategies"))["strategies"]
        assert mine["state"] == "paused"
        await ada.get(f"/studio/strategies/{strategy}")
        await ada.post(f"/studio/strategies/{strategy}/state", state="retired")
        assert "retired" in (await masters.ask(own, 409, "POST"))["message"]

        rows = fetch_all(
            place.context.ledger.db,
            "SELECT act, by, data FROM audit WHERE data LIKE '%my reduce%' ORDER BY number",
        )
        assert [(act, by) for act, by, _ in rows] == [
            ("token_made", "bob"),
            ("position_closed", "bob"),
            ("switched_on", "bob"),
            ("strategy_paused", "bob"),
            ("switched_on", "bob"),
        ]
        assert all(json.loads(data)["token"] == "my reduce" for _, _, data in rows[1:])
