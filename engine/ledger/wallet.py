"""The wallet of each account beside its books: its state when the books began, running sums of what
changed it, and visible rows for what nothing explains. Nothing here reads history: every sum is
kept by difference.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Final

from engine.decisions.wallet import TOLERANCE, Line, OpenCost
from engine.domain.account import ClosedPosition
from engine.domain.amounts import EXACT, ZERO, plain
from engine.domain.identifiers import AccountId
from engine.domain.signal import PositionSide
from engine.ledger.codec import from_us, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, Row, fetch_all, fetch_one

RESOLVED_WITHIN: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """An account's wallet: ``baseline`` at cost when its books began, ``quiet_at`` when both sides
    were last compared.

    ``cash`` and ``worth`` (with unrealised profit) are those of the newest recorded reading;
    ``rounding`` is what was accepted as such.
    """

    since: datetime
    baseline: Decimal
    quiet_at: datetime
    rounding: Decimal
    cash: Decimal
    worth: Decimal
    read_at: datetime


def read_wallet(db: Database, account: AccountId) -> Wallet | None:
    """Read an account's wallet; None before its first reading."""
    row = fetch_one(
        db,
        "SELECT since_us, baseline, quiet_us, rounding, cash, worth, read_us FROM wallet WHERE "
        "account_id = ?",
        (account,),
    )
    if row is None:
        return None
    return Wallet(
        since=from_us(row[0]),
        baseline=Decimal(row[1]),
        quiet_at=from_us(row[2]),
        rounding=Decimal(row[3]),
        cash=Decimal(row[4]),
        worth=Decimal(row[5]),
        read_at=from_us(row[6]),
    )


def begin_wallet(
    db: Database,
    account: AccountId,
    baseline: Decimal,
    cash: Decimal,
    worth: Decimal,
    at: datetime,
) -> None:
    """Record the state of an account's wallet as its books begin."""
    db.execute(
        "INSERT INTO wallet (account_id, since_us, baseline, quiet_us, cash, worth, read_us) VALUES "
        "(?1, ?2, ?3, ?2, ?4, ?5, ?2) ON CONFLICT (account_id) DO NOTHING",
        (account, to_us(at), plain(baseline), plain(cash), plain(worth)),
    )


def compared(
    db: Database,
    account: AccountId,
    cash: Decimal,
    worth: Decimal,
    rounding: Decimal,
    at: datetime,
) -> None:
    """Record that both sides were compared and agree, except for rounding."""
    db.execute(
        "UPDATE wallet SET quiet_us = ?2, read_us = ?2, cash = ?3, worth = ?4, rounding = ?5 "
        "WHERE account_id = ?1",
        (account, to_us(at), plain(cash), plain(worth), plain(rounding)),
    )


def add_to(db: Database, account: str, line: Line, amount: Decimal) -> None:
    """Add to a running sum of an account."""
    if not amount:
        return
    row = fetch_one(
        db, "SELECT amount FROM wallet_sum WHERE account_id = ? AND line = ?", (account, line.value)
    )
    amount_before = ZERO if row is None else Decimal(row[0])
    db.execute(
        "INSERT INTO wallet_sum (account_id, line, amount) VALUES (?, ?, ?) ON CONFLICT "
        "(account_id, line) DO UPDATE SET amount = excluded.amount",
        (account, line.value, plain(EXACT.add(amount_before, amount))),
    )


def add_since(db: Database, account: str, line: Line, amount: Decimal, at_us: int) -> None:
    """Add an amount at a time to a running sum; amounts from before the wallet began are part of
    its baseline.
    """
    if (
        amount
        and fetch_one(
            db, "SELECT 1 FROM wallet WHERE account_id = ? AND since_us <= ?", (account, at_us)
        )
        is not None
    ):
        add_to(db, account, line, amount)


def sums(db: Database, account: AccountId) -> dict[Line, Decimal]:
    """Read an account's running sums."""
    rows = fetch_all(db, "SELECT line, amount FROM wallet_sum WHERE account_id = ?", (account,))
    return {Line(row[0]): Decimal(row[1]) for row in rows}


def open_costs(db: Database, account: AccountId) -> list[OpenCost]:
    """Read what the books have open, including the owner's own, by contract."""
    rows = fetch_all(
        db, "SELECT symbol, side, quantity, cost FROM book WHERE account_id = ?", (account,)
    )
    return [
        OpenCost(
            row[0],
            PositionSide(row[1]),
            Decimal(row[2]),
            None if row[3] is None else Decimal(row[3]),
        )
        for row in sorted(rows, key=itemgetter(0))
    ]


def last_agreed(db: Database, account: AccountId, symbol: str) -> datetime | None:
    """Read when the exchange was last known to have what the books have of a contract: at the
    newest comparison, else at its opening.
    """
    row = fetch_one(
        db,
        "SELECT read_us FROM wallet WHERE account_id = ?1 UNION ALL"
        " SELECT opened_us FROM book WHERE account_id = ?1 AND symbol = ?2 LIMIT 1",
        (account, symbol),
    )
    return None if row is None else from_us(row[0])


# Rows that people see


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletRow:
    """A change of the wallet that no order explains: ``kind`` is ``unexplained``, or ``owner`` for
    a position that was the owner's alone.
    """

    id: int
    kind: Line
    amount: Decimal
    since: datetime
    until: datetime
    fill: int | None
    position_id: str


