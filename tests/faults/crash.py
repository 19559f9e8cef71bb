"""``python -m tests.faults.crash``: SIGKILL the real server at commits and sends again and again;
the simulator's own record judges.

The simulated exchange is one process. An installation has one life after another: each is the real
``rexalgo serve``, kills itself at a chosen boundary (see ``killing_serve``), and leaves its work to
the next. The last life is not killed; when it has looked up what the others left, ledger and record
are compared. Exit 1 if anything was lost or doubled, or is NOT_CONFIRMED although the exchange has
it.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.faults.crash_place import CrashPlace, simulator
from tests.faults.killing_serve import BOUNDARIES

LIVES: Final = 20
"""Kills in one place: each life has a strategy of its own, with followers that nobody used before.
"""
SPARE: Final = 3
"""Lives beyond the kills that are still wanted: not every life comes to its boundary."""
LOOKS_STEP: Final = 7


class Schedule:
    """The order of kills: boundary by boundary, each at its first time, its second, and so on until
    a life does not reach it.
    """

    def __init__(self, seed: int, boundaries: tuple[str, ...] = BOUNDARIES, first: int = 1) -> None:
        self.random = Random(seed)
        self._next = dict.fromkeys(boundaries, first)
        self._turn: list[str] = []
        self.kills: Counter[str] = Counter()
        self.deepest: Counter[str] = Counter()
        self.missed = 0

    def choose(self) -> tuple[str, int]:
        """Return a boundary and the count at which to kill."""
        if not self._turn:
            self._turn = self.random.sample(tuple(self._next), len(self._next))
        boundary = self._turn.pop()
        return boundary, self._next[boundary]

    def note(self, boundary: str, number: int, *, killed: bool) -> None:
        """Record whether the life reached it."""
        if killed:
            self.kills[boundary] += 1
            self.deepest[boundary] = max(self.deepest[boundary], number)
            self._next[boundary] = number + (LOOKS_STEP if boundary.startswith("look") else 1)
        else:
            self.missed += 1
            self._next[boundary] = 1


@dataclass
class Findings:
    """The sum of all results."""

    violations: list[str] = field(default_factory=list)
    signals: int = 0
    orders: int = 0
    unknown: int = 0
    not_confirmed: int = 0
    places: int = 0


def crash(
    kills: int, folder: Path, schedule: Schedule, say: Callable[[str], None]
) -> tuple[Schedule, Findings]:
    """Kill until ``kills`` kills are done; stop at the first installation whose record does not
    agree.
    """
    findings = Findings()
    with simulator(folder) as exchange:
        while schedule.kills.total() < kills and not findings.violations:
            findings.places += 1
            lives = min(LIVES, kills - schedule.kills.total() + SPARE)
            place = CrashPlace.make(
                folder / f"place{findings.places}", exchange, findings.places, lives
            )
            _live_and_die(place, schedule, lives, kills)
            _judge(place, findings)
            say(
                f"place {findings.places}: {schedule.kills.total()} kills, {findings.orders} "
                f"orders, {len(findings.violations)} violations"
            )
    return schedule, findings


def _live_and_die(place: CrashPlace, schedule: Schedule, lives: int, kills: int) -> None:
    for life in range(lives):
        if schedule.kills.total() == kills:
            return
        boundary, number = schedule.choose()
        schedule.note(
            boundary, number, killed=place.live_until(boundary, number, life, schedule.random)
        )


def _judge(place: CrashPlace, findings: Findings) -> None:
    found = place.aftermath()
    findings.violations += found.violations
    findings.signals += found.signals
    findings.orders += found.orders
    findings.unknown += found.unknown
    findings.not_confirmed += found.not_confirmed


def main() -> int:
    """Read the arguments, kill, and print the results."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.crash", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=300, help="how often to kill (default 300)")
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="seed of the order of boundaries and of what the bots send (default 1)",
    )
    parser.add_argument(
        "--keep", type=Path, help="folder to work in and to leave behind (default: a temporary one)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        say = (lambda line: None) if asked.json else (lambda line: print(line, flush=True))
        schedule, findings = crash(asked.kills, folder, Schedule(asked.seed), say)
    summary = {
        "kills": schedule.kills.total(),
        "at": dict(sorted(schedule.kills.items())),
        "deepest": dict(sorted(schedule.deepest.items())),
        "not_come_to": schedule.missed,
        "places": findings.places,
        "signals": findings.signals,
        "orders": findings.orders,
        "unknown": findings.unknown,
        "not_confirmed": findings.not_confirmed,
        "violations": findings.violations,
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(summary) if asked.json else _told(summary))
    return 1 if findings.violations else 0


def _told(summary: dict[str, Any]) -> str:
    found = summary["violations"]
    kills = ", ".join(f"{boundary} {count}" for boundary, count in summary["at"].items())
    lines = [
        f"{summary['kills']} kills in {summary['places']} places and {summary['seconds']} s: "
        f"{kills}",
        f"{summary['signals']} acknowledged signals, {summary['orders']} orders in the record, "
        f"{summary['unknown']} copies were UNKNOWN,"
        f" {summary['not_confirmed']} orders NOT_CONFIRMED",
        *found[:20],
        "nothing lost, nothing doubled, no NOT_CONFIRMED that the exchange has"
        if not found
        else f"{len(found)} violations",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
