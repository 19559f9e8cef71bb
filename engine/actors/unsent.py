"""Claims that are not sent yet, and the answers that wait behind them: a fan-out's last order does
not wait for the bookkeeping of its first. Each exchange has its own: one that hangs keeps its slots,
and holds no order and no answer of another.

Until an answer is recorded, its order is what every order is whose answer has not arrived: a claim
in flight, which a crash leaves to the resolver. So the answers that may wait have a bound, and none
waits for longer than a second.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

ANSWER_WAITS_S: Final = 1.0
ANSWERS_MAX: Final = 1_000
ANSWERS_AT_ONCE: Final = 6


class Unsent:
    """The slots for unsent claims at one exchange, at most ``slots``, and a place for its answers to
    wait.
    """

    def __init__(self, slots: int) -> None:
        self._slots = trio.Semaphore(slots)
        self._answers = trio.lowlevel.ParkingLot()
        self._fan_outs = 0

    async def acquire(self) -> None:
        """Wait for a slot: the caller claims next."""
        await self._slots.acquire()

    def release(self) -> None:
        """Give a slot back: the claimed order is written, or never will be."""
        self._slots.release()
        self._let_answers_go()

    @contextmanager
    def fanning_out(self) -> Iterator[None]:
        """Keep answers waiting while the block hands legs to their accounts."""
        self._fan_outs += 1
        try:
            yield
        finally:
            self._fan_outs -= 1
            self._let_answers_go()

    async def wait_for_sends(self) -> None:
        """Wait until the orders of a fan-out are sent, at most a second; at once if a thousand
        answers wait already.

        A few are let go at a time, and each of them lets one more go when it runs: everything else
        in the loop waits for a few of them, never for all.
        """
        if not self._is_sending or len(self._answers) >= ANSWERS_MAX:
            return
        with trio.move_on_after(ANSWER_WAITS_S):
            await self._answers.park()
        if not self._is_sending:
            self._answers.unpark()

    @property
    def _is_sending(self) -> bool:
        return self._fan_outs > 0 or self._slots.statistics().tasks_waiting > 0

    def _let_answers_go(self) -> None:
        if self._answers and not self._is_sending:
            self._answers.unpark(count=ANSWERS_AT_ONCE)
