"""An account that could not be read is read again after a pause as long as the trouble has lasted,
however many tasks asked for a reading in vain.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from engine_world import Unreadable, World, world
from trio.testing import MockClock

from engine.actors.account_reader import LONGEST_PAUSE_S, SHORTEST_PAUSE_S, UNREADABLE_AFTER_S
from engine.domain.alert import Alert, AlertCode
from engine.ledger.alerts import newest_alerts


async def disturbed(house: World) -> Unreadable:
    """Disturb the connection of the only account, and return once a reading failed."""
    account = house.followers[0].account
    await account.connected()
    session = account.session
    assert session is not None
    session._connection = trouble = Unreadable(session._connection, lasts=True)  # type: ignore[assignment]
    account.read_soon()
    await trio.testing.wait_all_tasks_blocked()
    assert account.problem
    return trouble


@pytest.mark.parametrize("lasts_s", [0.1, 4, 30, 600])
async def test_an_account_is_read_soon_after_a_trouble_however_many_asked_for_it_meanwhile(
    lasts_s: float, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        account = house.followers[0].account
        trouble = await disturbed(house)
        for _ in range(20):
            await trio.sleep(lasts_s / 20)
            account.read_soon()
        await trio.testing.wait_all_tasks_blocked()
        trouble.lasts = False
        again = min(max(lasts_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
        await trio.sleep(again * 1.1)
        assert not account.problem


async def test_a_trouble_that_lasts_is_asked_about_ever_more_rarely(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        trouble = await disturbed(house)
        trouble.tried.clear()
        await trio.sleep(600)
        pauses = [
            later - earlier
            for earlier, later in zip(trouble.tried, trouble.tried[1:], strict=False)
        ]
        assert min(pauses) >= SHORTEST_PAUSE_S
        assert [round(each) for each in pauses[-3:]] == [LONGEST_PAUSE_S] * 3
        assert len(pauses) < 20


def alerts(house: World) -> list[Alert]:
    found = newest_alerts(house.ledger.db, datetime.min.replace(tzinfo=UTC), 10)
    return [each for each in found if each.code is AlertCode.ACCOUNT_UNREADABLE]


async def test_a_trouble_of_five_minutes_alerts_people_with_how_long_it_has_lasted(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        trouble = await disturbed(house)
        await trio.sleep(200)
        trouble.lasts = False
        await trio.sleep(LONGEST_PAUSE_S * 1.1)
        assert not house.followers[0].account.problem
        trouble.lasts = True  # another one, which begins anew
        house.followers[0].account.read_soon()
        await trio.sleep(UNREADABLE_AFTER_S - 5)
        assert not alerts(house)
        await trio.sleep(LONGEST_PAUSE_S + 10)
        (told,) = alerts(house)
        assert told.subject == house.followers[0].account.name
        assert told.details["minutes"] in ("5", "6")
