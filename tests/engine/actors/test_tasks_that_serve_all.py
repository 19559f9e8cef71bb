"""A failing task that serves every account restarts, ends nothing else, and is named while it
fails.
"""

import trio
from trio.testing import MockClock

from engine.actors.account_tasks import AccountTasks


async def test_it_begins_again_and_is_named_for_a_minute(autojump_clock: MockClock) -> None:
    account_tasks, ran = AccountTasks(), 0

    async def fails_twice() -> None:
        nonlocal ran
        ran += 1
        if ran <= 2:
            raise RuntimeError(f"fault {ran}")
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        account_tasks.keep_running(nursery, "flattening", fails_twice)
        await trio.sleep(10)
        assert (ran, account_tasks.failing()) == (3, {"flattening": "RuntimeError: fault 2"})
        await trio.sleep(60)
        assert account_tasks.failing() == {}
        nursery.cancel_scope.cancel()
