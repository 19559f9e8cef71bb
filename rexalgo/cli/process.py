"""The process of a command: its trio loop, its signals and its memory."""

import ctypes
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from engine.views import ReadinessView

T = TypeVar("T")
log = logging.getLogger("rexalgo")
_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h
_COLLECTED_AFTER: Final = (20_000, 20, 10)
"""The thresholds of garbage collection while serving: an order makes some hundred objects and few
cycles, so the interpreter's 700 collects several times within one order. A start makes some hundred
objects for each account, and nearly all of them stay.
"""
_READY_EVERY_S: Final = 0.1
FILES_ENOUGH: Final = 16_384
"""Open files that a process asks the system for: 1,024 connections and three for each account."""


async def wait_for_signal() -> signal.Signals:
    """Wait for SIGTERM or SIGINT, and return it."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        async for number in received:
            return signal.Signals(number)
    raise AssertionError("the signal receiver never ends by itself")


def run_trio(work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work`` in a trio loop. Raise the only error of nested groups by itself, so that it
    becomes one message.
    """
    try:
        return trio.run(work)
    except BaseExceptionGroup as group:
        leaves = _leaves(group)
        if len(leaves) == 1:
            raise leaves[0] from group
        raise


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in _leaves(each)]


def keep_memory_private() -> None:
    """Forbid core dumps and access to this process's memory, and make new files private to the
    user.

    A core dump would contain the root keys. On Linux the process also marks itself as not dumpable,
    because a dump piped to a handler ignores the limit.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warning("this process could not be marked as not dumpable; the core file limit is 0")


def files_max() -> int:
    """Let this process open as many files as it may, and return how many that is."""
    soft, hard = (
        FILES_ENOUGH if each == resource.RLIM_INFINITY else each
        for each in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    wanted = min(hard, FILES_ENOUGH)
    if soft >= wanted:
        return soft
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    return wanted


def collect_rarely() -> None:
    """Take what was imported out of garbage collection, and let it run rarely from now on."""
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)


async def settle_memory(
    readiness: Callable[[], Awaitable[ReadinessView]], stop: trio.Event
) -> None:
    """Wait until the engine is ready, then take everything that it holds out of garbage collection;
    return at ``stop``.

    What was made until then (modules, accounts, their sessions) lives as long as the process; to
    look through it again and again took a sixth of a fan-out.
    """
    while not (await readiness()).ready:  # asked as by any probe: there is no event
        with trio.move_on_after(_READY_EVERY_S):
            await stop.wait()
            return
    gc.collect()
    gc.freeze()
