"""The test of the tests: remove one guard at a time from a copy of the engine, and see after how
many seeds the invariants notice.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.scenario import STEPS
from tests.source_edits import edited, places

ROOT: Final = Path(__file__).resolve().parents[2]
Edit = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A guard, and the edits (file, text, instead) that remove it. Every text must occur exactly
    once.

    The stories notice it, unless it is about when things happen, which no invariant of a ledger
    shows: then ``noticed_by`` is the test file that does.
    """

    name: str
    edits: tuple[Edit, ...]
    noticed_by: str = ""


CLAIMS: Final = "engine/ledger/claims.py"
RESOLVING: Final = "engine/ledger/resolving.py"
SCHEMA: Final = "engine/ledger/schema.py"
ANSWERS: Final = "tests/engine/actors/test_answers_wait_for_sends.py"
_BUSY: Final = ("engine/decisions/dispatching.py", "and (leg.symbol, leg.kind) not in taken", "")
_COMPARE_AND_SET: Final = (
    CLAIMS,
    "    if changed != 1:\n        return NotClaimed(None)\n",
    "",
)
_LANE_INDEX: Final = (SCHEMA, "CREATE UNIQUE INDEX attempt_lane", "CREATE INDEX attempt_lane")
_ATTEMPT_KEY: Final = (SCHEMA, ", UNIQUE (copy_id, leg, number)) STRICT", ") STRICT")
_CLAIM_LOOKS: Final = (
    CLAIMS,
    "        refused = _entry_refused(db, wanted)\n",
    "        refused = None\n",
)
_UNBOOKED: Final = (
    "engine/ledger/books.py",
    "    booked = write_fill(",
    "    booked = share if change.attempt is None else write_fill(",
)

