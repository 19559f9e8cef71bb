"""The keys of session cookies as the ledger knows them: since when each is used here, and whether a
session may still carry one. No key is stored here.
"""

from dataclasses import dataclass
from datetime import datetime

from engine.ledger.codec import from_us, to_us
from engine.ledger.query import Database, fetch_all, fetch_one, run


@dataclass(frozen=True, slots=True)
class SessionKeyRow:
    """One key that was ever used here; ``removed`` None: it may still read."""

    kid: str
    added: datetime
    removed: datetime | None


def session_keys(db: Database) -> dict[str, SessionKeyRow]:
    """Read every key that was ever used, by kid."""
    rows = fetch_all(db, "SELECT kid, added_us, removed_us FROM session_key ORDER BY kid")
    return {
        row[0]: SessionKeyRow(row[0], from_us(row[1]), None if row[2] is None else from_us(row[2]))
        for row in rows
    }


def note_session_key(db: Database, kid: str, at: datetime) -> None:
    """Record since when a key is used; a known one stays as it is."""
    db.execute(
        "INSERT INTO session_key (kid, added_us) VALUES (?, ?) ON CONFLICT (kid) DO NOTHING",
        (kid, to_us(at)),
    )


def note_session_key_removed(db: Database, kid: str, at: datetime) -> bool:
    """Record that a key was removed from its store; return False if that was recorded before."""
    return (
        run(
            db,
            "UPDATE session_key SET removed_us = ? WHERE kid = ? AND removed_us IS NULL",
            (to_us(at), kid),
        )
        > 0
    )


def sessions_begun_before(
    db: Database, since: datetime, now: datetime
) -> tuple[int, datetime | None]:
    """Count the sessions that are valid now and began before a time; return also when the last of
    them ends at the latest.
    """
    row = fetch_one(
        db,
        "SELECT count(*), max(expires_us) FROM session WHERE created_us < ?1 AND revoked_us IS NULL"
        " AND expires_us > ?2 AND seen_us + idle_us > ?2",
        (to_us(since), to_us(now)),
    )
    assert row is not None
    return int(row[0]), None if row[1] is None else from_us(row[1])


def end_all_sessions(db: Database, at: datetime) -> int:
    """End every session of everybody; return how many."""
    return run(db, "UPDATE session SET revoked_us = ? WHERE revoked_us IS NULL", (to_us(at),))
