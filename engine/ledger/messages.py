"""What each person is told on their own channels: the channels, what is due on each, and what was
claimed for sending.

A message exists once per person and event, and is due on a channel because a row says so. A row is
claimed before its message is sent and deleted once it was taken. A row that was claimed and neither
taken nor given back may have arrived: it is sent again as such.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from engine.domain.alert import AlertCode, AlertSubject, subject_of
from engine.domain.identifiers import PersonId, former_names, own_name
from engine.domain.message import DEFAULT, How, MessageKind
from engine.ledger.codec import dump, from_us, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, Row, fetch_all, fetch_one, insert, run

Wants = Mapping[MessageKind, How]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRow:
    """One channel of a person. ``confirmed_at`` None: nothing is told there before its code came
    back. ``failing_since`` None: it works. ``digest`` is the day of the newest one.
    """

    person: PersonId
    channel: str
    sealed: bytes
    row_version: int
    shown: str
    wants: Wants
    code_at: datetime
    confirmed_at: datetime | None
    worked_at: datetime | None
    failing_since: datetime | None
    problem: str
    digest: str


_CHANNEL = (
    "SELECT person_id, channel, sealed, row_version, shown, wants, code_us, confirmed_us, worked_us, "
    "failing_us, problem, digest FROM person_channel"
)


def _channel(row: Row) -> ChannelRow:
    told = json.loads(row[5])
    return ChannelRow(
        person=PersonId(row[0]),
        channel=row[1],
        sealed=row[2],
        row_version=row[3],
        shown=row[4],
        wants={kind: How(told.get(kind.value, DEFAULT[kind].value)) for kind in MessageKind},
        code_at=from_us(row[6]),
        confirmed_at=None if row[7] is None else from_us(row[7]),
        worked_at=None if row[8] is None else from_us(row[8]),
        failing_since=None if row[9] is None else from_us(row[9]),
        problem=row[10],
        digest=row[11],
    )


def channels_of(db: Database, person: PersonId) -> list[ChannelRow]:
    """Read a person's channels, by name."""
    rows = fetch_all(db, _CHANNEL + " WHERE person_id = ? ORDER BY channel", (person,))
    return [_channel(row) for row in rows]


def tells_anybody(db: Database) -> bool:
    """Return whether any channel is confirmed."""
    return (
        fetch_one(db, "SELECT 1 FROM person_channel WHERE confirmed_us IS NOT NULL LIMIT 1")
        is not None
    )


def digests_due(db: Database, now: datetime, limit: int) -> list[tuple[ChannelRow, str]]:
    """Read the confirmed channels whose digest may be due, the longest waiting first, each with the
    zone of its person.
    """
    rows = fetch_all(
        db,
        _CHANNEL + " INDEXED BY person_channel_digest WHERE confirmed_us IS NOT NULL AND "
        "digest_due_us <= ? ORDER BY digest_due_us LIMIT ?",
        (to_us(now), limit),
    )
    return [(_channel(row), _zone(db, row[0])) for row in rows]


def postpone_digest(db: Database, channel: ChannelRow, until: datetime) -> None:
    """Record when a channel's digest may be due next."""
    db.execute(
        "UPDATE person_channel SET digest_due_us = ? WHERE person_id = ? AND channel = ?",
        (to_us(until), channel.person, channel.channel),
    )


def _zone(db: Database, person: str) -> str:
    row = fetch_one(db, "SELECT zone FROM person WHERE id = ?", (person,))
    return "UTC" if row is None else str(row[0])


def channels_waiting(db: Database, channel: str, since: datetime) -> list[ChannelRow]:
    """Read the rows of a channel whose code was made since a time and did not come back yet."""
    rows = fetch_all(
        db,
        _CHANNEL + " WHERE channel = ? AND confirmed_us IS NULL AND code_us >= ?",
        (channel, to_us(since)),
    )
    return [_channel(row) for row in rows]


