"""One claim permits one order request: the engine's last check, made at the moment before the first
byte.

While a permit is set, the first request that is neither GET nor HEAD takes it immediately before
its first byte, with no await in between; any further one is refused before anything is written.
Without a permit, requests are not limited.
"""

from collections.abc import Callable
from contextvars import ContextVar

from engine.domain.errors import RexAlgoError


class SendRefused(RexAlgoError):
    """Raised when a second order request was tried under one claim: nothing of it was written;
    correct the adapter.
    """


class SendPermit:
    """A permit for one order request. ``check`` runs right before its first byte and raises to stop
    it, ``written`` once after its last.

    Both are synchronous. ``taken`` is True from the moment ``check`` passed: while it is False,
    nothing left. A permit whose check raised is used up and stays not taken. ``done_writing`` is
    True once the request was handed to the kernel or failed.
    """

    __slots__ = ("_check", "_used", "_written", "done_writing", "taken")

    def __init__(self, check: Callable[[], None], written: Callable[[], None]) -> None:
        self._check = check
        self._written = written
        self._used = False
        self.taken = False
        self.done_writing = False

    def take(self) -> None:
        """Use the permit; write without an await after this. Raises SendRefused the second time,
        and whatever ``check`` raises.
        """
        if self._used:
            raise SendRefused(
                "one claim permits one order request, and this was a further one: nothing of it "
                "was sent; correct the adapter"
            )
        self._used = True
        self._check()
        self.taken = True

    def mark_written(self) -> None:
        """Record that writing has ended, successfully or not; calls ``written`` the first time
        only.
        """
        if not self.done_writing:
            self.done_writing = True
            self._written()


send_permit: ContextVar[SendPermit | None] = ContextVar("send_permit", default=None)
"""The permit of the order being placed in this task and its children; None if requests are not
limited.
"""
