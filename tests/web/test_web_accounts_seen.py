"""What an operator sees of an account, and that its owner sees who looked."""

from datetime import timedelta
from pathlib import Path

import pytest
from web_place import PASSWORD, web_place

from engine.domain.person import Role
from engine.ledger.query import fetch_all

TERMS = {
    "mode": "live",
    "sizing": "fixed_notional",
    "size": "130",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
    "daily_loss": "50",
}


@pytest.mark.parametrize("two_roles", [False, True])
async def test_an_operator_sees_money_terms_outcomes_and_orders_and_the_owner_who_looked(
    tmp_path: Path, two_roles: bool
) -> None:
    async with web_place(tmp_path, two_roles=two_roles) as place:
        context = place.engine.services.context
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        ops, bob = await place.person("ops", Role.OPERATOR), await place.person("bob")
        await bob.get("/accounts/connect?exchange=paper")
        await bob.post("/accounts/connect", exchange="paper", balance="1000", factor=PASSWORD)
        assert context.live is not None
        task = context.live.named("bob")
        assert task is not None
        await task.account.wait_read()
        way = f"/strategies/{strategy}/follow"
        await bob.get(way)
        await bob.post(way, do="agree", **TERMS)
        await bob.post(way, factor=PASSWORD)
        await bob.get("/accounts/bob")
        assert "No operator has opened its page." in bob.words

        for sent in ({"action": "open", "side": "LONG"}, {"action": "add", "side": "LONG"}):
            await place.signal(strategy, symbol="BTCUSDT", **sent)
        done = "SELECT 1 FROM copy WHERE code = 'filled'"
        await place.until(lambda: len(fetch_all(context.ledger.db, done)) == 2)

        ops.headers["X-Only-Looks"] = "yes"
        await ops.get("/operate/accounts/bob?check=yes&plan=yes")
        assert "Checked now" not in ops.words, "it would ask the exchange at each change"
        assert "Compared with the exchange" not in ops.words
        await bob.get("/accounts/bob")
        assert "ops opened its page" in bob.words, (
            "a look is noted whatever the page says of itself"
        )
        del ops.headers["X-Only-Looks"]
        await ops.get("/operate/accounts/bob?check=yes&plan=yes")
        assert "Checked now" in ops.words
        assert "Compared with the exchange" in ops.words
        for told in ("Value per trade: 130 USDT", "50 USDT", "Filled", "entry", "trend", "of bob"):
            assert told in ops.words, told
        assert ops.text.count('<td data-label="Order">') == 2
        await bob.get("/accounts/bob")
        assert "ops opened its page, last" in bob.words


async def test_looks_within_an_hour_are_one_look(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        await place.person("bob", balance="1000")
        db = place.context.ledger.db
        for passed, looks in ((0, 1), (10, 1), (45, 1), (10, 2)):
            place.clock.passed += timedelta(minutes=passed)
            await place.engine.commands.run("account_view", {"name": "bob", "by": "ops"})
            rows = fetch_all(db, "SELECT count(*) FROM audit WHERE act = 'account_viewed'")
            assert rows == [(looks,)], passed
