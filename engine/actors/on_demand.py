"""A part of an account's task that runs only when it is woken or due: an idle account has no task
for it.
"""

from collections.abc import Awaitable, Callable
from contextvars import Context

import trio

from engine.actors.wakeup import Timetable, WakeUp

Keep = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
Part = Callable[[], Awaitable[float | None]]


class OnDemand:
    """One such part. It returns in how many seconds it wants to run again, None to wait until it is
    woken; a wake-up during a run starts the next one.

    It works in the context it was given, not in that of whoever wakes it: that one may be sending
    an order of another account.
    """

    __slots__ = ("_context", "_keep", "_nursery", "_part", "_timetable", "_wakeup")

    def __init__(
        self,
        nursery: trio.Nursery,
        context: Context,
        keep: Keep,
        timetable: Timetable,
        wakeup: WakeUp,
        part: Part,
    ) -> None:
        """``keep`` runs it again if it fails; ``nursery`` and ``context`` are those of the
        account's task.
        """
        self._nursery = nursery
        self._keep = keep
        self._timetable = timetable
        self._wakeup = wakeup
        self._part = part
        self._context = context

    def begin(self, *, at_once: bool = False) -> None:
        """Run at the next wake-up, or now."""
        if at_once:
            self._wakeup.wake()
        self._wakeup.starts(self._start)

    def _start(self) -> None:
        if not self._nursery.cancel_scope.cancel_called:  # else the account's task is about to end
            self._context.run(self._nursery.start_soon, self._run)

    async def _run(self) -> None:
        self._wakeup.take()
        self._timetable.forget(self._wakeup)
        await self._keep(self._once)
        self._wakeup.starts(self._start)

    async def _once(self) -> None:
        pause_s = await self._part()
        if pause_s is not None:
            self._timetable.wake_at(self._wakeup, trio.current_time() + pause_s)
