"""An entry that rests at the exchange is shown as one, and cancelled once it is stopped."""

from pathlib import Path

import pytest
import trio
from api_place import program
from test_web_home import SETTINGS, followed
from web_place import PASSWORD, WebPlace, web_place

from engine.actors import resolver
from engine.domain.holding import Switch, SwitchLevel, SwitchScope
from engine.domain.person import Role
from engine.ledger.query import fetch_all
from engine.ledger.reports import clear_switch, set_switch

SELDOM_S = 3_600.0
LIMIT = "LONG0.007bobPAPERtrend64,000"


def codes(place: WebPlace) -> list[str]:
    rows = fetch_all(place.context.ledger.db, "SELECT code FROM copy ORDER BY signal_number")
    return [row[0] for row in rows]


async def not_yet(*_: object) -> None:
    """Let the exchange take its time with a cancellation."""


async def test_what_a_follower_stops_is_cancelled_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = trio.Event()

    def seldom(reads: int) -> float:
        """Let nothing but a wake-up make the resolver look a third time."""
        if reads == 1:
            return 0.1
        looked.set()
        return SELDOM_S

    monkeypatch.setattr(resolver, "resolution_due", seldom)
    async with web_place(tmp_path, SETTINGS) as place:
        bob, strategy = await followed(place)

        async def rest() -> None:
            nonlocal looked
            looked = trio.Event()
            await place.signal(
                strategy,
                action="open",
                symbol="BTCUSDT",
                side="LONG",
                order_type="limit",
                price="64000",
            )
            with trio.fail_after(60):
                await looked.wait()
            assert codes(place)[-1] == "placed"

        async def cancelled(times: int) -> None:
            await place.until(lambda: codes(place) == ["cancelled"] * times)

        await rest()
        for page in ("/positions", "/home"):
            await bob.get(page)
            assert "No position is open" in bob.words
            shown = bob.words.partition("Entries that rest at the exchange")[2]
            assert "".join(shown.partition("BTCUSDT")[2].split()).startswith(LIMIT), page
            assert "being cancelled" not in shown
        (entry,) = (await (await program(place, bob)).ask("/positions"))["resting"]
        assert (entry["symbol"], entry["limit_price"], entry["filled"]) == ("BTCUSDT", "64000", "0")
        for page in (f"/strategies/{strategy}/leave?account=bob", "/accounts/bob/disconnect"):
            await bob.get(page)
            assert "BTCUSDT LONG, an entry that has not filled" in bob.words, page
        await bob.post("/accounts/bob/disconnect", 422, keep="yes", factor=PASSWORD)
        assert "pause, which cancels what rests" in bob.words
        await bob.get("/home")
        await bob.post("/accounts/bob/pause")
        assert "Entries that rest at the exchange are cancelled" in bob.words
        await cancelled(1)
        await bob.get("/home")
        assert "Nothing is open" in bob.words
        await bob.post("/accounts/bob/resume")

        await rest()
        way = f"/strategies/{strategy}"
        await bob.get(way)
        await bob.post(f"{way}/pause", account="bob")
        await cancelled(2)
        await bob.get(way)
        await bob.post(f"{way}/resume", account="bob")

        await rest()
        ops = await place.person("ops", Role.OPERATOR)
        await ops.get("/operate/people/bob")
        assert "those that rest are cancelled (1 on the account now)." in ops.words
        assert "1 open position" not in ops.words
        await ops.post("/operate/people/suspend", bare=True, csrf=ops.csrf, name="bob", note="lent")
        assert "no new entries, and those that rest are cancelled; exits go on" in ops.words
        await cancelled(3)
        await place.engine.commands.run("user_resume", {"name": "bob"})
        await bob.get("/sign-in")
        await bob.post("/sign-in", name="bob", password=PASSWORD)
        await rest()
        reduce_only = Switch(
            scope=SwitchScope.ALL,
            target="",
            note="",
            set_by="ops",
            set_at=place.context.clock.now(),
            level=SwitchLevel.REDUCE,
        )
        with monkeypatch.context() as patched:
            patched.setattr(resolver, "take_back", not_yet)
            await place.context.ledger.write(lambda db: set_switch(db, reduce_only))
            await bob.get("/home")
            assert "Positions can only shrink" in bob.words
            assert "1 resting entry is being cancelled" in bob.words
            await place.context.ledger.write(
                lambda db: clear_switch(db, SwitchScope.ALL, "", "ops", reduce_only.set_at)
            )
            await bob.get("/home")
            assert "being cancelled" not in bob.words
            await bob.get(f"{way}/leave?account=bob")
            await bob.post(f"{way}/leave", account="bob", close="no")
            assert "1 resting entry is being cancelled" in bob.words
            shown = bob.words.partition("Entries that rest at the exchange")[2]
            assert "being cancelled" in shown.partition("Accounts")[0]
        await place.context.changed()
        await cancelled(4)
