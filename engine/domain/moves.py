"""Checks of moves against a table."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from engine.domain.errors import InvalidMove

State = TypeVar("State", bound=Enum)


def require_move(
    moves: Mapping[State, frozenset[State]], old: State, new: State, what: str
) -> None:
    """Raise InvalidMove unless the table has the move; ``what`` is a noun such as ``a leg``."""
    if new not in moves[old]:
        allowed = ", ".join(sorted(str(each.value) for each in moves[old])) or "no move at all"
        raise InvalidMove(
            f"{what} that is {old.value} cannot become {new.value}; allowed from there: {allowed}"
        )
