"""The tape: what the feed saw of each contract, by the hour and without inventing a price."""

from datetime import UTC, datetime
from decimal import Decimal

from engine.decisions.recorded_prices import BLOCK_S, RecordedPrices
from engine.domain.amounts import Price
from engine.domain.identifiers import Symbol
from engine.market.tape import GAP_S, Tape
from engine.ports.market_data import Quote

BTC = Symbol("BTCUSDT")
HOUR = 480_000 * BLOCK_S


def note(tape: Tape, second: int, price: str) -> None:
    at = datetime.fromtimestamp(second, UTC)
    tape.note([Quote(BTC, Price(Decimal(price)), Price(Decimal(price)), at)])


def test_a_price_is_kept_where_it_changes_and_holds_until_it_was_seen_last() -> None:
    tape = Tape()
    for second, price in ((0, "10"), (1, "10"), (2, "10.5"), (3, "10.25"), (4, "10.25")):
        note(tape, HOUR + second, price)
    (block,) = tape.blocks(BTC)
    assert (block.begin, block.end, block.low, block.high) == (
        HOUR,
        HOUR + 5,
        Decimal("10"),
        Decimal("10.5"),
    )
    assert list(block.read().seconds) == [HOUR, HOUR + 2, HOUR + 3]
    assert [block.read().price(each) for each in range(3)] == [
        Decimal("10"),
        Decimal("10.5"),
        Decimal("10.25"),
    ]


def test_what_was_not_seen_for_some_seconds_is_a_gap_and_no_old_price() -> None:
    tape = Tape()
    note(tape, HOUR, "10")
    note(tape, HOUR + GAP_S, "11")
    note(tape, HOUR + 2 * GAP_S + 1, "12")
    first, second = tape.blocks(BTC)
    assert (first.begin, first.end) == (HOUR, HOUR + GAP_S + 1)
    assert second.begin == HOUR + 2 * GAP_S + 1
    known = RecordedPrices({BTC: [first, second]}).at(BTC, HOUR + 2 * GAP_S)
    assert known == (HOUR + GAP_S, Decimal("11")), "seen until then, and the planner judges its age"


def test_a_block_ends_with_its_hour_and_the_price_goes_on() -> None:
    tape = Tape()
    note(tape, HOUR - 2, "10")
    note(tape, HOUR + 1, "11")
    first, second = tape.blocks(BTC)
    assert (first.begin, first.end, second.begin, second.end) == (HOUR - 2, HOUR, HOUR, HOUR + 2)
    prices = RecordedPrices({BTC: [first, second]})
    assert prices.at(BTC, HOUR) == (HOUR, Decimal("10"))
    assert prices.at(BTC, HOUR + 1) == (HOUR + 1, Decimal("11"))


def test_a_price_with_too_many_digits_to_be_stored_is_a_gap() -> None:
    tape = Tape()
    note(tape, HOUR, "65000.5")
    note(tape, HOUR + 1, "99999999.000000000001")
    note(tape, HOUR + 2, "65000.25")
    (block,) = tape.blocks(BTC)
    assert (block.high, block.end) == (Decimal("65000.5"), HOUR + 3)


def test_an_older_reading_changes_nothing() -> None:
    tape = Tape()
    note(tape, HOUR + 1, "10")
    note(tape, HOUR, "11")
    note(tape, HOUR + 1, "12")
    (block,) = tape.blocks(BTC)
    assert (block.low, block.high) == (Decimal("10"), Decimal("10"))


def test_only_what_was_recorded_to_its_end_is_dropped() -> None:
    tape = Tape()
    note(tape, HOUR - 3, "10")
    recorded = tape.blocks(BTC)
    note(tape, HOUR - 2, "11")
    note(tape, HOUR, "12")
    tape.forget(BTC, recorded)
    assert [each.begin for each in tape.blocks(BTC)] == [HOUR - 3, HOUR], "it grew meanwhile"
    tape.forget(BTC, tape.blocks(BTC))
    assert [each.begin for each in tape.blocks(BTC)] == [HOUR]
    assert set(tape.symbols) == {BTC}