def begin_channel(
    db: Database,
    person: PersonId,
    channel: str,
    sealed: bytes,
    row_version: int,
    shown: str,
    code: bytes,
    at: datetime,
) -> bool:
    """Write a channel that waits for its code, of which the hash is kept; return False, and change
    nothing, if it is confirmed: another target takes its place only once it is dropped.
    """
    changed = run(
        db,
        "INSERT INTO person_channel (person_id, channel, sealed, row_version, shown, wants, code, "
        "code_us) VALUES (?, ?, ?, ?, ?, '{}', ?, ?) ON CONFLICT (person_id, channel) DO UPDATE SET "
        "sealed = excluded.sealed, row_version = excluded.row_version, shown = excluded.shown, "
        "code = excluded.code, code_us = excluded.code_us WHERE person_channel.confirmed_us IS NULL",
        (person, channel, sealed, row_version, shown, code, to_us(at)),
    )
    return changed == 1


def person_of_code(db: Database, channel: str, code: bytes, since: datetime) -> PersonId | None:
    """Find whose channel waits for a code that was made since a time."""
    row = fetch_one(
        db,
        "SELECT person_id FROM person_channel WHERE channel = ? AND code = ? AND code_us >= ? AND "
        "confirmed_us IS NULL",
        (channel, code, to_us(since)),
    )
    return None if row is None else PersonId(row[0])


def confirm_channel(
    db: Database,
    person: PersonId,
    channel: str,
    row_version: int,
    code: bytes,
    at: datetime,
    day: str,
    chat: tuple[bytes, int, str] | None = None,
) -> bool:
    """Confirm a channel whose code came back; return False if it does not wait for this code, or is
    no longer of this row version. ``day`` is the day that gets no digest any more. ``chat``: the
    sealed target, row version and name of the chat that it came from.

    The first channel of the place begins with what happens from now on.
    """
    lock(db, Held.PLACE)
    if not tells_anybody(db):
        newest = fetch_one(db, "SELECT coalesce(max(sequence), 0) FROM event")
        set_cursor(db, "outcomes", 0 if newest is None else int(newest[0]))
    changed = run(
        db,
        "UPDATE person_channel SET confirmed_us = ?, digest = ?, code = NULL, failing_us = NULL, "
        "problem = '' WHERE person_id = ? AND channel = ? AND row_version = ? AND code = ? AND "
        "confirmed_us IS NULL",
        (to_us(at), day, person, channel, row_version, code),
    )
    if changed and chat is not None:
        db.execute(
            "UPDATE person_channel SET sealed = ?, row_version = ?, shown = ? WHERE person_id = ? "
            "AND channel = ?",
            (*chat, person, channel),
        )
    return changed == 1


def set_wants(db: Database, person: PersonId, channel: str, wants: Wants) -> None:
    """Write how each kind is told on a channel."""
    db.execute(
        "UPDATE person_channel SET wants = ? WHERE person_id = ? AND channel = ?",
        (dump({kind.value: how.value for kind, how in wants.items()}), person, channel),
    )


def drop_channel(db: Database, person: PersonId, channel: str) -> bool:
    """Remove a channel with what is due there; return False if there is none."""
    db.execute("DELETE FROM message_due WHERE person_id = ? AND channel = ?", (person, channel))
    return (
        run(
            db,
            "DELETE FROM person_channel WHERE person_id = ? AND channel = ?",
            (person, channel),
        )
        > 0
    )


