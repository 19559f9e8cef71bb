"""``python tests/journeys/troubled_serve.py [serve options]``: the real ``rexalgo serve`` with
engine errors that a file switches on.

In the folder of the installation, ``limiter-broken`` makes the rate limiter raise at every call,
and ``crash-NAME`` makes the task of account NAME fail whenever it plans an entry. Nothing in the
engine knows about this.
"""

import os
import sys
from pathlib import Path
from typing import Any

from engine.actors import follower
from engine.actors.lanes import Lanes
from engine.decisions.routing import ENTRY
from plugins.gcra import GcraLimiter

_reserve = GcraLimiter.reserve
_enter = follower._RUN[ENTRY]


def reserve(self: GcraLimiter, *asked: Any) -> Any:
    """Count, or fail."""
    if Path("limiter-broken").exists():
        raise RuntimeError("a limiter's own mistake")
    return _reserve(self, *asked)


async def enter(of: Lanes, leg: Any) -> None:
    """Enter, or fail with an unexpected error."""
    if f"crash-{of.account.name}" in os.listdir():
        raise ZeroDivisionError("a planner's own mistake")
    await _enter(of, leg)


def main() -> None:
    """Install the errors, and serve."""
    GcraLimiter.reserve = reserve  # type: ignore[method-assign]
    follower._RUN[ENTRY] = enter
    from rexalgo.cli import main as rexalgo

    sys.argv = ["rexalgo", "serve", *sys.argv[1:]]
    rexalgo()


if __name__ == "__main__":
    main()
