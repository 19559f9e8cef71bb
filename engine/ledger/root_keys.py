"""The root keys as the ledger knows them: a canary for each, what is sealed under each, and how far
a rewrap has come. No key is stored here.

What always holds: a disabled kid gets nothing new (``refuse_disabled``, within the transaction of
the row itself), so that a key that was counted as unused stays unused; a rewrap's cursor moves in
the transaction of the rows that it moved past.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.domain.errors import RexAlgoError
from engine.ledger.codec import from_us, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, fetch_all, fetch_one, run

PARTS: Final = ("data_keys", "logins", "declared_logins")
"""What is rewrapped row by row, in this order; the kept audit keys follow in one step."""


class RootKeyDisabled(RexAlgoError):
    """Raised when a root key was disabled between sealing something under it and recording that:
    nothing was recorded, try again.
    """


@dataclass(frozen=True, slots=True)
class RootKeyRow:
    """One root key that was ever used here; ``added`` None: before this was recorded."""

    kid: str
    canary: bytes
    added: datetime | None
    disabled: datetime | None
    removed: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RewrapRow:
    """How far the rewrap to ``kid`` has come: ``cursor`` is the last row of ``part`` that it moved
    past. If it ``renews``, everybody gets another data key.
    """

    kid: str
    begun: datetime
    part: str
    cursor: str
    moved: int
    ended: datetime | None
    renews: bool


# Root keys


def root_keys(db: Database) -> dict[str, RootKeyRow]:
    """Read every root key that was ever used, by kid."""
    rows = fetch_all(
        db, "SELECT kid, sealed, added_us, disabled_us, removed_us FROM canary ORDER BY kid"
    )
    return {
        row[0]: RootKeyRow(
            row[0], row[1], *(None if each is None else from_us(each) for each in row[2:])
        )
        for row in rows
    }


def canaries(db: Database) -> dict[str, bytes]:
    """Read the canary of every root key that is needed to start, by kid."""
    return dict(
        fetch_all(db, "SELECT kid, sealed FROM canary WHERE disabled_us IS NULL ORDER BY kid")
    )


def disabled_kids(db: Database) -> frozenset[str]:
    """Read the kids of disabled root keys."""
    return frozenset(
        str(row[0]) for row in fetch_all(db, "SELECT kid FROM canary WHERE disabled_us IS NOT NULL")
    )


def put_canary(db: Database, kid: str, sealed: bytes, now: datetime | None = None) -> None:
    """Store a root key's canary, and since when it is used here; an existing one stays as it is."""
    added = None if now is None else to_us(now)
    db.execute(
        "INSERT INTO canary (kid, sealed, added_us) VALUES (?, ?, ?) ON CONFLICT (kid) DO NOTHING",
        (kid, sealed, added),
    )


def disable_root_key(db: Database, kid: str, at: datetime) -> None:
    """Disable a root key: it is not needed to start, and nothing new may be sealed under it."""
    lock(db, Held.PLACE)
    db.execute(
        "UPDATE canary SET disabled_us = ? WHERE kid = ? AND disabled_us IS NULL", (to_us(at), kid)
    )


def note_removed(db: Database, kid: str, at: datetime) -> bool:
    """Record that a root key was removed from its store; return False if that was recorded before."""
    return (
        run(
            db,
            "UPDATE canary SET removed_us = ? WHERE kid = ? AND removed_us IS NULL",
            (to_us(at), kid),
        )
        > 0
    )


def refuse_disabled(db: Database, kid: str) -> None:
    """Raise RootKeyDisabled if a root key is disabled."""
    lock(db, Held.PLACE, shared=True)
    if (
        fetch_one(db, "SELECT 1 FROM canary WHERE kid = ? AND disabled_us IS NOT NULL", (kid,))
        is not None
    ):
        raise RootKeyDisabled(
            f"root key {kid} was removed a moment ago; nothing was recorded, do it again"
        )


# What is sealed under them


_AUDIT_ROWS: Final = (
    "WITH RECURSIVE found (kid) AS (SELECT min(kid) FROM audit UNION ALL SELECT (SELECT min(kid) "
    "FROM audit WHERE audit.kid > found.kid) FROM found WHERE found.kid IS NOT NULL) SELECT kid, "
    "(SELECT count(*) FROM audit WHERE audit.kid = found.kid) FROM found WHERE kid IS NOT NULL AND "
    "kid != ? AND kid NOT IN (SELECT kid FROM audit_key)"
)
"""The few kids of the audit are looked up one after the other, and rows are counted only of those
whose key is not kept.
"""


def counts_under(db: Database, active: str) -> dict[str, dict[str, int]]:
    """Count by kid what needs that root key, by kind; only kids that seal something. The audit rows
    of the active one are not counted: their key is kept when another one becomes active.
    """
    by_kid: dict[str, Counter[str]] = {}
    for kind, sql in (
        ("data_keys", "SELECT key_kid, count(*) FROM person GROUP BY key_kid"),
        ("logins", "SELECT substr(print, 1, 8), count(*) FROM login_print GROUP BY 1"),
        (
            "declared_logins",
            "SELECT substr(value, 1, 8), count(*) FROM declared WHERE kind = 'follower' AND field "
            "= 'login' GROUP BY 1",
        ),
        ("audit_keys", "SELECT under, count(*) FROM audit_key GROUP BY under"),
        ("audit_rows", _AUDIT_ROWS),
    ):
        for kid, count in fetch_all(db, sql, (active,) if sql is _AUDIT_ROWS else ()):
            by_kid.setdefault(str(kid), Counter())[kind] = int(count)
    return {kid: dict(each) for kid, each in by_kid.items()}


