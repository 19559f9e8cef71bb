"""``rexalgo restore confirm``: only the shown plan, every obstacle at once, and no account that
could not be read.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from engine_world import World, world
from trio.testing import MockClock

from engine.commands.restoring import RESTORING, NotConfirmed
from engine.context import EngineContext
from engine.domain.errors import NothingThere, RexAlgoError
from engine.domain.signal import Action, PositionSide
from engine.ledger.freeze import EVERYBODY, freeze, read_freezes


@asynccontextmanager
async def frozen_house(folder: Path) -> AsyncIterator[tuple[World, EngineContext]]:
    async with world(folder, followers=2) as house:
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == [
            "filled",
            "filled",
        ]
        await trio.sleep(60)
        now = house.shared.clock.now()
        await house.ledger.write(lambda db: freeze(db, EVERYBODY, "", "it is old", now))

        async def no_vault() -> Any:
            raise RexAlgoError("no keys here")

        async def changed() -> None:
            house.account_tasks.wake()

        yield (
            house,
            EngineContext(
                cast(Any, None),
                house.ledger,
                house.shared.clock,
                cast(Any, None),
                no_vault,
                changed,
                house.account_tasks,
            ),
        )


async def test_only_what_was_shown_is_confirmed_and_who_cannot_be_read_stays(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with frozen_house(tmp_path) as (house, context):
        show, confirm = RESTORING["reconcile_all"], RESTORING["restore_confirm"]
        with pytest.raises(
            NotConfirmed, match=r"f0: its plan was not shown.*\n.*f1: its plan was not shown"
        ):
            await confirm(context, {})
        told = await show(context, {})
        assert [
            (each["account"], [step["kind"] for step in each["steps"]]) for each in told["accounts"]
        ] == [("f0", ["stays"]), ("f1", ["stays"])]
        session = await house.followers[1].account.connected()

        async def fails() -> Any:
            raise OSError("no way to it")

        real, session.fetch_account = session.fetch_account, fails  # type: ignore[method-assign]
        with pytest.raises(NotConfirmed, match="f1: what differs is not what was shown"):
            await confirm(context, {})
        assert [each.account for each in read_freezes(house.ledger.db)] == [EVERYBODY]
        assert [each["problem"] for each in (await show(context, {}))["accounts"]] == [
            "",
            "OSError: no way to it",
        ]
        told = await confirm(context, {})
        assert (told["confirmed"], list(told["still"])) == (1, ["f1"])
        closed = await house.send(Action.CLOSE)
        await trio.sleep(60)
        assert house.codes(closed) == ["filled", None]
        session.fetch_account = real  # type: ignore[method-assign]
        assert [each["account"] for each in (await show(context, {}))["accounts"]] == ["f1"]
        assert (await confirm(context, {}))["still"] == {}
        assert set(await house.outcome(closed)) == {"filled"}
        with pytest.raises(NothingThere, match="nothing is frozen"):
            await confirm(context, {})


async def test_without_a_running_engine_nothing_is_shown_or_confirmed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with frozen_house(tmp_path) as (_, context):
        context.live = None
        for method in ("reconcile_all", "restore_confirm"):
            with pytest.raises(NothingThere, match="no server runs here"):
                await RESTORING[method](context, {})


@pytest.mark.parametrize("is_read", [True, False])
async def test_who_is_frozen_while_a_person_confirms_stays_frozen(
    tmp_path: Path, autojump_clock: MockClock, is_read: bool
) -> None:
    async with frozen_house(tmp_path) as (house, context):
        show, confirm = RESTORING["reconcile_all"], RESTORING["restore_confirm"]
        session = await house.followers[1].account.connected()
        real = session.fetch_account

        async def slow() -> Any:
            now = house.shared.clock.now()
            await house.ledger.write(
                lambda db: freeze(
                    db, house.followers[1].account.id, "f1", "its history has more", now
                )
            )
            if not is_read:
                raise OSError("no way to it")
            return await real()

        async def fails() -> Any:
            raise OSError("no way to it")

        if not is_read:
            session.fetch_account = fails  # type: ignore[method-assign]
        await show(context, {})
        session.fetch_account = slow  # type: ignore[method-assign]
        await confirm(context, {})
        assert [(each.name, each.cause) for each in read_freezes(house.ledger.db)] == [
            ("f1", "its history has more")
        ]