# What is due


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to write. ``sameness`` names the event: one person gets it once."""

    person: PersonId
    sameness: str
    kind: str
    title: str
    words: str
    is_urgent: bool = False


def write_message(
    db: Database,
    new: NewMessage,
    at: datetime,
    channels: Mapping[str, How],
) -> bool:
    """Write a message and on which channels it is due, of those that are confirmed; return False if
    the person has it already, or no channel wants it.
    """
    due = {name: how for name, how in channels.items() if how is not How.SILENT}
    if not due:
        return False
    if fetch_one(
        db,
        "SELECT 1 FROM message WHERE person_id = ? AND sameness = ?",
        (new.person, new.sameness),
    ):
        return False
    number = insert(
        db,
        "INSERT INTO message (person_id, sameness, kind, at_us, is_urgent, title, words) VALUES "
        "(?, ?, ?, ?, ?, ?, ?) RETURNING number",
        (
            new.person,
            new.sameness,
            new.kind,
            to_us(at),
            int(new.is_urgent),
            new.title,
            new.words,
        ),
    )
    for name, how in due.items():
        db.execute(
            "INSERT INTO message_due (person_id, channel, number, how) SELECT person_id, channel, "
            "CAST(? AS BIGINT), CAST(? AS TEXT) FROM person_channel WHERE person_id = ? AND channel "
            "= ? AND confirmed_us IS NOT NULL",
            (number, how.value, new.person, name),
        )
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class DueMessage:
    """A message that is due on a channel; ``is_claimed``: it may have been sent already."""

    number: int
    kind: str
    at: datetime
    is_urgent: bool
    title: str
    words: str
    is_claimed: bool


def due_pairs(
    db: Database, after: tuple[PersonId, str] | None, limit: int
) -> list[tuple[PersonId, str]]:
    """Read the channels on which something is to be told at once, in order after one of them (None:
    from the first). What waits on a channel is passed over, however much it is.
    """
    found: list[tuple[PersonId, str]] = []
    last = ("", "") if after is None else after
    while len(found) < limit:
        row = fetch_one(
            db,
            "SELECT person_id, channel FROM message_due INDEXED BY message_due_now WHERE how = 'now' "
            "AND (person_id, channel) > (?, ?) ORDER BY person_id, channel LIMIT 1",
            last,
        )
        if row is None:
            break
        last = (PersonId(row[0]), row[1])
        found.append(last)
    return found


def due_messages(
    db: Database, person: PersonId, channel: str, how: How, limit: int
) -> list[DueMessage]:
    """Read what is due on a channel, oldest first."""
    rows = fetch_all(
        db,
        "SELECT message.number, kind, at_us, is_urgent, title, words, claimed_us FROM message_due "
        "JOIN message ON message.number = message_due.number WHERE message_due.person_id = ? AND "
        "channel = ? AND how = "
        + ("'now'" if how is How.NOW else "'digest'")
        + " ORDER BY message_due.number LIMIT ?",
        (person, channel, limit),
    )
    return [
        DueMessage(
            number=row[0],
            kind=row[1],
            at=from_us(row[2]),
            is_urgent=bool(row[3]),
            title=row[4],
            words=row[5],
            is_claimed=row[6] is not None,
        )
        for row in rows
    ]


def count_due(db: Database, person: PersonId, channel: str) -> int:
    """Count what waits for a channel that is to be told at once."""
    row = fetch_one(
        db,
        "SELECT count(*) FROM message_due WHERE person_id = ? AND channel = ? AND how = 'now'",
        (person, channel),
    )
    return 0 if row is None else int(row[0])


def collected(db: Database, person: PersonId, channel: str) -> tuple[int, int]:
    """Count what is collected for a channel's next digest, and read the number of the newest."""
    row = fetch_one(
        db,
        "SELECT count(*), coalesce(max(number), 0) FROM message_due WHERE person_id = ? AND channel "
        "= ? AND how = 'digest'",
        (person, channel),
    )
    assert row is not None, "a count has a row"
    return row[0], row[1]


def claim_message(db: Database, person: PersonId, channel: str, number: int, at: datetime) -> bool:
    """Claim a message before it is sent; return False if it is no longer due."""
    return (
        run(
            db,
            "UPDATE message_due SET claimed_us = ? WHERE person_id = ? AND channel = ? AND number = ?",
            (to_us(at), person, channel, number),
        )
        == 1
    )


def message_taken(db: Database, person: PersonId, channel: str, number: int, at: datetime) -> None:
    """Record that a message was taken."""
    db.execute(
        "DELETE FROM message_due WHERE person_id = ? AND channel = ? AND number = ?",
        (person, channel, number),
    )
    channel_worked(db, person, channel, at)


