"""Histories: every row once and in order, whatever way they are paged, searched and cut; and files
that a spreadsheet reads as data.
"""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from bench.past import write_past
from engine.domain.errors import NothingThere
from engine.domain.holding import Switch, SwitchScope
from engine.domain.identifiers import PersonId
from engine.domain.signal import Action, PositionSide
from engine.ledger.query import fetch_all
from engine.services import following
from engine.services.following import FollowingService
from engine.services.history import (
    LOOKED_MAX,
    PAGE,
    HistoryRow,
    HistoryService,
    Key,
    Kind,
    Wanted,
    read_key,
    write_key,
)
from engine.services.history_csv import HEADS, cell, lines
from tests.engine.actors.engine_world import BEGINNING, World, world

PAST = 2_400


class _Person:
    """What the service asks of a user."""

    def __init__(self, identifier: str, zone: str) -> None:
        self.id = PersonId(identifier)
        self.person = type("Person", (), {"zone": zone})()


class Reader:
    """One person who reads the histories of a house."""

    def __init__(self, house: World, zone: str = "UTC") -> None:
        self.db = house.ledger.db
        row = fetch_all(self.db, "SELECT person_id FROM account ORDER BY name LIMIT 1")[0]
        self.user: Any = _Person(row[0], zone)
        context: Any = type("Context", (), {"ledger": house.ledger})()
        self.context, self.service = context, HistoryService(context)

    async def all(self, kind: Kind, **wanted: Any) -> list[HistoryRow]:
        """Return all pages one after another."""
        rows, past = list[HistoryRow](), None
        while True:
            page = await self.service.page(self.user, kind, Wanted(**wanted), past)
            assert len(page.rows) <= PAGE
            rows += page.rows
            if page.past is None:
                return rows
            past = read_key(kind, write_key(page.past))
            assert past == page.past

    async def csv(self, kind: Kind, **wanted: Any) -> list[dict[str, str]]:
        text = [each async for each in self.service.csv(self.user, kind, Wanted(**wanted))]
        return list(csv.DictReader(io.StringIO("".join(text))))


def counts(reader: Reader) -> dict[Kind, int]:
    """Return how many rows of each kind the ledger has for the person."""
    tables = {Kind.SIGNALS: "copy", Kind.ORDERS: "attempt", Kind.TRADES: "trade"}
    mine = "WHERE account_id IN (SELECT id FROM account WHERE person_id = ?)"
    return {
        kind: fetch_all(reader.db, f"SELECT count(*) FROM {table} {mine}", (reader.user.id,))[0][0]
        for kind, table in {**tables, Kind.FUNDING: "funding"}.items()
    }


async def test_pages_have_every_row_once_in_order_whichever_way(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=3) as house:
        write_past(house.ledger.db, PAST, BEGINNING)  # type: ignore[arg-type]
        reader = Reader(house)
        expected = counts(reader)
        assert all(each > 3 * PAGE for each in expected.values()), expected
        for kind in Kind:
            newest = await reader.all(kind)
            oldest = await reader.all(kind, newest_first=False)
            assert len(newest) == len(oldest) == expected[kind]
            assert newest == oldest[::-1]
            assert len({repr(each) for each in newest}) == len(newest), kind
            assert all(one.at >= other.at for one, other in pairwise(newest)), kind
            assert len(await reader.csv(kind)) == expected[kind]


