"""Sum all orders of each contract that is held, as nothing but a test may: what is kept must equal it."""

from decimal import Decimal
from typing import Any

from engine.decisions.order_lifecycle import AttemptState
from engine.ledger import Database
from engine.ledger.codec import read_quantity
from engine.ledger.query import fetch_all


def wrong_sums(db: Database) -> list[str]:
    """Return every holding whose kept sums are not those of its orders that ended."""
    held = fetch_all(
        db,
        "SELECT account_id, symbol, strategy_id, opened_by, opened, closed FROM holding WHERE "
        "opened_by IS NOT NULL",
    )
    return [wrong for row in held if (wrong := _wrong(db, *row))]


def _wrong(
    db: Database, account: str, symbol: str, strategy: str, first: int, opened: str, closed: str
) -> str:
    rows: list[Any] = fetch_all(
        db,
        "SELECT id, kind, strategy_id, filled, intent, freed, ended_us, claimed_us, state FROM "
        "attempt WHERE account_id = ? AND symbol = ?",
        (account, symbol),
    )
    since = next(row[7] for row in rows if row[0] == first)
    found = [Decimal(0), Decimal(0)]
    for number, kind, of, filled, intent, freed, ended, _, state in rows:
        if not AttemptState(state).is_terminal or filled == "0":
            continue
        if kind == "entry" and (number >= first or (freed and ended >= since)):
            found[0] += Decimal(filled)
        if kind == "exit" and number > first and of == strategy:
            found[1] += min(Decimal(filled), read_quantity(intent))
    kept = [Decimal(opened), Decimal(closed)]
    return "" if kept == found else f"{account} {symbol}: orders {found}, kept {kept}"
