"""Equity marks: an account's equity at the start of the trading day, and its peak.

Loss limits compare with them.
"""

from datetime import datetime
from decimal import Decimal

from engine.domain.account import EquityMarks
from engine.domain.amounts import Money, plain
from engine.domain.identifiers import AccountId
from engine.ledger.codec import from_us, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, fetch_one


def read_equity_marks(db: Database, account: AccountId, zone: str) -> EquityMarks | None:
    """Read an account's marks; None before its first reading. ``zone``: the name of the trading
    day's time zone, passed through.
    """
    row = fetch_one(
        db, "SELECT day_start, since_us, peak FROM equity_mark WHERE account_id = ?", (account,)
    )
    return (
        None
        if row is None
        else EquityMarks(Money(Decimal(row[0])), from_us(row[1]), zone, Money(Decimal(row[2])))
    )


def mark_equity(
    db: Database, account: AccountId, worth: Money, at: datetime, *, new_day: bool
) -> None:
    """Write the marks: the peak if ``worth`` is above it, and with ``new_day`` the day's start too."""
    lock(db, Held.ACCOUNT, account)
    marks = read_equity_marks(db, account, "")
    peak = worth if marks is None else max(worth, marks.peak)
    start, since = (worth, at) if new_day or marks is None else (marks.day_start, marks.since)
    db.execute(
        "INSERT INTO equity_mark (account_id, day_start, since_us, peak) VALUES (?, ?, ?, ?) ON "
        "CONFLICT (account_id) DO UPDATE"
        " SET day_start = excluded.day_start, since_us = excluded.since_us, peak = excluded.peak",
        (account, plain(start), to_us(since), plain(peak)),
    )


def begin_peak_anew(db: Database, account: AccountId, worth: Money) -> Money | None:
    """Reset the peak to ``worth`` (zero: what the next reading shows); return the former one, None
    before any reading.
    """
    lock(db, Held.ACCOUNT, account)
    marks = read_equity_marks(db, account, "")
    if marks is None:
        return None
    db.execute("UPDATE equity_mark SET peak = ? WHERE account_id = ?", (plain(worth), account))
    return marks.peak
