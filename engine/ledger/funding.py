"""Funding: what the exchange charged or paid an account on contracts while this engine held them.

A row of the exchange is stored once, however often it is read. It belongs to the strategy that held
the contract at its time, and its amount is in the sum of that strategy's UTC day. Funding on the
owner's own positions alone is kept under no strategy: it explains the owner's wallet and is not
reported by us. Above 0 was paid, below 0 received; in the account's currency.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from engine.decisions.wallet import Line
from engine.domain.amounts import EXACT, ZERO, Money, plain
from engine.domain.identifiers import AccountId, StrategyId, Symbol
from engine.ledger.books import OWNER
from engine.ledger.codec import to_us
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
        if not changed:
            continue
        if strategy != OWNER:
            new += 1
            _add_to_day(db, account, strategy, payment)
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


def _add_to_day(db: Database, account: AccountId, strategy: str, payment: FundingRow) -> None:
    key = (account, strategy, payment.at.astimezone(UTC).date().isoformat())
    row = fetch_one(
        db,
        "SELECT amount FROM funding_day WHERE account_id = ? AND strategy_id = ? AND day = ?",
        key,
    )
    before = ZERO if row is None else Decimal(row[0])
    db.execute(
        "INSERT INTO funding_day (account_id, strategy_id, day, amount) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (account_id, strategy_id, day) DO UPDATE SET amount = excluded.amount",
        (*key, plain(EXACT.add(before, payment.amount))),
    )


def funding_by_day(db: Database, account: AccountId) -> dict[str, Decimal]:
    """Return the sums of an account's payments by UTC day."""
    days: dict[str, Decimal] = {}
    for day, amount in fetch_all(
        db, "SELECT day, amount FROM funding_day WHERE account_id = ?", (account,)
    ):
        days[day] = EXACT.add(days.get(day, ZERO), Decimal(amount))
    return days


def funding_of_strategy(
    db: Database, account: AccountId, strategy: StrategyId, since: datetime
) -> Decimal:
    """Return what an account paid since a time on what it held for one strategy."""
    first = since.astimezone(UTC)
    after = datetime.combine(first.date() + timedelta(days=1), time(), UTC)
    rows = fetch_all(
        db,
        "SELECT amount FROM funding_day WHERE account_id = ?1 AND strategy_id = ?2 AND day >= ?3"
        " UNION ALL SELECT amount FROM funding WHERE account_id = ?1 AND strategy_id = ?2 AND "
        "at_us >= ?4 AND at_us < ?5",
        (account, strategy, after.date().isoformat(), to_us(first), to_us(after)),
    )
    paid = ZERO
    for (amount,) in rows:
        paid = EXACT.add(paid, Decimal(amount))
    return paid
