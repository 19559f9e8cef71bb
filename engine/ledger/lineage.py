"""Where a ledger ends, in a form with which another process can check whether a file still has all
of it.

Theory. Every start writes a run with a random mark; every row that matters takes a number that only
grows (SQLite counts them). The last run's mark together with these numbers is the *end*. A ledger
has an end if that run is in it and none of its numbers is smaller. An earlier copy lacks the run or
has smaller numbers; a ledger that diverged since lacks the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from engine.ledger.codec import from_us
from engine.ledger.query import Database, fetch_all, fetch_one


@dataclass(frozen=True, slots=True)
class LedgerEnd:
    """An end: the newest run's mark (empty before the first), and the last number given in each
    table.
    """

    run: str
    numbers: Mapping[str, int]


def read_end(db: Database) -> LedgerEnd:
    """Read where a ledger ends."""
    run = fetch_one(db, "SELECT mark FROM run WHERE epoch = (SELECT max(epoch) FROM run)")
    return LedgerEnd(
        "" if run is None else str(run[0]),
        dict(fetch_all(db, "SELECT name, seq FROM sqlite_sequence ORDER BY name")),
    )


def first_run(db: Database) -> datetime | None:
    """Read when this ledger, or the one that it continues, was first used; None before that."""
    row = fetch_one(db, "SELECT started_us FROM run WHERE epoch = (SELECT min(epoch) FROM run)")
    return None if row is None else from_us(row[0])


@dataclass(frozen=True, slots=True)
class AccountEnd:
    """Where the history of one account ends: its newest order, and when its newest fill was seen."""

    attempt: int
    fill_us: int


def account_ends(db: Database) -> dict[str, AccountEnd]:
    """Read where the history of every account ends, by name."""
    rows = fetch_all(
        db,
        "SELECT name, (SELECT max(attempt.id) FROM attempt WHERE attempt.account_id = account.id), "
        "(SELECT max(seen_us) FROM fill WHERE fill.account_id = account.id) FROM account",
    )
    return {row[0]: AccountEnd(row[1] or 0, row[2] or 0) for row in rows}


def has_run(db: Database, mark: str) -> bool:
    """Return whether a run with this mark began in this ledger or in one that it continues."""
    return fetch_one(db, "SELECT 1 FROM run WHERE mark = ?", (mark,)) is not None


def was_marked(db: Database) -> bool:
    """Return whether this ledger has run with its end recorded beside it."""
    return fetch_one(db, "SELECT 1 FROM run WHERE mark > ''") is not None


def lacks(db: Database, end: LedgerEnd) -> str:
    """Return what a ledger lacks of an end that was recorded before; empty if it has all of it."""
    if end.run and not has_run(db, end.run):
        return "the last recorded run is not in it"
    here = read_end(db).numbers
    smaller = [
        f"{name} {here.get(name, 0)} of {number}"
        for name, number in sorted(end.numbers.items())
        if here.get(name, 0) < number
    ]
    return f"it ends at {', '.join(smaller)}" if smaller else ""


def knows_marks(db: Database) -> bool:
    """Return whether a program that records ends ever opened a file; an older file is migrated
    first.
    """
    return fetch_one(db, "SELECT 1 FROM sqlite_schema WHERE name = 'run_by_mark'") is not None
