"""Channels deliver at least once and in order, each from its own cursor, and none waits for
another.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from engine_world import world
from trio.testing import MockClock

from engine.actors.alert_delivery import tell
from engine.domain.alert import Alert, AlertCode
from engine.ledger import Database, DiskRefused
from engine.ledger.alerts import channel_state, delivered, know_channels
from engine.ports.http import HttpClients


class Channel:
    """A channel that fails as often as the test sets, also with what is no Exception."""

    def __init__(
        self,
        name: str,
        failures: int = 0,
        error: Callable[[], BaseException] = lambda: RuntimeError("nobody there"),
    ) -> None:
        self.name = name
        self.failures = failures
        self.error = error
        self.got: list[Alert] = []

    async def deliver(self, alert: Alert, http: HttpClients) -> None:
        await trio.lowlevel.checkpoint()
        if self.failures:
            self.failures -= 1
            raise self.error()
        self.got.append(alert)


async def test_a_channel_that_fails_loses_nothing_and_holds_nobody_up(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        good = Channel("good")
        bad = Channel("bad", 7, asyncio.CancelledError)
        await house.ledger.write(lambda db: know_channels(db, [good.name, bad.name]))
        for each in (good, bad):
            nursery.start_soon(tell, house.shared, each)
        await house.shared.alert(
            AlertCode.RESIDUE, "ann", "BTCUSDT", quantity="1", symbol="BTCUSDT", cause="too small"
        )
        await house.shared.alert(
            AlertCode.RESIDUE, "ann", "ETHUSDT", quantity="2", symbol="ETHUSDT", cause="too small"
        )
        await trio.sleep(2)
        assert [each.details["symbol"] for each in good.got] == ["BTCUSDT", "ETHUSDT"]
        assert channel_state(house.ledger.db, "bad").waiting == 2
        await trio.sleep(300)
        assert [each.details["symbol"] for each in bad.got] == ["BTCUSDT", "ETHUSDT"]
        assert channel_state(house.ledger.db, "bad").waiting == 0
        nursery.cancel_scope.cancel()


async def test_a_channel_that_is_dead_is_told_on_the_others_once_an_hour(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        good, bad = Channel("good"), Channel("bad", failures=1_000)
        await house.ledger.write(lambda db: know_channels(db, [good.name, bad.name]))
        for each in (good, bad):
            nursery.start_soon(tell, house.shared, each)
        await house.shared.alert(
            AlertCode.RESIDUE, "ann", "BTCUSDT", quantity="1", symbol="BTCUSDT", cause="too small"
        )
        await trio.sleep(290)
        assert [each.code for each in good.got] == [AlertCode.RESIDUE]
        await trio.sleep(3_000)
        dead = good.got[1]
        assert (len(good.got), dead.code, dead.subject) == (2, AlertCode.CHANNEL_DEAD, "bad")
        assert dead.sentence.endswith("6 minutes: RuntimeError: nobody there.")
        assert "1 alerts wait" in dead.done
        await trio.sleep(1_000)
        assert [each.code for each in good.got[2:]] == [AlertCode.CHANNEL_DEAD]
        bad.failures = 0
        await trio.sleep(120)
        assert next(each.code for each in bad.got) is AlertCode.RESIDUE
        nursery.cancel_scope.cancel()


async def test_an_alert_that_was_taken_is_not_delivered_again_while_the_disk_is_full(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_full = True

    def noting(db: Database, channel: str, number: int) -> None:
        if is_full:
            raise DiskRefused("the ledger could not be written: database or disk is full")
        delivered(db, channel, number)

    monkeypatch.setattr("engine.actors.alert_delivery.delivered", noting)
    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        good, other = Channel("good"), Channel("other")
        await house.ledger.write(lambda db: know_channels(db, [good.name, other.name]))
        for each in (good, other):
            nursery.start_soon(tell, house.shared, each)
        await house.shared.alert(
            AlertCode.RESIDUE, "ann", "BTCUSDT", quantity="1", symbol="BTCUSDT", cause="too small"
        )
        await trio.sleep(3_600)
        assert [each.code for each in good.got] == [AlertCode.RESIDUE], "and no channel is dead"
        is_full = False
        await trio.sleep(120)
        assert len(good.got) == len(other.got) == 1
        assert channel_state(house.ledger.db, "good").waiting == 0
        nursery.cancel_scope.cancel()
