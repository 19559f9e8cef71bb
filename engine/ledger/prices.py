"""Recorded prices: what was seen of each contract at each exchange, kept for a month.

They are for looking back only. No order depends on them, and what is lost is a gap that a reader is
told of.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from engine.decisions.recorded_prices import BLOCK_S, PriceBlock, Samples, unpack
from engine.domain.amounts import Price, plain
from engine.domain.identifiers import Symbol
from engine.ledger.query import Database, fetch_all, fetch_one, run

KEPT: Final = timedelta(days=31)


def write_blocks(
    db: Database, exchange: str, symbol: Symbol, blocks: Sequence[tuple[PriceBlock, bytes]]
) -> None:
    """Write packed blocks, in place of those that begin at the same second: a block grows until its
    hour ends.
    """
    db.executemany(
        "INSERT INTO price_block (exchange, symbol, begin_s, end_s, low, high, packed) VALUES "
        "(?, ?, ?, ?, ?, ?, ?) ON CONFLICT (exchange, symbol, begin_s) DO UPDATE SET end_s = "
        "excluded.end_s, low = excluded.low, high = excluded.high, packed = excluded.packed",
        [
            (exchange, symbol, block.begin, block.end, plain(block.low), plain(block.high), packed)
            for block, packed in blocks
        ],
    )


def forget_prices(db: Database, now: datetime, limit: int) -> int:
    """Remove the oldest blocks that are older than a month, at most ``limit``; return how many."""
    before = int((now - KEPT).timestamp())
    return run(
        db,
        "DELETE FROM price_block WHERE (exchange, symbol, begin_s) IN (SELECT exchange, symbol, "
        "begin_s FROM price_block WHERE begin_s < ? ORDER BY begin_s LIMIT ?)",
        (before, limit),
    )


def read_blocks(db: Database, exchange: str, symbol: Symbol, since: datetime) -> list[PriceBlock]:
    """Read which blocks of a contract were recorded since a time, oldest first; the samples of each
    are read when somebody asks for them.
    """
    rows = fetch_all(
        db,
        "SELECT begin_s, end_s, low, high FROM price_block WHERE exchange = ? AND symbol = ? AND "
        "begin_s >= ? ORDER BY begin_s",
        (exchange, symbol, int(since.timestamp()) - BLOCK_S),
    )
    return [
        PriceBlock(
            row[0],
            row[1],
            Price(Decimal(row[2])),
            Price(Decimal(row[3])),
            partial(_samples, db, exchange, symbol, row[0]),
        )
        for row in rows
    ]


def _samples(db: Database, exchange: str, symbol: Symbol, begin: int) -> Samples:
    row = fetch_one(
        db,
        "SELECT packed FROM price_block WHERE exchange = ? AND symbol = ? AND begin_s = ?",
        (exchange, symbol, begin),
    )
    if row is None:
        raise LookupError(f"the prices of {symbol} at {exchange} from {begin} on are gone")
    return unpack(row[0])
