"""Rows of Mudrex as recorded, with our own values: keys, number forms, nulls and ids made at their
own time.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

AT = datetime(2026, 10, 5, 8, 0, 0, tzinfo=UTC)


def uuid7(milliseconds: int, number: int = 0) -> str:
    """Return an id that was made so many milliseconds after AT."""
    bits = f"{int(AT.timestamp() * 1000) + milliseconds:012x}"
    return f"{bits[:8]}-{bits[8:]}-7{number:03x}-8000-000000000000"


POSITION = uuid7(-2)
"""A long position of 0.002 BTC, opened at AT."""
OPENING, CLOSING, CLOSED_ROW = uuid7(1), uuid7(60_250), uuid7(60_600)
OTHER = uuid7(-600_000)


def stamp(second: int) -> str:
    """Return a time so many seconds after AT."""
    return datetime.fromtimestamp(AT.timestamp() + second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def order_row(**changes: Any) -> dict[str, Any]:
    """Return the row of the entry that opened POSITION."""
    return {
        "created_at": stamp(0),
        "updated_at": stamp(1),
        "reason": {"message": "OK"},
        "actual_amount": Decimal("160.02"),
        "quantity": Decimal("0.002"),
        "filled_quantity": Decimal("0.002"),
        "price": Decimal("80009.9"),
        "filled_price": Decimal("80010.0000000000000001"),
        "leverage": Decimal(5),
        "hedge_rate": Decimal(1),
        "order_type": "LONG",
        "trigger_type": "MARKET",
        "trade_currency": "USDT",
        "status": "FILLED",
        "id": OPENING,
        "client_order_id": None,
        "asset_uuid": "01903a7b-bf65-707d-a7dc-d7b84c3c756c",
        "symbol": "BTCUSDT",
        "future_position_uuid": POSITION,
        "position_id": POSITION,
        **changes,
    }


def closing_row(**changes: Any) -> dict[str, Any]:
    """Return the row of the order that closed POSITION a minute later."""
    same = Decimal("80100")
    return order_row(
        **{
            "id": CLOSING,
            "created_at": stamp(60),
            "updated_at": stamp(60),
            "reason": None,
            "order_type": "SHORT",
            "price": same,
            "filled_price": same,
            "actual_amount": Decimal("160.2"),
            **changes,
        }
    )


def leg_row(**changes: Any) -> dict[str, Any]:
    """Return the row of a stop of POSITION: no quantity, the trigger in ``price``."""
    zeros = dict.fromkeys(
        ("actual_amount", "quantity", "filled_quantity", "filled_price", "leverage"), "0"
    )
    return order_row(
        **zeros
        | {
            "id": uuid7(5),
            "reason": None,
            "price": "79000",
            "order_type": "STOPLOSS",
            "status": "CREATED",
            **changes,
        }
    )


SPARSE_LEG: Mapping[str, Any] = {
    "price": Decimal("0.13"),
    "order_type": "TAKEPROFIT",
    "trigger_type": "MARKET",
    "trade_currency": "USDT",
    "status": "CREATED",
    "id": uuid7(9),
    "symbol": "SOMIUSDT",
}
NO_LEG: Mapping[str, Any] = {"price": "0", "order_id": "", "order_type": ""}


def position_row(**changes: Any) -> dict[str, Any]:
    """Return the open row of POSITION."""
    return {
        "created_at": stamp(0),
        "updated_at": stamp(1),
        "stoploss": {"price": "79000", "order_id": uuid7(5), "order_type": "SHORT"},
        "takeprofit": NO_LEG,
        "entry_price": "80010.0000000000000001",
        "quantity": "0.002",
        "leverage": "5",
        "liquidation_price": "64200.1",
        "initial_margin": "32.004",
        "maintenance_margin": "0.6",
        "entry_hedge_rate": "1",
        "order_type": "LONG",
        "status": "OPEN",
        "id": POSITION,
        "position_id": POSITION,
        "asset_uuid": "01903a7b-bf65-707d-a7dc-d7b84c3c756c",
        "symbol": "BTCUSDT",
        "trade_currency": "USDT",
        **changes,
    }


def closed_row(**changes: Any) -> dict[str, Any]:
    """Return the row of POSITION in the positions' history."""
    return {
        "id": CLOSED_ROW,
        "position_id": POSITION,
        "order_id": CLOSING,
        "position_type": "LONG",
        "status": "CLOSED",
        "leverage": "5",
        "entry_price": "80010.0000000000000001",
        "closed_price": "80100",
        "quantity": "0.002",
        "pnl": "0.17",
        "created_at": stamp(0),
        "updated_at": stamp(60),
        "asset_uuid": "01903a7b-bf65-707d-a7dc-d7b84c3c756c",
        "symbol": "BTCUSDT",
        "trade_currency": "USDT",
        "entry_hedge_rate": "1",
        "exit_hedge_rate": "1",
        **changes,
    }


def fee_row(**changes: Any) -> dict[str, Any]:
    """Return the row of the fee of POSITION's entry: 0.059 % with the tax inside."""
    return {
        "id": uuid7(700),
        "symbol": "BTCUSDT",
        "fee_amount": "0.09441180",
        "fee_perc": "0.059",
        "fee_type": "TRANSACTION",
        "created_at": stamp(1),
        "transaction_amount": "160.02",
        "trade_currency": "USDT",
        "order_type": "LONG",
        "trigger_type": "MARKET",
        "gst_amount": "0.01440180",
        **changes,
    }
