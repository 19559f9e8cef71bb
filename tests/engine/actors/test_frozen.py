"""With a ledger that may be old, an account sends nothing of any kind until a person confirms the
shown plan.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import BEGINNING, BTC, World, by_owner, world
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.actors.follower import Follower
from engine.decisions.reconciliation import Changed, words_of
from engine.domain.account import ClosedPositions
from engine.domain.alert import AlertCode
from engine.domain.amounts import Price, Quantity
from engine.domain.identifiers import AccountId
from engine.domain.order import OrderSide, OrderType, ProtectionOrder
from engine.domain.signal import Action, PositionSide
from engine.ledger import Ledger
from engine.ledger.alerts import newest_alerts
from engine.ledger.freeze import EVERYBODY, freeze, read_freezes, unfreeze
from engine.ledger.query import fetch_all
from engine.ports.exchange import TooManyRequests

LONG = PositionSide.LONG


async def stop(house: World, account: str = EVERYBODY, name: str = "") -> None:
    now = house.shared.clock.now()
    await house.ledger.write(lambda db: freeze(db, AccountId(account), name, "it is old", now))


async def confirm(house: World) -> None:
    """Do what the command does: plan, and write the plans down."""
    freezes = read_freezes(house.ledger.db)
    plans = [(each, await each.plan_corrections()) for each in house.followers]
    now = house.shared.clock.now()

    def write(db: Any) -> None:
        for follower, plan in plans:
            follower.old_ledger.write(plan, "ada", now, db)
        unfreeze(db, freezes, [], "ada", now)

    await house.ledger.write(write)
    for each in house.followers:
        each.go_on()


async def by_hand(follower: Follower, side: OrderSide, quantity: str) -> None:
    """Trade as the account's owner, beside the engine."""
    await by_owner((await follower.account.connected())._open, side, quantity)


async def told_of_none(*asked: Any, **named: Any) -> ClosedPositions:
    return ClosedPositions((), complete=True)


async def held(house: World, **said: Any) -> None:
    assert set(await house.outcome(await house.send(Action.OPEN, side=LONG, **said))) == {"filled"}


async def test_nothing_leaves_not_even_a_close_a_stop_or_a_cancel_and_afterwards_everything_does(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=2) as house:
        await held(house)
        resting = await house.send(
            Action.ADD, side=LONG, order_type=OrderType.LIMIT, price=Price(Decimal(60_000))
        )
        assert set(await house.outcome(resting, unlike=(None, "unknown"))) == {"placed"}
        before = house.orders()
        await stop(house)
        protect = await house.send(Action.SET_PROTECTION, stop_loss=Price(Decimal(60_000)))
        closed = await house.send(Action.CLOSE)
        await trio.sleep(120)
        assert house.orders() == before
        assert {*house.codes(protect), *house.codes(closed)} == {None}
        assert set(house.codes(resting)) == {"placed"}
        position = await house.position()
        assert position is not None
        assert position.stop_loss is None
        assert "it is old" in house.followers[0].in_lane(house_copy(house, closed)).waits_for
        opened = await house.send(Action.OPEN, side=LONG)
        await confirm(house)
        house.account_tasks.wake()
        assert set(await house.outcome(opened)) == {"killed"}  # it came while nothing was sent
        assert set(await house.outcome(closed)) == {"filled"}
        assert await house.position() is None


def house_copy(house: World, signal: str) -> Any:
    rows = house.ledger.db.execute(
        "SELECT copy.id FROM copy JOIN signal ON number = signal_number WHERE signal.id = ?",
        (signal,),
    )
    return rows.fetchall()[0][0]


async def test_one_frozen_account_keeps_nobody_elses_order(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=2) as house:
        await held(house)
        await stop(house, "a0", "f0")
        closed = await house.send(Action.CLOSE)
        await trio.sleep(60)
        assert house.codes(closed) == [None, "filled"]


