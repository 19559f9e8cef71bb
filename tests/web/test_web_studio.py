"""The master's pages show the margin of everything open."""

from pathlib import Path

from web_place import PASSWORD, Browser, WebPlace, web_place

from engine.domain.identifiers import StrategyId
from engine.domain.person import Role
from engine.ledger.query import fetch_all
from engine.ledger.studio import audience_of

TERMS = {
    "mode": "live",
    "sizing": "fixed_notional",
    "size": "130",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
}
ENTRY = {"symbol": "BTCUSDT", "side": "LONG", "order_type": "MARKET", "leverage": "5"}


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
        assert audience_of(db, StrategyId(strategy)).margin == {"paper": 26}
        await place.signal(strategy, action="add", **ENTRY)
        await place.until(lambda: shares() == [("0.004", "260")])
        assert audience_of(db, StrategyId(strategy)).margin == {
            "paper": 52
        }  # not 26, which the newest attempt alone has
        await master.get(f"/studio/strategies/{strategy}")
        assert "Margin in what is open PAPER: 52.00 USDT" in master.words
        await place.signal(
            strategy,
            action="reduce",
            symbol="BTCUSDT",
            size={"mode": "fraction", "fraction": "0.5"},
        )
        await place.until(lambda: shares() == [("0.002", "130")])
        assert audience_of(db, StrategyId(strategy)).margin == {"paper": 26}
