"""The values of the SIMULATED exchange, each with its wire row: mixed numbers, nulls, keys as
recorded.

Times are seconds since 1970. A stop or a target is an order of its own (``side`` STOPLOSS or
TAKEPROFIT, quantity and leverage 0).
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation

from plugins.mudrex.simulator.contracts import CONTRACTS, Contract

ZERO = Decimal(0)
NEVER = float("inf")
STOP, TARGET = "STOPLOSS", "TAKEPROFIT"
WORKING = ("CREATED", "PARTIALLY_FILLED")
SHOWN = Context(prec=16)


class Refusal(Exception):
    """Raised to refuse a request: an HTTP status, the envelope's code and its text; ``bare``:
    without the envelope.
    """

    def __init__(
        self, status: int, text: str, code: int | None = None, *, bare: bool = False
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = status if code is None else code
        self.bare = bare


@dataclass(slots=True)
class Order:
    """One order. ``due`` is when it fills next, ``fate`` the effect of a fault, ``by`` the origin
    of the order.

    The origin is a client (``order``), a closing call (``close``), the ``owner``, or a ``stop``,
    ``target`` or ``liquidation``.
    """

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
    by: str = "order"

    @property
    def is_leg(self) -> bool:
        """Return whether this is a stop or a target of a position."""
        return self.side in (STOP, TARGET)

    @property
    def left(self) -> Decimal:
        """Return the unfilled quantity."""
        return self.quantity - self.filled

    def row(
        self, *, shows_client_order_id: bool = True, as_text: bool = False
    ) -> dict[str, object]:
        """Return the row of the order lists, keys as recorded: an entry has the reason OK, a close
        and a leg have none.
        """
        write = str if as_text else float
        reason = self.reason or (None if self.reduce_only else "OK")
        return {
            "created_at": stamp(self.created),
            "updated_at": stamp(self.updated or self.created),
            "reason": None if reason is None else {"message": reason},
            "actual_amount": write(self.filled * self.filled_price),
            "quantity": write(self.quantity),
            "filled_quantity": write(self.filled),
            "price": write(self.price),
            "filled_price": write(digits(self.filled_price)),
            "leverage": write(self.leverage),
            "hedge_rate": write(Decimal(1)),
            "order_type": self.side,
            "trigger_type": self.trigger,
            "trade_currency": "USDT",
            "status": self.status,
            "id": self.id,
            "client_order_id": self.client_order_id if shows_client_order_id else None,
            "asset_uuid": CONTRACTS[self.symbol].id,
            "symbol": self.symbol,
            "future_position_uuid": self.position_id,
            "position_id": self.position_id,
        }


@dataclass(slots=True)
class Position:
    """One open position. ``checked`` is the time until which its stop and target were compared with
    the price.

    ``closed`` and ``closed_worth`` are the quantity and the notional of its partial closes.
    """

    id: str
    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal
    leverage: Decimal
    created: float
    checked: float = 0.0
    added: Decimal = ZERO
    closed: Decimal = ZERO
    closed_worth: Decimal = ZERO

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
        """Return the margin: quantity x entry price / leverage, plus added margin."""
        return self.quantity * self.entry_price / self.leverage + self.added

    @property
    def liquidation_price(self) -> Decimal:
        """Return the price that uses up the margin (no maintenance rate), on the price step that
        still leaves some of it.
        """
        step = CONTRACTS[self.symbol].price_step
        steps = (self.entry_price - self.sign * self.margin / self.quantity) / step
        return max(
            ZERO,
            steps.to_integral_value(ROUND_CEILING if self.side == "LONG" else ROUND_FLOOR) * step,
        )

    def row(self, legs: dict[str, Order]) -> dict[str, object]:
        """Return the row of ``GET /futures/positions``: strings; a missing stop or target is an
        object without price and order.
        """
        return {
            "created_at": stamp(self.created),
            "updated_at": stamp(self.created),
            "stoploss": self._leg(legs.get(STOP)),
            "takeprofit": self._leg(legs.get(TARGET)),
            "entry_price": str(digits(self.entry_price)),
            "quantity": str(self.quantity),
            "leverage": str(self.leverage),
            "liquidation_price": str(self.liquidation_price),
            "initial_margin": str(self.margin),
            "maintenance_margin": str(self.margin / 20),
            "entry_hedge_rate": "1",
            "order_type": self.side,
            "status": "OPEN",
            "id": self.id,
            "position_id": self.id,
            "asset_uuid": CONTRACTS[self.symbol].id,
            "symbol": self.symbol,
            "trade_currency": "USDT",
        }

    def _leg(self, leg: Order | None) -> dict[str, object]:
        if leg is None:
            return {"price": "0", "order_id": "", "order_type": ""}
        return {"price": str(leg.price), "order_id": leg.id, "order_type": self.closing_side}


@dataclass(slots=True)
class Account:
    """One account. ``freed`` is margin on its way back, as (when, how much).

    ``closed`` and ``fees`` are rows that clients see once they have appeared; keys that begin with
    ``_`` are hidden. ``wallet`` is every unrounded change of the wallet with its cause: the
    simulator's own record, which no client sees. ``strange`` are rows added to lists by hand, by
    the list's name.
    """

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
    wallet: list[dict[str, object]] = field(default_factory=list)
    strange: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    @property
    def total(self) -> Decimal:
        """Return the wallet: available and in use."""
        return self.balance + self.locked

    def change(self, at: float, event: str, amount: Decimal, **more: object) -> None:
        """Record a change of the wallet. The caller makes the change."""
        self.wallet.append(
            {
                "at": at,
                "event": event,
                "amount": str(amount),
                **{key: str(value) for key, value in more.items()},
            }
        )

    @property
    def locked(self) -> Decimal:
        """Return the margin in use, and freed margin on its way back."""
        return sum((each.margin for each in self.positions.values()), ZERO) + sum(
            (amount for _, amount in self.freed), ZERO
        )

    def legs(self, position_id: str) -> dict[str, Order]:
        """Return a position's working stop and target, by kind."""
        return {
            each.side: each
            for each in self.orders
            if each.is_leg and each.position_id == position_id and each.status == "CREATED"
        }


def contract_of(symbol: str) -> Contract:
    """Return a contract by its symbol."""
    contract = CONTRACTS.get(symbol)
    if contract is None:
        raise Refusal(404, "Asset not found")
    return contract


def number(body: object, name: str, default: Decimal | None = None) -> Decimal:
    """Read a number of a body, written as text or as a number."""
    value = body.get(name) if isinstance(body, dict) else None
    if value is None and default is not None:
        return default
    try:
        parsed = Decimal(str(value))
    except InvalidOperation:
        raise Refusal(400, "Params error") from None
    if not parsed.is_finite():
        raise Refusal(400, "Params error")
    return parsed


def digits(price: Decimal) -> Decimal:
    """Return a price with the sixteen digits that the exchange shows."""
    return SHOWN.plus(price)


def text(amount: Decimal) -> str:
    """Return an amount without trailing zeros."""
    written = f"{amount:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def stamp(seconds: float) -> str:
    """Return a time as the exchange writes it: UTC, rounded to the nearest second."""
    return datetime.fromtimestamp(int(seconds + 0.5), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
