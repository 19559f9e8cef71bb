"""Counts of what became of the copies of several signals, for pages: a signal has as many copies as
its strategy has followers, so orders go between two signals.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import trio

from engine.context import EngineContext
from engine.domain.outcome import OutcomeCode
from engine.ledger.results import outcomes_of

KEPT_FOR: Final = timedelta(seconds=60)
_KEPT_MAX: Final = 10_000

Outcomes = Sequence[tuple[str, str | None, int]]


class OutcomeCounts:
    """The counts of signals, by environment and outcome; those of a settled signal are at most a
    minute old.
    """

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._kept: dict[int, tuple[datetime, Outcomes]] = {}

    async def of(self, signals: Sequence[int]) -> Counter[tuple[str, str | None]]:
        """Sum the counts of signals, by their numbers; None is the outcome of what waits."""
        counts: Counter[tuple[str, str | None]] = Counter()
        for number in signals:
            for environment, code, count in await self._of(number):
                counts[environment, code] += count
        return counts

    async def _of(self, number: int) -> Outcomes:
        now, kept = self._context.clock.now(), self._kept.get(number)
        if kept is not None and now - kept[0] < KEPT_FOR:
            return kept[1]
        read = outcomes_of(self._context.ledger.db, number)
        if all(code is not None and OutcomeCode(code).is_final for _, code, _ in read):
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            self._kept[number] = (now, read)
        else:
            self._kept.pop(number, None)
        await trio.lowlevel.checkpoint()  # orders go first
        return read
