"""Every action of a master, through the real ledger, lanes and paper exchange under a virtual
clock.
"""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import BEGINNING, BTC, World, world
from trio.testing import MockClock

from engine.actors.exchange_session import ExchangeSession
from engine.decisions.order_lifecycle import NoProof
from engine.domain.account import AccountReport, UnreadableRow
from engine.domain.alert import AlertCode
from engine.domain.amounts import Price, Quantity, Ratio
from engine.domain.holding import Switch, SwitchScope
from engine.domain.identifiers import ClientOrderId
from engine.domain.order import OrderIntent, OrderSide, ProtectionOrder
from engine.domain.signal import Action, OrderType, PositionSide, SignalSize, SizeMode
from engine.domain.subscription import Mode
from engine.ledger.alerts import newest_alerts
from engine.ledger.query import fetch_all
from engine.ports.exchange import OutcomeUnknown

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


def part(fraction: str) -> SignalSize:
    return SignalSize(SizeMode.FRACTION, fraction=Ratio(Decimal(fraction)))


def price(text: str) -> Price:
    return Price(Decimal(text))


async def opened(house: World, **said: Any) -> None:
    assert set(await house.outcome(await house.send(Action.OPEN, side=LONG, **said))) == {"filled"}


def shares(house: World) -> list[object]:
    return [share for _, share, _ in house.holdings()]


async def test_an_add_grows_what_is_held_and_a_close_takes_all_of_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path) as house:
        await opened(house)
        assert await house.outcome(await house.send(Action.ADD, side=LONG)) == ["filled"] * 3
        assert shares(house) == ["0.006"] * 3
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"] * 3
        assert house.holdings() == []
        assert await house.position() is None


async def test_an_add_where_nothing_is_held_is_skipped_because_the_account_joins_with_the_next_open(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path) as house:
        assert (
            await house.outcome(await house.send(Action.ADD, side=LONG)) == ["skipped.not_open"] * 3
        )
        await opened(house)
        assert (
            await house.outcome(await house.send(Action.ADD, side=SHORT))
            == ["skipped.opposite_held"] * 3
        )
        assert len(house.orders()) == 3


async def test_an_add_right_behind_its_open_waits_until_that_one_is_settled(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, paper={"latency_ms": 400}) as house:
        first = await house.send(Action.OPEN, side=LONG)
        added = await house.send(Action.ADD, side=LONG)
        assert await house.outcome(first) == ["filled"] * 3
        assert {*await house.outcome(added)} <= {"filled", "skipped.not_open"}


