"""One signal becomes exactly one order per follower: the real ledger, lanes and paper exchange
under a virtual clock.
"""

from collections import Counter
from pathlib import Path
from statistics import fmean

import trio
from engine_world import earlier, world
from trio.testing import MockClock

from engine.domain.holding import Switch, SwitchScope
from engine.domain.signal import Action, PositionSide
from engine.domain.subscription import Mode
from engine.ledger.query import fetch_all
from engine.ledger.reports import why

LONG = PositionSide.LONG


async def test_an_open_becomes_one_order_each_and_a_close_flattens_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path) as house:
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"] * 3
        assert [share for _, share, _ in house.holdings()] == ["0.003"] * 3
        assert (
            await house.outcome(await house.send(Action.OPEN, side=LONG))
            == ["skipped.already_open"] * 3
        )
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"] * 3
        assert house.holdings() == []
        assert (
            await house.outcome(await house.send(Action.CLOSE)) == ["skipped.nothing_to_close"] * 3
        )
        assert Counter(each["side"] for each in house.orders()) == {"BUY": 3, "SELL": 3}


async def test_over_many_signals_every_follower_is_served_as_early_as_the_others(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """By the order of the claims: what was planned in turn is sent in turn."""
    async with world(tmp_path, followers=60, paper={"latency_ms": 20}) as house:
        turns: dict[str, list[int]] = {f"a{index}": [] for index in range(60)}
        for number in range(30):
            action = Action.OPEN if number % 2 == 0 else Action.CLOSE
            signal = await house.send(action, side=LONG if action is Action.OPEN else None)
            assert set(await house.outcome(signal)) == {"filled"}
            rows = fetch_all(
                house.ledger.db,
                "SELECT attempt.account_id FROM attempt JOIN copy ON copy.id = copy_id JOIN signal "
                "ON signal.number = signal_number WHERE signal.id = ? ORDER BY attempt.id",
                (signal,),
            )
            for turn, (account,) in enumerate(rows):
                turns[account].append(turn + 1)
            await trio.sleep(7)  # the readings after the fills are over
        means = [fmean(each) for each in turns.values()]
        # Jain's index of fairness; a fixed order would have 0.75
        assert sum(means) ** 2 / (60 * sum(each * each for each in means)) >= 0.97
        told = [why(house.ledger.db, signal, f"f{index}") for index in range(60)]
        assert sorted(each.turn.turn for each in told if each and each.turn) == [*range(1, 61)]
        assert {each.turn.copies for each in told if each and each.turn} == {60}


async def test_open_then_close_at_once_leaves_no_orphan(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, paper={"latency_ms": 400}) as house:
        opened = await house.send(Action.OPEN, side=LONG)
        closed = await house.send(Action.CLOSE)
        await house.outcome(opened)
        assert {*await house.outcome(closed)} <= {"filled", "skipped.nothing_to_close"}
        assert house.holdings() == []
        bought = sum(1 for each in house.orders() if each["side"] == "BUY")
        assert bought == sum(1 for each in house.orders() if each["side"] == "SELL")


async def test_a_close_during_the_send_closes_what_fills_later(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1, paper={"latency_ms": 400}) as house:
        opened = await house.send(Action.OPEN, side=LONG)
        with trio.fail_after(30):
            while not house.holdings():
                await house.next_commit()
        closed = await house.send(Action.CLOSE)
        assert await house.outcome(opened) == ["filled"]
        assert await house.outcome(closed) == ["filled"]
        assert house.holdings() == []


async def test_a_late_open_from_before_the_close_is_superseded(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path) as house:
        await house.outcome(await house.send(Action.CLOSE))
        late = await house.send(Action.OPEN, side=LONG, at=earlier(house.shared, 3))
        assert await house.outcome(late) == ["skipped.superseded"] * 3
        assert house.orders() == []


async def test_an_entry_that_is_too_old_expires_unsent(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path) as house:
        old = await house.send(Action.OPEN, side=LONG, at=earlier(house.shared, 30))
        assert await house.outcome(old) == ["expired"] * 3
        assert house.orders() == []


async def test_watching_plans_fully_and_sends_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, mode=Mode.WATCH) as house:
        assert (
            await house.outcome(await house.send(Action.OPEN, side=LONG))
            == ["skipped.watch_only"] * 3
        )
        assert house.orders() == []


async def test_a_lost_answer_is_unknown_then_found_and_never_repeated(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, paper={"lose_answer_every": 1}) as house:
        opened = await house.send(Action.OPEN, side=LONG)
        assert await house.outcome(opened) == ["unknown"] * 3
        assert await house.outcome(opened, unlike=("unknown",)) == ["filled"] * 3
        assert len(house.orders()) == 3
        assert [share for _, share, _ in house.holdings()] == ["0.003"] * 3


async def test_entries_switched_off_stop_entries_and_not_exits(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path) as house:
        await house.outcome(await house.send(Action.OPEN, side=LONG))
        now = house.shared.clock.now()
        house.shared.switches = (
            Switch(
                scope=SwitchScope.ALL, target="", note="maintenance", set_by="operator", set_at=now
            ),
        )
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"] * 3
        assert (
            await house.outcome(await house.send(Action.OPEN, side=LONG))
            == ["skipped.entries_off"] * 3
        )


async def test_one_follower_that_hangs_disturbs_nobody(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, paper={"hang_for": ["a1"]}) as house:
        opened = await house.send(Action.OPEN, side=LONG)
        await trio.sleep(2)
        assert house.codes(opened) == ["filled", None, "filled"]
        assert await house.outcome(opened, unlike=(None, "unknown")) == [
            "filled",
            "not_confirmed",
            "filled",
        ]


async def test_one_follower_whose_account_cannot_be_read_is_denied_and_told_why(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, paper={"raise_for": ["a0"]}) as house:
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == [
            "denied.account_not_ready",
            "filled",
            "filled",
        ]


async def test_a_refused_order_is_told_and_holds_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, paper={"reject_every": 1}) as house:
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["rejected"] * 3
        assert house.holdings() == []


async def test_a_released_account_takes_entries_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=2) as here:
        first = here.followers[0]
        first.vitals.quarantined = True
        opened = await here.send(Action.OPEN, side=PositionSide.LONG)
        while here.codes(opened)[1] is None:
            await here.next_commit()
        assert here.codes(opened)[0] is None
        assert here.account_tasks.vitals()["f0"]["quarantined"] is True
        here.account_tasks.unquarantine("f0")
        assert await here.outcome(opened) == ["filled", "filled"]
