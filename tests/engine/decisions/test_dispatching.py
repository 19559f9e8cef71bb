"""Which waiting legs of an account may start, as a table, and what holds for all of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.dispatching import (
    LONGEST_PAUSE_S,
    QueuedLeg,
    choose_legs,
    pause_left_s,
)
from engine.decisions.routing import CANCEL, ENTRY, EXIT, PROTECTION

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SOON, LATER = 2.0, 9.0


def leg(symbol: str, kind: str, wait_s: float = 0.0, *, held_back: bool = False) -> QueuedLeg:
    return QueuedLeg(symbol, kind, wait_s, held_back)


TABLE = [
    ("nothing waits", [], set(), False, (), None),
    ("one that is due starts", [leg("BTC", ENTRY)], set(), False, (0,), None),
    (
        "the first of a lane starts, the next waits for it",
        [leg("BTC", ENTRY), leg("BTC", ENTRY)],
        set(),
        False,
        (0,),
        None,
    ),
    (
        "an exit does not wait for an entry",
        [leg("BTC", ENTRY), leg("BTC", EXIT)],
        set(),
        False,
        (0, 1),
        None,
    ),
    (
        "an exit does not wait for an entry that is under way",
        [leg("BTC", EXIT)],
        {("BTC", ENTRY)},
        False,
        (0,),
        None,
    ),
    ("a busy lane takes nothing", [leg("BTC", EXIT)], {("BTC", EXIT)}, False, (), None),
    ("lanes of other symbols are not busy", [leg("ETH", EXIT)], {("BTC", EXIT)}, False, (0,), None),
    (
        "what is due later says when",
        [leg("BTC", EXIT, LATER), leg("ETH", EXIT, SOON)],
        set(),
        False,
        (),
        SOON,
    ),
    (
        "one that is due later keeps its lane for nobody",
        [leg("BTC", EXIT, SOON), leg("BTC", EXIT)],
        set(),
        False,
        (1,),
        SOON,
    ),
    ("a person holds an exit back", [leg("BTC", EXIT, held_back=True)], set(), False, (), None),
    (
        "a quarantined account enters nothing",
        [leg("BTC", ENTRY), leg("BTC", EXIT)],
        set(),
        True,
        (1,),
        None,
    ),
    (
        "a quarantined account moves stops and takes back",
        [leg("BTC", PROTECTION), leg("BTC", CANCEL)],
        set(),
        True,
        (0, 1),
        None,
    ),
]


@pytest.mark.parametrize(
    ("legs", "busy", "quarantined", "start", "again_s"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_which_legs_start(
    legs: list[QueuedLeg],
    busy: set[tuple[str, str]],
    quarantined: bool,
    start: tuple[int, ...],
    again_s: float | None,
) -> None:
    chosen = choose_legs(legs, busy, is_quarantined=quarantined)
    assert (chosen.start, chosen.again_s) == (start, again_s)


lanes = st.tuples(
    st.sampled_from(["BTC", "ETH"]), st.sampled_from([ENTRY, EXIT, CANCEL, PROTECTION])
)
states = st.builds(
    lambda lane, wait_s, held: QueuedLeg(*lane, wait_s, held),
    lanes,
    st.sampled_from([0.0, SOON, LATER]),
    st.booleans(),
)


@given(st.lists(states, max_size=12), st.sets(lanes), st.booleans())
def test_no_lane_runs_two_and_a_due_exit_waits_for_nothing_but_its_own_lane(
    legs: list[QueuedLeg], busy: set[tuple[str, str]], quarantined: bool
) -> None:
    chosen = choose_legs(legs, busy, is_quarantined=quarantined)
    started = [(legs[index].symbol, legs[index].kind) for index in chosen.start]
    assert len(set(started)) == len(started)
    assert not busy & set(started)
    for each in legs:
        if each.kind == EXIT and each.wait_s == 0 and not each.is_held_back:
            assert (each.symbol, EXIT) in busy | set(started)


@pytest.mark.parametrize(
    ("ahead_s", "left_s"),
    [
        (-5.0, 0.0),
        (0.0, 0.0),
        (0.5, 0.5),
        (LONGEST_PAUSE_S, LONGEST_PAUSE_S),
        (60.5, 0.0),
        (3600, 0),
    ],
)
def test_a_pause_longer_than_any_that_is_given_is_over(ahead_s: float, left_s: float) -> None:
    assert pause_left_s(NOW + timedelta(seconds=ahead_s), NOW) == left_s
