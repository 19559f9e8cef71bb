"""One feed per exchange: instruments, prices and candles, read once for all accounts.

The list of contracts, which may be long, and candles are read beside the prices and delay none. A
failing read keeps the last values; nothing here makes up a price. A caller that needs a fresh price
gets None if there is none. A price is fresh if its time is, and if it was received lately on trio's clock: the
machine's clock may be set back, and the exchange's may be ahead.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import trio

from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import Symbol
from engine.domain.instrument import Instrument
from engine.market.past_candles import PastCandles, window_of
from engine.market.tape import Tape
from engine.ports.clock import Clock
from engine.ports.contained import contained
from engine.ports.exchange import ExchangeAdapter, ExchangeContext
from engine.ports.market_data import Candle, MarketData, Quote

_LOG = logging.getLogger("rexalgo.feed")
POLL_S: Final = 1.0
INSTRUMENTS_S: Final = 3_600.0
LOOK_AT_LIST_S: Final = 10.0
DEADLINE_S: Final = 4.0
LIST_DEADLINE_S: Final = 60.0


class MarketFeed:
    """The market data of one exchange, kept up to date."""

    def __init__(self, adapter: ExchangeAdapter, context: ExchangeContext, clock: Clock) -> None:
        self._adapter = adapter
        self._context = context
        self._clock = clock
        self._market: MarketData | None = None
        self._opening, self._listing, self._reading, self._reading_candles = (
            trio.Lock() for _ in range(4)
        )
        self._wanted: set[Symbol] = set()
        self._quotes: dict[Symbol, Quote] = {}
        self._received: dict[Symbol, float] = {}
        self._instruments: Mapping[Symbol, Instrument] = {}
        self._instruments_at = -INSTRUMENTS_S
        self._runs = False
        self._past = PastCandles()
        self._problems: dict[str, str] = {}
        self.tape = Tape()

    @property
    def problem(self) -> str:
        """Return why contracts or prices cannot be read, empty if they can."""
        return self._problems.get("contracts") or self._problems.get("prices", "")

    @property
    def title(self) -> str:
        """Return the exchange's name for people."""
        return self._adapter.title

    @property
    def credentials_last_days(self) -> int | None:
        """Return the age at which the exchange stops accepting a key, None if it names none."""
        return self._adapter.traits.credentials_last_days

    @property
    def taker_fee_bps(self) -> Decimal | None:
        """Return what a market order costs in basis points, None if the exchange does not say."""
        return self._adapter.traits.taker_fee_bps

    @property
    def sets_protection(self) -> bool:
        """Return whether stop and target of a position can be moved there."""
        return self._adapter.traits.sets_protection

    @property
    def knows_contracts(self) -> bool:
        """Return whether the list of contracts has been read."""
        return bool(self._instruments)

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """Return a contract's definition, None if the exchange does not trade it."""
        return self._instruments.get(symbol)

    async def trades(self, symbol: Symbol) -> bool:
        """Return whether the exchange trades a contract; reads its contracts if that has not been
        done yet.
        """
        await self._wait_for_list()
        return symbol in self._instruments

    async def quote(self, symbol: Symbol, age_s: float) -> Quote | None:
        """Return a price at most ``age_s`` seconds old, reading it again if needed; None if it is
        not available.
        """
        self._wanted.add(symbol)
        quote = self._young(symbol, age_s)
        if quote is None:
            await self._wait_for_list()
            async with self._reading:  # one read for all who wait
                quote = self._young(symbol, age_s)
                if quote is None:
                    self._wanted.add(symbol)  # again: ``keep`` may have dropped it meanwhile
                    await self._read_prices()
                    quote = self._young(symbol, age_s)
        return quote

    def newest(self, symbol: Symbol) -> Quote | None:
        """Return the newest price that was read, however old; None if there is none."""
        return self._quotes.get(symbol)

    def _young(self, symbol: Symbol, age_s: float) -> Quote | None:
        quote = self._quotes.get(symbol)
        return (
            quote
            if quote is not None
            and self._clock.now() - quote.at <= timedelta(seconds=age_s)
            and trio.current_time() - self._received[symbol] <= age_s
            else None
        )

    def want(self, symbols: frozenset[Symbol]) -> None:
        """Keep the prices of these contracts up to date too."""
        self._wanted |= symbols

    def keep(self, symbols: frozenset[Symbol]) -> None:
        """Read and note no other contracts any more; one that is asked for again is read again."""
        self._wanted &= symbols
        for other in set(self._quotes) - symbols:
            del self._quotes[other], self._received[other]
        self.tape.keep(symbols)

    async def run(self, symbols: frozenset[Symbol]) -> None:
        """Poll until cancelled; ``symbols`` are wanted from the start."""
        self._wanted |= symbols
        self._runs = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_listed)
                while True:
                    await self._poll()
                    await trio.sleep(POLL_S)
        finally:
            self._runs = False
            await self.aclose()

    async def aclose(self) -> None:
        """Close the market connection; the next reading opens it again."""
        market, self._market = self._market, None
        if market is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                await contained(market.aclose())

    async def _open(self) -> MarketData:
        async with self._opening:
            if self._market is None:
                self._market = await contained(self._adapter.market_data(self._context))
            return self._market

    async def _safely(
        self, what: str, deadline_s: float, read: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            with trio.fail_after(deadline_s):
                await read()
            self._problems.pop(what, None)
        except (
            Exception
        ) as error:  # a plugin's fault: old values stay, and entries with old prices are denied
            if what not in self._problems:
                _LOG.warning(
                    "%s of %s cannot be read: %s: %s",
                    what,
                    self._adapter.name,
                    type(error).__name__,
                    error,
                )
            self._problems[what] = f"{type(error).__name__}: {error}"[:200]

    # Contracts

    async def _keep_listed(self) -> None:
        while True:
            was_known = self.knows_contracts
            async with self._listing:
                await self._read_due_list(LIST_DEADLINE_S)
            if self.knows_contracts and not was_known:
                await self._poll()
            await trio.sleep(LOOK_AT_LIST_S if self.knows_contracts else POLL_S)

    async def _wait_for_list(self) -> None:
        """Wait for the first list of contracts, no longer than for a price. A feed that does not
        run reads later ones here too.
        """
        if self._instruments and (self._runs or not self._is_list_due):
            return
        with trio.move_on_after(DEADLINE_S) as within:
            async with self._listing:  # one read for all who wait
                await self._read_due_list(DEADLINE_S)
        if within.cancelled_caught:
            self._problems.setdefault("contracts", f"no list of them within {DEADLINE_S:g} s")

    @property
    def _is_list_due(self) -> bool:
        return trio.current_time() - self._instruments_at >= INSTRUMENTS_S

    async def _read_due_list(self, deadline_s: float) -> None:
        if self._is_list_due:
            await self._safely("contracts", deadline_s, self._read_list)

    async def _read_list(self) -> None:
        contracts = await contained((await self._open()).instruments())
        self._instruments = {each.symbol: each for each in contracts}
        self._instruments_at = trio.current_time()

    # Prices

    async def _poll(self) -> None:
        async with self._reading:
            await self._read_prices()
        self.tape.note(self._quotes.values())

    async def _read_prices(self) -> None:
        await self._safely("prices", DEADLINE_S, self._read)

    async def _read(self) -> None:
        market = await self._open()
        listed = frozenset(
            self._wanted & set(self._instruments)
        )  # a contract that is not listed must not cost the others their price
        if listed:
            read = await contained(market.quotes(listed))
            odd = {each.symbol: problem for each in read if (problem := _unusable(each))}
            for quote in read:
                if quote.symbol not in odd:
                    self._keep_read(quote)
            if odd:  # told once the others have their price
                raise RexAlgoError("; ".join(f"quote of {name}: {odd[name]}" for name in odd))

    def _keep_read(self, quote: Quote) -> None:
        known = self._quotes.get(quote.symbol)
        if known is None or known.at != quote.at:  # one that is repeated grows no younger
            self._received[quote.symbol] = trio.current_time()
        self._quotes[quote.symbol] = quote

    # Candles

    async def history(self, symbol: Symbol, interval_s: int, count: int) -> Sequence[Candle]:
        """Return the newest closed candles, oldest first, at most ``count``; raises what the
        exchange's reading raises, and RexAlgoError if its market cannot be opened.
        """
        closed = await self._closed(symbol, interval_s, count)
        if self._market is None:
            raise RexAlgoError(
                f"candles of {symbol}: expected market data of {self._adapter.name}, found "
                f"{self.problem or 'none'}"
            )
        return closed

    async def chart(
        self, symbol: Symbol, began: datetime, ended: datetime
    ) -> Sequence[Candle] | None:
        """Return the closed candles around a time, oldest first; None if the exchange has no past
        candles.

        Raises what the exchange's reading raises, and RexAlgoError if its market is not open yet.
        """
        lengths = self._adapter.traits.past_candle_lengths_s
        window = window_of(lengths, began, ended, self._clock.now())
        if window is None:
            return None
        if self._market is None:
            raise RexAlgoError(
                f"candles of {symbol}: expected market data of {self._adapter.name}, found "
                f"{self.problem or 'none yet'}"
            )
        return await self._past.read(self._market, symbol, window)

    async def candles(self, symbol: Symbol, interval_s: int) -> AsyncIterator[Candle]:
        """Yield each closed candle once, oldest first, starting with the newest closed one."""
        last: datetime | None = None
        while True:
            # two at first, for an exchange that returns the running one too
            closed = await self._closed(symbol, interval_s, 2 if last is None else 500)
            for candle in closed[-1:] if last is None else closed:
                if last is None or candle.opened_at > last:
                    last = candle.opened_at
                    yield candle
            now = self._clock.now().timestamp()
            await trio.sleep(interval_s - now % interval_s + 0.05)

    async def _closed(self, symbol: Symbol, interval_s: int, limit: int) -> list[Candle]:
        async with self._reading_candles:
            if self._market is None:
                async with self._reading:
                    await self._read_prices()
            if self._market is None:
                return []
            with trio.fail_after(DEADLINE_S):
                read = await contained(self._market.candles(symbol, interval_s, limit))
            # yielded too early, a candle would count as yielded and never come again with its close
            closes_by = self._clock.now() - timedelta(seconds=interval_s)
            closed = [each for each in read if each.opened_at <= closes_by]
            return sorted(closed, key=lambda each: each.opened_at)


def _unusable(quote: Quote) -> str:
    """Return what is wrong with a quote that a plugin made, empty if nothing: the planner and the
    tape rely on it.
    """
    for name, price in (("last", quote.last), ("mark", quote.mark)):
        if not (isinstance(price, Decimal) and price.is_finite() and price > 0):
            return f"{name}: expected a Decimal above zero, found {price!r:.40}"
    if not (isinstance(quote.at, datetime) and quote.at.tzinfo is not None):
        return f"at: expected a datetime with a time zone, found {quote.at!r:.40}"
    return ""
