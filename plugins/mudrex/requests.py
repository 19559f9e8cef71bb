"""Requests as values: bodies of entries and closing calls, and the steps that set a position's
protection. Pure.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from plugins.mudrex import parsing, rows
from rexalgo import (
    InvalidValue,
    OrderIntent,
    OrderType,
    Price,
    ProtectionOrder,
    floor_to_step,
    plain,
)

CURRENCY: Final = "USDT"
Body = dict[str, object]


def entry_v2(order: OrderIntent) -> Body:
    """Return an entry's body for the v2 call. The leverage is the one set for the contract."""
    body: Body = {
        "trigger_type": order.order_type.value,
        "order_type": order.position_side.value,
        "quantity": plain(order.quantity),
        "trade_currency": CURRENCY,
        "client_order_id": order.client_order_id,
    }
    if order.order_type is OrderType.LIMIT and order.limit_price is not None:
        body["order_price"] = plain(order.limit_price)
    return body | _attached(order)


def entry_v1(order: OrderIntent, reference: Price) -> Body:
    """Return an entry's body for the v1 call.

    A market order also needs a price, ``reference``; it does not execute at it.
    """
    price = reference if order.limit_price is None else order.limit_price
    return {
        "trigger_type": order.order_type.value,
        "order_type": order.position_side.value,
        "quantity": plain(order.quantity),
        "order_price": plain(price),
        "leverage": plain(order.leverage),
        "reduce_only": False,
        "trade_currency": CURRENCY,
    } | _attached(order)


def _attached(order: OrderIntent) -> Body:
    body: Body = {}
    if order.stop_loss is not None:
        body |= {"is_stoploss": True, "stoploss_price": plain(order.stop_loss)}
    if order.take_profit is not None:
        body |= {"is_takeprofit": True, "takeprofit_price": plain(order.take_profit)}
    return body


def reference_price(row: parsing.Row) -> Price:
    """Return a contract's last price on its price step, for v1 market orders."""
    price = floor_to_step(parsing.number(row, "price"), parsing.number(row, "price_step"))
    if price <= 0:
        raise InvalidValue("price", "above 0", price)
    return Price(price)


def closes_all(row: parsing.Row, order: OrderIntent) -> bool:
    """Return whether an exit closes all that its position's row shows.

    The owner may have added since the engine last read the account: no more than the order's
    quantity is ours. If less is left, a part of ours is gone already. The partial call takes only
    less than the position, so an exit of all that is there is no part, whatever the engine had read.
    """
    held = rows.quantity_held(row)
    return (
        held is not None
        and held <= order.quantity
        and (order.whole_position or held == order.quantity)
    )


def closing(row: parsing.Row, order: OrderIntent) -> tuple[str, Body]:
    """Return path and body of the call that closes a position, or a part of it."""
    path = f"/v1/futures/positions/{row['id']}/close"
    if closes_all(row, order):
        return path, {"trade_currency": CURRENCY}
    return f"{path}/partial", {
        "trade_currency": CURRENCY,
        "order_type": "MARKET",
        "quantity": plain(order.quantity),
    }


# Protection


@dataclass(frozen=True, slots=True)
class Step:
    """One request: ``POST`` or ``PATCH`` a position's risk order, or ``DELETE`` one of its legs."""

    method: str
    path: str
    body: Body


def protection_steps(row: parsing.Row, wanted: ProtectionOrder) -> list[Step]:
    """Return the requests that change a position's protection to the wanted one; none if it is set
    already.

    New legs go together, moved legs go together, and removals go last. So a position never lacks a
    stop that it keeps.
    """
    create: Body = {}
    move: Body = {}
    remove: list[str] = []
    for name, price in (("stoploss", wanted.stop_loss), ("takeprofit", wanted.take_profit)):
        leg = rows.leg(row, name)
        if price is None:
            remove += [] if leg is None else [leg.order_id]
        elif leg is None:
            create |= {f"is_{name}": True, f"{name}_price": plain(price)}
        elif leg.price != price:
            move |= {
                f"is_{name}": True,
                f"{name}_price": plain(price),
                f"{name}_order_id": leg.order_id,
            }
    path = f"/v1/futures/positions/{row['id']}/riskorder"
    common: Body = {"order_source": "API", "trade_currency": CURRENCY}
    steps = [Step("POST", path, create | common)] if create else []
    steps += [Step("PATCH", path, move | common)] if move else []
    return steps + [
        Step("DELETE", f"/v1/futures/orders/{each}", {"trade_currency": CURRENCY})
        for each in remove
    ]


def stands(row: parsing.Row, wanted: ProtectionOrder) -> bool:
    """Return whether a position's row shows exactly the wanted stop and target."""
    return not protection_steps(row, wanted)


def is_held(row: Any, order: OrderIntent | ProtectionOrder) -> bool:
    """Return whether a position's row is the one of an order: of its contract and side, and the
    named one if the order names one. A close needs only its id.
    """
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        return False
    shown = (row.get("symbol"), rows.word(row, "order_type"))
    fits = shown == (order.symbol, order.position_side.value)
    return fits and order.position_id in ("", rows.id_of_position(row))


def may_be_held(row: Any, order: OrderIntent | ProtectionOrder) -> bool:
    """Return whether an unreadable row could be the order's position. If so, nothing proves that it
    is not open. A readable id tells another position from the named one.
    """
    if not isinstance(row, dict):
        return True
    shown = rows.id_of_position(row)
    if order.position_id and shown not in (None, order.position_id):
        return False
    symbol = rows.symbol_of(row)
    if symbol is None:
        return True
    is_readable = rows.word(row, "order_type") in rows.SIDES and isinstance(row.get("id"), str)
    is_named = shown is not None and row["symbol"] == symbol
    return symbol == order.symbol and not (is_readable and is_named)


def leverage(value: Decimal) -> Body:
    """Return the body that sets a contract's leverage."""
    return {"margin_type": "ISOLATED", "leverage": plain(value), "trade_currency": CURRENCY}