def set_person_key(db: Database, person: str, kid: str, wrapped: bytes) -> None:
    """Replace the wrapping of a person's data key; the data key itself stays."""
    refuse_disabled(db, kid)
    db.execute(
        "UPDATE person SET key_kid = ?, key_wrapped = ? WHERE id = ?", (kid, wrapped, person)
    )


def persons_under_others(db: Database, kid: str, after: str, limit: int) -> list[str]:
    """List the people whose data key is wrapped under a root key other than ``kid``, by id, after
    ``after``.
    """
    rows = fetch_all(
        db,
        "SELECT id FROM person WHERE key_kid != ? AND id > ? ORDER BY id LIMIT ?",
        (kid, after, limit),
    )
    return [str(row[0]) for row in rows]


def logins_under_others(db: Database, kid: str, after: str, limit: int) -> list[tuple[str, str]]:
    """List (fingerprint, account id) of logins marked under another root key, by account, after
    ``after``.
    """
    sql = (
        "SELECT print, account_id FROM login_print WHERE substr(print, 1, 8) != ? AND account_id "
        "> ? ORDER BY account_id LIMIT ?"
    )
    return [(str(row[0]), str(row[1])) for row in fetch_all(db, sql, (kid, after, limit))]


def declared_under_others(db: Database, kid: str, after: str, limit: int) -> list[tuple[str, str]]:
    """List (follower's name, fingerprint) of declared logins marked under another root key, by
    name, after ``after``.
    """
    sql = (
        "SELECT name, value FROM declared WHERE kind = 'follower' AND field = 'login' AND "
        "substr(value, 1, 8) != ? AND name > ?"
        " ORDER BY name LIMIT ?"
    )
    return [(str(row[0]), str(row[1])) for row in fetch_all(db, sql, (kid, after, limit))]


def set_declared_login(db: Database, name: str, print_: str | None) -> None:
    """Replace the fingerprint of a follower's declared login, or delete it."""
    if print_ is None:
        db.execute(
            "DELETE FROM declared WHERE kind = 'follower' AND field = 'login' AND name = ?", (name,)
        )
    else:
        db.execute(
            "UPDATE declared SET value = ? WHERE kind = 'follower' AND field = 'login' AND name = "
            "?",
            (print_, name),
        )


# Audit keys of root keys that are gone, or will be


def kept_audit_keys(db: Database) -> dict[str, tuple[str, bytes]]:
    """Read (the kid it is sealed under, sealed) of every kept audit key, by the kid it was derived
    from.
    """
    return {
        str(row[0]): (str(row[1]), bytes(row[2]))
        for row in fetch_all(db, "SELECT kid, under, sealed FROM audit_key ORDER BY kid")
    }


def put_audit_key(db: Database, kid: str, under: str, sealed: bytes) -> None:
    """Store a kept audit key in place of the former one."""
    refuse_disabled(db, under)
    db.execute(
        "INSERT INTO audit_key (kid, under, sealed) VALUES (?1, ?2, ?3) ON CONFLICT (kid) DO UPDATE SET "
        "under = ?2, sealed = ?3",
        (kid, under, sealed),
    )


# The rewrap's own record


def rewrap_of(db: Database, kid: str) -> RewrapRow | None:
    """Read how far the rewrap to a root key has come; None if none was begun."""
    row = fetch_one(
        db,
        "SELECT kid, begun_us, part, cursor, moved, ended_us, renews FROM rewrap WHERE kid = ?",
        (kid,),
    )
    return (
        None
        if row is None
        else RewrapRow(
            kid=row[0],
            begun=from_us(row[1]),
            part=row[2],
            cursor=row[3],
            moved=row[4],
            ended=None if row[5] is None else from_us(row[5]),
            renews=row[6] != 0,
        )
    )


def begin_rewrap(db: Database, kid: str, now: datetime, *, renews: bool = False) -> bool:
    """Begin the rewrap to a root key, or begin it again; an unfinished one continues from its
    cursor. Return True the first time, which decides whether it ``renews``.
    """
    lock(db, Held.PLACE)
    is_first = rewrap_of(db, kid) is None
    db.execute(
        "INSERT INTO rewrap (kid, begun_us, part, cursor, renews) VALUES (?1, ?2, ?3, '', ?4) ON "
        "CONFLICT (kid) DO UPDATE SET part = ?3, cursor = '',"
        " ended_us = NULL WHERE rewrap.ended_us IS NOT NULL",
        (kid, to_us(now), PARTS[0], int(renews)),
    )
    return is_first


def advance_rewrap(db: Database, kid: str, part: str, cursor: str, moved: int) -> None:
    """Record how far the rewrap has come, in the transaction that moved ``moved`` rows."""
    db.execute(
        "UPDATE rewrap SET part = ?, cursor = ?, moved = moved + ? WHERE kid = ?",
        (part, cursor, moved, kid),
    )


def end_rewrap(db: Database, kid: str, at: datetime) -> None:
    """Record that nothing is left under another root key."""
    db.execute("UPDATE rewrap SET ended_us = ? WHERE kid = ?", (to_us(at), kid))
