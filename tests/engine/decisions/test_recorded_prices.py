"""Recorded prices: what is asked of blocks is what a list of all prices answers."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.recorded_prices import (
    PriceBlock,
    RecordedPrices,
    Samples,
    digits_of,
    pack,
    ticks_of,
    unpack,
)
from engine.domain.amounts import Price
from engine.domain.identifiers import Symbol

BTC = Symbol("BTCUSDT")
BEGIN = 1_000
PRICES = st.integers(90, 110).map(lambda tenths: Price(Decimal(tenths) / 10))
LEVELS = st.none() | st.integers(880, 1120).map(lambda parts: Price(Decimal(parts) / 100))


def block(begin: int, prices: list[Price]) -> PriceBlock:
    """Return the block of a price for each second."""
    digits = max(map(digits_of, prices))
    changes = [
        index for index, price in enumerate(prices) if index == 0 or price != prices[index - 1]
    ]
    samples = Samples(
        [begin + index for index in changes],
        [ticks_of(prices[index], digits) for index in changes],
        digits,
    )
    kept = pack(samples)
    return PriceBlock(begin, begin + len(prices), min(prices), max(prices), lambda: unpack(kept))


"""A busy machine is no fault of what is tested."""
RECORDINGS = st.lists(
    st.tuples(st.integers(0, 5), st.lists(PRICES, min_size=1, max_size=8)), max_size=4
)
"""Blocks: the seconds without a price before each, and a price for each of its seconds."""


def recorded(
    blocks: list[tuple[int, list[Price]]],
) -> tuple[RecordedPrices, dict[int, Price]]:
    """Return recorded blocks, and the price of each recorded second."""
    made, known, second = [], {}, BEGIN
    for gap, prices in blocks:
        second += gap
        made.append(block(second, prices))
        known.update({second + index: price for index, price in enumerate(prices)})
        second += len(prices)
    return RecordedPrices({BTC: made}), known


@given(RECORDINGS, st.integers(BEGIN - 3, BEGIN + 60))
def test_a_price_is_the_newest_that_was_seen(blocks, second):
    prices, known = recorded(blocks)
    seen = max((each for each in known if each <= second), default=None)
    assert prices.at(BTC, second) == (None if seen is None else (seen, known[seen]))
    later = min((each for each in known if each >= second), default=None)
    assert prices.after(BTC, second) == (None if later is None else (later, known[later]))
    assert prices.since() == min(known, default=None)


@given(RECORDINGS, st.integers(BEGIN - 3, BEGIN + 50), st.integers(0, 60), LEVELS, LEVELS)
def test_a_level_is_reached_in_the_first_second_whose_price_is_there(
    blocks, begin, length, low, high
):
    prices, known = recorded(blocks)
    found = next(
        (
            (second, known[second])
            for second in range(begin, begin + length)
            if second in known
            and (
                (low is not None and known[second] <= low)
                or (high is not None and known[second] >= high)
            )
        ),
        None,
    )
    assert prices.first_beyond(BTC, range(begin, begin + length), low, high) == found


@given(st.lists(PRICES, min_size=1, max_size=50))
def test_a_packed_block_reads_back_as_it_was(prices):
    samples = block(BEGIN, prices).read()
    assert unpack(pack(samples)) == Samples(
        list(samples.seconds), list(samples.ticks), samples.digits
    )


def test_a_contract_that_nobody_recorded_has_no_price() -> None:
    prices = RecordedPrices({})
    assert prices.at(BTC, BEGIN) is None
    assert prices.after(BTC, BEGIN) is None
    assert prices.first_beyond(BTC, range(BEGIN, BEGIN + 9), Price(Decimal(1)), None) is None
