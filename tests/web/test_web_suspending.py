"""An operator suspends a person: sessions end, sign-in is refused like any failure, entries pause,
exits go on, and everything comes back.
"""

from pathlib import Path

import pytest
from web_place import PASSWORD, Browser, WebPlace, web_place

from engine.domain.errors import InvalidValue, NothingThere
from engine.domain.person import Role
from engine.ledger.query import fetch_all
from web.devices import device

TERMS = {
    "mode": "live",
    "sizing": "fixed_notional",
    "size": "130",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
}


async def following(place: WebPlace) -> tuple[str, Browser]:
    """Let bob follow a strategy of ada; return its id and bob's browser."""
    strategy = await place.strategy(await place.person("ada", Role.MASTER))
    bob = await place.person("bob", balance="1000")
    way = f"/strategies/{strategy}/follow"
    await bob.get(way)
    await bob.post(way, do="agree", **TERMS)
    await bob.post(way, factor=PASSWORD)
    assert "done=subscribed" in bob.query, bob.words
    return strategy, bob


async def outcome(place: WebPlace, strategy: str, **body: object) -> str:
    """Send a signal; return the outcome of its only copy."""
    told = await place.signal(strategy, symbol="BTCUSDT", **body)
    sql = (
        "SELECT code FROM copy JOIN signal ON signal.number = signal_number WHERE signal.id = ? "
        "AND code IS NOT NULL AND code NOT IN ('placed', 'partially_filled', 'unknown')"
    )
    db = place.context.ledger.db
    await place.until(lambda: fetch_all(db, sql, (told.signal_id,)))
    return str(fetch_all(db, sql, (told.signal_id,))[0][0])


async def test_a_suspended_person_is_out_and_their_exits_go_on(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy, bob = await following(place)
        ops = await place.person("ops", Role.OPERATOR)
        entry = {"action": "open", "side": "LONG"}
        assert await outcome(place, strategy, **entry) == "filled"

        await ops.get("/operate/people")
        await ops.post("/operate/people/suspend", bare=True, csrf=ops.csrf, name="bob", note="lent")
        assert "by ops: lent" in ops.words
        await bob.get("/home")
        assert bob.path == "/sign-in"
        answers = []
        for password in (PASSWORD, "wrong words in a row"):
            await bob.post("/sign-in", 422, name="bob", password=password)
            answers.append(bob.words)
        assert answers[0] == answers[1]

        assert await outcome(place, strategy, action="close") == "filled"
        assert await outcome(place, strategy, **entry) == "skipped.entries_off"
        await ops.get("/operate/switches")
        assert "suspended: lent" in ops.words
        needs = (await place.engine.commands.run("status", {}))["needs"]
        assert "rexalgo user resume bob" in [each["do"] for each in needs]

        run = place.engine.commands.run
        with pytest.raises(InvalidValue, match="rexalgo user resume bob"):
            await run("user_link", {"name": "bob"})
        await ops.get("/operate/people")
        await ops.post(
            "/operate/people/resume", bare=True, csrf=ops.csrf, name="bob", factor=PASSWORD
        )
        await bob.get("/sign-in")
        await bob.post("/sign-in", name="bob", password=PASSWORD)
        assert bob.path == "/home"
        assert await outcome(place, strategy, **entry) == "filled"
        acts = [each["act"] for each in (await run("audit", {"search": "bob"}))["audit"]]
        for act in ("person_suspended", "sign_in_refused", "person_resumed"):
            assert act in acts
        with pytest.raises(NothingThere, match="is not suspended"):
            await run("user_resume", {"name": "bob"})


async def test_a_suspended_masters_strategies_take_no_entries_and_nobody_suspends_themselves(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        strategy, _ = await following(place)
        run = place.engine.commands.run
        told = await run("user_suspend", {"name": "ada", "by": "root"})
        assert (told["changed"], told["strategies"]) == (True, ["trend"])
        assert await outcome(place, strategy, action="open", side="LONG") == "skipped.entries_off"
        assert not (await run("user_suspend", {"name": "ada"}))["changed"]
        with pytest.raises(InvalidValue, match="nobody suspends themselves"):
            await run("user_suspend", {"name": "bob", "by": "bob", "address": "192.0.2.1"})
        with pytest.raises(InvalidValue, match="at most 200 characters"):
            await run("user_suspend", {"name": "bob", "note": "x" * 201})


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
            "like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/126.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("curl/8.7.1", "curl/8.7.1"),
        ("x" * 300, "x" * 39 + "…"),
        ("\u202e\x00evil text", "evil"),
        ("", "unknown"),
    ],
)
def test_a_session_shows_a_short_device(agent: str, shown: str) -> None:
    assert device(agent) == shown
