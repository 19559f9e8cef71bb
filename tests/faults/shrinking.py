"""Shrink a failing story: fewer steps, then fewer faults, as long as the same kind of violation
remains.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.faults.invariants import violations
from tests.faults.scenario import run_story

T = TypeVar("T")


@dataclass
class Shrunk:
    """The remainder: numbers of steps, calls that fail, and what is violated."""

    steps: tuple[int, ...]
    calls: tuple[str, ...]
    found: list[str]
    told: int = 0

    def replay(self, seed: int) -> str:
        """Return the command that runs it again."""
        steps, calls = ",".join(map(str, self.steps)), ",".join(self.calls) or "none"
        return f'make faults ARGS="--seed {seed} --only {steps} --calls {calls}"'


def shrink(seed: int, steps: int, share: float, budget: int) -> Shrunk:
    """Run the story again and again with less in it, at most ``budget`` times."""
    story = run_story(seed, steps=steps, share=share)
    kept = Shrunk(tuple(range(steps)), tuple(story.dice.happened), violations(story.evidence), 1)
    kind = kept.found[0].split(":")[0]

    def fails(numbers: Sequence[int], calls: frozenset[str] | None) -> bool:
        if kept.told >= budget:
            return False
        kept.told += 1
        again = run_story(seed, steps=steps, share=share, only=frozenset(numbers), calls=calls)
        found = [each for each in violations(again.evidence) if each.split(":")[0] == kind]
        if found:
            kept.steps, kept.calls, kept.found = tuple(numbers), tuple(again.dice.happened), found
        return bool(found)

    _fewer(lambda: kept.steps, lambda numbers: fails(numbers, None))
    _fewer(lambda: kept.calls, lambda calls: fails(kept.steps, frozenset(calls)))
    return kept


def _fewer(kept: Callable[[], Sequence[T]], fails: Callable[[Sequence[T]], bool]) -> None:
    """Leave out ever smaller pieces, last ones first, while it still fails."""
    size = max(1, len(kept()) // 2)
    while True:
        end = len(kept())
        while end > 0:
            items = kept()
            fails([*items[: max(0, end - size)], *items[end:]])
            end = min(end - size, len(kept()))
        if size == 1:
            return
        size = max(1, size // 2)
