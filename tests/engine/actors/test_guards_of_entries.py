"""Breakers, circuit, protection guard, refused keys and decisions of people: they stop entries,
alert people, and never stop an exit.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import trio
from engine_world import BTC, World, by_owner, world
from trio.testing import MockClock

from engine.actors.breakers import Breakers
from engine.decisions.circuit import Circuit
from engine.decisions.reconciliation import ShareShrunk
from engine.domain.amounts import Money, Price
from engine.domain.errors import NothingThere
from engine.domain.order import OrderIntent, OrderSide
from engine.domain.preflight import Level
from engine.domain.signal import Action, PositionSide
from engine.domain.subscription import RiskLimits
from engine.ledger.alerts import newest_alerts
from engine.ledger.attempts import all_unknown
from engine.ledger.equity import mark_equity
from engine.ledger.query import fetch_all
from engine.ports.market_data import Quote
from engine.settings.config import EngineConfig, load_config
from rexalgo import ProtectionOrder, Rejected, RejectionKind

LONG = PositionSide.LONG


def alerts(house: World) -> list[str]:
    return [
        each.code.value
        for each in reversed(
            newest_alerts(house.ledger.db, house.shared.clock.now().replace(year=2000), 50)
        )
    ]


def engine_config(folder: Path) -> EngineConfig:
    return load_config(folder, {}).engine


async def test_too_many_entries_switch_their_strategy_off_and_exits_go_on(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        config = replace(engine_config(tmp_path), breaker_entries_per_minute=3)
        breakers = Breakers(house.shared, {"paper": Circuit()}, config)
        house.shared.strategy_names = {"s": "trend"}  # type: ignore[dict-item]  # ids are texts
        for _ in range(3):
            await house.outcome(await house.send(Action.OPEN, side=LONG))
        await breakers.look()
        assert house.shared.switches == ()
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        await breakers.look()
        assert [(each.scope.value, each.target, each.set_by) for each in house.shared.switches] == [
            ("strategy", "trend", "breaker")
        ]
        assert alerts(house) == ["breaker_tripped"]
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == [
            "skipped.entries_off"
        ]
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        await breakers.look()
        assert alerts(house) == ["breaker_tripped"]


async def test_an_account_whose_entries_are_refused_again_and_again_is_stopped_alone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=2, paper={"reject_every": 1}) as house:
        breakers = Breakers(
            house.shared, {"paper": Circuit()}, replace(engine_config(tmp_path), breaker_refusals=3)
        )
        for _ in range(3):
            assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["rejected"] * 2
            await trio.sleep(1)
        await breakers.look()
        assert sorted(each.target for each in house.shared.switches) == ["f0", "f1"]
        assert "refused 3 entries in a row" in house.shared.switches[0].note


async def test_a_position_without_its_stop_gets_it_again_and_the_time_is_measured(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(
            await house.send(Action.OPEN, side=LONG, stop_loss=Price(Decimal("60000")))
        )
        session = await house.followers[0].account.connected()
        await session.set_protection(ProtectionOrder(BTC, LONG))  # somebody lost it
        house.followers[0].account.read_soon()
        await trio.sleep(15)
        position = await house.position()
        assert position is not None
        assert position.stop_loss == Decimal("60000")
        measured = fetch_all(house.ledger.db, "SELECT data FROM event WHERE kind = 'protected'")
        assert len(measured) == 1
        assert "unprotected_s" in measured[0][0]
        assert alerts(house) == []


async def test_a_stop_that_the_owner_moved_by_hand_stays_where_he_put_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(
            await house.send(Action.OPEN, side=LONG, stop_loss=Price(Decimal("60000")))
        )
        session = await house.followers[0].account.connected()
        await session.set_protection(ProtectionOrder(BTC, LONG, Price(Decimal("61000"))))
        house.followers[0].account.read_soon()
        await trio.sleep(60)
        position = await house.position()
        assert position is not None
        assert position.stop_loss == Decimal("61000")


async def test_a_stop_that_cannot_be_set_wakes_somebody(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(
            await house.send(Action.OPEN, side=LONG, stop_loss=Price(Decimal("60000")))
        )
        position, asked = await house.position(), set()
        session = await house.followers[0].account.connected()
        await session.set_protection(ProtectionOrder(BTC, LONG))

        async def refuse(wanted: ProtectionOrder) -> None:
            asked.add(wanted.position_id)
            raise Rejected("not today")

        monkeypatch.setattr(session, "set_protection", refuse)
        house.followers[0].account.read_soon()
        await trio.sleep(40)
        told = newest_alerts(house.ledger.db, house.shared.clock.now().replace(year=2000), 5)
        assert [each.code.value for each in told] == ["position_unprotected"]
        assert "LONG 0.003 BTCUSDT" in told[0].sentence
        assert "?" not in told[0].sentence
        assert position is not None
        assert asked == {position.id}


async def test_a_refused_key_names_the_positions_that_nobody_here_can_close(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        follower = house.followers[0]
        await follower.reader._tell_unreadable(Rejected("expired", RejectionKind.CREDENTIALS))
        await follower.reader._tell_unreadable(Rejected("expired", RejectionKind.CREDENTIALS))
        told = newest_alerts(house.ledger.db, house.shared.clock.now().replace(year=2000), 5)
        assert [each.code.value for each in told] == ["credentials_refused"]
        assert "LONG 0.003 BTCUSDT" in told[0].sentence


async def test_a_reconcile_plan_changes_nothing_and_applying_it_twice_neither(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        await trio.sleep(5)
        follower = house.followers[0]
        await close_by_hand(house)
        plan = await follower.plan_corrections()
        assert [type(each) for each in plan] == [ShareShrunk]
        assert [share for _, share, _ in house.holdings()] == ["0.003"]
        await follower.apply_corrections("op")
        assert [share for _, share, _ in house.holdings()] == ["0"]
        assert await follower.apply_corrections("op") == ()
        assert "closed_outside" in alerts(house)
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["skipped.detached"]


async def close_by_hand(house: World) -> None:
    """Close the first follower's position outside the engine, as its owner would."""
    session = await house.followers[0].account.connected()
    await by_owner(session._open, OrderSide.SELL, "0.003")


