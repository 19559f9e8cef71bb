"""Which faults met which actions in which state: the cells that a run must hit, and why others are
impossible.

A cell is (fault, action, state). The state is that of the action's leg or order at the moment of
the fault; ``held`` and ``idle`` are an account with nothing in flight. For faults that do not
concern an order, the action does not matter and is ``*``.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from engine.decisions.routing import ENTRY, EXIT, legs
from engine.domain.signal import Action
from tests.faults.dice import (
    ANSWER,
    CANCEL,
    CONNECT,
    FATE,
    FIND,
    LIMIT,
    PLAN,
    PREPARE,
    PROTECT,
    READ,
    STOP,
    WRITE,
)

Cell = tuple[str, str, str]
ENTERING: Final = tuple(each.value for each in Action if ENTRY in legs(each))
ORDERING: Final = tuple(each.value for each in Action if {ENTRY, EXIT} & {*legs(each)})
LOOKED_UP: Final = ("unknown", "placed", "partially_filled", "not_confirmed")
OPEN: Final = ("new", "claimed", *LOOKED_UP)
QUIET: Final = ("held", "idle")
SIGNS: Final = {
    "new": "n",
    "claimed": "c",
    "unknown": "u",
    "placed": "p",
    "partially_filled": "h",
    "not_confirmed": "?",
    "held": "=",
    "idle": "-",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Faults of one kind, the cells that each must hit, and why there are no others."""

    title: str
    faults: tuple[str, ...]
    actions: tuple[str, ...]
    states: tuple[str, ...]
    why: str


CALLED: Final = ("new", "claimed", "unknown", "placed", "not_confirmed", *QUIET)
GROUPS: Final = (
    Group(
        "answer to an order",
        ANSWER,
        ORDERING,
        ("claimed",),
        "an order is out only while its attempt is claimed",
    ),
    Group(
        "fate of an order",
        FATE,
        ORDERING,
        ("claimed",),
        "it is settled when the order is accepted; what follows is read",
    ),
    Group(
        "look-up of orders",
        FIND,
        ORDERING,
        LOOKED_UP,
        "only orders whose fate is open are looked up",
    ),
    Group(
        "reading of the account",
        READ,
        ORDERING,
        OPEN,
        "other actions have no order that a reading could be wrong about",
    ),
    Group(
        "before an entry",
        PREPARE,
        ENTERING,
        ("new",),
        "only entries are prepared, and before their claim",
    ),
    Group(
        "taking back",
        CANCEL,
        ("open",),
        ("placed",),
        "only a resting limit entry is taken back, and it is placed",
    ),
    Group(
        "stop and target",
        PROTECT,
        ("set_protection",),
        ("new",),
        "the leg stays new until the exchange has done it",
    ),
    Group(
        "connecting",
        CONNECT,
        ("*",),
        ("new", "unknown", "placed", "not_confirmed", *QUIET),
        "when none of its orders is out",
    ),
    Group(
        "a key that is refused for a while", ("key_window",), ("*",), CALLED, "any call may meet it"
    ),
    Group(
        "the ledger refuses a write",
        WRITE,
        ("*",),
        (*OPEN, *QUIET),
        "whatever is written, nothing of it is",
    ),
    Group(
        "the limiter fails",
        LIMIT,
        ("*",),
        CALLED,
        "entries and reads wait, exits go at half the rate",
    ),
    Group("a task crashes", PLAN, ("*",), OPEN, "a task that plans has something to plan"),
    Group("the process ends", STOP, ("*",), (*OPEN, *QUIET), "at any time"),
    Group("no prices", ("prices_fail",), ("*",), ("new",), "only what is planned needs a price"),
)


def expected() -> set[Cell]:
    """Return every cell that a run must hit."""
    return {
        (fault, action, state)
        for group in GROUPS
        for fault in group.faults
        for action in group.actions
        for state in group.states
    }


def hit(matrix: Counter[Cell]) -> Counter[Cell]:
    """Return the counts by cell, with ``*`` if the action does not matter."""
    any_action = {fault for group in GROUPS if group.actions == ("*",) for fault in group.faults}
    found: Counter[Cell] = Counter()
    for (fault, action, state), count in matrix.items():
        found[fault, "*" if fault in any_action else action, state] += count
    return found


def missing(matrix: Counter[Cell]) -> list[str]:
    """Return the cells that were not hit."""
    return sorted(" x ".join(cell) for cell in expected() - {*hit(matrix)})


def table(matrix: Counter[Cell]) -> str:
    """Return the matrix: a line per fault, a column per action, counts by state; ``!`` marks a
    missing cell.
    """
    found, lines = hit(matrix), []
    for group in GROUPS:
        lines.append(f"\n{group.title} ({group.why})")
        for fault in group.faults:
            cells = (
                f"{action + ':' if action != '*' else ''} "
                f"{_counts(found, fault, action, group.states)}"
                for action in group.actions
            )
            lines.append(f"  {fault:<22}" + "   ".join(f"{cell:<14}" for cell in cells))
    return "\n".join(
        [*lines, "", "states: " + ", ".join(f"{sign} {state}" for state, sign in SIGNS.items())]
    )


def _counts(found: Counter[Cell], fault: str, action: str, states: tuple[str, ...]) -> str:
    return " ".join(f"{SIGNS[state]}{found[fault, action, state] or '!'}" for state in states)
