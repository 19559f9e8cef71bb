"""No answer of the API reads rows in proportion to history: SQLite counts the steps of every
statement behind each endpoint, after a short history and after a long one.
"""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import apsw
import msgspec
import pytest
import trio
from api_place import make_token
from test_web_api import traded
from test_web_home import SETTINGS
from web_place import Browser, WebPlace, web_place

from bench import past
from engine.ledger import Database
from engine.ledger.query import fetch_one
from engine.services import following, history, performance
from engine.services.user import User
from web.api.dispatch import ENDPOINTS
from web.api.figure_models import POINTS_MAX, points_of
from web.api.table import Ask

SHORT, LONG = 600, 2_400
WEIGHT_MAX = 64 * 1024
"""Of an answer as it is sent, compressed: as of a page."""
SLACK = 200
"""A search in an index of three levels takes a few steps more than in one of two."""
OF_A_MONTH = {"/calendar"}
"""It reads the trades of one month."""
WIDEST = {
    "range": "all",
    "days": "all",
    "by": "month",
    "since": "2000-01-01",
    "order": "oldest",
    "find": "no-such-thing",
}
"""What asks for most, by the name of its parameter."""


@contextmanager
def counted(db: Database) -> Iterator[list[int]]:
    """Yield the steps of each statement that the caller's task runs."""
    steps, mine = list[int](), trio.lowlevel.current_task()

    def trace(event: Any) -> None:
        if trio.lowlevel.current_task() is mine:
            steps.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])

    db.trace_v2(apsw.SQLITE_TRACE_PROFILE, trace)
    yield steps
    db.trace_v2(0)


async def cost(folder: Path, outcomes: int) -> dict[str, int]:
    """Return the steps behind each endpoint that reads, by its address and what is asked."""
    async with web_place(folder, SETTINGS) as place:
        strategy, ada, bob = await traded(place, outcomes)
        db = place.context.ledger.db
        signal = fetch_one(db, "SELECT id FROM signal ORDER BY number DESC LIMIT 1")
        trade = fetch_one(db, "SELECT max(id) FROM trade")
        assert signal is not None
        assert trade is not None
        own = {
            "account": "bob",
            "signal": str(signal[0]),
            "strategy": strategy,
            "symbol": "BTCUSDT",
            "trade": str(trade[0]),
        }
        users = [await _user(place, each) for each in (ada, bob)]
        found = {}
        for endpoint in ENDPOINTS:
            if endpoint.method != "GET":
                continue
            asker = next(
                each for each in reversed(users) if endpoint.role in (None, *each.person.roles)
            )
            for asked in ({}, WIDEST):
                given = {
                    each.name: [asked[each.name]] for each in endpoint.query if each.name in asked
                }
                with counted(db) as steps:
                    answer = await endpoint.handler(
                        Ask(asker, place.services),
                        *(own[each] for each in endpoint.parts),
                        **endpoint.read_query(given),
                    )
                found[f"{endpoint.address} {given}"] = sum(steps)
                assert len(gzip.compress(msgspec.json.encode(answer))) < WEIGHT_MAX, endpoint.name
        return found


async def _user(place: WebPlace, browser: Browser) -> User:
    user = place.services.identity.user_again(await make_token(browser), "")
    assert user is not None
    return user


async def test_a_longer_history_costs_no_endpoint_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both histories take the same time: equity has a point an hour, results a row a day."""
    for module, name in (
        (performance, "TRADES_COMPARED"),
        (performance, "TRADES_DRAWN"),
        (following, "MISSED_LOOKED"),
        (history, "LOOKED_MAX"),
    ):
        monkeypatch.setattr(module, name, 20)
    for name in ("short", "long"):
        (tmp_path / name).mkdir()
    short = await cost(tmp_path / "short", SHORT)
    monkeypatch.setattr(past, "BETWEEN_US", past.BETWEEN_US * SHORT // LONG)
    long = await cost(tmp_path / "long", LONG)
    assert len(short) > len([each for each in ENDPOINTS if each.method == "GET"])
    grown = {
        each: (short[each], steps)
        for each, steps in long.items()
        if steps > 1.5 * short[each] + SLACK
    }
    assert {each.partition(" ")[0] for each in grown} <= OF_A_MONTH, grown


def test_a_curve_of_any_length_fits_and_keeps_its_extremes() -> None:
    chance, began = Random(1), datetime(2026, 1, 1, tzinfo=UTC)
    points = [
        (began + timedelta(seconds=number), Decimal(chance.getrandbits(60)) / 10**12)
        for number in range(100_000)
    ]
    kept = points_of(points)
    assert len(kept) <= POINTS_MAX
    assert (kept[0].at, kept[-1].at) == (points[0][0], points[-1][0])
    values = [value for _, value in points]
    assert {min(values), max(values)} <= {Decimal(each.equity) for each in kept}
    assert len(gzip.compress(msgspec.json.encode(kept))) < WEIGHT_MAX / 2
    assert points_of(points[:POINTS_MAX])[1].at == points[1][0], "fewer are all here"
