"""The effect of a fill on a SIMULATED account: one position per contract is opened, averaged,
reduced, closed, or turned by a switch.

Money is exact: every change of the wallet is in ``Account.wallet`` with its cause. The rows about
it appear later.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from random import Random
from typing import Final

from plugins.mudrex.simulator.contracts import CONTRACTS
from plugins.mudrex.simulator.switches import Switches
from plugins.mudrex.simulator.values import ZERO, Account, Order, Position, digits, stamp, text

FEE: Final = Decimal("0.00059")
"""The taker fee including its tax, as a share of the notional."""
TAX_OF_FEE: Final = Decimal("0.18") / Decimal("1.18")
REBATE_OF_FEE: Final = Decimal("0.4")
FINEST: Final = Decimal("1e-8")
FINEST_REBATE: Final = Decimal("1e-4")
FEE_BORN_S: Final = (0.5, 1.1)
CLOSED_BORN_S: Final = (0.25, 0.8)
REBATE_AFTER_S: Final = 0.004


@dataclass(slots=True)
class Books:
    """What writing rows needs: the switches, new ids, and the delay of each row."""

    switches: Switches
    new_id: Callable[[float], str]
    random: Random

    def born(self, at: float, within: tuple[float, float], late_s: float) -> float:
        """Return when a row about ``at`` appears."""
        return at + self.random.uniform(*within) + late_s


def apply_fill(
    account: Account, order: Order, quantity: Decimal, price: Decimal, at: float, books: Books
) -> Decimal:
    """Fill a part of an order in its account. Return the filled quantity, which is less if a
    position ends before the order.
    """
    position = account.positions.get(order.symbol)
    if position is None or position.side == order.side:
        _grow(
            account,
            position=position,
            order=order,
            quantity=quantity,
            price=price,
            at=at,
            books=books,
        )
        return quantity
    filled = min(quantity, position.quantity)
    shrink(
        account, position=position, order=order, quantity=filled, price=price, at=at, books=books
    )
    if quantity > filled and books.switches.opposite_larger_flips and not order.reduce_only:
        _grow(
            account,
            position=None,
            order=order,
            quantity=quantity - filled,
            price=price,
            at=at,
            books=books,
        )
        return quantity
    return filled


def _grow(
    account: Account,
    position: Position | None,
    order: Order,
    quantity: Decimal,
    price: Decimal,
    at: float,
    books: Books,
) -> None:
    if position is None:
        used = {each["position_id"] for each in account.closed}
        identifier = (
            order.position_id
            if order.position_id and order.position_id not in used
            else books.new_id(at)
        )
        position = account.positions[order.symbol] = Position(
            id=identifier,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            entry_price=price,
            leverage=order.leverage,
            created=at,
            checked=at,
        )
        account.balance -= position.margin
    else:
        account.balance += position.margin
        position.entry_price = (position.entry_price * position.quantity + price * quantity) / (
            position.quantity + quantity
        )
        position.quantity += quantity
        account.balance -= position.margin
    order.position_id = position.id
    _note_fill(
        account,
        order=order,
        side=order.side,
        quantity=quantity,
        price=price,
        at=at,
        profit=ZERO,
        by=order.by,
    )
    fee = _charge(
        account, order=order, worth=quantity * price, at=at, books=books, most=account.balance
    )
    account.balance -= fee


def shrink(
    account: Account,
    position: Position,
    order: Order,
    quantity: Decimal,
    price: Decimal,
    at: float,
    books: Books,
) -> None:
    """Close part or all of a position by an order. ``order.by`` is the cause."""
    profit = (price - position.entry_price) * quantity * position.sign
    back = position.margin * quantity / position.quantity + profit
    order.position_id = position.id
    _note_fill(
        account,
        order=order,
        side=position.closing_side,
        quantity=quantity,
        price=price,
        at=at,
        profit=profit,
        by=order.by,
    )
    fee = _charge(
        account,
        order=order,
        worth=quantity * price,
        at=at,
        books=books,
        most=back + max(account.balance, ZERO),
    )
    account.freed.append((at + books.switches.margin_freed_after_s, back - min(fee, back)))
    account.balance -= fee - min(fee, back)
    if quantity < position.quantity:
        if books.switches.partial_closes == "parts":
            _write_closed(
                account,
                position=position,
                order=order,
                quantity=quantity,
                price=price,
                at=at,
                books=books,
            )
        position.added -= position.added * quantity / position.quantity
        position.quantity -= quantity
        position.closed += quantity
        position.closed_worth += quantity * price
        return
    del account.positions[position.symbol]
    if books.switches.legs_vanish_with_position:
        for leg in account.legs(position.id).values():
            leg.status, leg.updated = "CANCELLED", at
    if books.switches.partial_closes == "whole" and position.closed:
        price = (position.closed_worth + quantity * price) / (position.closed + quantity)
        quantity += position.closed
    _write_closed(
        account, position=position, order=order, quantity=quantity, price=price, at=at, books=books
    )


def _note_fill(
    account: Account,
    order: Order,
    side: str,
    quantity: Decimal,
    price: Decimal,
    at: float,
    profit: Decimal,
    by: str,
) -> None:
    account.change(
        at,
        "fill",
        profit,
        order_id=order.id,
        client_order_id=order.client_order_id or "",
        position_id=order.position_id,
        symbol=order.symbol,
        side=side,
        quantity=quantity,
        price=price,
        by=by,
    )


def _charge(
    account: Account, order: Order, worth: Decimal, at: float, books: Books, most: Decimal
) -> Decimal:
    """Add the fee row of a fill and its rebate. Return the fee, which the caller deducts. The rows
    name no order and appear later.
    """
    fee = min((worth * FEE).quantize(FINEST, ROUND_UP), max(most, ZERO))
    born = books.born(at, FEE_BORN_S, books.switches.fee_rows_late_s)
    row: dict[str, object] = {
        "_born": born,
        "id": books.new_id(born),
        "symbol": order.symbol,
        "fee_amount": text(fee),
        "fee_perc": text(FEE * 100),
        "fee_type": "TRANSACTION",
        "created_at": stamp(born),
        "transaction_amount": text(worth),
        "trade_currency": "USDT",
        "order_type": order.side,
        "trigger_type": order.trigger,
    }
    names = {"order_id": order.id, "position_id": order.position_id, "symbol": order.symbol}
    account.change(at, "fee", -fee, **names)
    account.fees.append(
        {**row, "gst_amount": text((fee * TAX_OF_FEE).quantize(FINEST, ROUND_DOWN))}
    )
    rebate = (fee * REBATE_OF_FEE).quantize(FINEST_REBATE, ROUND_DOWN)
    if rebate and order.by != "liquidation":
        account.balance += rebate
        account.change(at, "rebate", rebate, **names)
        back = {
            "fee_type": "REBATE",
            "fee_amount": text(rebate),
            "fee_perc": text(FEE * REBATE_OF_FEE * 100),
        }
        account.fees.append({**row, **back, "id": books.new_id(born + REBATE_AFTER_S)})
    return fee


def pay_funding(
    account: Account, position: Position, rate: Decimal, price: Decimal, at: float, books: Books
) -> None:
    """Deduct funding (below 0: add it) and write its row, which has no fields of an order."""
    worth = position.quantity * price
    amount = (worth * rate * position.sign).quantize(FINEST)
    account.balance -= amount
    account.change(at, "funding", -amount, position_id=position.id, symbol=position.symbol)
    account.fees.append(
        {
            "_born": at,
            "id": books.new_id(at),
            "symbol": position.symbol,
            "fee_amount": text(amount),
            "fee_perc": text(rate * position.sign * 100),
            "fee_type": "FUNDING",
            "created_at": stamp(at),
            "transaction_amount": text(worth),
            "trade_currency": "USDT",
        }
    )


def _write_closed(
    account: Account,
    position: Position,
    order: Order,
    quantity: Decimal,
    price: Decimal,
    at: float,
    books: Books,
) -> None:
    """Add a row of the positions' history. It names the position and the order that closed it, and
    appears later.
    """
    born = max(at, books.born(order.created, CLOSED_BORN_S, 0)) + books.switches.closed_rows_late_s
    pnl = ((price - position.entry_price) * quantity * position.sign).quantize(FINEST, ROUND_DOWN)
    account.closed.append(
        {
            "_born": born,
            "_opened": position.created,
            "id": books.new_id(born) if books.switches.closed_position_has_new_id else position.id,
            "position_id": position.id,
            "order_id": order.id,
            "position_type": position.side,
            "status": "LIQUIDATED" if order.by == "liquidation" else "CLOSED",
            "leverage": str(position.leverage),
            "entry_price": str(digits(position.entry_price)),
            "closed_price": str(digits(price)),
            "quantity": str(quantity),
            "pnl": text(pnl),
            "created_at": stamp(position.created),
            "updated_at": stamp(at),
            "asset_uuid": CONTRACTS[position.symbol].id,
            "symbol": position.symbol,
            "trade_currency": "USDT",
            "entry_hedge_rate": "1",
            "exit_hedge_rate": "1",
        }
    )
