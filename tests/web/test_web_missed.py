"""A trader learns why entries were missed, and where to change it."""

from pathlib import Path

import pytest
from api_place import program
from test_web_home import SETTINGS, follow
from test_web_shadow import note_a_price, seen_feeds
from web_place import PASSWORD, web_place

from engine.domain.outcome import EXPLANATIONS
from engine.domain.person import Role
from engine.ledger.query import fetch_one
from web.traders.signals import setting_page


@pytest.mark.parametrize("two_roles", [False, True])
async def test_a_missed_trade_is_counted_with_its_setting_and_what_it_would_have_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_roles: bool
) -> None:
    feeds = seen_feeds(monkeypatch)
    async with web_place(tmp_path, SETTINGS, two_roles=two_roles) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1000")
        await bob.get("/signals/missed")
        assert "Nothing was missed" in bob.words
        await follow(bob, strategy, "bob", "BTCUSDT")
        way = f"/strategies/{strategy}/follow"
        await bob.get(way)
        await bob.post(
            way,
            do="agree",
            mode="live",
            sizing="fixed_margin",
            size="100",
            leverage_mode="capped",
            leverage="5",
            symbols="BTCUSDT",
            order_notional="70",
        )
        await bob.post(way, factor=PASSWORD)
        done = "SELECT count(*) FROM copy WHERE code IS NOT NULL"
        for expected in (1, 2):
            await note_a_price(feeds[0])
            await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
            await place.until(lambda e=expected: fetch_one(place.context.ledger.db, done) == (e,))
        await bob.get("/signals/missed")
        assert "0 copied, 2 missed" in bob.words
        # 0.007 x 65000 bought, each alone and still held at that price: a fee of 0.2275 each
        assert "Limit: Max. order value2−0.46" in bob.words
        address = f"{way}?account=bob#order_notional"
        assert f'href="{address}">Change Max. order value</a>' in bob.text
        signal = fetch_one(place.context.ledger.db, "SELECT id FROM signal")
        assert signal is not None
        await bob.get(f"/signals/{signal[0]}/bob")
        assert f'href="{address}">Change Max. order value</a>' in bob.text
        for setting in {each.setting for each in EXPLANATIONS.values() if each.setting}:
            page, _, field = setting_page("bob", strategy, setting).partition("#")
            await bob.get(page)
            assert not field or bob.text.count(f'id="{field}"') == 1, (setting, page, field)
        asks = await program(place, bob)
        (week,) = (await asks.ask("/missed"))["weeks"]
        (why,) = week["reasons"]
        assert (why["count"], why["known"], why["result"]) == (2, 2, "-0.455")
        await bob.get(f"{way}?account=bob")
        await bob.post(f"/strategies/{strategy}/pause", account="bob")
        await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
        await place.until(lambda: fetch_one(place.context.ledger.db, done) == (3,))
        await bob.get("/signals/missed")
        assert f'href="/strategies/{strategy}#mine">Resume it</a>' in bob.text
        eve = await place.person("eve", balance="1000")
        await eve.get("/signals/missed")
        assert "Nothing was missed" in eve.words, "only of one's own accounts"
