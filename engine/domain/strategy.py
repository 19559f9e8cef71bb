"""The states of a strategy that its master sets, and the moves between them."""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class StrategyState(Enum):
    """Whether a strategy's entries are copied, and who can see it. Exits are always copied."""

    DRAFT = "draft"
    PUBLISHED = "published"
    BY_LINK = "by_link"
    PRIVATE = "private"
    PAUSED = "paused"
    RETIRED = "retired"

    @property
    def takes_entries(self) -> bool:
        """Return whether the strategy's entries are copied."""
        return self in _TAKES_ENTRIES


_S = StrategyState
_TAKES_ENTRIES: Final = frozenset({_S.PUBLISHED, _S.BY_LINK, _S.PRIVATE})

STRATEGY_MOVES: Final[Mapping[StrategyState, frozenset[StrategyState]]] = {
    # A master may take back each decision; one that lets entries in asks for a factor.
    each: frozenset(StrategyState) - {each}
    for each in StrategyState
}


def lets_entries_in(old: StrategyState, new: StrategyState) -> bool:
    """Return whether a move permits entries of a strategy that were refused before."""
    return new.takes_entries and not old.takes_entries
