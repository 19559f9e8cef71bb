"""One claim permits one order request: the engine's last check, made at the moment before the first
byte.

While a permit is set, the first request that is neither GET nor HEAD takes it immediately before
its first byte, with no await in between; any further one is refused before anything is written.
Without a permit, requests are not limited.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import trio

from engine.domain.errors import RexAlgoError


class SendRefused(RexAlgoError):
    """Raised when a second order request was tried under one claim: nothing of it was written;
    correct the adapter.
    """


class SendStopped(RexAlgoError):
    """Raised when the last line stopped an order: nothing of it was written. The permit keeps the
    reason.
    """


Stop = TypeVar("Stop")


class SendPermit(Generic[Stop]):
    """A permit for one order request. ``last_line`` is asked right before its first byte and answers what
    stops it, None to let it go; ``written`` runs once after its last.

    Both are synchronous. ``taken`` is True from the moment the last line let it go: while it is
    False, nothing left. A permit that was stopped, or whose last line raised, is used up and stays
    not taken; ``stopped_by`` is the answer. ``done_writing`` is True once the request was handed to
    the kernel or failed, ``is_unanswered`` while a byte of it has left and no whole answer was read.
    """

    __slots__ = (
        "_last_line",
        "_used",
        "_written",
        "done_writing",
        "is_unanswered",
        "stopped_by",
        "taken",
    )

    def __init__(self, last_line: Callable[[], Stop | None], written: Callable[[], None]) -> None:
        self._last_line = last_line
        self._written = written
        self._used = False
        self.stopped_by: Stop | None = None
        self.taken = False
        self.done_writing = False
        self.is_unanswered = False

    def ask(self) -> Stop | None:
        """Ask the last line now; None lets the order go. The answer holds for this task until it
        pauses: ``take`` asks again after a pause, and in another task.
        """
        self.stopped_by = self._last_line()
        # trio sets this to None whenever it reschedules the task (documented; trio 0.35)
        trio.lowlevel.current_task().custom_sleep_data = self
        return self.stopped_by

    def take(self) -> None:
        """Use the permit; write without an await after this. Raises SendRefused the second time,
        SendStopped if the last line stops it, and whatever the last line raises.
        """
        if self._used:
            raise SendRefused(
                "one claim permits one order request, and this was a further one: nothing of it "
                "was sent; correct the adapter"
            )
        self._used = True
        if trio.lowlevel.current_task().custom_sleep_data is not self:
            self.ask()
        if self.stopped_by is not None:
            raise SendStopped("the last line stopped this order: nothing of it was sent")
        self.taken = True

    def mark_written(self) -> None:
        """Record that writing has ended, successfully or not; calls ``written`` the first time
        only.
        """
        if not self.done_writing:
            self.done_writing = True
            self._written()


send_permit: ContextVar[SendPermit[Any] | None] = ContextVar("send_permit", default=None)
"""The permit of the order being placed in this task and its children; None if requests are not
limited.
"""
