"""Switches above *no new entries*: reduce only takes resting orders back, flatten closes until the exchange shows nothing."""

from pathlib import Path

import trio
from engine_world import World, world
from trio.testing import MockClock

from engine.actors.flattening import Flattening
from engine.domain.amounts import Price
from engine.domain.holding import Switch, SwitchLevel, SwitchScope
from engine.domain.signal import Action, OrderType, PositionSide
from engine.ledger.standing import still_open

LONG = PositionSide.LONG


def turn(house: World, level: SwitchLevel, scope: SwitchScope = SwitchScope.ALL, target: str = "") -> None:
    house.shared.switches = (Switch(scope, target, "night", "op", house.shared.clock.now(), level),)
    for each in house.followers:
        each.look_at_all()


def flattening(house: World) -> Flattening:
    return Flattening(house.shared, house.household.ring)


async def flat(house: World) -> None:
    with trio.fail_after(600):
        while house.holdings():
            await house.next_commit()


async def test_reduce_only_takes_resting_entries_back_and_keeps_what_is_held(tmp_path: Path, autojump_clock: MockClock) -> None:
    from decimal import Decimal

    async with world(tmp_path, followers=2) as house:
        resting = await house.send(Action.OPEN, side=LONG, order_type=OrderType.LIMIT, price=Price(Decimal("60000")))
        await house.outcome(resting)
        turn(house, SwitchLevel.REDUCE, SwitchScope.ACCOUNT, "f0")
        with trio.fail_after(120):
            while house.codes(resting)[0] != "cancelled":
                await house.next_commit()
        assert house.codes(resting)[1] == "placed"
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["skipped.entries_off", "skipped.already_open"]


async def test_flatten_closes_what_the_engine_opened_within_its_scope(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with world(tmp_path) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        turn(house, SwitchLevel.FLATTEN, SwitchScope.ACCOUNT, "f1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flattening(house).run)
            await trio.sleep(10)
            assert [account for account, *_ in house.holdings()] == ["a0", "a2"]
            turn(house, SwitchLevel.FLATTEN)
            await flat(house)
            nursery.cancel_scope.cancel()
        assert [await house.position(index) for index in range(3)] == [None] * 3
        assert len(house.orders()) == 6


async def test_flatten_also_closes_what_an_unproven_entry_brings_later(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with world(tmp_path, followers=1, paper={"lose_answer_every": 1}) as house:
        opened = await house.send(Action.OPEN, side=LONG)
        assert await house.outcome(opened) == ["unknown"]
        turn(house, SwitchLevel.FLATTEN)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flattening(house).run)
            await house.outcome(opened, unlike=("unknown",))
            await flat(house)
            nursery.cancel_scope.cancel()
        assert await house.position() is None


async def test_flatten_goes_on_while_the_exchange_refuses_and_names_what_is_left(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        house.followers[0].session = None
        turn(house, SwitchLevel.FLATTEN)
        assert [each.why for each in still_open(house.ledger.db)] == ["no exit was asked for"]
        await flattening(house).close_what_is_open()
        await flattening(house).close_what_is_open()  # asking twice makes one exit
        await flat(house)
        assert len(house.orders()) == 2
        assert still_open(house.ledger.db) == []
