"""Counts of what became of the copies of several signals, for pages: a signal has as many copies as
its strategy has followers, so orders go between two signals.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Generic, TypeVar

import trio

from engine.context import EngineContext
from engine.decisions.missed import was_copied
from engine.domain.amounts import EXACT
from engine.domain.outcome import OutcomeCode
from engine.ledger.results import outcomes_of
from engine.ports.clock import Clock

KEPT_FOR: Final = timedelta(seconds=60)
_KEPT_MAX: Final = 10_000

Outcomes = Sequence[tuple[str, str | None, bool, int]]
Counts = Counter[tuple[str, str | None, bool]]
_WATCHED: Final = OutcomeCode.SKIPPED_WATCH_ONLY


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a strategy's entries in one environment: how many of the ``wanted`` copies
    were copied, and why the others were not, by code (``decisions.missed``).

    What still waits, and copies that only watch, are not wanted.
    """

    environment: str
    wanted: int
    copied: int
    others: Sequence[tuple[str, int]]

    @property
    def copied_percent(self) -> Decimal:
        """Return the copied part in percent; some must be wanted."""
        return EXACT.divide(Decimal(100 * self.copied), Decimal(self.wanted))


def heard_of(environment: str, counts: Counts) -> Heard:
    """Return what became of entries in one environment."""
    copied, others = 0, Counter[str]()
    for (where, word, has_filled), count in counts.items():
        if where != environment or word is None or (code := OutcomeCode(word)) is _WATCHED:
            continue
        is_copied = was_copied(code, has_filled=has_filled)
        if is_copied:
            copied += count
        elif is_copied is False:
            others[word] += count
    return Heard(environment, copied + others.total(), copied, tuple(others.most_common()))


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

    async def of(self, signals: Sequence[int]) -> Counts:
        """Sum the counts of signals, by their numbers; None is the outcome of what waits."""
        counts: Counts = Counter()
        for number in signals:
            for environment, code, has_filled, count in await self._of(number):
                counts[environment, code, has_filled] += count
        return counts

    async def _of(self, number: int) -> Outcomes:
        kept = self._settled.get(number)
        if kept is not None:
            return kept
        read = outcomes_of(self._context.ledger.db, number)
        if all(code is not None and OutcomeCode(code).is_final for _, code, _, _ in read):
            self._settled.keep(number, read)
        await trio.lowlevel.checkpoint()  # orders go first
        return read
