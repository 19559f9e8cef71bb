"""The ten contracts of the paper exchange: steps, minimums and leverage ranges like those of real
venues.

In some contracts ``quantity_min`` is above the step, so that residues below the minimum occur here
as they do at real venues.
"""

from dataclasses import dataclass
from decimal import Decimal

from rexalgo import Instrument, Money, Price, Quantity, Ratio, Symbol

MAINTENANCE_RATE = Decimal("0.005")
"""Share of the entry notional below which isolated margin is liquidated. It must stay below
1 / leverage_max.
"""


@dataclass(frozen=True, slots=True)
class Contract:
    """An instrument with the price around which its simulated market moves."""

    instrument: Instrument
    price_base: Price


def _contract(
    name: str, base: str, step: str, quantities: tuple[str, str, str], leverage_max: str
) -> tuple[Symbol, Contract]:
    quantity_step, quantity_min, quantity_max = (Quantity(Decimal(text)) for text in quantities)
    instrument = Instrument(
        symbol=Symbol(name),
        price_step=Price(Decimal(step)),
        quantity_step=quantity_step,
        quantity_min=quantity_min,
        quantity_max=quantity_max,
        notional_min=Money(Decimal(5)),
        leverage_min=Ratio(Decimal(1)),
        leverage_max=Ratio(Decimal(leverage_max)),
    )
    return instrument.symbol, Contract(instrument, Price(Decimal(base)))


CONTRACTS: dict[Symbol, Contract] = dict(
    (
        _contract("BTCUSDT", "65000", "0.1", ("0.001", "0.001", "500"), "100"),
        _contract("ETHUSDT", "3200", "0.01", ("0.01", "0.01", "5000"), "100"),
        _contract("SOLUSDT", "150", "0.01", ("0.1", "0.1", "50000"), "75"),
        _contract("BNBUSDT", "580", "0.01", ("0.01", "0.02", "5000"), "75"),
        _contract("XRPUSDT", "0.55", "0.0001", ("0.1", "10", "5000000"), "75"),
        _contract("ADAUSDT", "0.45", "0.0001", ("1", "10", "5000000"), "50"),
        _contract("DOGEUSDT", "0.125", "0.00001", ("1", "40", "30000000"), "50"),
        _contract("AVAXUSDT", "28", "0.001", ("0.1", "0.2", "100000"), "50"),
        _contract("LINKUSDT", "14", "0.001", ("0.01", "0.5", "200000"), "50"),
        _contract("LTCUSDT", "75", "0.01", ("0.01", "0.1", "50000"), "50"),
    )
)
