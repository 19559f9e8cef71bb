"""The refusals of the SIMULATED exchange, in its own words. Pure."""

from collections.abc import Mapping
from decimal import Decimal

from plugins.mudrex.simulator.contracts import Contract
from plugins.mudrex.simulator.values import STOP, Position, Refusal, contract_of, number


def price_of(
    contract: Contract, body: Mapping[str, object], market: Decimal, *, needed: bool
) -> Decimal:
    """Return an order's price: a limit order's own, else the market's. A sent price must be in
    range in any case.
    """
    price = number(body, "order_price", None if needed else market)
    if not contract.price_step <= price <= contract.price_max or price % contract.price_step:
        raise Refusal(400, "order price out of permissible range")
    return price if body.get("trigger_type") == "LIMIT" else market


def quantity(contract: Contract, asked: Decimal) -> None:
    """Refuse a quantity that the contract does not allow."""
    if asked % contract.quantity_step:
        raise Refusal(400, "quantity not a multiple of the quantity step")
    if not contract.quantity_step <= asked <= contract.quantity_max:
        raise Refusal(400, "order quantity out of permissible range")


def reduces(
    position: Position | None, side: str, asked: Decimal, *, is_capped: bool, reduce_only: bool
) -> bool:
    """Return whether an order makes a position smaller. Refuse a reduce-only order that would not,
    or that is too large.
    """
    opposite = position is not None and position.side != side
    if reduce_only and not opposite:
        raise Refusal(400, "reduce only order would increase position")
    if reduce_only and position is not None and asked > position.quantity and not is_capped:
        raise Refusal(400, "order quantity out of permissible range")
    return opposite


def leg(position: Position, kind: str, price: Decimal, market: Decimal) -> None:
    """Refuse a stop or target on the wrong side of the market, a stop beyond the liquidation, and a
    price off its step.
    """
    wrong_side = (price - market) * position.sign * (1 if kind == STOP else -1) >= 0
    behind = kind == STOP and (price - position.liquidation_price) * position.sign <= 0
    if price % contract_of(position.symbol).price_step or wrong_side or behind:
        raise Refusal(400, "Risk order creation failed")
