"""The judge of order uses commits, not clocks: a stop that was received before a claim may be
recorded after it.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from engine.domain.amounts import Money, Quantity, Ratio
from engine.domain.identifiers import (
    AccountId,
    CopyId,
    ReceiptId,
    SignalId,
    StrategyId,
    Symbol,
    client_order_id,
)
from engine.domain.order import OrderIntent, OrderSide
from engine.domain.signal import Action, OrderType, PositionSide, SignalDraft
from engine.ledger import Database, Ledger
from engine.ledger.claims import Claim, NotClaimed, claim
from engine.ledger.query import fetch_one
from engine.ledger.signals import NewSignal, record_signal
from tests.faults.evidence import Evidence
from tests.faults.invariants import INVARIANTS
from tests.faults.life import people
from tests.faults.script import ACCOUNTS, STRATEGIES, SYMBOLS
from tests.faults.turns import watch_turns

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
STRATEGY, SYMBOL, ACCOUNT = StrategyId(STRATEGIES[0]), Symbol(SYMBOLS[0]), AccountId(ACCOUNTS[0])
EARLIER, LATER = timedelta(milliseconds=-5), timedelta(milliseconds=5)
ENTRY, CLOSE = 1, 2


def record(db: Database, number: int, action: Action, received_at: datetime) -> None:
    side = PositionSide.LONG if action is Action.OPEN else None
    copies = iter(range(100))
    record_signal(
        db,
        NewSignal(
            id=SignalId(f"sig{number}"),
            receipt=ReceiptId(f"rcp{number}"),
            new_copy_id=lambda: CopyId(f"cp{number}-{next(copies)}"),
            strategy=STRATEGY,
            origin="test",
            draft=SignalDraft(f"key{number}", action, SYMBOL, side, seq=number),
            body_hash=b"h",
            decided_at=NOON + timedelta(seconds=number),
            received_at=received_at,
        ),
    )


def wanted(db: Database, at: datetime) -> Claim:
    row = fetch_one(
        db,
        "SELECT copy_id, order_key FROM leg JOIN copy ON copy.id = copy_id WHERE signal_number = "
        "? AND copy.account_id = ?",
        (ENTRY, ACCOUNT),
    )
    assert row is not None
    intent = OrderIntent(
        client_order_id(CopyId(row[0]), 1),
        SYMBOL,
        OrderSide.BUY,
        PositionSide.LONG,
        Quantity(Decimal(1)),
        OrderType.MARKET,
        Ratio(Decimal(5)),
    )
    return Claim(
        copy=CopyId(row[0]),
        leg=1,
        number=1,
        kind="entry",
        account=ACCOUNT,
        strategy=STRATEGY,
        epoch=1,
        order_key=row[1],
        intent=intent,
        notional=Money(Decimal(0)),
        margin=Money(Decimal(0)),
        witness=(),
        at=at,
    )


@pytest.fixture
def db() -> Database:
    ledger = Ledger.in_memory()
    people(ledger)
    watch_turns(ledger.db)
    record(ledger.db, ENTRY, Action.OPEN, NOON)
    return ledger.db


def passed(db: Database) -> list[str]:
    judge = next(each for each in INVARIANTS if each.name == "order")
    return judge.check(Evidence(db, (), {}, {}, {}))


def test_a_close_received_before_a_claim_and_recorded_after_it_was_not_passed(db: Database) -> None:
    assert isinstance(claim(db, wanted(db, NOON)), int)
    record(db, CLOSE, Action.CLOSE, NOON + EARLIER)
    assert passed(db) == []


@pytest.mark.parametrize("clock", [EARLIER, LATER])
def test_a_claim_after_a_recorded_close_passed_it_whatever_the_clocks_say(
    db: Database, clock: timedelta
) -> None:
    before = wanted(db, NOON)
    record(db, CLOSE, Action.CLOSE, NOON)
    assert isinstance(claim(db, replace(before, at=NOON + clock)), NotClaimed)
    db.execute("UPDATE leg SET state = 'new' WHERE copy_id = ?", (before.copy,))
    db.execute("DELETE FROM goal")
    assert isinstance(claim(db, replace(before, at=NOON + clock)), int)
    assert passed(db) == [
        f"passed: {before.copy} was claimed after the later key{CLOSE} was recorded"
    ]