async def test_orders_of_ours_in_an_accounts_history_that_the_ledger_lacks_stop_that_account_before_its_first_order(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await held(house)
        sent = house.orders()
    async with world(tmp_path, followers=2) as house:  # another ledger, which knows nothing of that
        closed = await house.send(Action.CLOSE)
        await trio.sleep(60)
        assert [
            (each.name, "1 order of ours" in each.cause) for each in read_freezes(house.ledger.db)
        ] == [("f0", True)]
        opened = await house.send(Action.OPEN, side=LONG)
        await trio.sleep(60)
        assert house.codes(opened) == [None, "filled"]
        assert len(house.orders()) == len(sent) + 1
        kinds = [words_of(each)["kind"] for each in await house.followers[0].plan_corrections()]
        assert kinds == ["own", "lost", "sends"]
        await confirm(house)
        await trio.sleep(60)
        assert read_freezes(house.ledger.db) == []
        assert set(house.codes(closed)) == {"skipped.nothing_to_close"}
        await house.followers[0].old_ledger._look()  # what was accepted is not told again
        assert read_freezes(house.ledger.db) == []


async def test_the_plan_of_a_frozen_account_takes_no_position_of_another_id_for_ours(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await held(house)
        await house.followers[0].reader.read_account()
        share = Decimal(str(house.holdings()[0][1]))
        await stop(house)
        await by_hand(house.followers[0], OrderSide.SELL, str(share))
        await by_hand(house.followers[0], OrderSide.BUY, "0.01")
        session = await house.followers[0].account.connected()
        session.closed_positions = told_of_none  # type: ignore[method-assign]  # nor does a history that tells nothing make it ours
        await trio.sleep(1_000)  # readings correct nothing meanwhile
        assert house.holdings() == [("a0", str(share), 0)]
        assert [words_of(each)["kind"] for each in await house.followers[0].plan_corrections()] == [
            "share",
            "own",
        ]
        closed = await house.send(Action.CLOSE)
        await confirm(house)
        house.account_tasks.wake()
        assert await house.outcome(closed) == ["skipped.nothing_to_close"]
        position = await house.position()
        assert position is not None
        assert position.quantity == Decimal("0.01")


async def test_a_plan_is_written_only_where_the_ledger_is_as_it_was_when_the_plan_was_made(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await held(house)
        await trio.sleep(60)
        await stop(house)
        await by_hand(house.followers[0], OrderSide.SELL, str(house.holdings()[0][1]))
        plan = await house.followers[0].plan_corrections()
        now = house.shared.clock.now()
        moved = tuple(
            replace(each, share_from=Quantity(Decimal(7))) if hasattr(each, "share_from") else each
            for each in plan
        )
        with pytest.raises(Changed):
            await house.ledger.write(
                lambda db: house.followers[0].old_ledger.write(moved, "ada", now, db)
            )


async def test_a_share_without_an_id_is_not_in_a_position_that_was_opened_after_its_last_entry(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await held(house)
        follower = house.followers[0]
        await follower.reader.read_account()
        share = str(house.holdings()[0][1])
        await trio.sleep(5)
        session = await follower.account.connected()
        real = session.fetch_account
        session.fetch_account = trio.sleep_forever  # type: ignore[method-assign,assignment]  # nobody reads meanwhile
        await trio.sleep(60)
        await by_hand(follower, OrderSide.SELL, share)
        await by_hand(follower, OrderSide.BUY, share)
        house.ledger.db.execute("UPDATE holding SET position_id = ''")
        session.fetch_account = real  # type: ignore[method-assign]
        await follower.reader.read_account()
        assert house.holdings() == [("a0", "0", 0)]
        assert follower.account.report is not None
        assert follower.account.report.positions[0].opened_at is not None
        assert house.shared.clock.now() - follower.account.report.positions[
            0
        ].opened_at < timedelta(seconds=30)


async def test_each_time_it_is_told_within_the_same_hour_too(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        for _ in range(2):
            await stop(house)
            await stop(house)  # it is frozen already
            await trio.sleep(60)
            await confirm(house)
            assert read_freezes(house.ledger.db) == []
        told = newest_alerts(house.ledger.db, house.shared.clock.now() - timedelta(hours=1), 10)
        assert [each.code for each in told] == [AlertCode.STANDS_STILL] * 2


async def old_one(house: World, file: Path) -> Ledger:
    """Copy the current ledger: the copy lacks what is done later, and no mark says so."""
    house.ledger.db.execute("VACUUM INTO ?", (str(file),))
    return Ledger.open(file, inline=True)


async def later(ledger: Ledger, by: timedelta) -> None:
    """Move the history of a ledger into the past, so that a new world begins after it."""
    us = by // timedelta(microseconds=1)
    await ledger.write(
        lambda db: db.execute(
            "UPDATE attempt SET claimed_us = claimed_us + ?1, ended_us = ended_us + ?1", (us,)
        )
    )


def alerts(house: World) -> list[AlertCode]:
    return [
        each.code
        for each in newest_alerts(
            house.ledger.db, house.shared.clock.now() - timedelta(hours=1), 10
        )
    ]


async def test_an_order_that_left_at_a_try_of_later_than_the_ledger_is_lacking_in_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.followers[0].account.history.looked.wait()
        line: Any = (await house.followers[0].account.connected())._open
        place_order, refused = line.place_order, trio.Event()

        async def refuse(order: Any) -> Any:
            line.place_order = place_order
            refused.set()
            raise TooManyRequests("the exchange answered 429")

        line.place_order = refuse
        opened = await house.send(Action.OPEN, side=LONG)
        await refused.wait()
        await wait_all_tasks_blocked()
        assert fetch_all(house.ledger.db, "SELECT state FROM attempt") == [("new",)]
        old = await old_one(house, tmp_path / "old")
        assert await house.outcome(opened) == ["filled"]  # by a second try, with the same id
        sent = house.orders()
    async with world(tmp_path, followers=1, ledger=old) as house:
        await trio.sleep(60)
        assert [each.name for each in read_freezes(house.ledger.db)] == ["f0"]
        assert house.orders() == sent


async def test_a_close_of_ours_that_the_ledger_lacks_is_told_as_ours_and_the_next_open_is_followed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await held(house)
        await trio.sleep(60)
        old = await old_one(house, tmp_path / "old")
        assert set(await house.outcome(await house.send(Action.CLOSE))) == {"filled"}
    async with world(tmp_path, followers=1, ledger=old) as house:
        house.sent = 1
        await trio.sleep(60)
        assert [each.name for each in read_freezes(house.ledger.db)] == ["f0"]
        told = {
            (words := words_of(each))["kind"]: words
            for each in await house.followers[0].plan_corrections()
        }
        assert set(told) == {"share", "lost"}
        assert (
            told["share"]["differs"]
            == "BTCUSDT: an order of this engine that this ledger lacks closed the position"
        )
        assert "no entry" not in told["share"]["step"]
        await confirm(house)
        await trio.sleep(60)
        assert AlertCode.CLOSED_OUTSIDE not in alerts(house)
        assert fetch_all(house.ledger.db, "SELECT cause FROM fill WHERE NOT is_entry") == [
            ("signal",)
        ]
        assert set(await house.outcome(await house.send(Action.OPEN, side=LONG))) == {"filled"}


async def test_no_reading_changes_a_share_before_the_history_of_an_old_ledger_was_asked(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await held(house)
        await trio.sleep(60)
        old = await old_one(house, tmp_path / "old")
        before = house.holdings()
        assert set(await house.outcome(await house.send(Action.CLOSE))) == {"filled"}
    await later(old, -timedelta(hours=1))
    async with world(tmp_path, followers=1, ledger=old) as house:
        await trio.sleep(60)
        assert [each.name for each in read_freezes(house.ledger.db)] == ["f0"]
        assert house.holdings() == before
        assert fetch_all(house.ledger.db, "SELECT 1 FROM event WHERE kind = 'correction'") == []
        assert AlertCode.CLOSED_OUTSIDE not in alerts(house)
        assert [words_of(each)["kind"] for each in await house.followers[0].plan_corrections()] == [
            "share",
            "lost",
        ]
        await confirm(house)
        assert house.holdings() == []


async def test_where_the_history_tells_nothing_new_the_first_reading_corrects_before_anything_is_planned(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await held(house)
        await trio.sleep(60)
        await by_hand(house.followers[0], OrderSide.SELL, str(house.holdings()[0][1]))
        old = await old_one(house, tmp_path / "old")
        assert house.holdings() != []
    await later(old, -timedelta(hours=1))
    async with world(tmp_path, followers=1, ledger=old) as house:
        house.sent = 1
        opened = await house.send(Action.OPEN, side=LONG)
        assert await house.outcome(opened) == ["skipped.detached"]
        assert house.shared.clock.now() - BEGINNING < timedelta(seconds=8)
        assert house.followers[0].account.read_at == BEGINNING


@pytest.mark.parametrize("fails", [True, False])
async def test_a_history_that_does_not_answer_keeps_corrections_back_no_longer_than_orders(
    fails: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await held(house)
        await trio.sleep(60)
        await by_hand(house.followers[0], OrderSide.SELL, str(house.holdings()[0][1]))
        before = house.holdings()
        old = await old_one(house, tmp_path / "old")
    await later(old, -timedelta(hours=1))
    async with world(tmp_path, followers=1, ledger=old) as house:

        async def asked() -> Any:
            if fails:
                raise OSError("no answer")
            await trio.sleep_forever()

        house.followers[0].old_ledger.lost_orders = asked  # type: ignore[method-assign]
        house.sent = 1
        opened = await house.send(Action.OPEN, side=LONG)
        await trio.sleep(5)
        assert (house.holdings() == before) is not fails
        await trio.sleep(5)
        assert house.codes(opened) == ["skipped.detached"]
        assert [row[1] for row in house.holdings()] == ["0"]


async def test_no_stop_is_set_before_the_history_of_an_old_ledger_was_asked(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await held(house, stop_loss=Price(Decimal(60_000)))
        await trio.sleep(60)
        old = await old_one(house, tmp_path / "old")
        assert set(await house.outcome(await house.send(Action.ADD, side=LONG))) == {"filled"}
        line: Any = (await house.followers[0].account.connected())._open
        await line.set_protection(ProtectionOrder(BTC, LONG))
    await later(old, -timedelta(hours=1))
    async with world(tmp_path, followers=1, ledger=old) as house:
        await trio.sleep(60)
        assert [each.name for each in read_freezes(house.ledger.db)] == ["f0"]
        position = await house.position()
        assert position is not None
        assert position.stop_loss is None
