"""``python -m tests.faults``: tell seeded stories until enough faults were injected; exit 1 with the seed if one ends badly.

``--seed N`` tells one story again, ``--mutants`` removes one guard at a time and says after how many seeds the invariants noticed.
"""

import argparse
import json
import logging
import sys
import time
from collections import Counter

from tests.faults.fault_exchange import PLACE_AFTER, PLACE_BEFORE
from tests.faults.invariants import violations
from tests.faults.mutants import try_mutants
from tests.faults.scenario import Story, run_story

STEPS = 250
SHARE = 0.4


def main() -> int:
    """Read the arguments, tell stories, print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="tell only this story")
    parser.add_argument("--first", type=int, default=1, help="first seed of a run (default 1)")
    parser.add_argument("--runs", type=int, default=3, help="runs, each of its own seeds (default 3)")
    parser.add_argument("--faults", type=int, default=10_000, help="faults to inject in each run, at least (default 10000)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps of a story (default {STEPS})")
    parser.add_argument("--mutants", action="store_true", help="remove one guard at a time; each must be noticed")
    parser.add_argument("--seeds", type=int, default=12, help="with --mutants: at most so many seeds each (default 12)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a story logs thousands of failures that it makes itself
    if asked.mutants:
        return try_mutants(asked.seeds, asked.json)
    if asked.seed is not None:
        return _tell_one(asked.seed, asked.steps)
    return _runs(asked)


def _tell_one(seed: int, steps: int) -> int:
    story = run_story(seed, steps=steps, share=SHARE)
    found = violations(story)
    print(f"seed {seed}: {story.signals} signals, {len(story.exchange.rows)} orders, {sum(story.dice.hits.values())} faults")
    for each in found:
        print(f"  {each}")
    return 1 if found else 0


def _runs(asked: argparse.Namespace) -> int:
    seed, seen, began = asked.first, Counter[str](), time.monotonic()
    matrix: Counter[tuple[str, str, str]] = Counter()
    runs = []
    for number in range(1, asked.runs + 1):
        first, faults = seed, 0
        while faults < asked.faults:
            story = run_story(seed, steps=asked.steps, share=SHARE)
            found = violations(story)
            if found:
                return _report_failure(seed, asked.steps, found)
            faults += sum(story.dice.hits.values())
            matrix += story.matrix
            _count(seen, story)
            seed += 1
        runs.append({"run": number, "seeds": [first, seed - 1], "faults": faults})
        if not asked.json:
            print(f"run {number}: seeds {first} to {seed - 1}, {faults} faults, 0 violations", flush=True)
    missing = _missing(matrix)
    summary = {"runs": runs, "seen": dict(seen), "cells_hit": len(matrix), "cells_missing": missing, "violations": 0,
               "seconds": round(time.monotonic() - began, 1)}  # fmt: skip
    if asked.json:
        print(json.dumps(summary))
    else:
        _print_matrix(matrix)
        print(f"{dict(seen)}, {summary['seconds']} s")
        print("every fault met every action that sends orders" if not missing else f"not met: {missing}")
    return 0


def _count(seen: Counter[str], story: Story) -> None:
    seen["stories"] += 1
    seen["signals"] += story.signals
    seen["orders"] += len(story.exchange.rows)
    seen["task crashes"] += story.crashes


def _report_failure(seed: int, steps: int, found: list[str]) -> int:
    print(f"seed {seed} ends badly:")
    for each in found[:10]:
        print(f"  {each}")
    smaller = steps
    while smaller > 1 and violations(run_story(seed, steps=smaller // 2, share=SHARE)):
        smaller //= 2
    print(f'replay: make faults ARGS="--seed {seed} --steps {smaller}"')
    return 1


ORDERING = ("open", "add", "reduce", "close", "reverse")


def _missing(matrix: Counter[tuple[str, str, str]]) -> list[str]:
    met = {(fault, action) for fault, action, _ in matrix}
    return [f"{fault} x {action}" for fault in (*PLACE_BEFORE, *PLACE_AFTER) for action in ORDERING if (fault, action) not in met]


def _print_matrix(matrix: Counter[tuple[str, str, str]]) -> None:
    print(f"{'fault':<16}" + "".join(f"{action:<34}" for action in ORDERING))
    for fault in (*PLACE_BEFORE, *PLACE_AFTER):
        cells = []
        for action in ORDERING:
            ended = {state: count for (f, a, state), count in matrix.items() if (f, a) == (fault, action)}
            cells.append(" ".join(f"{_SHORT.get(state, state)}{count}" for state, count in sorted(ended.items())))
        print(f"{fault:<16}" + "".join(f"{cell[:33]:<34}" for cell in cells))
    print("ends: " + ", ".join(f"{short} {state}" for state, short in _SHORT.items()))


_SHORT = {"new": "n", "filled": "f", "cancelled": "c", "rejected": "r", "not_confirmed": "?", "unknown": "u", "placed": "p", "expired": "e",
          "skipped": "s"}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
