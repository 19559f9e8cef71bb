"""Run stream sources: one supervised task per strategy of kind algo, whose signals are recorded
like a webhook's.

A source that raises is restarted with growing pauses; one that fails more than 5 times in 60 s
raises an alert, and is still restarted, because its next signal may be an exit. Candles come from
the first enabled exchange that trades the contract.
"""

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.actors.supervisor import Vitals, supervise
from engine.domain.alert import AlertCode
from engine.domain.identifiers import SignalId, Symbol
from engine.domain.signal import SignalDraft
from engine.market.feed import MarketFeed
from engine.ports.clock import Clock
from engine.ports.contained import contained
from engine.ports.http import HttpClients
from engine.ports.market_data import Candle
from engine.ports.signal_source import StreamSource
from engine.transport import HttpClientFactory

_LOG = logging.getLogger("rexalgo.streams")
LOOK_AGAIN_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyStream:
    """The StreamContext of one strategy."""

    strategy: str
    symbols: frozenset[Symbol]
    params: Mapping[str, object]
    clock: Clock
    http: HttpClients
    feeds: Sequence[MarketFeed]
    record: Callable[[SignalDraft], Awaitable[SignalId]]

    async def history(self, symbol: Symbol, interval_s: int, count: int) -> Sequence[Candle]:
        """Return the newest closed candles, oldest first, at most ``count``."""
        feed = await self._feed(symbol)
        return await feed.history(symbol, interval_s, count)

    async def candles(self, symbol: Symbol, interval_s: int) -> AsyncIterator[Candle]:
        """Yield each candle once after it closed, oldest first, starting with the newest closed
        one.
        """
        feed = await self._feed(symbol)
        async for candle in feed.candles(symbol, interval_s):
            yield candle

    async def _feed(self, symbol: Symbol) -> MarketFeed:
        """Wait for an exchange that trades the contract."""
        while True:
            for feed in self.feeds:
                if await feed.trades(symbol):
                    return feed
            _LOG.warning(
                "no enabled exchange trades %s now: strategy %s waits for its candles",
                symbol,
                self.strategy,
            )
            await trio.sleep(LOOK_AGAIN_S)

    async def emit(self, draft: SignalDraft) -> SignalId:
        """Record a signal durably; return its id once it is safe."""
        return await self.record(draft)


async def run_stream(
    shared: Shared,
    source: StreamSource,
    context: StrategyStream,
    vitals: Vitals,
    http: HttpClientFactory,
) -> None:
    """Keep one strategy's source running until cancelled."""
    is_reported = False

    async def run() -> None:
        nonlocal is_reported
        if vitals.quarantined and not is_reported:
            is_reported = True
            await shared.alert(
                AlertCode.PLUGIN_TASK_FAILED,
                context.strategy,
                source=source.name,
                problem=vitals.last_error,
            )
        source.check_params(context.params)
        await contained(source.run(context))
        _LOG.info(
            "the signal source %s of strategy %s ended: it will send nothing more",
            source.name,
            context.strategy,
        )

    try:
        jitter = random.Random(context.strategy)  # noqa: S311 - spreads restarts, guards nothing
        await supervise(vitals, run, jitter, shared.ledger)
    finally:
        await http.aclose()
