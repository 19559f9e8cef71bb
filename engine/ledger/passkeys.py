"""The passkeys of people: public keys, the counter of each authenticator, and what was noticed.

A public key is no secret. What always holds: a counter never goes back, and a passkey whose counter
did is marked in the same transaction and proves nothing any more.
"""

from dataclasses import dataclass
from datetime import datetime

from engine.domain.identifiers import PersonId
from engine.ledger.codec import from_us, to_us
from engine.ledger.query import Database, Row, fetch_all, fetch_one, run


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyRow:
    """One passkey. ``rp_id`` is the host that it was made for; ``copied_at`` is when its counter went
    back, which only a copy of it explains.
    """

    id: str
    person: PersonId
    credential: bytes
    public_key: bytes
    sign_count: int
    rp_id: str
    name: str
    created_at: datetime
    used_at: datetime | None
    copied_at: datetime | None

    def is_usable(self, host: str) -> bool:
        """Return whether the passkey proves something at a place with this host."""
        return self.copied_at is None and self.rp_id == host


_PASSKEY = (
    "SELECT id, person_id, credential, public_key, sign_count, rp_id, name, created_us, used_us, "
    "copied_us FROM passkey"
)


def _passkey(row: Row) -> PasskeyRow:
    return PasskeyRow(
        id=row[0],
        person=PersonId(row[1]),
        credential=row[2],
        public_key=row[3],
        sign_count=row[4],
        rp_id=row[5],
        name=row[6],
        created_at=from_us(row[7]),
        used_at=None if row[8] is None else from_us(row[8]),
        copied_at=None if row[9] is None else from_us(row[9]),
    )


def insert_passkey(db: Database, row: PasskeyRow) -> bool:
    """Insert a new passkey; return False if its credential is known, here or as another person's."""
    return (
        run(
            db,
            "INSERT INTO passkey (id, person_id, credential, public_key, sign_count, rp_id, name, "
            "created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (credential) DO NOTHING",
            (
                row.id,
                row.person,
                row.credential,
                row.public_key,
                row.sign_count,
                row.rp_id,
                row.name,
                to_us(row.created_at),
            ),
        )
        > 0
    )


def passkeys_of(db: Database, person: PersonId) -> list[PasskeyRow]:
    """Read a person's passkeys, the oldest first."""
    rows = fetch_all(db, _PASSKEY + " WHERE person_id = ? ORDER BY created_us, id", (person,))
    return [_passkey(each) for each in rows]


def has_passkey(db: Database, person: PersonId) -> bool:
    """Return whether a person has a passkey."""
    return fetch_one(db, "SELECT 1 FROM passkey WHERE person_id = ? LIMIT 1", (person,)) is not None


def passkey_by_credential(db: Database, credential: bytes) -> PasskeyRow | None:
    """Find a passkey by the id of its credential."""
    row = fetch_one(db, _PASSKEY + " WHERE credential = ?", (credential,))
    return None if row is None else _passkey(row)


def use_passkey(db: Database, identifier: str, sign_count: int, at: datetime) -> bool | None:
    """Record a use with the authenticator's counter; return False, and mark the passkey as copied, if
    the counter did not go up, and None if there is no such passkey any more. An authenticator without
    a counter says 0 each time.
    """
    used = run(
        db,
        "UPDATE passkey SET sign_count = ?1, used_us = ?2 WHERE id = ?3 AND copied_us IS NULL AND "
        "(sign_count < ?1 OR (sign_count = 0 AND ?1 = 0))",
        (sign_count, to_us(at), identifier),
    )
    if used:
        return True
    marked = run(
        db,
        "UPDATE passkey SET copied_us = coalesce(copied_us, ?) WHERE id = ?",
        (to_us(at), identifier),
    )
    return False if marked else None


def delete_passkey(db: Database, person: PersonId, identifier: str) -> bool:
    """Delete one of a person's passkeys; return False if they have no such."""
    return run(db, "DELETE FROM passkey WHERE person_id = ? AND id = ?", (person, identifier)) > 0


def delete_passkeys(db: Database, person: PersonId) -> int:
    """Delete all passkeys of a person; return how many."""
    return run(db, "DELETE FROM passkey WHERE person_id = ?", (person,))
