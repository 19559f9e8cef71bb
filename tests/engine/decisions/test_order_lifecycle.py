"""The transition table against its diagram, and the classification of answers."""

from typing import Any

import httpx
import pytest
from decision_builders import ETH, D, intent, row
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.order_lifecycle import (
    MOVES,
    Accepted,
    AttemptState,
    NoProof,
    NothingSent,
    Refused,
    check_move,
    classify,
    no_less,
    state_of,
    steps,
)
from engine.domain.errors import InvalidMove
from engine.domain.order import OrderSide, OrderStatus
from engine.ports import http as ports
from engine.ports.exchange import NotExecuted, OutcomeUnknown, Rejected, RejectionKind

S = AttemptState

# The picture of the order protocol, one row a state, and below it what a leg that was never claimed
# may end as.
PICTURE = {
    "new": "claimed",
    "claimed": "new placed rejected unknown killed expired skipped denied",
    "placed": "partially_filled filled cancelled rejected not_confirmed",
    "partially_filled": "partially_filled filled cancelled not_confirmed",
    "unknown": "placed filled cancelled rejected not_confirmed",
    "not_confirmed": "placed filled cancelled rejected",
}
BEFORE_ANY_CLAIM = {"killed", "expired", "skipped", "denied", "rejected"}


def test_the_table_is_the_picture_and_nothing_else() -> None:
    for state in AttemptState:
        expected = set(PICTURE.get(state.value, "").split()) | (
            BEFORE_ANY_CLAIM if state is S.NEW else set()
        )
        assert {each.value for each in MOVES[state]} == expected


def test_an_unknown_order_can_never_be_sent_again() -> None:
    reachable, frontier = set(), {S.UNKNOWN}
    while frontier:
        reachable |= frontier
        frontier = {new for old in frontier for new in MOVES[old]} - reachable
    assert not reachable & {S.NEW, S.CLAIMED}


@pytest.mark.parametrize("old", AttemptState)
@pytest.mark.parametrize("new", AttemptState)
def test_a_move_is_one_of_the_table_or_two_through_placed_and_all_else_is_refused(
    old: AttemptState, new: AttemptState
) -> None:
    if new in MOVES[old]:
        assert steps(old, new) == (new,)
    elif S.PLACED in MOVES[old] and new in MOVES[S.PLACED] - {S.NOT_CONFIRMED}:
        assert steps(old, new) == (S.PLACED, new)
    else:
        with pytest.raises(InvalidMove, match=f"{old.value} cannot become {new.value}"):
            check_move(old, new)


def test_an_answer_may_tell_that_the_order_already_filled() -> None:
    assert steps(S.CLAIMED, S.FILLED) == (S.PLACED, S.FILLED)
    assert steps(S.UNKNOWN, S.PARTIALLY_FILLED) == (S.PLACED, S.PARTIALLY_FILLED)


def test_states_know_whether_they_are_over_or_working() -> None:
    working = {S.CLAIMED, S.UNKNOWN, S.PLACED, S.PARTIALLY_FILLED}
    over = {S.FILLED, S.CANCELLED, S.REJECTED, S.KILLED, S.EXPIRED, S.SKIPPED, S.DENIED}
    assert {each for each in S if each.is_open} == working
    assert {each for each in S if each.is_terminal} == over


class ConnectError(Exception):
    """An error with the name of httpx's proof that is not one."""


class _Shaped(httpx.ConnectTimeout):
    """An error that an adapter may derive from httpx's own."""


