"""Every change of a position is in the books: what the exchange or its owner did without us is
never averaged into the next trade.
"""

from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import trio
from engine_world import BTC, World, by_owner, world
from trio.testing import MockClock

from engine.actors.bookkeeping import Bookkeeping
from engine.actors.shared import CALM_AFTER_S
from engine.domain.amounts import Price
from engine.domain.identifiers import AccountId, Symbol
from engine.domain.order import OrderReport, OrderSide
from engine.domain.signal import Action, PositionSide
from engine.ledger.books import differences
from engine.ledger.folding import fold_episodes, unfolded_episodes
from engine.ledger.query import fetch_all
from engine.ledger.results import TradeRow, account_trades

LONG = PositionSide.LONG
D = Decimal


def price_is(house: World, price: str) -> None:
    """Set the contract's price from now on."""
    session = house.followers[0].account.session
    assert session is not None
    prices: Any = session._open._venue.prices  # type: ignore[attr-defined]  # the paper exchange's own
    prices._fixed = {BTC: Price(D(price))}
    prices.price.cache_clear()
    prices.block.cache_clear()


async def trades(house: World) -> list[TradeRow]:
    """Return the closed trades of the first account, oldest first."""
    assert differences(house.ledger.db) == []
    await house.ledger.write(lambda db: fold_episodes(db, unfolded_episodes(db, 100)))
    return account_trades(house.ledger.db, AccountId("a0"), 100)[::-1]


async def opened(house: World, **said: Any) -> None:
    assert await house.outcome(await house.send(Action.OPEN, side=LONG, **said)) == ["filled"]
    await trio.sleep(1)


async def closed(house: World) -> None:
    assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]


async def by_hand(house: World, side: OrderSide, quantity: str) -> OrderReport:
    """Buy or sell at the exchange as the first account's owner."""
    session = await house.followers[0].account.connected()
    return await by_owner(session._open, side, quantity)


async def test_a_trade_is_written_once_no_order_is_in_flight(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        await closed(house)
        for waits, written in ((True, 0), (False, 1)):
            with (
                house.shared.sending() if waits else nullcontext(),
                trio.move_on_after(CALM_AFTER_S / 2),
            ):
                await Bookkeeping(house.shared, house.account_tasks).run()
            assert len(account_trades(house.ledger.db, AccountId("a0"), 9)) == written


async def test_a_stop_out_is_a_trade_of_its_own_and_the_next_trade_begins_clean(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=Price(D(64000)))
        price_is(house, "63000")
        await house.followers[0].reader.read_account()
        price_is(house, "65000")
        await trio.sleep(10)
        assert await house.outcome(await house.send(Action.CLOSE)) == ["skipped.nothing_to_close"]
        await opened(house)
        await closed(house)
        first, second = await trades(house)
        assert (first.quantity, first.entry_price, first.exit_price) == ("0.003", "65000", "63000")
        assert (first.cause and first.cause.value, first.state.value) == ("stop_loss", "settled")
        assert (second.entry_price, second.exit_price, second.cause and second.cause.value) == (
            "65000",
            "65000",
            "signal",
        )
        assert second.result is not None
        assert second.result < 0  # the fees of both ends, and nothing of the trade before


async def test_what_the_owner_takes_away_is_booked_as_it_leaves_and_the_rest_with_our_close(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        await by_hand(house, OrderSide.SELL, "0.001")
        await house.followers[0].reader.read_account()
        assert house.holdings()[0][1] == "0.002"
        await closed(house)
        await trio.sleep(10)
        told = await trades(house)
        assert [each.quantity for each in told] == ["0.001", "0.002"]
        assert [each.cause and each.cause.value for each in told] == ["owner", "signal"]
        assert [each.state.value for each in told] == ["settled", "settled"]
        assert [each.entry_price for each in told] == ["65000", "65000"]


async def test_an_exit_proven_after_a_reading_saw_its_work_is_the_signals_own_trade(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        session = house.followers[0].account.session
        assert session is not None
        real = session._connection
        session._connection = Lost(real)  # type: ignore[assignment]
        signal = await house.send(Action.CLOSE)
        assert await house.outcome(signal, unlike=(None, "unknown")) == ["not_confirmed"]
        session._connection = real  # its owner's readings come back; the resolver has given up
        await house.followers[0].reader.try_to_read()
        assert house.holdings() == [] or house.holdings()[0][1] == "0"
        house.followers[0].account.look_at_all()
        assert await house.outcome(signal, unlike=(None, "unknown", "not_confirmed")) == ["filled"]
        (trade,) = await trades(house)
        assert (trade.exit_price, trade.cause and trade.cause.value, trade.state.value) == (
            "65000",
            "signal",
            "settled",
        )


class Lost:
    """A connection that executes orders, answers none, and shows neither orders nor the account."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.shows_account = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def place_order(self, order: Any) -> Any:
        await self._real.place_order(order)
        await trio.sleep_forever()

    async def find_orders(self, symbol: Symbol, since: Any) -> Any:
        history = await self._real.find_orders(symbol, since)
        return type(history)((), history.complete)

    async def fetch_account(self) -> Any:
        if self.shows_account:
            return await self._real.fetch_account()
        raise TimeoutError("the account cannot be read")

    async def closed_positions(self, since: Any, ids: Any = ()) -> Any:
        raise TimeoutError("closed positions cannot be read")


async def test_trades_fold_by_themselves_and_a_second_look_changes_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=2) as house, trio.open_nursery() as nursery:
        nursery.start_soon(Bookkeeping(house.shared, house.account_tasks).run)
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"] * 2
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"] * 2
        await trio.sleep(10)
        days = fetch_all(
            house.ledger.db, "SELECT trades, won, result, fees, unreconciled FROM strategy_day"
        )
        await house.ledger.write(lambda db: db.execute("UPDATE fill SET folded = 0"))
        await trio.sleep(10)
        assert (
            fetch_all(
                house.ledger.db, "SELECT trades, won, result, fees, unreconciled FROM strategy_day"
            )
            == days
        )
        assert days[0][0] == 2
        nursery.cancel_scope.cancel()


async def test_an_exit_proven_after_a_new_entry_takes_nothing_of_what_that_entry_opened(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        session = house.followers[0].account.session
        assert session is not None
        real = session._connection
        session._connection = lost = Lost(real)  # type: ignore[assignment]
        signal = await house.send(Action.CLOSE)
        assert await house.outcome(signal, unlike=(None, "unknown")) == ["not_confirmed"]
        lost.shows_account = True
        await house.followers[0].reader.try_to_read()
        await house.send(Action.CLOSE)
        session._connection = Half(real)  # type: ignore[assignment]  # orders go through, and the lost one is still not shown
        await opened(house)
        session._connection = real
        house.followers[0].account.look_at_all()
        assert await house.outcome(signal, unlike=(None, "unknown", "not_confirmed")) == ["filled"]
        assert house.holdings() == [("a0", "0.003", 0)]
        (trade,) = await trades(house)
        assert (trade.exit_price, trade.cause and trade.cause.value) == ("65000", "signal")


class Half:
    """A connection that shows no closing order."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def find_orders(self, symbol: Symbol, since: Any) -> Any:
        history = await self._real.find_orders(symbol, since)
        return type(history)(
            tuple(each for each in history.orders if not each.reduce_only), history.complete
        )
