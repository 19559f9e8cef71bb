"""Count what the ledger recorded since the engine started, for metrics. Pure.

The ledger's own events are counted, after they are durable: nothing is counted where orders are
sent, and the counts equal the ledger's.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The upper bounds of a histogram, in seconds."""
STAGES: Final = ("queue", "exchange", "total")
"""From the signal's arrival to the first claim, from the claim to the end of the order, and from
arrival to the outcome.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One event of the ledger: ``code`` is that of an outcome or an alert. The times of its order
    (microseconds) are None where it has none.
    """

    sequence: int
    at_us: int
    kind: str
    code: str
    received_us: int | None = None
    claimed_us: int | None = None
    ended_us: int | None = None


@dataclass(slots=True)
class Histogram:
    """Times by upper bound, the last one without a bound; and their sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one time. A clock that was set back makes none shorter than zero."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def cumulative(self) -> list[tuple[str, int]]:
        """Return for each bound how many times were at most that long."""
        total, rows = 0, []
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            rows.append((bound, total))
        return rows


@dataclass(slots=True)
class Measured:
    """The counts so far, and the last event and the last signal that are in them."""

    after: int = 0
    after_signal: int = 0
    copies: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    stages: dict[str, Histogram] = field(
        default_factory=lambda: {stage: Histogram() for stage in STAGES}
    )

    def add(self, event: Recorded) -> None:
        """Count one event; one that is in the counts already is not counted again."""
        if event.sequence <= self.after:
            return
        self.after = event.sequence
        if event.kind == "alert":
            self.alerts[event.code] += 1
        elif event.kind == "outcome":
            self.outcomes[event.code] += 1
            self._time(event)

    def add_copies(self, signal: int, number: int) -> None:
        """Count the copies of one signal; one that is in the counts already is not counted again."""
        if signal > self.after_signal:
            self.after_signal = signal
            self.copies += number

    def _time(self, event: Recorded) -> None:
        received, claimed, ended = event.received_us, event.claimed_us, event.ended_us
        if received is None or claimed is None or ended is None:
            return  # no order, or one that is not over
        for stage, lasted_us in zip(
            STAGES, (claimed - received, ended - claimed, event.at_us - received), strict=True
        ):
            self.stages[stage].add(lasted_us / 1e6)
