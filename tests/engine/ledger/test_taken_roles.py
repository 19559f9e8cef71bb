"""A role that was taken stays taken, also in a ledger of before, and stops what it stood for alone."""

from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from engine.domain.holding import SwitchLevel
from engine.domain.identifiers import PersonId
from engine.domain.person import Role
from engine.ledger import database
from engine.ledger.database import MEMORY
from engine.ledger.identity import give_role, is_role_taken, person, take_role
from engine.ledger.query import fetch_all
from engine.ledger.schema import MIGRATIONS
from engine.ledger.suspending import derived_switches, end_suspension, suspend

NOW = datetime(2026, 11, 30, tzinfo=UTC)
BOTH = PersonId("both")
PEOPLE = """
    INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES
        ('both', 'both', 0, x'00', 'k', x'00'), ('again', 'again', 0, x'00', 'k', x'00');
    INSERT INTO master VALUES ('m', 'both', 'both'), ('m2', 'again', 'again');
    INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, created_us) VALUES
        ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0),
        ('s2', 'other', 'm2', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0);
    INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version, created_us) VALUES
        ('a', 'mine', 'both', 'paper', 'paper', x'00', 1, 0), ('b', 'theirs', 'again', 'paper', 'paper', x'00', 1, 0);
    INSERT INTO person_role (person_id, role, since_us, given_by) VALUES ('again', 'master', 0, 'ops'),
        ('again', 'follower', 0, 'an account');
"""


def stopped(db: apsw.Connection) -> list[tuple[str, str, str]]:
    assert {each.level for each in derived_switches(db)} <= {SwitchLevel.REDUCE}, "nothing rests on"
    return [(each.label, each.set_by, each.role) for each in derived_switches(db)]


def test_a_role_stops_what_it_stood_for_and_a_suspension_is_another_matter() -> None:
    db = database.open_database(MEMORY)
    db.execute(PEOPLE)
    assert not is_role_taken(db, BOTH, Role.MASTER), "it was never given"
    assert not take_role(db, BOTH, Role.MASTER, "ops", NOW)
    for role in (Role.MASTER, Role.FOLLOWER):
        assert give_role(db, BOTH, role, "ops", NOW)
    assert stopped(db) == []
    assert take_role(db, BOTH, Role.MASTER, "ops", NOW)
    assert not take_role(db, BOTH, Role.MASTER, "eve", NOW)
    assert person(db, BOTH).roles == {Role.FOLLOWER}
    assert stopped(db) == [("strategy trend", "ops", "master")]
    suspend(db, BOTH, "eve", "", NOW)
    assert stopped(db) == [
        ("account mine", "eve", ""),
        ("strategy trend", "eve", ""),
        ("strategy trend", "ops", "master"),
    ]
    end_suspension(db, BOTH)
    assert take_role(db, BOTH, Role.FOLLOWER, "eve", NOW)
    assert stopped(db) == [("account mine", "eve", "follower"), ("strategy trend", "ops", "master")]
    assert give_role(db, BOTH, Role.MASTER, "ops", NOW)
    assert not give_role(db, BOTH, Role.MASTER, "ops", NOW)
    db.execute("UPDATE account SET disconnected_us = 1 WHERE id = 'a'")
    assert stopped(db) == []


def test_a_role_that_was_taken_before_the_upgrade_is_taken_and_one_that_was_given_back_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "ledger")
    mine = next(number for number, each in enumerate(MIGRATIONS) if "taken_us INTEGER" in each)
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS[:mine])
    old = database.open_database(path)
    old.execute(PEOPLE)
    for at, by, subject, role in (
        (1, "ops", "both", "master"),
        (7, "eve", "both", "master"),
        (3, "ops", "both", "master"),
        (4, "ops", "again", "master"),
        (5, "ops", "gone", "master"),
    ):
        old.execute(
            "INSERT INTO audit (at_us, by, address, act, subject, data, kid, seal) VALUES (?, ?, '', "
            "'role_taken', ?, json_object('role', ?), 'k', x'00')",
            (at, by, subject, role),
        )
    old.close()
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS)
    db = database.open_database(path)
    assert stopped(db) == [("strategy trend", "eve", "master")]
    assert fetch_all(db, "SELECT taken_us FROM person_role WHERE person_id = 'both'") == [(7,)]
    assert not is_role_taken(db, BOTH, Role.FOLLOWER)
    db.close()
