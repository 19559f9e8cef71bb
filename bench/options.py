"""What a person may choose for a run; a choice that is not made leaves the scenario's own."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from bench.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The choices of one run. ``seconds`` is the length of each timed part of ``ingress`` and
    ``idle``; ``quiet_s`` is how long the measured process must have been quiet before the next
    signal.
    """

    followers: tuple[int, ...] = ()
    rounds: int = 0
    seconds: float = 0.0
    outcomes: int = 1_000_000
    signals: int = 100
    quiet_s: float = 1.0


Scenario = Callable[[Options], AsyncIterator[Row]]