MUTANTS: Final = (
    Mutant(
        "claim and lane: a leg may be taken by two lanes at once",
        (_BUSY, _COMPARE_AND_SET, _LANE_INDEX, _ATTEMPT_KEY, _CLAIM_LOOKS),
    ),
    Mutant(
        "goal key: an entry may pass a later close",
        (
            (
                "engine/decisions/planning.py",
                "    if goal_key == NO_ORDER_KEY or signal.entry_key > goal_key:\n",
                "    if True:\n",
            ),
            (
                CLAIMS,
                "    if goal_key(db, wanted.account, wanted.strategy, symbol) >= "
                "wanted.order_key:\n",
                "    if False:\n",
            ),
            ("engine/ledger/signals.py", "        _supersede(db, new, key)\n", "        pass\n"),
            ("engine/ledger/signals.py", "    if place.is_late:\n", "    if False:\n"),
        ),
    ),
    Mutant(
        "last line: nothing is asked between the claim and the write",
        (
            (
                "engine/actors/exchange_session.py",
                "        if (stop := permit.ask()) is not None:",
                "        if False and (stop := permit.ask()) is not None:",
            ),
        ),
        noticed_by="tests/engine/actors/test_conservation_stops.py",
    ),
    Mutant(
        "flips: an entry does not wait for the exit before it",
        (
            (
                "engine/decisions/planning.py",
                "        return Wait(EXIT_FIRST)\n",
                "        return None\n",
            ),
            (
                CLAIMS,
                "        return NotClaimed(None)  # recorded while",
                "        pass  # recorded while",
            ),
        ),
    ),
    Mutant(
        "unique key: a repeated delivery is a new signal",
        (
            (
                "engine/ledger/signals.py",
                "    if existing is not None and _is_certain(db, new, existing):\n",
                "    if False and known is not None and _is_certain(db, new, known):\n",
            ),
            (
                SCHEMA,
                "received_us INTEGER NOT NULL, UNIQUE (origin, dedupe_key)) STRICT",
                "received_us INTEGER NOT NULL) STRICT",
            ),
            (
                SCHEMA,
                "id TEXT NOT NULL UNIQUE, receipt_id TEXT NOT NULL UNIQUE,",
                "id TEXT NOT NULL, receipt_id TEXT NOT NULL,",
            ),
            (
                SCHEMA,
                "        id TEXT PRIMARY KEY, signal_number INTEGER",
                "        id TEXT, signal_number INTEGER",
            ),
            (SCHEMA, "PRIMARY KEY (copy_id, number)) STRICT", "UNIQUE (copy_id, number)) STRICT"),
            (
                SCHEMA,
                "subscription_id TEXT NOT NULL REFERENCES subscription, code",
                "subscription_id TEXT NOT NULL, code",
            ),
            (
                SCHEMA,
                "copy_id TEXT NOT NULL REFERENCES copy, number",
                "copy_id TEXT NOT NULL, number",
            ),
        ),
    ),
    Mutant(
        "usage reservation: a burst may pass a cap together",
        (
            (
                "engine/actors/account.py",
                "        self.reserved[entry.copy] = Reserved(entry)\n",
                "        return\n",
            ),
        ),
    ),
    Mutant(
        "claims of a process that ended are unknown: they are sent again",
        (
            (
                RESOLVING,
                "        end(db, attempt_id=attempt_id, state=AttemptState.UNKNOWN, "
                "outcome=unknown_outcome(attempt.intent, cause), cause=cause, at=at)\n",
                "        back_to_new(db, attempt_id, cause, at, at)\n",
            ),
        ),
    ),
    Mutant(
        "a reading is no judge of what is under way: it corrects every symbol",
        (
            (
                "engine/actors/reconciler.py",
                "            unsettled=unsettled,\n",
                "            unsettled=frozenset(),\n",
            ),
        ),
    ),
    Mutant(
        "unknown is not a no: a lost answer is sent again",
        (
            (
                "engine/actors/attempt_result.py",
                "        case NoProof(cause):\n",
                "        case NoProof(cause) if False:\n",
            ),
            (
                "engine/actors/attempt_result.py",
                "        case NothingSent():\n",
                "        case NothingSent() | NoProof():\n",
            ),
            (
                "engine/actors/attempt_result.py",
                "max(answer.retry_after_s or 0.0, retry_s)",
                "retry_s",
            ),
            (
                "engine/actors/attempt_result.py",
                "back_to_new(db, attempt_id=attempt_id, cause=answer.text, retry_at=asked, at=at)",
                'back_to_new(db, attempt_id=attempt_id, cause="lost", retry_at=asked, at=at)',
            ),
        ),
    ),
    Mutant(
        "looking long enough: the first absence is believed",
        (
            (
                "engine/decisions/proving.py",
                "ABSENCES_NEEDED: Final = 3",
                "ABSENCES_NEEDED: Final = 1",
            ),
            (
                "engine/decisions/proving.py",
                "and now - first_read_at >= window_s",
                "",
            ),
        ),
    ),
    Mutant(
        "an exit goes on: what one try left is forgotten",
        (
            (
                RESOLVING,
                "    reopen_leg(db, copy, leg, retry_at)\n    return True\n",
                "    return False\n",
            ),
        ),
    ),
    Mutant(
        "one exit at a time: a second one need not wait for the first",
        (
            (
                "engine/decisions/planning_exits.py",
                "    if context.outstanding > 0:\n",
                "    if False:\n",
            ),
            _LANE_INDEX,
        ),
    ),
    Mutant(
        "every change is booked: what the exchange or the owner closed is left out",
        (
            (
                "engine/ledger/books.py",
                "    if booked != share:\n",
                "    if change.attempt is not None and booked != share:\n",
            ),
            _UNBOOKED,
        ),
    ),
    Mutant(
        "the owner's own: what he holds beside us is not looked at",
        (
            (
                "engine/decisions/planning.py",
                "        and not (allowed and position.side is side)\n",
                "        and False\n",
            ),
        ),
    ),
    Mutant(
        "an exit behind a slice: it waits for the end of a fan-out",
        (
            (
                "engine/actors/account_tasks.py",
                "if self._wakeup.take():",
                "if self._wakeup.take() and False:",
            ),
        ),
        noticed_by="tests/engine/actors/test_turns_of_accounts.py",
    ),
    Mutant(
        "unsent claims: there may be any number",
        (("engine/actors/unsent.py", "trio.Semaphore(slots)", "trio.Semaphore(10_000)"),),
        noticed_by=ANSWERS,
    ),
    Mutant(
        "unsent claims: all exchanges have the same slots",
        (
            (
                "engine/run.py",
                "{name: Unsent(config.engine.claims_unsent_max) for name in plugins.exchanges}",
                "dict.fromkeys(plugins.exchanges, Unsent(config.engine.claims_unsent_max))",
            ),
        ),
        noticed_by="tests/engine/actors/test_fan_out_disturbed.py",
    ),
    Mutant(
        "two positions of one entry: what filled in the second is the owner's",
        (
            (
                "engine/decisions/reconciliation.py",
                "    left = EXACT.subtract(holding.share, by_others)\n",
                "    return _NONE\n",
            ),
        ),
    ),
    Mutant(
        "answers that wait: there may be any number",
        (
            (
                "engine/actors/unsent.py",
                "if not self._is_sending or len(self._answers) >= ANSWERS_MAX:",
                "if not self._is_sending:",
            ),
        ),
        noticed_by=ANSWERS,
    ),
    Mutant(
        "answers that wait: for as long as a fan-out sends",
        (
            (
                "engine/actors/unsent.py",
                "trio.move_on_after(ANSWER_WAITS_S)",
                "trio.move_on_after(1_000)",
            ),
        ),
        noticed_by=ANSWERS,
    ),
)


