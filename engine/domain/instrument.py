"""A contract as the exchange defines it: steps, minimums, leverage range."""

from dataclasses import dataclass
from decimal import Decimal

from engine.domain.amounts import Money, Price, Quantity, Ratio
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import Symbol


@dataclass(frozen=True, slots=True)
class Instrument:
    """A linear perpetual contract settled in ``settle_currency``; all sizes are in units of the
    base asset.
    """

    symbol: Symbol
    price_step: Price
    quantity_step: Quantity
    quantity_min: Quantity
    quantity_max: Quantity
    notional_min: Money
    leverage_min: Ratio
    leverage_max: Ratio
    settle_currency: str = "USDT"

    def __post_init__(self) -> None:
        for name in (
            "price_step",
            "quantity_step",
            "quantity_min",
            "quantity_max",
            "leverage_min",
            "leverage_max",
        ):
            value: Decimal = getattr(self, name)
            if not value.is_finite() or value <= 0:
                raise InvalidValue(name, f"a positive number for {self.symbol}", value)
        if self.quantity_max < self.quantity_min:
            raise InvalidValue(
                "quantity_max",
                f"at least quantity_min {self.quantity_min} for {self.symbol}",
                self.quantity_max,
            )
        if self.leverage_max < self.leverage_min:
            raise InvalidValue(
                "leverage_max",
                f"at least leverage_min {self.leverage_min} for {self.symbol}",
                self.leverage_max,
            )
        if not self.notional_min.is_finite() or self.notional_min < 0:
            raise InvalidValue("notional_min", f"zero or more for {self.symbol}", self.notional_min)
