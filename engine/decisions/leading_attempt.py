"""Which of the attempts of a leg the leg goes with.

An exit that was given up is closed again, so a leg may have several attempts, and what became of an
earlier one may be proven after a later one was sent. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.decisions.order_lifecycle import AttemptState


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt of a leg, as far as it is proven."""

    id: int
    state: AttemptState
    has_filled: bool


def leading(tries: Sequence[Tried], *, is_done: bool) -> Tried:
    """Return the attempt whose state is the leg's: the newest that may be working at the exchange;
    else, if all that the leg was to do ``is_done``, the newest that filled; else the newest.

    ``tries``: at least one, in the order in which they were claimed, without those that provably
    executed nothing and went back to NEW.
    """
    working = [each for each in tries if each.state.is_open]
    filled = [each for each in tries if is_done and each.has_filled]
    return (working or filled or tries)[-1]


def is_heard(tried: Tried, lead: Tried, *, is_awaited: bool) -> bool:
    """Return whether a leg takes over what was proven of one of its attempts: if the leg waited for
    it, or if it leads and is working or has filled.

    What is said of another one ends that attempt only.
    """
    return is_awaited or (tried == lead and (tried.state.is_open or tried.has_filled))
