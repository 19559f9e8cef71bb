"""Which operators opened the page of an account, and when last: its owner is told.

One row for each operator and account, so the table is as large as the place. The audit has a row for
each look that comes an hour or more after the one before.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from engine.domain.identifiers import AccountId
from engine.ledger.codec import from_us, to_us
from engine.ledger.query import Database, fetch_all, fetch_one, run

ONE_LOOK: Final = timedelta(hours=1)
"""Looks of one operator within this time are one look."""


@dataclass(frozen=True, slots=True)
class Look:
    """When an operator, named ``by``, last looked at an account."""

    by: str
    at: datetime


def note_look(db: Database, account: AccountId, by: str, at: datetime) -> bool:
    """Note that an operator looks at an account; return False if it belongs to an earlier look, and
    then nothing changes.
    """
    return (
        run(
            db,
            "INSERT INTO account_look (account_id, by, at_us) VALUES (?, ?, ?) ON CONFLICT "
            "(account_id, by) DO UPDATE SET at_us = excluded.at_us WHERE account_look.at_us <= ?",
            (account, by, to_us(at), to_us(at - ONE_LOOK)),
        )
        > 0
    )


def has_looked(db: Database, account: AccountId, by: str, at: datetime) -> bool:
    """Return whether a look of an operator would belong to an earlier one."""
    row = fetch_one(
        db,
        "SELECT 1 FROM account_look WHERE account_id = ? AND by = ? AND at_us > ?",
        (account, by, to_us(at - ONE_LOOK)),
    )
    return row is not None


def looks_at(db: Database, account: AccountId) -> list[Look]:
    """Read who looked at an account, the newest look first."""
    rows = fetch_all(
        db,
        "SELECT by, at_us FROM account_look WHERE account_id = ? ORDER BY at_us DESC, by",
        (account,),
    )
    return [Look(row[0], from_us(row[1])) for row in rows]
