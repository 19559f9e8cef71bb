"""Stream source ``crossover``: two moving averages over closed candles, and a signal when the fast
one crosses the slow one.

``crossing`` decides (pure), ``settings`` defines what can be set. This module waits: it reads the
history, then each candle as it closes, and emits the newest cross that it has not emitted yet. It
stores nothing: after a restart, or a failure of the exchange or the ledger, it reads the history
again and repeats the newest cross, which the engine recognises by its key. README.md says what that
means for a follower.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from plugins.crossover.crossing import keep_closed, newest_cross, signal_of
from plugins.crossover.settings import DEFAULTS, HISTORY, Rule, read_rule
from rexalgo import (
    Candle,
    InvalidValue,
    SignalDraft,
    StreamContext,
    StreamSource,
    hookimpl,
)

rexalgo_api_version = 1
default_settings: Mapping[str, object] = DEFAULTS
params_for_kit: Mapping[str, object] = {
    "symbol": "BTCUSDT",
    "interval_s": 60,
    "fast": 3,
    "slow": 8,
    "sides": "both",
    "quantity": "0.01",
    "missing_max": 3,
}
"""Valid parameters, for the kit of stream sources."""
_LOG: Final = logging.getLogger("rexalgo.plugins.crossover")


class Crossover:
    """A source that turns, enters or leaves when two moving averages cross."""

    name = "crossover"

    def __init__(self, settings: Mapping[str, object] = DEFAULTS) -> None:
        self._settings = settings

    def check_params(self, params: Mapping[str, object]) -> None:
        """Raise InvalidValue with every problem in a strategy's parameters."""
        read_rule(self._settings, "params", params)

    async def run(self, context: StreamContext) -> None:
        """Run until cancelled. Raise InvalidValue for a contract that is not the strategy's."""
        rule = read_rule(self._settings, "params", context.params)
        if rule.symbol not in context.symbols:
            expected = "a contract of the strategy: " + ", ".join(sorted(context.symbols))
            raise InvalidValue("params.symbol", expected, rule.symbol)
        follower = _Following(rule, context)
        await follower.look(await context.history(rule.symbol, rule.interval_s, HISTORY))
        async for candle in context.candles(rule.symbol, rule.interval_s):
            await follower.look((candle,))


class _Following:
    """The candles that one run has read, and the newest cross that it emitted."""

    def __init__(self, rule: Rule, context: StreamContext) -> None:
        self._rule = rule
        self._context = context
        self._candles: tuple[Candle, ...] = ()
        self._emitted: datetime | None = None

    async def look(self, candles: Iterable[Candle]) -> None:
        """Add candles, and emit the newest cross if it is new."""
        now = self._context.clock.now()
        self._candles = keep_closed(self._candles, candles, now, self._rule)
        cross = newest_cross(self._candles, self._rule)
        if cross is None or (self._emitted is not None and cross.candle.opened_at <= self._emitted):
            return
        await self._emit(signal_of(cross, self._rule))
        self._emitted = cross.candle.opened_at

    async def _emit(self, draft: SignalDraft) -> None:
        try:
            await self._context.emit(draft)
        except InvalidValue as error:
            if error.field != "dedupe_key":
                raise
            _LOG.warning(
                "strategy %s: the signal of candle %s was recorded with other settings and stays; "
                "the new settings apply from the next cross on",
                self._context.strategy,
                draft.dedupe_key,
            )


@hookimpl
def register_signal_sources(
    register: Callable[[StreamSource], None], settings: Mapping[str, object]
) -> None:
    """Register the source. Raise InvalidValue with every problem in the section."""
    read_rule(settings, "plugin.crossover")
    register(Crossover(settings))
