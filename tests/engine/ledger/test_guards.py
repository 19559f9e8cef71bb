"""The ledger's own guards of money, each alone: unique keys, the claim, the lane, the goal key. Whoever weakens one fails here."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import apsw
import pytest

from engine.decisions.order_lifecycle import AttemptState
from engine.domain.amounts import Money, Price, Quantity, Ratio
from engine.domain.errors import InvalidMove
from engine.domain.identifiers import AccountId, ClientOrderId, CopyId, ReceiptId, SignalId, StrategyId, Symbol
from engine.domain.order import OrderIntent, OrderReport, OrderSide, OrderStatus, OrderType
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Action, OrderKey, PositionSide, SignalDraft
from engine.domain.subscription import CopyPolicy, Mode, parse_leverage, parse_sizing
from engine.ledger import Database
from engine.ledger.attempts import (
    Claim,
    NotClaimed,
    claim,
    complete,
    decide_none,
    end,
    free_symbol,
    read_attempt,
    read_holding,
    unknown_outcome,
)
from engine.ledger.codec import write_policy
from engine.ledger.conserving import read_on_record
from engine.ledger.database import open_database
from engine.ledger.query import fetch_all
from engine.ledger.signals import DedupeConflict, NewSignal, record_signal

BTC = Symbol("BTCUSDT")
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
numbers = count(1)


@pytest.fixture
def db() -> Database:
    made = open_database(":memory:")
    policy = write_policy(
        CopyPolicy(Mode.LIVE, parse_sizing({"mode": "fixed_margin", "margin": "50"}), parse_leverage("5"), frozenset([BTC]))
    )
    made.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped)"
        " VALUES ('p', 'p', 0, x'00', 'k', x'00'); INSERT INTO master VALUES ('m', 'm', 'p')"
    )
    made.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, created_us)"
        " VALUES ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0)"
    )
    for account in ("a", "b"):
        made.execute(
            "INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version, created_us)"
            " VALUES (?, ?, 'p', 'paper', 'paper', x'00', 1, 0)",
            (account, account),
        )
        made.execute(
            "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) VALUES (?, ?, 's', ?, 0)",
            (f"sub-{account}", account, policy),
        )
    return made


def new(key: str, action: Action = Action.OPEN, body: bytes = b"one", at: datetime = NOW) -> NewSignal:
    side = PositionSide.LONG if action is Action.OPEN else None
    number = next(numbers)
    return NewSignal(
        SignalId(f"sig-{number}"), ReceiptId(f"rcp-{number}"), lambda: CopyId(f"cp-{number}-{next(numbers)}"), StrategyId("s"), "ep",
        SignalDraft(key, action, BTC, side), body, at, at,
    )  # fmt: skip


def wanted(db: Database, signal: str, account: str = "a") -> Claim:
    copy, leg, key = fetch_all(
        db,
        "SELECT leg.copy_id, leg.number, leg.order_key FROM leg JOIN copy ON copy.id = leg.copy_id JOIN signal ON signal.number ="
        " copy.signal_number WHERE signal.id = ? AND leg.account_id = ?",
        (signal, account),
    )[0]
    intent = OrderIntent(
        client_order_id=ClientOrderId(f"rx{copy}"), symbol=BTC, side=OrderSide.BUY, position_side=PositionSide.LONG,
        quantity=Quantity(Decimal("0.003")), order_type=OrderType.MARKET, leverage=Ratio(Decimal(5)),
    )  # fmt: skip
    hundred = Money(Decimal(100))
    return Claim(
        CopyId(copy), leg, 1, "entry", AccountId(account), StrategyId("s"), 1, OrderKey(key), intent, hundred, hundred, (), NOW
    )  # fmt: skip


def test_the_same_delivery_is_one_signal_and_another_body_is_a_conflict(db: Database) -> None:
    first, again = record_signal(db, new("k")), record_signal(db, new("k"))
    assert (again.id, again.receipt, again.is_new) == (first.id, first.receipt, False)
    assert fetch_all(db, "SELECT count(*) FROM copy") == [(2,)]
    with pytest.raises(DedupeConflict):
        record_signal(db, new("k", body=b"two"))


@pytest.mark.parametrize(
    ("table", "columns"),
    [("signal", "origin, dedupe_key"), ("copy", "signal_number, account_id"), ("attempt", "copy_id, leg, number")],
)
def test_what_leads_to_an_order_has_a_unique_key_in_the_database_itself(db: Database, table: str, columns: str) -> None:
    indexes = [name for _, name, unique, *_ in fetch_all(db, f"PRAGMA index_list({table})") if unique]
    keys = {", ".join(row[2] for row in fetch_all(db, f"PRAGMA index_info({name})")) for name in indexes}
    assert columns in keys


def test_a_leg_is_claimed_once(db: Database) -> None:
    signal = record_signal(db, new("k")).id
    asked = wanted(db, signal)
    assert isinstance(claim(db, asked), int)
    db.execute("UPDATE holding SET entries_open = 0")  # so that the leg's own state alone stands between
    assert claim(db, replace(asked, number=2)) == NotClaimed(None)
    assert fetch_all(db, "SELECT count(*) FROM attempt") == [(1,)]


def test_a_lane_has_one_claim_at_a_time(db: Database) -> None:
    first, second = (record_signal(db, new(key)).id for key in ("k1", "k2"))
    claim(db, wanted(db, first))
    refused = claim(db, wanted(db, second))
    assert isinstance(refused, NotClaimed)
    assert refused.outcome is not None
    assert refused.outcome.code is OutcomeCode.SKIPPED_ALREADY_OPEN
    db.execute("UPDATE holding SET entries_open = 0")
    with pytest.raises(apsw.ConstraintError):  # and the database refuses what the code might let through
        claim(db, wanted(db, second))


def test_an_entry_that_is_not_later_than_the_goal_is_never_claimed(db: Database) -> None:
    signal = record_signal(db, new("open")).id
    asked = wanted(db, signal)
    record_signal(db, new("close", Action.CLOSE, at=NOW + timedelta(seconds=1)))
    assert fetch_all(db, "SELECT DISTINCT copy.code FROM copy JOIN leg ON leg.copy_id = copy.id WHERE leg.kind = 'entry'") == [
        (OutcomeCode.SKIPPED_SUPERSEDED.value,)
    ]
    db.execute("UPDATE leg SET state = 'new'")  # as if the exit had not ended it
    refused = claim(db, asked)
    assert isinstance(refused, NotClaimed)
    assert refused.outcome is not None
    assert refused.outcome.code is OutcomeCode.SKIPPED_SUPERSEDED


def test_a_late_redelivered_open_does_not_pass_a_close(db: Database) -> None:
    record_signal(db, new("close", Action.CLOSE, at=NOW))
    late = record_signal(db, new("open", at=NOW - timedelta(seconds=5))).id
    refused = claim(db, wanted(db, late))
    assert isinstance(refused, NotClaimed)
    assert refused.outcome is not None
    assert refused.outcome.code is OutcomeCode.SKIPPED_SUPERSEDED


def entries_open(db: Database) -> int:
    return int(fetch_all(db, "SELECT entries_open FROM holding WHERE account_id = 'a'")[0][0])


def lost_entry(db: Database, key: str) -> int:
    """Claim an entry and give it up: sent, looked up for long, no trace, its symbol free again."""
    asked = wanted(db, record_signal(db, new(key)).id)
    attempt = claim(db, asked)
    assert isinstance(attempt, int)
    end(db, attempt, AttemptState.UNKNOWN, unknown_outcome(asked.intent, "timeout"), "timeout", NOW)
    end(db, attempt, AttemptState.NOT_CONFIRMED, Outcome(OutcomeCode.NOT_CONFIRMED), "timeout", NOW)
    assert entries_open(db) == 1
    free_symbol(db, attempt)
    return attempt


def report_of(attempt: int, db: Database) -> OrderReport:
    intent = read_attempt(db, attempt).intent
    return OrderReport(
        "ex-1", intent.client_order_id, BTC, intent.side, intent.quantity, OrderStatus.FILLED, intent.quantity, Price(Decimal(65000)),
        Money(Decimal(0)), NOW,
    )  # fmt: skip


def test_a_symbol_that_was_freed_is_not_freed_again_under_a_newer_entry(db: Database) -> None:
    """A restart forgets what was freed: freeing again must not take the count of an entry that came after."""
    lost = lost_entry(db, "lost")
    assert isinstance(claim(db, wanted(db, record_signal(db, new("newer")).id)), int)
    free_symbol(db, lost)
    assert entries_open(db) == 1


def test_late_proof_of_a_freed_entry_counts_its_fill_and_leaves_the_newer_entry_open(db: Database) -> None:
    lost = lost_entry(db, "lost")
    assert isinstance(claim(db, wanted(db, record_signal(db, new("newer")).id)), int)
    complete(db, lost, report_of(lost, db), Outcome(OutcomeCode.FILLED), NOW)
    assert entries_open(db) == 1
    assert fetch_all(db, "SELECT share FROM holding") == [("0.003",)]


def test_an_order_found_after_its_symbol_was_freed_is_held_by_its_strategy_again(db: Database) -> None:
    """It had been filled at the exchange and was nobody's: no exit closed it, and people were told that the next one would."""
    lost = lost_entry(db, "lost")
    assert fetch_all(db, "SELECT 1 FROM holding") == []
    complete(db, lost, report_of(lost, db), Outcome(OutcomeCode.FILLED), NOW)
    held = read_holding(db, AccountId("a"), BTC)
    assert held is not None
    assert (held.strategy, held.side, held.share, held.entries_open) == ("s", PositionSide.LONG, Decimal("0.003"), 0)
    closing = record_signal(db, new("close", Action.CLOSE, at=NOW + timedelta(seconds=1)))
    key = fetch_all(db, "SELECT order_key FROM signal WHERE id = ?", (closing.id,))[0][0]
    assert key > held.entry_key
    assert read_on_record(db, lost).opened == Decimal("0.003")


def test_a_person_may_decide_that_there_is_no_order(db: Database) -> None:
    asked = wanted(db, record_signal(db, new("lost")).id)
    attempt = claim(db, asked)
    assert isinstance(attempt, int)
    end(db, attempt, AttemptState.UNKNOWN, unknown_outcome(asked.intent, "timeout"), "timeout", NOW)
    decide_none(db, attempt, "looked at the exchange", "op", NOW)
    assert fetch_all(db, "SELECT code FROM copy WHERE account_id = 'a'") == [(OutcomeCode.NOT_EXECUTED.value,)]
    assert fetch_all(db, "SELECT count(*) FROM holding") == [(0,)]
    with pytest.raises(InvalidMove):
        decide_none(db, attempt, "again", "op", NOW)
