"""From the exchange's JSON to values: numbers come as numbers or as text, keys come and go, and
nothing is invented.

Pure. Raises ValueError for anything unreadable: a caller that wrote something then knows nothing, a
caller that read keeps the old value. ``rows.py`` parses the rows of an account (orders, positions,
fees), one by one.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

from rexalgo import Balance, Candle, Instrument, Money, Price, Quantity, Ratio, Symbol

Row = Mapping[str, Any]
ZERO = Decimal(0)


def data_of(content: bytes) -> Any:
    """Return the envelope's data, numbers as Decimal. Raise ValueError without success."""
    document = json.loads(content, parse_float=Decimal, parse_int=Decimal)
    if (
        not isinstance(document, dict)
        or document.get("success") is not True
        or "data" not in document
    ):
        raise ValueError("expected an envelope with success and data")
    return document["data"]


def rows_of(data: Any) -> list[Any]:
    """Return the rows of a list, unchecked. Null and an empty list are no rows."""
    if data is None:
        return []
    if not isinstance(data, list):
        raise ValueError(f"expected a list, found {type(data).__name__}")  # noqa: TRY004 - one failure type for whatever cannot be read
    return data


def number(row: Row, name: str, default: Decimal | None = None) -> Decimal:
    """Read a number from a JSON number or text. ``default`` is for an absent field, null or an
    empty text.
    """
    value = row.get(name)
    if value in (None, "") and default is not None:
        return default
    try:
        parsed = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{name}: expected a number, found {value!r}") from None
    if not parsed.is_finite():
        raise ValueError(f"{name}: expected a finite number, found {value!r}")
    return parsed


def moment(text: Any) -> datetime:
    """Read a time of the exchange as UTC. Raise ValueError for one without a zone."""
    try:
        read = datetime.fromisoformat(text.replace("Z", "+00:00"))
        if read.tzinfo is not None:
            return read.astimezone(UTC)
    except (AttributeError, OverflowError, ValueError):
        pass
    raise ValueError(f"expected a time with its zone, found {text!r}")


def minted_at(identifier: str) -> datetime | None:
    """Return when an id was created, to the millisecond, or None: the exchange's ids are UUIDs of
    version 7.
    """
    try:
        read = UUID(identifier)
        return datetime.fromtimestamp((read.int >> 80) / 1000, UTC) if read.version == 7 else None
    except (OverflowError, ValueError):
        return None


def date_of(header: str | None) -> datetime | None:
    """Read the ``Date`` of an answer: the exchange's clock, cut to the second. None if there is
    none.
    """
    try:
        return None if header is None else parsedate_to_datetime(header).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def instrument(row: Row) -> Instrument:
    """Read one contract."""
    return Instrument(
        symbol=Symbol(str(row["symbol"])),
        price_step=Price(number(row, "price_step")),
        quantity_step=Quantity(number(row, "quantity_step")),
        quantity_min=Quantity(number(row, "min_contract")),
        quantity_max=Quantity(
            min(
                number(row, "max_contract"), number(row, "max_market_contract", Decimal("Infinity"))
            )
        ),
        notional_min=Money(number(row, "min_notional_value", ZERO)),
        leverage_min=Ratio(number(row, "min_leverage")),
        leverage_max=Ratio(number(row, "max_leverage")),
    )


def balance(row: Row) -> Balance:
    """Read the futures wallet: ``balance`` is available, ``locked_amount`` is in use."""
    free, locked = number(row, "balance"), number(row, "locked_amount", ZERO)
    return Balance(Money(free), Money(free + locked))


def spot_amount(row: Row) -> Money:
    """Read the balance of the spot wallet."""
    return Money(number(row, "withdrawable", number(row, "total", ZERO)))


# Candles


def candles(data: Any, symbol: Symbol, interval_s: int) -> list[Candle]:
    """Read one contract's candles, oldest first. Without candles the envelope's data is an empty
    object.
    """
    ticks = data.get("asset_ticks") if isinstance(data, dict) else None
    rows = (ticks or {}).get(pair(symbol).lower()) or []
    read = []
    for row in rows:
        if not isinstance(row, list) or len(row) < 5:
            raise ValueError("expected candles as lists of time, open, high, low, close and volume")
        numbers = [number({"value": each}, "value") for each in row]
        opened = datetime.fromtimestamp(int(numbers[0]), UTC)
        first, high, low, last = (Price(each) for each in numbers[1:5])
        read.append(
            Candle(
                symbol=symbol,
                interval_s=interval_s,
                opened_at=opened,
                open=first,
                high=high,
                low=low,
                close=last,
                volume=numbers[5] if len(numbers) > 5 else ZERO,
            )
        )
    return sorted(read, key=lambda each: each.opened_at)


def newest_closed(read: list[Candle], now_s: int, count: int) -> list[Candle]:
    """Return the newest ``count`` closed candles, oldest first."""
    return [each for each in read if each.opened_at.timestamp() + each.interval_s <= now_s][-count:]


def pair(symbol: Symbol) -> str:
    """Return a contract's name for the market data, such as BTC/USDT."""
    return f"{symbol.removesuffix('USDT')}/USDT"
