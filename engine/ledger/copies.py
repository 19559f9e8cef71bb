"""Read the queue: legs that wait to be planned. The ledger is the queue; a leg read here is lost
only to a claim.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.decisions.turns import Waiting
from engine.domain.amounts import Quantity
from engine.domain.identifiers import AccountId, CopyId, SignalId, StrategyId, Symbol
from engine.domain.signal import OrderKey
from engine.ledger.codec import from_us
from engine.ledger.query import Database, Row, fetch_all, fetch_one, in_list, insert

LATER_MAX: Final = 100
"""How many later moves of a level are read beside one that came out of order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingLeg:
    """One leg in state NEW; ``attempts`` counts its attempts so far, ``retry_at`` is the earliest
    time to plan it.

    ``leave`` is the share that the exit leaves behind, fixed when its first attempt was claimed;
    None until then.
    """

    copy: CopyId
    number: int
    kind: str
    account: AccountId
    strategy: StrategyId
    symbol: Symbol
    signal_number: int
    subscription: str
    retry_at: datetime
    attempts: int
    order_key: OrderKey
    leave: Quantity | None


_WAITING = (
    "SELECT leg.copy_id, leg.number, leg.kind, leg.account_id, leg.strategy_id, leg.symbol, "
    "copy.signal_number, copy.subscription_id,"
    " leg.retry_us, (SELECT count(*) FROM attempt WHERE attempt.copy_id = leg.copy_id AND "
    "attempt.leg = leg.number),"
    " leg.order_key, leg.leave_share FROM leg JOIN copy ON copy.id = leg.copy_id WHERE "
    "leg.state = 'new'"
    " AND (leg.number = 1 OR NOT EXISTS (SELECT 1 FROM leg AS before WHERE before.copy_id = "
    "leg.copy_id AND before.number < leg.number"
    " AND before.state IN ('new', 'claimed', 'unknown', 'placed', 'partially_filled')))"
    " AND leg.account_id IN "
)
_WAITING_IN_ORDER = " ORDER BY leg.kind = 'entry', leg.order_key"


def waiting_legs(
    db: Database, accounts: Collection[AccountId]
) -> dict[AccountId, list[WaitingLeg]]:
    """Read the NEW legs of accounts, of each entries last, then by order of signals; without those
    whose copy's earlier leg has not ended. An account without one is left out.
    """
    legs: dict[AccountId, list[WaitingLeg]] = {}
    rows = fetch_all(db, _WAITING + in_list(accounts) + _WAITING_IN_ORDER, tuple(accounts))
    for row in rows:
        leg = _waiting_leg(row)
        legs.setdefault(leg.account, []).append(leg)
    return legs


def _waiting_leg(row: Row) -> WaitingLeg:
    return WaitingLeg(
        copy=CopyId(row[0]),
        number=row[1],
        kind=row[2],
        account=AccountId(row[3]),
        strategy=StrategyId(row[4]),
        symbol=Symbol(row[5]),
        signal_number=row[6],
        subscription=row[7],
        retry_at=from_us(row[8]),
        attempts=row[9],
        order_key=OrderKey(row[10]),
        leave=None if row[11] is None else Quantity(Decimal(row[11])),
    )


def waiting(db: Database) -> list[Waiting]:
    """Read which signals wait for which accounts."""
    rows = fetch_all(
        db,
        "SELECT leg.account_id, signal.id, leg.kind = 'entry' FROM leg JOIN copy ON copy.id = "
        "leg.copy_id JOIN signal ON signal.number = copy.signal_number WHERE leg.state = 'new'",
    )
    return [Waiting(AccountId(row[0]), SignalId(row[1]), bool(row[2])) for row in rows]


def begin_run(db: Database, started_us: int) -> int:
    """Start a new ownership epoch with its own random mark (see ``lineage``); claims of earlier
    epochs have no owner.
    """
    return insert(
        db,
        "INSERT INTO run (started_us, mark) VALUES (?, ?) RETURNING epoch",
        (started_us, secrets.token_hex(16)),
    )


def is_waiting(db: Database, copy: CopyId, leg: int) -> bool:
    """Return whether a leg is NEW: to be planned, for the first time or again."""
    row = fetch_one(
        db, "SELECT 1 FROM leg WHERE copy_id = ? AND number = ? AND state = 'new'", (copy, leg)
    )
    return row is not None


def is_exiting(db: Database, account: AccountId, symbol: Symbol) -> bool:
    """Return whether an exit of ours for (account, symbol) has not ended."""
    row = fetch_one(
        db,
        "SELECT 1 FROM leg INDEXED BY leg_live WHERE account_id = ? AND symbol = ? AND kind = "
        "'exit'"
        " AND state IN ('new', 'claimed', 'unknown', 'placed', 'partially_filled')",
        (account, symbol),
    )
    return row is not None


def is_moving(db: Database, account: AccountId, symbol: Symbol) -> bool:
    """Return whether anything of ours for (account, symbol) has not ended, in whichever leg."""
    row = fetch_one(
        db,
        "SELECT 1 FROM leg INDEXED BY leg_live WHERE account_id = ? AND symbol = ?"
        " AND state IN ('new', 'claimed', 'unknown', 'placed', 'partially_filled')",
        (account, symbol),
    )
    return row is not None


def is_exiting_before(
    db: Database, account: AccountId, strategy: StrategyId, symbol: Symbol, before: OrderKey
) -> bool:
    """Return whether an exit or a cancel of a strategy with an earlier order key has not ended: an
    entry waits for it.
    """
    row = fetch_one(
        db,
        "SELECT 1 FROM leg WHERE account_id = ? AND strategy_id = ? AND symbol = ? AND kind IN "
        "('exit', 'cancel') AND order_key < ?"
        " AND state IN ('new', 'claimed', 'unknown', 'placed', 'partially_filled')",
        (account, strategy, symbol, before),
    )
    return row is not None


def is_entering(
    db: Database, account: AccountId, strategy: StrategyId, symbol: Symbol, before: OrderKey
) -> bool:
    """Return whether an entry leg of a strategy with an earlier order key has not ended."""
    row = fetch_one(
        db,
        "SELECT 1 FROM leg INDEXED BY leg_live WHERE account_id = ? AND strategy_id = ? AND "
        "symbol = ? AND kind = 'entry' AND order_key < ?"
        " AND state IN ('new', 'claimed', 'unknown', 'placed', 'partially_filled')",
        (account, strategy, symbol, before),
    )
    return row is not None


def protected_later(
    db: Database, account: AccountId, strategy: StrategyId, symbol: Symbol, key: OrderKey
) -> list[int]:
    """Read the numbers of the signals that move the levels of a strategy's position later than
    ``key``, of them the newest: an older one must not undo what they set.
    """
    rows = fetch_all(
        db,
        "SELECT copy.signal_number FROM leg INDEXED BY leg_protection JOIN copy ON copy.id = "
        "leg.copy_id WHERE leg.account_id = ? AND leg.strategy_id = ? AND leg.symbol = ? AND "
        "leg.kind = 'protection' AND leg.order_key > ? ORDER BY leg.order_key DESC LIMIT ?",
        (account, strategy, symbol, key, LATER_MAX),
    )
    return [row[0] for row in rows]
