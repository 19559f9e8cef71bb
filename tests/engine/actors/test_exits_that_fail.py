"""An exit, or a move of a stop or target, that fails three times causes an alert, whatever the failure,
and ``why`` says whose move it is.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from engine_world import BEGINNING, World, world
from trio.testing import MockClock

from engine.actors.books_watch import BooksWatch
from engine.actors.preflight import PreflightWatch
from engine.actors.protection_guard import ProtectionGuard
from engine.actors.resolver import Resolver
from engine.decisions.explaining import FailingLeg
from engine.domain.alert import Alert, AlertCode
from engine.domain.amounts import Price, Ratio
from engine.domain.holding import STOPPED_BY_CONSERVATION, Switch, SwitchScope
from engine.domain.signal import Action, PositionSide, SignalSize, SizeMode
from engine.ledger.alerts import newest_alerts
from engine.ledger.explaining import failing_legs
from engine.ports.exchange import NotExecuted, OutcomeUnknown, Rejected, RejectionKind
from engine.services.explaining import explain_copy
from engine.views import WhyView


class Failing:
    """A connection that fails at what a test says, and does everything else."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.fails: dict[str, Exception] = {}

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in ("place_order", "find_orders", "fetch_account", "set_protection"):
            return real

        async def call(*given: Any) -> Any:
            if name in self.fails:
                raise self.fails[name]
            return await real(*given)

        return call


async def opened(house: World) -> Failing:
    assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == ["filled"]
    await trio.sleep(5)
    session = house.followers[0].account.session
    assert session is not None
    session._connection = failing = Failing(session._connection)  # type: ignore[assignment]
    return failing


def why(house: World, signal: str) -> WhyView:
    context: Any = SimpleNamespace(ledger=house.ledger, live=house.account_tasks)
    found = explain_copy(context, signal, "f0")
    assert found is not None
    return found


def told(house: World, code: AlertCode = AlertCode.EXIT_FAILING) -> list[Alert]:
    return [each for each in newest_alerts(house.ledger.db, BEGINNING, 100) if each.code is code]


def failing_now(house: World) -> list[FailingLeg]:
    return failing_legs(house.ledger.db, house.followers[0].account.id, house.followers[0].in_lane)


@pytest.mark.parametrize(
    ("error", "words", "move"),
    [
        (Rejected("closed for maintenance"), "closed for maintenance", "you"),
        (NotExecuted("too many requests", 1.0), "too many requests", "operator"),
        (ConnectionRefusedError("no route"), "no route", "operator"),
    ],
)
async def test_an_exit_that_the_exchange_does_not_take_is_told_once_with_its_count(
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    words: str,
    move: str,
) -> None:
    async with world(tmp_path, followers=1) as house:
        failing = await opened(house)
        if isinstance(error, ConnectionRefusedError):  # nothing of it can even be claimed
            session = house.followers[0].account.session

            async def cold() -> None:
                raise error

            monkeypatch.setattr(session, "warm", cold)
        else:
            failing.fails["place_order"] = error
        closed = await house.send(Action.CLOSE)
        await trio.sleep(0.3)
        first = why(house, closed)
        assert (first.code, first.move) == (None, "nobody")
        assert words in first.sentence
        await trio.sleep(300)
        (alert,) = told(house)
        assert alert.details["tries"] == "3"
        assert words in alert.sentence
        assert alert.sentence.startswith("PAPER f0: closing LONG")
        assert alert.wakes
        kept = why(house, closed)
        assert (kept.code, kept.move) == (None, move)
        assert words in kept.sentence
        assert "once a minute" in kept.sentence
        (exit_,) = failing_now(house)
        assert exit_.tries > 3
        assert words in exit_.problem
        await trio.sleep(3600)
        assert told(house)[0].count > 20  # told again after an hour, with how often since
        assert len(told(house)) == 2
        failing.fails.clear()
        monkeypatch.undo()
        assert await house.outcome(closed) == ["filled"]
        ended = why(house, closed)
        assert (ended.move, ended.now) == ("nobody", "")
        assert failing_now(house) == []


@pytest.mark.parametrize("error", [OutcomeUnknown("502"), NotExecuted("too many requests", 1.0)])
async def test_a_move_of_a_stop_that_goes_on_failing_is_told_until_it_is_done_or_replaced(
    tmp_path: Path, autojump_clock: MockClock, error: Exception
) -> None:
    async with world(tmp_path, followers=1) as house:
        failing = await opened(house)
        failing.fails["set_protection"] = error
        moved = await house.send(Action.SET_PROTECTION, stop_loss=Price(Decimal(62_000)))
        await trio.sleep(1)
        assert told(house, AlertCode.PROTECTION_FAILING) == []
        await trio.sleep(300)
        (alert,) = told(house, AlertCode.PROTECTION_FAILING)
        words = f"{type(error).__name__}: {error}"
        assert alert.sentence == (
            "PAPER f0: a signal moves stop and target of LONG BTCUSDT (wanted: stop 62000 and no "
            f"target), and that failed 3 times, the last time: {words}"
        )
        assert alert.wakes
        kept = why(house, moved)
        assert (kept.code, kept.move) == (None, "operator")
        assert f"({words}), and the old stop and target stay" in kept.sentence
        (leg,) = failing_now(house)
        assert (leg.kind, leg.symbol, leg.problem) == ("protection", "BTCUSDT", words)
        assert leg.tries > 3
        await trio.sleep(3600)
        assert [each.count > 20 for each in told(house, AlertCode.PROTECTION_FAILING)] == [1, 0]
        failing.fails.clear()
        if isinstance(error, OutcomeUnknown):
            assert await house.outcome(moved) == ["applied"]
        else:
            newer = await house.send(Action.SET_PROTECTION, stop_loss=Price(Decimal(63_000)))
            assert await house.outcome(newer) == ["applied"]
            assert await house.outcome(moved) == ["skipped.superseded"]
        await trio.sleep(3600)
        assert failing_now(house) == []
        assert len(told(house, AlertCode.PROTECTION_FAILING)) == 2
        assert told(house) == []


