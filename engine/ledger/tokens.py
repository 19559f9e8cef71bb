"""API tokens, stored as hashes, and what was done once under an idempotency key."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from engine.domain.identifiers import PersonId
from engine.domain.token import TokenScope
from engine.ledger.codec import from_us, to_us
from engine.ledger.query import Database, Row, fetch_all, fetch_one, run


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """One API token. ``seen_at`` is when it was last used, to within a minute, and ``seen_from`` the
    address; None and empty if it never was.
    """

    id: str
    person: PersonId
    name: str
    scope: TokenScope
    created_at: datetime
    expires_at: datetime
    seen_at: datetime | None = None
    seen_from: str = ""
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether the token is neither revoked nor expired."""
        return self.revoked_at is None and now < self.expires_at


_ROWS: Final = (
    "SELECT id, person_id, name, scope, created_us, expires_us, seen_us, seen_from, revoked_us "
    "FROM api_token"
)


def _token(row: Row) -> TokenRow:
    return TokenRow(
        id=row[0],
        person=PersonId(row[1]),
        name=row[2],
        scope=TokenScope(row[3]),
        created_at=from_us(row[4]),
        expires_at=from_us(row[5]),
        seen_at=None if row[6] is None else from_us(row[6]),
        seen_from=row[7],
        revoked_at=None if row[8] is None else from_us(row[8]),
    )


def insert_token(db: Database, hashed: bytes, row: TokenRow) -> None:
    """Insert a token that was just made."""
    db.execute(
        "INSERT INTO api_token (hash, id, person_id, name, scope, created_us, expires_us) VALUES "
        "(?, ?, ?, ?, ?, ?, ?)",
        (
            hashed,
            row.id,
            row.person,
            row.name,
            row.scope.value,
            to_us(row.created_at),
            to_us(row.expires_at),
        ),
    )


def token_by_hash(db: Database, hashed: bytes) -> TokenRow | None:
    """Find a token by the hash of its secret."""
    row = fetch_one(db, _ROWS + " WHERE hash = ?", (hashed,))
    return None if row is None else _token(row)


def tokens_of(db: Database, person: PersonId) -> list[TokenRow]:
    """Read a person's tokens, newest first, the ended ones too."""
    rows = fetch_all(db, _ROWS + " WHERE person_id = ? ORDER BY created_us DESC, id", (person,))
    return [_token(row) for row in rows]


def see_token(db: Database, identifier: str, address: str, at: datetime) -> None:
    """Record that a token was used."""
    db.execute(
        "UPDATE api_token SET seen_us = ?, seen_from = ? WHERE id = ?",
        (to_us(at), address, identifier),
    )


def revoke_tokens(db: Database, person: PersonId, at: datetime, *, only: str | None = None) -> int:
    """End a person's tokens, or ``only`` one; return how many."""
    return run(
        db,
        "UPDATE api_token SET revoked_us = ? WHERE person_id = ? AND revoked_us IS NULL"
        + ("" if only is None else " AND id = ?"),
        (to_us(at), person, *(() if only is None else (only,))),
    )


def forget_old_tokens(db: Database, person: PersonId, before: datetime) -> None:
    """Delete a person's tokens that ended before a time."""
    db.execute(
        "DELETE FROM api_token WHERE person_id = ?1 AND (expires_us < ?2 OR revoked_us < ?2)",
        (person, to_us(before)),
    )


# What is done once

DEEDS_KEPT: Final = timedelta(days=7)


def note_deed(db: Database, person: PersonId, key: str, deed: str, at: datetime) -> str | None:
    """Record what a person does under an idempotency key; return what they did under it before, and
    then nothing is recorded. Deeds of more than a week ago are forgotten.
    """
    db.execute(
        "DELETE FROM api_deed WHERE person_id = ? AND at_us < ?", (person, to_us(at - DEEDS_KEPT))
    )
    is_new = run(
        db,
        "INSERT INTO api_deed (person_id, key, deed, at_us) VALUES (?, ?, ?, ?) ON CONFLICT "
        "(person_id, key) DO NOTHING",
        (person, key, deed, to_us(at)),
    )
    if is_new:
        return None
    row = fetch_one(db, "SELECT deed FROM api_deed WHERE person_id = ? AND key = ?", (person, key))
    return None if row is None else str(row[0])
