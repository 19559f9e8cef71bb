"""Prices, candles and instruments of one exchange, read once for all accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

from engine.domain.amounts import Price
from engine.domain.identifiers import Symbol
from engine.domain.instrument import Instrument

PAST_CANDLES_MAX: Final = 200
"""The most candles of one chart."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A contract's prices at ``at`` (UTC, the time of reading): ``last`` trade and ``mark`` price."""

    symbol: Symbol
    last: Price
    mark: Price
    at: datetime


@dataclass(frozen=True, slots=True)
class Candle:
    """One closed or running candle; ``opened_at`` is its start (UTC), ``volume`` is in units of the
    base asset.
    """

    symbol: Symbol
    interval_s: int
    opened_at: datetime
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Decimal


class MarketData(Protocol):
    """The public data of one exchange. The engine calls each method again once its former call has
    ended, each call under its own deadline. Different methods may run at once: neither a long list
    nor candles must delay a price.

    Raise any exception if the data is not available: the feed keeps the last values, and an entry
    whose price is too old is denied. Never return made-up or zero prices.
    """

    async def instruments(self) -> Sequence[Instrument]:
        """Return every contract that is currently tradable."""
        ...

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        """Return the current prices of ``symbols``; leave out what has no price."""
        ...

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        """Return the newest ``limit`` *closed* candles of ``interval_s`` seconds, oldest first."""
        ...

    async def aclose(self) -> None:
        """Release all resources; called once at the end."""
        ...


class PastCandlesMarketData(MarketData, Protocol):
    """The public data of an exchange whose traits name ``past_candle_lengths_s``: charts of
    positions and closed trades are drawn from it.
    """

    async def past_candles(
        self, symbol: Symbol, interval_s: int, since: datetime, until: datetime
    ) -> Sequence[Candle]:
        """Return the closed candles that opened from ``since`` to before ``until`` (UTC), oldest
        first, at most ``PAST_CANDLES_MAX``; leave out times of which there are none.

        Both times are multiples of ``interval_s``, one of the named lengths.
        """
        ...
