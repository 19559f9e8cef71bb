"""A resting entry takes its money once: from the free balance until a reading shows that the
exchange has reserved it, and not again after that.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from engine_world import World, world
from trio.testing import MockClock

from engine.actors.account import Account
from engine.decisions.risk import Carried, lacking_balance
from engine.decisions.sizing import TAKER_FEE_BPS
from engine.domain.account import UnreadableRow
from engine.domain.amounts import Money, Price
from engine.domain.holding import PendingEntry
from engine.domain.signal import Action, OrderType, PositionSide

D = Decimal


async def rest(house: World) -> Account:
    placed = await house.send(
        Action.OPEN, side=PositionSide.LONG, order_type=OrderType.LIMIT, price=Price(D(60000))
    )
    assert await house.outcome(placed) == ["placed"]
    account = house.followers[0].account
    await house.followers[0].reader.try_to_read()
    return account


def pending(account: Account) -> PendingEntry:
    view = account.view()
    assert view is not None
    (entry,) = view.pending
    return entry


def fits(account: Account, margin: int) -> bool:
    """Return whether an entry with this margin is covered, by the newest reading."""
    view, entry = account.view(), Carried(Money(D(0)), Money(D(margin)))
    assert view is not None
    return lacking_balance(entry, view.report, view.pending, TAKER_FEE_BPS) is None


async def test_a_resting_entry_takes_its_money_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        account = house.followers[0].account
        placed = await house.send(
            Action.OPEN, side=PositionSide.LONG, order_type=OrderType.LIMIT, price=Price(D(60000))
        )
        assert await house.outcome(placed) == ["placed"]
        assert account.report is not None
        assert account.report.balance.available == 10_000  # read before
        assert not pending(account).is_reserved
        assert fits(account, 9_930)
        assert not fits(account, 9_960)
        await house.followers[0].reader.try_to_read()
        assert account.report.balance.available < 9_960
        assert pending(account).is_reserved
        assert fits(account, 9_930)
        assert not fits(account, 9_960)


def began_before(account: Account) -> None:
    assert account.read_began is not None
    began = account.read_began
    account.read_began = replace(began, at=began.at - timedelta(seconds=60))


def lists_nothing(account: Account) -> None:
    assert account.report is not None
    account.report = replace(account.report, open_orders=())


def cannot_read_the_order(account: Account) -> None:
    assert account.report is not None
    (order,) = account.report.open_orders
    row = UnreadableRow("order", order.exchange_order_id, order.symbol, "quantity: found none")
    account.report = replace(account.report, open_orders=(), unreadable=(row,))


def lists_another(account: Account) -> None:
    assert account.report is not None
    (order,) = account.report.open_orders
    account.report = replace(
        account.report, open_orders=(replace(order, exchange_order_id="another"),)
    )


def does_not_say(account: Account) -> None:
    assert account.session is not None
    adapter = account.session._adapter
    adapter.traits = replace(adapter.traits, reserves_for_resting=False)  # type: ignore[misc]


def shows_late(account: Account) -> None:
    assert account.session is not None
    adapter = account.session._adapter
    adapter.traits = replace(adapter.traits, visible_within_s=60.0)  # type: ignore[misc]


@pytest.mark.parametrize(
    "doubt",
    [
        began_before,
        lists_nothing,
        cannot_read_the_order,
        lists_another,
        does_not_say,
        shows_late,
    ],
)
async def test_in_doubt_a_resting_entry_is_charged(
    tmp_path: Path, autojump_clock: MockClock, doubt: Callable[[Account], None]
) -> None:
    async with world(tmp_path, followers=1) as house:
        account = await rest(house)
        assert pending(account).is_reserved
        doubt(account)
        assert not pending(account).is_reserved


async def test_what_filled_of_a_resting_entry_is_known_to_the_planner(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        account = await rest(house)
        assert pending(account).filled == 0
        await house.ledger.write(
            lambda db: db.execute("UPDATE attempt SET state = 'partially_filled', filled = '0.001'")
        )
        assert pending(account).filled == D("0.001")
