"""From the exchange's JSON to values: numbers come as numbers or as text, keys come and go, nothing may be made up.

Pure. Raises ValueError for what cannot be read: a caller that wrote something then knows nothing, a caller that read keeps the old.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from rexalgo import (
    Balance,
    Candle,
    ClientOrderId,
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
    """Read a number that may be a JSON number or text; ``default`` where it is absent or null."""
    value = row.get(name)
    if value is None and default is not None:
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


def position(row: Row, mark: Price | None) -> Position:
    """Read an open position; the exchange gives no mark price, so the feed's is used, or the entry price where there is none."""
    side = PositionSide(str(row["order_type"]))
    entry, quantity = Price(number(row, "entry_price")), Quantity(number(row, "quantity"))
    shown = entry if mark is None else mark
    sign = 1 if side is PositionSide.LONG else -1
    liquidation = number(row, "liquidation_price", ZERO)
    return Position(
        Symbol(str(row["symbol"])), side, quantity, entry, shown, Ratio(number(row, "leverage")), Money(number(row, "initial_margin")),
        Money((shown - entry) * quantity * sign), Price(liquidation) if liquidation > 0 else None, _level(row, "stoploss"),
        _level(row, "takeprofit"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leg:
    """Hold a position's stop or target as it stands at the exchange."""

    price: Price
    order_id: str


def leg(row: Row, name: str) -> Leg | None:
    """Read ``stoploss`` or ``takeprofit`` of a position; null, price 0 and an empty order id are none."""
    member = row.get(name)
    if not isinstance(member, dict):
        return None
    price = number(member, "price", ZERO)
    return Leg(Price(price), str(member["order_id"])) if price > 0 and member.get("order_id") else None


def _level(row: Row, name: str) -> Price | None:
    found = leg(row, name)
    return None if found is None else found.price


def candles(data: Any, asset: str, symbol: Symbol, interval_s: int) -> list[Candle]:
    """Read closed candles, oldest first; an asset that the exchange leaves out has none."""
    ticks = data.get("asset_ticks", {}).get(asset.lower(), []) if isinstance(data, dict) else []
    found = []
    for tick in ticks:
        at, first, high, low, last, volume = (value if isinstance(value, Decimal) else Decimal(str(value)) for value in tick[:6])
        opened = datetime.fromtimestamp(int(at), UTC)
        found.append(Candle(symbol, interval_s, opened, Price(first), Price(high), Price(low), Price(last), volume))
    return sorted(found, key=lambda each: each.opened_at)


def order(row: Row) -> OrderReport | None:
    """Read one order row; None for the rows of stop and target. An order without a client id was made by a closing call, or by hand."""
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
        reduce_only=not cid,
        reason=str(reason.get("message", "")) if isinstance(reason, dict) else "",
    )
