"""People whom an operator suspended, or from whom an operator took a role. Nobody signs in as somebody
who is suspended. The accounts and strategies that are theirs take no new entries, and those that rest are
cancelled; exits go on. A taken role stops what it stood for alone: accounts are of a follower, strategies of a master.

What always holds: being suspended is one row, and so is a role that was taken. The switches that
follow are derived when switches are read (``derived_switches``), so that an account that is
connected later is stopped too, and ending the suspension or giving the role back leaves nothing
behind.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.domain.holding import Switch, SwitchLevel, SwitchScope
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


def derived_switches(db: Database) -> list[Switch]:
    """Read the switches that follow from suspensions and then from roles that were taken: for each
    account and strategy concerned, exposure can only shrink.
    """
    return switches_of_the_suspended(db) + switches_of_taken_roles(db)


def switches_of_the_suspended(db: Database) -> list[Switch]:
    """Read the switches that follow from suspensions."""
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
            level=SwitchLevel.REDUCE,
            person=row[5],
        )
        for row in rows
    ]


def switches_of_taken_roles(db: Database) -> list[Switch]:
    """Read the switches that follow from roles that were taken."""
    rows = fetch_all(
        db,
        "SELECT 'account', account.name, taken_us, taken_by, role, person.name FROM person_role "
        "CROSS JOIN person CROSS JOIN account WHERE role = 'follower' AND taken_us IS NOT NULL AND "
        "person.id = person_role.person_id AND account.person_id = person.id AND "
        "account.disconnected_us IS NULL UNION ALL SELECT 'strategy', strategy.name, taken_us, "
        "taken_by, role, person.name FROM person_role CROSS JOIN person CROSS JOIN master CROSS JOIN "
        "strategy WHERE role = 'master' AND taken_us IS NOT NULL AND person.id = "
        "person_role.person_id AND master.person_id = person.id AND strategy.master_id = master.id "
        "ORDER BY 1, 2",
    )
    return [
        Switch(
            scope=SwitchScope(row[0]),
            target=row[1],
            note=f"its {'owner' if row[4] == 'follower' else 'master'} is no longer a {row[4]}",
            set_by=row[3],
            set_at=from_us(row[2]),
            level=SwitchLevel.REDUCE,
            person=row[5],
            role=row[4],
        )
        for row in rows
    ]