async def test_an_exit_that_cannot_be_looked_up_is_told_too(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        failing = await opened(house)
        failing.fails = {
            each: OutcomeUnknown("502") for each in ("place_order", "find_orders", "fetch_account")
        }
        closed = await house.send(Action.CLOSE)
        await trio.sleep(120)
        (alert,) = told(house)
        assert "cannot be looked up" in alert.sentence
        failing.fails.clear()
        assert (await house.outcome(closed, unlike=(None, "unknown")))[0] in (
            "filled",
            "not_confirmed",
        )


async def test_a_dead_key_is_its_owner_s_move_until_it_is_replaced(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        failing = await opened(house)
        refused = Rejected("bad key", RejectionKind.CREDENTIALS)
        failing.fails = dict.fromkeys(("place_order", "find_orders", "fetch_account"), refused)
        closed = await house.send(Action.CLOSE)
        await trio.sleep(60)
        assert why(house, closed).move == "you"
        assert "refuses this account's key" in why(house, closed).sentence
        assert (
            why(house, "sig-1").move == "you"
        )  # the entry is filled, and its position stands where nobody can close it
        failing.fails.clear()
        assert await house.outcome(closed) == ["filled"]
        assert why(house, "sig-1").move == "nobody"


async def test_a_close_behind_broken_conservation_is_the_operator_s_move(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        stop = Switch(
            scope=SwitchScope.ACCOUNT,
            target="f0",
            note="conservation: x",
            set_by=STOPPED_BY_CONSERVATION,
            set_at=house.shared.clock.now(),
        )
        house.shared.switches = (stop,)
        closed = await house.send(Action.CLOSE)
        await trio.sleep(60)
        found = why(house, closed)
        assert (found.code, found.move) == (None, "operator")
        assert "a person must decide" in found.sentence
        stands = why(house, "sig-1")
        assert stands.move == "operator"
        assert "is still open; closing it is under way" in stands.now


async def test_what_a_reduce_leaves_is_not_told_as_a_later_entry(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        reduced = await house.send(
            Action.REDUCE, size=SignalSize(SizeMode.FRACTION, fraction=Ratio(Decimal("0.5")))
        )
        assert await house.outcome(reduced) == ["filled"]
        found = why(house, reduced)
        assert (found.move, found.now) == (
            "nobody",
            "LONG 0.002 BTCUSDT of this strategy is still open: a reduce closes a part only.",
        )


async def test_a_reduce_whose_contract_nobody_can_read_is_told_and_a_close_goes_out(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        monkeypatch.setattr(house.shared.feeds["paper"], "instrument", lambda symbol: None)
        reduced = await house.send(
            Action.REDUCE, size=SignalSize(SizeMode.FRACTION, fraction=Ratio(Decimal("0.5")))
        )
        await trio.sleep(120)
        (alert,) = told(house)
        assert "the contract has not been read from the exchange yet" in alert.sentence
        assert why(house, reduced).move == "operator"
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        assert await house.outcome(reduced) == ["skipped.nothing_to_close"]


async def test_a_close_goes_out_whatever_the_feed_and_the_position_s_leverage_say(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        feed, report = house.shared.feeds["paper"], house.followers[0].account.report
        assert report is not None

        async def no_quote(*_: Any) -> None:
            raise TimeoutError("no prices")

        monkeypatch.setattr(feed, "instrument", lambda symbol: None)
        monkeypatch.setattr(feed, "quote", no_quote)
        odd = tuple(
            replace(each, leverage=Ratio(Decimal(0)), mark_price=Price(Decimal(0)))
            for each in report.positions
        )
        house.followers[0].account.report = replace(report, positions=odd)
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]


@pytest.mark.parametrize("part", [BooksWatch, PreflightWatch, ProtectionGuard, Resolver])
async def test_an_exit_goes_out_at_once_while_something_beside_it_fails_for_good(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, part: type
) -> None:
    async def broken(_: object) -> None:
        raise RuntimeError("a mistake of the engine's own")

    monkeypatch.setattr(part, "run", broken)
    async with world(tmp_path, followers=1) as house:
        assert await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG)) == [
            "filled"
        ]
        house.followers[0].account.watch_open_attempts()  # it runs only when it is woken
        await trio.sleep(600)
        vitals = house.followers[0].vitals
        assert (vitals.quarantined, vitals.running) == (True, True)
        codes = [each.code for each in newest_alerts(house.ledger.db, BEGINNING, 100)]
        assert AlertCode.ACCOUNT_QUARANTINED in codes
        began = house.shared.clock.now()
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        assert house.shared.clock.now() - began < timedelta(seconds=2)
