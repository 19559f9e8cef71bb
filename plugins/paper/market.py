"""The simulated market: a price for every contract and every second, as a pure function of seed,
symbol and time.

A price is valid for one whole second. It is the contract's base price, moved by four seeded sine
waves (about one minute to one and a half days) and a little hashed noise, rounded to a whole number
of price steps. The waves are float arithmetic; a Decimal is made only from the whole number of
steps, so no price has the tail of a float. The same seed gives the same prices after a restart and
in every process. There is no state but caches.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

import trio

from plugins.paper.contracts import CONTRACTS
from plugins.paper.settings import PaperSettings
from rexalgo import (
    PAST_CANDLES_MAX,
    Candle,
    Clock,
    Instrument,
    InvalidValue,
    Price,
    Quote,
    Symbol,
)

BLOCK_S = 60
CANDLES_MAX = 1000
PAST_CANDLE_LENGTHS_S = (5, 15, 60, 300, 900, 3_600, 14_400, 86_400)
_SAMPLES_MAX = 60
_WAVES = ((50.0, 0.5), (700.0, 1.0), (11_000.0, 2.0), (120_000.0, 4.0))
_NOISE = 0.25
_MASK = 2**64 - 1


class PricePath(Protocol):
    """The price of every contract at every second since the epoch. The venue evaluates stops
    against it.
    """

    def price(self, symbol: Symbol, second: int) -> Price:
        """Return the last (and mark) price of that second."""
        ...

    def block(self, symbol: Symbol, number: int) -> tuple[Price, Price]:
        """Return the lowest and highest price of the seconds ``number * 60`` to ``number * 60 +
        59``.
        """
        ...


class SimulatedPrices:
    """A price path computed from a seed. Symbols in ``fixed`` never move."""

    def __init__(self, seed: int, volatility_bps: Decimal, fixed: Mapping[Symbol, Price]) -> None:
        self._amplitude = float(volatility_bps) / 10_000
        self._fixed = dict(fixed)
        self._shapes = {symbol: _shape(seed, symbol) for symbol in CONTRACTS}
        self.price = lru_cache(maxsize=131_072)(self._price)
        self.block = lru_cache(maxsize=16_384)(self._block)

    def _price(self, symbol: Symbol, second: int) -> Price:
        fixed = self._fixed.get(symbol)
        if fixed is not None:
            return fixed
        contract = CONTRACTS[symbol]
        noise_seed, waves = self._shapes[symbol]
        moved = _NOISE * _noise(noise_seed, second)
        for speed, phase, weight in waves:
            moved += weight * math.sin(speed * second + phase)
        step = contract.instrument.price_step
        ticks = round(float(contract.price_base) * (1 + self._amplitude * moved) / float(step))
        return Price(step * max(ticks, 1))

    def _block(self, symbol: Symbol, number: int) -> tuple[Price, Price]:
        prices = [
            self.price(symbol, second) for second in range(number * BLOCK_S, (number + 1) * BLOCK_S)
        ]
        return min(prices), max(prices)


def make_prices(settings: PaperSettings) -> SimulatedPrices:
    """Return the price path that the settings describe."""
    return SimulatedPrices(settings.seed, settings.volatility_bps, settings.price_fixed)


def _shape(seed: int, symbol: Symbol) -> tuple[int, tuple[tuple[float, float, float], ...]]:
    digest = hashlib.sha256(f"rexalgo/paper/market/v1|{seed}|{symbol}".encode()).digest()
    waves = []
    for index, (period, weight) in enumerate(_WAVES):
        stretch = 0.8 + 0.4 * digest[8 + index] / 255
        phase = 2 * math.pi * digest[16 + index] / 256
        waves.append((2 * math.pi / (period * stretch), phase, weight))
    return int.from_bytes(digest[:8], "big"), tuple(waves)


def _noise(seed: int, second: int) -> float:
    """Return a pseudo-random number from -1 to 1 (splitmix64, a public domain algorithm by
    Sebastiano Vigna).
    """
    mixed = (seed + second * 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (mixed ^ (mixed >> 31)) / 2**63 - 1


def candle(prices: PricePath, symbol: Symbol, interval_s: int, opened_s: int) -> Candle:
    """Return one candle from at most 60 evenly spaced prices: every second up to one minute,
    samples above that.

    Open and close are always the prices of the first and the last second. The volume is invented,
    but always the same.
    """
    seconds = range(opened_s, opened_s + interval_s, max(1, interval_s // _SAMPLES_MAX))
    path = [prices.price(symbol, second) for second in (*seconds, opened_s + interval_s - 1)]
    step = CONTRACTS[symbol].instrument.quantity_step
    return Candle(
        symbol=symbol,
        interval_s=interval_s,
        opened_at=datetime.fromtimestamp(opened_s, UTC),
        open=path[0],
        high=max(path),
        low=min(path),
        close=path[-1],
        volume=step * (interval_s * (1 + sum(map(ord, symbol)) % 7) + opened_s % 11),
    )


class PaperMarketData:
    """The market data of the simulated market. Nothing here waits for anything outside."""

    def __init__(self, prices: PricePath, clock: Clock, release: Callable[[], None]) -> None:
        self._prices = prices
        self._clock = clock
        self._release = release

    async def instruments(self) -> Sequence[Instrument]:
        """Return the ten contracts."""
        await trio.lowlevel.checkpoint()
        return tuple(contract.instrument for contract in CONTRACTS.values())

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        """Return the current prices. Unknown symbols are left out."""
        await trio.lowlevel.checkpoint()
        now = self._clock.now()
        traded = [
            (symbol, self._prices.price(symbol, second_of(now)))
            for symbol in sorted(symbols)
            if symbol in CONTRACTS
        ]
        return tuple(Quote(symbol, price, price, now) for symbol, price in traded)

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        """Return closed candles aligned to multiples of the interval, at most 1,000. Raise
        InvalidValue for an untraded symbol.
        """
        if symbol not in CONTRACTS:
            raise InvalidValue("symbol", "one of " + ", ".join(CONTRACTS), symbol)
        if interval_s < 1 or limit < 1:
            raise InvalidValue(
                "candles",
                "an interval of at least 1 s and a limit of at least 1",
                (interval_s, limit),
            )
        running = second_of(self._clock.now()) // interval_s
        closed: list[Candle] = []
        for number in range(max(0, running - min(limit, CANDLES_MAX)), running):
            closed.append(candle(self._prices, symbol, interval_s, number * interval_s))
            await trio.lowlevel.checkpoint()
        return tuple(closed)

    async def past_candles(
        self, symbol: Symbol, interval_s: int, since: datetime, until: datetime
    ) -> Sequence[Candle]:
        """Return the closed candles of a time."""
        first = second_of(since)
        until_s = min(second_of(until), second_of(self._clock.now()) - interval_s + 1)
        candles: list[Candle] = []
        if symbol in CONTRACTS:
            for opened in range(first, until_s, interval_s)[:PAST_CANDLES_MAX]:
                candles.append(candle(self._prices, symbol, interval_s, opened))
                await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        return tuple(candles)

    async def aclose(self) -> None:
        """Release the venue."""
        self._release()
        await trio.lowlevel.checkpoint()


def second_of(moment: datetime) -> int:
    """Return the whole second since the epoch of ``moment`` (with a zone, after 1970)."""
    return int(moment.timestamp())
