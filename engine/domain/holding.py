"""What the engine holds for a follower, apart from what the owner holds: holdings, pending entries,
switches.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from engine.domain.amounts import ZERO, Money, Price, Quantity
from engine.domain.identifiers import AccountId, CopyId, StrategyId, Symbol
from engine.domain.signal import OrderKey, PositionSide

NOTHING: Final = Quantity(ZERO)
FLATTEN_ORIGIN: Final = "operator:flatten"
"""The origin of the closes that a flatten records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One strategy's claim on one symbol of one account, with its share of the position.

    ``entries_open`` counts entry attempts that are claimed, unknown or resting. The strategy holds
    the symbol from its first claim until both ``share`` and ``entries_open`` are zero. ``detached``
    means something else than an order of ours closed the position: no entry until the master closes or
    reverses. ``entry_key`` is
    the order key of the newest entry claimed here, additions apart. ``carried`` is what earlier
    reductions left below the quantity step, to be closed with the next one. ``stop_loss`` and
    ``take_profit`` are what the strategy wants here. ``position_id`` is the exchange's id of the
    position that contains the share, empty until it is known.
    """

    account: AccountId
    symbol: Symbol
    strategy: StrategyId
    side: PositionSide
    share: Quantity
    entries_open: int
    entry_key: OrderKey
    detached: bool = False
    carried: Quantity = NOTHING
    stop_loss: Price | None = None
    take_profit: Price | None = None
    position_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEntry:
    """One entry of ours (claimed, unknown or placed) that the newest account report may not show
    yet.

    ``quantity``, ``notional`` and ``margin`` are those of the whole order; ``filled`` is what of it
    the holding's share has already. ``is_reserved``: the report lists the order as open, and its
    free balance lacks what the exchange reserves for it.
    """

    copy: CopyId
    symbol: Symbol
    strategy: StrategyId
    side: PositionSide
    quantity: Quantity
    notional: Money
    margin: Money
    filled: Quantity = NOTHING
    is_reserved: bool = False


class SwitchScope(Enum):
    """The reach of a switch."""

    ACCOUNT = "account"
    STRATEGY = "strategy"
    EXCHANGE = "exchange"
    ALL = "all"


class SwitchLevel(Enum):
    """How much a switch stops; each level also stops what the level before it stops."""

    ENTRIES = "entries"
    """No new entries. Those that rest stay, except under the switch of an account's owner."""
    REDUCE = "reduce"
    """Also, resting entries are cancelled: exposure can only shrink."""
    FLATTEN = "flatten"
    """Also, what the engine opened is closed, again and again until the exchange reports it closed.
    """

    @property
    def rank(self) -> int:
        """Return 1, 2 or 3: the higher the rank, the more is stopped."""
        return list(SwitchLevel).index(self) + 1


STOPPED_BY_CONSERVATION: Final = "engine (conservation)"
"""Who set the switch of an account whose orders contradict its record: closing orders wait too,
until a person decides.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One switch that is on. ``target`` is the name it applies to, empty for ALL. ``person`` is whom it
    follows from, empty for a switch that was set: they are suspended, or ``role`` was taken from
    them. ``is_owners``: the owner of the account set it, and nobody else resumes it.
    """

    scope: SwitchScope
    target: str
    note: str
    set_by: str
    set_at: datetime
    level: SwitchLevel = SwitchLevel.ENTRIES
    person: str = ""
    role: str = ""
    is_owners: bool = False

    @property
    def stops_exits(self) -> bool:
        """Return whether closing orders wait too: after broken conservation, until a person
        resumes, reduces or flattens.
        """
        return self.set_by == STOPPED_BY_CONSERVATION and self.level is not SwitchLevel.FLATTEN

    @property
    def label(self) -> str:
        """Return the label people see, such as ``strategy trend`` or ``everything``."""
        return (
            "everything" if self.scope is SwitchScope.ALL else f"{self.scope.value} {self.target}"
        )
