"""Which fault happens at which call: decided by the seed and by the call's own place in the story,
and counted in a matrix.

A call's fault depends only on the seed, the place of the call and its count there. So a story from
which something is left out stays nearly the same, which makes shrinking possible.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

Cell = tuple[str, str]
"""An action, and the state that its leg or order was in when the fault came."""

ANSWER: Final = (
    "refused",
    "connect_error",
    "rate_limited",
    "rejected",
    "key_refused",
    "hangs",
    "error_500",
    "foreign_error",
    "answer_lost",
    "answer_late",
    "answer_garbage",
    "answer_500",
    "other_order",
    "accepted_late",
    "slow",
)
FATE: Final = ("late_rejection", "partial", "partial_then_rest", "late_fill", "late_visible")
READ: Final = (
    "read_fails",
    "read_hangs",
    "read_slow",
    "read_old",
    "read_key_refused",
    "read_garbage",
)
FIND: Final = (
    "find_fails",
    "find_hangs",
    "find_incomplete",
    "find_duplicates",
    "find_shuffled",
    "find_garbage",
)
RECORD: Final = ("record_fails", "record_garbage", "record_empty")
PREPARE: Final = ("prepare_fails", "prepare_refused", "prepare_foreign_error", "prepare_hangs")
CANCEL: Final = ("cancel_fails", "cancel_ignored")
PROTECT: Final = ("protect_fails", "protect_lost")
CONNECT: Final = ("connect_fails", "connect_key_refused", "connect_hangs")
WRITE: Final = ("ledger_refuses",)
LIMIT: Final = ("limiter_fails",)
PLAN: Final = ("task_crashes",)
STOP: Final = ("stopped", "killed")
WINDOWS: Final = ("key_window", "prices_fail")
RARE: Final = {
    WRITE: 0.004,
    LIMIT: 0.01,
    PLAN: 0.02,
    READ: 0.2,
    FIND: 0.3,
    RECORD: 0.3,
    PREPARE: 0.2,
    CONNECT: 0.2,
}
"""The share of calls that fail, where it is not the story's own share: these come often, or cost a
whole task.
"""


@dataclass(slots=True)
class Roll:
    """The faults of one call, and the random numbers of this call alone."""

    fault: str | None
    random: Random

    def between(self, low: float, high: float) -> float:
        """Return a random number of this call."""
        return self.random.uniform(low, high)


@dataclass
class Dice:
    """The source of faults. ``off`` ends all faults; ``calls`` names the only calls that may fail
    in a story that is being shrunk.
    """

    seed: int
    share: float
    calls: frozenset[str] | None = None
    off: bool = False
    hits: Counter[str] = field(default_factory=Counter)
    matrix: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    happened: list[str] = field(default_factory=list)
    situation: Callable[[str, str | None], set[Cell]] = lambda account, symbol: set()
    _made: Counter[str] = field(default_factory=Counter)

    def roll(
        self,
        faults: Sequence[str],
        account: str,
        symbol: str | None = None,
        *,
        cells: set[Cell] | None = None,
    ) -> Roll:
        """Decide for one call. ``cells`` are cells it hits that the ledger alone does not show."""
        where = f"{account}/{faults[0]}"
        self._made[where] += 1
        call = f"{where}/{self._made[where]}"
        random = Random(f"{self.seed}/{call}")
        happens = random.random() < RARE.get(tuple(faults), self.share)
        chosen = random.choice(faults)
        if self.off or not happens or (self.calls is not None and call not in self.calls):
            return Roll(None, random)
        self.happened.append(call)
        self.count(chosen, self.situation(account, symbol) if cells is None else cells)
        return Roll(chosen, random)

    def count(self, fault: str, cells: set[Cell]) -> None:
        """Count a fault once, and each cell that it hit."""
        self.hits[fault] += 1
        for action, state in cells:
            self.matrix[fault, action, state] += 1
