"""The fields of one alert as a flat list, each with its path and its text. A lookup never chooses
between two answers. Pure.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from plugins.tradingview.words import (
    LOOKS_LIKE_POSITION,
    NOT_TOLD,
    STANDS,
    TELLS_POSITION,
    TRUE,
    WORDS,
    Verb,
)
from rexalgo import InvalidValue, meant_instead, squashed

T = TypeVar("T")
_SHOWN: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_CLOSING_FILL: Final = "closeentry(s)order"
"""TradingView's own name for the order of ``strategy.close``."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its whole path, its squashed name, and its text, or None for a list or an object
    that is not looked into.
    """

    path: str
    name: str
    text: str | None

    @property
    def shown(self) -> str:
        """Return the path in a form that is safe to repeat to the sender and to store."""
        return self.path if _SHOWN.fullmatch(self.path) else "body"

    @property
    def is_told(self) -> bool:
        """Return whether it has a value: it is neither empty nor a placeholder that was not filled
        in.
        """
        return self.text is None or not (
            self.text.lower() in NOT_TOLD or self.text.startswith("{{")
        )

    @property
    def looks_like_position(self) -> bool:
        """Return whether its name is unknown and may be meant as a position of the strategy."""
        if self.name in TELLS_POSITION:
            return False
        return (
            self.name in ("pos", "mp", "flat", "isflat", "exitonly", "isexit")
            or (
                (self.name.startswith("pos") or self.name.endswith("pos"))
                and squashed(self.text or "") in STANDS
            )
            or any(each in self.name for each in LOOKS_LIKE_POSITION)
            or meant_instead(self.name, (each for each in TELLS_POSITION if len(each) >= 8))
            is not None
        )

    @property
    def says_close(self) -> bool:
        """Return whether its text is a word that closes, or a yes to a name that closes."""
        said = squashed(self.text or "")
        word = WORDS.get(said)
        if (word is not None and word.verb is Verb.CLOSE) or said.startswith(_CLOSING_FILL):
            return True
        bare = self.name.removeprefix("is")
        return (
            bare.startswith(("close", "exit"))
            and said in TRUE
            and (said != "1" or bare != self.name)
        )


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one alert, the outer before the inner."""

    all: tuple[Field, ...]

    def named(self, names: Sequence[str]) -> Iterator[Field]:
        """Yield the fields under any of these names that have a value."""
        return (each for each in self.all if each.name in names and each.is_told)

    def present(self, names: Sequence[str]) -> Iterator[Field]:
        """Yield the fields under any of these names, with or without a value."""
        return (each for each in self.all if each.name in names)

    def agreed(self, fields: Iterable[Field], read: Callable[[Field], T]) -> T | None:
        """Read every one of ``fields``; None if there is none. Raise InvalidValue if two of them
        differ.
        """
        values = [(each, read(each)) for each in fields]
        for each, value in values[1:]:
            if value != values[0][1]:
                raise InvalidValue(
                    each.shown,
                    f"the same as {values[0][0].shown}, or only one of the two",
                    each.text,
                )
        return values[0][1] if values else None

    def first(self, names: Sequence[str]) -> Field | None:
        """Return the outermost field under any of these names that has a value."""
        return next(self.named(names), None)

    def what_closes(self) -> Field | None:
        """Return a field of any name that says in a known word, or by yes, that the order closes;
        None if there is none.
        """
        return next((each for each in self.all if each.says_close), None)

    def refuse_lookalikes(self) -> None:
        """Raise InvalidValue for a field with an unknown name that looks like a position."""
        for each in self.all:
            if each.looks_like_position:
                expected = (
                    "a known name: market_position and prev_market_position for where the "
                    "strategy stands, reduce_only for an exit"
                )
                raise InvalidValue(
                    each.shown if each.shown != "body" else "position", expected, each.text
                )
