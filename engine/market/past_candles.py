"""The candles of a chart: which length and time to read, and reading them once for everybody.

A chart must not delay a price or cost an exchange its rate: candles are read one chart after another,
at most ``READS_PER_S``, beside the feed, and kept until the next candle closes.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, cast

import trio

from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import Symbol
from engine.ports.market_data import PAST_CANDLES_MAX, Candle, MarketData, PastCandlesMarketData

READS_PER_S: Final = 2.0
DEADLINE_S: Final = 3.0
_WAIT_S: Final = 4.5
_KEPT_MAX: Final = 200
_AROUND: Final = 0.25
"""Which part of a chart's own time is shown before and after it."""
_AROUND_MIN: Final = 12
"""How many candles are shown before and after at least."""
_SHOWN_MAX: Final = 160
Window = tuple[int, datetime, datetime]


def window_of(
    lengths_s: Sequence[int], began: datetime, ended: datetime, now: datetime
) -> Window | None:
    """Return the length of candle (s) and the times from and until which a chart shows candles, so
    that it has at most 160; None without lengths.

    Both times are multiples of the length, and every candle between them is closed at ``now``. A
    time that is too long even for the greatest length is cut at its beginning.
    """
    first, last, current = began.timestamp(), ended.timestamp(), now.timestamp()
    for length in lengths_s:
        around = max((last - first) * _AROUND, _AROUND_MIN * length)
        since = (first - around) // length * length
        until = min(-(-(last + around) // length) * length, current // length * length)
        if until - since <= _SHOWN_MAX * length or length == lengths_s[-1]:
            since = max(since, until - _SHOWN_MAX * length)
            return length, datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)
    return None


class PastCandles:
    """The past candles of one exchange, of which any time can be read."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Symbol, Window], tuple[Candle, ...]] = OrderedDict()
        self._reading = trio.Lock()
        self._next_at = -1.0

    async def read(self, market: MarketData, symbol: Symbol, window: Window) -> tuple[Candle, ...]:
        """Return the candles of a window; raises what the exchange's reading raises, and
        RexAlgoError if it is not answered in time or not with the candles that were asked for.
        """
        key = (symbol, window)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        with trio.move_on_after(_WAIT_S):
            async with self._reading:
                if key not in self._kept:
                    self._keep(key, await self._read(market, symbol, window))
                return self._kept[key]
        raise RexAlgoError(
            f"past candles of {symbol}: expected an answer in time, found other charts waiting"
        )

    async def _read(self, market: MarketData, symbol: Symbol, window: Window) -> tuple[Candle, ...]:
        length, since, until = window
        await trio.sleep_until(self._next_at)
        self._next_at = trio.current_time() + 1 / READS_PER_S
        with trio.move_on_after(DEADLINE_S):
            source = cast(PastCandlesMarketData, market)
            read = await source.past_candles(symbol, length, since, until)
            candles = tuple(sorted(read, key=lambda each: each.opened_at))
            if len(candles) > PAST_CANDLES_MAX or any(
                each.symbol != symbol
                or each.interval_s != length
                or not since <= each.opened_at < until
                for each in candles
            ):
                raise RexAlgoError(
                    f"past candles of {symbol}: expected candles of {length} s from {since} to "
                    f"{until}, found others"
                )
            return candles
        raise RexAlgoError(
            f"past candles of {symbol}: expected an answer within {DEADLINE_S:g} s, found none"
        )

    def _keep(self, key: tuple[Symbol, Window], candles: tuple[Candle, ...]) -> None:
        self._kept[key] = candles
        while len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
