"""Accounts are checked when they connect, each day, and when asked; the newest result is kept; nothing else changes by it."""

from datetime import timedelta
from pathlib import Path

import pytest
import trio
from engine_world import BEGINNING, world

from engine.actors.exchange_session import ExchangeSession
from engine.domain.preflight import Level
from engine.ledger.preflight import credentials_since, note_new_credentials
from engine.ports.exchange import Rejected, RejectionKind


async def test_an_account_is_checked_when_it_connects_and_every_day(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with world(tmp_path, followers=1) as house:
        follower = house.followers[0]
        await follower.first_reading.wait()
        await trio.sleep(5)
        first = follower.preflight.newest
        assert first is not None
        assert (first.account, first.environment) == ("f0", "paper")
        assert {each.about for each in first.items} == {"key", "funds", "BTCUSDT in trend"}
        assert house.household.vitals()["f0"]["preflight"] == first.level.value
        await trio.sleep(86_400)
        second = follower.preflight.newest
        assert second is not None
        assert timedelta(hours=23) < second.at - first.at < timedelta(hours=25)
        follower.renew_session()  # connected anew
        await trio.sleep(10)
        assert follower.preflight.newest.at > second.at
        with pytest.raises(LookupError):
            await house.household.check("nobody")


async def test_a_refused_key_is_told_by_the_check_and_stops_only_this_account(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=2) as house:
        await house.followers[0].first_reading.wait()
        session = await house.followers[0].connected()

        async def refused() -> None:
            raise Rejected("Invalid Authentication", RejectionKind.CREDENTIALS)

        monkeypatch.setattr(session, "fetch_account", refused)
        found = await house.household.check("f0")
        assert found.level is Level.STOPS_ENTRIES
        assert "Invalid Authentication" in found.items[0].sentence
        assert (await house.household.check("f1")).items[0].level is Level.OK


async def test_an_account_that_never_connected_is_told_without_a_second_attempt(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    async def refused(session: ExchangeSession) -> None:
        tries.append(trio.current_time())
        raise Rejected("Invalid Authentication", RejectionKind.CREDENTIALS)

    monkeypatch.setattr(ExchangeSession, "open", refused)
    async with world(tmp_path, followers=1) as house:
        await house.followers[0].first_reading.wait()
        await trio.sleep(0.1)
        found = house.followers[0].preflight.newest
        assert found is not None
        assert (found.items[0].about, found.items[0].level) == ("key", Level.STOPS_ENTRIES)
        assert len(tries) == 1


async def test_a_key_counts_from_when_it_was_last_changed(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with world(tmp_path, followers=2) as house:
        follower = house.followers[0]
        before = credentials_since(house.ledger.db, follower.account)
        await house.ledger.write(lambda db: note_new_credentials(db, "f0", BEGINNING))
        assert credentials_since(house.ledger.db, follower.account) == BEGINNING != before
        assert credentials_since(house.ledger.db, house.followers[1].account) == before
