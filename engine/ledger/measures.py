"""Read what metrics show: what was recorded since a sequence, and what is open now."""

import json
from dataclasses import dataclass
from datetime import datetime

from engine.decisions.measuring import Recorded
from engine.ledger.codec import from_us
from engine.ledger.query import Database, fetch_all, fetch_one


def recorded_since(db: Database, after: int, limit: int) -> list[Recorded]:
    """Read the events after a sequence, oldest first."""
    rows = fetch_all(
        db,
        "SELECT sequence, at_us, kind, subject, CASE WHEN kind = 'alert' THEN data END, "
        "(SELECT received_us FROM copy JOIN signal ON signal.number = copy.signal_number WHERE "
        "copy.id = event.copy_id), "
        "(SELECT min(claimed_us) FROM attempt WHERE attempt.copy_id = event.copy_id), "
        "(SELECT max(ended_us) FROM attempt WHERE attempt.copy_id = event.copy_id) "
        "FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?",
        (after, limit),
    )
    return [
        Recorded(
            sequence=row[0],
            at_us=row[1],
            kind=row[2],
            code=row[3] if row[4] is None else str(json.loads(row[4])["code"]),
            received_us=row[5],
            claimed_us=row[6],
            ended_us=row[7],
        )
        for row in rows
    ]


def copies_since(db: Database, after: int, limit: int) -> list[tuple[int, int]]:
    """Read the signals after a number that have copies, oldest first, and how many each has."""
    return [
        (row[0], row[1])
        for row in fetch_all(
            db,
            "SELECT signal_number, count(*) FROM copy WHERE signal_number > ? GROUP BY "
            "signal_number ORDER BY signal_number LIMIT ?",
            (after, limit),
        )
    ]


@dataclass(frozen=True, slots=True)
class OpenNow:
    """What is open: legs that wait to be sent, since when the oldest waits (None: none waits), open
    orders by state, and alerts by channel that it was not told yet.
    """

    waiting: int
    oldest: datetime | None
    orders: dict[str, int]
    untold: dict[str, int]


def open_now(db: Database) -> OpenNow:
    """Read what is open."""
    waiting = fetch_one(
        db,
        "SELECT count(*), min(signal.received_us) FROM leg INDEXED BY leg_new JOIN copy ON "
        "copy.id = leg.copy_id JOIN signal ON signal.number = copy.signal_number WHERE leg.state = "
        "'new'",
    )
    assert waiting is not None
    orders = fetch_all(
        db,
        "SELECT state, count(*) FROM attempt INDEXED BY attempt_open WHERE state IN ('claimed', "
        "'unknown', 'placed', 'partially_filled', 'not_confirmed') GROUP BY state",
    )
    untold = fetch_all(
        db,
        "SELECT name, (SELECT count(*) FROM alert_untold WHERE alert_untold.channel = "
        "channel.name) FROM channel",
    )
    return OpenNow(
        waiting[0], None if waiting[1] is None else from_us(waiting[1]), dict(orders), dict(untold)
    )
