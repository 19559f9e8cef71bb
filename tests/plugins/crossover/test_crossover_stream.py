"""The source in the engine, under a virtual clock: candles of an exchange -> signals in the ledger
-> orders on paper, through restarts and failures.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from crossover_world import BEGINNING, BTC, MINUTE, PARAMS, Tape, candles
from engine_world import World, world
from trio.testing import MockClock

from engine.actors.streams import StrategyStream, run_stream
from engine.actors.supervisor import Vitals
from engine.domain.identifiers import StrategyId
from engine.ledger.query import fetch_all
from engine.market.feed import MarketFeed
from engine.recording import Recorder
from engine.transport import HttpClientFactory
from plugins.crossover import Crossover, params_for_kit, register_signal_sources
from rexalgo import Candle, InvalidValue
from rexalgo.testing import StreamUnderTest, Verdict, check_stream_source

TREND = candles(10, 9, 8, 12, 13, 2, 1, 9, 10, 11)  # up at 3, down at 5, up at 7
UP, DOWN, UP_AGAIN = (f"BTCUSDT-60s-20261124T12{minute:02}00Z" for minute in (3, 5, 7))


@dataclass
class Place:
    """An engine with one follower, and the tape that its strategy reads."""

    house: World
    recorder: Recorder
    tape: Tape

    async def run(self, minutes: float, **params: object) -> Vitals:
        """Run the strategy's source as the engine does, for so long; then it is cut off."""
        feed = MarketFeed(
            cast(Any, SimpleNamespace(name="tape", market_data=self._market)),
            cast(Any, None),
            self.house.shared.clock,
        )
        symbols, vitals, http = frozenset([BTC]), Vitals("strategy trend"), HttpClientFactory()
        source = Crossover()

        async def record(draft: Any) -> Any:
            return await self.recorder.emit(StrategyId("s"), source.name, symbols, draft)

        context = StrategyStream(
            strategy="trend",
            symbols=symbols,
            params={**PARAMS, **params},
            clock=self.house.shared.clock,
            http=http,
            feeds=(feed,),
            record=record,
        )
        with trio.move_on_after(minutes * 60):
            await run_stream(self.house.shared, source, context, vitals, http)
        await feed.aclose()
        return vitals

    async def _market(self, context: object) -> Tape:
        return self.tape

    def signals(self) -> list[tuple[Any, ...]]:
        """Return key, action, side and position of every recorded signal, in order of record."""
        return fetch_all(
            self.house.ledger.db,
            "SELECT json_extract(draft, '$.dedupe_key'), json_extract(draft, '$.action'), "
            "json_extract(draft, '$.side'), json_extract(draft, '$.position_after') FROM signal "
            "ORDER BY number",
        )

    def keys(self) -> list[str]:
        return [row[0] for row in self.signals()]


@asynccontextmanager
async def place(folder: Path, tape: Sequence[Candle], **faults: Any) -> AsyncIterator[Place]:
    async with world(folder, followers=1) as house, trio.open_nursery() as nursery:
        recorder = Recorder(house.shared, house.account_tasks, nursery)
        yield Place(house, recorder, Tape(house.shared.clock, tape, **faults))


async def test_each_cross_is_one_signal_that_reaches_the_exchange(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with place(tmp_path, TREND) as here:
        await here.run(10)
        assert here.signals() == [
            (UP, "reverse", "LONG", "0.02"),
            (DOWN, "reverse", "SHORT", "-0.02"),
            (UP_AGAIN, "reverse", "LONG", "0.02"),
        ]
        sides = [each["side"] for each in here.house.orders()]
        assert sides == ["BUY", "SELL", "SELL", "BUY", "BUY"]
        position = await here.house.position()
        assert position is not None
        assert position.side.value == "LONG"


async def test_one_side_is_entered_and_left(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with place(tmp_path, TREND) as here:
        await here.run(7, sides="long")
        assert [row[1:] for row in here.signals()] == [
            ("open", "LONG", "0.02"),
            ("close", None, "0"),
        ]
        assert [each["side"] for each in here.house.orders()] == ["BUY", "SELL"]


async def test_restarts_repeat_no_signal_and_no_order(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Cut it off every 20 seconds, also right after a candle closed."""
    async with place(tmp_path, TREND) as here:
        for _ in range(30):
            await here.run(1 / 3)
        assert here.keys() == [UP, DOWN, UP_AGAIN]
        assert len(here.house.orders()) == 5


async def test_after_a_long_stop_only_the_newest_cross_is_said_and_its_entry_is_too_old(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with place(tmp_path, TREND) as here:
        await here.run(5)
        await trio.sleep(3 * 60)  # stopped: down at 5 is missed, up at 7 too
        await here.run(1)
        assert here.keys() == [UP, UP_AGAIN]
        assert [each["side"] for each in here.house.orders()] == ["BUY"]


async def test_a_missed_turn_closes_what_is_held_and_enters_no_more(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with place(tmp_path, TREND[:7]) as here:
        await here.run(5)
        await trio.sleep(3 * 60)
        await here.run(1)
        assert here.keys() == [UP, DOWN]
        assert [each["side"] for each in here.house.orders()] == ["BUY", "SELL"]
        assert await here.house.position() is None


async def test_missing_candles_unfinished_ones_and_any_order_make_no_other_signals(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    without = tuple(each for each in TREND if each.opened_at != BEGINNING + 4 * MINUTE)
    async with place(tmp_path, without, shuffled=True) as here:
        await here.run(10)
        assert here.keys() == [UP, DOWN, UP_AGAIN]


async def test_a_running_candle_says_nothing_before_it_closes(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with place(tmp_path, TREND, unfinished=True) as here:
        await trio.sleep(3.5 * 60)  # candle 3, which turns up, is running
        await here.run(0.4)
        assert here.keys() == []
        await here.run(1)
        assert here.keys() == [UP]


async def test_an_exchange_that_fails_delays_signals_and_doubles_none(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with place(tmp_path, TREND, failures=9) as here:
        vitals = await here.run(10)
        assert vitals.restarts == 9
        here.tape.failures = 2
        await here.run(1)
        assert here.keys()[-1] == UP_AGAIN
        assert len(set(here.keys())) == len(here.keys())


async def test_other_settings_leave_what_a_candle_said_as_it_is(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with place(tmp_path, TREND) as here:
        await here.run(5)
        vitals = await here.run(0.5, quantity="0.05")
        assert vitals.restarts == 0
        assert [(row[0], row[3]) for row in here.signals()] == [(UP, "0.02")]
        await here.run(1.5, quantity="0.05")
        assert here.signals()[-1] == (DOWN, "reverse", "SHORT", "-0.05")


async def test_a_contract_that_is_not_the_strategys_stops_it_with_a_sentence(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with place(tmp_path, TREND) as here:
        vitals = await here.run(0.1, symbol="ETHUSDT")
        assert "expected a contract of the strategy: BTCUSDT, found 'ETHUSDT'" in vitals.last_error


async def test_it_passes_the_kit_whole() -> None:
    report = await check_stream_source(StreamUnderTest(Crossover(), params_for_kit))
    assert {each.verdict for each in report.results} == {Verdict.PASS}


def test_the_section_is_checked_when_it_is_registered() -> None:
    found: list[Any] = []
    register_signal_sources(found.append, {"slow": 34})
    assert [each.name for each in found] == ["crossover"]
    with pytest.raises(InvalidValue, match=r"^plugin\.crossover\.fast: .*; plugin\.crossover\.sl"):
        register_signal_sources(found.append, {"fast": 0, "slow": 1})
