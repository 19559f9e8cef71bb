"""An exchange account as the exchange reports it, at one moment."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from engine.domain.amounts import Money, Price, Quantity, Ratio
from engine.domain.identifiers import Symbol
from engine.domain.order import OrderReport
from engine.domain.signal import PositionSide


class Environment(Enum):
    """What stands behind an account; shown on every page, log line and API answer that concerns it."""

    PAPER = "paper"
    SIMULATED = "simulated"
    LIVE = "live"

    @property
    def label(self) -> str:
        """Return the word people see."""
        return self.value.upper()


@dataclass(frozen=True, slots=True)
class Balance:
    """Hold the account's money in settlement currency: ``available`` is free margin, ``total`` includes margin in use."""

    available: Money
    total: Money
    currency: str = "USDT"


@dataclass(frozen=True, slots=True)
class Position:
    """Hold one netted position; ``quantity`` is always positive, ``side`` says the direction."""

    symbol: Symbol
    side: PositionSide
    quantity: Quantity
    entry_price: Price
    mark_price: Price
    leverage: Ratio
    margin: Money
    unrealised_profit: Money
    liquidation_price: Price | None = None
    stop_loss: Price | None = None
    take_profit: Price | None = None


@dataclass(frozen=True, slots=True)
class AccountReport:
    """Hold one whole reading of an account. ``as_of`` is the exchange's clock (UTC) when the reading was made."""

    balance: Balance
    positions: tuple[Position, ...]
    open_orders: tuple[OrderReport, ...]
    as_of: datetime


@dataclass(frozen=True, slots=True)
class EquityMarks:
    """Hold the equities that loss limits compare with: at the trading day's start (``since``, its ``zone`` by name), and the highest."""

    day_start: Money
    since: datetime
    zone: str
    peak: Money
