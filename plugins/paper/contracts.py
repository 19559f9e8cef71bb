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
        _contract(
            "BTCUSDT",
            base="65000",
            step="0.1",
            quantities=("0.001", "0.001", "500"),
            leverage_max="100",
        ),
        _contract(
            "ETHUSDT",
            base="3200",
            step="0.01",
            quantities=("0.01", "0.01", "5000"),
            leverage_max="100",
        ),
        _contract(
            "SOLUSDT",
            base="150",
            step="0.01",
            quantities=("0.1", "0.1", "50000"),
            leverage_max="75",
        ),
        _contract(
            "BNBUSDT",
            base="580",
            step="0.01",
            quantities=("0.01", "0.02", "5000"),
            leverage_max="75",
        ),
        _contract(
            "XRPUSDT",
            base="0.55",
            step="0.0001",
            quantities=("0.1", "10", "5000000"),
            leverage_max="75",
        ),
        _contract(
            "ADAUSDT",
            base="0.45",
            step="0.0001",
            quantities=("1", "10", "5000000"),
            leverage_max="50",
        ),
        _contract(
            "DOGEUSDT",
            base="0.125",
            step="0.00001",
            quantities=("1", "40", "30000000"),
            leverage_max="50",
        ),
        _contract(
            "AVAXUSDT",
            base="28",
            step="0.001",
            quantities=("0.1", "0.2", "100000"),
            leverage_max="50",
        ),
        _contract(
            "LINKUSDT",
            base="14",
            step="0.001",
            quantities=("0.01", "0.5", "200000"),
            leverage_max="50",
        ),
        _contract(
            "LTCUSDT",
            base="75",
            step="0.01",
            quantities=("0.01", "0.1", "50000"),
            leverage_max="50",
        ),
    )
)
