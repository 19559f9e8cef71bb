"""The operator's pages claim no more than is known."""

from pathlib import Path

import pytest
from web_place import PASSWORD, web_place

from engine.domain.alert import AlertCode
from engine.domain.person import Role
from engine.ledger import Database
from engine.ledger.alerts import raise_alert
from engine.ledger.query import fetch_all


async def test_the_operators_pages_claim_no_more_than_is_known(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        await ops.get("/operate/switches")
        assert "No switch is on." in ops.words
        assert "Exchanges: none." in ops.words, (
            "an exchange without an account cannot be switched, and is not offered"
        )
        await place.person("bob", balance="1000")
        await ops.get("/operate/switches")
        assert "Exchanges: paper." in ops.words
        await ops.post("/operate/switches/on", level="entries", scope="exchange", target="paper")
        await ops.get("/operate")
        assert "Switches that are on: exchange paper (no new entries, by ops)" in ops.words
        await ops.get("/operate/webhooks")
        assert "No refused delivery is recorded." in ops.words


RESIDUE = {"symbol": "BTCUSDT", "quantity": "1", "cause": "the exchange refused it"}
TERMS = {
    "mode": "live",
    "sizing": "fixed_notional",
    "size": "130",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
}


@pytest.mark.parametrize("two_roles", [False, True])
async def test_a_guide_leads_to_the_first_copied_signal_and_a_stop_tells_what_it_touches(
    tmp_path: Path, two_roles: bool
) -> None:
    async with web_place(tmp_path, two_roles=two_roles) as place:
        db = place.engine.services.context.ledger.db
        ops = await place.person("ops", Role.OPERATOR)
        await ops.get("/operate")
        assert "To the first copied signal" in ops.words
        assert "Trading Everything" not in ops.words, "nothing is there that could be stopped"
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob = await place.person("bob")
        await bob.get("/accounts/connect?exchange=paper")
        await bob.post("/accounts/connect", exchange="paper", balance="1000", factor=PASSWORD)
        live = place.engine.services.context.live
        task = None if live is None else live.named("bob")
        assert task is not None
        await task.account.wait_read()
        way = f"/strategies/{strategy}/follow"
        await bob.get(way)
        await bob.post(way, do="agree", **TERMS)
        await bob.post(way, factor=PASSWORD)
        await ops.get("/operate")
        assert ops.text.count("> Done<") + ops.text.count("</svg>Done<") == 5

        await place.signal(strategy, symbol="BTCUSDT", action="open", side="LONG")
        done = "SELECT 1 FROM copy WHERE code = 'filled'"
        await place.until(lambda: fetch_all(db, done))
        await ops.get("/operate")
        assert "To the first copied signal" not in ops.words
        told = "Stopping touches 1 account PAPER and 1 strategy. 1 open position stays, and exits go on."
        assert told in ops.words
        await ops.post("/operate/switches/on")
        assert ops.path == "/operate"
        assert "everything (no new entries, by ops), until somebody resumes" in ops.words
        assert "Resuming takes entries again on 1 account of 1 strategy" in ops.words
        await ops.post("/operate/switches/off", factor=PASSWORD)
        assert ops.path == "/operate"
        assert "No order waits" in ops.words or "no order waits" in ops.words

        await ops.get("/operate/accounts/bob")
        await ops.post("/operate/switches/on")
        assert ops.path == "/operate/accounts/bob"
        assert fetch_all(db, "SELECT scope, target, level FROM switch") == [
            ("account", "bob", "entries")
        ]


async def test_channels_plugins_keys_and_backups_are_told_with_the_lines_to_write(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        await ops.get("/operate/alerts")
        assert "not enabled: smtp, telegram, webhook_out." in ops.words  # no exchange among them
        assert "One channel only" in ops.words
        assert "rexalgo plugin enable NAME" in ops.words
        await ops.post("/operate/alerts/test")
        assert "log: the test was delivered" in ops.words
        await ops.get("/operate/alerts?channel=log&channel=of-nobody")
        assert 'alerts = ["log"]' in ops.words
        at = place.clock.now()

        def many(db: Database) -> None:
            for number in range(51):
                raise_alert(db, AlertCode.RESIDUE, f"account-{number:02}", RESIDUE, at)

        await place.context.ledger.write(many)
        await ops.get("/operate/alerts")
        assert ops.text.count("If nobody acts") == 50
        assert "account-00" not in ops.words
        before = ops.text.partition("/operate/alerts?before=")[2].partition("#")[0]
        await ops.get(f"/operate/alerts?before={before}")
        assert "account-00" in ops.words
        assert "Older" not in ops.words
        await ops.get("/operate/plugins")
        for told in (
            "Built in",
            "Its kit was never run here. rexalgo plugin test paper",
            "[plugin.paper]",
            'price_fixed = { BTCUSDT = "65000" }',
            'flush = "inline"',
        ):
            assert told in ops.words, told
        await ops.get("/operate/system")
        for told in (
            "Root keys",
            "Session keys",
            "Active",
            " s old",
            "verifies one every 24 h",
        ):
            assert told in ops.words, told
