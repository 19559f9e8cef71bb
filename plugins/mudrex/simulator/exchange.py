"""SIMULATED exchange state: accounts, orders that fill a little later, one netted isolated position per contract. Time is passed in.

It knows nothing of HTTP. What it answers is the exchange's own wire shape: numbers in order rows, strings in positions and funds, null
for no position. Source of every rule: the exchange's public documentation and published captures of it.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from uuid import UUID

from plugins.mudrex.simulator.contracts import CONTRACTS, Contract

FEE = Decimal("0.00059")
TRANSFER_DELAY_S = 1.0
ZERO = Decimal(0)


class Refusal(Exception):
    """Say no: an HTTP status, the envelope's code and its text."""

    def __init__(self, status: int, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = status if code is None else code


@dataclass(slots=True)
class Order:
    """Hold one order; ``due`` is when it fills (seconds since 1970)."""

    id: str
    symbol: str
    side: str
    trigger: str
    quantity: Decimal
    price: Decimal
    leverage: Decimal
    created: float
    due: float
    reduce_only: bool = False
    client_order_id: str | None = None
    status: str = "CREATED"
    filled: Decimal = ZERO
    filled_price: Decimal = ZERO
    updated: float = 0.0
    reason: str | None = None

    def row(self) -> dict[str, object]:
        """Write it as the order lists do: JSON numbers, sparse."""
        made: dict[str, object] = {
            "id": self.id, "created_at": stamp(self.created), "updated_at": stamp(self.updated or self.created), "symbol": self.symbol,
            "asset_uuid": CONTRACTS[self.symbol].id, "trade_currency": "USDT", "order_type": self.side, "trigger_type": self.trigger,
            "status": self.status, "quantity": float(self.quantity), "filled_quantity": float(self.filled), "price": float(self.price),
            "filled_price": float(self.filled_price), "leverage": float(self.leverage),
            "reason": None if self.reason is None else {"message": self.reason},
        }  # fmt: skip
        return made if self.client_order_id is None else {**made, "client_order_id": self.client_order_id}


@dataclass(slots=True)
class Position:
    """Hold one open position."""

    id: str
    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal
    leverage: Decimal
    created: float

    @property
    def margin(self) -> Decimal:
        """Return the initial margin: quantity x entry price / leverage."""
        return self.quantity * self.entry_price / self.leverage

    def row(self) -> dict[str, object]:
        """Write it as ``GET /futures/positions`` does: strings."""
        sign = 1 if self.side == "LONG" else -1
        return {
            "id": self.id, "symbol": self.symbol, "asset_uuid": CONTRACTS[self.symbol].id, "trade_currency": "USDT",
            "order_type": self.side, "status": "OPEN", "quantity": str(self.quantity), "entry_price": str(self.entry_price),
            "leverage": str(self.leverage), "initial_margin": str(self.margin), "maintenance_margin": str(self.margin / 20),
            "liquidation_price": str(self.entry_price * (1 - sign / self.leverage)), "entry_hedge_rate": "1", "stoploss": None,
            "takeprofit": {"price": "0", "order_id": ""}, "created_at": stamp(self.created), "updated_at": stamp(self.created),
        }  # fmt: skip


@dataclass(slots=True)
class Account:
    """Hold one account by its secret."""

    balance: Decimal
    leverage: dict[str, Decimal] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    client_order_ids: set[str] = field(default_factory=set)

    @property
    def locked(self) -> Decimal:
        """Return the margin in use."""
        return sum((each.margin for each in self.positions.values()), ZERO)


class Exchange:
    """Hold the whole simulated exchange. ``accepted`` is called with every order at its acceptance, before anything is answered."""

    def __init__(
        self, seed: int = 1, fill_s: tuple[float, float] = (0.2, 0.8), balance: Decimal = Decimal(10_000),
        accepted: Callable[[Mapping[str, object]], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._random = random.Random(seed)  # noqa: S311 - a simulated market guards nothing
        self._fill_s = fill_s
        self._balance = balance
        self._accepted = accepted
        self._count = 0
        self.accounts: dict[str, Account] = {}

    def account(self, secret: str, now: float) -> Account:
        """Return an account with everything that is due done; an unknown secret is a new account, unless it is too short."""
        if len(secret) < 3 or secret.startswith("bad"):
            raise Refusal(401, "Invalid Authentication", 3100)
        account = self.accounts.get(secret)
        if account is None:
            account = self.accounts[secret] = Account(self._balance)
        for order in account.orders:
            if order.status == "CREATED" and order.due <= now:
                self._fill(account, order)
        return account

    def new_id(self, now: float) -> str:
        """Make a UUID of version 7: its first 48 bits are milliseconds since 1970."""
        self._count += 1
        number = (int(now * 1000) << 80) | (7 << 76) | (self._count & 0xFFF) << 64 | (2 << 62) | self._random.getrandbits(62)
        return str(UUID(int=number))

    # Orders

    def place(self, secret: str, body: Mapping[str, object], now: float, symbol: str, *, version: int) -> dict[str, object]:
        """Take an order; checks in the exchange's order: parameters, types, price, step, range, leverage, notional, balance."""
        account, contract = self.account(secret, now), _contract(symbol)
        cid = body.get("client_order_id") if version == 2 else None
        if cid is not None and cid in account.client_order_ids:
            raise Refusal(409, "client order id already exists")
        trigger, side = body.get("trigger_type"), body.get("order_type")
        if trigger not in ("MARKET", "LIMIT"):
            raise Refusal(400, "invalid trigger type")
        if side not in ("LONG", "SHORT"):
            raise Refusal(400, "invalid order type")
        price = _number(body, "order_price", contract.price)
        if not contract.price_step <= price <= contract.price_max or price % contract.price_step:
            raise Refusal(400, "order price out of permissible range")
        quantity = _number(body, "quantity")
        self._check_quantity(contract, quantity)
        leverage = self._leverage(account, contract, body, version)
        if quantity * price < contract.notional_min:
            raise Refusal(400, "order value less than minimum required value")
        reduces = self._reduces(account, contract, str(side), bool(body.get("reduce_only")))
        if not reduces and quantity * price / leverage + quantity * price * FEE > account.balance:
            raise Refusal(400, "insufficient balance")
        order = self._new_order(account, contract, str(side), str(trigger), quantity, price, leverage, now)
        order.client_order_id = str(cid) if cid is not None else None
        if cid is not None:
            account.client_order_ids.add(str(cid))
        self._record(secret, order)
        told: dict[str, object] = {"order_id": order.id, "status": "CREATED"}
        if version == 2:
            return {**told, "client_order_id": order.client_order_id}
        amount = quantity * price
        return {**told, "leverage": str(leverage), "amount": str(amount), "quantity": str(quantity), "price": str(price), "message": "OK"}

    def _check_quantity(self, contract: Contract, quantity: Decimal) -> None:
        if quantity % contract.quantity_step:
            raise Refusal(400, "quantity not a multiple of the quantity step")
        if not contract.quantity_step <= quantity <= contract.quantity_max:
            raise Refusal(400, "order quantity out of permissible range")

    def _leverage(self, account: Account, contract: Contract, body: Mapping[str, object], version: int) -> Decimal:
        if version == 1:
            leverage = _number(body, "leverage")
            self.set_leverage(account, contract, leverage)
            return leverage
        return account.leverage.get(contract.symbol, Decimal(1))

    def _reduces(self, account: Account, contract: Contract, side: str, reduce_only: bool) -> bool:
        held = account.positions.get(contract.symbol)
        opposite = held is not None and held.side != side
        if reduce_only and not opposite:
            raise Refusal(400, "reduce only order would increase position")
        return opposite

    def _new_order(
        self,
        account: Account,
        contract: Contract,
        side: str,
        trigger: str,
        quantity: Decimal,
        price: Decimal,
        leverage: Decimal,
        now: float,
    ) -> Order:
        due = now + self._random.uniform(*self._fill_s) if trigger == "MARKET" else float("inf")
        order = Order(self.new_id(now), contract.symbol, side, trigger, quantity, price, leverage, now, due)
        account.orders.append(order)
        return order

    def _record(self, secret: str, order: Order) -> None:
        self._accepted({"account": secret, "reduce_only": order.reduce_only, **order.row(), "quantity": str(order.quantity)})

    def _fill(self, account: Account, order: Order) -> None:
        contract, held = CONTRACTS[order.symbol], account.positions.get(order.symbol)
        order.filled, order.filled_price, order.updated = order.quantity, contract.price, order.due
        order.status = "FILLED"
        account.balance -= order.quantity * contract.price * FEE
        if held is None:
            opened = Position(
                self.new_id(order.due), order.symbol, order.side, order.quantity, contract.price, order.leverage, order.due
            )  # fmt: skip
            account.positions[order.symbol] = opened
            account.balance -= opened.margin
        elif held.side == order.side:
            account.balance += held.margin
            held.quantity += order.quantity
            account.balance -= held.margin
        else:
            account.balance += held.margin
            left = held.quantity - order.quantity
            if left > 0:
                held.quantity = left
                account.balance -= held.margin
            else:
                del account.positions[order.symbol]
                order.filled = min(order.quantity, order.quantity + left)

    def cancel(self, secret: str, order_id: str, now: float) -> None:
        """Cancel a resting order."""
        order = next((each for each in self.account(secret, now).orders if each.id == order_id), None)
        if order is None:
            raise Refusal(404, "order not found")
        if order.status != "CREATED":
            raise Refusal(400, "order already " + order.status.lower())
        order.status, order.updated = "CANCELLED", now

    # Positions

    def close(self, secret: str, position_id: str, quantity: Decimal | None, now: float) -> Order:
        """Close a position, or a part of it; the order that does it shows up in the history without a client order id."""
        account = self.account(secret, now)
        held = next((each for each in account.positions.values() if each.id == position_id), None)
        if held is None:
            raise Refusal(400, "position is not open")
        contract = CONTRACTS[held.symbol]
        closing = held.quantity if quantity is None else quantity
        self._check_quantity(contract, closing)
        if closing > held.quantity:
            raise Refusal(400, "order quantity out of permissible range")
        side = "SHORT" if held.side == "LONG" else "LONG"
        order = self._new_order(account, contract, side, "MARKET", closing, contract.price, held.leverage, now)
        order.reduce_only = True
        self._record(secret, order)
        return order

    # Settings and funds

    def set_leverage(self, account: Account, contract: Contract, leverage: Decimal) -> None:
        """Set the leverage of a contract."""
        if not 1 <= leverage <= contract.leverage_max or leverage % Decimal("0.01"):
            raise Refusal(400, "leverage out of permissible range")
        account.leverage[contract.symbol] = leverage


def _contract(symbol: str) -> Contract:
    found = CONTRACTS.get(symbol)
    if found is None:
        raise Refusal(404, "Asset not found")
    return found


def _number(body: Mapping[str, object], name: str, default: Decimal | None = None) -> Decimal:
    value = body.get(name)
    if value is None and default is not None:
        return default
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Refusal(400, "Params error") from None
    if not number.is_finite():
        raise Refusal(400, "Params error")
    return number


def stamp(seconds: float) -> str:
    """Write a time as the exchange does: UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
