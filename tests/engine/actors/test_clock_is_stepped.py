"""The machine's clock is set while the engine runs: by NTP, because the machine was resumed, or by
a person. What is due stays due, and readings stay in their order.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import BEGINNING, BTC, World, world
from trio.testing import MockClock

from engine.actors.clock_watch import watch_clock
from engine.actors.exchange_session import ExchangeSession
from engine.actors.follower import Follower
from engine.domain.amounts import Price
from engine.domain.identifiers import Symbol
from engine.domain.signal import Action, OrderType, PositionSide
from engine.ledger.alerts import newest_alerts
from engine.ports.exchange import OutcomeUnknown, Rejected
from engine.ports.market_data import Quote

BACK = pytest.mark.parametrize("step_s", [-3, -50, -3600])


class Line:
    """A connection that fails at what a test says, and shows the account as a test says."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.refuses: Exception | None = None
        self.loses_answers = False
        self.hides_orders = False
        self.tried_at: list[float] = []
        self.is_flat = self.is_unprotected = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def place_order(self, order: Any) -> Any:
        self.tried_at.append(trio.current_time())
        if self.refuses is not None:
            raise self.refuses
        report = await self._real.place_order(order)
        if self.loses_answers:
            raise OutcomeUnknown("502")
        return report

    async def find_orders(self, symbol: Any, since: Any) -> Any:
        history = await self._real.find_orders(symbol, since)
        return replace(history, orders=(), complete=False) if self.hides_orders else history

    async def fetch_account(self) -> Any:
        report = await self._real.fetch_account()
        if self.is_unprotected:
            bare = tuple(replace(each, stop_loss=None) for each in report.positions)
            report = replace(report, positions=bare)
        return replace(report, positions=()) if self.is_flat else report


async def joined(house: World) -> tuple[Follower, Line]:
    follower = house.followers[0]
    await follower.account.history.looked.wait()
    session = await follower.account.connected()
    session._connection = line = Line(session._connection)  # type: ignore[assignment]
    return follower, line


async def opened(house: World) -> tuple[Follower, Line]:
    follower, line = await joined(house)
    assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == ["filled"]
    await trio.sleep(5)
    return follower, line


@BACK
async def test_a_close_is_sent_at_once_after_the_clock_was_set_back(
    tmp_path: Path, autojump_clock: MockClock, step_s: float
) -> None:
    async with world(tmp_path, followers=1) as house:
        _, line = await opened(house)
        house.clock.step(step_s)
        sent_at = trio.current_time()
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        assert line.tried_at[-1] - sent_at < 1


@BACK
async def test_an_exit_that_is_refused_is_tried_at_least_once_a_minute_whatever_the_clock_shows(
    tmp_path: Path, autojump_clock: MockClock, step_s: float
) -> None:
    async with world(tmp_path, followers=1) as house:
        _, line = await opened(house)
        line.refuses = Rejected("closed for maintenance")
        await house.send(Action.CLOSE)
        for pause_s in (2, 60, 300):
            await trio.sleep(pause_s)
            house.clock.step(step_s)
        await trio.sleep(300)
        tries = line.tried_at[1:]
        gaps = [after - before for before, after in pairwise(tries)]
        assert len(tries) > 12
        assert max(gaps) < 62


