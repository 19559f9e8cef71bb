"""The events at the venue, as values, and their form in the journal: one JSON object each.

The order lines of the journal are the exchange's own record. People and tests read them, so every
field is written out: account key, client order id, exchange order id, symbol, side, quantity as
sent, reduce_only, time. Money is text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rexalgo import (
    ClientOrderId,
    Money,
    OrderSide,
    OrderType,
    Price,
    Quantity,
    Ratio,
    Symbol,
    plain,
)

Record = dict[str, object]


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. ``quantity`` is below the order's when a reduce-only order meets a smaller
    position.
    """

    quantity: Quantity
    price: Price
    fee: Money


@dataclass(frozen=True, slots=True)
class AccountOpened:
    """The event that opens an account with its starting balance."""

    account: str
    balance: Money
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    """The event that accepts an order. ``fill`` is None while it rests; ``client_order_id`` is None
    for the venue's own orders.

    ``reserve`` is the margin and fee reserved while it rests; it is zero for an order that fills at
    once or only reduces. ``reason`` says why the venue acted by itself (stop, target, liquidation);
    it is empty otherwise.
    """

    account: str
    order_id: str
    client_order_id: ClientOrderId | None
    symbol: Symbol
    side: OrderSide
    quantity: Quantity
    order_type: OrderType
    leverage: Ratio
    limit_price: Price | None
    stop_loss: Price | None
    take_profit: Price | None
    reduce_only: bool
    reserve: Money
    fill: Fill | None
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderFilled:
    """The event that fills a resting order."""

    account: str
    order_id: str
    fill: Fill
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """The event that cancels a resting order."""

    account: str
    order_id: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ProtectionSet:
    """The event that sets a position's stop and target; None removes one."""

    account: str
    symbol: Symbol
    stop_loss: Price | None
    take_profit: Price | None
    at: datetime


Event = AccountOpened | OrderPlaced | OrderFilled | OrderCancelled | ProtectionSet


def write_event(event: Event) -> Record:
    """Return an event in its journal form."""
    match event:
        case AccountOpened(account, balance, at):
            return {
                "kind": "account",
                "account": account,
                "balance": plain(balance),
                "at": at.isoformat(),
            }
        case OrderPlaced():
            return _write_order(event)
        case OrderFilled(account, order_id, fill, at):
            return {
                "kind": "fill",
                "account": account,
                "exchange_order_id": order_id,
                **_write_fill(fill),
                "at": at.isoformat(),
            }
        case OrderCancelled(account, order_id, reason, at):
            return {
                "kind": "cancel",
                "account": account,
                "exchange_order_id": order_id,
                "reason": reason,
                "at": at.isoformat(),
            }
        case ProtectionSet(account, symbol, stop, target, at):
            levels = {"stop_loss": _text(stop), "take_profit": _text(target)}
            return {
                "kind": "protection",
                "account": account,
                "symbol": symbol,
                **levels,
                "at": at.isoformat(),
            }


def read_event(record: Mapping[str, object]) -> Event:
    """Return the event of a record. Raise KeyError or ValueError for a record that this version did
    not write.
    """
    kind = record["kind"]
    account, at = str(record["account"]), datetime.fromisoformat(str(record["at"]))
    match kind:
        case "account":
            return AccountOpened(account, Money(Decimal(str(record["balance"]))), at)
        case "order":
            return _read_order(record, account, at)
        case "fill":
            return OrderFilled(account, str(record["exchange_order_id"]), _read_fill(record), at)
        case "cancel":
            return OrderCancelled(
                account, str(record["exchange_order_id"]), str(record["reason"]), at
            )
        case "protection":
            stop, target = _price(record["stop_loss"]), _price(record["take_profit"])
            return ProtectionSet(
                account=account,
                symbol=Symbol(str(record["symbol"])),
                stop_loss=stop,
                take_profit=target,
                at=at,
            )
        case _:
            raise ValueError(
                "expected a record of kind account, order, fill, cancel or protection, found "
                f"{kind!r}"
            )


def _write_order(order: OrderPlaced) -> Record:
    return {
        "kind": "order",
        "account": order.account,
        "client_order_id": order.client_order_id,
        "exchange_order_id": order.order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "quantity": plain(order.quantity),
        "reduce_only": order.reduce_only,
        "type": order.order_type.value,
        "leverage": plain(order.leverage),
        "limit_price": _text(order.limit_price),
        "stop_loss": _text(order.stop_loss),
        "take_profit": _text(order.take_profit),
        "reserve": plain(order.reserve),
        **(_NO_FILL if order.fill is None else _write_fill(order.fill)),
        "reason": order.reason,
        "at": order.at.isoformat(),
    }


def _read_order(record: Mapping[str, object], account: str, at: datetime) -> OrderPlaced:
    client_id = record["client_order_id"]
    return OrderPlaced(
        account=account,
        order_id=str(record["exchange_order_id"]),
        client_order_id=None if client_id is None else ClientOrderId(str(client_id)),
        symbol=Symbol(str(record["symbol"])),
        side=OrderSide(record["side"]),
        quantity=Quantity(Decimal(str(record["quantity"]))),
        order_type=OrderType(record["type"]),
        leverage=Ratio(Decimal(str(record["leverage"]))),
        limit_price=_price(record["limit_price"]),
        stop_loss=_price(record["stop_loss"]),
        take_profit=_price(record["take_profit"]),
        reduce_only=record["reduce_only"] is True,
        reserve=Money(Decimal(str(record["reserve"]))),
        fill=None if record["filled_quantity"] is None else _read_fill(record),
        reason=str(record["reason"]),
        at=at,
    )


_NO_FILL: Record = {"filled_quantity": None, "price": None, "fee": None}


def _write_fill(fill: Fill) -> Record:
    return {
        "filled_quantity": plain(fill.quantity),
        "price": plain(fill.price),
        "fee": plain(fill.fee),
    }


def _read_fill(record: Mapping[str, object]) -> Fill:
    quantity, price, fee = (
        Decimal(str(record[name])) for name in ("filled_quantity", "price", "fee")
    )
    return Fill(Quantity(quantity), Price(price), Money(fee))


def _text(price: Price | None) -> str | None:
    return None if price is None else plain(price)


def _price(text: object) -> Price | None:
    return None if text is None else Price(Decimal(str(text)))
