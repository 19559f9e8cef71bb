"""Orders proven by reading alone: which row, closed position or reading proves an order, and which
proves nothing.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from decision_builders import BTC, ETH, LONG, NOW, SHORT, D, intent, position, report, row

from engine.decisions.proving import (
    Absent,
    Ambiguous,
    ClosedOtherwise,
    Found,
    Sent,
    match_closed,
    match_order,
    match_position,
    may_stop_looking,
    resolution_due,
)
from engine.domain.account import ClosedPosition, ClosedPositions, UnreadableRow
from engine.domain.order import ClosedBy, OrderSide, OrderStatus


def find(*reports: Any, reads_client_order_id: bool = False, **known: Any) -> Any:
    return match_order(
        Sent(intent=intent(), at=NOW, **known), reports, reads_client_order_id=reads_client_order_id
    )


def bare(**changes: Any) -> Any:
    return row(client_order_id=None, **changes)


def later(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


def test_our_own_id_finds_the_order_whatever_stands_beside_it() -> None:
    assert find(bare(exchange_order_id="x2"), row(), reads_client_order_id=True) == Found(row())
    assert find(row(created_at=later(100))) == Found(row(created_at=later(100)))


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": ETH},
        {"side": OrderSide.SELL},
        {"quantity": D("1")},
        {"created_at": later(-3), "status": OrderStatus.REJECTED, "filled_quantity": D("0")},
    ],
)
def test_our_own_id_on_an_order_that_does_not_fit_is_a_question_for_a_person(
    changes: dict[str, Any],
) -> None:
    assert find(row(**changes)) == Ambiguous(("x1",))


@pytest.mark.parametrize("ahead_s", [3, 60, 3600, -20, -3600])
@pytest.mark.parametrize(
    "changes",
    [{}, {"status": OrderStatus.OPEN, "filled_quantity": D("0")}],
    ids=["filled", "resting"],
)
def test_our_own_id_proves_an_order_though_the_clock_was_set_since_the_claim(
    ahead_s: float, changes: dict[str, Any]
) -> None:
    found = row(created_at=later(-ahead_s), **changes)
    assert find(found, reads_client_order_id=True) == Found(found)


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
    assert find(
        strange, bare(exchange_order_id="x9"), bound_ids=("bound",), witness_ids=("seen",)
    ) == Found(bare(exchange_order_id="x9"))


def test_two_rows_that_may_be_ours_are_a_question_for_a_person() -> None:
    assert find(bare(), bare(exchange_order_id="x2")) == Ambiguous(("x1", "x2"))


def test_the_window_is_on_the_exchange_s_clock_and_wider_where_that_is_unknown() -> None:
    shifted = bare(created_at=later(30))
    assert find(shifted) == Absent()
    assert find(shifted, clock_offset_s=30.0) == Found(shifted)
    assert find(shifted, clock_offset_s=None) == Found(shifted, is_sure=False)


def test_looking_up_slows_down_to_one_read_in_thirty_seconds() -> None:
    assert [resolution_due(n) for n in (0, 1, 2, 3, 4, 5, 10_000)] == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("absences", "seconds", "ends"), [(3, 60, True), (2, 600, False), (30, 59.9, False)]
)
def test_an_order_is_given_up_only_after_three_complete_absences_over_a_minute(
    absences: int, seconds: float, ends: bool
) -> None:
    assert may_stop_looking(absences, 7.0, 7.0 + seconds) is ends


def test_an_entry_is_no_row_that_closed_somebody_s_position() -> None:
    closing = bare(reduce_only=None, position_id="p9")
    opening = bare(
        exchange_order_id="x0",
        side=OrderSide.SELL,
        reduce_only=None,
        position_id="p9",
        created_at=later(-1),
    )
    assert find(closing, opening) == Absent()
    assert find(bare(reduce_only=None, closed_by=ClosedBy.ORDER)) == Absent()
    assert find(bare(reduce_only=None, position_id="p9")) == Found(
        bare(reduce_only=None, position_id="p9")
    )


def test_an_entry_that_grows_a_position_which_was_closed_in_part_opens_it() -> None:
    growing = bare(reduce_only=None, position_id="p9")
    opening = bare(
        exchange_order_id="x0", reduce_only=None, position_id="p9", created_at=later(-90)
    )
    part = bare(
        exchange_order_id="x1b",
        side=OrderSide.SELL,
        reduce_only=None,
        position_id="p9",
        created_at=later(-50),
    )
    assert find(growing, part, opening) == Found(growing)
    assert find(growing, replace(part, closed_by=ClosedBy.ORDER)) == Found(
        growing
    )  # the opening row lies further back


# Exits: SELL 2 of the LONG position p1, the whole of it


def exit_intent(**changes: Any) -> Any:
    base = intent(
        side=OrderSide.SELL,
        reduce_only=True,
        whole_position=True,
        quantity=D("2"),
        position_id="p1",
    )
    return replace(base, **changes)


def closing_row(**changes: Any) -> Any:
    base = bare(
        side=OrderSide.SELL,
        quantity=D("2"),
        filled_quantity=D("2"),
        reduce_only=None,
        position_id="p1",
    )
    return replace(base, **changes)


def find_exit(*rows: Any, closes: Any = None, **known: Any) -> Any:
    return match_order(
        Sent(intent=closes or exit_intent(), at=NOW, **known), rows, reads_client_order_id=False
    )


def test_an_exit_is_the_row_that_names_the_position_it_closed() -> None:
    assert find_exit(closing_row()) == Found(closing_row())


@pytest.mark.parametrize(
    "strange",
    [
        closing_row(position_id="p2"),
        closing_row(position_id=""),
        closing_row(position_id="", reduce_only=True),
        closing_row(quantity=D("1")),
        closing_row(side=OrderSide.BUY),
        closing_row(created_at=later(-3)),
        closing_row(created_at=later(14)),
        closing_row(closed_by=ClosedBy.LIQUIDATION),
        closing_row(closed_by=ClosedBy.STOP_LOSS),
        closing_row(exchange_order_id="bound"),
    ],
)
def test_no_other_row_is_believed_for_an_exit(strange: Any) -> None:
    assert find_exit(strange, bound_ids=("bound",)) == Absent()


def test_where_the_held_position_is_not_known_a_row_must_say_that_it_closed() -> None:
    nameless = exit_intent(position_id="")
    opening = bare(
        exchange_order_id="x0",
        quantity=D("2"),
        reduce_only=None,
        position_id="p1",
        created_at=later(-1),
    )
    assert find_exit(closing_row(position_id=""), closes=nameless) == Absent()
    assert find_exit(closing_row(position_id="", reduce_only=True), closes=nameless) == Found(
        closing_row(position_id="", reduce_only=True)
    )
    assert find_exit(closing_row(), closes=nameless) == Absent()
    assert find_exit(closing_row(), opening, closes=nameless) == Found(closing_row())


def closed(**changes: Any) -> Any:
    base = ClosedPosition(
        "p1", BTC, LONG, D("2"), D("100"), D("103"), later(1), later(-100), ClosedBy.ORDER, "c1"
    )
    return replace(base, **changes)


@pytest.mark.parametrize(
    ("row_of", "is_open"),
    [
        ({"position_id": "p1"}, False),
        ({"position_id": "p2"}, True),
        ({"position_id": ""}, False),
        ({"position_id": "", "symbol": ETH}, True),
    ],
)
def test_a_row_without_an_id_may_be_about_any_position_of_its_contract(
    row_of: dict[str, Any], is_open: bool
) -> None:
    history = ClosedPositions((closed(**row_of),), complete=True)
    assert history.proves_open("p1", BTC) is is_open


def test_the_closed_position_tells_order_and_price_of_an_exit() -> None:
    found = match_closed(Sent(intent=exit_intent(), at=NOW), [closed(position_id="p0"), closed()])
    assert isinstance(found, Found)
    told = found.report
    assert (told.exchange_order_id, told.filled_quantity, told.average_price, told.fee) == (
        "c1",
        D("2"),
        D("103"),
        None,
    )


def test_a_position_that_left_in_parts_tells_no_price_of_the_last_one() -> None:
    found = match_closed(Sent(intent=exit_intent(), at=NOW), [closed(quantity=D("5"))])
    assert isinstance(found, Found)
    assert (found.report.exchange_order_id, found.report.average_price) == ("c1", None)


@pytest.mark.parametrize(
    "otherwise",
    [
        closed(closed_by=ClosedBy.LIQUIDATION),
        closed(closed_by=ClosedBy.TAKE_PROFIT),
        closed(order_id="bound"),
        closed(closed_at=later(-60)),
        closed(closed_at=later(60)),
    ],
)
def test_a_position_that_something_else_closed_proves_that_the_exit_did_nothing(
    otherwise: Any,
) -> None:
    assert match_closed(
        Sent(intent=exit_intent(), at=NOW, bound_ids=("bound",)), [otherwise]
    ) == ClosedOtherwise(otherwise)


def test_a_closed_position_proves_nothing_about_another_one_or_about_a_part() -> None:
    assert match_closed(Sent(intent=exit_intent(), at=NOW), [closed(position_id="p2")]) == Absent()
    assert (
        match_closed(
            Sent(intent=exit_intent(whole_position=False), at=NOW), [closed(quantity=D("3"))]
        )
        == Absent()
    )
    assert isinstance(
        match_closed(Sent(intent=exit_intent(whole_position=False), at=NOW), [closed()]), Found
    )


def test_a_position_that_was_over_before_a_part_was_sent_proves_that_the_part_did_nothing() -> None:
    over = closed(quantity=D("3"), closed_at=later(-60))
    assert match_closed(
        Sent(intent=exit_intent(whole_position=False), at=NOW), [over]
    ) == ClosedOtherwise(over)


def test_a_closed_position_without_an_id_proves_nothing() -> None:
    assert (
        match_closed(Sent(intent=exit_intent(position_id=""), at=NOW), [closed(position_id="")])
        == Absent()
    )


def test_a_later_reading_without_the_position_proves_the_exit_and_tells_no_price() -> None:
    sent = Sent(intent=exit_intent(), at=NOW)
    for gone in (
        report(),
        report((position(id="p2"),)),
        report((position(side=SHORT),)),
        report((position(symbol=ETH, id="p1"),)),
    ):
        found = match_position(sent, gone, D("2"))
        assert isinstance(found, Found)
        assert (found.report.filled_quantity, found.report.average_price, found.report.fee) == (
            D("2"),
            None,
            None,
        )


@pytest.mark.parametrize(
    "there", [position(id="p1"), position(id="p1", quantity=D("1")), position(id="")]
)
def test_a_position_that_may_be_ours_still_stands(there: Any) -> None:
    assert match_position(Sent(intent=exit_intent(), at=NOW), report((there,)), D("2")) == Absent()


@pytest.mark.parametrize(
    ("before", "now", "proven"),
    [("5", "3", True), ("5", "5", False), ("5", "2", False), (None, "3", False)],
)
def test_a_part_is_proven_by_exactly_the_part_less(
    before: str | None, now: str, proven: bool
) -> None:
    sent = Sent(
        intent=exit_intent(whole_position=False),
        at=NOW,
        held_before=None if before is None else D(before),
    )
    there = report((position(id="p1", quantity=D(now)),))
    assert isinstance(match_position(sent, there, D("2")), Found if proven else Absent)


@pytest.mark.parametrize(
    ("share", "now", "proven"),
    [("5", "3", True), ("5", "4", False), ("3", "3", False), ("4", "5", False)],
)
def test_where_all_that_stands_is_ours_a_part_is_proven_by_what_is_left_of_the_share(
    share: str, now: str, proven: bool
) -> None:
    there = report((position(id="p1", quantity=D(now)),))
    assert isinstance(
        match_position(Sent(intent=exit_intent(whole_position=False), at=NOW), there, D(share)),
        Found if proven else Absent,
    )


@pytest.mark.parametrize(
    ("owned", "now", "proven"), [("0.7", "0.7", True), ("0.7", "2.7", False), ("0", "0.7", False)]
)
def test_the_owner_s_part_of_the_books_tells_what_an_exit_leaves_of_a_position(
    owned: str, now: str, proven: bool
) -> None:
    there = report((position(id="p1", quantity=D(now)),))
    sent = Sent(intent=exit_intent(whole_position=False), at=NOW)
    assert isinstance(match_position(sent, there, D("2"), D(owned)), Found if proven else Absent)


@pytest.mark.parametrize(
    ("symbol", "what", "proven"),
    [
        (BTC, "position", False),
        (None, "position", False),
        (ETH, "position", True),
        (BTC, "order", True),
    ],
)
def test_a_position_that_cannot_be_read_is_not_gone(symbol: Any, what: str, proven: bool) -> None:
    unreadable = replace(
        report(), unreadable=(UnreadableRow(what, "u1", symbol, "status: expected a known word"),)
    )
    assert isinstance(
        match_position(Sent(intent=exit_intent(), at=NOW), unreadable, D("2")),
        Found if proven else Absent,
    )
