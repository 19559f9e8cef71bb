"""A closing order without trace: people get an alert in the same moment, and it is repeated once
the account can be read.
"""

from pathlib import Path
from typing import Any

import trio
from engine_world import World, world
from trio.testing import MockClock

from engine.domain.signal import Action, PositionSide
from engine.ledger.query import fetch_all


class Troubled:
    """A connection whose orders vanish on the way, and whose account cannot be read, for as long as
    ``lasts``.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.lasts = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def place_order(self, order: Any) -> Any:
        if self.lasts:
            await trio.sleep_forever()
        return await self._real.place_order(order)

    async def fetch_account(self) -> Any:
        if self.lasts:
            raise TimeoutError("the account cannot be read")
        return await self._real.fetch_account()


async def opened(house: World) -> Troubled:
    """Open a position for the only account, then disturb its connection."""
    assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == ["filled"]
    session = house.followers[0].account.session
    assert session is not None
    session._connection = trouble = Troubled(session._connection)  # type: ignore[assignment]
    return trouble


async def test_a_close_without_trace_is_repeated_though_the_account_could_not_be_read_at_first(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        trouble = await opened(house)
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed, unlike=(None, "unknown")) == ["not_confirmed"]
        assert len(house.holdings()) == 1
        trouble.lasts = False
        assert await house.outcome(closed, unlike=(None, "unknown", "not_confirmed")) == ["filled"]
        assert house.holdings() == []


async def test_whoever_sees_an_order_without_trace_finds_its_alert_too(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        untold = []

        def compare() -> None:
            for count, alerts in fetch_all(
                house.ledger.db,
                "SELECT (SELECT count(*) FROM event WHERE kind = 'outcome' AND subject = "
                "'not_confirmed'),"
                " (SELECT count(*) FROM event WHERE kind = 'alert' AND data LIKE "
                "'%order_not_confirmed%')",
            ):
                untold.append(count - alerts)

        house.ledger.on_commit(compare)
        assert await house.outcome(await house.send(Action.CLOSE), unlike=(None, "unknown")) == [
            "not_confirmed"
        ]
        assert max(untold) == 0