def try_mutants(seeds: int, as_json: bool) -> int:
    """Run every mutant until it is noticed, at most ``seeds`` seeds; return 1 if one was not.

    First the copy without a mutant runs one story: only where that ends well does an end tell.
    """
    with copied() as folder:
        assert tell(folder, 1) is None, "the copy without a mutant ends badly by itself"
    results: dict[str, tuple[int, str]] = {}
    for each in MUTANTS:
        name, (after, what) = each.name, try_one(each, seeds)
        results[name] = (after, what)
        if not as_json:
            print(
                f"{name}: "
                + (
                    f"noticed after {after} seed{'s' if after > 1 else ''} ({what})"
                    if after
                    else f"NOT noticed in {seeds} seeds"
                ),
                flush=True,
            )
    return 0 if all(after for after, _ in results.values()) else 1


def try_one(mutant: Mutant, seeds: int, steps: int = STEPS) -> tuple[int, str]:
    """Return after how many seeds a mutant is noticed in stories of so many steps, and by what; 0
    where it is not. A test file counts as one seed.
    """
    with copied() as folder:
        for file, text, instead in mutant.edits:
            path = folder / file
            source = path.read_text(encoding="utf-8")
            found = places(source, text)
            assert len(found) == 1, f"{file}: expected once, found {len(found)} times: {text!r}"
            path.write_text(edited(source, found[0], instead), encoding="utf-8")
        if mutant.noticed_by:
            failed = failed_test(folder, mutant.noticed_by)
            return (1, failed) if failed else (0, "")
        for seed in range(1, seeds + 1):
            violation = tell(folder, seed, steps)
            if violation is not None:
                return seed, violation
    return 0, ""


@contextmanager
def copied() -> Iterator[Path]:
    """Yield a copy of what the stories run on."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        for part in (
            "engine",
            "plugins",
            "rexalgo",
            "config",
            "tests/faults",
            "tests/engine/actors",
        ):
            shutil.copytree(
                ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        for file in ("tests/source_edits.py", "pyproject.toml"):
            shutil.copy(ROOT / file, folder / file)
        yield folder


def failed_test(folder: Path, file: str) -> str:
    """Run a test file in a copy; return what failed first, empty if nothing did. Raise RuntimeError
    if the tests could not run.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", file]
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    failed = [line for line in run.stdout.splitlines() if line.startswith("FAILED ")]
    if run.returncode not in (0, 1) or (run.returncode == 1) != bool(failed):
        raise RuntimeError(f"{file} did not run: {run.stdout[-500:]}{run.stderr[-500:]}")
    return failed[0].removeprefix("FAILED ")[:110] if failed else ""


def tell(folder: Path, seed: int, steps: int = STEPS) -> str | None:
    """Run one story in a copy; return the violation that ended it, None where it ended well. Raise
    RuntimeError for an end that names no violation: a copy that cannot run proves nothing.
    """
    command = [sys.executable, "-m", "tests.faults", "--seed", str(seed), "--steps", str(steps)]
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    if run.returncode == 0:
        return None
    head, *lines = run.stdout.splitlines() or [""]
    violations = [line.strip() for line in lines if line.startswith("  ")]
    if head.startswith(f"seed {seed}:") and violations:
        return violations[0][:110]
    raise RuntimeError(f"seed {seed} ended without naming a violation: {run.stderr[-500:]}")
