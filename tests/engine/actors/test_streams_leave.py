"""A stream source may send its strategy's contracts, and exits of what followers hold, listed or
not.
"""

from pathlib import Path

import pytest
import trio
from engine_world import BTC, world
from trio.testing import MockClock

from engine.domain.errors import InvalidValue
from engine.domain.identifiers import StrategyId, Symbol
from engine.domain.signal import Action, PositionSide, SignalDraft
from engine.recording import Recorder

OTHERS = frozenset({Symbol("ETHUSDT")})


async def test_a_streams_exit_is_taken_for_a_contract_that_was_taken_out_while_it_is_held(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        recorder = Recorder(house.shared, house.account_tasks, nursery)
        leaving = SignalDraft("leave", Action.CLOSE, BTC)
        with pytest.raises(InvalidValue):
            await recorder.emit(StrategyId("s"), "stream", OTHERS, leaving)
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == [
            "filled"
        ]
        with pytest.raises(InvalidValue):
            await recorder.emit(
                StrategyId("s"),
                "stream",
                OTHERS,
                SignalDraft("more", Action.ADD, BTC, PositionSide.LONG),
            )
        assert await house.outcome(
            await recorder.emit(StrategyId("s"), "stream", OTHERS, leaving)
        ) == ["filled"]
