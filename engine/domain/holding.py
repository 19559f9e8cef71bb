"""What the engine itself holds for a follower, apart from what the owner holds: holdings, goals, orders under way, switches."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from engine.domain.amounts import Money, Quantity
from engine.domain.identifiers import AccountId, CopyId, StrategyId, Symbol
from engine.domain.signal import OrderKey, PositionSide


@dataclass(frozen=True, slots=True)
class Holding:
    """Say which strategy holds one symbol of one account, and how much of the position is that strategy's share.

    ``entries_open`` counts entry attempts that are claimed, unknown or resting. The strategy holds the symbol from its first
    claim until ``share`` is zero and ``entries_open`` is zero. ``detached`` means the owner closed it by hand: no entry until the
    master is flat. ``entry_key`` is the order key of the newest entry that was claimed here.
    """

    account: AccountId
    symbol: Symbol
    strategy: StrategyId
    side: PositionSide
    share: Quantity
    entries_open: int
    entry_key: OrderKey
    detached: bool = False


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """Count one own entry (claimed, unknown or placed) that the newest account report may not show yet."""

    copy: CopyId
    symbol: Symbol
    strategy: StrategyId
    side: PositionSide
    quantity: Quantity
    notional: Money
    margin: Money


class SwitchScope(Enum):
    """How far a switch reaches."""

    ACCOUNT = "account"
    STRATEGY = "strategy"
    EXCHANGE = "exchange"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Switch:
    """Hold one *no new entries* switch that is on. ``target`` is the name it concerns, empty for ALL."""

    scope: SwitchScope
    target: str
    note: str
    set_by: str
    set_at: datetime

    @property
    def label(self) -> str:
        """Return the words people see, such as ``strategy trend`` or ``everything``."""
        return "everything" if self.scope is SwitchScope.ALL else f"{self.scope.value} {self.target}"
