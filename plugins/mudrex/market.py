"""Contracts, last prices and candles, read once for all accounts. Contracts and prices need a key;
candles are public.

Few contracts are read one by one, many by the pages of the list. A reading of prices makes at most
``QUOTE_READS_MAX`` reads within ``QUOTES_WITHIN_S``, and returns what it got: a contract that
cannot be read costs the others nothing.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from math import inf
from typing import Any, Final

import trio

from plugins.mudrex import parsing, rows
from plugins.mudrex.limits import KLINE_ROWS_MAX, LEAST_CONTRACT_ROWS, PAGE_ROWS, QUOTE_READS_MAX
from plugins.mudrex.shared import Shared, get
from rexalgo import (
    PAST_CANDLES_MAX,
    Candle,
    Clock,
    ExchangeError,
    HttpClient,
    HttpError,
    Instrument,
    Price,
    Quote,
    Symbol,
)

_LOG = logging.getLogger("rexalgo.mudrex")
QUOTES_WITHIN_S: Final = 3.0
"""Less than the engine's own deadline, so that what was read until then is kept."""
AGGREGATIONS: Final = {
    60: "1m",
    180: "3t",
    300: "5t",
    600: "10t",
    900: "15t",
    1_800: "30t",
    3_600: "1h",
    14_400: "4h",
    21_600: "6h",
    43_200: "12h",
    86_400: "1d",
    604_800: "1w",
}


class MudrexMarket:
    """The market data of the exchange, which is the same for every account."""

    def __init__(self, shared: Shared, public: HttpClient, clock: Clock) -> None:
        self._shared = shared
        self._public = public
        self._clock = clock
        self._page_of: dict[Symbol, int] = {}
        self._asked_at: dict[Symbol, float] = {}
        """When a contract was last asked for, with or without success, on trio's clock."""
        self._told: dict[Symbol, str] = {}

    async def instruments(self) -> Sequence[Instrument]:
        """Read every contract, page by page. An unreadable one is left out, because the others can
        still be traded.

        The exchange may give fewer rows than asked for, so only a page without a new row is the
        end.
        """
        contracts: dict[Symbol, Instrument] = {}
        listed: list[Any] = []
        while True:
            page = await self._page(len(listed))
            for row in page:
                try:
                    each = parsing.instrument(row)
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue
                contracts[each.symbol] = each
                self._page_of[each.symbol] = len(listed)
            before, listed = len(listed), rows.once([*listed, *page])
            if len(listed) < LEAST_CONTRACT_ROWS or len(listed) == before:
                return list(contracts.values())

    async def _page(self, offset: int) -> list[Any]:
        return parsing.rows_of(
            await self._shared.read("/v1/futures", limit=str(PAGE_ROWS), offset=str(offset))
        )

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        """Read the last price of contracts, the one not asked for longest first. It replaces the
        mark price, which the exchange does not give. Raise only if no price can be read.
        """
        waiting = sorted(symbols, key=lambda each: (self._asked_at.get(each, -inf), each))
        quotes: dict[Symbol, Quote] = {}
        problem: Exception | None = None
        reads = 0
        with trio.move_on_after(QUOTES_WITHIN_S) as within:
            for symbol in waiting:
                if symbol in quotes:
                    continue
                if reads == QUOTE_READS_MAX:
                    break
                reads += 1
                self._asked_at[symbol] = trio.current_time()
                try:
                    await self._read_with(symbol, symbols, quotes)
                except (ExchangeError, HttpError, ValueError) as error:
                    problem = error
                    self._tell(symbol, f"{type(error).__name__}: {error}")
        for symbol in quotes:
            self._asked_at[symbol] = trio.current_time()
            self._told.pop(symbol, None)
        self._shared.prices |= {each.symbol: each.last for each in quotes.values()}
        if not quotes and problem is not None:
            raise problem
        if not quotes and within.cancelled_caught:
            raise ExchangeError(f"the exchange gave no price within {QUOTES_WITHIN_S:g} s")
        return list(quotes.values())

    async def _read_with(
        self, symbol: Symbol, symbols: frozenset[Symbol], quotes: dict[Symbol, Quote]
    ) -> None:
        """Add one contract's price, with those of others if they come by the same page."""
        page = self._page_of.get(symbol)
        if page is not None and len({self._page_of.get(each) for each in symbols}) < len(symbols):
            read = [self._quote(row) for row in await self._page(page)]
            quotes |= {each.symbol: each for each in read if each and each.symbol in symbols}
        if symbol not in quotes:  # read alone, or no longer on its former page
            row = await self._shared.read(f"/v1/futures/{symbol}", is_symbol="1")
            quotes |= {each.symbol: each for each in [self._quote(row)] if each}

    def _tell(self, symbol: Symbol, problem: str) -> None:
        """Log why a contract has no price, once for each reason."""
        if self._told.get(symbol) != problem:
            _LOG.warning("no price of %s: %s", symbol, problem)
        self._told[symbol] = problem

    def _quote(self, row: Any) -> Quote | None:
        try:
            price = Price(parsing.number(row, "price"))
        except (ValueError, AttributeError):
            return None
        return (
            Quote(Symbol(str(row.get("symbol"))), price, price, self._clock.now())
            if price > 0
            else None
        )

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        """Read the newest closed candles. Raise ExchangeError for a length that the exchange does
        not have.
        """
        count = min(limit, KLINE_ROWS_MAX - 1)
        end = int(self._clock.now().timestamp())
        read = await self._klines(symbol, interval_s, end - (count + 1) * interval_s, end)
        return parsing.newest_closed(read, end, count)

    async def past_candles(
        self, symbol: Symbol, interval_s: int, since: datetime, until: datetime
    ) -> Sequence[Candle]:
        """Read the closed candles of a time; see ``candles`` for what it raises."""
        first, end = int(since.timestamp()), int(until.timestamp())
        read = await self._klines(symbol, interval_s, first, end - 1)
        closed = parsing.newest_closed(read, int(self._clock.now().timestamp()), PAST_CANDLES_MAX)
        return [each for each in closed if since <= each.opened_at < until]

    async def _klines(self, symbol: Symbol, interval_s: int, start: int, end: int) -> list[Candle]:
        aggregation = AGGREGATIONS.get(interval_s)
        if aggregation is None:
            lengths = ", ".join(map(str, AGGREGATIONS))
            raise ExchangeError(
                f"candles of {interval_s} s: the exchange has lengths of {lengths} s"
            )
        answer = await get(
            self._public,
            "/v1/price/kline",
            assets=parsing.pair(symbol),
            aggregation=aggregation,
            start_time=str(start),
            end_time=str(end),
        )
        try:
            return parsing.candles(answer, symbol, interval_s)
        except ValueError as error:
            raise ExchangeError(f"the exchange's candles cannot be read: {error}") from None

    async def aclose(self) -> None:
        """Close the public client. The other clients belong to the accounts."""
        await self._public.aclose()
