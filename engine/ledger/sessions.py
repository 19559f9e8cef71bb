"""Who is signed in, who may sign in by a link, and who tried too often. Ids of sessions and links
are stored as hashes only.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from engine.domain.identifiers import PersonId, StrategyId
from engine.domain.person import Role
from engine.ledger.codec import from_us, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, Row, fetch_all, fetch_one, run
from engine.ledger.tokens import revoke_tokens

KIND_SIGN_IN: Final = "sign_in"
KIND_INVITATION: Final = "invitation"
FAILURES_FREE: Final = 4
FAILURES_FREE_ADDRESS: Final = 20
"""Many people may share one address, so one person who forgot a password must not lock out the
others.
"""
WAIT_S_MAX: Final = 3_600
FORGIVEN_AFTER: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session. ``idle`` is how long it lasts unused; ``confirmed_at`` is when a factor was last
    shown in it.
    """

    id: str
    person: PersonId
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    idle: timedelta
    confirmed_at: datetime
    revoked: bool
    address: str
    agent: str

    def is_valid(self, now: datetime) -> bool:
        """Return whether the session is still valid."""
        return not self.revoked and now < self.expires_at and now < self.seen_at + self.idle


_SESSION = (
    "SELECT id, person_id, created_us, seen_us, expires_us, idle_us, confirmed_us, revoked_us, "
    "address, agent FROM session"
)


def _session(row: Row) -> SessionRow:
    idle = timedelta(microseconds=row[5])
    times = (from_us(row[2]), from_us(row[3]), from_us(row[4]))
    return SessionRow(
        row[0], PersonId(row[1]), *times, idle, from_us(row[6]), row[7] is not None, row[8], row[9]
    )


def insert_session(db: Database, hashed: bytes, row: SessionRow) -> None:
    """Insert a session."""
    times = (row.created_at, row.seen_at, row.expires_at)
    idle_us = row.idle // timedelta(microseconds=1)
    db.execute(
        "INSERT INTO session (hash, id, person_id, created_us, seen_us, expires_us, idle_us, "
        "confirmed_us, address, agent)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            hashed,
            row.id,
            row.person,
            *map(to_us, times),
            idle_us,
            to_us(row.confirmed_at),
            row.address,
            row.agent,
        ),
    )


def session_by_hash(db: Database, hashed: bytes) -> SessionRow | None:
    """Find a session by the hash of its secret id."""
    row = fetch_one(db, _SESSION + " WHERE hash = ?", (hashed,))
    return None if row is None else _session(row)


def sessions_of(db: Database, person: PersonId, now: datetime) -> list[SessionRow]:
    """Read a person's valid sessions, newest first."""
    rows = fetch_all(
        db,
        _SESSION + " WHERE person_id = ? AND revoked_us IS NULL ORDER BY seen_us DESC, id",
        (person,),
    )
    return [each for each in map(_session, rows) if each.is_valid(now)]


def see_session(db: Database, identifier: str, at: datetime) -> None:
    """Record that a session was used."""
    db.execute("UPDATE session SET seen_us = ? WHERE id = ?", (to_us(at), identifier))


def confirm_session(db: Database, identifier: str, at: datetime) -> None:
    """Record that a factor was shown in a session."""
    db.execute("UPDATE session SET confirmed_us = ? WHERE id = ?", (to_us(at), identifier))


def revoke_sessions(
    db: Database,
    person: PersonId,
    at: datetime,
    *,
    only: str | None = None,
    but: str | None = None,
) -> int:
    """End a person's sessions: ``only`` one, or all ``but`` one; return how many.

    Who is signed out everywhere has no API token any more either.
    """
    if only is None:
        revoke_tokens(db, person, at)
    return run(
        db,
        "UPDATE session SET revoked_us = ? WHERE person_id = ? AND revoked_us IS NULL"
        + ("" if only is None else " AND id = ?")
        + ("" if but is None else " AND id != ?"),
        (to_us(at), person, *(each for each in (only, but) if each is not None)),
    )


def forget_old_sessions(db: Database, before: datetime) -> int:
    """Delete sessions that ended before a time."""
    return run(db, "DELETE FROM session WHERE expires_us < ?1 OR revoked_us < ?1", (to_us(before),))


# Links


def forget_old_tickets(db: Database, before: datetime) -> None:
    """Delete links that expired before a time."""
    db.execute("DELETE FROM ticket WHERE expires_us < ?", (to_us(before),))


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRow:
    """One sign-in link: a one-time sign-in of a known person, or an invitation to join."""

    id: str
    kind: str
    person: PersonId | None
    role: Role
    strategy: StrategyId | None
    uses_left: int
    created_at: datetime
    expires_at: datetime
    created_by: str

    def is_valid(self, now: datetime) -> bool:
        """Return whether the link is still valid."""
        return self.uses_left > 0 and now < self.expires_at


