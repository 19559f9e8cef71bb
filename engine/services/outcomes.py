"""Counts of what became of the copies of several signals, for pages: a signal has as many copies as
its strategy has followers, so orders go between two signals.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

import trio

from engine.context import EngineContext
from engine.domain.outcome import OutcomeCode
from engine.ledger.results import outcomes_of
from engine.ports.clock import Clock

KEPT_FOR: Final = timedelta(seconds=60)
_KEPT_MAX: Final = 10_000

Outcomes = Sequence[tuple[str, str | None, int]]


T = TypeVar("T")


class Settled(Generic[T]):
    """What was read of settled signals, by their numbers; kept for a minute, because late proof can
    still change an outcome.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[int, tuple[datetime, T]] = {}

    def get(self, number: int) -> T | None:
        """Return what was read of a signal, None if it is to be read."""
        kept = self._kept.get(number)
        if kept is None or self._clock.now() - kept[0] >= KEPT_FOR:
            return None
        return kept[1]

    def keep(self, number: int, read: T) -> None:
        """Keep what was just read of a settled signal."""
        if len(self._kept) >= _KEPT_MAX:
            self._kept.clear()
        self._kept[number] = (self._clock.now(), read)


class OutcomeCounts:
    """The counts of signals, by environment and outcome; those of a settled signal are at most a
    minute old.
    """

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._settled = Settled[Outcomes](context.clock)

    async def of(self, signals: Sequence[int]) -> Counter[tuple[str, str | None]]:
        """Sum the counts of signals, by their numbers; None is the outcome of what waits."""
        counts: Counter[tuple[str, str | None]] = Counter()
        for number in signals:
            for environment, code, count in await self._of(number):
                counts[environment, code] += count
        return counts

    async def _of(self, number: int) -> Outcomes:
        kept = self._settled.get(number)
        if kept is not None:
            return kept
        read = outcomes_of(self._context.ledger.db, number)
        if all(code is not None and OutcomeCode(code).is_final for _, code, _ in read):
            self._settled.keep(number, read)
        await trio.lowlevel.checkpoint()  # orders go first
        return read
