"""Read what breakers look at: how often entries came, and how often the exchange refused them."""

from datetime import datetime

import apsw

from engine.ledger.codec import from_us, to_us
from engine.ledger.query import fetch_all, fetch_one


def busy_strategies(db: apsw.Connection, since: datetime, limit: int) -> list[tuple[str, int, datetime]]:
    """Read strategies with more than ``limit`` entry signals since a time, tests left out: name, count, the newest one's time."""
    rows = fetch_all(
        db,
        "SELECT strategy.name, count(*), max(signal.received_us) FROM signal JOIN strategy ON strategy.id = signal.strategy_id"
        " WHERE signal.received_us >= ? AND json_extract(signal.draft, '$.action') IN ('open', 'add', 'reverse')"
        " AND NOT coalesce(json_extract(signal.draft, '$.is_test'), 0)"
        " GROUP BY strategy.id HAVING count(*) > ?",
        (to_us(since), limit),
    )
    return [(row[0], row[1], from_us(row[2])) for row in rows]


def refused_accounts(db: apsw.Connection, since: datetime, limit: int) -> list[tuple[str, int, str, datetime]]:
    """Read accounts whose last ``limit`` entries or more were all refused by the exchange since a time: name, count, last cause, its time.

    What the exchange accepted in between starts the count anew.
    """
    rows = fetch_all(
        db,
        "SELECT account.name, count(*), max(attempt.ended_us), attempt.account_id FROM attempt"
        " JOIN account ON account.id = attempt.account_id WHERE attempt.kind = 'entry' AND attempt.state = 'rejected'"
        " AND attempt.ended_us >= ?1 AND attempt.ended_us > coalesce((SELECT max(good.ended_us) FROM attempt AS good"
        " WHERE good.account_id = attempt.account_id AND good.kind = 'entry' AND good.state IN ('placed', 'partially_filled', 'filled',"
        " 'cancelled')), 0) GROUP BY attempt.account_id HAVING count(*) >= ?2",
        (to_us(since), limit),
    )
    found = []
    for name, count, at_us, account in rows:
        cause = fetch_one(db, "SELECT cause FROM attempt WHERE account_id = ? AND ended_us = ? AND state = 'rejected'", (account, at_us))
        found.append((name, count, "" if cause is None else str(cause[0]), from_us(at_us)))
    return found


def switched_at(db: apsw.Connection, label: str) -> datetime | None:
    """Read when the switch of this label was last turned, on or off: older evidence was judged already."""
    row = fetch_one(db, "SELECT max(at_us) FROM event WHERE kind = 'switch' AND subject = ?", (label,))
    return None if row is None or row[0] is None else from_us(row[0])
