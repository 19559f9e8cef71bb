"""Read what breakers check: how often entries came, and how often the exchange refused them."""

from datetime import datetime

from engine.ledger.codec import from_us, to_us
from engine.ledger.query import Database, fetch_all, fetch_one


def busy_strategies(db: Database, since: datetime, limit: int) -> list[tuple[str, int, datetime]]:
    """Read strategies with more than ``limit`` entry signals since a time, tests left out: name,
    count, the newest one's time.
    """
    rows = fetch_all(
        db,
        "SELECT strategy.name, count(*), max(signal.received_us) FROM signal INDEXED BY "
        "signal_by_time"
        " JOIN strategy ON strategy.id = signal.strategy_id WHERE signal.received_us >= ?"
        " AND json_extract(signal.draft, '$.action') IN ('open', 'add', 'reverse')"
        " AND NOT coalesce(json_extract(signal.draft, '$.is_test'), 0)"
        " GROUP BY strategy.id HAVING count(*) > ?",
        (to_us(since), limit),
    )
    return [(row[0], row[1], from_us(row[2])) for row in rows]


def refused_accounts(
    db: Database, since: datetime, limit: int
) -> list[tuple[str, int, str, datetime]]:
    """Read accounts whose last ``limit`` entries or more were all refused by the exchange since a
    time: name, count, last cause, its time.

    An accepted entry in between restarts the count.
    """
    rows = fetch_all(
        db,
        # cause: of the newest, by max()
        "SELECT account.name, count(*), cause, max(ended_us) FROM attempt INDEXED BY "
        "attempt_refused"
        " JOIN account ON account.id = account_id WHERE kind = 'entry' AND state = 'rejected' AND "
        "ended_us >= ?1"
        " AND NOT EXISTS (SELECT 1 FROM attempt AS good WHERE good.account_id = "
        "attempt.account_id AND good.ended_us >= attempt.ended_us"
        " AND good.kind = 'entry' AND good.state IN ('placed', 'partially_filled', 'filled', "
        "'cancelled'))"
        " GROUP BY account_id HAVING count(*) >= ?2",
        (to_us(since), limit),
    )
    return [(name, count, cause, from_us(at_us)) for name, count, cause, at_us in rows]


def switched_at(db: Database, label: str) -> datetime | None:
    """Read when the switch of this label was last turned on or off: older evidence was judged
    already.
    """
    row = fetch_one(
        db,
        "SELECT at_us FROM event WHERE kind = 'switch' AND subject = ? AND copy_id IS NULL ORDER "
        "BY sequence DESC LIMIT 1",
        (label,),
    )
    return None if row is None else from_us(row[0])
