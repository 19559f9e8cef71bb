"""Funding: what the exchange charged or paid an account on contracts while this engine held them.

A row of the exchange is stored once, however often it is read. It belongs to the strategy that held
the contract at its time. Funding on the owner's own positions alone is kept under no strategy: it
explains the owner's wallet and is not reported by us. Above 0 was paid, below 0 received; in the
account's currency.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from engine.decisions.wallet import Line
from engine.domain.amounts import EXACT, ZERO, Money, plain
from engine.domain.identifiers import AccountId, StrategyId, Symbol
from engine.ledger.books import OWNER
from engine.ledger.codec import from_us, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, fetch_all, fetch_one, run
from engine.ledger.wallet import add_since

SLACK: Final = timedelta(seconds=5)
"""A fill is proven some seconds after it happened, and an exchange's times are whole seconds."""


@dataclass(frozen=True, slots=True)
class FundingRow:
    """One payment: ``id`` is the exchange's own, ``at`` is on our clock."""

    id: str
    symbol: Symbol
    amount: Money
    at: datetime


def record_funding(db: Database, account: AccountId, rows: Iterable[FundingRow]) -> int:
    """Record the payments that are not stored yet; return how many of them belong to what the
    engine held.
    """
    lock(db, Held.ACCOUNT, account)
    new = 0
    for payment in rows:
        strategy = _holder(db, account, payment) or OWNER
        changed = run(
            db,
            "INSERT INTO funding (account_id, id, strategy_id, symbol, amount, at_us) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, id) DO NOTHING",
            (
                account,
                payment.id,
                strategy,
                payment.symbol,
                plain(payment.amount),
                to_us(payment.at),
            ),
        )
        if changed:
            new += strategy != OWNER
            add_since(
                db,
                account=account,
                line=Line.FUNDING,
                amount=payment.amount,
                at_us=to_us(payment.at),
            )
    return new


def _holder(db: Database, account: AccountId, paid: FundingRow) -> str | None:
    row = fetch_one(
        db,
        "SELECT strategy_id FROM book WHERE account_id = ?1 AND symbol = ?2 AND strategy_id != '' "
        "AND opened_us <= ?3"
        " UNION ALL SELECT strategy_id FROM trade WHERE account_id = ?1 AND symbol = ?2 AND "
        "strategy_id != '' AND opened_us <= ?3"
        " AND closed_us >= ?4 LIMIT 1",
        (account, paid.symbol, to_us(paid.at + SLACK), to_us(paid.at - SLACK)),
    )
    return None if row is None else str(row[0])


_PAID: Final = (
    "SELECT at_us, amount FROM funding WHERE account_id = ? AND strategy_id != '' ORDER BY at_us"
)


def funding_by_day(db: Database, account: AccountId) -> dict[str, Decimal]:
    """Return the sums of an account's payments by UTC day."""
    days: dict[str, Decimal] = {}
    for at_us, amount in fetch_all(db, _PAID, (account,)):
        day = from_us(at_us).date().isoformat()
        days[day] = EXACT.add(days.get(day, ZERO), Decimal(amount))
    return days


def funding_of_strategy(
    db: Database, account: AccountId, strategy: StrategyId, since: datetime
) -> Decimal:
    """Return what an account paid since a time on what it held for one strategy."""
    rows = fetch_all(
        db,
        "SELECT amount FROM funding WHERE account_id = ? AND at_us >= ? AND strategy_id = ?",
        (account, to_us(since), strategy),
    )
    paid = ZERO
    for (amount,) in rows:
        paid = EXACT.add(paid, Decimal(amount))
    return paid
