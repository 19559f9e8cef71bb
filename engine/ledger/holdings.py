"""What the engine holds of each contract for an account, and the newest exit of each strategy
there.

A holding's share is written by ``books.change_share`` alone, together with the books.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.decisions.reconciliation import closed_by_own_level
from engine.domain.amounts import Quantity, plain
from engine.domain.booking import Cause
from engine.domain.holding import Holding
from engine.domain.identifiers import AccountId, StrategyId, Symbol
from engine.domain.order import ProtectionOrder
from engine.domain.signal import NO_ORDER_KEY, OrderKey, PositionSide
from engine.ledger.codec import from_us, read_price, write_number
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, Row, fetch_all, fetch_one


def read_holdings(db: Database, account: AccountId) -> tuple[Holding, ...]:
    """Read what the engine holds for an account."""
    return tuple(_holding(row) for row in fetch_all(db, _HOLDING, (account,)))


def read_holding(db: Database, account: AccountId, symbol: Symbol) -> Holding | None:
    """Read what the engine holds of one symbol for an account."""
    row = fetch_one(db, _HOLDING + " AND symbol = ?", (account, symbol))
    return None if row is None else _holding(row)


_HOLDING = (
    "SELECT account_id, symbol, strategy_id, side, share, entries_open, entry_key, detached, "
    "carried, stop_loss, take_profit,"
    " position_id FROM holding WHERE account_id = ?"
)


def _holding(row: Row) -> Holding:
    return Holding(
        account=AccountId(row[0]),
        symbol=Symbol(row[1]),
        strategy=StrategyId(row[2]),
        side=PositionSide(row[3]),
        share=Quantity(Decimal(row[4])),
        entries_open=row[5],
        entry_key=OrderKey(row[6]),
        detached=bool(row[7]),
        carried=Quantity(Decimal(row[8])),
        stop_loss=read_price(row[9]),
        take_profit=read_price(row[10]),
        position_id=row[11],
    )


def write_holding(db: Database, holding: Holding) -> None:
    """Store a holding without its share (``books.change_share`` does that); remove one that holds
    nothing and is not detached.
    """
    db.execute(
        "UPDATE holding SET entries_open = ?, detached = ?, carried = ?, stop_loss = ?, "
        "take_profit = ?, position_id = ?"
        " WHERE account_id = ? AND symbol = ?",
        (
            holding.entries_open,
            int(holding.detached),
            plain(holding.carried),
            write_number(holding.stop_loss),
            write_number(holding.take_profit),
            holding.position_id,
            holding.account,
            holding.symbol,
        ),
    )
    remove_empty_holding(db, holding.account, holding.symbol)


def remove_empty_holding(db: Database, account: AccountId, symbol: Symbol) -> None:
    """Remove a holding that holds nothing and is not detached."""
    db.execute(
        "DELETE FROM holding WHERE account_id = ? AND symbol = ? AND share = '0' AND entries_open "
        "= 0 AND detached = 0",
        (account, symbol),
    )


def keep_carried(db: Database, account: AccountId, symbol: Symbol, carried: Quantity) -> None:
    """Record what a reduction rounded off, for the next one."""
    db.execute(
        "UPDATE holding SET carried = ? WHERE account_id = ? AND symbol = ?",
        (plain(carried), account, symbol),
    )


def attach(db: Database, account: AccountId, symbol: Symbol) -> None:
    """Permit entries again in a symbol that something else than an order of ours had closed: the
    master is flat.
    """
    lock(db, Held.ACCOUNT, account)
    holding = read_holding(db, account, symbol)
    if holding is not None and holding.share == 0:
        write_holding(db, replace(holding, detached=False))


def attach_where_own_level_closed(db: Database, account: AccountId) -> None:
    """Permit entries again where the books name the strategy's own stop or target as what closed
    the position.
    """
    lock(db, Held.ACCOUNT, account)
    for holding in read_holdings(db, account):
        if not holding.detached or holding.share != 0:
            continue
        row = fetch_one(db, _CLOSED_BY, (account, holding.symbol))
        if row is None or row[0] or None in row:
            continue
        if closed_by_own_level(holding, Cause(row[1]), Decimal(row[2])):
            attach(db, account, holding.symbol)


_CLOSED_BY: Final = (
    "SELECT is_entry, cause, price FROM fill WHERE episode = (SELECT episode FROM fill INDEXED BY "
    "fill_by_attempt WHERE attempt_id = (SELECT opened_by FROM holding WHERE account_id = ? AND "
    "symbol = ?) LIMIT 1) ORDER BY id DESC LIMIT 1"
)
"""The newest fill of the trade that the order which opened a holding began."""


def want_protection(db: Database, *, account: AccountId, wanted: ProtectionOrder) -> None:
    """Record which stop and target a strategy wants at its position from now on; the exchange's
    levels are compared with them.
    """
    lock(db, Held.ACCOUNT, account)
    holding = read_holding(db, account, wanted.symbol)
    if holding is not None:
        write_holding(
            db, replace(holding, stop_loss=wanted.stop_loss, take_profit=wanted.take_profit)
        )


def entered_until(db: Database, account: AccountId, symbol: Symbol) -> datetime | None:
    """Read when the newest entry that filled in a held symbol ended; None if no such entry of ours
    is known, or one is not over.
    """
    row = fetch_one(
        db,
        "SELECT ended_us FROM attempt INDEXED BY attempt_filled WHERE account_id = ? AND symbol = "
        "? AND filled != '0' AND kind = 'entry'"
        " ORDER BY id DESC LIMIT 1",
        (account, symbol),
    )
    return None if row is None or row[0] is None else from_us(row[0])


def held_since(db: Database, account: AccountId) -> datetime | None:
    """Read when the oldest share of an account was entered; None if it is not known."""
    row = fetch_one(
        db,
        "SELECT min(claimed_us) FROM holding JOIN attempt ON attempt.id = holding.opened_by WHERE "
        "holding.account_id = ?",
        (account,),
    )
    return None if row is None or row[0] is None else from_us(row[0])


def goal_key(db: Database, account: AccountId, strategy: StrategyId, symbol: Symbol) -> OrderKey:
    """Read the order key of the newest exit of a strategy for (account, symbol)."""
    row = fetch_one(
        db,
        "SELECT order_key FROM goal WHERE account_id = ? AND strategy_id = ? AND symbol = ?",
        (account, strategy, symbol),
    )
    return NO_ORDER_KEY if row is None else OrderKey(row[0])