def channel_worked(db: Database, person: PersonId, channel: str, at: datetime) -> None:
    """Record that a channel took something."""
    db.execute(
        "UPDATE person_channel SET worked_us = ?, failing_us = NULL, problem = '' WHERE person_id "
        "= ? AND channel = ?",
        (to_us(at), person, channel),
    )


def channel_failed(
    db: Database,
    person: PersonId,
    channel: str,
    problem: str,
    at: datetime,
    not_taken: int | None = None,
) -> None:
    """Record that a channel failed. ``not_taken``: a message that certainly did not arrive is given
    back.
    """
    if not_taken is not None:
        db.execute(
            "UPDATE message_due SET claimed_us = NULL WHERE person_id = ? AND channel = ? AND "
            "number = ?",
            (person, channel, not_taken),
        )
    db.execute(
        "UPDATE person_channel SET failing_us = coalesce(failing_us, ?), problem = ? WHERE "
        "person_id = ? AND channel = ?",
        (to_us(at), problem, person, channel),
    )


def write_digest(
    db: Database,
    channel: ChannelRow,
    new: NewMessage | None,
    day: str,
    upto: int,
    at: datetime,
    until: datetime,
) -> bool:
    """Put one message in the place of what a channel collected up to a number; return False if the
    day has its digest. ``new`` None: nothing was collected, and the day gets none. ``until``: when
    the next digest may be due.
    """
    postpone_digest(db, channel, until)
    changed = run(
        db,
        "UPDATE person_channel SET digest = ? WHERE person_id = ? AND channel = ? AND digest < ?",
        (day, channel.person, channel.channel, day),
    )
    if not changed:
        return False
    if new is None:
        return True
    db.execute(
        "DELETE FROM message_due WHERE person_id = ? AND channel = ? AND how = 'digest' AND number "
        "<= ?",
        (channel.person, channel.channel, upto),
    )
    return write_message(db, new, at, {channel.channel: How.NOW})


def forget_messages(db: Database, before: datetime, limit: int) -> int:
    """Delete the oldest messages from before a time, due or not; return how many."""
    rows = fetch_all(db, "SELECT number, at_us FROM message ORDER BY number LIMIT ?", (limit,))
    old = [row[0] for row in rows if row[1] < to_us(before)]
    for number in old:
        db.execute("DELETE FROM message_due WHERE number = ?", (number,))
        db.execute("DELETE FROM message WHERE number = ?", (number,))
    return len(old)


# Where messages come from


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeEvent:
    """One outcome as an event, with whose account it is. ``is_of_copy``: it is the outcome that its
    copy has now.
    """

    sequence: int
    at: datetime
    person: PersonId
    account: str
    environment: str
    strategy: str
    symbol: str
    action: str
    is_test: bool
    code: str
    numbers: Mapping[str, str]
    is_of_copy: bool


def outcomes_since(db: Database, after: int, limit: int) -> tuple[list[OutcomeEvent], int]:
    """Read the outcomes among the next ``limit`` events after a sequence, and the last sequence
    that was looked at. One writer commits in the order of numbers; see ``pulse``.
    """
    rows = fetch_all(
        db,
        "SELECT event.sequence, event.at_us, account.person_id, account.name, "
        "account.environment, strategy.name, signal.symbol, signal.action, signal.is_test, "
        "event.subject, event.data, event.kind, copy.code FROM event LEFT JOIN copy ON copy.id = "
        "event.copy_id LEFT JOIN account ON account.id = copy.account_id LEFT JOIN signal ON "
        "signal.number = copy.signal_number LEFT JOIN strategy ON strategy.id = "
        "signal.strategy_id WHERE event.sequence > ? ORDER BY event.sequence LIMIT ?",
        (after, limit),
    )
    events = [
        OutcomeEvent(
            sequence=row[0],
            at=from_us(row[1]),
            person=PersonId(row[2]),
            account=row[3],
            environment=row[4],
            strategy=row[5],
            symbol=row[6],
            action=row[7],
            is_test=bool(row[8]),
            code=row[9],
            numbers=json.loads(row[10] or "{}"),
            is_of_copy=row[9] == row[12],
        )
        for row in rows
        if row[11] == "outcome" and row[2] is not None and row[5] is not None
    ]
    return events, rows[-1][0] if rows else after


