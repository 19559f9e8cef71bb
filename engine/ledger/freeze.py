"""Frozen accounts: because the ledger may be older than what was done, no order of any kind is sent
until a person confirms.

A row with an empty account concerns every account. The rows are in the ledger itself, so that
neither a restart nor a failing file beside it lets an order out.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.domain.alert import AlertCode
from engine.domain.identifiers import AccountId, CopyId, PersonId
from engine.domain.outcome import Outcome, OutcomeCode
from engine.ledger.alerts import raise_alert
from engine.ledger.codec import from_us, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.outcomes import conclude, write_event
from engine.ledger.query import Database, fetch_all, fetch_one, run

EVERYBODY: Final = AccountId("")


@dataclass(frozen=True, slots=True)
class Freeze:
    """A frozen account with cause and time, or EVERYBODY (then ``name`` is empty)."""

    account: AccountId
    name: str
    cause: str
    since: datetime


def read_freezes(db: Database) -> list[Freeze]:
    """Read the frozen accounts, everybody first."""
    rows = fetch_all(
        db,
        "SELECT account_id, coalesce(name, ''), cause, since_us FROM still LEFT JOIN account ON "
        "id = account_id ORDER BY account_id",
    )
    return [Freeze(AccountId(row[0]), row[1], row[2], from_us(row[3])) for row in rows]


def frozen_names(db: Database, person: PersonId) -> list[str]:
    """Read the names of a person's frozen accounts; an empty name is everybody."""
    rows = fetch_all(
        db,
        "SELECT coalesce(name, '') FROM still LEFT JOIN account ON id = account_id WHERE "
        "account_id = '' OR person_id = ? ORDER BY 1",
        (person,),
    )
    return [str(row[0]) for row in rows]


def why_frozen(db: Database, account: AccountId) -> str:
    """Return why no order may leave an account; empty if one may."""
    row = fetch_one(
        db, "SELECT cause FROM still WHERE account_id IN ('', ?) ORDER BY account_id", (account,)
    )
    return "" if row is None else str(row[0])


_STILL: Final = (
    "INSERT INTO still (account_id, cause, since_us) VALUES (?, ?, ?) ON CONFLICT (account_id) DO "
    "NOTHING"
)


def freeze(db: Database, account: AccountId, name: str, cause: str, at: datetime) -> bool:
    """Freeze an account, or everybody, and raise an alert. Return False if it was frozen already;
    the first cause stays.
    """
    changed = run(
        db,
        _STILL,
        (account, cause, to_us(at)),
    )
    if not changed:
        return False
    raise_alert(
        db,
        code=AlertCode.STANDS_STILL,
        subject=name or "this installation",
        details={"cause": cause},
        at=at,
        sameness=str(to_us(at)),
    )
    return True


def unfreeze(
    db: Database, was: Collection[Freeze], keep: Collection[Freeze], by: str, at: datetime
) -> int:
    """Let orders out again, except for those to keep frozen; entries that arrived meanwhile end
    unsent. Return the number of those entries.

    ``was`` is what was frozen when the person decided: an account frozen since then stays frozen.
    """
    lock(db, Held.PLACE)
    db.executemany("DELETE FROM still WHERE account_id = ?", [(each.account,) for each in was])
    for kept in keep:
        db.execute(
            _STILL,
            (kept.account, kept.cause, to_us(kept.since)),
        )
    ended = 0
    killed = Outcome(
        OutcomeCode.KILLED,
        {
            "cause": "it arrived while nothing was sent, before a person confirmed the restored ledger"
        },
    )
    rows = fetch_all(
        db,
        "SELECT copy_id, number FROM leg INDEXED BY leg_new WHERE state = 'new' AND kind = 'entry'",
    )
    for copy, number in rows:
        if _was_frozen(db, CopyId(copy), was):
            conclude(db, copy=CopyId(copy), leg=number, outcome=killed, at=at)
            ended += 1
    write_event(
        db,
        kind="decision",
        subject="restore",
        data={"restore": "confirmed", "by": by, "entries_ended": ended},
        at=at,
    )
    return ended


def _was_frozen(db: Database, copy: CopyId, was: Collection[Freeze]) -> bool:
    row = fetch_one(db, "SELECT account_id FROM copy WHERE id = ?", (copy,))
    return row is not None and any(each.account in (EVERYBODY, row[0]) for each in was)
