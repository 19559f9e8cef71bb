"""A doorbell: ringing loses nothing because the work is in the ledger; many rings before an answer
are one.
"""

import trio


class Doorbell:
    """Let one task wait until somebody rang since it last looked."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Wake the waiting task, now or at its next wait. Never blocks."""
        self._rung.set()

    async def wait(self, at_most_s: float | None = None) -> None:
        """Wait for a ring, at most ``at_most_s`` seconds."""
        if at_most_s is None:
            await self._rung.wait()
        else:
            with trio.move_on_after(max(0.0, at_most_s)):
                await self._rung.wait()
        self._rung = trio.Event()
