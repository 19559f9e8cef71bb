"""``python tests/journeys/canary_serve.py [serve options]``: the real ``rexalgo serve``, logging at
DEBUG, with faults that show what they hold.

The faults do what careless code does: they put the objects at hand into the text of an exception.
"""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.actors import follower
from engine.actors.lanes import Lanes
from engine.decisions.routing import ENTRY
from engine.services.pulse import PulseService
from engine.settings.config import LogConfig
from rexalgo.cli import logs

_enter = follower._RUN[ENTRY]


async def enter(of: Lanes, leg: Any) -> None:
    """Enter, or fail with everything at hand in the text."""
    if "fault" in os.listdir():
        raise ZeroDivisionError(f"{of!r} {of.account!r} {leg!r} {vars_of(of.account.shared)}")
    await _enter(of, leg)


def newest(self: PulseService) -> int:
    """Fail in a page, likewise."""
    if Path("fault").exists():
        context = self._context
        raise ZeroDivisionError(
            f"{context!r} {context.config!r} {context.keyring!r} {context.session_keys!r} "
            f"{vars_of(context.config.secrets)} {context.session_keys.current()!r}"
        )
    return _newest(self)


_newest = PulseService.newest


def vars_of(thing: Any) -> str:
    """Return every attribute as careless code would print it."""
    names = getattr(thing, "__slots__", None) or vars(thing)
    return repr({name: getattr(thing, name, None) for name in names})


def log_everything(log: LogConfig, hidden: Sequence[str]) -> None:
    """Log at DEBUG, libraries too, and hide nothing by its value: nothing may need that."""
    logs.start_logging(replace(log, level="debug"), ())
    for name in ("httpx", "hypercorn", "httpcore"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger("canary").debug("everything is logged")


def main() -> None:
    """Install the faults, and serve."""
    follower._RUN[ENTRY] = enter
    PulseService.newest = newest  # type: ignore[method-assign]
    from rexalgo.cli import main as rexalgo
    from rexalgo.cli import serve

    serve.start_logging = log_everything

    sys.argv = ["rexalgo", "serve", *sys.argv[1:]]
    rexalgo()


if __name__ == "__main__":
    main()
