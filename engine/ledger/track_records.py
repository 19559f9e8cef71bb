"""Read what strategies are compared by: the newest reconciled trades of their followers with the
margin behind them.
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
"""Where a page of trades ends: the time of the close in microseconds, and the id."""
NEWEST: Final[Place] = (2**62, 2**62)


def copied_trades(
    db: Database,
    strategy: StrategyId,
    environment: str,
    since: datetime,
    limit: int,
    before: Place = NEWEST,
) -> tuple[list[CopiedTrade], Place | None]:
    """Read the newest ``limit`` reconciled trades of a strategy that were closed since a time and
    opened by one of its signals, but not those that their owner took over: no exit of the strategy
    ended them, and no order proves their last price; and where the next page begins, None if there is none.
    """
    rows = fetch_all(
        db,
        "SELECT trade.id, trade.account_id, copy.signal_number, trade.closed_us, trade.result, "
        "trade.entry_price, trade.quantity, trade.side, attempt.notional, attempt.margin, "
        "attempt.state, attempt.filled, attempt.price, attempt.ended_us - signal.received_us, "
        "trade.symbol, trade.opened_us, trade.fees"
        " FROM trade JOIN fill ON fill.id = trade.episode JOIN attempt ON attempt.id = "
        "fill.attempt_id JOIN copy ON copy.id = attempt.copy_id"
        " JOIN signal ON signal.number = copy.signal_number"
        " WHERE trade.strategy_id = ? AND trade.environment = ? AND trade.state = 'settled' AND "
        "(trade.cause IS NULL OR trade.cause != 'taken_over') AND trade.closed_us >= ? AND (trade.closed_us, trade.id) < (?, ?) ORDER BY trade.closed_us DESC, trade.id DESC LIMIT ?",
        (strategy, environment, to_us(since), *before, limit),
    )
    trades = [_trade(row[1:]) for row in rows if Decimal(row[8]) > 0 and Decimal(row[9]) > 0]
    return trades, (rows[-1][3], rows[-1][0]) if len(rows) == limit else None


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
