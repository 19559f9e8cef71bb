"""Read what strategies are compared by: the newest positions of their followers that are flat and
reconciled, each with the margin behind it.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.decisions.track_record import CopiedTrade, margin_of, slippage_of
from engine.domain.amounts import EXACT
from engine.domain.identifiers import StrategyId
from engine.domain.signal import PositionSide
from engine.ledger.codec import from_us, to_us
from engine.ledger.query import Database, Row, fetch_all

Place = tuple[int, int]
"""Where a page of positions ends: the time in microseconds and the id of its last trade."""
NEWEST: Final[Place] = (2**62, 2**62)


_FLAT: Final = (
    "SELECT trade.id, trade.episode, trade.closed_us, copy.signal_number, attempt.notional, "
    "attempt.margin, attempt.state, attempt.filled, attempt.price, attempt.ended_us - "
    "signal.received_us AS delay_us FROM trade JOIN fill ON fill.id = trade.episode JOIN attempt "
    "ON attempt.id = fill.attempt_id JOIN copy ON copy.id = attempt.copy_id JOIN signal ON "
    "signal.number = copy.signal_number"
    " WHERE trade.strategy_id = ? AND trade.environment = ? AND trade.closed_us >= ? AND "
    "(trade.closed_us, trade.id) < (?, ?)"
    " AND NOT EXISTS (SELECT 1 FROM trade AS later WHERE later.episode = trade.episode AND "
    "later.id > trade.id)"
    " AND NOT EXISTS (SELECT 1 FROM book WHERE book.account_id = trade.account_id AND "
    "book.strategy_id = trade.strategy_id AND book.symbol = trade.symbol AND book.episode = "
    "trade.episode)"
    " AND NOT EXISTS (SELECT 1 FROM trade AS part WHERE part.episode = trade.episode AND "
    "(part.state != 'settled' OR part.cause = 'taken_over'))"
    " ORDER BY trade.closed_us DESC, trade.id DESC LIMIT ?"
)
"""The last trade of each position of which nothing is open and every part is reconciled."""


def copied_trades(
    db: Database,
    strategy: StrategyId,
    environment: str,
    since: datetime,
    limit: int,
    before: Place = NEWEST,
) -> tuple[list[CopiedTrade], Place | None]:
    """Read all trades of the newest ``limit`` positions of a strategy that became flat since a time;
    and where the next page begins, None if there is none.

    A position counts as a whole: not while a part of it is open or not reconciled, because its
    other parts alone say nothing of it. None that its owner took over counts: no exit of the
    strategy ended it, and no order proves its last price.
    """
    rows = fetch_all(
        db,
        "SELECT flat.id, trade.account_id, flat.signal_number, trade.closed_us, trade.result, "
        "trade.entry_price, trade.quantity, trade.side, flat.notional, flat.margin, flat.state, "
        "flat.filled, flat.price, flat.delay_us, trade.symbol, trade.opened_us, trade.fees, "
        f"flat.closed_us FROM ({_FLAT}) AS flat JOIN trade ON trade.episode = flat.episode"
        " ORDER BY flat.closed_us DESC, flat.id DESC, trade.id",
        (strategy, environment, to_us(since), *before, limit),
    )
    trades = [_trade(row[1:]) for row in rows if Decimal(row[8]) > 0 and Decimal(row[9]) > 0]
    is_more = len({row[0] for row in rows}) == limit
    return trades, (rows[-1][-1], rows[-1][0]) if is_more else None


def _trade(row: Row) -> CopiedTrade:
    filled = Decimal(row[10])
    is_whole = row[9] == "filled" and row[11] is not None and filled > 0
    return CopiedTrade(
        follower=row[0],
        signal=row[1],
        symbol=row[13],
        side=row[6],
        opened_at=from_us(row[14]),
        closed_at=from_us(row[2]),
        result=Decimal(row[3]),
        fees=Decimal(row[15]),
        margin=margin_of(
            entry_price=Decimal(row[4]),
            quantity=Decimal(row[5]),
            planned_notional=Decimal(row[7]),
            planned_margin=Decimal(row[8]),
        ),
        slippage_bps=slippage_of(
            planned=EXACT.divide(Decimal(row[7]), filled),
            filled=Decimal(row[11]),
            is_long=row[6] == PositionSide.LONG.value,
        )
        if is_whole
        else None,
        delay_ms=None if row[12] is None else row[12] // 1000,
    )
