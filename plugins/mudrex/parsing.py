"""From the exchange's JSON to values: numbers come as numbers or as text, keys come and go, nothing may be made up.

Pure. Raises ValueError for what cannot be read: a caller that wrote something then knows nothing, a caller that read keeps the old.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from rexalgo import (
    Balance,
    Candle,
    ClientOrderId,
    FeeKind,
    FeeReport,
    Instrument,
    Money,
    OrderReport,
    OrderSide,
    OrderStatus,
    Position,
    PositionSide,
    Price,
    Quantity,
    Ratio,
    Symbol,
)

Row = Mapping[str, Any]
ZERO = Decimal(0)
_STATUS = {
    "CREATED": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
    "FAILED": OrderStatus.REJECTED,
}
SIDES = {"LONG": OrderSide.BUY, "SHORT": OrderSide.SELL}


def data_of(content: bytes) -> Any:
    """Return what the envelope carries, numbers as Decimal; raises ValueError unless it says success."""
    document = json.loads(content, parse_float=Decimal, parse_int=Decimal)
    if not isinstance(document, dict) or document.get("success") is not True or "data" not in document:
        raise ValueError("expected an envelope with success and data")
    return document["data"]


def rows_of(data: Any) -> list[Row]:
    """Return a list's rows; null and an empty list are none."""
    if data is None:
        return []
    if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
        raise ValueError("expected a list of objects")
    return data


def number(row: Row, name: str, default: Decimal | None = None) -> Decimal:
    """Read a number that may be a JSON number or text; ``default`` where it is absent, null or an empty text."""
    value = row.get(name)
    if value in (None, "") and default is not None:
        return default
    try:
        found = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{name}: expected a number") from None
    if not found.is_finite():
        raise ValueError(f"{name}: expected a finite number")
    return found


def moment(text: Any) -> datetime:
    """Read a time of the exchange, UTC."""
    if not isinstance(text, str):
        raise ValueError("expected a time")  # noqa: TRY004 - one failure type for whatever cannot be read
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def instrument(row: Row) -> Instrument:
    """Read one contract."""
    return Instrument(
        symbol=Symbol(str(row["symbol"])),
        price_step=Price(number(row, "price_step")),
        quantity_step=Quantity(number(row, "quantity_step")),
        quantity_min=Quantity(number(row, "min_contract")),
        quantity_max=Quantity(min(number(row, "max_contract"), number(row, "max_market_contract", Decimal("Infinity")))),
        notional_min=Money(number(row, "min_notional_value", ZERO)),
        leverage_min=Ratio(number(row, "min_leverage")),
        leverage_max=Ratio(number(row, "max_leverage")),
    )


def balance(row: Row) -> Balance:
    """Read the futures wallet: ``balance`` is what is free, ``locked_amount`` what is in use."""
    free, locked = number(row, "balance"), number(row, "locked_amount", ZERO)
    return Balance(Money(free), Money(free + locked))


def spot_amount(row: Row) -> Money:
    """Read what lies in the spot wallet."""
    return Money(number(row, "withdrawable", number(row, "total", ZERO)))


