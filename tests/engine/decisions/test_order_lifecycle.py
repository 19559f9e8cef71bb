"""The transition table against its picture, the judgement of answers, and finding an order by reading only."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from decision_builders import ETH, NOW, D, intent, row
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.order_lifecycle import (
    MOVES,
    Absent,
    Accepted,
    Ambiguous,
    AttemptState,
    Found,
    NoProof,
    NothingSent,
    Refused,
    check_move,
    classify,
    match_order,
    may_stop_looking,
    resolution_due,
    state_of,
    steps,
)
from engine.domain.errors import InvalidMove
from engine.domain.order import OrderSide, OrderStatus
from engine.ports.exchange import NotExecuted, OutcomeUnknown, Rejected, RejectionKind

S = AttemptState

# The picture of the order protocol, one row a state, and below it what a leg that was never claimed may end as.
PICTURE = {
    "new": "claimed",
    "claimed": "new placed rejected unknown killed expired skipped denied",
    "placed": "partially_filled filled cancelled rejected",
    "partially_filled": "partially_filled filled cancelled",
    "unknown": "placed filled cancelled rejected not_confirmed",
    "not_confirmed": "placed filled cancelled rejected",
}
BEFORE_ANY_CLAIM = {"killed", "expired", "skipped", "denied", "rejected"}


def test_the_table_is_the_picture_and_nothing_else() -> None:
    for state in AttemptState:
        expected = set(PICTURE.get(state.value, "").split()) | (BEFORE_ANY_CLAIM if state is S.NEW else set())
        assert {each.value for each in MOVES[state]} == expected


def test_an_unknown_order_can_never_be_sent_again() -> None:
    reachable, frontier = set(), {S.UNKNOWN}
    while frontier:
        reachable |= frontier
        frontier = {new for old in frontier for new in MOVES[old]} - reachable
    assert not reachable & {S.NEW, S.CLAIMED}


@pytest.mark.parametrize("old", AttemptState)
@pytest.mark.parametrize("new", AttemptState)
def test_a_move_is_one_of_the_table_or_two_through_placed_and_all_else_is_refused(old: AttemptState, new: AttemptState) -> None:
    if new in MOVES[old]:
        assert steps(old, new) == (new,)
    elif S.PLACED in MOVES[old] and new in MOVES[S.PLACED]:
        assert steps(old, new) == (S.PLACED, new)
    else:
        with pytest.raises(InvalidMove, match=f"{old.value} cannot become {new.value}"):
            check_move(old, new)


def test_an_answer_may_tell_that_the_order_already_filled() -> None:
    assert steps(S.CLAIMED, S.FILLED) == (S.PLACED, S.FILLED)
    assert steps(S.UNKNOWN, S.PARTIALLY_FILLED) == (S.PLACED, S.PARTIALLY_FILLED)


def test_states_know_whether_they_are_over_working_or_holding() -> None:
    working = {S.CLAIMED, S.UNKNOWN, S.PLACED, S.PARTIALLY_FILLED}
    over = {S.FILLED, S.CANCELLED, S.REJECTED, S.KILLED, S.EXPIRED, S.SKIPPED, S.DENIED}
    assert {each for each in S if each.is_open} == working
    assert {each for each in S if each.is_terminal} == over
    assert {each for each in S if each.holds_symbol} == working | {S.NOT_CONFIRMED}


class ConnectError(Exception):
    """Have the name of httpx's proof, and be none."""


class _Shaped(httpx.ConnectTimeout):
    """Be what an adapter may make of httpx's own."""


CLASSIFIED: list[tuple[str, Any, bool | None, Any]] = [
    ("proof by the adapter", NotExecuted("too fast", 3.0), True, NothingSent("too fast", 3.0)),
    ("proven refusal", Rejected("no margin", RejectionKind.BALANCE), True, Refused(RejectionKind.BALANCE, "no margin")),
    ("proven refusal, nothing written", Rejected("bad"), False, Refused(RejectionKind.OTHER, "bad")),
    ("never connected", httpx.ConnectError("x"), None, NothingSent("ConnectError")),
    ("never connected, written says so too", httpx.ConnectTimeout("x"), False, NothingSent("ConnectTimeout")),
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
    ("accepted without our id read back", row(client_order_id=None), None, Accepted(row(client_order_id=None))),
    ("accepted and rejected", row(status=OrderStatus.REJECTED, reason="halted"), True, Refused(RejectionKind.OTHER, "halted")),
    ("another id", row(client_order_id="rxother"), True, NoProof("the answer describes another order")),
    ("another symbol", row(symbol=ETH), True, NoProof("the answer describes another order")),
    ("another side", row(side=OrderSide.SELL), True, NoProof("the answer describes another order")),
    ("another quantity", row(quantity=D("2.4")), True, NoProof("the answer describes another order")),
    ("another order, although nothing was written", row(symbol=ETH), False, NoProof("the answer describes another order")),
    ("filled more than ordered", row(filled_quantity=D("3")), True, NoProof("the answer contradicts itself")),
]


