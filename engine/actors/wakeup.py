"""A wake-up of one waiting task. Losing one loses no work, because the work is in the ledger; many
wake-ups before the task runs count as one.
"""

from collections.abc import Callable

import trio


class WakeUp:
    """A wake-up on which one task waits until it is woken again, or that starts one."""

    def __init__(self) -> None:
        self._awake = trio.Event()
        self._start: Callable[[], None] | None = None

    def wake(self) -> None:
        """Wake the waiting task, now or at its next wait, or start it. Never blocks."""
        self._awake.set()
        if self._start is not None:
            start, self._start = self._start, None
            start()

    def starts(self, start: Callable[[], None]) -> None:
        """Call ``start`` once, at the next wake-up or now if one came: until then no task waits."""
        self._start = start
        if self._awake.is_set():
            self.wake()

    def take(self) -> bool:
        """Return whether a wake-up came since the last wait, and consume it."""
        was_woken = self._awake.is_set()
        if was_woken:
            self._awake = trio.Event()
        return was_woken

    async def wait(self, at_most_s: float | None = None) -> None:
        """Wait for a wake-up, at most ``at_most_s`` seconds."""
        if at_most_s is None:
            await self._awake.wait()
        else:
            with trio.move_on_after(max(0.0, at_most_s)):
                await self._awake.wait()
        self._awake = trio.Event()
