"""A whole position is closed whatever it is worth; only the exchange decides what is too small to
close.
"""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import BEGINNING, BTC, Unreadable, World, by_owner, world
from trio.testing import MockClock

from engine.actors.flattening import Flattening
from engine.domain.alert import Alert, AlertCode
from engine.domain.holding import Switch, SwitchLevel, SwitchScope
from engine.domain.order import OrderIntent, OrderReport, OrderSide
from engine.domain.signal import Action, PositionSide
from engine.ledger.alerts import newest_alerts
from engine.ledger.open_shares import still_open
from engine.ledger.query import fetch_all
from engine.ports.exchange import Rejected, RejectionKind

LONG = PositionSide.LONG


class Strict(Unreadable):
    """A connection that closes a whole position whatever it is worth, and no part of one."""

    def __init__(self, real: Any) -> None:
        super().__init__(real)
        self.refused = 0
        self.part_is_refused_as = RejectionKind.BELOW_MINIMUM
        self.refuses_whole: RejectionKind | None = None
        """Why a whole exit is refused, as its adapter closes a part of a position that has grown."""

    async def place_order(self, order: OrderIntent) -> OrderReport:
        if order.reduce_only and not order.whole_position:
            self.refused += 1
            raise Rejected("order value less than minimum required value", self.part_is_refused_as)
        if order.whole_position and self.refuses_whole is not None:
            self.refused += 1
            raise Rejected("that part is too small", self.refuses_whole)
        return await self._real.place_order(order)  # type: ignore[no-any-return]


async def opened(house: World, monkeypatch: pytest.MonkeyPatch) -> Strict:
    """Open a position for the only account whose value has fallen below the exchange's minimum for
    opening.
    """
    assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"]
    await trio.sleep(5)  # the reading that follows a fill has ended
    feed = house.shared.feeds["paper"]
    contract = feed.instrument(BTC)
    assert contract is not None
    dear = replace(contract, notional_min=Decimal(1_000_000), quantity_min=Decimal(1))
    monkeypatch.setattr(feed, "instrument", lambda symbol: dear)
    session = house.followers[0].account.session
    assert session is not None
    session._connection = strict = Strict(session._connection)  # type: ignore[assignment]
    return strict


async def owner(house: World, strict: Strict, side: OrderSide, *, is_read: bool = True) -> None:
    await by_owner(strict._real, side, "0.5")
    if is_read:
        await house.followers[0].reader.try_to_read()


def flatten(house: World) -> None:
    house.shared.switches = (
        Switch(
            scope=SwitchScope.ALL,
            target="",
            note="night",
            set_by="op",
            set_at=house.shared.clock.now(),
            level=SwitchLevel.FLATTEN,
        ),
    )


def residues(house: World) -> list[Alert]:
    return [
        each
        for each in newest_alerts(house.ledger.db, BEGINNING, 100)
        if each.code is AlertCode.RESIDUE
    ]


async def test_what_is_worth_less_than_an_opening_takes_is_closed_at_once(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        strict = await opened(house, monkeypatch)
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        assert (house.holdings(), await house.position(), strict.refused, residues(house)) == (
            [],
            None,
            0,
            [],
        )


async def test_flatten_ends_flat_though_what_is_left_is_small(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, monkeypatch)
        flatten(house)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Flattening(house.shared, house.account_tasks.wake).run)
            with trio.fail_after(60):
                while house.holdings():
                    await house.next_commit()
            nursery.cancel_scope.cancel()
        assert still_open(house.ledger.db) == []


async def test_a_part_that_the_exchange_refuses_is_a_residue_people_hear_of_in_the_same_moment(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        strict = await opened(house, monkeypatch)
        await owner(house, strict, OrderSide.BUY)
        untold = []

        def compare() -> None:
            row = fetch_all(house.ledger.db, "SELECT count(*) FROM copy WHERE code = 'residue'")[0]
            untold.append(row[0] - len(residues(house)))

        house.ledger.on_commit(compare)
        assert await house.outcome(await house.send(Action.CLOSE)) == ["residue"]
        await trio.sleep(300)
        assert (strict.refused, max(untold)) == (1, 0)
        assert "less than minimum required value" in residues(house)[0].sentence
        # The owner leaves: what is left is the whole position now, and the next close takes it.
        await owner(house, strict, OrderSide.SELL)
        assert await house.outcome(await house.send(Action.CLOSE)) == ["filled"]
        assert (house.holdings(), strict.refused) == ([], 1)


async def test_a_refusal_for_any_other_reason_is_no_residue_however_small_the_share_is(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        strict = await opened(house, monkeypatch)
        strict.part_is_refused_as = RejectionKind.OTHER
        await owner(house, strict, OrderSide.BUY)
        closed = await house.send(Action.CLOSE)
        await trio.sleep(60)
        assert residues(house) == []
        assert strict.refused > 3
        await owner(house, strict, OrderSide.SELL)
        assert await house.outcome(closed, unlike=(None, "rejected")) == ["filled"]
        assert house.holdings() == []


async def test_a_small_share_in_a_position_that_grew_unread_is_a_residue_and_not_asked_for_ever(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        strict = await opened(house, monkeypatch)
        strict.refuses_whole = RejectionKind.BELOW_MINIMUM
        await owner(house, strict, OrderSide.BUY, is_read=False)
        assert await house.outcome(await house.send(Action.CLOSE), unlike=(None, "rejected")) == [
            "residue"
        ]
        await trio.sleep(300)
        assert (strict.refused, len(residues(house))) == (1, 1)


async def test_a_refusal_is_no_residue_while_nobody_can_read_what_the_position_is(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        strict = await opened(house, monkeypatch)
        await trio.sleep(1)  # the reading that follows the entry is done
        strict.lasts = True
        await house.followers[0].reader.try_to_read()
        closed = await house.send(Action.CLOSE)
        await trio.sleep(20)
        assert (house.codes(closed), strict.refused > 2) == ([None], True)
        strict.lasts = False
        assert await house.outcome(closed, unlike=(None,)) == ["filled"]
        assert (house.holdings(), residues(house)) == ([], [])


async def test_flatten_asks_for_a_residue_again_only_when_a_person_does(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        strict = await opened(house, monkeypatch)
        await owner(house, strict, OrderSide.BUY)

        flatten(house)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Flattening(house.shared, house.account_tasks.wake).run)
            await trio.sleep(600)
            assert (strict.refused, len(house.holdings())) == (1, 1)
            await owner(house, strict, OrderSide.SELL)
            await trio.sleep(600)
            assert len(house.holdings()) == 1
            flatten(house)
            with trio.fail_after(60):
                while house.holdings():
                    await house.next_commit()
            nursery.cancel_scope.cancel()
        assert strict.refused == 1
