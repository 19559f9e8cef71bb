"""Broken conservation stops the account: nothing is sent, entries and exits wait for a person, and
an alert wakes people.
"""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import trio
from engine_world import BEGINNING, World, world
from trio.testing import MockClock

from engine.actors import exit_lane
from engine.actors.flattening import Flattening
from engine.actors.unsent import ANSWER_WAITS_S
from engine.decisions.planning import Wait
from engine.decisions.planning_exits import Carry, ExitContext, ExitPlan, plan_exit
from engine.domain.alert import Alert, AlertCode
from engine.domain.amounts import EXACT, Quantity
from engine.domain.holding import Switch, SwitchLevel, SwitchScope
from engine.domain.outcome import Outcome
from engine.domain.signal import Action, PositionSide
from engine.ledger.alerts import newest_alerts
from engine.ledger.reports import clear_switch, set_switch, switches

LONG = PositionSide.LONG


def broken(house: World) -> list[Alert]:
    return [
        each
        for each in newest_alerts(house.ledger.db, BEGINNING, 1000)
        if each.code is AlertCode.CONSERVATION_BROKEN
    ]


async def halt(house: World, level: SwitchLevel) -> None:
    switch = Switch(
        scope=SwitchScope.ACCOUNT,
        target="f0",
        note="looked at it",
        set_by="op",
        set_at=house.shared.clock.now(),
        level=level,
    )
    await house.ledger.write(lambda db: set_switch(db, switch))
    house.shared.switches = switches(house.ledger.db)


async def resume(house: World) -> None:
    at = house.shared.clock.now()
    await house.ledger.write(lambda db: clear_switch(db, SwitchScope.ACCOUNT, "f0", "op", at))
    house.shared.switches = switches(house.ledger.db)


async def hold_more_than_was_filled(house: World, share: str = "0.9") -> None:
    await house.ledger.write(
        lambda db: db.execute("UPDATE holding SET share = ? WHERE account_id = 'a0'", (share,))
    )


def closing_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the planner of exits wrong: it closes twice the share."""

    def plan(context: ExitContext) -> ExitPlan | Carry | Outcome | Wait:
        made = plan_exit(context)
        if isinstance(made, ExitPlan):
            doubled = Quantity(EXACT.multiply(made.intent.quantity, Decimal(2)))
            return replace(
                made, intent=replace(made.intent, quantity=doubled, whole_position=False)
            )
        return made

    monkeypatch.setattr(exit_lane, "plan_exit", plan)


async def test_an_exit_that_would_close_more_than_the_share_is_not_sent_and_stops_the_account_until_a_person_resumes(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=2) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        with monkeypatch.context() as mistake:
            closing_too_much(mistake)
            closing = await house.send(Action.CLOSE)
            await trio.sleep(20)
        assert house.codes(closing) == [None, None]  # the copies are not over
        assert len(house.orders()) == 2
        assert {each.subject for each in broken(house)} == {"f0", "f1"}
        assert "0.006 were to be closed, and the share is 0.003" in broken(house)[0].sentence
        assert all(each.wakes for each in broken(house))
        assert (
            await house.outcome(await house.send(Action.OPEN, side=LONG))
            == ["skipped.entries_off"] * 2
        )
        await trio.sleep(600)
        assert house.codes(closing) == [None, None]
        assert len(broken(house)) == 2  # it waits; it does not try and break again
        await halt(
            house, SwitchLevel.ENTRIES
        )  # says what is so already: no decision about the stop
        await trio.sleep(120)
        assert house.codes(closing) == [None, None]
        await resume(house)
        with trio.fail_after(120):
            while house.codes(closing)[0] is None:
                await house.next_commit()
        assert house.codes(closing) == ["filled", None]
        assert await house.position() is None
        assert (await house.position(1)) is not None


async def test_a_share_that_its_fills_do_not_explain_stops_the_account_and_flattening_closes_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        await hold_more_than_was_filled(house)
        closing = await house.send(Action.CLOSE)
        await trio.sleep(5)
        (told,) = broken(house)
        assert (
            told.details["cause"]
            == "a share of 0.9 is recorded, and 0.003 were filled and 0 closed since it was entered"
        )
        assert len(house.orders()) == 1
        await halt(house, SwitchLevel.FLATTEN)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Flattening(house.shared, house.account_tasks.wake).run)
            with trio.fail_after(300):
                while house.holdings():
                    await house.next_commit()
            nursery.cancel_scope.cancel()
        assert await house.position() is None
        assert len(broken(house)) == 1
        assert await house.outcome(closing) == ["filled"]


async def test_an_addition_to_a_share_that_nothing_explains_is_killed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        await hold_more_than_was_filled(house, "0.004")
        with house.shared.unsent["paper"].fanning_out():
            began = trio.current_time()
            assert await house.outcome(await house.send(Action.ADD, side=LONG)) == ["killed"]
            assert trio.current_time() - began < ANSWER_WAITS_S, "the stop waits for no fan-out"
        assert len(house.orders()) == 1
        assert [each.subject for each in broken(house)] == ["f0"]
        await trio.sleep(1)
        assert await house.followers[
            0
        ].reader.try_to_read()  # it shows less than the share, so that is corrected
        assert house.holdings()[0][1] == "0.003"
        assert house.followers[0].account.reserved == {}  # what was not sent counts against no cap
        await resume(house)
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        assert len(broken(house)) == 1


async def test_a_share_that_shrinks_while_its_exit_is_prepared_is_planned_again_and_nothing_is_stopped(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        session = await house.followers[0].account.connected()
        warm = session.warm

        async def closed_by_hand_meanwhile() -> None:
            await warm()
            await house.ledger.write(
                lambda db: db.execute("UPDATE holding SET share = '0.002' WHERE share = '0.003'")
            )

        monkeypatch.setattr(session, "warm", closed_by_hand_meanwhile)
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        assert [each["quantity"] for each in house.orders()] == ["0.003", "0.002"]
        assert broken(house) == []
