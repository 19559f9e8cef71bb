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
LATE_VISIBLE_S = 4.0
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
    levels: tuple[Decimal | None, Decimal | None] = (None, None)
    fills: Decimal | None = None
    visible: float = 0.0

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
class Leg:
    """Hold the stop or the target of a position."""

    id: str
    price: Decimal

    def row(self, side: str) -> dict[str, object]:
        """Write it as a member of the position; its ``order_type`` is the closing side."""
        return {"price": str(self.price), "order_id": self.id, "order_type": "SHORT" if side == "LONG" else "LONG"}


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
    stop: "Leg | None" = None
    target: "Leg | None" = None

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
            "liquidation_price": str(self.entry_price * (1 - sign / self.leverage)), "entry_hedge_rate": "1",
            "stoploss": None if self.stop is None else self.stop.row(self.side),
            "takeprofit": {"price": "0", "order_id": ""} if self.target is None else self.target.row(self.side),
            "created_at": stamp(self.created), "updated_at": stamp(self.created),
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
        self.prices = {symbol: contract.price for symbol, contract in CONTRACTS.items()}
        self.behaviour: str | None = None
        self.dead_keys: set[str] = set()

    def account(self, secret: str, now: float) -> Account:
        """Return an account with everything that is due done; an unknown secret is a new account, unless it is too short."""
        if len(secret) < 3 or secret.startswith("bad") or secret in self.dead_keys:
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
        price = _number(body, "order_price", self.prices[symbol])
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
        order.levels = (
            _number(body, "stoploss_price") if body.get("is_stoploss") else None,
            _number(body, "takeprofit_price") if body.get("is_takeprofit") else None,
        )
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
        match self.behaviour:
            case "partial_fill":
                order.fills = (
                    quantity - quantity % contract.quantity_step
                    if quantity < 2 * contract.quantity_step
                    else ((quantity / 2) - (quantity / 2) % contract.quantity_step)
                )
            case "late_rejection":
                order.fills = ZERO
            case "late_visible":
                order.visible = now + LATE_VISIBLE_S
        account.orders.append(order)
        return order

    def _record(self, secret: str, order: Order) -> None:
        self._accepted({"account": secret, "reduce_only": order.reduce_only, **order.row(), "quantity": str(order.quantity)})

    def _fill(self, account: Account, order: Order) -> None:
        price, held = self.prices[order.symbol], account.positions.get(order.symbol)
        quantity = order.quantity if order.fills is None else order.fills
        order.updated = order.due
        if quantity == 0:
            order.status, order.reason = "REJECTED", "rejected after it was accepted"
            return
        if order.reduce_only:
            quantity = min(quantity, ZERO if held is None or held.side == order.side else held.quantity)
        order.filled, order.filled_price = quantity, price
        order.status = "FILLED" if quantity == order.quantity else "CANCELLED"
        account.balance -= quantity * price * FEE
        if quantity == 0:
            return
        if held is None:
            held = Position(self.new_id(order.due), order.symbol, order.side, quantity, price, order.leverage, order.due)
            account.positions[order.symbol] = held
            account.balance -= held.margin
        elif held.side == order.side:
            account.balance += held.margin
            held.entry_price = (held.entry_price * held.quantity + price * quantity) / (held.quantity + quantity)
            held.quantity += quantity
            account.balance -= held.margin
        else:
            self._shrink(account, held, quantity, price)
        if not order.reduce_only and held.side == order.side:
            stop, target = order.levels
            held.stop = held.stop if stop is None else Leg(self.new_id(order.due), stop)
            held.target = held.target if target is None else Leg(self.new_id(order.due), target)

    def _shrink(self, account: Account, held: Position, quantity: Decimal, price: Decimal) -> None:
        account.balance += held.margin
        sign = 1 if held.side == "LONG" else -1
        account.balance += sign * (price - held.entry_price) * min(quantity, held.quantity)
        held.quantity -= min(quantity, held.quantity)
        if held.quantity > 0:
            account.balance -= held.margin
        else:
            del account.positions[held.symbol]

    # Prices move

    def set_price(self, symbol: str, price: Decimal, now: float) -> int:
        """Move a contract's price, and close what stops, targets and liquidations close there; returns how many positions closed."""
        self.prices[_contract(symbol).symbol] = price
        closed = 0
        for secret in list(self.accounts):
            account = self.accounts[secret]
            held = account.positions.get(symbol)
            if held is None or not _is_reached(held, price):
                continue
            side = "SHORT" if held.side == "LONG" else "LONG"
            order = self._new_order(account, CONTRACTS[symbol], side, "MARKET", held.quantity, price, held.leverage, now)
            order.reduce_only, order.due, order.fills = True, now, None
            self._fill(account, order)
            closed += 1
        return closed

    # Stops and targets

    def set_levels(self, secret: str, position_id: str, body: Mapping[str, object], now: float, *, amend: bool) -> dict[str, object]:
        """Set or move a position's stop and target; moving needs the ids of what is moved."""
        held = self._position(secret, position_id, now)
        for flag, key, name in (("is_stoploss", "stoploss_price", "stop"), ("is_takeprofit", "takeprofit_price", "target")):
            if not body.get(flag):
                continue
            price = _number(body, key)
            leg: Leg | None = getattr(held, name)
            if amend:
                if leg is None or body.get(f"{'stoploss' if name == 'stop' else 'takeprofit'}_order_id") != leg.id:
                    raise Refusal(400, "risk order id missing")
                leg.price = price
            else:
                setattr(held, name, Leg(self.new_id(now), price))
        if _is_reached(held, self.prices[held.symbol]):
            held.stop = held.target = None
            raise Refusal(400, "Risk order creation failed")
        if amend:
            return {"message": "Risk order amended successfully"}
        return {"position_id": position_id, "status": "CREATED", "message": "Risk order placed successfully"}

    def _position(self, secret: str, position_id: str, now: float) -> Position:
        held = next((each for each in self.account(secret, now).positions.values() if each.id == position_id), None)
        if held is None:
            raise Refusal(400, "position is not open")
        return held

    def cancel(self, secret: str, order_id: str, now: float) -> None:
        """Cancel a resting order, or a stop or target by its own id."""
        for held in self.account(secret, now).positions.values():
            for name in ("stop", "target"):
                leg: Leg | None = getattr(held, name)
                if leg is not None and leg.id == order_id:
                    setattr(held, name, None)
                    return
        order = next((each for each in self.account(secret, now).orders if each.id == order_id), None)
        if order is None:
            raise Refusal(404, "order not found")
        if order.status != "CREATED":
            raise Refusal(400, "order already " + order.status.lower())
        order.status, order.updated = "CANCELLED", now

    # Positions

    def close(self, secret: str, position_id: str, quantity: Decimal | None, now: float) -> Order:
        """Close a position, or a part of it; the order that does it shows up in the history without a client order id."""
        account, held = self.account(secret, now), self._position(secret, position_id, now)
        contract = CONTRACTS[held.symbol]
        closing = held.quantity if quantity is None else quantity
        self._check_quantity(contract, closing)
        if closing > held.quantity:
            raise Refusal(400, "order quantity out of permissible range")
        side = "SHORT" if held.side == "LONG" else "LONG"
        order = self._new_order(account, contract, side, "MARKET", closing, self.prices[held.symbol], held.leverage, now)
        order.reduce_only = True
        self._record(secret, order)
        return order

    # Settings and funds

    def set_leverage(self, account: Account, contract: Contract, leverage: Decimal) -> None:
        """Set the leverage of a contract."""
        if not 1 <= leverage <= contract.leverage_max or leverage % Decimal("0.01"):
            raise Refusal(400, "leverage out of permissible range")
        account.leverage[contract.symbol] = leverage


def _is_reached(held: Position, price: Decimal) -> bool:
    """Tell whether a price sets off a position's stop, target or liquidation."""
    sign = 1 if held.side == "LONG" else -1
    liquidation = held.entry_price * (1 - sign / held.leverage)
    lost = [liquidation] + ([] if held.stop is None else [held.stop.price])
    won = [] if held.target is None else [held.target.price]
    return any((price - level) * sign <= 0 for level in lost) or any((price - level) * sign >= 0 for level in won)


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
