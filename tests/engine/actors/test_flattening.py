"""Switches above *no new entries*: reduce cancels resting orders, flatten closes until the exchange
shows nothing.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import BEGINNING, World, world
from trio.testing import MockClock

from engine.actors.flattening import Flattening
from engine.decisions.order_lifecycle import Answer, Refused
from engine.domain.alert import Alert, AlertCode
from engine.domain.amounts import Price, Ratio
from engine.domain.holding import FLATTEN_ORIGIN, Switch, SwitchLevel, SwitchScope
from engine.domain.order import OrderIntent
from engine.domain.outcome import Outcome
from engine.domain.signal import Action, OrderType, PositionSide, SignalSize, SizeMode
from engine.ledger.alerts import newest_alerts
from engine.ledger.open_shares import LastFlatten, held_shares, still_open
from engine.ledger.query import fetch_all
from engine.ports.exchange import RejectionKind

LONG = PositionSide.LONG


def turn(
    house: World, level: SwitchLevel, scope: SwitchScope = SwitchScope.ALL, target: str = ""
) -> None:
    house.shared.switches = (
        Switch(
            scope=scope,
            target=target,
            note="night",
            set_by="op",
            set_at=house.shared.clock.now(),
            level=level,
        ),
    )
    for each in house.followers:
        each.account.look_at_all()


def flattening(house: World) -> Flattening:
    return Flattening(house.shared, house.account_tasks.wake)


async def flat(house: World) -> None:
    with trio.fail_after(600):
        while house.holdings():
            await house.next_commit()


async def test_reduce_only_takes_resting_entries_back_and_keeps_what_is_held(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=2) as house:
        resting = await house.send(
            Action.OPEN, side=LONG, order_type=OrderType.LIMIT, price=Price(Decimal("60000"))
        )
        await house.outcome(resting)
        turn(house, SwitchLevel.REDUCE, SwitchScope.ACCOUNT, "f0")
        with trio.fail_after(120):
            while house.codes(resting)[0] != "cancelled":
                await house.next_commit()
        assert house.codes(resting)[1] == "placed"
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == [
            "skipped.entries_off",
            "skipped.already_open",
        ]


async def test_flatten_closes_what_the_engine_opened_within_its_scope(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
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


async def test_flatten_also_closes_what_an_unproven_entry_brings_later(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
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


async def test_flatten_asks_again_for_what_is_open_though_the_clock_was_set_back(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"]
        just_ended = LastFlatten(house.clock.now(), None)
        monkeypatch.setattr("engine.actors.flattening.last_flatten", lambda *_: just_ended)
        turn(house, SwitchLevel.FLATTEN)
        await flattening(house).close_what_is_open()
        assert [each.why for each in still_open(house.ledger.db)] == ["no exit was asked for"]
        house.clock.step(-3600)
        await flattening(house).close_what_is_open()
        await flat(house)


@pytest.mark.parametrize(
    ("asked_s", "ended_s", "is_asked"),
    [
        (-20, -10, False),
        (-10, -20, True),
        (-10, 3600, True),  # it ended before the clock was set back, and a person asks again since
        (3600, -10, False),  # a person asked before the clock was set back
        (3600, -60, True),
    ],
)
async def test_flatten_tries_a_remainder_again_when_a_person_asks_again_and_in_no_loop(
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    asked_s: float,
    ended_s: float,
    is_asked: bool,
) -> None:
    async with world(tmp_path, followers=1) as house:
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"]
        now = house.clock.now()
        (share,) = held_shares(house.ledger.db)
        ended = LastFlatten(now + timedelta(seconds=ended_s), share.share)
        monkeypatch.setattr("engine.actors.flattening.last_flatten", lambda *_: ended)
        turn(house, SwitchLevel.FLATTEN)
        (switch,) = house.shared.switches
        asked_at = now + timedelta(seconds=asked_s)
        house.shared.switches = (replace(switch, set_at=asked_at),)
        await flattening(house).close_what_is_open()
        asked = fetch_all(
            house.ledger.db, "SELECT 1 FROM signal WHERE origin = ?", (FLATTEN_ORIGIN,)
        )
        assert bool(asked) is is_asked


async def test_flatten_goes_on_while_the_exchange_refuses_and_names_what_is_left(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        house.followers[0].account.session = None
        turn(house, SwitchLevel.FLATTEN)
        assert [each.why for each in still_open(house.ledger.db)] == ["no exit was asked for"]
        await flattening(house).close_what_is_open()
        await flattening(house).close_what_is_open()  # asking twice makes one exit
        await flat(house)
        assert len(house.orders()) == 2
        assert still_open(house.ledger.db) == []


def told_as_not_flat(house: World) -> list[Alert]:
    return [
        each
        for each in reversed(newest_alerts(house.ledger.db, BEGINNING, 1000))
        if each.code is AlertCode.FLATTEN_NOT_FLAT
    ]


@pytest.mark.parametrize("step_s", [0, -20])
async def test_a_flatten_that_is_not_flat_in_time_names_each_share_and_why_once_an_hour(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    async with world(tmp_path) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        refusing, can_close = house.followers[1], trio.Event()
        session = await refusing.account.connected()
        place = session.place

        async def refused(intent: OrderIntent, *_: Any) -> Answer | Outcome:
            return (
                await place(intent, *_)
                if can_close.is_set()
                else Refused(RejectionKind.OTHER, "closed for maintenance")
            )

        monkeypatch.setattr(session, "place", refused)
        turn(house, SwitchLevel.FLATTEN)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flattening(house).run)
            await trio.sleep(30)
            house.clock.step(step_s)
            await trio.sleep(25)
            assert told_as_not_flat(house) == []
            await trio.sleep(10)
            (told,) = told_as_not_flat(house)
            share = house.holdings()[0][1]
            assert told.subject == ""
            assert told.sentence == (
                "everything: still not flat after 60 s, 1 left: "
                f"f1 [PAPER] LONG {share} BTCUSDT of trend (its exit is asked for and not sent, "
                "the last try: closed for maintenance)."
            )
            assert told.do.startswith("rexalgo halt flatten --all --yes")
            assert told.wakes
            autojump_clock.jump(3600)
            await trio.sleep(5)
            assert len(told_as_not_flat(house)) == 2
            can_close.set()
            autojump_clock.jump(120)
            await flat(house)
            await trio.sleep(120)
            assert len(told_as_not_flat(house)) == 2
            nursery.cancel_scope.cancel()


async def test_only_what_is_within_the_scope_of_the_flatten_is_told_and_many_are_counted(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.actors.flattening.NAMED_MAX", 1)
    async with world(tmp_path, paper={"lose_answer_every": 1}) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        turn(house, SwitchLevel.FLATTEN, SwitchScope.ACCOUNT, "f1")
        watch = flattening(house)
        await watch.tell_what_is_left()  # nothing is closed here: only told
        monkeypatch.setattr("engine.actors.flattening.FLAT_WITHIN_S", 0.0)
        await watch.tell_what_is_left()
        turn(house, SwitchLevel.FLATTEN, SwitchScope.STRATEGY, "trend")
        await watch.tell_what_is_left()
        one, all_of_them = told_as_not_flat(house)
        assert (one.subject, one.details["count_open"], one.details["flags"]) == (
            "f1",
            "1",
            "--account f1",
        )
        assert "an entry into BTCUSDT of trend (an entry order is unknown" in one.details["left"]
        assert all_of_them.details["left"].startswith("f0 [PAPER]")
        assert all_of_them.details["left"].endswith("; and 2 more")


async def test_a_close_that_the_ledger_refuses_keeps_no_other_close_out(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        house.ledger.db.execute(
            "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
            "created_us)"
            " VALUES ('other', 'other', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0);"
            "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us)"
            " SELECT 'sub-other', 'a0', 'other', policy, 0 FROM subscription;"
            "INSERT INTO holding (account_id, strategy_id, symbol, side, share, entries_open, "
            "entry_key)"
            " VALUES ('a0', 'other', 'AAAUSDT', 'LONG', '1', 0, '');"
            "CREATE TRIGGER refuse BEFORE INSERT ON signal WHEN NEW.symbol = 'AAAUSDT' BEGIN "
            "SELECT RAISE(ABORT, 'refused here'); END"
        )
        turn(house, SwitchLevel.FLATTEN)
        await flattening(house).close_what_is_open()
        with trio.fail_after(60):
            while await house.position() is not None:
                await house.next_commit()
        assert (
            "the close of AAAUSDT for strategy other could not be recorded: the ledger refused a "
            "write: refused here" in caplog.text
        )
        assert house.ledger.healthy


async def test_what_an_earlier_exit_came_to_does_not_explain_what_stands_now(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1, paper={"price_fixed": {"BTCUSDT": "6500"}}) as house:
        half = SignalSize(SizeMode.FRACTION, fraction=Ratio(Decimal("0.5")))

        def why() -> list[str]:
            return [each.why for each in still_open(house.ledger.db)]

        await house.outcome(await house.send(Action.OPEN, side=LONG))
        await trio.sleep(2)
        assert await house.outcome(await house.send(Action.REDUCE, size=half)) == ["filled"]
        assert why() == ["an exit closed a part of it; no exit was asked for since"]
        await trio.sleep(2)
        assert await house.outcome(await house.send(Action.ADD, side=LONG)) == ["filled"]
        assert why() == ["no exit was asked for since its last entry"]
