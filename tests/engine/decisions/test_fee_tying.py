"""Which fee rows belong to which fills: nothing paid is lost or counted twice, and a doubtful row
waits.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.fee_tying import ChargedFill, FeeRow, tie
from engine.domain.order import ClosedBy, OrderSide

D = Decimal
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
BUY, SELL = OrderSide.BUY, OrderSide.SELL


def fill(number: int, value: str, *, at_s: float = 0, side: OrderSide = BUY) -> ChargedFill:
    at = NOW + timedelta(seconds=at_s)
    return ChargedFill(id=number, symbol="BTCUSDT", side=side, value=D(value), since=at, until=at)


def row(
    name: str,
    traded: str,
    amount: str,
    *,
    at_s: float = 1,
    side: OrderSide | None = BUY,
    by: ClosedBy | None = None,
) -> FeeRow:
    return FeeRow(
        id=name,
        symbol="BTCUSDT",
        side=side,
        amount=D(amount),
        traded=D(traded),
        at=NOW + timedelta(seconds=at_s),
        closed_by=by,
    )


def paid(fills: list[ChargedFill], rows: list[FeeRow]) -> dict[int, Decimal]:
    tied, used = tie(fills, rows)
    assert sum((each.amount for each in tied), D(0)) == sum(
        (each.amount for each in rows if each.id in used), D(0)
    )
    return {each.fill: each.amount for each in tied}


def test_a_row_of_the_very_value_is_the_fills_own() -> None:
    assert paid(
        [fill(1, "195"), fill(2, "390")], [row("a", "390", "0.23"), row("b", "195", "0.115")]
    ) == {1: D("0.115"), 2: D("0.23")}


def test_a_word_for_what_closed_the_position_goes_with_it() -> None:
    tied, _ = tie(
        [fill(1, "195", side=SELL)], [row("a", "195", "0.1", side=SELL, by=ClosedBy.STOP_LOSS)]
    )
    assert [each.closed_by for each in tied] == [ClosedBy.STOP_LOSS]


def test_rows_of_indistinguishable_orders_are_grouped_and_split() -> None:
    fills, rows = (
        [fill(each, "195", at_s=each) for each in range(3)],
        [row(str(each), "195", f"0.1{each}", at_s=1) for each in range(3)],
    )
    assert paid(fills, rows) == {0: D("0.11"), 1: D("0.11"), 2: D("0.11")}
    assert paid(fills, rows[:2]) == {}  # the third comes later


def test_a_fill_of_several_levels_has_several_rows() -> None:
    assert paid([fill(1, "300")], [row("a", "100", "0.1"), row("b", "200", "0.2")]) == {1: D("0.3")}


def test_what_cannot_be_told_apart_shares_what_was_paid_by_value() -> None:
    fills = [fill(1, "100"), fill(2, "300")]
    assert paid(fills, [row("a", "150", "0.15"), row("b", "250", "0.25")]) == {
        1: D("0.1"),
        2: D("0.3"),
    }


def test_the_owners_own_row_of_the_same_value_costs_the_same_and_the_earlier_one_is_taken() -> None:
    rows = [row("late", "195", "0.1", at_s=40), row("ours", "195", "0.1")]
    tied, used = tie([fill(1, "195")], rows)
    assert ([each.amount for each in tied], used) == ([D("0.1")], frozenset({"ours"}))


def test_rows_of_another_side_contract_or_time_are_left() -> None:
    assert (
        paid(
            [fill(1, "195")],
            [
                row("a", "195", "0.1", side=SELL),
                row("b", "195", "0.1", at_s=900),
                row("c", "500", "0.2"),
            ],
        )
        == {}
    )


def test_what_is_paid_back_is_tied_like_a_fee() -> None:
    assert paid([fill(1, "195")], [row("a", "195", "-0.046")]) == {1: D("-0.046")}


values = st.lists(st.integers(1, 4), min_size=1, max_size=6)


@given(values, st.randoms(use_true_random=False))
def test_every_fill_finds_its_rows_whatever_their_order(sizes: list[int], random: object) -> None:
    fills = [fill(number, str(100 * size)) for number, size in enumerate(sizes)]
    rows = [
        row(str(number), str(100 * size), str(D(size) / 10)) for number, size in enumerate(sizes)
    ]
    random.shuffle(rows)  # type: ignore[attr-defined]
    assert paid(fills, rows) == {number: D(size) / 10 for number, size in enumerate(sizes)}
