"""The result of checking an account before trading: items with a level, a sentence with numbers,
and what to do.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class Level(Enum):
    """How serious an item is; later ones are worse."""

    OK = "ok"
    WARNING = "warning"
    STOPS_ENTRIES = "stops_entries"

    @property
    def rank(self) -> int:
        """Return the rank of the level, from harmless to serious."""
        return _RANKS[self.value]


_RANKS = {each.value: place for place, each in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class CheckItem:
    """One checked item. ``about`` is its topic (key, funds, a contract ...); ``do`` is empty if
    nothing is to be done.
    """

    level: Level
    about: str
    sentence: str
    do: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """One account's check, of what was read at ``at`` (UTC); ``level`` is that of its worst item."""

    account: str
    exchange: str
    environment: str
    items: tuple[CheckItem, ...]
    at: datetime
    level: Level = field(init=False)

    def __post_init__(self) -> None:
        worst = max(
            (each.level for each in self.items), key=lambda each: each.rank, default=Level.OK
        )
        object.__setattr__(self, "level", worst)
