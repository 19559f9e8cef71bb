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


def leading(tries: Sequence[Tried], *, is_closed: bool) -> Tried:
    """Return the attempt whose state is the leg's: the newest that may be working at the exchange;
    else the newest, if it stayed without trace; else the newest that filled, if all that the leg
    was to close ``is_closed``; else the newest.

    ``tries``: at least one, in the order in which they were claimed, without those that provably
    executed nothing and went back to NEW.
    """
    working = [each for each in tries if each.state.is_open]
    if not working and tries[-1].state is AttemptState.NOT_CONFIRMED:
        return tries[-1]  # only a reading may say whether it is to be repeated
    filled = [each for each in tries if is_closed and each.has_filled]
    return (working or filled or tries)[-1]


def is_heard(
    before: Tried, tries: Sequence[Tried], *, leg_state: str, is_closed: bool, has_grown: bool
) -> bool:
    """Return whether a leg takes over that one of its attempts moved: if it waited for that one, if
    that one leads now and works or has filled, or if its fill closed the rest.

    ``before``: the attempt before its move; ``tries``: as in ``leading``, after it. What is said of
    an attempt that is not heard ends that attempt only.
    """
    then = [before if each.id == before.id else each for each in tries]
    if leg_state == before.state.value and leading(then, is_closed=is_closed) == before:
        return True
    lead = leading(tries, is_closed=is_closed)
    if lead.id == before.id:
        return lead.state.is_open or lead.has_filled
    return is_closed and has_grown and not lead.state.is_open
