"""Record alerts, equal ones within an hour as one with a count, and keep for each channel what it
was not told yet.

An alert is told because a row says that it was not, never because its number is greater than the
last one: a lower number may be committed later.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from engine.domain.alert import Alert, AlertCode, AlertSubject, subject_of
from engine.ledger.codec import dump, from_us, to_us
from engine.ledger.query import Database, Row, fetch_all, fetch_one, insert

EQUAL_WITHIN: Final = timedelta(hours=1)


def raise_alert(
    db: Database,
    code: AlertCode,
    subject: str,
    details: Mapping[str, str],
    at: datetime,
    sameness: str = "",
) -> bool:
    """Record an alert; return False if an equal one is younger than an hour, whose count grows
    instead.

    Alerts are equal by code, subject and ``sameness`` (such as the symbol): numbers that differ
    from moment to moment do not make another alert. The first one after the hour carries how often
    it happened meanwhile.
    """
    row = fetch_one(
        db,
        "SELECT told_us, more FROM alert WHERE code = ? AND subject = ? AND sameness = ?",
        (code.value, subject, sameness),
    )
    if row is not None and abs(at - from_us(row[0])) < EQUAL_WITHIN:  # clocks are set back
        db.execute(
            "UPDATE alert SET more = more + 1 WHERE code = ? AND subject = ? AND sameness = ?",
            (code.value, subject, sameness),
        )
        return False
    count = 1 if row is None else row[1] + 1
    db.execute(
        "INSERT INTO alert (code, subject, sameness, told_us, more) VALUES (?, ?, ?, ?, 0) ON "
        "CONFLICT (code, subject, sameness) DO UPDATE"
        " SET told_us = excluded.told_us, more = 0",
        (code.value, subject, sameness, to_us(at)),
    )
    said = {"code": code.value, "details": dict(details), "count": count}
    number = insert(
        db,
        "INSERT INTO event (at_us, kind, subject, data) VALUES (?, 'alert', ?, ?) RETURNING "
        "sequence",
        (to_us(at), subject, dump(said)),
    )
    db.execute(
        "INSERT INTO alert_untold (channel, sequence) SELECT name, CAST(? AS BIGINT) FROM channel",
        (number,),
    )
    return True


def raise_alert_once(
    db: Database,
    code: AlertCode,
    subject: str,
    details: Mapping[str, str],
    at: datetime,
    sameness: str,
) -> bool:
    """Record an alert that is raised once only; return False if an equal one (see ``raise_alert``)
    was ever raised.
    """
    row = fetch_one(
        db,
        "SELECT 1 FROM alert WHERE code = ? AND subject = ? AND sameness = ?",
        (code.value, subject, sameness),
    )
    return row is None and raise_alert(
        db, code=code, subject=subject, details=details, at=at, sameness=sameness
    )


def know_channels(db: Database, channels: Collection[str]) -> None:
    """Keep from now on what each of these channels was not told, and forget every other one.

    A new channel is told what is raised from now on. One that was forgotten is new again.
    """
    for (former,) in fetch_all(db, "SELECT name FROM channel"):
        if former not in channels:
            db.execute("DELETE FROM alert_untold WHERE channel = ?", (former,))
            db.execute("DELETE FROM channel WHERE name = ?", (former,))
    for each in channels:
        db.execute(
            "INSERT INTO channel (name, told) VALUES (?, 0) ON CONFLICT (name) DO NOTHING", (each,)
        )


def undelivered_alerts(db: Database, channel: str, limit: int) -> list[Alert]:
    """Read the alerts that a channel was not told yet, oldest first."""
    rows = fetch_all(
        db,
        "SELECT event.sequence, at_us, subject, data, environment FROM alert_untold JOIN event ON "
        "event.sequence = alert_untold.sequence LEFT JOIN account ON account.name = event.subject "
        "WHERE channel = ? ORDER BY event.sequence LIMIT ?",
        (channel, limit),
    )
    return [_alert(row) for row in rows]


def newest_alerts(
    db: Database, since: datetime, limit: int, before: int | None = None
) -> list[Alert]:
    """Read the alerts since a time and in front of an event, newest first."""
    rows = fetch_all(
        db,
        "SELECT sequence, at_us, subject, data, environment FROM event LEFT JOIN account ON "
        "account.name = event.subject WHERE kind = 'alert' AND copy_id IS NULL"
        f"{'' if before is None else ' AND sequence < ?2'} ORDER BY sequence DESC LIMIT ?1",
        (limit,) if before is None else (limit, before),
    )
    return [_alert(row) for row in rows if row[1] >= to_us(since)]


def alerts_about(db: Database, subjects: Sequence[str], limit: int) -> list[Alert]:
    """Read the newest alerts about some accounts or strategies by name, newest first."""
    rows: list[Row] = []
    for subject in dict.fromkeys(subjects):
        rows += fetch_all(
            db,
            "SELECT sequence, at_us, subject, data, environment FROM event LEFT JOIN account ON "
            "account.name = event.subject WHERE kind = 'alert' AND subject = ? AND copy_id IS NULL "
            "ORDER BY sequence DESC LIMIT ?",
            (subject, limit),
        )
    return [_alert(row) for row in sorted(rows, key=lambda row: -row[0])[:limit]]


def _alert(row: Row) -> Alert:
    code, details, count, is_about_account = _read(row[3])
    return Alert(
        number=row[0],
        code=code,
        subject=row[2],
        at=from_us(row[1]),
        details=dict(details),
        count=count,
        environment=(row[4] or "") if is_about_account else "",
    )


@lru_cache(maxsize=1024)
def _read(data: str) -> tuple[AlertCode, Mapping[str, str], int, bool]:
    """Read an alert's code, details and count, and whether it is about an account; kept, because
    the newest are read with each page.
    """
    read = json.loads(data)
    code, details = AlertCode(read["code"]), read["details"]
    return code, details, read["count"], subject_of(code, details) is AlertSubject.ACCOUNT


def delivered(db: Database, channel: str, sequence: int) -> None:
    """Record that a channel was told an alert."""
    db.execute("DELETE FROM alert_untold WHERE channel = ? AND sequence = ?", (channel, sequence))
    db.execute("UPDATE channel SET told = ? WHERE name = ?", (sequence, channel))


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel's progress: the last alert delivered, how many wait, and since when the oldest of
    them does.
    """

    told: int
    waiting: int
    since: datetime | None = None


def channel_state(db: Database, channel: str) -> ChannelState:
    """Read a channel's progress."""
    row = fetch_one(db, "SELECT told FROM channel WHERE name = ?", (channel,))
    waiting = fetch_one(db, "SELECT count(*) FROM alert_untold WHERE channel = ?", (channel,))
    oldest = fetch_one(
        db,
        "SELECT at_us FROM alert_untold JOIN event ON event.sequence = alert_untold.sequence "
        "WHERE channel = ? ORDER BY alert_untold.sequence LIMIT 1",
        (channel,),
    )
    return ChannelState(
        0 if row is None else int(row[0]),
        0 if waiting is None else int(waiting[0]),
        None if oldest is None else from_us(oldest[0]),
    )
