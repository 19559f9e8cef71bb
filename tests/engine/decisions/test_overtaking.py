"""Which of two alerts of one moment was first, if they arrive in either order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.decisions.overtaking import (
    Came,
    as_it_stands,
    has_overtaken,
    held,
    stands_before,
    would_close,
)
from engine.domain.identifiers import Symbol
from engine.domain.signal import Action, AlertFacts, PositionSide, SignalDraft

T = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
BARE = AlertFacts(is_bare=True)


def came(
    action: Action,
    side: PositionSide | None = None,
    at_s: float = 0,
    *,
    told_s: float | None = None,
    facts: AlertFacts | None = None,
) -> Came:
    told = None if told_s is None else T + timedelta(seconds=told_s)
    return Came(
        SignalDraft(
            "k", action, Symbol("BTCUSDT"), side, sent_at=told, alert=facts or AlertFacts()
        ),
        T + timedelta(seconds=at_s),
    )


def close(
    at_s: float,
    side: PositionSide | None = None,
    *,
    told_s: float | None = None,
    facts: AlertFacts | None = None,
) -> Came:
    return came(Action.CLOSE, side, at_s, told_s=told_s, facts=facts)


def enter(
    at_s: float,
    side: PositionSide = LONG,
    *,
    told_s: float | None = None,
    facts: AlertFacts | None = None,
) -> Came:
    return came(Action.OPEN, side, at_s, told_s=told_s, facts=facts)


@pytest.mark.parametrize(
    ("entry", "before", "late"),
    [
        (enter(1), (), False),
        (enter(1), (close(0),), True),
        (enter(1), (close(0, LONG),), True),
        (enter(1), (close(0, SHORT),), False),
        (enter(1), (close(0, facts=AlertFacts(SHORT)),), False),
        (enter(1), (close(0, facts=AlertFacts(LONG)),), True),
        (enter(4), (close(0),), False),
        # A late bare entry says nothing about the order of two bare alerts of one moment ...
        (
            enter(301, facts=BARE),
            (
                close(300, LONG, facts=BARE),
                replace(enter(1, facts=BARE), is_late=True),
                close(0, LONG),
            ),
            True,
        ),
        # ... and counts as closed for one that follows later.
        (
            enter(400, facts=BARE),
            (
                close(300, LONG, facts=BARE),
                replace(enter(1, facts=BARE), is_late=True),
                close(0, LONG),
            ),
            False,
        ),
        (enter(1, told_s=1), (close(0, told_s=1),), True),
        (enter(1, told_s=2), (close(0, told_s=1),), False),
        (enter(1, SHORT), (close(0), enter(-60)), False),
        (enter(1), (close(0, LONG), enter(-60)), False),
        (enter(1), (close(0, LONG), enter(-60, SHORT)), True),
        (enter(1, SHORT), (close(0), close(-1), enter(-60)), False),
        (enter(1), (close(0), close(-61), enter(-120)), True),
        (enter(1), (enter(0),), False),
        (
            enter(900, facts=BARE),
            (close(0, LONG, facts=BARE), close(-60, LONG, facts=BARE), enter(-120, facts=BARE)),
            True,
        ),
        (enter(900, facts=BARE), (close(0, LONG, facts=BARE), enter(-120, facts=BARE)), False),
        (enter(900, facts=BARE), (close(0, facts=BARE),), False),
    ],
)
def test_an_entry_behind_its_own_exit(entry: Came, before: tuple[Came, ...], late: bool) -> None:
    assert has_overtaken(entry, before) is late


@pytest.mark.parametrize(
    ("again", "entered", "closes"),
    [
        (close(0), enter(1, LONG), True),
        (close(0, LONG), enter(1, LONG), True),
        (close(0, LONG), enter(1, SHORT), False),
        (close(0, facts=AlertFacts(LONG)), enter(1, SHORT), False),
        (came(Action.REVERSE, LONG), enter(1, SHORT), True),
        (came(Action.REVERSE, LONG), enter(1, LONG), False),
        (enter(0), enter(1, SHORT), False),
        (came(Action.CANCEL), enter(1), False),
    ],
)
def test_what_comes_again_after_an_entry(again: Came, entered: Came, closes: bool) -> None:
    assert would_close(again.draft, entered.draft) is closes


@pytest.mark.parametrize(
    ("late_close", "entry", "before"),
    [
        (close(1, LONG), enter(0, SHORT), True),
        (close(1, facts=AlertFacts(LONG)), enter(0, SHORT), True),
        (close(1), enter(0, SHORT), False),
        (close(1, SHORT), enter(0, SHORT), False),
        (close(4, LONG), enter(0, SHORT), False),
        (close(1, LONG, told_s=2), enter(0, SHORT, told_s=1), False),
        (close(1, LONG, told_s=1), enter(0, SHORT, told_s=1), True),
        (close(1, LONG), close(0), False),
    ],
)
def test_a_close_of_the_other_side_behind_an_entry_of_the_same_moment(
    late_close: Came, entry: Came, before: bool
) -> None:
    assert stands_before(late_close, (entry,)) is before


def turn(at_s: float, side: PositionSide, *, known: bool = True) -> Came:
    return came(Action.REVERSE, side, at_s, facts=AlertFacts(side.opposite if known else None))


FROM_FLAT = AlertFacts(was_flat=True)
LATE_TURN = replace(turn(-59, LONG, known=False), is_late=True)
"""It closed the short before it and entered nothing."""
LATE_FROM_SHORT = replace(turn(-59, LONG), is_late=True)


@pytest.mark.parametrize(
    ("entry", "before", "late", "ahead"),
    [
        (enter(1, facts=FROM_FLAT), (turn(0, SHORT),), True, True),
        (turn(1, SHORT), (enter(0, facts=FROM_FLAT),), False, False),
        (turn(1, SHORT), (turn(0, LONG), enter(-60)), True, True),
        (turn(1, SHORT), (turn(0, LONG), enter(-60, SHORT)), False, False),
        (turn(1, SHORT), (turn(0, LONG),), True, False),
        (turn(1, SHORT, known=False), (turn(0, LONG, known=False),), True, False),
        (turn(4, SHORT, known=False), (turn(0, LONG, known=False),), False, False),
        # Two turns before them that nobody could order leave the strategy anywhere ...
        (
            turn(1, SHORT),
            (turn(0, LONG), LATE_FROM_SHORT, turn(-60, SHORT), close(-200), enter(-300)),
            True,
            False,
        ),
        # ... and two whose order was known do not.
        (
            turn(1, SHORT),
            (turn(0, LONG), LATE_FROM_SHORT, turn(-60, SHORT), enter(-300, SHORT)),
            False,
            False,
        ),
        (
            turn(1, SHORT, known=False),
            (close(0, SHORT), LATE_TURN, turn(-60, SHORT, known=False)),
            True,
            False,
        ),
        (
            turn(1, SHORT, known=False),
            (close(0), LATE_TURN, turn(-60, SHORT, known=False)),
            True,
            False,
        ),
        (enter(1, facts=FROM_FLAT), (enter(0, SHORT, facts=FROM_FLAT),), True, False),
        (enter(1), (enter(0),), False, False),
    ],
)
def test_two_entries_of_one_moment(
    entry: Came, before: tuple[Came, ...], late: bool, ahead: bool
) -> None:
    assert (has_overtaken(entry, before), stands_before(entry, before)) == (late, ahead)


@pytest.mark.parametrize(
    ("recorded", "side"),
    [
        ((), None),
        ((enter(0),), LONG),
        ((close(0), enter(0)), None),
        ((close(0, LONG), enter(0)), None),
        ((close(0, SHORT), enter(0)), LONG),
        ((came(Action.CANCEL), enter(0, SHORT)), SHORT),
        ((came(Action.REVERSE, SHORT), enter(0)), SHORT),
    ],
)
def test_which_side_is_held_as_recorded(
    recorded: tuple[Came, ...], side: PositionSide | None
) -> None:
    assert held(tuple(each.draft for each in recorded)) is side


def test_an_entry_while_the_other_side_is_held_turns_and_a_bare_one_closes() -> None:
    short = (enter(0, SHORT).draft,)
    assert as_it_stands(enter(1).draft, short).action is Action.REVERSE
    bare = as_it_stands(enter(1, facts=BARE).draft, short)
    assert (bare.action, bare.side) == (Action.CLOSE, SHORT)
    for unchanged in (enter(1, SHORT), close(1), came(Action.ADD, LONG)):
        assert as_it_stands(unchanged.draft, short) == unchanged.draft
    assert as_it_stands(enter(1).draft, ()) == enter(1).draft
