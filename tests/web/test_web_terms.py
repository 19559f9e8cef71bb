"""Terms on pages: absurd ones are told beside their field and on the confirmation, a preview survives limits, what is stored is shown."""

from datetime import timedelta
from pathlib import Path

from web_place import PASSWORD, Browser, web_place

from engine.domain.person import Role
from engine.ledger.query import fetch_one

TERMS = {"mode": "live", "sizing": "fixed_margin", "size": "50", "leverage_mode": "capped", "leverage": "5", "symbols": "BTCUSDT"}


async def test_absurd_terms_are_told_beside_their_field_and_on_the_confirmation(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1000")
        way = f"/strategies/{strategy}/follow"
        absurd = {"0.0000001": "The smallest that trades now is 13.", "10000": "and the account is worth 1000: it is denied."}
        for size, told in absurd.items():
            for mode in ("live", "watch"):
                await bob.get(way)
                await bob.post(way, do="preview", **{**TERMS, "size": size, "mode": mode})
                beside = bob.text.partition('id="size"')[2].partition("<details")[0]
                assert told in beside
                await bob.post(way, do="agree", **{**TERMS, "size": size, "mode": mode})
                assert told in bob.words
                assert fetch_one(place.office.ledger.db, "SELECT 1 FROM subscription") is None, "nothing is agreed to in silence"
        await bob.get(way)
        await bob.post(way, do="agree", **{**TERMS, "leverage": "500"})
        assert "500x is more than the 5x that the strategy asks for at most" in bob.words
        await bob.post(way, factor=PASSWORD)  # a warning forbids nothing
        assert "done=subscribed" in bob.query
        await bob.get(way)
        assert "500x is more than the 5x" in bob.text.partition('id="leverage"')[2].partition("</fieldset>")[0]


async def test_ordinary_terms_to_watch_are_taken_at_once_and_shown_as_they_are_stored(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1000")
        await bob.get(f"/strategies/{strategy}/follow")
        await bob.post(f"/strategies/{strategy}/follow", do="agree", **{**TERMS, "mode": "watch", "size": "50,50", "daily_loss": "100"})
        assert "done=watching" in bob.query
        assert "Margin per trade: 50.5 USDT" in bob.words
        assert "Loss of a day100 USDT" in bob.words


async def test_paper_is_never_called_a_real_order(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1000")
        await bob.get(f"/strategies/{strategy}/follow")
        await bob.post(f"/strategies/{strategy}/follow", do="agree", **TERMS)
        assert "a real order" not in bob.words
        assert "a simulated order (no real money) on bob PAPER" in bob.words


async def test_new_terms_end_no_pause(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1000")
        way = f"/strategies/{strategy}/follow"
        await bob.get(way)
        await bob.post(way, do="agree", **{**TERMS, "mode": "watch"})
        await bob.post(f"/strategies/{strategy}/pause", account="bob")
        await bob.get(way)
        await bob.post(way, do="agree", **{**TERMS, "mode": "watch", "size": "40"})
        assert fetch_one(place.office.ledger.db, "SELECT state FROM subscription") == ("paused",)
        assert "Paused" in bob.words


async def test_a_preview_survives_every_limit_of_losses(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG", order_type="MARKET")
        bob = await place.person("bob", balance="1000")
        way = f"/strategies/{strategy}/follow"
        for limits in ({}, {"daily_loss": "100"}, {"drawdown_percent": "20"}, {"daily_loss": "0.5", "drawdown_percent": "1"}):
            await bob.get(way)
            await bob.post(way, do="preview", **{**TERMS, **limits})
            assert "BUY 0.003 BTCUSDT at about 65000" in bob.words, limits


async def test_the_sender_is_told_of_an_entry_that_is_too_old_for_every_follower(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        way, entry = f"/strategies/{strategy}/follow", {"action": "open", "symbol": "BTCUSDT", "side": "LONG", "order_type": "MARKET"}

        async def follow(name: str, **limits: str) -> Browser:
            browser = await place.person(name, balance="1000")
            await browser.get(way)
            await browser.post(way, do="agree", **{**TERMS, **limits})
            await browser.post(way, factor=PASSWORD)
            assert "done=subscribed" in browser.query
            return browser

        def old(seconds: float) -> str:
            return (place.clock.now() - timedelta(seconds=seconds)).isoformat()

        bob = await follow("bob", entry_age_s="3")
        told = await place.signal(strategy, **entry, sent_at=old(6))
        assert (told.mirrored, "older than every follower's own limit" in str(told.reason)) == (False, True)
        await place.until(lambda: fetch_one(place.office.ledger.db, "SELECT code FROM copy WHERE code IS NOT NULL") == ("expired",))
        await bob.get(f"/signals/{told.signal_id}/bob")
        assert "the limit is 3 s" in bob.words
        assert (await place.signal(strategy, **entry, sent_at=old(0.1))).mirrored
        await follow("carl")
        assert (await place.signal(strategy, **entry, sent_at=old(6))).mirrored
