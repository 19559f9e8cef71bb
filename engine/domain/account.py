"""An exchange account as the exchange reports it, at one moment."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from engine.domain.amounts import Money, Price, Quantity, Ratio
from engine.domain.identifiers import Symbol
from engine.domain.order import ClosedBy, OrderReport
from engine.domain.signal import PositionSide
from engine.domain.text import for_people, require_text


class Environment(Enum):
    """The kind of venue behind an account; shown on every page, log line and API answer about the
    account.
    """

    PAPER = "paper"
    SIMULATED = "simulated"
    LIVE = "live"

    @property
    def label(self) -> str:
        """Return the label people see."""
        return self.value.upper()


LIVE_FIRST: Final = tuple(
    each.value for each in (Environment.LIVE, Environment.SIMULATED, Environment.PAPER)
)
"""The environments in the order in which pages show them; they are never added up."""


@dataclass(frozen=True, slots=True)
class Balance:
    """The account's money in settlement currency: ``available`` is free margin, ``total`` includes
    margin in use.
    """

    available: Money
    total: Money
    currency: str = "USDT"


@dataclass(frozen=True, slots=True)
class Position:
    """One netted position; ``quantity`` is always positive, ``side`` gives the direction.

    ``id`` is the exchange's position id, which lasts from flat to flat; empty if the exchange gives
    none. ``opened_at`` is when the position was opened, on the exchange's clock in UTC; None if the
    exchange does not report it.
    """

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
    id: str = ""
    opened_at: datetime | None = None

    def __post_init__(self) -> None:
        require_text(self.id, "id")


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """One exchange row that the adapter cannot read; it does not stop the other rows.

    ``what`` is a noun such as ``order`` or ``position``. ``id`` and ``symbol`` are the row's own if
    they can be read. ``problem`` states briefly what was expected and found, without secrets.
    """

    what: str
    id: str
    symbol: Symbol | None
    problem: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", for_people(self.id))
        object.__setattr__(self, "problem", for_people(self.problem))


@dataclass(frozen=True, slots=True)
class AccountReport:
    """One complete reading of an account. ``as_of`` is the exchange's clock (UTC) at the reading.

    An unreadable row appears in ``unreadable`` and nowhere else. If a whole list is unreadable, the
    reading raises instead.
    """

    balance: Balance
    positions: tuple[Position, ...]
    open_orders: tuple[OrderReport, ...]
    as_of: datetime
    unreadable: tuple[UnreadableRow, ...] = ()


@dataclass(frozen=True, slots=True)
class ClosedPosition:
    """One row of the exchange's history of closed positions; times are the exchange's clock in UTC.

    ``position_id`` is the id the position had while it was open. ``quantity`` is all that entered
    it, also what was closed before the rest. ``order_id`` is the order that
    closed it, empty if the row names none. ``exit_price`` is the average closing price, None if it
    is not reported. ``result`` is the exchange's own figure, before fees and funding, with the
    exchange's rounding.
    """

    position_id: str
    symbol: Symbol
    side: PositionSide
    quantity: Quantity
    entry_price: Price
    exit_price: Price | None
    closed_at: datetime
    opened_at: datetime
    closed_by: ClosedBy | None = None
    order_id: str = ""
    result: Money | None = None

    def __post_init__(self) -> None:
        require_text(self.position_id, "position_id")
        require_text(self.order_id, "order_id")


@dataclass(frozen=True, slots=True)
class ClosedPositions:
    """Closed positions read back, in any order. ``complete`` is True only if every position closed
    since the requested time is included. ``lacks`` are those of the requested position ids that are
    surely not in the history, for an adapter that can say so where it is not complete; an id that an
    unreadable row may carry is never among them.
    """

    rows: tuple[ClosedPosition, ...]
    complete: bool
    unreadable: tuple[UnreadableRow, ...] = ()
    lacks: frozenset[str] = frozenset()

    def proves_open(self, position_id: str, symbol: Symbol) -> bool:
        """Return whether a position that was asked for by its id is surely not in the history. A row
        without an id may be about any position in its symbol.
        """
        return position_id in self.lacks or (
            self.complete
            and all(
                each.position_id != position_id and (each.position_id or each.symbol != symbol)
                for each in self.rows
            )
        )


@dataclass(frozen=True, slots=True)
class EquityMarks:
    """The equities that loss limits compare with: at the start of the trading day (``since``, in
    the time zone named ``zone``), and the peak.
    """

    day_start: Money
    since: datetime
    zone: str
    peak: Money
