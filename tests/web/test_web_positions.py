"""Pages and the API mark an old reading as old, and show nothing that was never read."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from api_place import program
from engine_world import Unreadable, by_owner
from test_web_home import SETTINGS, followed, held
from web_place import WebPlace, web_place

from engine.domain.alert import AlertCode
from engine.domain.order import OrderSide
from engine.ledger.alerts import raise_alert
from engine.ledger.query import fetch_all
from engine.services.following import AccountCard, FollowingService
from engine.services.user import User

POSITION = "/accounts/bob/positions/BTCUSDT"


def account_of(place: WebPlace) -> Any:
    assert place.context.live is not None
    task = place.context.live.named("bob")
    assert task is not None
    return task.account


async def test_a_page_follows_what_happened_while_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fill between the reading of a part and the end of the page would be shown by neither."""
    async with web_place(tmp_path, SETTINGS) as place:
        bob = await place.person("bob", balance="1000")
        read, at, began = FollowingService.cards, place.clock.now(), list[int]()

        async def cards(self: FollowingService, user: User) -> Sequence[AccountCard]:
            began.append(place.services.pulse.newest())
            await place.context.ledger.write(
                lambda db: raise_alert(db, AlertCode.RESIDUE, "bob", {}, at, str(len(began)))
            )
            return await read(self, user)

        monkeypatch.setattr(FollowingService, "cards", cards)
        for page in ("/home", "/positions"):
            await bob.get(page)
            [follows_from] = re.findall(r'data-pulse="(\d+)"', bob.text)
            assert int(follows_from) <= began[-1] < place.services.pulse.newest(), page


async def test_what_was_read_is_said_to_be_old_and_what_was_never_read_is_not(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        bob, strategy = await followed(place)
        await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
        await place.until(lambda: held(place) == [("bob", "BTCUSDT")])
        account = account_of(place)
        await account.wait_read()
        asks = await program(place, bob)
        pages = ("/home", "/positions", POSITION, f"{POSITION}/close", f"{POSITION}/take-over")
        for page in pages:
            await bob.get(page)
            assert "cannot be read now" not in bob.words, page
        (position,) = (await asks.ask("/positions"))["positions"]
        assert position["read_at"] is not None
        assert position["is_stale"] is False
        (row,) = await place.services.following.positions(_user(place, asks.token))
        assert row.opened_at is not None
        alone = place.services.following.position(_user(place, asks.token), "bob", "BTCUSDT")
        assert await alone == row, "a token that may read reads one position too"
        assert position["opened_at"][:19] == row.opened_at.isoformat()[:19]

        await bob.get(POSITION)
        assert "Mark 6" in _described(bob.text)
        account.report = None  # as after a reading that failed
        for page in pages:
            await bob.get(page)
            assert "bob cannot be read now" in bob.words, page
        await bob.get("/home")
        assert "1 of 1 PAPER account cannot be read now" in bob.words
        await bob.get(POSITION)
        assert "Mark 6" not in _described(bob.text)
        (position,) = (await asks.ask("/positions"))["positions"]
        assert position["is_stale"] is True
        (total,) = (await asks.ask("/accounts"))["totals"]
        assert (total["read"], total["stale"]) == (1, 1)

        account.last_report = None  # as before the first reading
        for page in pages:
            await bob.get(page)
            assert "cannot be read now" not in bob.words, page
        (position,) = (await asks.ask("/positions"))["positions"]
        assert (position["read_at"], position["is_stale"]) == (None, False)
        assert position["opened_at"] is not None

        details, at = {"symbol": "BTCUSDT", "quantity": "1", "cause": "refused"}, place.clock.now()
        await place.context.ledger.write(
            lambda db: raise_alert(db, AlertCode.RESIDUE, "bob", details, at, "one")
        )
        (alert,) = (await asks.ask("/alerts"))["alerts"]
        assert (alert["subject"], alert["environment"]) == ("bob", "paper")


async def test_what_we_closed_since_the_last_reading_is_not_shown_as_the_owners(
    tmp_path: Path,
) -> None:
    """Who sold it at the exchange would go short."""
    async with web_place(tmp_path, SETTINGS) as place:
        bob, strategy = await followed(place)
        task, asks = place.context.live.named("bob"), await program(place, bob)
        session = account_of(place).session
        session._connection = exchange = Unreadable(session._connection)

        async def shown() -> list[tuple[str, ...]]:
            rows = (await asks.ask("/positions"))["positions"]
            return [
                tuple(row[name] for name in ("side", "share", "own", "quantity")) for row in rows
            ]

        async def send(**body: object) -> None:
            await place.signal(strategy, symbol="BTCUSDT", **body)
            await place.until(lambda: not fetch_all(db, "SELECT 1 FROM copy WHERE code IS NULL"))

        db = place.context.ledger.db
        await send(action="open", side="LONG")
        await task.read_now()
        assert await shown() == [("LONG", "0.007", "0", "0.007")]
        exchange.lasts = True
        await send(action="close")
        assert await shown() == []
        for page in ("/home", "/positions"):
            await bob.get(page)
            assert f'href="{POSITION}"' not in bob.text, page
        await bob.get(POSITION)
        assert "Nothing is open" in bob.words

        exchange.lasts = False
        await task.read_now()
        await send(action="open", side="LONG")
        await by_owner(exchange, OrderSide.BUY, "0.002")
        await task.read_now()
        assert await shown() == [("LONG", "0.007", "0.002", "0.009")]
        exchange.lasts = True
        await send(action="reduce", size={"mode": "fraction", "fraction": "0.5"})
        assert await shown() == [("LONG", "0.004", "0.002", "0.006")]
        await bob.get(f"{POSITION}/close")
        assert "0.002 of your own" in bob.words
        await send(action="close")
        assert await shown() == [("LONG", "0", "0.002", "0.002")]
        (position,) = (await asks.ask("/positions"))["positions"]
        assert position["margin"] == "26"


def _described(page: str) -> str:
    return page.partition("<desc")[2].partition("</desc>")[0]


def _user(place: WebPlace, token: str) -> Any:
    return place.services.identity.user_again(token, "")
