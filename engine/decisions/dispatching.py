"""Dispatching: which waiting legs of an account may start now, and when to check again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.decisions.routing import ENTRY

LONGEST_PAUSE_S: Final = 60.0
"""The longest pause that a leg is ever given before it is planned again."""


@dataclass(frozen=True, slots=True)
class QueuedLeg:
    """What decides whether a leg may start: its lane (symbol and kind), for how many seconds it
    still waits, and whether a person holds it back.
    """

    symbol: str
    kind: str
    wait_s: float
    is_held_back: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """The indexes of the legs that start, in order, and after how many seconds the next one is due;
    None if none waits for a time.
    """

    start: tuple[int, ...]
    again_s: float | None


def choose_legs(
    legs: Sequence[QueuedLeg],
    busy: Collection[tuple[str, str]],
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
    again_s: float | None = None
    for index, leg in enumerate(legs):
        if leg.wait_s > 0:
            again_s = leg.wait_s if again_s is None else min(again_s, leg.wait_s)
        elif (
            not leg.is_held_back
            and (leg.symbol, leg.kind) not in taken
            and not (is_quarantined and leg.kind == ENTRY)
        ):
            taken.add((leg.symbol, leg.kind))
            start.append(index)
    return Chosen(tuple(start), again_s)


def pause_left_s(retry_at: datetime, now: datetime) -> float:
    """Return for how many seconds a leg of the ledger still waits, both times on the machine's
    clock. A time further ahead than any pause lasts is due: the clock was set back.
    """
    left_s = (retry_at - now).total_seconds()
    return left_s if 0 < left_s <= LONGEST_PAUSE_S else 0.0
