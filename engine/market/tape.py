"""The tape: the prices of one exchange in the current hour, as they were seen, to be recorded.

It costs no reading: it notes what the feed has read anyway. A contract that was not seen for some
seconds begins a new block, so that nobody takes an old price for a new one.
"""

from collections.abc import Collection, Iterable
from typing import Final

from engine.decisions.recorded_prices import BLOCK_S, PriceBlock, Samples, digits_of, ticks_of
from engine.domain.amounts import Price
from engine.domain.identifiers import Symbol
from engine.ports.market_data import Quote

GAP_S: Final = 5
TICKS_MAX: Final = 2**62
"""What a recorded price is at most, in units of its last digit; another one is a gap."""


class _Run:
    """One contract without a gap, at most an hour: its prices where they changed, and the last
    second in which it was seen.
    """

    __slots__ = ("digits", "last", "seconds", "seen", "ticks")

    def __init__(self, second: int, price: Price) -> None:
        self.seconds = [second]
        self.digits = digits_of(price)
        self.ticks = [ticks_of(price, self.digits)]
        self.last = price
        self.seen = second

    def note(self, second: int, price: Price) -> None:
        self.seen = second
        if price == self.last:
            return
        finer = digits_of(price) - self.digits
        if finer > 0:
            self.digits += finer
            self.ticks = [each * 10**finer for each in self.ticks]
        self.seconds.append(second)
        self.ticks.append(ticks_of(price, self.digits))
        self.last = price

    def block(self) -> PriceBlock:
        samples = Samples(tuple(self.seconds), tuple(self.ticks), self.digits)
        low, high = (
            samples.price(self.ticks.index(edge)) for edge in (min(self.ticks), max(self.ticks))
        )
        return PriceBlock(self.seconds[0], self.seen + 1, low, high, lambda: samples)


class Tape:
    """The prices of the contracts of one exchange, until they are recorded."""

    def __init__(self) -> None:
        self._runs: dict[Symbol, _Run] = {}
        self._ended: dict[Symbol, list[_Run]] = {}

    @property
    def symbols(self) -> Collection[Symbol]:
        """Return the contracts of which something is on the tape."""
        return {*self._ended, *self._runs}

    def keep(self, symbols: Collection[Symbol]) -> None:
        """Drop what is on the tape of other contracts."""
        self._runs = {each: run for each, run in self._runs.items() if each in symbols}
        self._ended = {each: runs for each, runs in self._ended.items() if each in symbols}

    def note(self, quotes: Iterable[Quote]) -> None:
        """Note what was read; what is no newer than the last of its contract is left out."""
        for quote in quotes:
            self._note(quote.symbol, int(quote.at.timestamp()), quote.last)

    def _note(self, symbol: Symbol, second: int, price: Price) -> None:
        run = self._runs.get(symbol)
        if (run is not None and second <= run.seen) or not _is_kept(price, run):
            return
        if run is None or second - run.seen > GAP_S:
            self._end(symbol)
            self._runs[symbol] = _Run(second, price)
            return
        hour = second - second % BLOCK_S
        if run.seconds[0] < hour:
            run.seen = hour - 1
            self._end(symbol)
            run = self._runs[symbol] = _Run(hour, price if second == hour else run.last)
        run.note(second, price)

    def _end(self, symbol: Symbol) -> None:
        run = self._runs.pop(symbol, None)
        if run is not None:
            self._ended.setdefault(symbol, []).append(run)

    def blocks(self, symbol: Symbol) -> list[PriceBlock]:
        """Return what is on the tape of a contract: blocks that ended, and the one that grows, which
        begins at the same second each time.
        """
        run = self._runs.get(symbol)
        runs = [*self._ended.get(symbol, ()), *(() if run is None else (run,))]
        return [each.block() for each in runs]

    def forget(self, symbol: Symbol, recorded: Iterable[PriceBlock]) -> None:
        """Drop the blocks of a contract that ended and are recorded to their end."""
        ends = {each.begin: each.end for each in recorded}
        left = [
            each
            for each in self._ended.pop(symbol, ())
            if each.seen >= ends.get(each.seconds[0], 0)
        ]
        if left:
            self._ended[symbol] = left


def _is_kept(price: Price, run: _Run | None) -> bool:
    """Return whether a price can be recorded beside those of its block."""
    digits = digits_of(price)
    if run is None or digits <= run.digits:
        return ticks_of(price, digits if run is None else run.digits) < TICKS_MAX
    highest = max(max(run.ticks), ticks_of(price, run.digits))
    return bool(highest * 10 ** (digits - run.digits) < TICKS_MAX)
