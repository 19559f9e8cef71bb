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
        " AND signal.action IN ('open', 'add', 'reverse') AND signal.is_test = 0"
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
        "SELECT account.id, account.name, count(*), max(ended_us) FROM attempt INDEXED BY "
        "attempt_refused"
        " JOIN account ON account.id = account_id WHERE kind = 'entry' AND state = 'rejected' AND "
        "ended_us >= ?1"
        " AND NOT EXISTS (SELECT 1 FROM attempt AS good WHERE good.account_id = "
        "attempt.account_id AND good.ended_us >= attempt.ended_us"
        " AND good.kind = 'entry' AND good.state IN ('placed', 'partially_filled', 'filled', "
        "'cancelled'))"
        " GROUP BY account.id HAVING count(*) >= ?2",
        (to_us(since), limit),
    )
    return [
        (name, count, _cause(db, account, at_us), from_us(at_us))
        for account, name, count, at_us in rows
    ]


def _cause(db: Database, account: str, at_us: int) -> str:
    """Read why the exchange refused an account's entry that ended at this time."""
    row = fetch_one(
        db,
        "SELECT cause FROM attempt INDEXED BY attempt_refused WHERE kind = 'entry' AND state = "
        "'rejected' AND ended_us >= ? AND account_id = ? ORDER BY ended_us DESC, id DESC LIMIT 1",
        (at_us, account),
    )
    assert row is not None, "its end was just read"
    return str(row[0])


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
