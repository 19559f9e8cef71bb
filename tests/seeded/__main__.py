"""Seed one bug at a time into a copy of an adapter or a source, and test whether its kit catches
it: ``make seeded``.

``ARGS=WORD`` tries only the bugs with this word in their name.
"""

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.seeded import example_bugs, mudrex_bugs, source_bugs
from tests.seeded.bug import Bug

ROOT: Final = Path(__file__).resolve().parents[2]
AT_ONCE: Final = 4  # most of a run is waiting for fills
BUGS: Final = {
    "mudrex": mudrex_bugs.BUGS,
    "example": example_bugs.BUGS,
    "sources": source_bugs.BUGS,
}


def caught(kind: str, bug: Bug | None) -> str:
    """Return what the kit says about a seeded bug, or about the copy without one; empty if it
    notices nothing.
    """
    with tempfile.TemporaryDirectory(prefix="seeded-") as name:
        folder = Path(name)
        if kind == "example":
            shutil.copy(ROOT / "tests" / "journeys" / example_bugs.FILE, folder)
            place = folder
        else:
            place = folder / "plugins"
            shutil.copytree(ROOT / "plugins", place, ignore=shutil.ignore_patterns("__pycache__"))
            place = folder / mudrex_bugs.FOLDER if kind == "mudrex" else place
        if bug is not None:
            bug.seed(place)
        command = [sys.executable, str(Path(__file__).with_name("one_copy.py")), kind, name]
        told = subprocess.run(
            command, capture_output=True, text=True, timeout=600, check=False, cwd=name
        )
        lines = told.stdout.strip().splitlines()
        return (
            (lines[-1] if lines else told.stderr.strip().splitlines()[-1])
            if told.returncode
            else ""
        )


def main(word: str = "") -> int:
    """Try every bug and print what caught it."""
    seen: dict[str, list[bool]] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tries = [
            (kind, bug, pool.submit(caught, kind, bug))
            for kind, bugs in BUGS.items()
            for bug in (None, *(each for each in bugs if word in each.name))
        ]
        for kind, bug, waiting in tries:
            what = waiting.result()
            if bug is not None:
                seen.setdefault(kind, []).append(bool(what))
                print(
                    f"{'caught' if what else 'MISSED'}  {kind}: {bug.name}"
                    + (f": {what}" if what else ""),
                    flush=True,
                )
            elif what:
                print(f"the copy of {kind} without any bug fails: {what}", flush=True)
                return 2
    for kind, found in seen.items():
        print(f"{sum(found)} of {len(found)} bugs seeded into {kind} were caught")
    total = [each for found in seen.values() for each in found]
    print(f"{sum(total)} of {len(total)} seeded bugs were caught")
    return 0 if all(total) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
