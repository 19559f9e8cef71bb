"""A sender may leave while its signal is recorded: the record stays, and the followers act."""

from pathlib import Path

import trio
from engine_world import BTC, world
from trio.testing import MockClock

from engine.actors.account_tasks import SWEEP_S
from engine.domain.identifiers import StrategyId
from engine.domain.signal import Action, PositionSide, SignalDraft
from engine.ledger.query import fetch_all
from engine.recording import Recorder, Taken


async def test_a_signal_whose_sender_has_left_is_recorded_and_no_follower_waits_for_the_sweep(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=2) as house, trio.open_nursery() as nursery:
        recorder = Recorder(house.shared, house.account_tasks, nursery)
        taken = Taken(
            strategy=StrategyId("s"),
            origin="ep",
            draft=SignalDraft("1", Action.OPEN, BTC, PositionSide.LONG),
            content=None,
            sent_at=None,
            received_at=house.shared.clock.now(),
        )
        await trio.sleep(SWEEP_S / 2)  # between two sweeps
        began = trio.current_time()
        with trio.CancelScope() as sender:
            sender.cancel()
            await recorder.record(taken)
        assert sender.cancelled_caught
        ((signal,),) = fetch_all(house.ledger.db, "SELECT id FROM signal")
        assert set(await house.outcome(signal)) == {"filled"}
        assert trio.current_time() - began < SWEEP_S / 4
