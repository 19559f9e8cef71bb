"""A wake-up of one waiting task. Losing one loses no work, because the work is in the ledger; many
wake-ups before the task runs count as one.
"""

import trio


class WakeUp:
    """A wake-up on which one task waits until it is woken again."""

    def __init__(self) -> None:
        self._awake = trio.Event()

    def wake(self) -> None:
        """Wake the waiting task, now or at its next wait. Never blocks."""
        self._awake.set()

    def clear(self) -> None:
        """Forget the wake-ups up to now; for the task that waits, between two waits."""
        self._awake = trio.Event()

    async def wait(self, at_most_s: float | None = None) -> None:
        """Wait for a wake-up, at most ``at_most_s`` seconds."""
        if at_most_s is None:
            await self._awake.wait()
        else:
            with trio.move_on_after(max(0.0, at_most_s)):
                await self._awake.wait()
        self._awake = trio.Event()