def position(row: Row, mark: Price | None) -> Position:
    """Read an open position; the exchange gives no mark price, so the feed's is used, or the entry price where there is none."""
    side = PositionSide(str(row["order_type"]))
    entry, quantity = Price(number(row, "entry_price")), Quantity(number(row, "quantity"))
    shown = entry if mark is None else mark
    sign = 1 if side is PositionSide.LONG else -1
    liquidation = number(row, "liquidation_price", ZERO)
    return Position(
        Symbol(str(row["symbol"])), side, quantity, entry, shown, Ratio(number(row, "leverage")), Money(number(row, "initial_margin")),
        Money((shown - entry) * quantity * sign), Price(liquidation) if liquidation > 0 else None, _price_of(leg(row, "stoploss")),
        _price_of(leg(row, "takeprofit")),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leg:
    """Hold a position's stop or target: its price, and the order that stands for it."""

    price: Price
    order_id: str


def leg(row: Row, name: str) -> Leg | None:
    """Read a position's stop or target; null, an empty object and one without an order are none."""
    found = row.get(name)
    if not isinstance(found, dict):
        return None
    price = number(found, "price", ZERO)
    return Leg(Price(price), str(found["order_id"])) if price > 0 and found.get("order_id") else None


def _price_of(found: Leg | None) -> Price | None:
    return None if found is None else found.price


def order(row: Row, *, carries_client_id: bool = True) -> OrderReport | None:
    """Read one order row; None for the rows of stop and target.

    Where entries carry a client id, an order without one was made by a closing call, or by hand; else nothing says what it was for.
    """
    side = SIDES.get(str(row.get("order_type")).upper())
    if side is None:
        return None
    filled, average = number(row, "filled_quantity", ZERO), number(row, "filled_price", ZERO)
    cid, reason = row.get("client_order_id"), row.get("reason")
    return OrderReport(
        exchange_order_id=str(row["id"]),
        client_order_id=ClientOrderId(cid) if isinstance(cid, str) and cid else None,
        symbol=Symbol(str(row["symbol"])),
        side=side,
        quantity=Quantity(number(row, "quantity")),
        status=_STATUS[str(row["status"]).upper()],
        filled_quantity=Quantity(filled),
        average_price=Price(average) if filled > 0 and average > 0 else None,
        fee=Money(ZERO),
        created_at=moment(row["created_at"]),
        reduce_only=not cid if carries_client_id or cid else None,
        reason=str(reason.get("message", "")) if isinstance(reason, dict) else "",
    )


# Fees

_FEE_KINDS = {"TRANSACTION": FeeKind.TRADE, "FUNDING": FeeKind.FUNDING, "REBATE": FeeKind.REBATE}
FEE_SLACK = timedelta(seconds=3)
FEE_ROUNDING = Decimal("0.0005")


def fee(row: Row) -> FeeReport | None:
    """Read one row of the fee history; None for a kind that is not known. Funding rows have no order fields."""
    kind = _FEE_KINDS.get(str(row.get("fee_type")).upper())
    if kind is None:
        return None
    traded = number(row, "transaction_amount", ZERO)
    return FeeReport(
        str(row["id"]), Symbol(str(row["symbol"])), kind, Money(number(row, "fee_amount")), Money(number(row, "gst_amount", ZERO)),
        str(row.get("trade_currency") or "USDT"), moment(row["created_at"]), SIDES.get(str(row.get("order_type")).upper()),
        Money(traded) if kind is FeeKind.TRADE and traded > 0 else None,
    )  # fmt: skip


def with_fees(orders: Iterable[OrderReport], fees: Collection[FeeReport]) -> list[OrderReport]:
    """Give each order that filled its fee, where exactly one order and exactly one or more rows can belong together.

    The history names no order: a row belongs to an order of its symbol and side, at its time, when the rows' values sum up to the order's.
    """
    trades = [each for each in fees if each.kind is FeeKind.TRADE and each.traded is not None]
    reports = list(orders)
    claims = [{row.id for row in trades if _may_belong(row, each)} for each in reports]
    told = []
    for index, each in enumerate(reports):
        shared = any(claims[index] & other for number_, other in enumerate(claims) if number_ != index)
        rows = [] if shared else [row for row in trades if row.id in claims[index]]
        told.append(replace(each, fee=Money(sum((row.amount for row in rows), ZERO))) if _adds_up(rows, each) else each)
    return told


def charged(report: OrderReport, amount: Money | None) -> OrderReport:
    """Return an order with its fee, where one is known."""
    return report if amount is None else replace(report, fee=amount)


def _may_belong(row: FeeReport, each: OrderReport) -> bool:
    if each.average_price is None or row.symbol != each.symbol or row.side not in (None, each.side):
        return False
    return each.created_at - FEE_SLACK <= row.at <= each.created_at + 10 * FEE_SLACK


def _adds_up(rows: list[FeeReport], each: OrderReport) -> bool:
    if not rows or each.average_price is None:
        return False
    value = each.filled_quantity * each.average_price
    return abs(sum((row.traded or ZERO for row in rows), ZERO) - value) <= value * FEE_ROUNDING


# Candles


def candles(data: Any, symbol: Symbol, interval_s: int) -> list[Candle]:
    """Read one contract's candles, oldest first; the envelope's data is an empty object where the exchange has none."""
    ticks = data.get("asset_ticks") if isinstance(data, dict) else None
    rows = (ticks or {}).get(pair(symbol).lower()) or []
    read = []
    for row in rows:
        if not isinstance(row, list) or len(row) < 5:
            raise ValueError("expected candles as lists of time, open, high, low, close and volume")
        numbers = [number({"value": each}, "value") for each in row]
        opened = datetime.fromtimestamp(int(numbers[0]), UTC)
        first, high, low, last = (Price(each) for each in numbers[1:5])
        read.append(Candle(symbol, interval_s, opened, first, high, low, last, numbers[5] if len(numbers) > 5 else ZERO))
    return sorted(read, key=lambda each: each.opened_at)


def newest_closed(read: list[Candle], now_s: int, count: int) -> list[Candle]:
    """Return the newest ``count`` candles that are over, oldest first."""
    return [each for each in read if each.opened_at.timestamp() + each.interval_s <= now_s][-count:]


def pair(symbol: Symbol) -> str:
    """Write a contract as the market data wants it: BTC/USDT."""
    return f"{symbol.removesuffix('USDT')}/USDT"
