"""Keep a task running: restart with growing, jittered pauses, and quarantine what fails too often.
No failure reaches a sibling, and what the disk refuses is no task's fault.
"""

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from engine.ledger import DiskRefused, Ledger

_LOG = logging.getLogger("rexalgo.supervisor")
PAUSE_MIN_S: Final = 0.5
PAUSE_MAX_S: Final = 60.0
RESTARTS_MAX: Final = 5
WINDOW_S: Final = 60.0


@dataclass(slots=True)
class Vitals:
    """The state of a supervised task, for pages and commands."""

    name: str
    running: bool = False
    restarts: int = 0
    quarantined: bool = False
    last_error: str = ""
    failures: list[float] = field(default_factory=list)


async def supervise(
    vitals: Vitals,
    run: Callable[[], Awaitable[None]],
    jitter: random.Random,
    ledger: Ledger | None = None,
) -> None:
    """Run ``run`` for ever. More than 5 failures in 60 s set ``vitals.quarantined``; the task
    itself decides what that stops. ``ledger``: see ``keep``.
    """

    async def running() -> None:
        vitals.running = True
        try:
            await run()
        finally:
            vitals.running = False

    await keep(vitals, running, jitter, ledger)


async def keep(
    vitals: Vitals,
    run: Callable[[], Awaitable[None]],
    jitter: random.Random,
    ledger: Ledger | None = None,
) -> None:
    """Run a part of a task again whenever it fails, so that its siblings go on; its failures count
    as the task's. With a ``ledger``, a write that the disk refused does not count: the part waits
    until the ledger is written again.
    """
    while True:
        try:
            await run()
            return
        except Exception as error:  # the one place that outlives any failure of an actor
            waits_for = ledger if _is_of_the_disk(error) else None
            _note(vitals, error, counts=waits_for is None)
        if waits_for is not None:
            await waits_for.writable()
        pause = min(PAUSE_MAX_S, PAUSE_MIN_S * 2 ** max(0, min(10, len(vitals.failures) - 1)))
        await trio.sleep(pause * (0.75 + jitter.random() / 2))


def _is_of_the_disk(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_of_the_disk(each) for each in error.exceptions)
    return isinstance(error, DiskRefused)


def _note(vitals: Vitals, error: Exception, *, counts: bool) -> None:
    now = trio.current_time()
    vitals.restarts += 1
    vitals.last_error = _told(error)
    if counts:
        vitals.failures.append(now)
    while vitals.failures and now - vitals.failures[0] > WINDOW_S:
        del vitals.failures[0]
    if len(vitals.failures) > RESTARTS_MAX:
        vitals.quarantined = True
    _LOG.error(
        "%s failed (restart %d): %s",
        vitals.name,
        vitals.restarts,
        vitals.last_error,
        exc_info=error,
    )


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
