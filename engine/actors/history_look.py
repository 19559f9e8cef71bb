"""Whether an account's own history was asked for orders of ours that the ledger lacks; until then,
the ledger may be an old one.
"""

from typing import Final

import trio

LOOK_WITHIN_S: Final = 8.0


class HistoryLook:
    """The progress of the first look at the history after a start, for tasks that must wait for it.
    It is measured on trio's clock, which nobody sets.
    """

    def __init__(self) -> None:
        self._until = trio.current_time() + LOOK_WITHIN_S
        self._tried = False
        self.looked = trio.Event()

    @property
    def left_s(self) -> float:
        """Return after how many seconds the first look ends at the latest."""
        return max(0.0, self._until - trio.current_time())

    @property
    def is_open(self) -> bool:
        """Return whether the history may still show that the ledger is old: until then no reading
        corrects it.
        """
        return not self._tried and self.left_s > 0

    @property
    def wait_s(self) -> float:
        """Return for how many seconds nothing of the account may start; 0 once its history was
        asked.
        """
        return 0.0 if self.looked.is_set() else self.left_s

    def was_tried(self) -> None:
        """Record that the first look has ended: readings may correct the ledger from now on."""
        self._tried = True