@pytest.mark.parametrize(("result", "written", "answer"), [each[1:] for each in CLASSIFIED], ids=[each[0] for each in CLASSIFIED])
def test_only_proof_is_taken_for_a_yes_or_a_no(result: Any, written: bool | None, answer: Any) -> None:
    assert classify(intent(), result, written) == answer


def test_a_close_of_the_whole_position_may_have_found_another_quantity() -> None:
    whole = intent(side=OrderSide.SELL, reduce_only=True, whole_position=True)
    report = row(side=OrderSide.SELL, quantity=D("1"), filled_quantity=D("1"), status=OrderStatus.FILLED)
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


def find(*reports: Any, **changes: Any) -> Any:
    known: dict[str, Any] = {"reads_client_order_id": False, "bound_ids": (), "witness_ids": ()}
    return match_order(intent(), NOW, reports, **(known | changes))


def bare(**changes: Any) -> Any:
    return row(client_order_id=None, **changes)


def later(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


def test_our_own_id_finds_the_order_whatever_stands_beside_it() -> None:
    assert find(bare(exchange_order_id="x2"), row(), reads_client_order_id=True) == Found(row())
    assert find(row(created_at=later(100))) == Found(row(created_at=later(100)))


@pytest.mark.parametrize("changes", [{"symbol": ETH}, {"side": OrderSide.SELL}, {"quantity": D("1")}, {"created_at": later(-3)}])
def test_our_own_id_on_an_order_that_does_not_fit_is_a_question_for_a_person(changes: dict[str, Any]) -> None:
    assert find(row(**changes)) == Ambiguous(("x1",))


def test_two_orders_with_our_id_are_a_question_for_a_person() -> None:
    assert find(row(exchange_order_id="x2"), row()) == Ambiguous(("x1", "x2"))


def test_one_row_read_twice_is_one_row() -> None:
    assert find(bare(), bare()) == Found(bare())


def test_a_row_that_does_not_say_whether_it_closed_may_be_ours() -> None:
    assert find(bare(reduce_only=None)) == Found(bare(reduce_only=None))
    assert find(bare(reduce_only=None), bare(exchange_order_id="x2")) == Ambiguous(("x1", "x2"))


def test_rows_without_an_id_prove_nothing_where_the_exchange_keeps_ids() -> None:
    assert find(bare(), reads_client_order_id=True) == Absent()


@pytest.mark.parametrize(
    "strange",
    [
        bare(symbol=ETH),
        bare(side=OrderSide.SELL),
        bare(quantity=D("2.4")),
        bare(reduce_only=True),
        bare(created_at=later(-2.1)),
        bare(created_at=later(13.1)),
        bare(exchange_order_id="bound"),
        bare(exchange_order_id="seen"),
        row(client_order_id="the-owner-s"),
    ],
)
def test_a_row_that_cannot_be_ours_is_not_taken(strange: Any) -> None:
    assert find(strange, bound_ids=("bound",), witness_ids=("seen",)) == Absent()
    assert find(strange, bare(exchange_order_id="x9"), bound_ids=("bound",), witness_ids=("seen",)) == Found(bare(exchange_order_id="x9"))


def test_two_rows_that_may_be_ours_are_a_question_for_a_person() -> None:
    assert find(bare(), bare(exchange_order_id="x2")) == Ambiguous(("x1", "x2"))


def test_the_window_is_on_the_exchange_s_clock_and_wider_where_that_is_unknown() -> None:
    shifted = bare(created_at=later(30))
    assert find(shifted) == Absent()
    assert find(shifted, clock_offset_s=30.0) == Found(shifted)
    assert find(shifted, clock_offset_s=None) == Found(shifted, is_sure=False)


def test_looking_up_slows_down_to_one_read_in_thirty_seconds() -> None:
    assert [resolution_due(n) for n in (0, 1, 2, 3, 4, 5, 10_000)] == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(("absences", "seconds", "ends"), [(3, 60, True), (2, 600, False), (30, 59.9, False)])
def test_an_order_is_given_up_only_after_three_complete_absences_over_a_minute(absences: int, seconds: float, ends: bool) -> None:
    assert may_stop_looking(absences, NOW, later(seconds)) is ends


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