def cursor(db: Database, name: str) -> int:
    """Read how far something was told; 0 at first."""
    row = fetch_one(db, "SELECT told FROM message_cursor WHERE name = ?", (name,))
    return 0 if row is None else int(row[0])


def set_cursor(db: Database, name: str, told: int) -> None:
    """Write how far something was told."""
    db.execute(
        "INSERT INTO message_cursor (name, told) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET "
        "told = excluded.told",
        (name, told),
    )


def person_of_account(db: Database, name: str, at: datetime) -> PersonId | None:
    """Find whose connected account has a name, or else had it at a time and disconnected it since."""
    row = fetch_one(
        db, "SELECT person_id FROM account WHERE name = ? AND disconnected_us IS NULL", (name,)
    )
    if row is not None:
        return PersonId(row[0])
    since = fetch_all(
        db,
        "SELECT person_id, name FROM account WHERE name > ? AND name < ? AND disconnected_us >= ? "
        "ORDER BY disconnected_us",
        (*former_names(name), to_us(at)),
    )
    return next((PersonId(row[0]) for row in since if own_name(row[1]) == name), None)


def person_of_strategy(db: Database, name: str) -> PersonId | None:
    """Find whose strategy has a name."""
    row = fetch_one(
        db,
        "SELECT master.person_id FROM strategy JOIN master ON master.id = master_id WHERE "
        "strategy.name = ?",
        (name,),
    )
    return None if row is None else PersonId(row[0])


# What a person has not seen


def seen(db: Database, person: PersonId) -> int:
    """Read the newest event of which a person saw the alerts."""
    row = fetch_one(db, "SELECT seen FROM person WHERE id = ?", (person,))
    return 0 if row is None else int(row[0])


def set_seen(db: Database, person: PersonId, sequence: int) -> None:
    """Record up to which event a person saw the alerts."""
    db.execute("UPDATE person SET seen = ? WHERE id = ? AND seen < ?", (sequence, person, sequence))


def unseen_alerts(
    db: Database, person: PersonId, after: int, limit: int
) -> list[tuple[AlertSubject | None, AlertSubject]]:
    """Read of alerts after an event whose subject is called as an account or a strategy of a person
    or as the person: what their subject is, and as which it is called.
    """
    rows = fetch_all(
        db,
        "SELECT event.data, 'account' FROM account CROSS JOIN event INDEXED BY event_by_subject WHERE "
        "event.kind = 'alert' AND event.copy_id IS NULL AND event.subject = account.name AND "
        "event.sequence > ?2 AND account.person_id = ?1 AND disconnected_us IS NULL AND event.at_us "
        ">= account.created_us"
        " UNION ALL SELECT event.data, 'strategy' FROM strategy JOIN master ON master.id = strategy.master_id "
        "CROSS JOIN event INDEXED BY event_by_subject WHERE event.kind = 'alert' AND event.copy_id IS "
        "NULL AND event.subject = strategy.name AND event.sequence > ?2 AND master.person_id = ?1 AND "
        "event.at_us >= strategy.created_us"
        " UNION ALL SELECT event.data, 'person' FROM person CROSS JOIN event INDEXED BY "
        "event_by_subject WHERE event.kind = 'alert' AND event.copy_id IS NULL AND event.subject = "
        "person.name AND event.sequence > ?2 AND person.id = ?1 LIMIT ?3",
        (person, after, limit),
    )
    said = [(json.loads(row[0]), AlertSubject(row[1])) for row in rows]
    return [(subject_of(AlertCode(each["code"]), each["details"]), called) for each, called in said]
