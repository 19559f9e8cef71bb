"""People as they sign in: roles, factors, recovery codes, the fingerprints of their exchange
logins. Secrets only sealed or hashed.
"""

from dataclasses import dataclass
from datetime import datetime

from engine.domain.identifiers import AccountId, PersonId
from engine.domain.person import Person, Role
from engine.ledger.codec import from_us, to_us
from engine.ledger.query import Database, Row, contains, fetch_all, fetch_one, run
from engine.ledger.root_keys import refuse_disabled


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorRow:
    """How a person proves who they are: Argon2id hash, sealed TOTP secret (None: no such factor),
    last code's time step.
    """

    password: str | None
    password_at: datetime | None
    totp_sealed: bytes | None
    totp_version: int
    totp_at: datetime | None
    totp_step: int


_PERSON = (
    "SELECT person.id, person.name, person.zone, (SELECT string_agg(role, ',') FROM person_role "
    "WHERE person_id = person.id AND taken_us IS NULL), EXISTS (SELECT 1 FROM account WHERE "
    "account.person_id = person.id) FROM person"
)


def _person(row: Row) -> Person:
    roles = frozenset(Role(each) for each in (row[3] or "").split(",") if each)
    return Person(PersonId(row[0]), row[1], roles, row[2], bool(row[4]))


def person(db: Database, identifier: PersonId) -> Person:
    """Read one person; raises LookupError if there is none."""
    row = fetch_one(db, _PERSON + " WHERE person.id = ?", (identifier,))
    if row is None:
        raise LookupError(f"the ledger has no person {identifier}")
    return _person(row)


def person_named(db: Database, name: str) -> Person | None:
    """Find a person by name. A provisioned ``follower:alice`` is also found as ``alice`` if nobody
    else has that name.
    """
    rows = fetch_all(
        db, _PERSON + " WHERE person.name IN (?1, 'follower:' || ?1, 'master:' || ?1)", (name,)
    )
    people = [_person(row) for row in rows]
    exact = [each for each in people if each.name == name]
    if exact:
        return exact[0]
    return people[0] if len(people) == 1 else None


