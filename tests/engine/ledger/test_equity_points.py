"""Equity is recorded at bounded intervals, at the time it was read, and thinned to a point an hour
after a day.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import apsw
import pytest

from engine.domain.identifiers import AccountId
from engine.ledger import Database, Ledger
from engine.ledger.codec import to_us
from engine.ledger.results import (
    FINE_US,
    HOUR_US,
    equity_points,
    equity_points_apart,
    first_equity_at,
    mark_equity_point,
    thin_equity_points,
)
from engine.services.performance import apart_of

A0, A1 = AccountId("a0"), AccountId("a1")
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
EVER = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def db() -> Iterator[Database]:
    ledger = Ledger.in_memory()
    yield ledger.db
    ledger.db.close()


def minutes(db: Database, account: AccountId = A0) -> list[float]:
    """Return the times of points, in minutes after noon."""
    return [(at - NOON).total_seconds() / 60 for at, _ in equity_points(db, account, EVER)]


@pytest.mark.parametrize(
    ("apart_us", "read", "kept"),
    [
        (HOUR_US, (7, 12, 59, 61, 119, 125), [7, 61, 125]),
        (FINE_US, (0, 0.1, 0.2, 1, 1.15), [0, 0.2, 1]),
        (HOUR_US, (30, 10), [30]),  # a clock that was set back
    ],
)
def test_of_each_stretch_the_first_reading_stays_at_its_own_time(
    db: Database, apart_us: int, read: tuple[float, ...], kept: list[float]
) -> None:
    for each in read:
        mark_equity_point(db, A0, Decimal(100), NOON + timedelta(minutes=each), apart_us)
    assert minutes(db) == pytest.approx(kept)


def test_after_a_day_one_point_an_hour_stays_and_others_keep_theirs(db: Database) -> None:
    for each in (5, 10, 59, 60, 61):
        for account in (A0, A1):
            mark_equity_point(db, account, Decimal(each), NOON + timedelta(minutes=each), FINE_US)
    thin_equity_points(db, A0, NOON + timedelta(hours=24, minutes=4))
    assert minutes(db) == [5, 10, 59, 60, 61]
    thin_equity_points(db, A0, NOON + timedelta(hours=26))
    assert minutes(db) == [5, 60]
    assert minutes(db, A1) == [5, 10, 59, 60, 61]


def test_a_reader_gets_what_is_newer_than_a_moment(db: Database) -> None:
    for each in (0, 60, 120):
        mark_equity_point(db, A0, Decimal(each), NOON + timedelta(minutes=each))
    assert [worth for _, worth in equity_points(db, A0, NOON + timedelta(minutes=60))] == [
        Decimal(60),
        Decimal(120),
    ]


def test_of_a_long_time_the_first_point_of_each_part_is_read(db: Database) -> None:
    for hour in (*range(30), *range(50, 400, 3), 401):
        db.execute(
            "INSERT INTO equity_point (account_id, at_us, equity) VALUES (?, ?, ?)",
            (A0, to_us(NOON + timedelta(hours=hour, minutes=hour % 60)), str(hour)),
        )
    for apart in (timedelta(hours=7), timedelta(days=2), timedelta(days=90)):
        for since in (EVER, NOON + timedelta(hours=29, minutes=30), NOON + timedelta(days=30)):
            expected: dict[int, tuple[datetime, Decimal]] = {}
            for each in equity_points(db, A0, since):
                expected.setdefault(to_us(each[0]) // (apart // timedelta(microseconds=1)), each)
            assert equity_points_apart(db, A0, since, apart) == list(expected.values())
    steps = 0

    def trace(event: Any) -> None:
        nonlocal steps
        steps += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    db.trace_v2(apsw.SQLITE_TRACE_PROFILE, trace)  # type: ignore[attr-defined]
    assert len(equity_points_apart(db, A0, EVER, timedelta(days=9))) == 2
    assert first_equity_at(db, A0, EVER) == NOON
    db.trace_v2(0)  # type: ignore[attr-defined]
    assert steps < 300, "what lies between is not read"
    assert first_equity_at(db, A1, EVER) is None


@pytest.mark.parametrize(
    ("days", "hours"), [(0, 1), (90, 1), (91, 5), (200, 10), (365, 18), (3_650, 176)]
)
def test_a_line_of_equity_has_some_hundred_points_however_long_it_is(days: int, hours: int) -> None:
    assert apart_of(timedelta(days=days)) == timedelta(hours=hours)
