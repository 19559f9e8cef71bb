"""Read what is late: orders that wait to be sent, and entries that were not sent in time. For
probes and pages.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from engine.domain.identifiers import AccountId
from engine.domain.outcome import OutcomeCode
from engine.ledger.codec import from_us, to_us
from engine.ledger.query import Database, fetch_all, fetch_one

LATE_AFTER: Final = timedelta(seconds=5)
MISSED_WITHIN: Final = timedelta(hours=1)
_EXPIRED: Final = (OutcomeCode.EXPIRED.value, OutcomeCode.EXPIRED_WAITING.value)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Orders of one kind (entry, exit, cancel, protection) that wait to be sent: how many, and
    since when the oldest waits.
    """

    kind: str
    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Missed:
    """Entries of the last hour that arrived in time and were never sent: they expired, or a later
    signal overtook them.

    ``late`` counts those that expired or waited longer than ``LATE_AFTER``, ``since`` is the oldest
    of them; ``overtaken`` counts those that a later signal overtook sooner.
    """

    late: int
    since: datetime | None
    overtaken: int


def late_orders(db: Database, now: datetime) -> list[Waiting]:
    """Read which orders have waited to be sent for longer than ``LATE_AFTER``, the longest first."""
    return waiting_orders(db, now - LATE_AFTER)


def waiting_orders(db: Database, before: datetime) -> list[Waiting]:
    """Read which orders wait to be sent whose signals arrived before a time, the longest first."""
    rows = fetch_all(
        db,
        "SELECT leg.kind, count(*), min(signal.received_us) FROM leg INDEXED BY leg_new JOIN copy "
        "ON copy.id = leg.copy_id"
        " JOIN signal ON signal.number = copy.signal_number WHERE leg.state = 'new' AND "
        "signal.received_us < ? GROUP BY leg.kind"
        " ORDER BY 3, 1",
        (to_us(before),),
    )
    return [Waiting(row[0], row[1], from_us(row[2])) for row in rows]


def late_of_account(db: Database, account: AccountId, now: datetime) -> Waiting | None:
    """Read the orders of one account that have waited longer than ``LATE_AFTER``, as one; ``kind``
    is that of the oldest.
    """
    rows = fetch_all(
        db,
        "SELECT leg.kind, signal.received_us FROM leg INDEXED BY leg_new JOIN copy ON copy.id = "
        "leg.copy_id"
        " JOIN signal ON signal.number = copy.signal_number WHERE leg.account_id = ? AND "
        "leg.state = 'new' AND signal.received_us < ?"
        " ORDER BY signal.received_us, leg.copy_id, leg.number",
        (account, to_us(now - LATE_AFTER)),
    )
    return Waiting(rows[0][0], len(rows), from_us(rows[0][1])) if rows else None


def missed_entries(db: Database, now: datetime) -> Missed:
    """Read which entries of the last hour arrived in time and were not sent; without those whose
    sender was told "not mirrored".
    """
    row = fetch_one(
        db,
        "SELECT count(*), count(*) FILTER (WHERE is_late), min(received_us) FILTER (WHERE "
        "is_late) FROM"
        " (SELECT signal.received_us, copy.code IN (?1, ?2) OR copy.outcome_us - "
        "signal.received_us > ?4 AS is_late FROM signal"
        "  JOIN copy ON copy.signal_number = signal.number"
        "  WHERE signal.received_us >= ?5 AND signal.not_mirrored IS NULL AND copy.code IN (?1, "
        "?2, ?3)) AS entry",
        (
            *_EXPIRED,
            OutcomeCode.SKIPPED_SUPERSEDED.value,
            LATE_AFTER // timedelta(microseconds=1),
            to_us(now - MISSED_WITHIN),
        ),
    )
    assert row is not None
    return Missed(row[1], None if row[2] is None else from_us(row[2]), row[0] - row[1])
