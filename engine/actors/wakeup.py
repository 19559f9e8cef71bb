"""A wake-up of one waiting task. Losing one loses no work, because the work is in the ledger; many
wake-ups before the task runs count as one.
"""

import heapq
from collections.abc import Callable

import trio


class WakeUp:
    """A wake-up on which one task waits until it is woken again, or that starts one."""

    __slots__ = ("_is_woken", "_start", "_waiting")

    def __init__(self) -> None:
        self._is_woken = False
        self._waiting: trio.Event | None = None
        self._start: Callable[[], None] | None = None

    def wake(self) -> None:
        """Wake the waiting task, now or at its next wait, or start it. Never blocks."""
        self._is_woken = True
        if self._waiting is not None:
            self._waiting.set()
        if self._start is not None:
            start, self._start = self._start, None
            start()

    def starts(self, start: Callable[[], None]) -> None:
        """Call ``start`` once, at the next wake-up or now if one came: until then no task waits."""
        self._start = start
        if self._is_woken:
            self.wake()

    def take(self) -> bool:
        """Return whether a wake-up came since the last wait, and consume it."""
        was_woken, self._is_woken = self._is_woken, False
        return was_woken

    async def wait(self, at_most_s: float | None = None) -> None:
        """Wait for a wake-up, at most ``at_most_s`` seconds."""
        self._waiting = trio.Event()
        if self._is_woken:
            self._waiting.set()
        try:
            if at_most_s is None:
                await self._waiting.wait()
            else:
                with trio.move_on_after(max(0.0, at_most_s)):
                    await self._waiting.wait()
        finally:
            self._waiting = None
        self._is_woken = False


class Timetable:
    """When wake-ups are due that nobody waits for; times are trio's."""

    def __init__(self) -> None:
        self._due: dict[WakeUp, float] = {}
        self._heap: list[tuple[float, int, WakeUp]] = []
        self._entered = 0
        self._changed = WakeUp()

    async def run(self) -> None:
        """Wake each at its time until cancelled."""
        while True:
            self.ring()
            next_at = self._heap[0][0] if self._heap else None
            await self._changed.wait(None if next_at is None else next_at - trio.current_time())

    def wake_at(self, wakeup: WakeUp, at: float) -> None:
        """Wake at this time, instead of an earlier request."""
        self._due[wakeup] = at
        self._enter(wakeup, at)
        if self._heap[0][0] == at:
            self._changed.wake()
        if len(self._heap) > 2 * len(self._due) + 64:  # most requests were replaced
            self._heap.clear()
            for each, due in self._due.items():
                self._enter(each, due)

    def forget(self, wakeup: WakeUp) -> None:
        """Withdraw a request, if there is one."""
        self._due.pop(wakeup, None)

    def ring(self) -> None:
        """Wake what is due by now."""
        now = trio.current_time()
        while self._heap and self._heap[0][0] <= now:
            at, _, wakeup = heapq.heappop(self._heap)
            if self._due.get(wakeup) == at:
                del self._due[wakeup]
                wakeup.wake()

    def _enter(self, wakeup: WakeUp, at: float) -> None:
        self._entered += 1
        heapq.heappush(self._heap, (at, self._entered, wakeup))
