"""The order of a strategy's signals: numbers within one numbering, times at the coarser precision,
and safety in doubt.
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.ordering import (
    Newest,
    Numbering,
    Placed,
    Told,
    compare_times,
    is_late,
    numbered,
    precision,
)

T = datetime(2026, 11, 28, 12, 0, 5, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("one", "other", "order"),
    [
        (at(0), at(0.7), 0),  # an exit with whole seconds, an entry with microseconds
        (at(0.7), at(0), 0),
        (at(0), at(1.2), -1),
        (at(0.123), at(0.123456), 0),
        (at(0.124), at(0.123456), 1),
        (at(0.000001), at(0.000002), -1),
        (at(2), at(2), 0),
    ],
)
def test_times_are_compared_at_the_coarser_precision(
    one: datetime, other: datetime, order: int
) -> None:
    assert compare_times(one, other) == order
    assert compare_times(other, one) == -order


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_times_that_are_further_apart_than_a_second_are_never_a_tie(
    one: datetime, other: datetime
) -> None:
    order = compare_times(one, other)
    assert order == -compare_times(other, one)
    if abs(one - other) >= timedelta(seconds=1):
        assert order == (one > other) - (one < other)
    assert precision(one) <= timedelta(seconds=1)


KNOWN = Numbering(number=1, least=10, greatest=50, at=at(0), is_sent=True, began_at=at(-1000))
SIGNED = Numbering(number=1, least=10, greatest=50, at=at(0), is_sent=False, began_at=at(-1000))
ON, ANEW, BEFORE, DOUBT = Placed(1), Placed(2, began=True), Placed(0), Placed(None)


@pytest.mark.parametrize(
    ("seq", "time", "is_sent", "used", "known", "entry", "exit_"),
    [
        (51, 1, True, False, KNOWN, ON, ON),
        (50, 1, True, True, KNOWN, ON, ON),
        (51, -2000, True, False, KNOWN, BEFORE, BEFORE),
        (51, -2000, False, False, SIGNED, ON, ON),
        (49, -1, True, False, KNOWN, ON, ON),
        (1, -1, True, False, KNOWN, ON, ON),
        (49, 1, True, False, KNOWN, ANEW, ANEW),
        (1, 1, True, False, KNOWN, ANEW, ANEW),
        (20, 0, True, True, KNOWN, ANEW, ANEW),
        (20, 3, False, True, SIGNED, ANEW, ANEW),
        (20, -3, False, True, SIGNED, ON, ON),
        (49, 0, False, False, SIGNED, ON, ON),
        (49, 30, False, False, SIGNED, ON, ON),
        (49, 61, False, False, SIGNED, DOUBT, ANEW),
        (1, 0, False, False, SIGNED, DOUBT, ANEW),
        (1, 30, False, False, SIGNED, DOUBT, ANEW),
        (1, 61, False, False, SIGNED, ANEW, ANEW),
        (7, 3, False, False, None, Placed(0, began=True), Placed(0, began=True)),
        (
            4,
            30,
            False,
            False,
            Numbering(number=0, least=5, greatest=5, at=at(0), is_sent=False, began_at=at(0)),
            Placed(0),
            Placed(0),
        ),  # the first two overtook each other
    ],
)
def test_a_number_that_falls_back_is_late_or_a_restart(
    seq: int,
    time: float,
    is_sent: bool,
    used: bool,
    known: Numbering | None,
    entry: Placed,
    exit_: Placed,
) -> None:
    for is_exit, placed in ((False, entry), (True, exit_)):
        assert (
            numbered(seq, at(time), is_sent=is_sent, is_exit=is_exit, is_used=used, newest=known)
            == placed
        )


def newest(
    number: int | None = None,
    seq: int | None = None,
    numbered_s: float | None = None,
    other_s: float | None = None,
) -> Newest:
    times = [None if each is None else at(each) for each in (numbered_s, other_s)]
    return Newest(sender="bot", number=number, seq=seq, numbered_at=times[0], other_at=times[1])


@pytest.mark.parametrize(
    ("new", "recorded", "late"),
    [
        (Told("bot", None, None, at(0)), (), False),
        (
            Told("bot", 6, 0, at(9)),
            (newest(0, 7, 0),),
            True,
        ),  # its number says so, whatever the time
        (Told("bot", 8, 0, at(-9)), (newest(0, 7, 0),), False),
        (Told("bot", 1, 1, at(9)), (newest(0, 7, 0),), False),  # a numbering that began anew
        (Told("bot", 9, 0, at(9)), (newest(1, 1, 5),), True),
        (Told("bot", 7, 0, at(-2)), (newest(0, 7, 0),), True),  # the same number: time decides
        (Told("bot", 7, 0, at(2)), (newest(0, 7, 0),), False),
        (
            Told("bot", 3, None, at(9)),
            (newest(0, 7, 0),),
            True,
        ),  # nobody can say what its number counts
        (Told("bot", 3, None, at(9)), (newest(other_s=0),), False),
        (
            Told("other", 3, 0, at(9)),
            (newest(0, 7, 0),),
            False,
        ),  # the numbers of two senders say nothing about each other
        (Told("other", 9, 0, at(-9)), (newest(0, 7, 0),), True),
        (Told("bot", None, None, at(-2)), (newest(other_s=0),), True),
        (
            Told("bot", None, None, at(0)),
            (newest(other_s=0.9),),
            False,
        ),  # whole seconds, and microseconds
        (
            Told("bot", None, None, None),
            (newest(0, 7, 9, 9),),
            False,
        ),  # no time was told: the order of receipt
        (Told("bot", None, None, at(0)), (newest(),), False),
    ],
)
def test_an_entry_is_late_by_its_senders_own_word_only(
    new: Told, recorded: tuple[Newest, ...], late: bool
) -> None:
    assert is_late(new, recorded) is late
