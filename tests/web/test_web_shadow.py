"""Watching shows results: what was not traded stands on the strategy's page, and one press goes live
with the same terms.
"""

from pathlib import Path
from typing import Any

import pytest
from api_place import program
from web_place import PASSWORD, SETTINGS, WebPlace, web_place

from engine.domain.identifiers import Symbol
from engine.domain.person import Role
from engine.ledger.query import fetch_all
from engine.market.feed import MarketFeed

TERMS = {
    "mode": "watch",
    "sizing": "fixed_margin",
    "size": "50",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
    "order_notional": "1000",
}


def seen_feeds(monkeypatch: pytest.MonkeyPatch) -> list[MarketFeed]:
    """Return the list in which every feed that opens is put."""
    feeds = []

    class Feed(MarketFeed):
        def __init__(self, *given) -> None:  # type: ignore[no-untyped-def]
            super().__init__(*given)
            feeds.append(self)

    monkeypatch.setattr("engine.run.MarketFeed", Feed)
    return feeds


async def note_a_price(feed: MarketFeed) -> None:
    """Record a price of now, however slow the machine is."""
    quote = await feed.quote(Symbol("BTCUSDT"), 2)
    assert quote is not None
    feed.tape.note([quote])


async def _sent(place: WebPlace, feed: MarketFeed, strategy: str, action: str, **said: str) -> None:
    """Send a signal right after the feed has seen a price."""
    await note_a_price(feed)
    body = {"action": action, "symbol": "BTCUSDT", "order_type": "MARKET", **said}
    await place.signal(strategy, **body)
    db = place.context.ledger.db
    await place.until(lambda: not fetch_all(db, "SELECT 1 FROM copy WHERE code IS NULL"))


@pytest.mark.parametrize("two_roles", [False, True])
async def test_a_watched_trade_is_shown_as_not_traded_and_goes_live_with_the_same_terms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_roles: bool
) -> None:
    feeds = seen_feeds(monkeypatch)
    async with web_place(tmp_path, SETTINGS, two_roles=two_roles) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1000")
        address = f"/strategies/{strategy}"
        await bob.get(f"{address}/follow")
        await bob.post(f"{address}/follow", do="agree", **TERMS)
        assert "Not traded" in bob.words
        await bob.get(address)
        none = "No signal in the last 30 days, or none since prices have been recorded."
        assert none in bob.words
        live = place.engine.services.context.live
        task = None if live is None else live.named("bob")
        assert task is not None
        account: Any = task.account
        newest, account.last_report = account.last_report, None
        await bob.get(address)
        assert "The account has not been read yet, or the engine does not answer." in bob.words
        assert none not in bob.words
        account.last_report = newest

        await _sent(place, feeds[0], strategy, "open", side="LONG", leverage="5")
        await _sent(place, feeds[0], strategy, "close")
        await _sent(place, feeds[0], strategy, "open", side="SHORT", leverage="5")
        asks = await program(place, bob)
        told = await asks.ask(f"/accounts/bob/strategies/{strategy}/shadow")
        shadow = told["shadow"]
        assert (told["why_none"], shadow["is_whole"]) == ("", False)
        assert (shadow["result"], shadow["closed"], shadow["entries"]) == ("-0.2925", 1, 2)
        assert [each["side"] for each in shadow["positions"]] == ["SHORT"]
        assert shadow["curve"][-1]["pnl"] == shadow["result"]
        await bob.get(address)
        # 0.003 x 65000 in and out at one price: two fees of 0.0975, and one of what is open
        assert "What would have been since" in bob.words
        assert "P&L if copied−0.29USDT net of fees, −0.03 % of 1,000.00" in bob.words
        assert "; no closed position of a PAPER follower to compare" in bob.words
        assert "Trades10 won" in bob.words
        assert "Entries2 of 2would have been copied" in bob.words
        assert "Would be open nowBTCUSDT SHORT 0.003 from 65,000" in bob.words

        await bob.post(f"{address}/follow")
        assert bob.path == f"{address}/confirm"
        assert "Live: orders are sent" in bob.words
        assert "Margin per trade: 50 USDT" in bob.words
        assert "Max. order value1000 USDT" in bob.words
        await bob.post(f"{address}/follow", factor=PASSWORD)
        assert "done=subscribed" in bob.query
        assert "Not traded" not in bob.words
