"""The order of tests for several processes: the longest start first, so that no process ends long
after the others.
"""

from pathlib import Path

import pytest

LONGEST = (
    "test_books_on_mudrex",
    "test_rounds",
    "test_crashes",
    "test_kits",
    "test_books_told_late",
    "test_exits_by_record",
)
"""Files that take over a minute each, by `make test ARGS=--durations=50`."""

ROOMS = ("journeys", "browser", "faults", "rexalgo")
"""Rooms of tests that serve real places; all others only compute."""


def _rank(item: pytest.Item) -> tuple[bool, int]:
    file = Path(item.path)
    room = file.relative_to(Path(__file__).parent).parts[0]
    return file.stem not in LONGEST, ROOMS.index(room) if room in ROOMS else len(ROOMS)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by rank; the order within a file stays."""
    items.sort(key=_rank)
