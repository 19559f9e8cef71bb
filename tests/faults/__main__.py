"""``python -m tests.faults``: run seeded stories until enough faults were injected; exit 1 with the
seed if one fails.

``--seed N`` runs one story again. ``--mutants`` removes one guard at a time and prints after how
many seeds the invariants notice.
"""

import argparse
import json
import logging
import sys
import time
from collections import Counter
from typing import Any

from engine.ledger.query import fetch_all
from tests.faults.invariants import INVARIANTS, violations
from tests.faults.matrix import expected, missing, table
from tests.faults.mutants import try_mutants
from tests.faults.scenario import SHARE, STEPS, Story, run_story
from tests.faults.shrinking import shrink

RARE_STORIES: int = 200
"""At most so many stories for the sake of cells that were not hit yet."""


def main() -> int:
    """Read the arguments, run stories, and print the results."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seed", type=int, help="tell only this story")
    parser.add_argument("--only", help="with --seed: the steps to do, such as 3,9,12-20")
    parser.add_argument(
        "--calls",
        help="with --seed: the calls that fail, as shrinking names them; none: no fault at all",
    )
    parser.add_argument("--first", type=int, default=1, help="first seed of a run (default 1)")
    parser.add_argument(
        "--runs", type=int, default=3, help="runs, each of its own seeds (default 3)"
    )
    parser.add_argument(
        "--faults",
        type=int,
        default=10_000,
        help="faults to inject in each run, at least (default 10000)",
    )
    parser.add_argument(
        "--steps", type=int, default=STEPS, help=f"steps of a story (default {STEPS})"
    )
    parser.add_argument(
        "--shrink",
        type=int,
        default=80,
        help="how often a story that ends badly is told again to make it small (80)",
    )
    parser.add_argument(
        "--mutants", action="store_true", help="remove one guard at a time; each must be noticed"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=60,
        help="with --mutants: at most so many seeds each (default 60)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a story logs thousands of failures that it makes itself
    if asked.mutants:
        return try_mutants(asked.seeds, asked.json)
    if asked.seed is not None:
        return _tell_one(asked)
    return _runs(asked)


def _tell_one(asked: argparse.Namespace) -> int:
    calls = (
        None
        if asked.calls is None
        else frozenset(() if asked.calls == "none" else asked.calls.split(","))
    )
    story = run_story(asked.seed, steps=asked.steps, only=_numbers(asked.only), calls=calls)
    found = violations(story.evidence)
    print(
        f"seed {asked.seed}: {len(story.signals)} signals, {len(story.exchange.rows)} orders, "
        f"{story.dice.hits.total()} faults"
    )
    for each in found:
        print(f"  {each}")
    return 1 if found else 0


def _numbers(text: str | None) -> frozenset[int] | None:
    if text is None:
        return None
    ends = [(int(part.split("-")[0]), int(part.split("-")[-1])) for part in text.split(",")]
    return frozenset(number for low, high in ends for number in range(low, high + 1))


def _runs(asked: argparse.Namespace) -> int:
    seed, seen, began = asked.first, Counter[str](), time.monotonic()
    matrix: Counter[tuple[str, str, str]] = Counter()
    runs: list[dict[str, Any]] = []
    for number in range(1, asked.runs + 1):
        first, faults = seed, 0
        # The last run goes on a little for cells that are rare.
        while faults < asked.faults or (
            number == asked.runs > 1 and missing(matrix) and seed - asked.first < RARE_STORIES
        ):
            story = run_story(seed, steps=asked.steps)
            if violations(story.evidence):
                return _report_failure(seed, asked.steps, asked.shrink)
            faults += story.dice.hits.total()
            matrix += story.dice.matrix
            _count(seen, story)
            seed += 1
        runs.append({"run": number, "seeds": [first, seed - 1], "faults": faults})
        if not asked.json:
            print(
                f"run {number}: seeds {first} to {seed - 1}, {faults} faults, 0 violations",
                flush=True,
            )
    summary = {
        "runs": runs,
        "seen": dict(seen),
        "cells": len(expected()),
        "cells_missing": missing(matrix),
        "violations": 0,
        "invariants": [each.name for each in INVARIANTS],
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(summary) if asked.json else f"{table(matrix)}\n{_told(summary)}")
    return 0


def _told(summary: dict[str, Any]) -> str:
    seen = ", ".join(f"{count} {what}" for what, count in summary["seen"].items())
    left = summary["cells_missing"]
    cells = (
        f"every one of {summary['cells']} cells was hit"
        if not left
        else f"{len(left)} of {summary['cells']} cells not hit: {left}"
    )
    held = "\n".join(f"  held: {each.name}: {each.promise}" for each in INVARIANTS)
    return f"{seen}, {summary['seconds']} s\n{cells}\n{held}"


def _count(seen: Counter[str], story: Story) -> None:
    db = story.ledger.db
    seen["stories"] += 1
    seen["signals"] += len(story.signals)
    seen["orders"] += sum(1 for row in story.exchange.rows if not row.by_owner)
    for what, code in (
        ("copies UNKNOWN for a while", "unknown"),
        ("copies NOT_CONFIRMED", "not_confirmed"),
    ):
        rows = fetch_all(
            db,
            "SELECT count(DISTINCT copy_id) FROM event WHERE kind = 'outcome' AND subject = ?",
            (code,),
        )
        seen[what] += rows[0][0]
    seen["processes killed"] += story.ends["killed"]
    seen["processes stopped"] += story.ends["stopped"]


def _report_failure(seed: int, steps: int, budget: int) -> int:
    print(f"seed {seed} ends badly; making it smaller", flush=True)
    small = shrink(seed, steps, SHARE, budget)
    for each in small.found[:10]:
        print(f"  {each}")
    print(
        f"{len(small.steps)} steps and {len(small.calls)} faults are left after {small.told} "
        f"tries; again:\n{small.replay(seed)}"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