@BACK
async def test_an_exit_that_cannot_be_sent_is_tried_again_whatever_the_clock_shows(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    async with world(tmp_path, followers=1) as house:
        follower, _ = await opened(house)
        session, tries = await follower.account.connected(), []

        async def cold() -> None:
            tries.append(trio.current_time())
            if len(tries) < 4:
                raise ConnectionRefusedError("no route")

        monkeypatch.setattr(session, "warm", cold)
        closed = await house.send(Action.CLOSE)
        await trio.sleep(2)
        house.clock.step(step_s)
        assert await house.outcome(closed) == ["filled"]
        assert tries[-1] - tries[0] < 10


@BACK
async def test_an_order_of_unknown_fate_is_looked_up_whatever_the_clock_shows(
    tmp_path: Path, autojump_clock: MockClock, step_s: float
) -> None:
    async with world(tmp_path, followers=1) as house:
        _, line = await joined(house)
        line.loses_answers = line.hides_orders = True
        entered = await house.send(Action.OPEN, side=PositionSide.LONG)
        await trio.sleep(2)
        assert house.codes(entered) == ["unknown"]
        house.clock.step(step_s)
        line.hides_orders = False
        at = trio.current_time()
        assert await house.outcome(entered, unlike=(None, "unknown")) == ["filled"]
        assert trio.current_time() - at < 5


@pytest.mark.parametrize("step_s", [-3600, 3600])
async def test_an_exit_is_proven_by_a_reading_as_soon_as_one_shows_it_and_no_sooner(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    async with world(tmp_path, followers=1) as house:
        _, line = await opened(house)
        monkeypatch.setattr(ExchangeSession, "visible_within_s", 5.0)
        monkeypatch.setattr(ExchangeSession, "reports_closed_positions", False)
        monkeypatch.setattr(ExchangeSession, "reads_client_order_id", lambda session, intent: False)
        line.loses_answers = line.hides_orders = True
        closed = await house.send(Action.CLOSE)
        await trio.sleep(0.1)
        house.clock.step(step_s)
        assert await house.outcome(closed, unlike=(None, "unknown")) == ["filled"]
        assert 5 <= trio.current_time() - line.tried_at[-1] < 20


async def test_a_cancellation_is_asked_for_again_after_the_clock_was_set_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        _, line = await joined(house)
        resting = await house.send(
            Action.OPEN,
            side=PositionSide.LONG,
            order_type=OrderType.LIMIT,
            price=Price(Decimal("60000")),
        )
        assert await house.outcome(resting) == ["placed"]
        real, asked = line._real.cancel_order, []

        async def cancel_order(*given: Any) -> None:
            asked.append(trio.current_time())
            if len(asked) == 1:
                raise OutcomeUnknown("502")
            await real(*given)

        line.cancel_order = cancel_order  # type: ignore[method-assign]
        await house.send(Action.CLOSE)
        await trio.sleep(1)
        house.clock.step(-3600)
        assert await house.outcome(resting, unlike=(None, "placed")) == ["cancelled"]
        assert asked[-1] - asked[0] < 10


async def test_a_missing_stop_is_set_again_after_the_clock_was_set_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        follower, line = await joined(house)
        stop = Price(Decimal("60000"))
        entered = await house.send(Action.OPEN, side=PositionSide.LONG, stop_loss=stop)
        assert await house.outcome(entered) == ["filled"]
        await trio.sleep(5)
        set_at: list[float] = []

        async def set_protection(wanted: Any) -> None:
            set_at.append(trio.current_time())

        line.set_protection = set_protection  # type: ignore[method-assign]
        line.is_unprotected = True
        await follower.read_now()
        await trio.sleep(1)
        house.clock.step(-3600)
        at = trio.current_time()
        await trio.sleep(30)
        assert len([each for each in set_at if each > at]) >= 4


@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("step_s", [0, -3600, 3600])
async def test_a_stop_moves_once_a_reading_shows_what_the_entry_before_it_set(
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    step_s: float,
    is_lost: bool,
) -> None:
    async with world(tmp_path, followers=1) as house:
        _, line = await joined(house)
        line.loses_answers = is_lost  # then it is looked up
        monkeypatch.setattr(ExchangeSession, "visible_within_s", 5.0)
        stop = Price(Decimal("60000"))
        entered = await house.send(Action.OPEN, side=PositionSide.LONG, stop_loss=stop)
        assert await house.outcome(entered, unlike=(None, "unknown")) == ["filled"]
        at = trio.current_time()
        house.clock.step(step_s)
        moved = await house.send(Action.SET_PROTECTION, stop_loss=Price(Decimal("64000")))
        assert await house.outcome(moved) == ["applied"]
        assert 5 <= trio.current_time() - at < 10


@pytest.mark.parametrize("step_s", [-8, -50, -3600])
async def test_an_entry_that_waits_grows_old_though_the_clock_was_set_back(
    tmp_path: Path, autojump_clock: MockClock, step_s: float
) -> None:
    async with world(tmp_path, followers=1) as house:
        _, line = await opened(house)
        line.refuses = Rejected("closed for maintenance")
        await house.send(Action.CLOSE)
        entered = await house.send(Action.OPEN, side=PositionSide.LONG)
        await trio.sleep(3)
        house.clock.step(step_s)
        await trio.sleep(30)
        line.refuses = None
        assert await house.outcome(entered) == ["expired.waiting"]


@BACK
@pytest.mark.parametrize("repeats", [False, True])
async def test_an_old_price_is_no_fresh_one_though_the_clock_was_set_back(
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    repeats: bool,
    step_s: float,
) -> None:
    async with world(tmp_path, followers=1) as house:
        await joined(house)
        house.clock.step(step_s)
        # The exchange's clock is ahead now, and its price is fresh.
        entered = await house.send(Action.OPEN, side=PositionSide.LONG)
        assert await house.outcome(entered) == ["filled"]
        market = house.shared.feeds["paper"]._market
        assert market is not None
        old = await market.quotes(frozenset([BTC]))

        async def quotes(symbols: frozenset[Symbol]) -> Sequence[Quote]:
            if repeats:
                return old
            raise OSError("market data is down")

        monkeypatch.setattr(market, "quotes", quotes)
        await trio.sleep(house.shared.pace.price_age_s + 2)
        added = await house.send(Action.ADD, side=PositionSide.LONG)
        assert await house.outcome(added) == ["denied.price_stale"]


@pytest.mark.parametrize("ahead_s", [3, 600, 7200, -600])
@pytest.mark.parametrize("action", [Action.OPEN, Action.CLOSE])
async def test_an_order_is_proven_by_its_id_though_the_clock_was_set_right_since_the_claim(
    tmp_path: Path, autojump_clock: MockClock, action: Action, ahead_s: float
) -> None:
    async with world(tmp_path, followers=1) as house:
        _, line = await (joined if action is Action.OPEN else opened)(house)
        house.shared.pace = replace(house.shared.pace, price_age_s=10_000.0)
        house.clock.step(ahead_s)
        line.loses_answers = True
        sent = await house.send(action, side=PositionSide.LONG)
        await trio.sleep(0.2)
        assert house.codes(sent) == ["unknown"]
        house.clock.step(-ahead_s)
        assert await house.outcome(sent, unlike=(None, "unknown")) == ["filled"]
        assert trio.current_time() - line.tried_at[-1] < 5


@BACK
async def test_a_reading_after_the_clock_was_set_back_is_newer_than_one_before(
    tmp_path: Path, autojump_clock: MockClock, step_s: float
) -> None:
    async with world(tmp_path, followers=1) as house:
        follower, line = await opened(house)
        await trio.sleep(3600 * 2)  # the order has ended long before
        await follower.read_now()
        house.clock.step(step_s)
        line.is_flat = True  # its owner closed it by hand, or it was liquidated
        await follower.read_now()
        assert follower.account.report is not None
        assert follower.account.report.positions == ()
        assert house.holdings() == [("a0", "0", 0)]


async def test_a_reading_that_began_earlier_changes_nothing_though_the_clock_was_set_forward(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        follower, line = await opened(house)
        real, answers = line._real, trio.Event()

        async def slow() -> Any:
            report = await real.fetch_account()
            await answers.wait()
            return replace(report, positions=())

        async with trio.open_nursery() as nursery:
            house.clock.step(3600)
            line.fetch_account = slow  # type: ignore[method-assign]
            nursery.start_soon(follower.read_now)
            await trio.sleep(1)
            del line.fetch_account
            house.clock.step(-3600)
            await follower.read_now()
            answers.set()
        assert follower.account.report is not None
        assert len(follower.account.report.positions) == 1
        assert len(house.holdings()) == 1


@pytest.mark.parametrize(
    ("step_s", "told"),
    [
        (-50, ["The clock of this installation was set back by 50 s."]),
        (
            3600,
            [
                "The clock of this installation jumped forward by 3600 s; it was set, or the "
                "machine stood still."
            ],
        ),
        (1.5, []),
        (-1.5, []),
    ],
)
async def test_a_step_of_the_clock_is_told(
    tmp_path: Path, autojump_clock: MockClock, step_s: float, told: list[str]
) -> None:
    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        nursery.start_soon(watch_clock, house.shared)
        await trio.sleep(600.3)
        house.clock.step(step_s)
        await trio.sleep(600)
        alerts = newest_alerts(house.ledger.db, BEGINNING, 100)
        assert [each.sentence for each in alerts] == told
        nursery.cancel_scope.cancel()


async def test_two_steps_are_told_as_two(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with world(tmp_path, followers=1) as house, trio.open_nursery() as nursery:
        nursery.start_soon(watch_clock, house.shared)
        for step_s in (7200, -7200):
            await trio.sleep(5)
            house.clock.step(step_s)
        await trio.sleep(5)
        assert len(newest_alerts(house.ledger.db, BEGINNING, 100)) == 2
        nursery.cancel_scope.cancel()
