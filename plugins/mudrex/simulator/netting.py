"""What a fill does to a SIMULATED account: one position per contract is opened, averaged, shrunk, closed, or turned by a switch."""

from collections.abc import Callable
from decimal import Decimal

from plugins.mudrex.simulator.contracts import CONTRACTS
from plugins.mudrex.simulator.switches import Switches
from plugins.mudrex.simulator.values import ZERO, Account, Order, Position, stamp

FEE = Decimal("0.00059")
"""The taker fee with its tax, as a share of the value."""
TAX_OF_FEE = Decimal("0.18") / Decimal("1.18")


def apply_fill(
    account: Account, order: Order, quantity: Decimal, price: Decimal, at: float, switches: Switches, new_id: Callable[[float], str]
) -> Decimal:  # fmt: skip
    """Fill a part of an order into its account; returns how much was filled, which is less where a position ends before the order."""
    held = account.positions.get(order.symbol)
    if held is None or held.side == order.side:
        _grow(account, held, order, quantity, price, at, order.position_id or new_id(at))
        filled = quantity
    else:
        filled = min(quantity, held.quantity)
        _shrink(account, held, filled, price, at, switches, new_id)
        if quantity > filled and switches.opposite_larger_flips and not order.reduce_only:
            _grow(account, None, order, quantity - filled, price, at, new_id(at))
            filled = quantity
    charge(account, order, filled, price, at, new_id)
    return filled


def charge(account: Account, order: Order, quantity: Decimal, price: Decimal, at: float, new_id: Callable[[float], str]) -> None:
    """Take the fee of a fill and write its row; the row names no order."""
    fee = quantity * price * FEE
    account.balance -= fee
    account.fees.append(
        {"id": new_id(at), "symbol": order.symbol, "fee_type": "TRANSACTION", "fee_amount": str(fee), "fee_perc": str(FEE * 100),
         "transaction_amount": str(quantity * price), "gst_amount": str(fee * TAX_OF_FEE), "order_type": order.side,
         "trigger_type": order.trigger, "trade_currency": "USDT", "created_at": stamp(at)}
    )  # fmt: skip


def pay_funding(account: Account, held: Position, amount: Decimal, at: float, new_id: Callable[[float], str]) -> None:
    """Take funding (below 0: give it) and write its row, which has no fields of an order."""
    account.balance -= amount
    account.fees.append(
        {"id": new_id(at), "symbol": held.symbol, "fee_type": "FUNDING", "fee_amount": str(amount), "trade_currency": "USDT",
         "created_at": stamp(at)}
    )  # fmt: skip


def _grow(
    account: Account, held: Position | None, order: Order, quantity: Decimal, price: Decimal, at: float, position_id: str
) -> None:  # fmt: skip
    if held is None:
        held = account.positions[order.symbol] = Position(position_id, order.symbol, order.side, quantity, price, order.leverage, at, at)
        account.balance -= held.margin
    else:
        account.balance += held.margin
        held.entry_price = (held.entry_price * held.quantity + price * quantity) / (held.quantity + quantity)
        held.quantity += quantity
        account.balance -= held.margin
    order.position_id = held.id


def _shrink(
    account: Account, held: Position, quantity: Decimal, price: Decimal, at: float, switches: Switches, new_id: Callable[[float], str]
) -> None:
    share = held.margin * quantity / held.quantity
    profit = (price - held.entry_price) * quantity * held.sign
    account.freed.append((at + switches.margin_freed_after_s, max(ZERO, share + profit)))
    if quantity < held.quantity:
        held.added -= held.added * quantity / held.quantity
        held.quantity -= quantity
        return
    close_position(account, held, price, at, switches, new_id, "CLOSED")


def close_position(
    account: Account, held: Position, price: Decimal, at: float, switches: Switches, new_id: Callable[[float], str], status: str
) -> None:
    """Take a position away and write its row in the positions' history; its stop and target vanish with it where a switch says so."""
    del account.positions[held.symbol]
    if switches.legs_vanish_with_position:
        for leg in account.legs(held.id).values():
            leg.status, leg.updated = "CANCELLED", at
    identifier = new_id(at) if switches.closed_position_has_new_id else held.id
    account.closed.append(
        {"id": identifier, "symbol": held.symbol, "asset_uuid": CONTRACTS[held.symbol].id, "trade_currency": "USDT",
         "position_type": held.side, "status": status, "leverage": str(held.leverage), "entry_price": str(held.entry_price),
         "closed_price": str(price), "quantity": str(held.quantity), "pnl": str((price - held.entry_price) * held.quantity * held.sign),
         "entry_hedge_rate": "1", "exit_hedge_rate": "1", "created_at": stamp(held.created), "updated_at": stamp(at)}
    )  # fmt: skip
