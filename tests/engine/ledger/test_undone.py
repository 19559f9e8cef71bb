"""What is tried and undone inside a write leaves nothing, and its neighbours in the group run once."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import apsw
import pytest

from bench.records import STRATEGY, SYMBOL, found
from engine.domain.signal import Action, SignalDraft
from engine.ledger import Database, Ledger
from engine.ledger.query import fetch_all
from engine.ledger.rehearsing import Rehearsal, rehearse_signal
from engine.ledger.signals import new_signal
from engine.ledger.writer import _Job, _run_group, undone

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
FOLLOWERS = 3


def add(db: Database, name: str) -> int:
    db.execute("INSERT INTO channel (name, told) VALUES (?, 1)", (name,))
    return len(fetch_all(db, "SELECT 1 FROM channel"))


def fail(db: Database) -> None:
    add(db, "third")
    raise LookupError("no")


def everything(db: Database) -> dict[str, list[object]]:
    names = [row[0] for row in fetch_all(db, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {each: list(fetch_all(db, f"SELECT * FROM {each}")) for each in names}


def test_what_was_undone_is_returned_and_gone() -> None:
    db = Ledger.in_memory().db
    db.execute("BEGIN")
    add(db, "first")
    assert undone(db, partial(add, name="second")) == 2
    with pytest.raises(LookupError):
        undone(db, fail)
    db.execute("COMMIT")
    assert fetch_all(db, "SELECT name FROM channel") == [("first",)]


def test_a_rehearsal_leaves_nothing_and_its_neighbours_run_once(tmp_path: Path) -> None:
    db: apsw.Connection = found(tmp_path / "ledger", FOLLOWERS)
    draft = SignalDraft("one", Action.CLOSE, SYMBOL)
    new = new_signal(STRATEGY, origin="o", draft=draft, content=b"one", sent_at=None, received=NOW)
    before, ran = everything(db), list[str]()

    def neighbour(_: Database, name: str) -> None:
        ran.append(name)

    works = (
        partial(neighbour, name="first"),
        partial(rehearse_signal, new=new),
        partial(neighbour, name="second"),
    )
    jobs = [_Job(work, lambda: None) for work in works]
    _run_group(db, jobs)
    assert [job.error for job in jobs] == [None] * 3
    rehearsal = jobs[1].result
    assert isinstance(rehearsal, Rehearsal)
    assert (rehearsal.is_new, rehearsal.copies) == (True, FOLLOWERS)
    assert sum(rehearsal.would.values()) == FOLLOWERS
    assert ran == ["first", "second"], "a rehearsal does not make its group run again"
    assert everything(db) == before, "neither rows nor numbers stay"
    db.close()
