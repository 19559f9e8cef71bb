"""The master's pages show the margin of everything open."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from web_place import PASSWORD, Browser, WebPlace, web_place

from engine.domain.identifiers import StrategyId
from engine.domain.person import Role
from engine.ledger.query import fetch_all
from engine.ledger.studio import OpenCost, audience_of, open_costs_of

TERMS = {
    "mode": "live",
    "sizing": "fixed_notional",
    "size": "130",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
}
ENTRY = {"symbol": "BTCUSDT", "side": "LONG", "order_type": "MARKET", "leverage": "5"}


def margins(db: Any, strategy: str) -> Mapping[str, Decimal]:
    """Return the margin of what is open, read a share at a time."""
    costs = list[OpenCost]()
    page, after = open_costs_of(db, StrategyId(strategy), 1)
    while after is not None:
        costs += page
        page, after = open_costs_of(db, StrategyId(strategy), 1, after)
    return audience_of((), (), costs + page).margin


async def follow(place: WebPlace, strategy: str, name: str) -> Browser:
    browser = await place.person(name, balance="1000")
    await browser.get(f"/strategies/{strategy}/follow")
    await browser.post(f"/strategies/{strategy}/follow", do="agree", **TERMS)
    await browser.post(f"/strategies/{strategy}/follow", factor=PASSWORD)
    return browser


async def test_margin_in_what_is_open_is_that_of_the_whole_position(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        master = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(master)
        await follow(place, strategy, "bob")
        db = place.context.ledger.db

        def shares() -> list[tuple[object, ...]]:
            return fetch_all(db, "SELECT share, (SELECT cost FROM book) FROM holding")

        await place.signal(strategy, action="open", **ENTRY)
        await place.until(lambda: shares() == [("0.002", "130")])
        assert margins(db, strategy) == {"paper": 26}
        await place.signal(strategy, action="add", **ENTRY)
        await place.until(lambda: shares() == [("0.004", "260")])
        assert margins(db, strategy) == {"paper": 52}  # not 26, which the newest attempt alone has
        await master.get(f"/studio/strategies/{strategy}")
        assert "PAPER Margin in use: 52.00 USDT" in master.words
        await place.signal(
            strategy,
            action="reduce",
            symbol="BTCUSDT",
            size={"mode": "fraction", "fraction": "0.5"},
        )
        await place.until(lambda: shares() == [("0.002", "130")])
        assert margins(db, strategy) == {"paper": 26}


async def test_the_way_from_nothing_to_a_settled_signal_says_what_is_next(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        master = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(
            master, state="draft", symbols="BTCUSDT, ABCUSDT", confirmed="5 ABCUSDT BTCUSDT"
        )
        page = f"/studio/strategies/{strategy}"
        await master.get(page)
        assert "From nothing to a settled signal2 of 7 done" in master.words
        assert "BTCUSDT: Paper exchange, 1x to 100x." in master.words
        assert "ABCUSDT: no exchange here lists it, so nobody can copy it." in master.words
        assert "Only programs on this machine reach http://127.0.0.1" in master.words

        await master.post(f"{page}/describe", about="", symbols="BTCUSDT", leverage="5")
        await master.post(f"{page}/test", action="open", symbol="BTCUSDT", side="LONG")
        await master.get(page)
        assert "4 of 7 done" in master.words, "a test from the page is no proof of a sender"
        await place.signal(strategy, action="close", symbol="BTCUSDT", test=True)
        await master.post(f"{page}/state", state="published", factor=PASSWORD)
        await follow(place, strategy, "bob")
        await place.signal(strategy, action="open", **ENTRY)
        db = place.context.ledger.db
        await place.until(lambda: not fetch_all(db, "SELECT 1 FROM copy WHERE code IS NULL"))
        await place.until(lambda: fetch_all(db, "SELECT 1 FROM delivery WHERE peer != 'this page'"))
        await master.get(page)
        assert "From nothing" not in master.words, "all is done"


async def test_a_master_sees_the_copied_part_and_why_the_rest_was_not(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        master = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(master)
        bob = await follow(place, strategy, "bob")
        paused = await follow(place, strategy, "eve")
        await paused.get(f"/strategies/{strategy}")
        await paused.post(f"/strategies/{strategy}/pause", account="eve")
        sent = await place.signal(strategy, action="open", **ENTRY)
        db = place.context.ledger.db
        await place.until(lambda: not fetch_all(db, "SELECT 1 FROM copy WHERE code IS NULL"))
        await master.get(f"/studio/strategies/{strategy}")
        assert "Copied PAPER 50 %1 of 2 copies of the newest 20 entries" in master.words
        assert "1 They paused the strategy" in master.words

        await master.get(f"/studio/strategies/{strategy}/signals/{sent.signal_id}")
        assert "Copies2one for each account that follows" in master.words
        assert "The order was filled1" in master.words
        assert "They paused the strategy1" in master.words
        assert "bob" not in master.words, "no follower is named"
        other = await place.strategy(master, "other")
        await master.get(f"/studio/strategies/{other}/signals/{sent.signal_id}", 404)

        await bob.get(f"/signals/{sent.signal_id}/bob")
        assert bob.words.count("65,000") == 3, "the sentence, its history and the order"
        assert "Price65" not in bob.words, "the order's row has it"
        assert "65000" not in bob.words


async def test_a_refused_delivery_has_a_message_to_paste_instead(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        master = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(master)
        await place.signal(strategy, action="close", symbol="BTCUSDT", side="UP")
        db = place.context.ledger.db
        await place.until(lambda: fetch_all(db, "SELECT 1 FROM delivery"))
        await master.get(f"/studio/strategies/{strategy}/deliveries")
        assert "side: expected" in master.words
        assert "A message to paste instead" in master.words
        assert '"action": "close"' in master.words