def is_taken(db: Database, name: str) -> bool:
    """Return whether somebody has a name or is found by it; a name that two provisioned people
    share is taken too.
    """
    return (
        fetch_one(
            db,
            "SELECT 1 FROM person WHERE name IN (?1, 'follower:' || ?1, 'master:' || ?1)",
            (name,),
        )
        is not None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleFilter:
    """Which people are read: those whose name contains ``search``, who have ``role``, who are
    suspended. Empty, None or False: no such condition.
    """

    search: str = ""
    role: Role | None = None
    suspended: bool = False


def all_people(
    db: Database, wanted: PeopleFilter | None = None, *, after: str = "", limit: int = -1
) -> list[Person]:
    """Read people by name, those behind the name ``after``; at most ``limit`` of them, unless it is
    negative.
    """
    wanted = wanted or PeopleFilter()
    rows = fetch_all(
        db,
        _PERSON
        + " WHERE person.name > ?"
        + (f" AND {contains('person.name')}" if wanted.search else "")
        + (f" AND {_HAS_ROLE}" if wanted.role is not None else "")
        + (f" AND {_IS_SUSPENDED}" if wanted.suspended else "")
        + " ORDER BY person.name"
        + (" LIMIT ?" if limit >= 0 else ""),
        (after, *_conditions(wanted), *((limit,) if limit >= 0 else ())),
    )
    return [_person(row) for row in rows]


def count_people(db: Database, wanted: PeopleFilter | None = None) -> int:
    """Count people."""
    wanted = wanted or PeopleFilter()
    row = fetch_one(
        db,
        "SELECT count(*) FROM person WHERE person.name > ''"
        + (f" AND {contains('person.name')}" if wanted.search else "")
        + (f" AND {_HAS_ROLE}" if wanted.role is not None else "")
        + (f" AND {_IS_SUSPENDED}" if wanted.suspended else ""),
        _conditions(wanted),
    )
    return 0 if row is None else int(row[0])


_HAS_ROLE = (
    "EXISTS (SELECT 1 FROM person_role WHERE person_role.person_id = person.id AND "
    "person_role.role = ? AND taken_us IS NULL)"
)
_IS_SUSPENDED = "EXISTS (SELECT 1 FROM suspension WHERE suspension.person_id = person.id)"


def _conditions(wanted: PeopleFilter) -> tuple[str, ...]:
    """Return the parameters of a filter, in the order of its conditions."""
    return (
        *((wanted.search,) if wanted.search else ()),
        *((wanted.role.value,) if wanted.role is not None else ()),
    )


def give_role(db: Database, identifier: PersonId, role: Role, by: str, at: datetime) -> bool:
    """Give a role, also one that was taken; return False if the person has it already."""
    return (
        run(
            db,
            "INSERT INTO person_role (person_id, role, since_us, given_by) VALUES (?, ?, ?, ?) ON "
            "CONFLICT (person_id, role) DO UPDATE SET since_us = excluded.since_us, given_by = "
            "excluded.given_by, taken_us = NULL, taken_by = '' WHERE person_role.taken_us IS NOT NULL",
            (identifier, role.value, to_us(at), by),
        )
        > 0
    )


def take_role(db: Database, identifier: PersonId, role: Role, by: str, at: datetime) -> bool:
    """Take a role away; return False if the person does not have it. The row stays: a role that was
    taken comes back only when somebody gives it.
    """
    return (
        run(
            db,
            "UPDATE person_role SET taken_us = ?, taken_by = ? WHERE person_id = ? AND role = ? AND "
            "taken_us IS NULL",
            (to_us(at), by, identifier, role.value),
        )
        > 0
    )


def is_role_taken(db: Database, identifier: PersonId, role: Role) -> bool:
    """Return whether a role was taken away from a person and not given back."""
    return (
        fetch_one(
            db,
            "SELECT 1 FROM person_role WHERE person_id = ? AND role = ? AND taken_us IS NOT NULL",
            (identifier, role.value),
        )
        is not None
    )


def set_zone(db: Database, identifier: PersonId, zone: str) -> None:
    """Write the time zone in which a person reads times."""
    db.execute("UPDATE person SET zone = ? WHERE id = ?", (zone, identifier))
    # their day ends at another time now: the digest is looked at again
    db.execute("UPDATE person_channel SET digest_due_us = 0 WHERE person_id = ?", (identifier,))


# Factors


def factor(db: Database, identifier: PersonId) -> FactorRow:
    """Read a person's factors; a person without any is not an error."""
    row = fetch_one(
        db,
        "SELECT password, password_us, totp_sealed, totp_version, totp_us, totp_step FROM factor "
        "WHERE person_id = ?",
        (identifier,),
    )
    if row is None:
        return FactorRow(
            password=None,
            password_at=None,
            totp_sealed=None,
            totp_version=0,
            totp_at=None,
            totp_step=0,
        )
    return FactorRow(
        password=row[0],
        password_at=_time(row[1]),
        totp_sealed=row[2],
        totp_version=row[3],
        totp_at=_time(row[4]),
        totp_step=row[5],
    )


def _time(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)


def set_password(db: Database, identifier: PersonId, hashed: str, at: datetime) -> None:
    """Write the hash of a new password."""
    db.execute(
        "INSERT INTO factor (person_id, password, password_us) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (person_id) DO UPDATE SET password = ?2, password_us = ?3",
        (identifier, hashed, to_us(at)),
    )


def set_totp(
    db: Database,
    identifier: PersonId,
    sealed: bytes | None,
    version: int,
    step: int,
    at: datetime,
) -> None:
    """Write or remove (``sealed`` None) a person's second factor; ``step`` is the time step of the
    code that proved it.
    """
    db.execute(
        "INSERT INTO factor (person_id, totp_sealed, totp_version, totp_us, totp_step) VALUES "
        "(?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT (person_id) DO UPDATE SET totp_sealed = ?2, totp_version = ?3, totp_us = ?4, totp_step "
        "= ?5",
        (identifier, sealed, version, None if sealed is None else to_us(at), step),
    )


def use_totp_step(db: Database, identifier: PersonId, step: int) -> bool:
    """Use up a code by its time step; return False if this one or a later one was used before."""
    return (
        run(
            db,
            "UPDATE factor SET totp_step = ?1 WHERE person_id = ?2 AND totp_step < ?1",
            (step, identifier),
        )
        > 0
    )


def replace_recovery_codes(
    db: Database, identifier: PersonId, hashes: list[bytes], at: datetime
) -> None:
    """Write new recovery codes in place of all former ones."""
    db.execute("DELETE FROM recovery_code WHERE person_id = ?", (identifier,))
    db.executemany(
        "INSERT INTO recovery_code VALUES (?, ?, ?, NULL)",
        [(identifier, each, to_us(at)) for each in hashes],
    )


def use_recovery_code(db: Database, identifier: PersonId, hashed: bytes, at: datetime) -> bool:
    """Use up a recovery code; return False if it does not exist or was used."""
    return (
        run(
            db,
            "UPDATE recovery_code SET used_us = ? WHERE person_id = ? AND hash = ? AND used_us IS NULL",
            (to_us(at), identifier, hashed),
        )
        > 0
    )


def recovery_codes_left(db: Database, identifier: PersonId) -> int:
    """Count the recovery codes that still work."""
    row = fetch_one(
        db,
        "SELECT count(*) FROM recovery_code WHERE person_id = ? AND used_us IS NULL",
        (identifier,),
    )
    return 0 if row is None else int(row[0])


# Exchange logins


def remember_login(db: Database, print_: str, account: AccountId) -> None:
    """Store the fingerprint of an account's login in place of its former one. Raises
    RootKeyDisabled.
    """
    refuse_disabled(db, print_.partition(":")[0])
    db.execute("DELETE FROM login_print WHERE account_id = ?", (account,))
    db.execute(
        "INSERT INTO login_print VALUES (?, ?) ON CONFLICT (print) DO UPDATE SET account_id = "
        "excluded.account_id",
        (print_, account),
    )


def forget_login(db: Database, account: AccountId) -> None:
    """Delete the fingerprint of an account's login."""
    db.execute("DELETE FROM login_print WHERE account_id = ?", (account,))


def account_of_login(db: Database, prints: list[str]) -> AccountId | None:
    """Find the account that one of these fingerprints belongs to."""
    for print_ in prints:
        row = fetch_one(db, "SELECT account_id FROM login_print WHERE print = ?", (print_,))
        if row is not None:
            return AccountId(row[0])
    return None


def note_leaked_login(db: Database, account: AccountId) -> None:
    """Record that the login which an account has now leaked: it signs nobody in. Another login is
    another row version, and is not meant.
    """
    db.execute(
        "INSERT INTO leaked_login (account_id, row_version) SELECT id, row_version FROM account "
        "WHERE id = ? ON CONFLICT (account_id) DO UPDATE SET row_version = excluded.row_version",
        (account,),
    )


def is_login_leaked(db: Database, account: AccountId) -> bool:
    """Return whether the login which an account has now is one that leaked."""
    return (
        fetch_one(
            db,
            "SELECT 1 FROM leaked_login JOIN account ON account.id = account_id AND "
            "account.row_version = leaked_login.row_version WHERE account_id = ?",
            (account,),
        )
        is not None
    )


# Asking to become a master


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterRequest:
    """A follower's request to publish; ``granted`` is None until somebody decided."""

    person: PersonId
    name: str
    note: str
    at: datetime
    granted: bool | None


def ask_to_be_master(db: Database, identifier: PersonId, note: str, at: datetime) -> None:
    """Write a person's request to publish; a later one replaces it."""
    db.execute(
        "INSERT INTO master_request (person_id, note, at_us) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (person_id) DO UPDATE SET note = ?2, at_us = ?3, decided_us = NULL, granted = NULL, "
        "decided_by = NULL",
        (identifier, note, to_us(at)),
    )


def decide_master_request(
    db: Database, identifier: PersonId, granted: bool, by: str, at: datetime
) -> bool:
    """Write a decision; return False if no request waits for one."""
    return (
        run(
            db,
            "UPDATE master_request SET decided_us = ?, granted = ?, decided_by = ? WHERE person_id = "
            "? AND decided_us IS NULL",
            (to_us(at), int(granted), by, identifier),
        )
        > 0
    )


def master_requests(db: Database, identifier: PersonId | None = None) -> list[MasterRequest]:
    """Read requests, newest first: those of one person, or all that wait for a decision."""
    rows = fetch_all(
        db,
        "SELECT person_id, person.name, note, at_us, granted FROM master_request JOIN person ON "
        "person.id = person_id WHERE "
        + ("decided_us IS NULL" if identifier is None else "person_id = ?")
        + " ORDER BY at_us DESC, person_id",
        () if identifier is None else (identifier,),
    )
    return [
        MasterRequest(
            person=PersonId(r[0]),
            name=r[1],
            note=r[2],
            at=from_us(r[3]),
            granted=None if r[4] is None else bool(r[4]),
        )
        for r in rows
    ]
