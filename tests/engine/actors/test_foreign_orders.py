"""Orders with our mark that the ledger lacks stop entries until a person accepts them, through
readings and restarts.
"""

from decimal import Decimal
from pathlib import Path

import trio
from engine_world import BTC, World, world
from trio.testing import MockClock

from engine.actors.account import Account, Opening, read_openings
from engine.decisions.reconciliation import ForeignOrders
from engine.domain.amounts import Price, Quantity, Ratio
from engine.domain.identifiers import ClientOrderId
from engine.domain.order import OrderIntent, OrderReport, OrderSide
from engine.domain.signal import Action, PositionSide
from engine.ledger.alerts import newest_alerts
from rexalgo import OrderType

LONG = PositionSide.LONG


async def resting(house: World, name: str) -> OrderReport:
    """Place a resting order with our mark outside the engine, as another copy of its ledger would
    have.
    """
    await house.followers[
        0
    ].account.history.looked.wait()  # what it finds at the start freezes the account
    session = await house.followers[0].account.connected()
    order = OrderIntent(
        ClientOrderId(f"rx{name}"),
        BTC,
        OrderSide.BUY,
        LONG,
        Quantity(Decimal("0.001")),
        OrderType.LIMIT,
        Ratio(Decimal(5)),
        Price(Decimal("30000")),
    )
    return await session._open.place_order(order)


async def open_denied(house: World) -> bool:
    signal = await house.send(Action.OPEN, side=LONG)
    return await house.outcome(signal) == ["denied.account_not_ready"]


async def test_a_timeout_or_an_order_that_rests_no_more_clears_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        follower = house.followers[0]
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"]
        order = await resting(house, "abc")
        await follower.reader.read_account()
        assert await open_denied(house)
        session = await follower.account.connected()
        await session._open.cancel_order(BTC, order.exchange_order_id)
        follower.account.could_not_be_read(trio.TooSlowError())
        await follower.reader.read_account()
        assert follower.account.report is not None
        assert (follower.account.problem, follower.account.trouble[:20]) == (
            "",
            "1 orders carry our m",
        )
        assert await open_denied(house)
        again = Account(
            follower.account.id, "f0", "paper", "paper", house.shared, follower.account._new_session
        )
        assert again.foreign == {order.exchange_order_id}, "a restart keeps it"
        opening = read_openings(house.ledger.db, [again.id])[again.id]
        assert opening == Opening(again.foreign, has_open_attempts=False)
        told = newest_alerts(house.ledger.db, house.shared.clock.now().replace(year=2000), 50)
        assert [each.code.value for each in told] == ["foreign_orders"]
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"], (
            "exits are never stopped"
        )


async def test_a_person_sees_it_in_the_plan_and_accepts_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        follower = house.followers[0]
        first = await resting(house, "abc")
        await follower.reader.read_account()
        session = await follower.account.connected()
        await session._open.cancel_order(BTC, first.exchange_order_id)
        second = await resting(house, "def")
        both = tuple(sorted((first.exchange_order_id, second.exchange_order_id)))
        assert await follower.plan_corrections() == (ForeignOrders(both),)
        assert await follower.apply_corrections("op") == (ForeignOrders(both),)
        assert await follower.plan_corrections() == ()
        assert (follower.account.foreign, follower.account.trouble) == (frozenset(), "")
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"]


async def test_what_is_under_way_is_named_as_not_compared(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1, paper={"lose_answer_every": 1}) as house:
        follower = house.followers[0]
        assert follower.account.not_compared() == frozenset()
        opened = await house.send(Action.OPEN, side=LONG)
        assert await house.outcome(opened) == ["unknown"]
        assert follower.account.not_compared() == {BTC}
        await house.outcome(opened, unlike=("unknown",))
        await trio.sleep(60)
        await follower.reader.read_account()
        assert follower.account.not_compared() == frozenset()
