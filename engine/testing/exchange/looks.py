"""What several cases check: no float anywhere, reports that do not contradict themselves, prices
that agree.
"""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from datetime import timedelta
from decimal import Decimal

from engine.domain.account import Position
from engine.domain.order import OrderReport, OrderStatus
from engine.ports.market_data import Quote
from engine.testing.report import CaseFailed, expect


def expect_no_float(value: object, where: str) -> None:
    """Fail for a float anywhere inside: a price that went through one is not the price."""
    if isinstance(value, float):
        raise CaseFailed(f"expected Decimal everywhere in {where}, found the float {value!r}")
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            expect_no_float(getattr(value, each.name), f"{where}.{each.name}")
    elif isinstance(value, list | tuple):
        for member in value:
            expect_no_float(member, where)


def expect_sound(report: OrderReport, where: str) -> None:
    """Fail for an order that contradicts itself: its state and its fill, its fill and its price,
    its time.
    """
    expect_no_float(report, where)
    filled, whole = report.filled_quantity, report.quantity
    expect(
        bool(report.exchange_order_id),
        f"expected the exchange's order id in {where}, found nothing",
    )
    expect(
        0 <= filled <= whole,
        f"expected a fill from 0 to the quantity {whole} in {where}, found {filled}",
    )
    fits = {
        OrderStatus.OPEN: filled == 0,
        OrderStatus.PARTIALLY_FILLED: 0 < filled < whole,
        OrderStatus.FILLED: filled == whole,
        OrderStatus.CANCELLED: filled < whole,
        OrderStatus.REJECTED: filled == 0,
    }
    expect(
        fits[report.status],
        f"expected a fill that fits the state in {where}, found {report.status.value} with "
        f"{filled} of {whole} filled",
    )
    has_price = report.average_price is not None and report.average_price > 0
    expect(
        has_price == (filled > 0),
        f"expected an average price exactly where something filled in {where}, found "
        f"{report.average_price}",
    )
    expect(
        report.created_at.utcoffset() == timedelta(0),
        f"expected a time in UTC in {where}, found {report.created_at!r}",
    )


def expect_all_sound(reports: Iterable[OrderReport], where: str) -> None:
    """Fail for the first order that contradicts itself, and for an id that occurs twice."""
    seen: set[str] = set()
    for order in reports:
        expect_sound(order, f"{where} {order.exchange_order_id}")
        expect(
            order.exchange_order_id not in seen,
            f"expected each order once in {where}, found {order.exchange_order_id} twice",
        )
        seen.add(order.exchange_order_id)


def near(one: Decimal, other: Decimal, share: str) -> bool:
    """Return whether two amounts differ by at most a share of the second."""
    return abs(one - other) <= abs(other) * Decimal(share)


def expect_position_adds_up(position: Position, quote: Quote) -> None:
    """Fail if prices, quantity, leverage and margin of a new position cannot all be true: then a
    unit or a contract is mixed up.
    """
    for name, price in (("entry", position.entry_price), ("mark", position.mark_price)):
        expect(
            near(price, quote.last, "0.2"),
            f"expected the {name} price of {position.symbol} near its last price {quote.last}, "
            f"found {price}",
        )
    worth = position.quantity * position.entry_price / position.leverage
    expect(
        near(position.margin, worth, "0.5"),
        f"expected a margin near quantity x entry price / leverage = {worth:.4f} for "
        f"{position.symbol}, found {position.margin}: is the "
        "quantity in units of the base asset?",
    )
