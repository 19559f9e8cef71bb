"""The fields of one alert as a flat list, each with its path and its text. A lookup never chooses
between two answers.

Only the order's own fields are looked up. What stands inside a stop, a target or another order
describes that, and is read only with it. Pure.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from plugins.tradingview.words import (
    BARE_FRACTIONS,
    BARE_PERCENTS,
    FALSE,
    FRACTIONS,
    LOOKS_LIKE_POSITION,
    NO_POSITION,
    NOT_TOLD,
    PERCENTS,
    STANDS,
    TELLS_POSITION,
)
from rexalgo import InvalidValue, meant_instead, squashed

T = TypeVar("T")
_SHOWN: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its whole path, its squashed name, and its text, or None for a list or an object.

    Not ``is_own``: it stands inside a stop, a target or another order. ``place``: the path of the
    object that it stands in, empty at the top.
    """

    path: str
    name: str
    text: str | None
    is_own: bool = True
    place: str = ""

    @classmethod
    def of(cls, path: str, written: str, text: str | None, *, is_own: bool = True) -> "Field":
        """Make a field of its name as it was written. A name may be the whole name of a
        placeholder, such as ``strategy.order.action``.
        """
        name = squashed(written).replace(".", "")
        return cls(path, name, text, is_own, path.removesuffix(written))

    @property
    def shown(self) -> str:
        """Return the path in a form that is safe to repeat to the sender and to store."""
        return self.path if _SHOWN.fullmatch(self.path) else "body"

    @property
    def is_told(self) -> bool:
        """Return whether it has a value: it is neither empty nor a placeholder that was not filled
        in.
        """
        return self.text is None or not (self.text.lower() in NOT_TOLD or self.is_unfilled)

    @property
    def is_unfilled(self) -> bool:
        """Return whether its text is a placeholder that TradingView did not fill in."""
        return self.text is not None and self.text.startswith("{{")

    @property
    def has_number(self) -> bool:
        """Return whether its text contains a number other than zero."""
        return self.text is not None and any(each in self.text for each in "123456789")

    @property
    def looks_like_position(self) -> bool:
        """Return whether its name is unknown and may be meant as a position of the strategy."""
        parts = (*FRACTIONS, *PERCENTS, *BARE_FRACTIONS, *BARE_PERCENTS)
        if self.name in (*TELLS_POSITION, *parts) or NO_POSITION.fullmatch(self.name):
            return False
        return (
            self.name in ("pos", "mp", "flat", "isflat")
            or (
                (self.name.startswith("pos") or self.name.endswith("pos"))
                and squashed(self.text or "") in STANDS
            )
            or any(each in self.name for each in LOOKS_LIKE_POSITION)
            or meant_instead(self.name, (each for each in TELLS_POSITION if len(each) >= 8))
            is not None
        )


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one alert, the outer before the inner; ``twice`` are given a second time in
    their place.
    """

    all: tuple[Field, ...]
    twice: tuple[Field, ...] = ()

    @property
    def own(self) -> Iterator[Field]:
        """Yield the fields of the order itself."""
        return (each for each in self.all if each.is_own)

    def named(self, names: Sequence[str]) -> Iterator[Field]:
        """Yield the order's fields under any of these names that have a value."""
        return (each for each in self.own if each.name in names and each.is_told)

    def present(self, names: Sequence[str]) -> Iterator[Field]:
        """Yield the order's fields under any of these names, with or without a value."""
        return (each for each in self.own if each.name in names)

    def inside(self, field: Field) -> Iterator[Field]:
        """Yield the fields inside an object or a list that have a value."""
        return (
            each
            for each in self.all
            if each.path.startswith((f"{field.path}.", f"{field.path}[")) and each.is_told
        )

    def is_object(self, field: Field) -> bool:
        """Return whether it is an object, or a list of objects, that contains something."""
        return any(each.path.startswith((f"{field.path}.", f"{field.path}[")) for each in self.all)

    def is_switched_off(self, field: Field) -> bool:
        """Return whether an object says that it is not enabled; one inside it may say so of
        itself.
        """
        return any(
            each.name in ("enabled", "active")
            and (each.text or "").lower() in FALSE
            and each.path.rpartition(".")[0] == field.path
            for each in self.inside(field)
        )

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

    def refuse_repeated(self) -> None:
        """Raise InvalidValue for a field that is given twice."""
        for each in self.twice:
            raise InvalidValue(each.shown, "once: it is given twice")

    def refuse_lookalikes(self) -> None:
        """Raise InvalidValue for a field with an unknown name that looks like a position."""
        for each in self.own:
            if each.looks_like_position:
                expected = (
                    "a known name: market_position and prev_market_position for where the "
                    "strategy stands, reduce_only for an exit"
                )
                raise InvalidValue(
                    each.shown if each.shown != "body" else "position", expected, each.text
                )
