"""The size of an entry: from what the follower agreed to, the leverage and the price to a quantity.

What always holds: the quantity never buys more than was agreed (every division rounds down, and the
result is floored to the exchange's step), unless the follower's policy lifts a size below the
exchange's minimum to it. Nothing here knows limits, balances or who holds what.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final, assert_never

from engine.domain.amounts import (
    EXACT,
    FINEST,
    ZERO,
    Money,
    Price,
    Quantity,
    Ratio,
    ceil_to_step,
    floor_to_step,
    notional,
)
from engine.domain.instrument import Instrument
from engine.domain.signal import PositionSide
from engine.domain.subscription import (
    EquityShare,
    FixedMargin,
    FixedNotional,
    FixedQuantity,
    LeverageMode,
    LeveragePolicy,
    Multiplier,
    Sizing,
    StopDistance,
)

TAKER_FEE_BPS: Final = Decimal(10)
"""The fee reserved for an entry when checking the balance: above the taker fee of the known
exchanges.
"""


def leverage_of(policy: LeveragePolicy, asked: Ratio | None) -> Ratio:
    """Return the leverage of an entry: the policy's value if the signal names none, otherwise as
    the mode says.

    A FOLLOW policy returns what the signal asks for even above its ceiling; ``exceeds_ceiling``
    decides whether that is allowed.
    """
    if asked is None or policy.mode is LeverageMode.FIXED:
        return policy.value
    return min(asked, policy.value) if policy.mode is LeverageMode.CAPPED else asked


def exceeds_ceiling(policy: LeveragePolicy, leverage: Ratio) -> bool:
    """Return whether an entry would have more leverage than a follower in FOLLOW mode agreed to."""
    return policy.mode is LeverageMode.FOLLOW and leverage > policy.value


def sizing_price(side: PositionSide, limit: Price | None, last: Price) -> Price:
    """Return the highest price that the entry can cost money at: the limit, or the last trade for a
    market order.

    A short limit below the market executes at the market, hence the higher of the two; a long limit
    reserves at its limit.
    """
    if limit is None:
        return last
    return limit if side is PositionSide.LONG else max(limit, last)


def execution_price(side: PositionSide, limit: Price | None, last: Price) -> Price:
    """Return the price at which the entry is expected to execute: a limit beyond the market
    executes at the market.
    """
    if limit is None:
        return last
    return min(limit, last) if side is PositionSide.LONG else max(limit, last)


class Missing(Enum):
    """A value that a sizing needs and was not given."""

    MASTER_QUANTITY = "master_quantity"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingBasis:
    """The values that sizes are computed from; ``equity`` is the account's, ``master_quantity`` and
    ``stop`` are the signal's, if named.
    """

    leverage: Ratio
    price: Price
    master_quantity: Quantity | None
    equity: Money
    stop: Price | None


def raw_quantity(sizing: Sizing, basis: SizingBasis) -> Quantity | Missing:
    """Compute the quantity before steps, rounded down to 12 decimals.

    Fixed margin: margin x leverage / price. Fixed notional: notional / price. Fixed quantity: as it
    is. Multiplier: factor x master's. Equity share: share x equity x leverage / price. Stop
    distance: risk x equity / |price - stop|, so that the stop costs that share of the equity (fees
    and slippage apart); zero if the equity is not above zero.
    """
    leverage, price, own = basis.leverage, basis.price, max(basis.equity, ZERO)
    match sizing:
        case FixedMargin(margin):
            exact = EXACT.divide(EXACT.multiply(margin, leverage), price)
        case FixedNotional(value):
            exact = EXACT.divide(value, price)
        case FixedQuantity(quantity):
            exact = quantity
        case Multiplier(factor):
            if basis.master_quantity is None:
                return Missing.MASTER_QUANTITY
            exact = EXACT.multiply(factor, basis.master_quantity)
        case EquityShare(share):
            exact = EXACT.divide(EXACT.multiply(EXACT.multiply(share, own), leverage), price)
        case StopDistance(risk):
            if basis.stop is None or basis.stop == price:
                return Missing.STOP
            exact = EXACT.divide(EXACT.multiply(risk, own), abs(EXACT.subtract(price, basis.stop)))
        case _:
            assert_never(sizing)
    return Quantity(floor_to_step(exact, FINEST))


def floored(quantity: Quantity, instrument: Instrument) -> Quantity:
    """Round a quantity down to the exchange's step: what is checked afterwards is what is sent."""
    return Quantity(floor_to_step(quantity, instrument.quantity_step))


def smallest_quantity(instrument: Instrument, price: Price) -> Quantity:
    """Return the least quantity that the exchange accepts at ``price``: both minimums met, rounded
    up to the step.
    """
    by_value = EXACT.divide(instrument.notional_min, price)
    least = Quantity(ceil_to_step(max(instrument.quantity_min, by_value), instrument.quantity_step))
    # The division above rounds down in its 60th digit; add one step if that digit decides.
    return (
        least
        if notional(price, least) >= instrument.notional_min
        else Quantity(EXACT.add(least, instrument.quantity_step))
    )
