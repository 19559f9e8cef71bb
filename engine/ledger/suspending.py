"""People whom an operator suspended. Their sessions end, nobody signs in as them, and the accounts and
strategies that are theirs take no new entries; exits go on.

What always holds: being suspended is this one row. The switches that follow from it are derived when
switches are read (``switches_of_the_suspended``), so that an account that is connected later is
stopped too, and ending the suspension leaves nothing behind.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.domain.holding import Switch, SwitchScope
from engine.domain.identifiers import PersonId
from engine.ledger.codec import from_us, to_us
from engine.ledger.query import Database, fetch_all, fetch_one, run

NOTE_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Suspension:
    """Since when somebody is suspended, by whom, and why."""

    at: datetime
    by: str
    note: str


def suspension(db: Database, person: PersonId) -> Suspension | None:
    """Read the suspension of a person; None if they are not suspended."""
    row = fetch_one(db, "SELECT at_us, by, note FROM suspension WHERE person_id = ?", (person,))
    return None if row is None else Suspension(from_us(row[0]), row[1], row[2])


def suspend(db: Database, person: PersonId, by: str, note: str, at: datetime) -> bool:
    """Suspend a person; return False if they were suspended before, and then nothing changes."""
    return (
        run(
            db,
            "INSERT INTO suspension (person_id, at_us, by, note) VALUES (?, ?, ?, ?) ON CONFLICT "
            "(person_id) DO NOTHING",
            (person, to_us(at), by, note),
        )
        > 0
    )


def end_suspension(db: Database, person: PersonId) -> bool:
    """End a suspension; return False if there was none."""
    return run(db, "DELETE FROM suspension WHERE person_id = ?", (person,)) > 0


def switches_of_the_suspended(db: Database) -> list[Switch]:
    """Read the switches that follow from suspensions: no new entries for each account and strategy
    of a suspended person.
    """
    rows = fetch_all(
        db,
        "SELECT 'account', account.name, suspension.at_us, suspension.by, suspension.note, "
        "person.name FROM suspension CROSS JOIN person CROSS JOIN account WHERE person.id = "
        "suspension.person_id AND account.person_id = person.id AND account.disconnected_us IS NULL "
        "UNION ALL SELECT "
        "'strategy', strategy.name, suspension.at_us, suspension.by, suspension.note, person.name "
        "FROM suspension CROSS JOIN person CROSS JOIN master CROSS JOIN strategy WHERE person.id = "
        "suspension.person_id AND master.person_id = person.id AND strategy.master_id = master.id ORDER BY 1, 2",
    )
    return [
        Switch(
            scope=SwitchScope(row[0]),
            target=row[1],
            note=f"suspended: {row[4]}" if row[4] else "suspended",
            set_by=row[3],
            set_at=from_us(row[2]),
            person=row[5],
        )
        for row in rows
    ]
