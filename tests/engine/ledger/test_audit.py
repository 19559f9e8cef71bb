"""The audit: rows follow from each other, and any change made outside RexAlgo shows."""

from datetime import UTC, datetime

import apsw
import pytest

from engine.domain.errors import InvalidValue
from engine.ledger import Database, Ledger
from engine.ledger.audit import (
    AuditFilter,
    AuditKey,
    append_audit,
    audit_end,
    audit_rows,
    parse_audit_end,
    verify_audit,
)

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
KEY = AuditKey("aaaaaaaa", b"k" * 32)
KEYS = {"aaaaaaaa": b"k" * 32, "bbbbbbbb": b"j" * 32}


@pytest.fixture(params=[500, 5, 2])
async def db(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr("engine.ledger.audit.VERIFIED_AT_ONCE", request.param)
    ledger = Ledger.in_memory()
    for number in range(5):
        await ledger.write(
            lambda db, n=number: append_audit(
                db, KEY, "ops", "halted", f"account a{n}", {"n": n}, NOW, "shell"
            )
        )
    return ledger.db


async def test_rows_follow_from_each_other_also_over_a_new_root_key(db: Database) -> None:
    append_audit(
        db, AuditKey("bbbbbbbb", KEYS["bbbbbbbb"]), "ops", "resumed", "everything", {}, NOW, "shell"
    )
    proof = verify_audit(db, KEYS.__getitem__)
    assert (proof.rows, proof.broken_at) == (6, None)
    assert [each.number for each in audit_rows(db, 2)] == [6, 5]
    assert [each.subject for each in audit_rows(db, 9, wanted=AuditFilter(search="a3"))] == [
        "account a3"
    ]
    assert [each.number for each in audit_rows(db, 9, before=3)] == [2, 1]


@pytest.mark.parametrize(
    "sql", ["DELETE FROM audit WHERE number = 2", "UPDATE audit SET by = 'x' WHERE number = 2"]
)
async def test_rows_are_neither_changed_nor_deleted(db: Database, sql: str) -> None:
    with pytest.raises(apsw.ConstraintError, match="append-only"):
        db.execute(sql)


@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("UPDATE audit SET by = 'mallory' WHERE number = 3", 3),
        ("UPDATE audit SET data = '{}' WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number = 2", 2),
        ("UPDATE audit SET seal = zeroblob(32) WHERE number = 5", 5),
    ],
)
async def test_what_is_done_around_the_triggers_shows(db: Database, sql: str, broken: int) -> None:
    db.execute("DROP TRIGGER audit_keeps_rows; DROP TRIGGER audit_keeps_words")
    db.execute(sql)
    assert verify_audit(db, KEYS.__getitem__).broken_at == broken


async def test_rows_that_were_cut_off_show_against_an_end_that_the_log_told(db: Database) -> None:
    known = parse_audit_end(str(audit_end(db)))
    assert known.number == 5
    append_audit(db, KEY, "ops", "resumed", "everything", {}, NOW, "shell")
    assert verify_audit(db, KEYS.__getitem__, known).broken_at is None
    db.execute("DROP TRIGGER audit_keeps_rows; DELETE FROM audit WHERE number >= 4")
    assert verify_audit(db, KEYS.__getitem__).broken_at is None  # the chain alone cannot tell
    assert verify_audit(db, KEYS.__getitem__, known).broken_at == 4
    for number in (4, 5, 6):  # whoever has the key as well writes others in their place
        append_audit(db, KEY, "ops", "halted", f"other {number}", {}, NOW, "shell")
    assert verify_audit(db, KEYS.__getitem__).broken_at is None
    assert verify_audit(db, KEYS.__getitem__, known).broken_at == 5


@pytest.mark.parametrize("text", ["", "5", "5:", "x:aa", "-1:aa", "5:xyz", "5:aa", "5:" + "a" * 65])
def test_what_is_no_end_of_a_chain_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="NUMBER:SEAL"):
        parse_audit_end(text)
