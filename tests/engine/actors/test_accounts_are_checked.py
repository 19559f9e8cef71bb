"""Accounts are checked when they connect, each day, and on request; the newest result is kept, and
nothing else changes.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import trio
from engine_world import BEGINNING, BTC, World, world

from engine.actors.account import RETIRED_FOR_S
from engine.actors.exchange_session import ExchangeSession
from engine.domain.account import AccountReport
from engine.domain.alert import AlertCode
from engine.domain.amounts import Money
from engine.domain.preflight import Level
from engine.domain.signal import Action, PositionSide
from engine.ledger.alerts import newest_alerts
from engine.ledger.preflight import credentials_since, note_new_credentials
from engine.ledger.query import fetch_all
from engine.market.feed import MarketFeed
from engine.ports.exchange import ExchangeError, Rejected, RejectionKind


def pulses(house: World, kind: str, field: str) -> list[str]:
    """Return a list that grows by what open pages are told of the first account: each takes the
    place of the one before.
    """
    told: list[str] = []
    seen = 0

    def look() -> None:
        nonlocal seen
        for sequence, value in fetch_all(
            house.ledger.db,
            "SELECT sequence, json_extract(data, ?) FROM event WHERE kind = ? AND subject = 'f0' "
            "AND sequence > ?",
            (f"$.{field}", kind, seen),
        ):
            seen = sequence
            told.append(value)

    house.ledger.on_commit(look)
    return told


async def test_an_account_is_checked_when_it_connects_and_every_day(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        follower = house.followers[0]
        await follower.account.wait_read()
        await trio.sleep(5)
        first = follower.preflight.newest
        assert first is not None
        assert (first.account, first.environment) == ("f0", "paper")
        assert {each.about for each in first.items} == {"account", "funds", "BTCUSDT in trend"}
        assert house.account_tasks.vitals()["f0"]["preflight"] == first.level.value
        autojump_clock.jump(86_400)
        await trio.sleep(5)
        second = follower.preflight.newest
        assert second is not None
        assert timedelta(hours=23) < second.at - first.at < timedelta(hours=25)
        former, closed = await follower.account.connected(), []

        async def close() -> None:
            closed.append(await ExchangeSession.aclose(former))

        monkeypatch.setattr(former, "aclose", close)
        follower.account.renew_session()  # connected anew
        for waited_s, ended in ((RETIRED_FOR_S - 2, []), (3, [None])):
            await trio.sleep(waited_s)
            follower.account.read_soon()
            await trio.sleep(1)
            assert closed == ended, "an order may be under way there, and later not"
        assert follower.preflight.newest.at > second.at
        with pytest.raises(LookupError):
            await house.account_tasks.check("nobody")


async def test_a_refused_key_is_told_by_the_check_and_stops_only_this_account(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=2) as house:
        await house.followers[0].account.wait_read()
        session = await house.followers[0].account.connected()

        async def refused() -> None:
            raise Rejected("Invalid Authentication", RejectionKind.CREDENTIALS)

        monkeypatch.setattr(session, "fetch_account", refused)
        found = await house.account_tasks.check("f0")
        assert found.level is Level.STOPS_ENTRIES
        assert "Invalid Authentication" in found.items[0].sentence
        assert (await house.account_tasks.check("f1")).items[0].level is Level.OK


async def test_a_check_asked_in_a_bad_moment_is_made_again_by_itself_and_pages_are_told(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        follower = house.followers[0]
        await follower.account.wait_read()
        await trio.sleep(1)
        session = await follower.account.connected()
        read = session.fetch_account
        calls: list[float] = []
        told = pulses(house, "check", "level")

        async def limited() -> AccountReport:
            calls.append(trio.current_time())
            if len(calls) == 1:
                raise ExchangeError("the exchange answered 429")
            return await read()

        monkeypatch.setattr(session, "fetch_account", limited)
        asked = await house.account_tasks.check("f0")
        assert asked.level is Level.STOPS_ENTRIES
        await trio.sleep(1)
        newest = follower.preflight.newest
        assert newest is not None
        assert newest.level is not Level.STOPS_ENTRIES
        assert len(calls) == 1  # from the account's own reading: the exchange was not asked again
        assert told == ["stops_entries", newest.level.value]


async def test_what_people_read_of_a_check_is_of_the_newest_reading_and_asks_the_exchange_nothing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        follower = house.followers[0]
        await follower.account.wait_read()
        await trio.sleep(1)
        session = await follower.account.connected()
        read, free, fails = session.fetch_account, Money(Decimal(0)), False

        async def poor() -> AccountReport:
            if fails:
                raise ExchangeError("no answer")
            report = await read()
            return replace(report, balance=replace(report.balance, available=free))

        def funds() -> list[Level]:
            check = follower.check_now()
            assert check is not None
            return [each.level for each in check.items if each.about == "funds"]

        monkeypatch.setattr(session, "fetch_account", poor)
        assert funds() == [Level.OK]
        assert await follower.reader.try_to_read()
        assert follower.preflight.newest is not None
        assert follower.preflight.newest.level is not Level.STOPS_ENTRIES, "the daily check stands"
        assert funds() == [Level.STOPS_ENTRIES]
        await trio.sleep(0.001)
        free = Money(Decimal(1000))  # paid in: who asks sees it before the next own reading
        await house.account_tasks.check("f0")
        assert funds() == [Level.OK]
        fails = True
        for _ in range(3):
            assert not await follower.reader.try_to_read()
        assert funds() == [], "nobody knows"
        check = follower.check_now()
        assert check is not None
        assert check.items[0].sentence == "the account cannot be read: ExchangeError: no answer"
        assert check.at == follower.account.read_at, "nothing was read since"


async def test_a_position_that_our_order_has_closed_since_it_was_read_is_not_called_the_owners(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        follower = house.followers[0]
        await follower.account.wait_read()
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        await trio.sleep(1)
        assert await follower.reader.try_to_read()

        def about_position() -> list[str]:
            check = follower.check_now()
            assert check is not None
            return [each.sentence for each in check.items if each.about == BTC]

        assert any("is held by a strategy" in each for each in about_position())
        session = await follower.account.connected()
        monkeypatch.setattr(session, "fetch_account", trio.sleep_forever)
        await trio.sleep(0.1)
        await house.outcome(await house.send(Action.CLOSE))
        assert house.holdings() == []
        assert not any("the owner's own" in each for each in about_position())


async def test_the_margin_of_what_a_strategy_holds_is_not_missing_money(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(tmp_path, followers=1, paper={"starting_balance": "70"}) as house:
        follower = house.followers[0]
        await follower.account.wait_read()
        await trio.sleep(1)

        def level() -> Level:
            check = follower.check_now()
            assert check is not None
            return check.level

        before = level()
        assert before is not Level.STOPS_ENTRIES
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        await trio.sleep(1)
        assert await follower.reader.try_to_read()
        assert follower.account.report is not None
        assert follower.account.report.balance.available < Decimal(39), "less than one more needs"
        assert level() is before


async def test_pages_are_told_that_an_account_is_no_longer_read_and_that_it_is_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        follower = house.followers[0]
        await follower.account.wait_read()
        session = await follower.account.connected()
        read, fails = session.fetch_account, True

        async def failing() -> AccountReport:
            if fails:
                raise ExchangeError("no answer")
            return await read()

        monkeypatch.setattr(session, "fetch_account", failing)
        told = pulses(house, "reading", "problem")
        for _ in range(3):
            assert not await follower.reader.try_to_read()
        assert follower.account.report is None  # entries fail closed
        assert follower.account.last_report is not None  # people see what was read last
        fails = False
        assert await follower.reader.try_to_read()
        assert told == ["ExchangeError: no answer", ""]
        assert (
            len(fetch_all(house.ledger.db, "SELECT 1 FROM event WHERE kind = 'reading'")) == 1
        )  # however often it comes, one row stands


async def test_an_account_that_never_connected_is_told_without_a_second_attempt(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    async def refused(session: ExchangeSession) -> None:
        tries.append(trio.current_time())
        raise Rejected("Invalid Authentication", RejectionKind.CREDENTIALS)

    monkeypatch.setattr(ExchangeSession, "open", refused)
    async with world(tmp_path, followers=1) as house:
        await house.followers[0].account.wait_read()
        await trio.sleep(0.1)
        found = house.followers[0].preflight.newest
        assert found is not None
        assert (found.items[0].about, found.items[0].level) == ("key", Level.STOPS_ENTRIES)
        assert len(tries) == 1


def told_about_keys(house: World) -> list[str]:
    found = newest_alerts(house.ledger.db, BEGINNING, 10_000)
    ours = [each for each in reversed(found) if each.code is AlertCode.KEY_EXPIRES_SOON]
    return [
        each.details["left"] for each in ours if each.details["given"] != "1970-01-01"
    ]  # not the one the world begins with


@pytest.mark.parametrize("is_readable", [True, False])
async def test_the_end_of_a_key_is_told_once_for_each_warning_and_once_when_it_is_over(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    is_readable: bool,
) -> None:
    async def refused(session: ExchangeSession) -> None:
        raise Rejected("Invalid Authentication", RejectionKind.CREDENTIALS)

    monkeypatch.setattr(MarketFeed, "credentials_last_days", 15)
    if not is_readable:
        monkeypatch.setattr(ExchangeSession, "open", refused)
    async with world(tmp_path, followers=1) as house:
        await house.followers[0].account.wait_read()
        await trio.sleep(5)
        await house.ledger.write(lambda db: note_new_credentials(db, "f0", BEGINNING))
        counts = []
        for _ in range(17):
            autojump_clock.jump(86_400)
            await trio.sleep(2)
            counts.append(len(told_about_keys(house)))
        assert counts == [1] * 7 + [2] * 6 + [3] + [4] * 3
        assert told_about_keys(house) == ["it ends on 2026-12-09 12:00 UTC at the latest"] * 3 + [
            "it expired on 2026-12-09 12:00 UTC"
        ]


async def test_a_new_key_is_warned_about_anew(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MarketFeed, "credentials_last_days", 7)
    async with world(tmp_path, followers=1) as house:
        follower = house.followers[0]
        await follower.account.wait_read()
        for renewed in range(1, 4):
            now = house.shared.clock.now()
            await house.ledger.write(lambda db, now=now: note_new_credentials(db, "f0", now))  # type: ignore[misc]
            follower.account.renew_session()
            await trio.sleep(5)
            follower.account.renew_session()  # connected twice with the same key: told once
            await trio.sleep(5)
            assert len(told_about_keys(house)) == renewed


async def test_a_key_counts_from_when_it_was_last_changed(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(tmp_path, followers=2) as house:
        follower = house.followers[0]
        before = credentials_since(house.ledger.db, follower.account.id)
        await house.ledger.write(lambda db: note_new_credentials(db, "f0", BEGINNING))
        assert credentials_since(house.ledger.db, follower.account.id) == BEGINNING != before
        assert credentials_since(house.ledger.db, house.followers[1].account.id) == before
