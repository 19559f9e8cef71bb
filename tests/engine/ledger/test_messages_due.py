"""What people are told, in the ledger: a channel is confirmed as what it was when its code was sent."""

from datetime import UTC, datetime

import pytest

from engine.domain.identifiers import PersonId
from engine.keys.sealed_secrets import new_person
from engine.keys.vault import Vault, new_root_key, parse_root_keys
from engine.ledger import Database, Ledger
from engine.ledger.messages import begin_channel, channels_of, confirm_channel
from engine.ledger.people import insert_person
from engine.ports.secret import Secret

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
DAY = "2026-11-24"


def add_person(db: Database, name: str) -> PersonId:
    new = new_person(Vault(parse_root_keys(Secret(new_root_key()))), name)
    insert_person(db, name, new.key, NOW)
    return new.id


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