CLASSIFIED: list[tuple[str, Any, bool | None, Any]] = [
    ("proof by the adapter", NotExecuted("too fast", 3.0), True, NothingSent("too fast", 3.0)),
    (
        "proven refusal",
        Rejected("no margin", RejectionKind.BALANCE),
        True,
        Refused(RejectionKind.BALANCE, "no margin"),
    ),
    (
        "proven refusal, nothing written",
        Rejected("bad"),
        False,
        Refused(RejectionKind.OTHER, "bad"),
    ),
    ("never connected", httpx.ConnectError("x"), None, NothingSent("ConnectError")),
    (
        "never connected, written says so too",
        httpx.ConnectTimeout("x"),
        False,
        NothingSent("ConnectTimeout"),
    ),
    ("never connected, by the port", ports.ConnectError("x"), None, NothingSent("ConnectError")),
    (
        "no time to connect, by the port",
        ports.ConnectTimeout("x"),
        None,
        NothingSent("ConnectTimeout"),
    ),
    (
        "connect failed after the order left, by the port",
        ports.ConnectError("x"),
        True,
        NoProof("ConnectError"),
    ),
    ("read timeout, by the port", ports.ReadTimeout("x"), None, NoProof("ReadTimeout")),
    ("no free connection", httpx.PoolTimeout("x"), None, NothingSent("PoolTimeout")),
    ("a child of the proof", _Shaped("x"), None, NothingSent("_Shaped")),
    ("connect failed after the order left", httpx.ConnectError("x"), True, NoProof("ConnectError")),
    ("a stranger's class of that name", ConnectError("x"), None, NoProof("ConnectError")),
    ("read timeout", httpx.ReadTimeout("x"), None, NoProof("ReadTimeout")),
    ("write error", httpx.WriteError("x"), True, NoProof("WriteError")),
    ("a bug in the adapter", KeyError("secret in text"), None, NoProof("KeyError")),
    ("a bug before any byte", KeyError("secret in text"), False, NothingSent("KeyError")),
    ("the adapter does not know", OutcomeUnknown("HTTP 502"), True, NoProof("HTTP 502")),
    ("cancelled at the deadline", KeyboardInterrupt(), True, NoProof("KeyboardInterrupt")),
    ("accepted", row(), True, Accepted(row())),
    (
        "accepted without our id read back",
        row(client_order_id=None),
        None,
        Accepted(row(client_order_id=None)),
    ),
    (
        "accepted and rejected",
        row(status=OrderStatus.REJECTED, reason="halted"),
        True,
        Refused(RejectionKind.OTHER, "halted"),
    ),
    (
        "another id",
        row(client_order_id="rxother"),
        True,
        NoProof("the answer describes another order"),
    ),
    ("another symbol", row(symbol=ETH), True, NoProof("the answer describes another order")),
    ("another side", row(side=OrderSide.SELL), True, NoProof("the answer describes another order")),
    (
        "another quantity",
        row(quantity=D("2.4")),
        True,
        NoProof("the answer describes another order"),
    ),
    (
        "another order, although nothing was written",
        row(symbol=ETH),
        False,
        NoProof("the answer describes another order"),
    ),
    (
        "filled more than ordered",
        row(filled_quantity=D("3")),
        True,
        NoProof("the answer contradicts itself"),
    ),
]


@pytest.mark.parametrize(
    ("result", "written", "answer"),
    [each[1:] for each in CLASSIFIED],
    ids=[each[0] for each in CLASSIFIED],
)
def test_only_proof_is_taken_for_a_yes_or_a_no(
    result: Any, written: bool | None, answer: Any
) -> None:
    assert classify(intent(), result, written) == answer


def test_a_close_of_the_whole_position_may_have_found_another_quantity() -> None:
    whole = intent(side=OrderSide.SELL, reduce_only=True, whole_position=True)
    report = row(
        side=OrderSide.SELL, quantity=D("1"), filled_quantity=D("1"), status=OrderStatus.FILLED
    )
    assert classify(whole, report, True) == Accepted(report)


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        (OrderStatus.OPEN, "0", S.PLACED),
        (OrderStatus.OPEN, "1", S.PARTIALLY_FILLED),
        (OrderStatus.PARTIALLY_FILLED, "1", S.PARTIALLY_FILLED),
        (OrderStatus.FILLED, "2.5", S.FILLED),
        (OrderStatus.CANCELLED, "1", S.CANCELLED),
        (OrderStatus.REJECTED, "0", S.REJECTED),
        (OrderStatus.REJECTED, "1", S.CANCELLED),
    ],
)
def test_a_report_proves_a_state(status: OrderStatus, filled: str, state: AttemptState) -> None:
    assert state_of(row(status=status, filled_quantity=D(filled))) is state


@pytest.mark.parametrize(
    ("status", "filled", "proven", "shown"),
    [
        (OrderStatus.OPEN, "0", "0", "0"),
        (OrderStatus.PARTIALLY_FILLED, "2", "1", "2"),
        (OrderStatus.PARTIALLY_FILLED, "1", "1", "1"),
        (OrderStatus.PARTIALLY_FILLED, "1", "2", None),
        (OrderStatus.OPEN, "0", "2", None),
        (OrderStatus.CANCELLED, "1", "2", "2"),
        (OrderStatus.REJECTED, "0", "2", "2"),
    ],
)
def test_fills_are_never_taken_back(
    status: OrderStatus, filled: str, proven: str, shown: str | None
) -> None:
    newest = no_less(row(status=status, filled_quantity=D(filled)), D(proven), D("64000"))
    assert (None if newest is None else newest.filled_quantity) == (shown and D(shown))
    if newest is not None and D(filled) < D(proven):
        assert newest.average_price == D("64000")
        assert state_of(newest) is S.CANCELLED


@given(st.lists(st.sampled_from(AttemptState), max_size=12))
def test_no_walk_leaves_a_final_state(walk: list[AttemptState]) -> None:
    state, ended = S.NEW, False
    for new in walk:
        try:
            check_move(state, new)
        except InvalidMove:
            continue
        assert not ended
        state, ended = new, new.is_terminal
