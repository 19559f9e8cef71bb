"""Funding is written once, to the strategy that held the contract at its time; the owner's own is
left out.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from engine.domain.amounts import Money
from engine.domain.identifiers import AccountId, StrategyId, Symbol
from engine.ledger import Database, Ledger
from engine.ledger.codec import to_us
from engine.ledger.funding import (
    FundingRow,
    funding_by_day,
    funding_of_strategy,
    record_funding,
)
from engine.ledger.query import fetch_all

A0 = AccountId("a0")
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def paid(identifier: str, hours: float, amount: str = "0.5", symbol: str = "BTCUSDT") -> FundingRow:
    return FundingRow(
        identifier, Symbol(symbol), Money(Decimal(amount)), NOON + timedelta(hours=hours)
    )


@pytest.fixture
def db() -> Iterator[Database]:
    ledger = Ledger.in_memory()
    ledger.db.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('p', "
        "'p', 0, x'00', 'k', x'00')"
    )
    ledger.db.execute("INSERT INTO master VALUES ('m', 'm', 'p')")
    for name in ("old", "now"):
        ledger.db.execute(
            "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
            "created_us)"
            " VALUES (?1, ?1, 'm', 'copy_trading', '[]', '5', 'x', '{}', 0)",
            (name,),
        )
    yield ledger.db
    ledger.db.close()


def held(db: Database, strategy: str, opened: datetime, closed: datetime | None = None) -> None:
    """Let a strategy hold BTC from a time on, or between two times."""
    if closed is None:
        db.execute(
            "INSERT INTO book VALUES ('a0', ?, 'BTCUSDT', 'LONG', '1', 1, ?, '', NULL)",
            (strategy, to_us(opened)),
        )
    else:
        db.execute(
            "INSERT INTO trade (account_id, strategy_id, symbol, side, quantity, entry_price, "
            "exit_price, fees, result, opened_us,"
            " closed_us, state) VALUES ('a0', ?, 'BTCUSDT', 'LONG', '1', '1', '1', '0', '0', ?, "
            "?, 'settled')",
            (strategy, to_us(opened), to_us(closed)),
        )


def told(db: Database) -> list[tuple[str, Decimal]]:
    """Return the payments on positions of strategies, newest first."""
    rows = fetch_all(
        db,
        "SELECT strategy.name, amount FROM funding JOIN strategy ON strategy.id = strategy_id "
        "ORDER BY at_us DESC",
    )
    return [(row[0], Decimal(row[1])) for row in rows]


def test_a_payment_belongs_to_the_strategy_that_held_the_contract_then(db: Database) -> None:
    held(db, "old", NOON, NOON + timedelta(hours=1))
    held(db, "now", NOON + timedelta(hours=2))
    rows = [
        paid("before", -1),
        paid("old", 0.5),
        paid("between", 1.5),
        paid("new", 16),
        paid("other", 16, symbol="ETHUSDT"),
        paid("back", 20, "-0.2"),
    ]
    assert record_funding(db, A0, rows) == 3
    assert record_funding(db, A0, rows) == 0  # read again: nothing is written twice
    assert told(db) == [
        ("now", Decimal("-0.2")),
        ("now", Decimal("0.5")),
        ("old", Decimal("0.5")),
    ]
    assert funding_by_day(db, A0) == {"2026-11-24": Decimal("0.5"), "2026-11-25": Decimal("0.3")}
    assert funding_by_day(db, AccountId("a1")) == {}


def test_what_is_paid_while_a_part_is_closed_already_is_told_once(db: Database) -> None:
    held(db, "now", NOON, NOON + timedelta(hours=1))
    held(db, "now", NOON)
    assert record_funding(db, A0, [paid("x", 0.5)]) == 1
    assert len(told(db)) == 1


@pytest.mark.parametrize("hours", [-48, 0, 0.5, 11.9, 12, 30, 36, 90])
def test_what_was_paid_since_a_time_is_the_sum_of_its_payments(db: Database, hours: float) -> None:
    """Whole days come from their sums, the first part of a day from its payments."""
    held(db, "now", NOON - timedelta(days=3))
    rows = [paid(str(each), each, f"0.{each + 20:03}") for each in range(-12, 60, 4)]
    assert record_funding(db, A0, rows) == len(rows)
    since = NOON + timedelta(hours=hours)
    assert funding_of_strategy(db, A0, StrategyId("now"), since) == sum(
        (each.amount for each in rows if each.at >= since), Decimal(0)
    )
    assert funding_of_strategy(db, A0, StrategyId("old"), since) == 0
