"""What a plugin raises ends nothing but its own call, also what is no Exception."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from engine_world import world
from trio.testing import MockClock

from engine.actors.streams import StrategyStream, run_stream
from engine.actors.supervisor import Vitals
from engine.domain.errors import RexAlgoError
from engine.domain.network import Reach
from engine.ports.contained import contained
from engine.transport import HttpClientFactory
from engine.transport.personal_delivery import with_client


async def sleeping() -> None:
    await trio.sleep_forever()


async def raising(error: BaseException) -> None:
    await trio.lowlevel.checkpoint()
    raise error


async def test_another_librarys_cancellation_is_an_error_of_the_plugin() -> None:
    for error in (asyncio.CancelledError(), SystemExit(1), BaseExceptionGroup("", [SystemExit()])):
        with pytest.raises(RexAlgoError, match=f"the plugin raised {type(error).__name__}"):
            await contained(raising(error))
        with pytest.raises(RexAlgoError):
            await with_client(lambda http, error=error: raising(error), Reach())  # type: ignore[misc]
    with pytest.raises(ValueError, match="its own"):
        await contained(raising(ValueError("its own")))


async def test_the_engines_own_cancellation_passes() -> None:
    with trio.move_on_after(0) as scope:
        await contained(sleeping())
    assert scope.cancelled_caught
    with pytest.raises(KeyboardInterrupt):
        await contained(raising(KeyboardInterrupt()))


class Source:
    """A source that another library cancels each time."""

    name = "odd"

    def check_params(self, params: object) -> None:
        pass

    async def run(self, context: object) -> None:
        await raising(asyncio.CancelledError())


async def test_a_stream_that_is_cancelled_by_its_library_starts_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        vitals = Vitals("strategy trend")
        with trio.move_on_after(60):
            await run_stream(
                house.shared,
                cast(Any, Source()),
                cast(StrategyStream, type("Context", (), {"strategy": "trend", "params": {}})),
                vitals,
                HttpClientFactory(),
            )
    assert vitals.restarts > 2
    assert vitals.last_error == "RexAlgoError: the plugin raised CancelledError"
