"""A ledger of version 0.1 is opened by this one: books equal shares, older trades are marked and in
no public figure, and trading goes on.

``before_0_2`` is a ledger of 0.1 after real use on paper: two followers opened, closed, opened with
a stop, and added. The add of the first is not in the old books yet; that of the second was
executed, and its answer was lost.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from engine_world import World, world
from test_books_are_checked import checked
from test_books_are_completed import reluctant
from trio.testing import MockClock

from engine.actors.bookkeeping import Bookkeeping
from engine.domain.identifiers import AccountId, StrategyId
from engine.domain.signal import Action, PositionSide
from engine.ledger import Ledger, database
from engine.ledger.books import differences
from engine.ledger.query import fetch_all
from engine.ledger.results import account_trades, strategy_days
from engine.ledger.schema import MIGRATIONS

BEFORE = Path(__file__).with_name("before_0_2")
VERSION = next(number for number, each in enumerate(MIGRATIONS) if "held_before" in each)


@asynccontextmanager
async def migrated(folder: Path, patch: pytest.MonkeyPatch, price: str) -> AsyncIterator[World]:
    """Continue from the old ledger, with the contract at a price."""
    patch.setattr(database, "MIGRATIONS", MIGRATIONS[:VERSION])
    old = database.open_database(str(folder / "ledger"))
    old.execute((BEFORE / "ledger.sql").read_text())
    old.close()
    patch.setattr(database, "MIGRATIONS", MIGRATIONS)
    shutil.copy(BEFORE / "journal.jsonl", folder)
    ledger = Ledger.open(folder / "ledger", inline=True)
    async with world(
        folder, followers=2, paper={"price_fixed": {"BTCUSDT": price}}, ledger=ledger
    ) as house:
        house.sent = 4
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Bookkeeping(house.shared, house.account_tasks).run)
            yield house
            nursery.cancel_scope.cancel()


def held(house: World) -> list[object]:
    """Return the current shares."""
    return [row[1] for row in house.holdings() if row[1] != "0"]


async def agree(house: World) -> None:
    for name in ("f0", "f1"):
        told = await checked(house, name=name)
        assert told["agrees"], (name, told["problems"], told["wallet"])
        assert (told["wallet"]["lines"]["unexplained"], told["rows"]) == ("0", []), (name, told)


def states(house: World, account: str) -> list[tuple[str, str, str | None]]:
    """Return quantity, state and cause of an account's trades, oldest first."""
    rows = account_trades(house.ledger.db, AccountId(account), 100)[::-1]
    return [(each.quantity, each.state.value, each.cause and each.cause.value) for each in rows]


def public(house: World) -> list[tuple[int, int]]:
    """Return how many trades are in a strategy's figures, and how many are not."""
    return [
        (each.trades, each.unreconciled)
        for each in strategy_days(house.ledger.db, StrategyId("s"), "paper")
    ]


async def test_an_old_place_goes_on_trading_and_its_past_is_in_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with migrated(tmp_path, monkeypatch, "66000") as house:
        assert differences(house.ledger.db) == []
        assert public(house) == [(0, 2)]
        assert await house.outcome("sig-4", (None, "unknown")) == [
            "filled",
            "filled",
        ]  # its answer had been lost before the move
        await trio.sleep(60)
        assert held(house) == ["0.006", "0.006"]
        await agree(house)
        for _ in range(2):
            assert set(await house.outcome(await house.send(Action.CLOSE))) == {"filled"}
            await trio.sleep(60)
            assert differences(house.ledger.db) == held(house) == []
            await agree(house)
            assert set(
                await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
            ) == {"filled"}
            await trio.sleep(60)
        for account in ("a0", "a1"):
            assert states(house, account) == [
                ("0.003", "old", None),
                ("0.006", "old", "signal"),
                ("0.003", "settled", "signal"),
            ]
        assert public(house) == [(2, 4)]
        assert fetch_all(house.ledger.db, "SELECT subject FROM event WHERE kind = 'alert'") == []


async def test_what_closed_while_the_old_place_was_moved_is_told_and_is_in_the_wallet_it_begins_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with migrated(tmp_path, monkeypatch, "63000") as house:
        await trio.sleep(1_800)
        assert differences(house.ledger.db) == held(house) == []
        for account in ("a0", "a1"):
            assert states(house, account) == [("0.003", "old", None), ("0.006", "old", "stop_loss")]
        await agree(house)


async def test_what_is_told_of_the_time_before_the_wallet_began_is_in_no_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with migrated(tmp_path, monkeypatch, "63000") as house:
        await house.followers[0].account.connected()
        line = reluctant(house)
        line.orders = line.positions = False
        await trio.sleep(1_200)
        assert states(house, "a0")[1:] == [("0.006", "old", "unexplained")]
        assert (await checked(house))["wallet"] is not None
        line.orders = line.positions = True
        await trio.sleep(7_300)
        assert states(house, "a0")[1:] == [("0.006", "old", "stop_loss")]
        await agree(house)
