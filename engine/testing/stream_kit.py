"""The kit for stream sources: run over the kit's own candles, twice, and cancelled."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import trio
import trio.testing

from engine.domain.amounts import Price, Quantity
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import SignalId, Symbol
from engine.domain.network import LOOPBACK
from engine.domain.signal import Action, PositionSide, SignalDraft
from engine.ports.clock import Clock
from engine.ports.http import HttpClients
from engine.ports.market_data import Candle
from engine.ports.signal_source import StreamSource
from engine.testing.other_kits import NOW
from engine.testing.report import CaseFailed, CaseResult, CaseSkipped, KitReport, Verdict, expect
from engine.transport import HttpClientFactory

SYMBOLS: Final = frozenset({Symbol("BTCUSDT"), Symbol("ETHUSDT")})
CANDLES: Final = 300
RUN_S: Final = 2.0
Seen = frozenset[tuple[tuple[Symbol, int], int]]
"""The number of the newest candle of each contract and interval that a run has taken."""


@dataclass(frozen=True, slots=True)
class StreamUnderTest:
    """A stream source and parameters that work."""

    source: StreamSource
    params: Mapping[str, object]


class _KitClock:
    def now(self) -> datetime:
        """Return the kit's one moment."""
        return NOW


@dataclass(slots=True)
class _Context:
    """A stream's context over the kit's candles from number ``start`` on; ``over`` is set once all
    candles of one contract were taken.

    What a candle causes is emitted before the next one comes, so ``emitted`` has each draft with
    the newest candles of that moment.
    """

    params: Mapping[str, object]
    strategy: str = "kit"
    symbols: frozenset[Symbol] = SYMBOLS
    clock: Clock = field(default_factory=_KitClock)
    http: HttpClients = field(default_factory=partial(HttpClientFactory, reach=LOOPBACK))
    start: int = 0
    emitted: list[tuple[Seen, SignalDraft]] = field(default_factory=list)
    over: trio.Event = field(default_factory=trio.Event)
    newest: dict[tuple[Symbol, int], int] = field(default_factory=dict)

    async def history(self, symbol: Symbol, interval_s: int, count: int) -> Sequence[Candle]:
        """Return the newest of the candles that have closed by now."""
        await trio.lowlevel.checkpoint()
        closed = self.newest.get((symbol, interval_s), self.start - 1) + 1
        return kit_candles(symbol, interval_s)[max(0, closed - count) : closed]

    async def candles(self, symbol: Symbol, interval_s: int) -> AsyncIterator[Candle]:
        """Yield the kit's candles, then wait for ever."""
        for number, each in enumerate(kit_candles(symbol, interval_s)[self.start :], self.start):
            self.newest[symbol, interval_s] = number
            yield each
            await trio.testing.wait_all_tasks_blocked()
        self.over.set()
        await trio.sleep_forever()

    async def emit(self, draft: SignalDraft) -> SignalId:
        """Record the draft."""
        await trio.lowlevel.checkpoint()
        self.emitted.append((frozenset(self.newest.items()), draft))
        return SignalId(f"kit-{draft.dedupe_key}")


def kit_candles(symbol: Symbol, interval_s: int) -> list[Candle]:
    """Return a walk of closed candles with trends both ways, always the same."""
    dice, price, made = random.Random(f"{symbol} {interval_s}"), 65_000, []  # noqa: S311 - a market of the kit guards nothing
    for number in range(CANDLES):
        drift = 60 if number // 40 % 2 == 0 else -60
        opened, price = price, max(1_000, price + drift + dice.randint(-80, 80))
        low, high = (
            min(opened, price) - dice.randint(0, 30),
            max(opened, price) + dice.randint(0, 30),
        )
        first, top, bottom, last = (Price(Decimal(each)) for each in (opened, high, low, price))
        at = NOW - timedelta(seconds=interval_s * (CANDLES - number))
        made.append(
            Candle(
                symbol=symbol,
                interval_s=interval_s,
                opened_at=at,
                open=first,
                high=top,
                low=bottom,
                close=last,
                volume=Quantity(Decimal(dice.randint(1, 50))),
            )
        )
    return made


async def _run(under_test: StreamUnderTest, start: int = 0) -> _Context:
    context = _Context(under_test.params, start=start)
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await under_test.source.run(context)
            context.over.set()

        nursery.start_soon(run)
        with trio.move_on_after(RUN_S):
            await context.over.wait()
            await trio.sleep(0.05)  # what the last candle causes is emitted before the end
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    expect(
        trio.current_time() - began < RUN_S,
        "expected run to end at once when it is cancelled, found that it goes on",
    )
    return context


async def _takes_params(under_test: StreamUnderTest) -> None:
    under_test.source.check_params(under_test.params)


