"""How the files of tests are shared out among several processes, and that no property rests on how
fast this machine is today.

A file that serves a real place mostly waits; the others only compute. So one process per core
takes computing files first, and the others waiting ones, the longest before the rest: the cores
have always something to do, and no process ends long after the others.
"""

import gc
import os
from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from tests.cheap_hashes import hash_at

settings.register_profile(
    "whatever the load", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("whatever the load")

LONGEST = (
    "test_late_fills",
    "test_books_on_mudrex",
    "test_kits",
    "test_rotation",
    "test_rounds",
    "test_exits_by_record",
    "test_trader_in_browser",
    "test_being_told_in_browser",
    "test_books_told_late",
    "test_exits_leave",
    "test_backup_elsewhere",
    "test_mudrex",
    "test_mudrex_promises",
    "test_signals_in_order",
    "test_ledger_restored",
    "test_operator_in_browser",
    "test_crashes",
)
"""Files that wait for over a minute each, by `make test ARGS=--durations=50`."""

APART = ("test_crashes", "test_faults", "test_kits")
"""Long files whose tests share nothing: each test may run in another process."""

WAITING = ("journeys", "browser", "fuzz_doors", "rexalgo")
"""Rooms whose tests serve real places."""


def pytest_configure() -> None:
    """Collect no garbage while modules are imported and tests are made: there is none. Hash
    passwords at the lowest cost.
    """
    gc.disable()
    hash_at()


def pytest_collection_finish() -> None:
    """Leave modules and tests, which live as long as the process, out of each later collection."""
    gc.freeze()
    gc.enable()


def _waits(file: str) -> bool:
    return PurePath(file).parts[1] in WAITING


class _Sharing(LoadFileScheduling):
    """A queue of files from which a process takes the first of the kind that it prefers."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return nodeid if PurePath(file).stem in APART else file

    def _assign_work_unit(self, node: Any) -> None:  # called by 3.8 for each file that it gives
        computes = int(node.gateway.id.removeprefix("gw")) < (os.cpu_count() or 1)
        preferred = next((file for file in self.workqueue if _waits(file) is not computes), None)
        if preferred is not None:
            self.workqueue.move_to_end(preferred, last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Share files out by what they do, where whole files are shared out."""
    return _Sharing(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first; the order within a file stays."""
    known = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: known.get(item.path.stem, len(LONGEST)))
