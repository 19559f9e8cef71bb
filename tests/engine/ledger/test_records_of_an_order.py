"""What an order leaves in the ledger: copies in the order in which they are served, nothing twice."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from bench.options import Options
from bench.records import STRATEGY, SYMBOL, Written, fan_out, found, measure
from engine.decisions.turns import in_turn
from engine.domain.identifiers import AccountId
from engine.domain.signal import Action, PositionSide, SignalDraft
from engine.ledger.attempts import bound_order_ids
from engine.ledger.copies import waiting
from engine.ledger.query import fetch_all
from engine.ledger.signals import new_signal, record_signal
from engine.ledger.unsettled import taken_ids, unsettled_fills

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
FOLLOWERS = 40


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = found(tmp_path / "ledger", FOLLOWERS)
    yield opened
    opened.close()


def test_copies_and_their_ids_stand_in_the_order_in_which_they_are_served(
    db: apsw.Connection,
) -> None:
    draft = SignalDraft("one", Action.OPEN, SYMBOL, PositionSide.LONG)
    new = new_signal(STRATEGY, origin="o", draft=draft, content=b"one", sent_at=None, received=NOW)
    record_signal(db, new)
    turn = in_turn(waiting(db))
    assert len(turn) == FOLLOWERS
    for by in ("copy.rowid", "copy.id"):
        rows = fetch_all(
            db,
            "SELECT account.id FROM copy JOIN account ON account.id = copy.account_id "
            f"ORDER BY {by}",
        )
        assert [row[0] for row in rows] == turn, by


def test_the_order_of_a_fill_of_ours_is_its_attempt_s(db: apsw.Connection, tmp_path: Path) -> None:
    at = Written(tmp_path / "ledger", db)
    fan_out(at, Action.OPEN, NOW, FOLLOWERS)
    account, order = db.execute("SELECT account_id, exchange_order_id FROM attempt").fetchone()
    assert order
    db.execute("UPDATE fill SET fee = NULL, state = 'open' WHERE account_id = ?", (account,))
    [fill] = unsettled_fills(db, AccountId(account), NOW)
    assert fill.order_id == order
    known = {order, "another"}
    assert taken_ids(db, AccountId(account), known) == {order}
    assert bound_order_ids(db, AccountId(account), known) == {order}
    assert fetch_all(db, "SELECT 1 FROM fill WHERE exchange_order_id IS NOT NULL") == []


async def test_the_smallest_measurement_has_a_row_for_each_step() -> None:
    rows = [each async for each in measure(Options(followers=(3,), rounds=1, outcomes=30))]
    steps = ("signal", "reading what waits", "claim", "answer", "books")
    assert [each.case for each in rows] == [
        f"{past} outcomes, {action}, {step}"
        for past in (0, 30)
        for action in ("open", "close")
        for step in steps
    ]
    assert all(each.beside["log pages"] > 0 for each in rows if "reading" not in each.case)
