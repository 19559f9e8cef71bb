"""What a master lets a strategy do, and which moves exist."""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class StrategyState(Enum):
    """Whether a strategy's entries are copied, and to whom it is shown. Exits are always copied."""

    DRAFT = "draft"
    PUBLISHED = "published"
    BY_LINK = "by_link"
    PRIVATE = "private"
    PAUSED = "paused"
    RETIRED = "retired"

    @property
    def takes_entries(self) -> bool:
        """Tell whether its entries are copied."""
        return self in _TAKES_ENTRIES


_S = StrategyState
_TAKES_ENTRIES: Final = frozenset({_S.PUBLISHED, _S.BY_LINK, _S.PRIVATE})

STRATEGY_MOVES: Final[Mapping[StrategyState, frozenset[StrategyState]]] = {
    # A master may take back each decision; one that lets entries in asks for a factor.
    each: frozenset(StrategyState) - {each}
    for each in StrategyState
}


def lets_entries_in(old: StrategyState, new: StrategyState) -> bool:
    """Tell whether a move lets a strategy's entries in that were refused before."""
    return new.takes_entries and not old.takes_entries
