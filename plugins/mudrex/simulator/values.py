"""What the SIMULATED exchange keeps, each with the wire row that the exchange shows of it: mixed numbers, nulls, sparse keys.

Times are seconds since 1970. A stop or a target is an order of its own (``side`` STOPLOSS or TAKEPROFIT, quantity and leverage 0).
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from plugins.mudrex.simulator.contracts import CONTRACTS, Contract

ZERO = Decimal(0)
NEVER = float("inf")
STOP, TARGET = "STOPLOSS", "TAKEPROFIT"
WORKING = ("CREATED", "PARTIALLY_FILLED")


class Refusal(Exception):
    """Say no: an HTTP status, the envelope's code and its text."""

    def __init__(self, status: int, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = status if code is None else code


@dataclass(slots=True)
class Order:
    """Hold one order. ``due``: when it fills next; ``part``: how much of it fills then; ``fate``: what a fault made of it."""

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
    position_id: str | None = None
    fate: str = ""
    visible_from: float = 0.0
    stop: Decimal | None = None
    target: Decimal | None = None

    @property
    def is_leg(self) -> bool:
        """Tell whether this is a stop or a target of a position."""
        return self.side in (STOP, TARGET)

    @property
    def left(self) -> Decimal:
        """Return what is not filled yet."""
        return self.quantity - self.filled

    def row(self, *, shows_client_order_id: bool = True) -> dict[str, object]:
        """Write it as the order lists do: JSON numbers, sparse."""
        made: dict[str, object] = {
            "id": self.id, "created_at": stamp(self.created), "updated_at": stamp(self.updated or self.created), "symbol": self.symbol,
            "asset_uuid": CONTRACTS[self.symbol].id, "trade_currency": "USDT", "order_type": self.side, "trigger_type": self.trigger,
            "status": self.status, "quantity": float(self.quantity), "filled_quantity": float(self.filled), "price": float(self.price),
            "filled_price": float(self.filled_price), "leverage": float(self.leverage),
            "reason": None if self.reason is None else {"message": self.reason},
        }  # fmt: skip
        if self.position_id is not None:
            made["future_position_uuid"] = self.position_id
        if self.client_order_id is not None and shows_client_order_id:
            made["client_order_id"] = self.client_order_id
        return made


@dataclass(slots=True)
class Position:
    """Hold one open position; ``checked`` is until when its stop and target were compared with the price."""

    id: str
    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal
    leverage: Decimal
    created: float
    checked: float = 0.0
    added: Decimal = ZERO

    @property
    def sign(self) -> int:
        """Return 1 for a long position, -1 for a short one."""
        return 1 if self.side == "LONG" else -1

    @property
    def closing_side(self) -> str:
        """Return the side of the order that closes it."""
        return "SHORT" if self.side == "LONG" else "LONG"

    @property
    def margin(self) -> Decimal:
        """Return the margin: quantity x entry price / leverage, and what was added."""
        return self.quantity * self.entry_price / self.leverage + self.added

    @property
    def liquidation_price(self) -> Decimal:
        """Return where the margin is used up (no maintenance rate)."""
        return max(ZERO, self.entry_price - self.sign * self.margin / self.quantity)

    def row(self, legs: dict[str, Order]) -> dict[str, object]:
        """Write it as ``GET /futures/positions`` does: strings; a missing stop is null, a missing target is an empty object."""
        return {
            "id": self.id, "symbol": self.symbol, "asset_uuid": CONTRACTS[self.symbol].id, "trade_currency": "USDT",
            "order_type": self.side, "status": "OPEN", "quantity": str(self.quantity), "entry_price": str(self.entry_price),
            "leverage": str(self.leverage), "initial_margin": str(self.margin), "maintenance_margin": str(self.margin / 20),
            "liquidation_price": str(self.liquidation_price), "entry_hedge_rate": "1",
            "stoploss": self._leg(legs[STOP]) if STOP in legs else None,
            "takeprofit": self._leg(legs[TARGET]) if TARGET in legs else {"price": "0", "order_id": ""},
            "created_at": stamp(self.created), "updated_at": stamp(self.created),
        }  # fmt: skip

    def _leg(self, leg: Order) -> dict[str, object]:
        return {"price": str(leg.price), "order_id": leg.id, "order_type": self.closing_side}


@dataclass(slots=True)
class Account:
    """Hold one account. ``freed``: margin on its way back, as (when, how much); ``closed`` and ``fees``: rows as they are shown."""

    balance: Decimal
    spot: Decimal = ZERO
    inr: Decimal = ZERO
    leverage: dict[str, Decimal] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    client_order_ids: set[str] = field(default_factory=set)
    freed: list[tuple[float, Decimal]] = field(default_factory=list)
    closed: list[dict[str, object]] = field(default_factory=list)
    fees: list[dict[str, object]] = field(default_factory=list)

    @property
    def locked(self) -> Decimal:
        """Return the margin in use, and what of it is on its way back."""
        return sum((each.margin for each in self.positions.values()), ZERO) + sum((amount for _, amount in self.freed), ZERO)

    def legs(self, position_id: str) -> dict[str, Order]:
        """Return a position's working stop and target, by kind."""
        return {each.side: each for each in self.orders if each.is_leg and each.position_id == position_id and each.status == "CREATED"}


def contract_of(symbol: str) -> Contract:
    """Find a contract."""
    found = CONTRACTS.get(symbol)
    if found is None:
        raise Refusal(404, "Asset not found")
    return found


def number(body: object, name: str, default: Decimal | None = None) -> Decimal:
    """Read a number of a body, written as text or as a number."""
    value = body.get(name) if isinstance(body, dict) else None
    if value is None and default is not None:
        return default
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise Refusal(400, "Params error") from None
    if not found.is_finite():
        raise Refusal(400, "Params error")
    return found


def stamp(seconds: float) -> str:
    """Write a time as the exchange does: UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
