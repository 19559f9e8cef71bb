"""Which events concern whom: the copies of their own accounts, the copies of their strategies,
deliveries to these, and alerts about either.

A page goes on from the newest number that it saw. That is right because one writer commits in the
order of numbers; with several writers a page could pass over a lower number that commits later, and
would be stale until the next event. Nothing but a page's refresh, and what people are told of their
orders, may rely on it; alerts are told by rows.
"""

from datetime import datetime

from engine.domain.identifiers import PersonId
from engine.ledger.codec import from_us
from engine.ledger.query import Database, fetch_one


def newest_sequence(db: Database) -> int:
    """Read the sequence number of the newest event; 0 if there is none."""
    row = fetch_one(db, "SELECT max(sequence) FROM event")
    return 0 if row is None or row[0] is None else int(row[0])


def newest_moment(db: Database) -> datetime | None:
    """Read when the newest event was written, or None."""
    row = fetch_one(db, "SELECT at_us FROM event ORDER BY sequence DESC LIMIT 1")
    return None if row is None else from_us(row[0])


def concerns_person(db: Database, person: PersonId, after: int) -> int | None:
    """Find the newest event after a sequence that concerns a person, or None."""
    row = fetch_one(
        db,
        "SELECT event.sequence FROM event LEFT JOIN copy ON copy.id = event.copy_id LEFT JOIN "
        "account ON account.id = copy.account_id"
        " LEFT JOIN signal ON signal.number = copy.signal_number"
        " WHERE event.sequence > ?1 AND (account.person_id = ?2"
        " OR event.subject IN (SELECT name FROM account WHERE person_id = ?2)"
        " OR event.subject IN (SELECT 'account ' || name FROM account WHERE person_id = ?2)"
        " OR event.subject IN (SELECT 'strategy ' || strategy.name FROM strategy JOIN master ON "
        "master.id = strategy.master_id"
        "  WHERE master.person_id = ?2)"
        " OR signal.strategy_id IN (SELECT strategy.id FROM strategy JOIN master ON master.id = "
        "strategy.master_id"
        "  WHERE master.person_id = ?2)) ORDER BY event.sequence DESC LIMIT 1",
        (after, person),
    )
    return None if row is None else int(row[0])