def add_row(
    db: Database,
    account: AccountId,
    kind: Line,
    amount: Decimal,
    since: datetime,
    until: datetime,
    *,
    fill: int | None = None,
    position_id: str = "",
) -> None:
    """Write a visible row, and count it."""
    db.execute(
        "INSERT INTO wallet_row (account_id, kind, amount, from_us, until_us, fill_id, "
        "position_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (account, kind.value, plain(amount), to_us(since), to_us(until), fill, position_id),
    )
    add_to(db, account, kind, amount)


def drop_row(db: Database, account: str, row: int, kind: Line, amount: Decimal) -> None:
    """Remove a row that is explained by now."""
    db.execute("DELETE FROM wallet_row WHERE id = ?", (row,))
    add_to(db, account, kind, -amount)


def drop_rows_of(db: Database, fill: int) -> None:
    """Remove the rows of a fill whose price was missing: it is now reported."""
    for row, account, kind, amount in fetch_all(
        db, "SELECT id, account_id, kind, amount FROM wallet_row WHERE fill_id = ?", (fill,)
    ):
        drop_row(db, account=account, row=row, kind=Line(kind), amount=Decimal(amount))


_ROWS = (
    "SELECT id, kind, amount, from_us, until_us, fill_id, position_id FROM wallet_row WHERE "
    "account_id = ?"
)


def _row(row: Row) -> WalletRow:
    return WalletRow(
        id=row[0],
        kind=Line(row[1]),
        amount=Decimal(row[2]),
        since=from_us(row[3]),
        until=from_us(row[4]),
        fill=row[5],
        position_id=row[6],
    )


def wallet_rows(db: Database, account: AccountId, limit: int = 100) -> list[WalletRow]:
    """Read an account's visible rows, newest first."""
    return [
        _row(row)
        for row in fetch_all(
            db, _ROWS + " ORDER BY until_us DESC, id DESC LIMIT ?", (account, limit)
        )
    ]


def is_busy(db: Database, account: AccountId) -> bool:
    """Return whether the books of an account are incomplete at the moment: the wallet then says
    nothing about them.
    """
    row = fetch_one(
        db,
        "SELECT 1 FROM fill WHERE account_id = ?1 AND state = 'open' UNION ALL SELECT 1 FROM fill "
        "WHERE folded = 0 AND account_id = ?1"
        " UNION ALL SELECT 1 FROM attempt INDEXED BY attempt_open WHERE account_id = ?1 AND state "
        "!= 'not_confirmed'"
        " AND state IN ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed') "
        "LIMIT 1",
        (account,),
    )
    return row is not None


def fills_since(db: Database, account: AccountId, since: datetime) -> int:
    """Count an account's fills since a time."""
    row = fetch_one(
        db,
        "SELECT count(*) FROM fill WHERE account_id = ? AND seen_us >= ?",
        (account, to_us(since)),
    )
    return 0 if row is None else int(row[0])


def note_unexplained(
    db: Database, account: AccountId, amount: Decimal, since: datetime, until: datetime
) -> None:
    """Record what nothing explains as a visible row, tied to the one close without a reported price
    if there is one.

    If it only reverses a row of the last day, that row is removed instead.
    """
    lock(db, Held.ACCOUNT, account)
    for row in rows_since(db, account, until - RESOLVED_WITHIN):
        if (
            row.kind is Line.UNEXPLAINED
            and row.fill is None
            and abs(EXACT.add(row.amount, amount)) <= TOLERANCE
        ):
            drop_row(db, account=account, row=row.id, kind=row.kind, amount=row.amount)
            return
    untold = fetch_all(
        db,
        "SELECT id FROM fill WHERE account_id = ?1 AND state = 'unexplained' AND seen_us >= ?2 "
        "AND price IS NULL AND is_entry = 0"
        " AND NOT EXISTS (SELECT 1 FROM wallet_row WHERE wallet_row.fill_id = fill.id) ORDER BY "
        "seen_us LIMIT 2",
        (account, to_us(until - RESOLVED_WITHIN)),
    )
    add_row(
        db,
        account=account,
        kind=Line.UNEXPLAINED,
        amount=amount,
        since=since,
        until=until,
        fill=untold[0][0] if len(untold) == 1 else None,
    )


def note_unseen(
    db: Database,
    account: AccountId,
    closed: Iterable[ClosedPosition],
    since: datetime,
    until: datetime,
) -> int:
    """Record the results of positions that the owner opened and closed between two readings; return
    how many were new.
    """
    lock(db, Held.ACCOUNT, account)
    rows = fetch_all(
        db,
        "SELECT position_id FROM fill WHERE account_id = ?1 AND seen_us >= ?2 UNION SELECT "
        "position_id FROM book WHERE account_id = ?1"
        " UNION SELECT position_id FROM wallet_row WHERE account_id = ?1 AND until_us >= ?2",
        (account, to_us(since)),
    )
    recorded = {row[0] for row in rows}
    new = 0
    for position in closed:
        if (
            position.position_id
            and position.position_id not in recorded
            and position.result is not None
            and since <= position.closed_at
        ):
            add_row(
                db,
                account=account,
                kind=Line.OWNER,
                amount=position.result,
                since=position.opened_at,
                until=max(until, position.closed_at),
                position_id=position.position_id,
            )
            new += 1
    return new


def rows_since(db: Database, account: AccountId, since: datetime) -> list[WalletRow]:
    """Read an account's visible rows that ended since a time, newest first."""
    return [
        _row(row)
        for row in fetch_all(
            db,
            _ROWS + " AND until_us >= ? ORDER BY until_us DESC, id DESC",
            (account, to_us(since)),
        )
    ]
