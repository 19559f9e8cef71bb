"""``python -m tests.fuzz_http``: feed hostile answers to the parser of order answers; exit 1 with the
seed and the input if one breaks a promise.

The promises: the only exception is MalformedAnswer, every input ends, memory stays within the
bounds, and whatever is read as a whole answer h11 reads the same way.
"""

import argparse
import sys
import time

from tests.fuzz_http.fuzzing import Broken, run


def main() -> int:
    """Read the arguments, run, and print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz_http", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seed", type=int, default=1, help="where chance begins (default 1)")
    parser.add_argument(
        "--inputs", type=int, default=1_000_000, help="how many answers (default 1000000)"
    )
    options = parser.parse_args()
    began = time.monotonic()
    try:
        figures = run(options.seed, options.inputs)
    except Broken as broken:
        print(f"BROKEN {broken}", file=sys.stderr)
        return 1
    share = ", ".join(f"{count:,} {what}" for what, count in sorted(figures.outcomes.items()))
    print(
        f"seed {options.seed}: {options.inputs:,} answers, {figures.bytes / 1e6:,.0f} MB, in "
        f"{time.monotonic() - began:,.0f} s: {share}\n"
        f"parser {figures.parser_s / max(1, options.inputs) * 1e6:.1f} us an answer, slowest "
        f"{figures.slowest_s * 1000:.1f} ms; at most {figures.most_held_bytes:,} bytes held between pieces\n"
        "no exception but MalformedAnswer, no hang, no reading that h11 does not share"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
