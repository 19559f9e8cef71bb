"""What people are told, in the ledger: a channel is confirmed as what it was when its code was sent,
and what is looked for every second or on every page is found without reading what else there is.
"""

import re
from datetime import UTC, datetime, timedelta

import apsw.ext
import pytest

from engine.domain.alert import AlertCode
from engine.domain.identifiers import PersonId
from engine.domain.message import How
from engine.keys.sealed_secrets import new_person
from engine.keys.vault import Vault, new_root_key, parse_root_keys
from engine.ledger import Database, Ledger
from engine.ledger.alerts import raise_alert
from engine.ledger.messages import (
    NewMessage,
    begin_channel,
    channels_of,
    confirm_channel,
    digests_due,
    drop_channel,
    due_pairs,
    postpone_digest,
    seen,
    unseen_alerts,
    write_message,
)
from engine.ledger.people import insert_person
from engine.ports.secret import Secret
from tests.engine.ledger.statements import places

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
DAY = "2026-11-24"


def add_person(db: Database, name: str) -> PersonId:
    new = new_person(Vault(parse_root_keys(Secret(new_root_key()))), name)
    insert_person(db, name, new.key, NOW)
    return new.id


def connect(db: Database, person: PersonId, channel: str) -> None:
    assert begin_channel(db, person, channel, b"", 1, channel, b"code", NOW)
    assert confirm_channel(db, person, channel, 1, b"code", NOW, DAY)


def write(db: Database, person: PersonId, sameness: str, channel: str) -> None:
    new = NewMessage(person=person, sameness=sameness, kind="risk", title="", words="")
    assert write_message(db, new, NOW, {channel: How.NOW})


@pytest.fixture
def db() -> Database:
    return Ledger.in_memory().db


def test_a_confirmed_channel_is_not_begun_again(db: Database) -> None:
    bob = add_person(db, "bob")
    assert begin_channel(db, bob, "mail", b"one", 1, "one", b"first", NOW)
    assert begin_channel(db, bob, "mail", b"two", 2, "two", b"second", NOW)
    assert not confirm_channel(db, bob, "mail", 2, b"first", NOW, DAY)
    assert not confirm_channel(db, bob, "mail", 1, b"second", NOW, DAY)
    assert confirm_channel(db, bob, "mail", 2, b"second", NOW, DAY)
    assert not begin_channel(db, bob, "mail", b"three", 3, "three", b"third", NOW)
    [row] = channels_of(db, bob)
    assert (row.sealed, row.row_version, row.shown, row.confirmed_at) == (b"two", 2, "two", NOW)


def test_nothing_is_due_on_a_channel_that_is_not_confirmed_any_more(db: Database) -> None:
    bob = add_person(db, "bob")
    connect(db, bob, "mail")
    drop_channel(db, bob, "mail")
    write(db, bob, "one", "mail")
    assert due_pairs(db, None, 9) == []


def test_channels_are_looked_at_in_parts_and_each_once_however_much_waits_there(
    db: Database,
) -> None:
    pairs = []
    for name in ("ann", "bob", "carl"):
        person = add_person(db, name)
        for channel in ("chat", "mail"):
            connect(db, person, channel)
            pairs.append((person, channel))
            for number in range(3):
                write(db, person, f"{channel} {number}", channel)
    pairs.sort()
    assert due_pairs(db, None, 4) == pairs[:4]
    assert due_pairs(db, pairs[3], 4) == pairs[4:]
    assert due_pairs(db, pairs[-1], 4) == []


def test_digests_are_due_by_their_time_the_longest_waiting_first(db: Database) -> None:
    bob = add_person(db, "bob")
    for channel, hours in (("a", 3), ("b", 1), ("c", 2)):
        connect(db, bob, channel)
        [row] = [each for each in channels_of(db, bob) if each.channel == channel]
        postpone_digest(db, row, NOW + timedelta(hours=hours))
    connect(db, bob, "new")
    begin_channel(db, bob, "waits for its code", b"", 1, "", b"code", NOW)

    def due(hours: int, limit: int = 9) -> list[str]:
        return [row.channel for row, _ in digests_due(db, NOW + timedelta(hours=hours), limit)]

    assert due(0) == ["new"]
    assert due(2) == ["new", "b", "c"]
    assert due(9, 2) == ["new", "b"]


def test_what_happened_before_somebody_came_is_not_new_to_them(db: Database) -> None:
    assert seen(db, add_person(db, "ann")) == 0
    raise_alert(db, AlertCode.RESIDUE, "a", {}, NOW)
    raise_alert(db, AlertCode.RESIDUE, "b", {}, NOW)
    assert seen(db, add_person(db, "bob")) == 2
    assert unseen_alerts(db, add_person(db, "carl"), 0, 9) == []


FOLLOWED = (
    ("messages.unseen_alerts", "event_by_subject (kind=? AND subject=? AND sequence>?)"),
    ("messages.unseen_alerts", "account_by_person (person_id=?)"),
    ("messages.due_pairs", "message_due_now ((person_id,channel)>(?,?))"),
    ("messages.digests_due", "person_channel_digest (digest_due_us<?)"),
)


def test_what_is_asked_all_the_time_follows_its_index(db: Database) -> None:
    texts = {each.verb: each.texts for each in places()}
    for verb, index in FOLLOWED:
        [statement] = texts[verb]
        plan = str(apsw.ext.query_info(db, statement, explain_query_plan=True).query_plan)
        assert index in plan, plan
        assert not re.findall(r"SCAN (?!strategy)\w+", plan)  # a place has few strategies
        assert "TEMP B-TREE" not in plan
