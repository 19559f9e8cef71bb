"""A trade that the ledger refuses is that trade's fault alone: every other account's trades are
written.
"""

from pathlib import Path

import pytest
import trio
from engine_world import world
from trio.testing import MockClock

from engine.actors.bookkeeping import Bookkeeping
from engine.domain.signal import Action, PositionSide
from engine.ledger.query import fetch_all


async def test_one_trade_that_is_refused_holds_up_no_other(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path, followers=3) as house:
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        await trio.sleep(1)
        await house.outcome(await house.send(Action.CLOSE))
        house.ledger.db.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON trade WHEN NEW.account_id = 'a0' BEGIN SELECT "
            "RAISE(ABORT, 'refused here'); END"
        )
        with trio.move_on_after(30):
            await Bookkeeping(house.shared, house.account_tasks).run()
        written = fetch_all(house.ledger.db, "SELECT account_id FROM trade ORDER BY account_id")
        assert written == [("a1",), ("a2",)]
        assert caplog.text.count("the trades of episode") == 1, "it is not tried in a loop"
        house.ledger.db.execute("DROP TRIGGER refuse")
        with trio.move_on_after(30):
            await Bookkeeping(house.shared, house.account_tasks).run()
        assert fetch_all(house.ledger.db, "SELECT count(*) FROM trade") == [(3,)]
