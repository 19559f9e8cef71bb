"""``python -m tests.fuzz_doors``: send hostile requests to a served place; exit 1 with the seed and
the input if it breaks a promise.

Half of the inputs are webhooks in the grammar of their door (signed, or an address as TradingView
has it), the other half is broken HTTP. ``fuzzing`` names the promises.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz_doors.fuzzed_place import fuzzed_place
from tests.fuzz_doors.fuzzing import Broken, Fuzzing


def main() -> int:
    """Read the arguments, run, and print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz_doors", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seed", type=int, default=1, help="where chance begins (default 1)")
    parser.add_argument(
        "--inputs", type=int, default=1_000_000, help="how many requests at most (default 1000000)"
    )
    parser.add_argument(
        "--minutes", type=float, help="how long at most (default: until all inputs are sent)"
    )
    options = parser.parse_args()
    until_s = None if options.minutes is None else time.monotonic() + options.minutes * 60
    with tempfile.TemporaryDirectory() as folder, fuzzed_place(Path(folder) / "place") as at:
        fuzzing = Fuzzing(at, options.seed, lambda said: print(said, file=sys.stderr))
        try:
            figures = fuzzing.run(options.inputs, until_s)
        except Broken as broken:
            print(f"BROKEN {broken}", file=sys.stderr)
            return 1
    print(
        f"seed {options.seed}: {figures.inputs:,} requests, {figures.bytes / 1e6:,.1f} MB, in "
        f"{figures.took_s:,.0f} s; {figures.signals:,} signals recorded, each as the judge reads it"
    )
    for told, count in sorted(figures.answers.items()):
        print(f"  {told:<20} {count:>9,}")
    print(
        f"slowest answer {figures.slowest_s * 1000:,.0f} ms; held before {figures.held}, after "
        f"{figures.held_after}\n"
        "no 5xx, no error in the log, no signal that the judge refuses, none lost, nothing left behind"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
