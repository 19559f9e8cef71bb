"""Late orders are reported with their start time: orders that wait, and entries not sent because
they waited or were overtaken.
"""

from datetime import timedelta
from pathlib import Path

import trio
from engine_world import world
from trio.testing import MockClock

from engine.domain.identifiers import AccountId
from engine.domain.signal import Action, PositionSide
from engine.ledger.lateness import Missed, Waiting, late_of_account, late_orders, missed_entries

LONG = PositionSide.LONG


async def test_orders_that_wait_are_late_after_seconds_and_named_by_kind(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=3) as house:
        db, now = house.ledger.db, house.shared.clock.now
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"] * 3
        house.shared.stop()
        began = now()
        await house.send(Action.CLOSE)
        assert late_orders(db, now()) == []
        await trio.sleep(30)
        await house.send(Action.OPEN, side=LONG)
        await trio.sleep(6)
        assert late_orders(db, now()) == [
            Waiting("exit", 3, began),
            Waiting("entry", 3, began + timedelta(seconds=30)),
        ]
        assert late_of_account(db, AccountId("a1"), now()) == Waiting("exit", 2, began)
        assert late_of_account(db, AccountId("nobody"), now()) is None


async def test_entries_that_a_close_overtook_are_missed_late_or_soon(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=3) as house:
        db, now = house.ledger.db, house.shared.clock.now
        house.shared.stop()
        opened = await house.send(Action.OPEN, side=LONG)
        await trio.sleep(1)
        await house.send(Action.CLOSE)
        assert house.codes(opened) == ["skipped.superseded"] * 3
        assert missed_entries(db, now()) == Missed(0, None, 3)
        began = now()
        opened = await house.send(Action.OPEN, side=LONG)
        await trio.sleep(8)
        await house.send(Action.CLOSE)
        assert house.codes(opened) == ["skipped.superseded"] * 3
        assert missed_entries(db, now()) == Missed(3, began, 3)
        assert missed_entries(db, now() + timedelta(hours=2)) == Missed(0, None, 0)
