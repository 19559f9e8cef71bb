"""The sums of a year count what every page counts: reconciled trades, and no others."""

from datetime import timedelta
from pathlib import Path

import trio
from trio.testing import MockClock

from engine.domain.booking import BookState
from engine.domain.identifiers import AccountId
from engine.domain.order import OrderSide
from engine.ledger.history import ClosedTrade, Kind, bounds_of, read_history
from engine.ledger.results import account_days
from engine.services.years import _Sum
from tests.engine.actors.engine_world import World, world
from tests.engine.actors.test_books_are_completed import reluctant
from tests.engine.actors.test_books_hold import by_hand, opened, price_is, trades

A0 = AccountId("a0")


def agree(house: World) -> tuple[int, int]:
    """Return the reconciled and the other trades, which both ways of counting agree on."""
    db, summed = house.ledger.db, _Sum()
    between = bounds_of(db, Kind.TRADES, A0, None, None)
    for _, row in read_history(db, Kind.TRADES, A0, between, 10, newest_first=False):
        assert isinstance(row, ClosedTrade)
        summed.count(row)
    (day,) = account_days(db, A0)
    counted = (day.trades, day.unreconciled, day.result, day.fees)
    assert counted == (summed.trades, summed.not_reconciled, summed.result, summed.fees)
    return day.trades, day.unreconciled


async def test_a_trade_of_which_only_the_cause_is_unknown_is_in_no_sum(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await trio.sleep(1)
        await opened(house)
        reluctant(house).positions = False
        price_is(house, "66000")
        await house.next_commit()
        await by_hand(house, OrderSide.SELL, "0.003")
        await house.followers[0].reader.read_account()
        await trio.sleep(timedelta(minutes=2).total_seconds())
        (trade,) = await trades(house)
        assert trade.state is BookState.OPEN
        assert trade.result is not None, "price and fee are known"
        assert agree(house) == (0, 1)
