"""Write histories as CSV (RFC 4180): times in UTC (ISO 8601), amounts as exact decimals. Pure.

A text that a spreadsheet would take as a formula begins with an apostrophe. What is not known yet,
or was never reported, is an empty cell.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from engine.domain.amounts import plain
from engine.domain.identifiers import own_name
from engine.ledger.following import CopyRow
from engine.ledger.history import ClosedTrade, FundingPaid, Kind, OrderRow

_DANGEROUS: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
Cell = str | Decimal | datetime | bool | None

HEADS: Final[Mapping[Kind, Sequence[str]]] = {
    Kind.SIGNALS: [
        "signal_id",
        "received_at",
        "account",
        "environment",
        "strategy",
        "action",
        "symbol",
        "side",
        "is_test",
        "outcome",
        "settled_at",
        "why",
    ],
    Kind.ORDERS: [
        "signal_id",
        "sent_at",
        "account",
        "environment",
        "strategy",
        "symbol",
        "kind",
        "side",
        "quantity",
        "filled",
        "price",
        "fee",
        "state",
        "cause",
        "client_order_id",
        "exchange_order_id",
    ],
    Kind.TRADES: [
        "id",
        "account",
        "environment",
        "strategy",
        "symbol",
        "side",
        "quantity",
        "entry_price",
        "exit_price",
        "gross",
        "fees",
        "result",
        "opened_at",
        "closed_at",
        "ended_by",
        "state",
        "entry_signal_id",
        "exit_signal_id",
    ],
    Kind.FUNDING: ["account", "environment", "strategy", "symbol", "paid", "at"],
}
"""The columns of each file. New ones are added at the end, and none is renamed."""


def cell(value: Cell) -> str:
    """Return one value as it stands in a file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return f"'{value}" if value.startswith(_DANGEROUS) else value


def lines(rows: Iterable[Sequence[Cell]]) -> str:
    """Return rows as lines of a file."""
    output = io.StringIO()
    csv.writer(output).writerows([cell(each) for each in row] for row in rows)
    return output.getvalue()


def _signal(row: CopyRow) -> Sequence[Cell]:
    return (
        row.signal_id,
        row.at,
        own_name(row.account),
        row.environment,
        row.strategy,
        row.action,
        row.symbol,
        row.side,
        row.is_test,
        row.code or "waiting",
        row.settled_at,
        row.sentence,
    )


def _order(row: OrderRow) -> Sequence[Cell]:
    return (
        row.signal_id,
        row.at,
        own_name(row.account),
        row.environment,
        row.strategy,
        row.symbol,
        row.kind,
        row.side,
        Decimal(row.quantity),
        Decimal(row.filled),
        _amount(row.price),
        _amount(row.fee),
        row.state,
        row.cause,
        row.client_order_id,
        row.exchange_order_id,
    )


def _trade(row: ClosedTrade) -> Sequence[Cell]:
    trade = row.trade
    return (
        str(trade.id),
        own_name(trade.account),
        trade.environment,
        trade.strategy,
        trade.symbol,
        trade.side,
        Decimal(trade.quantity),
        _amount(trade.entry_price),
        _amount(trade.exit_price),
        row.gross,
        trade.fees,
        trade.result,
        trade.opened_at,
        trade.closed_at,
        None if trade.cause is None else trade.cause.value,
        trade.state.value,
        row.opened_by,
        row.closed_by,
    )


def _funding(row: FundingPaid) -> Sequence[Cell]:
    return (
        own_name(row.account),
        row.environment,
        row.strategy,
        row.symbol,
        row.amount,
        row.at,
    )


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


CELLS: Final[Mapping[Kind, Callable[[Any], Sequence[Cell]]]] = {
    Kind.SIGNALS: _signal,
    Kind.ORDERS: _order,
    Kind.TRADES: _trade,
    Kind.FUNDING: _funding,
}
"""What each file says of a row, in the order of its columns."""
