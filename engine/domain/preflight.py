"""What was found when an account was checked before trading: items with a level, a sentence with numbers, and what to do."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Level(Enum):
    """How serious an item is; later ones are worse."""

    OK = "ok"
    WARNING = "warning"
    STOPS_ENTRIES = "stops_entries"

    @property
    def rank(self) -> int:
        """Return its place from harmless to serious."""
        return list(Level).index(self)


@dataclass(frozen=True, slots=True)
class CheckItem:
    """Hold one thing that was looked at. ``about`` is what (key, funds, a contract ...), ``do`` is empty where nothing is to be done."""

    level: Level
    about: str
    sentence: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Preflight:
    """Hold one account's check, made at ``at`` (UTC)."""

    account: str
    exchange: str
    environment: str
    items: tuple[CheckItem, ...]
    at: datetime

    @property
    def level(self) -> Level:
        """Return the level of the worst item."""
        return max((each.level for each in self.items), key=lambda each: each.rank, default=Level.OK)
