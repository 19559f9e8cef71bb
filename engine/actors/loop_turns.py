"""How long the turns of the loop take: from one look at the sockets to the next.

While a turn lasts, no webhook is read and no answer of an exchange is taken, so a long turn delays
everybody. Times are real time, whatever clock the tasks use.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import log2
from time import perf_counter
from typing import Final

import trio

from engine.live import TurnTimes

WINDOW_S: Final = 60.0
_STEPS: Final = 8
"""Steps of a doubling: a time is known to 9 %."""


class LoopTurns(trio.abc.Instrument):
    """A watch over the turns of one loop; the memory that it takes does not grow."""

    def __init__(self, now: Callable[[], float] = perf_counter) -> None:
        self._now = now
        self._turn_began: float | None = None
        self._window_began = now()
        self._before, self._current = Counter[int](), Counter[int]()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the running loop while the block runs."""
        trio.lowlevel.add_instrument(self)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(self)

    def after_io_wait(self, timeout: float) -> None:
        """Begin a turn."""
        self._turn_began = self._now()

    def before_io_wait(self, timeout: float) -> None:
        """End a turn."""
        if self._turn_began is None:
            return
        now = self._now()
        if now - self._window_began >= WINDOW_S:
            self._begin_window(now)
        us = max(1.0, (now - self._turn_began) * 1e6)
        self._current[int(log2(us) * _STEPS)] += 1

    def times(self) -> TurnTimes:
        """Return how long the newest turns took."""
        counts = self._before + self._current
        turns = counts.total()
        if not turns:
            return TurnTimes(0, 0.0, 0.0)
        left, p99 = turns - turns // 100, 0
        for index in sorted(counts):
            left -= counts[index]
            if left <= 0:
                p99 = index
                break
        return TurnTimes(turns, _ms(p99), _ms(max(counts)))

    def _begin_window(self, now: float) -> None:
        lasted = now - self._window_began
        self._before = self._current if lasted < 2 * WINDOW_S else Counter()
        self._current = Counter()
        self._window_began = now


def _ms(index: int) -> float:
    """Return the upper end of a step."""
    return round(2 ** ((index + 1) / _STEPS) / 1000, 2)
