"""``python -m tests.supply audit|release --tools ENVIRONMENT``: what `make audit` and `make release`
run.
"""

import argparse
import sys
from pathlib import Path

from tests.supply import audit, release


def main() -> int:
    """Read the arguments, run, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.supply")
    parser.add_argument("what", choices=["audit", "release"])
    parser.add_argument("--tools", type=Path, required=True, help="an environment with the tools")
    parser.add_argument(
        "--snapshot", action="store_true", help="release: whatever changelog and checkout say"
    )
    options = parser.parse_args()
    tools = options.tools.absolute()
    if options.what == "audit":
        return audit.run(tools)
    return release.run(tools, snapshot=options.snapshot)


if __name__ == "__main__":
    sys.exit(main())
