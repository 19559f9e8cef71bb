"""Manual acts of the owner of a SIMULATED account: open, add to, close or turn a position, and move
money.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from plugins.mudrex.simulator import checks
from plugins.mudrex.simulator.exchange import Exchange
from plugins.mudrex.simulator.netting import FEE
from plugins.mudrex.simulator.values import (
    ZERO,
    Account,
    Order,
    Position,
    Refusal,
    contract_of,
    number,
)


def act(exchange: Exchange, body: Mapping[str, Any], now: float) -> dict[str, object]:
    """Do one act, filled at once. Raise Refusal. A close without ``quantity`` closes everything."""
    name, symbol, what = (
        exchange.name_of(body["account"]),
        contract_of(body["symbol"]).symbol,
        body["act"],
    )
    account = exchange.settled(name, now)
    position = account.positions.get(symbol)
    if what != "open" and position is None:
        raise Refusal(404, "Position not found")
    if what == "open":
        _order(
            exchange,
            name=name,
            symbol=symbol,
            side=body["side"],
            quantity=number(dict(body), "quantity"),
            now=now,
        )
    elif what == "add" and position is not None:
        _order(
            exchange,
            name=name,
            symbol=symbol,
            side=position.side,
            quantity=number(dict(body), "quantity"),
            now=now,
        )
    elif what == "close" and position is not None:
        _close(
            exchange,
            name=name,
            position=position,
            quantity=None if body.get("quantity") is None else number(dict(body), "quantity"),
            now=now,
        )
    elif what == "reverse" and position is not None:
        _close(exchange, name=name, position=position, quantity=None, now=now)
        _order(
            exchange,
            name=name,
            symbol=symbol,
            side=position.closing_side,
            quantity=position.quantity,
            now=now,
        )
    else:
        raise Refusal(400, f"act: expected open, add, close or reverse, found {what!r}")
    left = account.positions.get(symbol)
    return {"position": None if left is None else left.row(account.legs(left.id))}


def _order(
    exchange: Exchange, name: str, symbol: str, side: str, quantity: Decimal, now: float
) -> None:
    """Fill a market order at the leverage of the position, or of the contract."""
    account, contract = exchange.settled(name, now), contract_of(symbol)
    checks.quantity(contract, quantity)
    position, price = account.positions.get(symbol), exchange.world.prices.at(symbol, now)
    leverage = account.leverage.get(symbol, Decimal(1)) if position is None else position.leverage
    if side not in ("LONG", "SHORT"):
        raise Refusal(400, "invalid order type")
    if quantity * price / leverage + quantity * price * FEE > account.balance + sum(
        (amount for _, amount in account.freed), ZERO
    ):
        raise Refusal(400, "insufficient balance")
    order = exchange.new_order(
        account,
        contract=contract,
        side=side,
        trigger="MARKET",
        quantity=quantity,
        price=price,
        leverage=leverage,
        now=now,
    )
    order.by = "owner"
    _fill(exchange, name=name, account=account, order=order, now=now)


def _close(
    exchange: Exchange, name: str, position: Position, quantity: Decimal | None, now: float
) -> None:
    account = exchange.settled(name, now)
    _fill(
        exchange,
        name=name,
        account=account,
        order=exchange.closing_order(account, position, quantity, now, by="owner"),
        now=now,
    )


def _fill(exchange: Exchange, name: str, account: Account, order: Order, now: float) -> None:
    exchange.keep(name, account, [order], accepted=True)
    order.due = now
    exchange.settled(name, now)


def transfer(exchange: Exchange, key: str, amount: Decimal, now: float) -> dict[str, object]:
    """Move money into the futures wallet, or out of it (below 0)."""
    name = exchange.name_of(key)
    account = exchange.settled(name, now)
    if account.balance + amount < 0:
        raise Refusal(400, "Insufficient funds")
    account.balance += amount
    account.change(now, "deposit" if amount > 0 else "withdrawal", amount)
    exchange.keep(name, account)
    return {"balance": str(account.balance), "total": str(account.total)}
