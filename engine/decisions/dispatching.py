"""Dispatching: which waiting legs of an account may start now, and when to check again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.decisions.routing import ENTRY


@dataclass(frozen=True, slots=True)
class QueuedLeg:
    """What decides whether a leg may start: its lane (symbol and kind), when it is due (UTC), and
    whether a person holds it back.
    """

    symbol: str
    kind: str
    due: datetime
    is_held_back: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """The indexes of the legs that start, in order, and when the next one is due; None if none is."""

    start: tuple[int, ...]
    again_at: datetime | None


def choose_legs(
    legs: Sequence[QueuedLeg],
    busy: Collection[tuple[str, str]],
    now: datetime,
    *,
    is_quarantined: bool,
) -> Chosen:
    """Choose among an account's waiting legs, given in the order of their signals.

    One leg at a time runs per symbol and kind; ``busy`` are the lanes that already run one. A
    quarantined account starts no entry. A leg that is due but may not start is checked again when
    something wakes the account, not at a time.
    """
    taken = set(busy)
    start: list[int] = []
    again_at: datetime | None = None
    for index, leg in enumerate(legs):
        if leg.due > now:
            again_at = leg.due if again_at is None else min(again_at, leg.due)
        elif (
            not leg.is_held_back
            and (leg.symbol, leg.kind) not in taken
            and not (is_quarantined and leg.kind == ENTRY)
        ):
            taken.add((leg.symbol, leg.kind))
            start.append(index)
    return Chosen(tuple(start), again_at)