_TICKET = (
    "SELECT id, kind, person_id, role, strategy_id, uses_left, created_us, expires_us, created_by "
    "FROM ticket"
)


def _ticket(row: Row) -> TicketRow:
    person = None if row[2] is None else PersonId(row[2])
    strategy = None if row[4] is None else StrategyId(row[4])
    return TicketRow(
        id=row[0],
        kind=row[1],
        person=person,
        role=Role(row[3]),
        strategy=strategy,
        uses_left=row[5],
        created_at=from_us(row[6]),
        expires_at=from_us(row[7]),
        created_by=row[8],
    )


def insert_ticket(db: Database, hashed: bytes, row: TicketRow) -> None:
    """Insert a link."""
    db.execute(
        "INSERT INTO ticket (hash, id, kind, person_id, role, strategy_id, uses_left, created_us, "
        "expires_us, created_by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            hashed,
            row.id,
            row.kind,
            row.person,
            row.role.value,
            row.strategy,
            row.uses_left,
            to_us(row.created_at),
            to_us(row.expires_at),
            row.created_by,
        ),
    )


def ticket_by_hash(db: Database, hashed: bytes) -> TicketRow | None:
    """Find a link by the hash of its secret."""
    row = fetch_one(db, _TICKET + " WHERE hash = ?", (hashed,))
    return None if row is None else _ticket(row)


def use_ticket(db: Database, hashed: bytes, now: datetime) -> TicketRow | None:
    """Use a link once; None if it is no longer valid."""
    ticket = ticket_by_hash(db, hashed)
    if ticket is None or not ticket.is_valid(now):
        return None
    used = run(
        db,
        "UPDATE ticket SET uses_left = uses_left - 1 WHERE hash = ? AND uses_left > 0",
        (hashed,),
    )
    return ticket if used else None


def invitations(db: Database, now: datetime) -> list[TicketRow]:
    """Read the valid invitations, newest first."""
    rows = fetch_all(db, _TICKET + " WHERE kind = 'invitation' ORDER BY created_us DESC, id")
    return [each for each in map(_ticket, rows) if each.is_valid(now)]


def revoke_ticket(db: Database, identifier: str) -> bool:
    """End a link; return False if there is none."""
    return (
        run(db, "UPDATE ticket SET uses_left = 0 WHERE id = ? AND uses_left > 0", (identifier,)) > 0
    )


# Throttle


def wait_of(key: str, failures: int) -> timedelta:
    """Return how long nobody may try again after so many failures: nothing for the first few, then
    doubling, at most an hour.
    """
    beyond = failures - (FAILURES_FREE_ADDRESS if key.startswith("address:") else FAILURES_FREE)
    return timedelta(0) if beyond < 0 else timedelta(seconds=min(WAIT_S_MAX, 2 ** min(beyond, 12)))


def take_try(db: Database, keys: list[str], now: datetime) -> datetime | None:
    """Count a try for each key before it is checked, so that concurrent tries cannot pass together;
    a day without one forgives all.

    Returns the time until which one of the keys is blocked, and then counts nothing; None if the
    try may be made.
    """
    for key in sorted(keys):
        lock(db, Held.TRIES, key)
    until = blocked_until(db, keys, now)
    if until is not None:
        return until
    since = to_us(now - FORGIVEN_AFTER)
    for key in keys:
        db.execute(
            "INSERT INTO throttle VALUES (?1, 1, ?2) ON CONFLICT (key) DO UPDATE SET failures = CASE WHEN "
            "throttle.last_us < ?3 THEN 1 ELSE throttle.failures + 1 END, last_us = ?2",
            (key, to_us(now), since),
        )
    return None


def blocked_until(db: Database, keys: list[str], now: datetime) -> datetime | None:
    """Return the time until which one of these keys is blocked, None if all may be tried."""
    latest: datetime | None = None
    for key in keys:
        row = fetch_one(db, "SELECT failures, last_us FROM throttle WHERE key = ?", (key,))
        if row is not None and (until := from_us(row[1]) + wait_of(key, row[0])) > now:
            latest = until if latest is None else max(latest, until)
    return latest


def forgive(db: Database, keys: list[str]) -> None:
    """Delete what was counted for somebody who has just signed in; an address, which others share,
    gets back only the one try.
    """
    for key in keys:
        if key.startswith("address:"):
            db.execute("UPDATE throttle SET failures = failures - 1 WHERE key = ?", (key,))
            db.execute("DELETE FROM throttle WHERE key = ? AND failures <= 0", (key,))
        else:
            db.execute("DELETE FROM throttle WHERE key = ?", (key,))


def forget_old_tries(db: Database, now: datetime) -> None:
    """Delete counts that are forgiven."""
    db.execute("DELETE FROM throttle WHERE last_us < ?", (to_us(now - FORGIVEN_AFTER),))
