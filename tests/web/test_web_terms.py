"""Terms on pages: a warning beside its field and on the confirmation, a preview within limits, and
the stored terms shown.
"""

from datetime import timedelta
from pathlib import Path

import pytest
from web_place import PASSWORD, Browser, web_place

from engine.commands import Commands
from engine.domain.identifiers import Symbol
from engine.domain.person import Role
from engine.ledger.query import fetch_all, fetch_one

TERMS = {
    "mode": "live",
    "sizing": "fixed_margin",
    "size": "50",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
}


async def test_absurd_terms_are_told_beside_their_field_and_on_the_confirmation(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1000")
        way = f"/strategies/{strategy}/follow"
        absurd = {
            "0.0000001": "The smallest that trades now is 13.",
            "10000": "and the account is worth 1,000.00: it is denied.",
        }
        for size, told in absurd.items():
            for mode in ("live", "watch"):
                await bob.get(way)
                await bob.post(way, do="preview", **{**TERMS, "size": size, "mode": mode})
                beside = bob.text.partition('id="size"')[2].partition("<details")[0]
                assert told in beside
                await bob.post(way, do="agree", **{**TERMS, "size": size, "mode": mode})
                assert told in bob.words
                assert fetch_one(place.context.ledger.db, "SELECT 1 FROM subscription") is None, (
                    "nothing is agreed to in silence"
                )
        await bob.get(way)
        await bob.post(way, do="agree", **{**TERMS, "leverage": "500"})
        assert "500x is more than the 5x that the strategy asks for at most" in bob.words
        await bob.post(way, factor=PASSWORD)  # a warning forbids nothing
        assert "done=subscribed" in bob.query
        await bob.get(way)
        assert (
            "500x is more than the 5x"
            in bob.text.partition('id="leverage"')[2].partition("</fieldset>")[0]
        )


async def test_ordinary_terms_to_watch_are_taken_at_once_and_shown_as_they_are_stored(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1000")
        await bob.get(f"/strategies/{strategy}/follow")
        await bob.post(
            f"/strategies/{strategy}/follow",
            do="agree",
            **{**TERMS, "mode": "watch", "size": "50,50", "daily_loss": "100"},
        )
        assert "done=watching" in bob.query
        assert "Margin per trade: 50.5 USDT" in bob.words
        assert "Daily loss limit100 USDT" in bob.words


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
        assert fetch_one(place.context.ledger.db, "SELECT state FROM subscription") == ("paused",)
        assert "Paused" in bob.words


async def test_only_agreeing_anew_brings_back_who_left(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1000")
        way = f"/strategies/{strategy}/follow"

        def state() -> object:
            row = fetch_one(place.context.ledger.db, "SELECT state FROM subscription")
            return None if row is None else row[0]

        await bob.get(way)
        await bob.post(way, do="agree", **{**TERMS, "mode": "watch"})
        for _ in range(2):  # leaving again may close what is still open
            await bob.get(f"/strategies/{strategy}/leave?account=bob")
            await bob.post(f"/strategies/{strategy}/leave", account="bob")
            assert state() == "left"
        for act in ("resume", "pause", "consent"):
            await bob.get(way)
            await bob.post(f"/strategies/{strategy}/{act}", 404, account="bob", factor=PASSWORD)
            assert state() == "left", act
        await bob.get(way)
        await bob.post(way, do="agree", **{**TERMS, "mode": "watch"})
        assert state() == "active"


async def test_a_preview_survives_every_limit_of_losses(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        await place.signal(
            strategy, action="open", symbol="BTCUSDT", side="LONG", order_type="MARKET"
        )
        bob = await place.person("bob", balance="1000")
        way = f"/strategies/{strategy}/follow"
        for limits in (
            {},
            {"daily_loss": "100"},
            {"drawdown_percent": "20"},
            {"daily_loss": "0.5", "drawdown_percent": "1"},
        ):
            await bob.get(way)
            await bob.post(way, do="preview", **{**TERMS, **limits})
            assert "BUY 0.003 BTCUSDT at about 65000" in bob.words, limits


async def test_a_preview_refuses_a_signal_that_came_too_late_for_the_terms(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        entry = {"action": "open", "symbol": "BTCUSDT", "side": "LONG", "order_type": "MARKET"}
        decided = place.clock.now() - timedelta(seconds=30)
        await place.signal(strategy, **entry, price="64000", sent_at=decided.isoformat())
        await place.signal(strategy, **entry, price="63000")
        bob = await place.person("bob", balance="1000")
        way = f"/strategies/{strategy}/follow"
        await bob.get(way)
        await bob.post(way, do="preview", **{**TERMS, "entry_age_s": "5"})
        assert "BUY 0.003 BTCUSDT at about 63000" in bob.words
        assert "at about 64000" not in bob.words
        assert "Too late to enter: the signal was 3" in bob.words
        assert "the limit is 5 s" in bob.words
        assert "Max. slippage is not judged here" in bob.words


async def test_the_sender_is_told_of_an_entry_that_is_too_old_for_every_follower(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        way, entry = (
            f"/strategies/{strategy}/follow",
            {"action": "open", "symbol": "BTCUSDT", "side": "LONG", "order_type": "MARKET"},
        )

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
        reception = await place.signal(strategy, **entry, sent_at=old(6))
        assert (
            reception.mirrored,
            "older than every follower's own limit" in str(reception.reason),
        ) == (
            False,
            True,
        )
        await place.until(
            lambda: (
                fetch_one(place.context.ledger.db, "SELECT code FROM copy WHERE code IS NOT NULL")
                == ("expired",)
            )
        )
        await bob.get(f"/signals/{reception.signal_id}/bob")
        assert bob.words.count("the limit is 3 s") == 2, "the sentence, and its history"
        assert "Limit" not in bob.words, "the sentence tells the number"
        assert (await place.signal(strategy, **entry, sent_at=old(0.1))).mirrored
        await follow("carl")
        assert (await place.signal(strategy, **entry, sent_at=old(6))).mirrored


async def test_an_absurd_strategy_is_told_beside_its_field_and_stored_only_when_sent_once_more(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        ada = await place.person("ada", Role.MASTER)

        def stored() -> list[tuple[object, ...]]:
            return fetch_all(
                place.context.ledger.db, "SELECT name, symbols, leverage FROM strategy"
            )

        new, said = (
            "/studio/copy-trading/new",
            {"name": "trend", "about": "", "symbols": "BTCUSDT", "leverage": "500"},
        )
        await ada.get(new)
        await ada.post(new, 422, **said, factor=PASSWORD)
        warning = "BTCUSDT takes 1x to 100x at paper: an entry at 500x is denied."
        assert warning in ada.text.partition('id="leverage"')[2]
        assert f"Look at these firstLeverage: {warning}" in ada.words
        await ada.post(new, 422, **{**said, "leverage": "600"})
        assert "an entry at 600x" in ada.words, "what was shown and confirmed was 500x"
        assert stored() == []
        await ada.post(new, **{**said, "leverage": "600"})
        assert stored() == [("trend", '["BTCUSDT"]', "600")]
        row = fetch_one(place.context.ledger.db, "SELECT id FROM strategy")
        assert row is not None
        way = f"/studio/strategies/{row[0]}"
        await ada.get(way)
        assert "an entry at 600x" in ada.text.partition('id="leverage"')[2]
        await ada.post(
            f"{way}/describe", about="calm", symbols="BTCUSDT", leverage="600"
        )  # nothing absurd is new
        await ada.get(way)
        await ada.post(f"{way}/describe", 422, about="calm", symbols="NOPEUSDT", leverage="5")
        assert (
            "NOPEUSDT is not traded at paper: no follower can copy it."
            in ada.text.partition('id="symbols"')[2]
        )
        assert stored() == [("trend", '["BTCUSDT"]', "600")]
        await ada.post(f"{way}/describe", about="calm", symbols="BTCUSDT", leverage="5,0")
        assert stored() == [("trend", '["BTCUSDT"]', "5")]
        assert "is denied" not in ada.words


async def test_a_provisioning_file_is_compared_with_the_money_of_its_accounts(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        declared = {
            "master": [{"name": "alpha"}],
            "strategy": [
                {"name": "trend", "master": "alpha", "symbols": ["BTCUSDT"], "leverage": "5"}
            ],
            "follower": [
                {
                    "name": "f1",
                    "exchange": "paper",
                    "secret": "paper:1000:f1",
                    "strategy": "trend",
                    "sizing": {"mode": "fixed_margin", "margin": "10000"},
                }
            ],
        }
        answer = await Commands(place.context).run("provision", {"table": declared})
        (warning,) = answer["warnings"]
        assert (warning["what"], warning["followers"], warning["field"]) == (
            "terms of trend",
            ["f1"],
            "size",
        )
        assert (
            "and the account is worth 1,000.00: it is denied. The smallest that trades now is 13."
            in warning["sentence"]
        )
        assert answer["not_read"] == []


async def test_following_begins_with_sensible_limits_and_says_what_they_mean(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1000")
        way = f"/strategies/{strategy}/follow"
        await bob.get(way)
        assert 'preset=careful" aria-current="true"' in bob.text
        limits = ("open_positions", "daily_loss", "account_margin", "drawdown_percent")
        assert [bob.value(each) for each in limits] == ["3", "20", "200", "10"]
        assert bob.value("size") == "20"
        assert "BTCUSDT never trades0.000.00" in bob.words, "20 USDT at 3x are below 65 USDT"
        await bob.get(f"{way}?preset=balanced")
        assert [bob.value(each) for each in limits] == ["5", "50", "500", "20"]
        assert "One entry: 39.00 USDT of margin, 3.9 % of this account." in bob.words
        assert "At most 500.00 USDT of margin, 50.0 % of this account, adds with it" in bob.words
        await bob.get(f"{way}?preset=greedy")
        assert bob.value("size") == "20"


async def test_what_is_typed_is_explained_and_never_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1000")
        way = f"/strategies/{strategy}"
        await bob.get(f"{way}/follow")
        csrf = bob.csrf
        asked = {"account": "bob", "csrf": csrf, **TERMS}
        await bob.post(f"{way}/meaning", bare=True, **asked)
        assert "<h1" not in bob.text, "a part of the page"
        assert "One entry: 39.00 USDT of margin" in bob.words
        assert "can go beyond that: only Max. margin limits the sum, and none is set" in bob.words
        assert "At most" not in bob.words
        await bob.post(f"{way}/meaning", bare=True, **{**asked, "account_margin": "60"})
        assert "At most 60.00 USDT of margin, 6.0 % of this account" in bob.words
        await bob.post(f"{way}/meaning", bare=True, **{**asked, "size": "0.01"})
        assert "Nothing trades under these terms" in bob.words
        assert "Only a signal decides" not in bob.words
        await bob.post(
            f"{way}/meaning", bare=True, **{**asked, "sizing": "multiplier", "size": "1"}
        )
        assert "Only a signal decides how large an entry is. Set" in bob.words
        feed = place.context.feeds["paper"]

        async def no_price(symbol: Symbol, age_s: float) -> None:
            """Answer as a feed does that could not read."""

        with monkeypatch.context() as broken:
            broken.setattr(feed, "quote", no_price)
            await bob.post(f"{way}/meaning", bare=True, **asked)
            assert "BTCUSDT: no price now, so the margin needed" in bob.words
            broken.setattr(feed, "instrument", lambda symbol: None)
            await bob.post(f"{way}/meaning", bare=True, **asked)
            assert "BTCUSDT: not listed at this exchange, so the margin needed" in bob.words
        await bob.post(
            f"{way}/meaning", bare=True, **{**asked, "size": "<b>x</b>", "leverage": "0"}
        )
        assert "Order size: expected" in bob.words
        assert "Leverage: expected" in bob.words
        assert "<b>x" not in bob.text
        eve = await place.person("eve", balance="1000")
        await eve.get(f"{way}/follow")
        await eve.post(f"{way}/meaning", 404, bare=True, **{**asked, "csrf": eve.csrf})
        assert fetch_one(place.context.ledger.db, "SELECT 1 FROM subscription") is None
        await bob.get(f"{way}/follow")
        assert bob.value("size") == "20", "what was only typed is not shown as if it were stored"
