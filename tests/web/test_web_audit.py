"""The audit on a page: in words, with what was before and is now, filtered and paged."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from web_place import PASSWORD, WebPlace, web_place

from engine.commands import people
from engine.domain.person import Role
from engine.ledger import Database
from engine.ledger.audit import append_audit
from web.audit_words import Change, acts_saying, changes, sentence
from web.operators import records


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"act": "switched_on", "subject": "strategy trend"}, "stopped strategy trend"),
        ({"act": "strategy_paused", "subject": "trend"}, "paused strategy trend"),
        (
            {"act": "strategy_paused", "subject": "bob", "data": '{"strategy": "trend"}'},
            "paused a strategy on account bob",
        ),
        ({"act": "of_tomorrow", "subject": "bob"}, "of tomorrow bob"),
    ],
)
def test_a_row_is_told_in_words(row: dict[str, Any], told: str) -> None:
    assert sentence({"data": "{}", **row}) == told


def test_of_two_states_only_what_differs_is_told() -> None:
    before = {
        "mode": "watch",
        "sizing": {"mode": "fixed_margin", "margin": "50"},
        "leverage": {"mode": "capped", "value": "5"},
        "symbols": ["BTCUSDT"],
        "limits": {"daily_loss": "100"},
        "below_minimum": "skip",
        "allow_own_position": False,
    }
    now = before | {
        "mode": "live",
        "sizing": {"mode": "equity_share", "share": "0.05"},
        "symbols": ["BTCUSDT", "ETHUSDT"],
        "limits": {"daily_loss": "250", "order_notional": "500"},
    }
    data = json.dumps({"strategy": "trend", "before": before, "now": now})
    assert changes(data) == [
        Change("Strategy", "", "trend"),
        Change("Mode", "watch", "live"),
        Change("Order size", "Margin per trade: 50 USDT", "Share of my equity: 0.05 fraction"),
        Change("Contracts", "BTCUSDT", "BTCUSDT, ETHUSDT"),
        Change("Daily loss limit", "100 USDT", "250 USDT"),
        Change("Max. order value", "", "500 USDT"),
    ]
    assert changes('{"before": "draft"}') == [Change("Before", "", "draft")]
    assert changes('{"created": {"follower": 9, "strategy": 2, "master": 1}, "updated": 3}') == [
        Change("Created", "", "9 followers, 2 strategies, 1 master"),
        Change("Changed", "", "3"),
    ]
    assert changes('{"level": "entries", "note": ""}') == [Change("Level", "", "No new entries")]


def test_a_search_finds_the_words_of_the_page() -> None:
    assert acts_saying("Suspended") == ["person_suspended"]
    assert acts_saying("") == []


async def test_the_page_filters_pages_and_keeps_its_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        await written(place, 60)
        await ops.get("/operate/audit?kind=place")
        assert ops.text.count("tested the alert channel") == 50
        (older,) = [
            part.partition('"')[0]
            for part in ops.text.split('href="')[1:]
            if "before=" in part.partition('"')[0]
        ]
        await ops.get(older.replace("&amp;", "&"))
        assert ops.text.count("tested the alert channel") == 10
        assert "Older" not in ops.words
        await ops.get("/operate/audit?search=signed+in&from=2000-01-01&to=2999-12-31")
        assert "signed in" in ops.words
        await ops.get("/operate/audit?from=2999-01-01")
        assert "Nothing matches." in ops.words
        monkeypatch.setattr(records, "_AUDIT_LOOKED", 40)
        monkeypatch.setattr(people, "_LOOKED_AT_ONCE", 15)
        await ops.get("/operate/audit?search=log1")  # log1, and log10 to log19
        assert "Nothing matches among the rows that were looked at" in ops.words
        (older,) = re.findall('href="(/operate/audit.[^"]*before=[^"]*)"', ops.text)
        await ops.get(older.replace("&amp;", "&"))
        assert ops.text.count("tested the alert channel log1") == 11
        assert "Older" not in ops.words
        await ops.get("/operate/audit?from=yesterday&to=2026-13-01", 422)
        assert ops.words.count("expected a day") == 2
        await ops.get("/operate/audit?kind=nonsense&before=x")
        assert "tested the alert channel" in ops.words


async def test_a_change_of_terms_shows_before_and_now(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        strategy = await place.strategy(await place.person("ada", Role.MASTER))
        bob, way = await place.person("bob", balance="1000"), f"/strategies/{strategy}/follow"
        terms = {
            "mode": "watch",
            "sizing": "fixed_notional",
            "leverage_mode": "capped",
            "leverage": "5",
            "symbols": "BTCUSDT",
        }
        for size in ("130", "260"):
            await bob.get(way)
            await bob.post(way, do="agree", factor=PASSWORD, **terms, size=size)
        await ops.get("/operate/audit?kind=terms")
        assert (
            "Order size: before: Value per trade: 130 USDT → Value per trade: 260 USDT" in ops.words
        )


async def written(place: WebPlace, rows: int) -> None:
    key, at = await place.context.audit_key(), place.clock.now()

    def write(db: Database) -> None:
        for number in range(rows):
            append_audit(
                db,
                key=key,
                by="ops",
                act="alert_tested",
                subject=f"log{number}",
                data={},
                at=at,
                address="",
            )

    await place.context.ledger.write(write)
