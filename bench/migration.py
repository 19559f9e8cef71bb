"""The migration of a ledger of 0.1: how long it takes, what disk it needs, and that nothing is lost.

The ledger is written anew as 0.1 wrote it (``bench/past_0_1.py``), then opened as a start opens it.
Every public id, sum, holding and row of the audit is compared with the copy that the migration made
first; a difference is a note, and an aim that is missed.
"""

import hashlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, thread_time
from typing import Final

from bench.options import Options
from bench.past_0_1 import VERSION, write_ledger_of_0_1
from bench.rows import Aim, Row
from engine.ledger import Database
from engine.ledger.database import open_database, open_reader

OUTCOMES: Final = 100_000
MIB: Final = 2**20

ASKED: Final[Mapping[str, str]] = {
    "people": "SELECT id, name, created_us FROM person ORDER BY id",
    "accounts": "SELECT id, name, person_id, exchange, environment, sealed FROM account ORDER BY id",
    "strategies": "SELECT id, name, state, signals FROM strategy ORDER BY id",
    "agreements": "SELECT id, account_id, strategy_id, policy, state FROM subscription ORDER BY id",
    "signals": "SELECT number, id, receipt_id, strategy_id, origin, dedupe_key, body_hash, draft, "
    "order_key, received_us FROM signal ORDER BY number",
    "copies": "SELECT id, signal_number, account_id, subscription_id, code, numbers, outcome_us "
    "FROM copy ORDER BY id",
    "legs": "SELECT copy_id, number, kind, account_id, strategy_id, symbol, order_key, state, "
    "retry_us, leave_share FROM leg ORDER BY copy_id, number",
    "attempts": "SELECT id, copy_id, leg, number, kind, account_id, strategy_id, symbol, epoch, "
    "state, client_order_id, intent, witness, notional, margin, claimed_us, ended_us, "
    "exchange_order_id, filled, price, fee, cause, freed, held_before FROM attempt ORDER BY id",
    "holdings": "SELECT account_id, symbol, strategy_id, side, share, entries_open, entry_key, "
    "opened_by, position_id FROM holding ORDER BY account_id, symbol",
    "goals": "SELECT account_id, strategy_id, symbol, order_key FROM goal ORDER BY 1, 2, 3",
    "books": "SELECT account_id, strategy_id, symbol, side, quantity, episode FROM book ORDER BY 1, "
    "2, 3",
    "fills": "SELECT id, account_id, strategy_id, symbol, side, is_entry, quantity, price, fee, "
    "cause, at_us, attempt_id, coalesce(exchange_order_id, (SELECT attempt.exchange_order_id FROM "
    "attempt WHERE attempt.id = fill.attempt_id)), episode, state, folded FROM fill ORDER BY id",
    "trades": "SELECT id, account_id, strategy_id, symbol, quantity, result, fees, closed_us, state "
    "FROM trade ORDER BY id",
    "days": "SELECT * FROM account_day ORDER BY 1, 2",
    "funding": "SELECT account_id, id, amount FROM funding ORDER BY account_id, id",
    "equity": "SELECT account_id, at_us, equity FROM equity_point ORDER BY account_id, at_us",
    "events": "SELECT sequence, at_us, kind, copy_id, subject, data FROM event ORDER BY sequence",
    "audit": "SELECT * FROM audit ORDER BY number",
    "sums": "SELECT state, kind, count(*), sum(CAST(filled AS REAL)), sum(CAST(fee AS REAL)) FROM "
    "attempt GROUP BY state, kind ORDER BY state, kind",
}
"""What must be the same before and after."""


def schema(db: Database) -> list[tuple[str, ...]]:
    """Return the text of every table, index and trigger."""
    rows = db.execute(
        "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema"
    ).fetchall()
    return sorted(rows)


def _answer(db: Database, sql: str) -> tuple[int, str]:
    """Return the number of rows and a hash of them."""
    digest, count, rows = hashlib.blake2b(), 0, db.execute(sql)
    while (row := rows.fetchone()) is not None:
        digest.update(repr(row).encode())
        count += 1
    return count, digest.hexdigest()


def differences(before: Database, after: Database) -> list[str]:
    """Compare a ledger of 0.1 with the migrated one; return what differs, and what is empty and so
    proves nothing.
    """
    told = []
    for what, sql in ASKED.items():
        old, new = _answer(before, sql), _answer(after, sql)
        if old != new:
            told.append(f"{what}: {old[0]:,} rows before, {new[0]:,} after, or other values")
        elif not old[0]:
            told.append(f"{what}: nothing was there to compare")
    return told


def used(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(each.stat().st_size for each in folder.iterdir())


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield the row of one migration."""
    outcomes = min(options.outcomes, OUTCOMES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite3"
        written = write_ledger_of_0_1(path, outcomes, datetime.now(UTC))
        size = path.stat().st_size
        began, cpu = monotonic(), thread_time()
        db = open_database(str(path))
        took_s, cpu_s = monotonic() - began, thread_time() - cpu
        room = used(Path(folder)) - size
        old = open_reader(f"{path}.before-{VERSION + 1}")
        fresh = open_database(":memory:")
        found = differences(old, db)
        if schema(db) != schema(fresh):
            found.append("the schema is not that of a new ledger")
        for each in (old, fresh, db):
            each.close()
    yield Row(
        scenario="migration",
        case=f"{written:,} outcomes of 0.1",
        figure="until the ledger is open",
        unit="s",
        value=took_s,
        beside={"CPU s": cpu_s, "ledger MiB": size / MIB, "disk beside it MiB": room / MIB},
        aims=(Aim(what="differences", limit=0, found=len(found)),),
        notes=tuple(found),
    )
