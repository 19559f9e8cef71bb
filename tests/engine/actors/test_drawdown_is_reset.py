"""An account stopped by its drawdown goes on after a person's decision, which is recorded with its
reason.
"""

import json
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import trio
from engine_world import World, world
from trio.testing import MockClock

from engine.commands import Command, Commands
from engine.context import EngineContext
from engine.domain.errors import InvalidValue, NothingThere, RexAlgoError
from engine.domain.signal import Action, PositionSide
from engine.domain.subscription import RiskLimits
from engine.keys.vault import Vault
from engine.ledger.query import fetch_all
from engine.plugin.host import Plugins
from engine.settings.config import load_config

LONG = PositionSide.LONG


def reset_of(house: World, *, live: bool = True) -> Command:
    async def no_keys() -> Vault:
        raise RexAlgoError("no keys here")

    def no_plugins() -> Plugins:
        raise AssertionError

    context = EngineContext(
        load_config(house.folder, {}),
        house.ledger,
        house.shared.clock,
        no_plugins,
        no_keys,
        trio.lowlevel.checkpoint,
        house.account_tasks if live else None,
    )
    return partial(Commands(context).run, "reset_drawdown")


async def stopped(house: World) -> None:
    """Put an account 50 % below its highest equity, with a cap of 20 %."""
    await house.followers[0].account.wait_read()
    house.shared.limits = RiskLimits(drawdown_percent=20)
    await house.ledger.write(lambda db: db.execute("UPDATE equity_mark SET peak = '20000'"))
    assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["denied.drawdown"]


def peak(house: World) -> Decimal:
    return Decimal(fetch_all(house.ledger.db, "SELECT peak FROM equity_mark")[0][0])


async def test_an_account_stopped_by_its_drawdown_goes_on_by_a_persons_decision(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await stopped(house)
        told = await reset_of(house)({"name": "f0", "note": "a payout, no loss", "by": "op"})
        assert told == {"account": "f0", "was": "20000", "now": "10000"}
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"]
        (kept,) = fetch_all(
            house.ledger.db, "SELECT subject, data FROM event WHERE kind = 'decision'"
        )
        assert kept[0] == "f0"
        assert json.loads(kept[1]) == {
            "drawdown": "reset",
            "was": "20000",
            "note": "a payout, no loss",
            "by": "op",
        }
        await house.ledger.write(lambda db: db.execute("UPDATE equity_mark SET peak = '20000'"))
        assert await house.outcome(await house.send(Action.ADD, side=LONG)) == [
            "denied.drawdown"
        ]  # the cap itself stands


async def test_without_a_reading_the_next_one_gives_the_highest_equity(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await stopped(house)
        assert (await reset_of(house, live=False)({"name": "f0", "note": "why"}))["now"] is None
        assert peak(house) == 0
        assert await house.followers[0].reader.try_to_read()
        assert peak(house) == Decimal(10_000)


async def test_a_reset_needs_a_known_account_that_was_read_and_a_reason(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.followers[0].account.wait_read()
        reset = reset_of(house)
        with pytest.raises(NothingThere, match="no account f9"):
            await reset({"name": "f9", "note": "why"})
        for note in ("", "x" * 201):
            with pytest.raises(InvalidValue, match="why it may continue"):
                await reset({"name": "f0", "note": note})
        await house.ledger.write(lambda db: db.execute("DELETE FROM equity_mark"))
        with pytest.raises(NothingThere, match="was never read"):
            await reset({"name": "f0", "note": "why"})
        assert fetch_all(house.ledger.db, "SELECT 1 FROM event WHERE kind = 'decision'") == []
