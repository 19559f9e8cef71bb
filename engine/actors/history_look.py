"""Whether an account's own history was asked for orders of ours that the ledger lacks; until then,
the ledger may be an old one.
"""

from datetime import datetime, timedelta
from typing import Final

import trio

from engine.ports.clock import Clock

LOOK_WITHIN: Final = timedelta(seconds=8)


class HistoryLook:
    """The progress of the first look at the history after a start, for tasks that must wait for it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self._tried = False
        self.looked = trio.Event()

    @property
    def until(self) -> datetime:
        """Return when the first look ends at the latest."""
        return self._began + LOOK_WITHIN

    @property
    def is_open(self) -> bool:
        """Return whether the history may still show that the ledger is old: until then no reading
        corrects it.
        """
        return not self._tried and self._clock.now() < self.until

    @property
    def send_from(self) -> datetime:
        """Return from when something of the account may start; a time in the past once its history
        was asked.
        """
        return self._began if self.looked.is_set() else self.until

    @property
    def may_send(self) -> bool:
        """Return whether something of the account may start, as far as its history is concerned."""
        return self.send_from <= self._clock.now()

    def was_tried(self) -> None:
        """Record that the first look has ended: readings may correct the ledger from now on."""
        self._tried = True
