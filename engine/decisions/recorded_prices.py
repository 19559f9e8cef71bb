"""Prices as they were recorded, in blocks of at most an hour: what a price was at a second, and when
it first reached a level.

A block holds a price only where it changed, and its lowest and highest, so that whoever looks for a
level skips it unread. Between two blocks nothing was recorded: the price is then known only up to
the end of the block before.
"""

import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import accumulate, pairwise
from typing import Final

from engine.domain.amounts import EXACT, Price
from engine.domain.identifiers import Symbol

BLOCK_S: Final = 3_600
"""A block ends with its hour of UTC."""
Sample = tuple[int, Price]
"""A second since 1970 UTC, and the price from then on."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What a block recorded: ``ticks[i]`` x 10^-``digits`` is the price from ``seconds[i]`` on."""

    seconds: Sequence[int]
    ticks: Sequence[int]
    digits: int

    def at(self, second: int) -> Price:
        """Return the price at a second, not before the first."""
        return self.price(bisect_right(self.seconds, second) - 1)

    def price(self, index: int) -> Price:
        """Return the price of one sample."""
        return Price(Decimal(self.ticks[index]).scaleb(-self.digits, EXACT))


@dataclass(frozen=True, slots=True)
class PriceBlock:
    """What was recorded of one contract from ``begin`` to before ``end``, in seconds since 1970 UTC;
    ``read`` returns its samples, the first at ``begin``.
    """

    begin: int
    end: int
    low: Price
    high: Price
    read: Callable[[], Samples]


def digits_of(price: Price) -> int:
    """Return how many digits after the point a price has, at least 0."""
    return max(0, -int(price.as_tuple().exponent))


def ticks_of(price: Price, digits: int) -> int:
    """Return a price in units of 10^-``digits``, which must be enough for it."""
    return int(price.scaleb(digits, EXACT))


def pack(samples: Samples) -> bytes:
    """Write samples as bytes, a few for each, to be stored."""
    steps = array("q", [samples.seconds[0], *(b - a for a, b in pairwise(samples.seconds))])
    moves = array("q", [samples.ticks[0], *(b - a for a, b in pairwise(samples.ticks))])
    return zlib.compress(bytes([samples.digits]) + steps.tobytes() + moves.tobytes(), 1)


def unpack(packed: bytes) -> Samples:
    """Read what ``pack`` wrote."""
    plain = zlib.decompress(packed)
    half = 1 + (len(plain) - 1) // 2
    steps, moves = array("q", plain[1:half]), array("q", plain[half:])
    return Samples(list(accumulate(steps)), list(accumulate(moves)), plain[0])


class RecordedPrices:
    """The blocks of several contracts; the samples of the block of each contract that was read last
    are kept.
    """

    def __init__(self, blocks: Mapping[Symbol, Iterable[PriceBlock]]) -> None:
        self._blocks = {
            symbol: sorted(each, key=lambda block: block.begin) for symbol, each in blocks.items()
        }
        self._begins = {
            symbol: [block.begin for block in each] for symbol, each in self._blocks.items()
        }
        self._read: dict[Symbol, tuple[int, Samples]] = {}

    def since(self) -> int | None:
        """Return the first second that is recorded of any contract, None if none is."""
        return min((each[0] for each in self._begins.values() if each), default=None)

    def at(self, symbol: Symbol, second: int) -> Sample | None:
        """Return the newest price up to a second, with the second until which it was seen; None if
        nothing was recorded before.
        """
        index = bisect_right(self._begins.get(symbol, ()), second) - 1
        if index < 0:
            return None
        seen = min(second, self._blocks[symbol][index].end - 1)
        return seen, self._samples(symbol, index).at(seen)

    def after(self, symbol: Symbol, second: int) -> Sample | None:
        """Return the price at a second, or else the first one that was recorded later; None if none
        was.
        """
        known = self.at(symbol, second)
        if known is not None and known[0] == second:
            return known
        begins = self._begins.get(symbol, [])
        index = bisect_right(begins, second)
        if index == len(begins):
            return None
        return begins[index], self._samples(symbol, index).price(0)

    def first_beyond(
        self, symbol: Symbol, seconds: range, low: Price | None, high: Price | None
    ) -> Sample | None:
        """Return the first of ``seconds`` with its price at or below ``low``, or at or above
        ``high``; None if there is none.
        """
        blocks, begins = self._blocks.get(symbol, []), self._begins.get(symbol, [])
        for index in range(max(0, bisect_right(begins, seconds.start) - 1), len(blocks)):
            block = blocks[index]
            if block.begin >= seconds.stop:
                return None
            if (low is not None and block.low <= low) or (high is not None and block.high >= high):
                begin, stop = max(seconds.start, block.begin), min(seconds.stop, block.end)
                found = _first_in(self._samples(symbol, index), range(begin, stop), low, high)
                if found is not None:
                    return found
        return None

    def _samples(self, symbol: Symbol, index: int) -> Samples:
        kept = self._read.get(symbol)
        if kept is None or kept[0] != index:
            kept = self._read[symbol] = (index, self._blocks[symbol][index].read())
        return kept[1]


def _first_in(
    samples: Samples, seconds: range, low: Price | None, high: Price | None
) -> Sample | None:
    lowest = None if low is None else _ticks(low, samples.digits, ROUND_FLOOR)
    highest = None if high is None else _ticks(high, samples.digits, ROUND_CEILING)
    first = max(0, bisect_right(samples.seconds, seconds.start) - 1)
    for index in range(first, len(samples.seconds)):
        second = max(samples.seconds[index], seconds.start)
        if second >= seconds.stop:
            return None
        ticks = samples.ticks[index]
        if (lowest is not None and ticks <= lowest) or (highest is not None and ticks >= highest):
            return second, samples.price(index)
    return None


def _ticks(level: Price, digits: int, rounding: str) -> int:
    return int(level.scaleb(digits, EXACT).to_integral_value(rounding))