async def test_a_person_may_name_the_order_that_is_ours(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1, paper={"lose_answer_every": 1}) as house:
        opened = await house.send(Action.OPEN, side=LONG)
        assert await house.outcome(opened) == ["unknown"]
        attempt = all_unknown(house.ledger.db)[0]
        with pytest.raises(NothingThere, match="no order X"):
            await house.followers[0].bind(attempt.id, "X")
        await house.followers[0].bind(attempt.id, str(house.orders()[0]["exchange_order_id"]))
        assert house.codes(opened) == ["filled"]
        assert [share for _, share, _ in house.holdings()] == ["0.003"]


def moved(house: World, to: str, patch: pytest.MonkeyPatch) -> None:
    """Let the newest known price of the contract be another one from now on."""
    feed, price = house.shared.feeds["paper"], Price(Decimal(to))
    patch.setattr(feed, "newest", lambda _: Quote(BTC, price, price, house.shared.clock.now()))


async def test_a_loss_since_the_last_reading_counts(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        house.shared.limits = RiskLimits(daily_loss=Money(Decimal(20)))
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"]
        await trio.sleep(1)
        moved(house, "55000", monkeypatch)
        assert await house.outcome(await house.send(Action.ADD, side=LONG)) == ["denied.daily_loss"]
        found = await house.followers[0].preflight.check(fresh=False)
        limits = {each.about: each for each in found.items}["limits in trend"]
        assert found.level is limits.level is Level.STOPS_ENTRIES
        assert limits.sentence.startswith("equity is down 30")


async def test_a_price_that_moved_while_an_entry_was_prepared_stops_it(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        house.shared.limits = RiskLimits(slippage_bps=50)
        session = await house.followers[0].account.connected()
        prepare = session.prepare_entry

        async def slowly(intent: OrderIntent) -> None:
            await prepare(intent)
            moved(house, "66300", monkeypatch)

        monkeypatch.setattr(session, "prepare_entry", slowly)
        opened = await house.send(Action.OPEN, side=LONG, price=Price(Decimal(65_000)))
        assert await house.outcome(opened) == ["denied.slippage"]
        await trio.sleep(1)
        assert house.orders() == []
        assert not house.followers[0].account.reserved


async def test_an_entry_of_a_new_day_is_not_judged_by_the_day_before(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        house.shared.limits = RiskLimits(daily_loss=Money(Decimal(500)))
        account, now = house.followers[0].account, house.shared.clock.now()
        await account.wait_read()
        assert account.report is not None
        lost = Money(account.report.balance.total + 600)
        await house.ledger.write(
            lambda db: mark_equity(db, account.id, lost, now - timedelta(days=1), new_day=True)
        )
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"]
        await trio.sleep(60)
        marks = account.equity_marks
        assert marks is not None
        assert marks.day_start < lost, "the reading after it began the day"
