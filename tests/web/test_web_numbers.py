"""Numbers in forms: the stored number is the one in the confirmation, and an ambiguous number is
refused at its field.
"""

import json
from pathlib import Path

import pytest
from web_place import Browser, WebPlace, web_place

from engine.domain.person import Role
from engine.ledger.query import fetch_all


def stored(place: WebPlace, sub: str = "policy") -> dict[str, object]:
    """Return the only agreement."""
    (row,) = fetch_all(place.context.ledger.db, f"SELECT {sub} FROM subscription")
    return dict(json.loads(row[0]))


async def terms(browser: Browser, strategy: str, do: str, status: int = 200, **typed: str) -> str:
    """Fill in the terms of a strategy and press a button."""
    await browser.get(f"/strategies/{strategy}/follow")
    said = {
        "mode": "live",
        "sizing": "fixed_margin",
        "size": "50",
        "leverage_mode": "capped",
        "leverage": "5",
        "symbols": "BTCUSDT",
    }
    return await browser.post(f"/strategies/{strategy}/follow", status, do=do, **{**said, **typed})


async def test_a_decimal_comma_is_confirmed_and_stored_as_what_it_means(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob", balance="1.234,50")
        await bob.get("/home")
        assert "1,234.50" in bob.words
        await terms(
            bob,
            strategy,
            "agree",
            size="12,5",
            daily_loss="1'000.50",
            leverage="2,5",
            slippage_bps="1 000",
        )
        assert all(each in bob.words for each in ("12.5 USDT", "1000.5 USDT", "2.5x", "1000 bps"))
        assert "12,5" not in bob.text
        await bob.post(f"/strategies/{strategy}/follow", factor="several calm words in a row")
        assert "done=subscribed" in bob.query
        policy = stored(place)
        assert policy["sizing"] == {"mode": "fixed_margin", "margin": "12.5"}
        assert policy["limits"] == {"daily_loss": "1000.5", "slippage_bps": 1000}
        assert policy["leverage"] == {"mode": "capped", "value": "2.5"}
        await bob.get(f"/strategies/{strategy}/follow")
        assert bob.value("size") == "12.5"


@pytest.mark.parametrize("text", ["1,234", "1e3", "NaN", "-5", "50." + "1" * 28, "\uff15\uff10"])
async def test_what_can_be_misread_is_refused_at_its_field_with_what_to_type(
    tmp_path: Path, text: str
) -> None:
    async with web_place(tmp_path) as place:
        master = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(master)
        bob = await place.person("bob", balance="10000")
        fields = ("size", "leverage", "order_notional", "open_positions", "entry_age_s")
        for do in ("agree", "preview"):
            shown = await terms(bob, strategy, do, 422, **dict.fromkeys(fields, text))
            assert all(f'value="{text}"' in shown for _ in fields)
            assert shown.count('class="field-error"') == len(fields)
        assert fetch_all(place.context.ledger.db, "SELECT 1 FROM subscription") == []
        await bob.get("/accounts/connect?exchange=paper")
        await bob.post(
            "/accounts/connect",
            422,
            exchange="paper",
            balance=text,
            factor="several calm words in a row",
        )
        await master.get("/studio/copy-trading/new")
        await master.post(
            "/studio/copy-trading/new",
            422,
            name="other",
            about="",
            symbols="BTCUSDT",
            leverage=text,
        )
        await master.get(f"/studio/strategies/{strategy}/addresses/tradingview")
        answer = await master.post(
            f"/studio/strategies/{strategy}/addresses/tradingview",
            422,
            days=text,
            pace=text,
            symbols="",
        )
        assert answer.count('class="field-error"') == 2