async def _refuses_params(under_test: StreamUnderTest) -> None:
    rubbish: tuple[object, ...] = (None, "", "rubbish", -1, 10**12, 1.5, [], {}, True)
    wrong: list[Mapping[str, object]] = [{}, {"no_such_parameter": 1}]
    wrong += [{**under_test.params, name: value} for name in under_test.params for value in rubbish]
    for params in wrong:
        try:
            under_test.source.check_params(params)
        except InvalidValue:
            continue
        except Exception as error:
            raise CaseFailed(
                f"expected InvalidValue, or silence, for params {dict(params)}, found "
                f"{type(error).__name__}: {error}"
            ) from None


async def _runs(under_test: StreamUnderTest) -> None:
    emitted = [draft for _, draft in (await _run(under_test)).emitted]
    for draft in emitted:
        expect(
            isinstance(draft, SignalDraft), f"expected signal drafts, found {type(draft).__name__}"
        )
        expect(
            draft.symbol in SYMBOLS,
            f"expected signals in the strategy's contracts, found {draft.symbol}",
        )
        expect(0 < len(draft.dedupe_key) <= 128, "expected a dedupe_key of 1 to 128 characters")
    if not emitted:
        raise CaseSkipped(f"it gave no signal over the kit's candles within {RUN_S:g} s")


async def _repeats(under_test: StreamUnderTest) -> None:
    # All runs are kept until the end: an id of a run's own memory is never another run's too.
    whole, again = await _run(under_test), await _run(under_test)
    by_key = {draft.dedupe_key: draft for _, draft in whole.emitted}
    same = set(by_key) == {draft.dedupe_key for _, draft in again.emitted}
    expect(
        same,
        "expected the same dedupe_keys over the same candles, so that a restart repeats nothing, "
        "found others",
    )
    expect(
        all(by_key[draft.dedupe_key] == draft for _, draft in again.emitted),
        "expected the same signal under the same dedupe_key, found another",
    )
    if by_key:
        _expect_none_is_lost(whole, await _restarted(under_test, whole))


async def _restarted(under_test: StreamUnderTest, whole: _Context) -> _Context:
    """Run from the middle signal of a whole run on, with the history of the candles before it."""
    seen, _ = whole.emitted[len(whole.emitted) // 2]
    return await _run(under_test, max((number for _, number in seen), default=0))


def _expect_none_is_lost(whole: _Context, restarted: _Context) -> None:
    """Compare by candle. The candle of the restart comes to both runs, so its signal is a
    repetition; a later one may not have the key of an earlier one, which would swallow it.
    """
    keys_at, found_at = _by_candle(whole), _by_candle(restarted)
    known = {key for keys in keys_at.values() for key in keys}
    for what, keys in found_at.items():
        expected = keys_at.get(what, keys)
        is_first = any(number == restarted.start for _, number in what[0])
        expect(
            not keys.isdisjoint(expected) or not (is_first or keys & known),
            f"expected that a restart changes no dedupe_key, found {min(keys)} instead of "
            f"{min(expected)} for the signal of one candle: derive the key from the candle, not from "
            "a count",
        )


Caused = tuple[Seen, Action, Symbol, PositionSide | None]


def _by_candle(run: _Context) -> dict[Caused, set[str]]:
    keys: dict[Caused, set[str]] = {}
    for seen, draft in run.emitted:
        if seen:  # what comes from the history alone repeats an older candle
            kind = (seen, draft.action, draft.symbol, draft.side)
            keys.setdefault(kind, set()).add(draft.dedupe_key)
    return keys


Check = Callable[[StreamUnderTest], Awaitable[None]]
_CASES: Final[tuple[tuple[str, str, Check], ...]] = (
    ("S21", "the parameters of its own sample are taken", _takes_params),
    ("S22", "wrong parameters are InvalidValue and nothing else", _refuses_params),
    (
        "S23",
        "it runs over candles until it is cancelled, and emits sound drafts in its strategy's "
        "contracts",
        _runs,
    ),
    ("S24", "the same candles give the same dedupe keys: a restart repeats nothing", _repeats),
)


def stream_cases() -> tuple[tuple[str, str], ...]:
    """Return (number, promise) of every case of the kit for stream sources."""
    return tuple((number, promise) for number, promise, _ in _CASES)


async def check_stream_source(under_test: StreamUnderTest) -> KitReport:
    """Run every case for a stream source."""
    results = []
    for number, promise, check in _CASES:
        verdict, detail = Verdict.PASS, ""
        try:
            with trio.fail_after(30):
                await check(under_test)
        except CaseSkipped as skipped:
            verdict, detail = Verdict.SKIPPED, str(skipped)
        except CaseFailed as failed:
            verdict, detail = Verdict.FAIL, str(failed)
        except Exception as error:  # a plugin under test may raise anything; that is the finding
            verdict, detail = (
                Verdict.FAIL,
                f"expected the case to end, found {type(error).__name__}: {error}"[:300],
            )
        results.append(CaseResult(number=number, promise=promise, verdict=verdict, detail=detail))
    return KitReport("stream source", under_test.source.name, tuple(results))