async def test_days_strategies_accounts_and_searches_choose_what_they_say(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=2) as house:
        write_past(house.ledger.db, PAST, BEGINNING)  # type: ignore[arg-type]
        reader = Reader(house, "Asia/Kolkata")
        east = timedelta(hours=5, minutes=30)
        for kind in Kind:
            everything = await reader.all(kind)
            day = (everything[len(everything) // 2].at + east).date()
            chosen = [each for each in everything if (each.at + east).date() == day]
            assert chosen
            assert await reader.all(kind, since=day, until=day) == chosen
            later = [each for each in everything if (each.at + east).date() >= day]
            assert await reader.all(kind, since=day) == later
            assert await reader.all(kind, since=day, newest_first=False) == later[::-1]
            assert await reader.all(kind, until=day - timedelta(days=1)) == [
                each for each in everything if each not in later
            ]
            for wanted in ({"find": "ethusd"}, {"account": "f1"}):
                rows = await reader.csv(kind, **wanted)
                assert 0 < len(rows) <= len(everything)
                assert len(rows) == len(await reader.all(kind, **wanted))
                assert {each["symbol" if "find" in wanted else "account"] for each in rows} == {
                    "ETHUSDT" if "find" in wanted else "f1"
                }
        filled = await reader.csv(Kind.SIGNALS, family="filled")
        assert {each["outcome"] for each in filled} == {"filled"}
        signal = filled[0]["signal_id"]
        assert {each["signal_id"] for each in await reader.csv(Kind.ORDERS, find=signal)} == {
            signal
        }
        with pytest.raises(NothingThere):
            await reader.service.page(reader.user, Kind.ORDERS, Wanted(account="a9"))
        with pytest.raises(NothingThere):
            reader.service.csv(reader.user, Kind.ORDERS, Wanted(account="a9"))


async def test_a_reverse_that_only_closed_says_so(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        house.shared.switches = (
            Switch(scope=SwitchScope.ALL, target="", note="night", set_by="op", set_at=BEGINNING),
        )
        await house.outcome(await house.send(Action.REVERSE, side=PositionSide.SHORT))
        await house.until(lambda: not house.holdings())
        [reverse, opened] = await Reader(house).all(Kind.SIGNALS)
        assert reverse.sentence.startswith("The old position was closed. The entry: ")
        assert not opened.sentence.startswith("The old")


async def test_a_search_that_finds_nothing_looks_at_a_bounded_number_and_goes_on(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        write_past(house.ledger.db, PAST, BEGINNING)  # type: ignore[arg-type]
        reader = Reader(house)
        wanted, past, looked = Wanted(find="no such"), None, 0
        while True:
            page = await reader.service.page(reader.user, Kind.SIGNALS, wanted, past)
            assert list(page.rows) == []
            assert (page.past is None) == (page.looked_to is None)
            if page.past is None:
                break
            past, looked = page.past, looked + LOOKED_MAX
        assert looked <= counts(reader)[Kind.SIGNALS] < looked + LOOKED_MAX


async def test_missed_entries_are_counted_page_by_page_and_orders_go_between(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        write_past(house.ledger.db, PAST, BEGINNING)  # type: ignore[arg-type]
        reader, turns = Reader(house), 0

        async def order() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        nursery.start_soon(order)
        service = FollowingService(reader.context)
        whole = await service.missed(reader.user)
        assert sum(each.missed for each in whole) > 0
        for page in (1, 7, 50):
            monkeypatch.setattr(following, "_LOOKED_AT_ONCE", page)
            began = turns
            assert await service.missed(reader.user) == whole
            assert turns - began > min(PAST, following.MISSED_LOOKED) // page - 2
        nursery.cancel_scope.cancel()


keys = st.one_of(
    st.tuples(st.integers(-(2**62), 2**62)),
    st.tuples(st.integers(0, 2**62), st.text("abc_~=\"'", max_size=9)),
    st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)),
    st.tuples(st.integers(0, 2**62), st.text(max_size=9), st.text(max_size=9)),
)


@given(keys)
def test_a_key_is_read_as_it_was_written_by_its_own_kind_alone(key: Key) -> None:
    read = {kind: read_key(kind, write_key(key)) for kind in Kind}
    assert all(found in (None, key) for found in read.values())
    is_clean = all(
        "\x00" not in each and each.isprintable() for each in key if isinstance(each, str)
    )
    assert not is_clean or sum(found is not None for found in read.values()) == 1


@given(st.text(max_size=60))
def test_what_is_no_key_begins_with_the_first_page(text: str) -> None:
    for kind in Kind:
        key = read_key(kind, text)
        assert key is None or read_key(kind, write_key(key)) == key


@pytest.mark.parametrize(
    "text", ["WzFlMzBd", "W3RydWVd", "WzkyMjMzNzIwMzY4NTQ3NzU4MDhd", "WyJcdWQ4MDAiXQ", "e30", ""]
)
def test_numbers_that_the_ledger_cannot_compare_are_no_key(text: str) -> None:
    assert read_key(Kind.ORDERS, text) is None


@given(st.text(max_size=20))
def test_no_text_begins_as_a_formula(text: str) -> None:
    written = cell(text)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
    assert written.removeprefix("'") == text.removeprefix("'")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_amounts_are_exact_and_plain(amount: Decimal) -> None:
    written = cell(amount)
    assert Decimal(written) == amount
    assert "E" not in written


def test_times_are_utc_and_what_is_unknown_is_empty() -> None:
    at = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    assert list(csv.reader(io.StringIO(lines([[at, None, True, 'a"b,c\n=d']])))) == [
        ["2026-11-24T09:00:00+00:00", "", "yes", 'a"b,c\n=d']
    ]


def test_columns_that_a_script_may_read_keep_their_names_and_places() -> None:
    assert list(HEADS[Kind.TRADES][:9]) == [
        *("id", "account", "environment", "strategy", "symbol", "side"),
        *("quantity", "entry_price", "exit_price"),
    ]
    assert list(HEADS[Kind.FUNDING][:6]) == [
        *("account", "environment", "strategy", "symbol", "paid", "at"),
    ]
