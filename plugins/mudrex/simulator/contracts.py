"""The simulator's contracts, in the exchange's own form: an expensive one, a medium one, a cheap
one, and one with low leverage.
"""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid5

_NAMES = UUID("6f0a1f62-8a0c-4f6e-9a6d-1d3b6d0b6a11")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One contract's rules. ``quantity_step`` is also its smallest quantity."""

    symbol: str
    name: str
    price: Decimal
    price_step: Decimal
    quantity_step: Decimal
    quantity_max: Decimal
    leverage_max: Decimal
    notional_min: Decimal = Decimal(5)

    @property
    def id(self) -> str:
        """Return the asset's UUID, the same in every run."""
        return str(uuid5(_NAMES, self.symbol))

    @property
    def price_max(self) -> Decimal:
        """Return the highest accepted price."""
        return self.price * 20

    def row(self) -> dict[str, object]:
        """Return the row of ``GET /futures``: strings throughout."""
        return {
            "id": self.id,
            "name": self.name,
            "symbol": self.symbol,
            "min_contract": str(self.quantity_step),
            "max_contract": str(self.quantity_max),
            "quantity_step": str(self.quantity_step),
            "min_price": str(self.price_step),
            "max_price": str(self.price_max),
            "price_step": str(self.price_step),
            "max_market_contract": str(self.quantity_max / 10),
            "min_notional_value": str(self.notional_min),
            "funding_fee_perc": "0.0001",
            "max_funding_rate": "0.005",
            "min_funding_rate": "-0.005",
            "funding_interval": "1783008000",
            "leverage_step": "0.01",
            "min_leverage": "1",
            "max_leverage": str(self.leverage_max),
            "price": str(self.price),
            "last_day_price": str(self.price),
            "change_perc": "0",
            "volume": "1",
            "popularity": "1",
        }


def _contract(symbol: str, name: str, *texts: str) -> Contract:
    price, price_step, quantity_step, quantity_max, leverage_max = map(Decimal, texts)
    return Contract(
        symbol=symbol,
        name=name,
        price=price,
        price_step=price_step,
        quantity_step=quantity_step,
        quantity_max=quantity_max,
        leverage_max=leverage_max,
    )


CONTRACTS = {
    each.symbol: each
    for each in (
        _contract("BTCUSDT", "Bitcoin", "65000", "0.1", "0.001", "1500", "100"),
        _contract("ETHUSDT", "Ethereum", "3200", "0.01", "0.01", "20000", "100"),
        _contract("DOGEUSDT", "Dogecoin", "0.125", "0.00001", "1", "50000000", "50"),
        _contract("AAPLUSDT", "Apple (tokenised)", "230", "0.01", "0.01", "5000", "20"),
    )
}
