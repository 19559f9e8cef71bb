"""Run stream sources: one supervised task per strategy of kind algo, emitting signals through the same door as a webhook's.

A source that raises is restarted with growing pauses; one that fails more than 5 times in 60 s is told about, and goes on being
restarted: its signals are nobody's exits, but they may be. Candles come from the first exchange that is enabled.
"""

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from engine.actors.market_feed import MarketFeed
from engine.actors.shared import Shared
from engine.actors.supervisor import Vitals, supervise
from engine.domain.alert import AlertCode
from engine.domain.identifiers import SignalId, Symbol
from engine.domain.signal import SignalDraft
from engine.ports.clock import Clock
from engine.ports.exchange import HttpClients
from engine.ports.market_data import Candle
from engine.ports.signal_source import StreamSource
from engine.transport import HttpClientFactory

_LOG = logging.getLogger("rexalgo.streams")


@dataclass(frozen=True, slots=True)
class StrategyStream:
    """Be the StreamContext of one strategy."""

    strategy: str
    symbols: frozenset[Symbol]
    params: Mapping[str, object]
    clock: Clock
    http: HttpClients
    feed: MarketFeed
    record: Callable[[SignalDraft], Awaitable[SignalId]]

    def candles(self, symbol: Symbol, interval_s: int) -> AsyncIterator[Candle]:
        """Yield each candle once after it closed, oldest first, starting with the newest closed one."""
        return self.feed.candles(symbol, interval_s)

    async def emit(self, draft: SignalDraft) -> SignalId:
        """Record a signal durably; returns its id once it is safe."""
        return await self.record(draft)


async def run_stream(shared: Shared, source: StreamSource, context: StrategyStream, vitals: Vitals, http: HttpClientFactory) -> None:
    """Keep one strategy's source running until cancelled."""
    told = False

    async def run() -> None:
        nonlocal told
        if vitals.quarantined and not told:
            told = True
            await shared.alert(
                AlertCode.PLUGIN_TASK_FAILED, context.strategy, f"The signal source {source.name} keeps failing: {vitals.last_error}",
                "It is restarted again and again.", "Look at the log and at the strategy's params; then restart.",
            )  # fmt: skip
        source.check_params(context.params)
        await source.run(context)
        _LOG.info("the signal source %s of strategy %s ended: it will send nothing more", source.name, context.strategy)

    try:
        await supervise(vitals, run, random.Random(context.strategy))  # noqa: S311 - spreads restarts, guards nothing
    finally:
        await http.aclose()