async def test_a_reduce_closes_a_fraction_of_the_own_share_and_carries_what_the_step_leaves(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        assert shares(house) == ["0.003"]
        assert await house.outcome(await house.send(Action.REDUCE, size=part("0.5"))) == [
            "filled"
        ]  # 0.0015: 0.001, 0.0005 carried
        assert shares(house) == ["0.002"]
        assert await house.outcome(await house.send(Action.REDUCE, size=part("0.25"))) == [
            "filled"
        ]  # 0.0005 and the carried 0.0005
        assert shares(house) == ["0.001"]
        assert await house.outcome(await house.send(Action.REDUCE, size=part("0.5"))) == [
            "skipped.carried"
        ]
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        assert house.holdings() == []
        assert [each["quantity"] for each in house.orders()] == ["0.003", "0.001", "0.001", "0.001"]


async def test_a_reduce_with_nothing_held_says_so(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path) as house:
        assert (
            await house.outcome(await house.send(Action.REDUCE, size=part("0.5")))
            == ["skipped.nothing_to_close"] * 3
        )


async def test_a_reduce_whose_answer_was_lost_never_closes_more_than_its_part(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1, paper={"lose_answer_every": 2}) as house:
        await opened(house)
        reduced = await house.send(Action.REDUCE, size=part("0.5"))
        assert await house.outcome(reduced, unlike=(None, "unknown")) == ["filled"]
        await trio.sleep(120)
        assert shares(house) == ["0.002"]
        assert len(house.orders()) == 2


async def test_a_reverse_closes_first_and_enters_the_other_side_once_it_is_flat(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path) as house:
        await opened(house)
        turned = await house.send(Action.REVERSE, side=SHORT)
        assert await house.outcome(turned) == ["filled"] * 3
        assert [each["side"] for each in house.orders()].count("SELL") == 6
        position = await house.position()
        assert position is not None
        assert (position.side, str(position.quantity)) == (SHORT, "0.003")
        assert house.story(turned) == ["filled", "filled"]
        assert (
            await house.outcome(await house.send(Action.REVERSE, side=SHORT))
            == ["skipped.already_open"] * 3
        )
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"] * 3


async def test_a_reverse_of_nothing_is_an_open(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with world(tmp_path, followers=1) as house:
        assert await house.outcome(await house.send(Action.REVERSE, side=LONG)) == ["filled"]
        assert shares(house) == ["0.003"]


async def test_a_reverse_while_entries_are_off_still_closes(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        house.shared.switches = (
            Switch(
                scope=SwitchScope.ALL,
                target="",
                note="night",
                set_by="op",
                set_at=house.shared.clock.now(),
            ),
        )
        turned = await house.send(Action.REVERSE, side=SHORT)
        assert await house.outcome(turned) == ["skipped.entries_off"]
        assert house.story(turned) == ["filled", "skipped.entries_off"]
        assert await house.position() is None


async def test_a_close_right_behind_a_reverse_ends_flat(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, paper={"latency_ms": 300}) as house:
        await opened(house)
        turned = await house.send(Action.REVERSE, side=SHORT)
        closed = await house.send(Action.CLOSE)
        await house.outcome(turned)
        await house.outcome(closed)
        assert house.holdings() == []
        assert [await house.position(index) for index in range(3)] == [None] * 3


async def test_a_cancel_takes_back_what_rests_and_leaves_what_is_held(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path) as house:
        resting = await house.send(
            Action.OPEN, side=LONG, order_type=OrderType.LIMIT, price=price("60000")
        )
        assert await house.outcome(resting) == ["placed"] * 3
        assert await house.outcome(await house.send(Action.CANCEL)) == ["applied"] * 3
        assert house.codes(resting) == ["cancelled"] * 3
        assert house.holdings() == []
        assert await house.outcome(await house.send(Action.CANCEL)) == ["nothing_to_do"] * 3
        await opened(house)
        assert await house.outcome(await house.send(Action.CANCEL)) == ["nothing_to_do"] * 3
        assert shares(house) == ["0.003"] * 3


async def test_a_close_takes_back_a_resting_entry_instead_of_waiting_for_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        resting = await house.send(
            Action.OPEN, side=LONG, order_type=OrderType.LIMIT, price=price("60000")
        )
        assert await house.outcome(resting) == ["placed"]
        assert await house.outcome(await house.send(Action.CLOSE)) == ["skipped.nothing_to_close"]
        assert house.codes(resting) == ["cancelled"]
        assert house.holdings() == []


async def test_an_entry_that_rests_for_too_long_is_taken_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        house.shared.pace = replace(house.shared.pace, resting_entry_s=1_000.0)
        resting = await house.send(
            Action.OPEN, side=LONG, order_type=OrderType.LIMIT, price=price("60000")
        )
        assert await house.outcome(resting) == ["placed"]
        await trio.sleep(900)
        assert house.codes(resting) == ["placed"]
        await trio.sleep(200)
        assert house.codes(resting) == ["cancelled"]


async def test_stop_and_target_are_moved_kept_and_taken_away(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=price("60000"), take_profit=price("70000"))
        moved = await house.send(Action.SET_PROTECTION, stop_loss=price("62000"))
        assert await house.outcome(moved) == ["applied"]
        position = await house.position()
        assert position is not None
        assert (position.stop_loss, position.take_profit) == (price("62000"), price("70000"))
        assert await house.outcome(
            await house.send(Action.SET_PROTECTION, no_take_profit=True)
        ) == ["applied"]
        position = await house.position()
        assert position is not None
        assert (position.stop_loss, position.take_profit) == (price("62000"), None)
        assert await house.outcome(
            await house.send(Action.SET_PROTECTION, stop_loss=price("66000"))
        ) == ["denied.protection"]


async def test_moving_one_level_leaves_the_other_as_the_owner_set_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        await trio.sleep(60)
        owner = await house.followers[0].account.connected()
        await owner.set_protection(ProtectionOrder(BTC, LONG, price("60000"), None))
        for target in ("70000", "71000"):
            await house.outcome(await house.send(Action.SET_PROTECTION, take_profit=price(target)))
            position = await house.position()
            assert position is not None
            assert (position.stop_loss, position.take_profit) == (price("60000"), price(target))
        await owner.set_protection(ProtectionOrder(BTC, LONG, price("61000"), price("71000")))
        await trio.sleep(400)
        await house.outcome(await house.send(Action.SET_PROTECTION, take_profit=price("72000")))
        position = await house.position()
        assert position is not None
        assert (position.stop_loss, position.take_profit) == (price("61000"), price("72000"))


async def test_a_stop_moves_beside_an_order_that_rests(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=price("60000"))
        add = await house.send(
            Action.ADD, side=LONG, order_type=OrderType.LIMIT, price=price("55000")
        )
        assert await house.outcome(add) == ["placed"]
        moved = await house.send(Action.SET_PROTECTION, stop_loss=price("64000"))
        assert await house.outcome(moved) == ["applied"]
        position = await house.position()
        assert position is not None
        assert position.stop_loss == price("64000")
        assert newest_alerts(house.ledger.db, BEGINNING, 5) == []


@pytest.mark.parametrize("unread", ["the row", "the account", "what an order did"])
async def test_a_stop_moves_though_nobody_can_read_what_stands_and_somebody_is_told(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, unread: str
) -> None:
    real = ExchangeSession.fetch_account

    async def fetch_account(session: ExchangeSession) -> AccountReport:
        report = await real(session)
        if unread == "the account":
            raise OutcomeUnknown("502")
        if unread == "what an order did":
            return report
        row = UnreadableRow("position", "p", BTC, "a new word")
        return replace(report, positions=(), unreadable=(row,))

    async def place(session: ExchangeSession, intent: OrderIntent, ask: Any, written: Any) -> Any:
        return NoProof("502")

    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=price("60000"))
        await trio.sleep(60)
        if unread == "what an order did":
            with monkeypatch.context() as patched:
                patched.setattr(ExchangeSession, "place", place)
                assert await house.outcome(await house.send(Action.ADD, side=LONG)) == ["unknown"]
        began = trio.current_time()
        with monkeypatch.context() as patched:
            patched.setattr(ExchangeSession, "fetch_account", fetch_account)
            moves = []
            for stop in ("62000", "63000", "64000"):
                moves.append(await house.send(Action.SET_PROTECTION, stop_loss=price(stop)))
                await trio.sleep(4)
                wrong = await house.send(Action.SET_PROTECTION, take_profit=price("1"))
                assert await house.outcome(wrong) == ["denied.protection"]
                await trio.sleep(5)
            assert [await house.outcome(each) for each in moves] == [
                ["skipped.superseded"],
                ["skipped.superseded"],
                ["applied"],
            ]
            waited_s = trio.current_time() - began
        unprotected_s = house.shared.pace.unprotected_s
        assert unprotected_s <= waited_s < unprotected_s + 5, "a newer signal begins no new wait"
        position = await house.position()
        assert position is not None
        assert position.stop_loss == price("64000")
        told = [
            each
            for each in newest_alerts(house.ledger.db, BEGINNING, 5)
            if each.code is AlertCode.LEVELS_NOT_READ
        ]
        assert len(told) == 1
        assert "BTCUSDT LONG has stop 64000 and no target" in told[0].sentence
        assert "?" not in told[0].sentence


@pytest.mark.parametrize("meanwhile", ["nothing", "the account is read", "the exchange fails"])
async def test_a_stop_and_a_target_that_come_as_two_signals_are_both_set(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    read, protect = ExchangeSession.fetch_account, ExchangeSession.set_protection
    asked: list[ProtectionOrder] = []

    async def fetch_account(session: ExchangeSession) -> AccountReport:
        await trio.sleep(0.3 if meanwhile == "the account is read" else 0)
        return await read(session)

    async def set_protection(session: ExchangeSession, wanted: ProtectionOrder) -> None:
        asked.append(wanted)
        if meanwhile == "the exchange fails" and len(asked) == 1:
            raise OutcomeUnknown("502")
        await protect(session, wanted)

    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=price("60000"), take_profit=price("70000"))
        await trio.sleep(60)
        monkeypatch.setattr(ExchangeSession, "fetch_account", fetch_account)
        monkeypatch.setattr(ExchangeSession, "set_protection", set_protection)
        also = {} if meanwhile == "the account is read" else {"take_profit": price("69000")}
        stop = await house.send(Action.SET_PROTECTION, stop_loss=price("64000"), **also)
        await trio.sleep(0 if meanwhile == "nothing" else 0.2)
        target = await house.send(Action.SET_PROTECTION, take_profit=price("68000"))
        assert await house.outcome(stop) == await house.outcome(target) == ["applied"]
        position = await house.position()
        assert position is not None
        assert (position.stop_loss, position.take_profit) == (price("64000"), price("68000"))


async def test_an_older_move_of_the_stop_does_not_undo_a_newer_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        now = house.shared.clock.now()
        await trio.sleep(2)
        assert await house.outcome(
            await house.send(Action.SET_PROTECTION, stop_loss=price("63000"))
        ) == ["applied"]
        late = await house.send(Action.SET_PROTECTION, stop_loss=price("61000"), at=now)
        assert await house.outcome(late) == ["skipped.superseded"]


async def test_protection_of_nothing_is_nothing_to_do(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path) as house:
        assert (
            await house.outcome(await house.send(Action.SET_PROTECTION, stop_loss=price("60000")))
            == ["nothing_to_do"] * 3
        )


@pytest.mark.parametrize("action", list(Action))
async def test_a_test_signal_of_every_action_reaches_no_exchange(
    action: Action, tmp_path: Path, autojump_clock: MockClock
) -> None:
    said: dict[str, Any] = {"is_test": True}
    if action.is_entry:
        said["side"] = LONG if action is not Action.REVERSE else SHORT
    if action is Action.REDUCE:
        said["size"] = part("0.5")
    if action is Action.SET_PROTECTION:
        said["stop_loss"] = price("60000")
    async with world(tmp_path, followers=1) as house:
        if action is not Action.OPEN:
            await opened(house)
        before = len(house.orders())
        assert await house.outcome(await house.send(action, **said)) == ["skipped.test"]
        assert len(house.orders()) == before


async def test_watching_sends_nothing_whatever_the_action(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, mode=Mode.WATCH, followers=1) as house:
        assert await house.outcome(await house.send(Action.REVERSE, side=SHORT)) == [
            "skipped.watch_only"
        ]
        assert await house.outcome(await house.send(Action.ADD, side=SHORT)) == ["skipped.not_open"]
        assert house.orders() == []


async def test_an_exit_that_the_exchange_cancels_is_tried_again_until_it_is_flat(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1, paper={"reject_every": 2}) as house:
        await opened(house)
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(closed, unlike=(None, "rejected")) == ["filled"]
        assert house.holdings() == []


@pytest.mark.parametrize(
    ("his", "ours", "cause"),
    [
        ("0.001", ("LONG", "0.002"), "smaller than our share"),
        ("0.01", None, "netted our entry"),
    ],
)
async def test_what_an_entry_opened_beyond_an_owner_s_opposite_position_stays_ours(
    his: str,
    ours: tuple[str, str] | None,
    cause: str,
    tmp_path: Path,
    autojump_clock: MockClock,
) -> None:
    async with world(tmp_path, followers=1) as house:
        account = house.followers[0].account
        await account.wait_read()
        await trio.sleep(1)
        owner = (await account.connected())._open
        sell = OrderIntent(
            ClientOrderId("by-hand"),
            BTC,
            OrderSide.SELL,
            SHORT,
            Quantity(Decimal(his)),
            OrderType.MARKET,
            Ratio(Decimal(5)),
        )
        await owner.place_order(sell)  # between two readings, so the entry does not see it
        await opened(house)
        await trio.sleep(60)
        held = [
            (side, share)
            for side, share in fetch_all(house.ledger.db, "SELECT side, share FROM holding")
            if share != "0"
        ]
        assert held == ([] if ours is None else [ours])
        [(told,)] = fetch_all(
            house.ledger.db, "SELECT data FROM event WHERE kind = 'correction' ORDER BY sequence"
        )
        assert cause in told
        await house.outcome(await house.send(Action.CLOSE))
        await trio.sleep(60)
        left = await house.position()
        assert (left is None) == (ours is not None)
