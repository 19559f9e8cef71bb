"""Results, fees, funding and visible rows equal the change of the wallet, to 0.01 for each trade,
whatever happened without us.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import trio
from engine_world import World, world
from test_books_are_completed import reluctant, stopped_out
from test_books_hold import by_hand, closed, opened, price_is, trades
from trio.testing import MockClock

from engine.actors.bookkeeping import Bookkeeping
from engine.decisions.wallet import change_told
from engine.domain.amounts import Price
from engine.domain.identifiers import AccountId
from engine.domain.order import OrderSide
from engine.domain.signal import Action, PositionSide
from engine.ledger import Database
from engine.ledger.wallet import WalletRow, read_wallet, sums, wallet_rows

A0 = AccountId("a0")
D = Decimal


def cash(house: World, more: str = "0") -> Decimal:
    """Return the first account's wallet at the exchange; ``more`` is a deposit (below 0: a
    withdrawal).
    """
    session: Any = house.followers[0].account.session
    connection = session._open
    account = connection._venue.accounts[connection._key]
    account.wallet += D(more)
    return D(account.wallet)


async def settled(house: World) -> list[WalletRow]:
    """Wait for readings until both sides were compared; the sums equal the change of the wallet."""
    for _ in range(30):
        await trio.sleep(20)
        await house.followers[0].reader.read_account()
        await trades(house)
    assert abs(cash(house) - 10_000 - change_told(sums(house.ledger.db, A0))) < D("0.01")
    return wallet_rows(house.ledger.db, A0)


async def test_stop_hand_part_add_and_signal_together_are_the_change_of_the_wallet(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=Price(D(64000)))
        await stopped_out(house)
        await trio.sleep(20)
        assert await house.outcome(await house.send(Action.CLOSE)) == ["skipped.nothing_to_close"]
        await opened(house)
        price_is(house, "65700")
        await by_hand(house, OrderSide.BUY, "0.007")
        await house.followers[0].reader.read_account()
        await trio.sleep(20)
        price_is(house, "66100")
        await by_hand(house, OrderSide.SELL, "0.008")  # his part, and a third of ours
        await house.followers[0].reader.read_account()
        await trio.sleep(20)
        await closed(house)
        assert await settled(house) == []
        assert [each.state.value for each in await trades(house)] == ["settled"] * 3


async def test_a_liquidation_takes_what_the_exchange_says(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        price_is(house, "50000")
        await house.followers[0].reader.read_account()
        assert await settled(house) == []
        (trade,) = await trades(house)
        assert (trade.cause and trade.cause.value, trade.state.value) == ("liquidation", "settled")


async def test_money_paid_in_is_a_visible_row_once_it_has_stayed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        await house.followers[0].reader.read_account()
        assert await settled(house) == []
        cash(house, "250")
        (row,) = await settled(house)
        assert (row.kind.value, row.amount, row.fill) == ("unexplained", D(250), None)
        await closed(house)
        assert len(await settled(house)) == 1
        cash(house, "-250")
        assert await settled(house) == []  # what came and went within a day explains itself


async def test_a_close_that_nobody_told_is_a_row_tied_to_its_trade_until_it_is_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=Price(D(64000)))
        line = reluctant(house)
        line.orders = line.positions = False
        await stopped_out(house)
        await trio.sleep(1_000)
        real = house.followers[0].account.session
        assert real is not None
        real._connection = line._real  # the exchange's own record, for the judge
        before = cash(house)
        real._connection = line  # type: ignore[assignment]
        for _ in range(30):
            await trio.sleep(20)
            await house.followers[0].reader.read_account()
            await trades(house)
        (row,) = wallet_rows(house.ledger.db, A0)
        (trade,) = await trades(house)
        assert trade.state.value == "unexplained"
        assert row.fill is not None
        assert abs(before - 10_000 - change_told(sums(house.ledger.db, A0))) < D("0.01")
        line.orders = line.positions = True
        await trio.sleep(7_300)
        (trade,) = await trades(house)
        assert trade.state.value == "settled"
        real._connection = line._real
        assert await settled(house) == []


async def test_a_position_that_was_the_owners_alone_and_never_seen_is_told_by_the_exchange(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1, paper={"fee_bps": "0"}) as house:
        await house.followers[0].account.wait_read()
        await trio.sleep(2)
        await by_hand(house, OrderSide.BUY, "0.01")
        price_is(house, "65500")
        await trio.sleep(2)
        await by_hand(house, OrderSide.SELL, "0.01")
        (row,) = await settled(house)
        assert (row.kind.value, row.amount) == ("owner", D(5))


async def test_three_accounts_agree_after_a_busy_time(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=3) as house, trio.open_nursery() as nursery:
        nursery.start_soon(Bookkeeping(house.shared, house.account_tasks).run)
        for number in range(6):
            side = PositionSide.LONG if number % 2 else PositionSide.SHORT
            assert await house.outcome(await house.send(Action.OPEN, side=side)) == ["filled"] * 3
            price_is(house, str(65_000 + 137 * number))
            await trio.sleep(1)
            assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"] * 3
            await trio.sleep(3)
        assert await settled(house) == []
        nursery.cancel_scope.cancel()


async def as_an_old_place(house: World) -> None:
    """Leave what a migration leaves: our share with an entry that no average confirms, its episode
    not folded, and no wallet.
    """

    def forget(db: Database) -> None:
        for table in ("wallet", "wallet_sum", "wallet_row"):
            db.execute(f"DELETE FROM {table}")
        for table in ("fill", "book"):
            db.execute(f"DELETE FROM {table} WHERE strategy_id = ''")
        db.execute("UPDATE fill SET folded = 0, state = 'old'")
        db.execute("UPDATE book SET cost = NULL")

    await house.ledger.write(forget)
    house.followers[0].books._read_at = None


async def unexplained_now(house: World) -> list[WalletRow]:
    """Wait for readings and folding; return what nothing explains."""
    for _ in range(30):
        await house.followers[0].reader.read_account()
        await trades(house)
        await trio.sleep(20)
    return wallet_rows(house.ledger.db, A0)


async def test_a_wallet_that_begins_with_an_old_position_and_the_owners_beside_it_begins_at_the_books_prices(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        price_is(house, "65700")
        await by_hand(house, OrderSide.BUY, "0.007")
        await as_an_old_place(house)
        assert await unexplained_now(house) == []
        assert read_wallet(house.ledger.db, A0) is not None
        await closed(house)
        assert await unexplained_now(house) == []


async def test_what_closed_before_the_wallet_began_is_not_counted_in_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        await as_an_old_place(house)
        price_is(house, "66000")
        follower = house.followers[0]
        taken, follower.books.account_was_read = (
            follower.books.account_was_read,
            _nothing_is_compared,
        )  # type: ignore[method-assign]
        await closed(house)
        await trades(house)
        follower.books.account_was_read = taken  # type: ignore[method-assign]
        assert await unexplained_now(house) == []


async def _nothing_is_compared(*_: object) -> None:
    return
