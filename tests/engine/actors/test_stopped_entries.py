"""What its owner, its follower or its master stopped opens nothing new: an entry of it that rests at
the exchange is cancelled there, and what it filled stays.
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
import trio
from engine_world import BEGINNING, world
from trio.testing import MockClock

from engine.domain.amounts import Price
from engine.domain.holding import Switch, SwitchScope
from engine.domain.identifiers import AccountId, StrategyId
from engine.domain.signal import Action, OrderType, PositionSide
from engine.domain.strategy import StrategyState
from engine.domain.subscription import Mode, SubscriptionState
from engine.ledger import Database
from engine.ledger.attempts import stopped_entries
from engine.ledger.codec import read_policy, write_policy
from engine.ledger.following import set_agreement_state
from engine.ledger.open_shares import resting_of
from engine.ledger.query import fetch_one
from engine.ledger.reports import set_switch
from engine.ledger.studio import set_strategy_state

A0: Final = AccountId("a0")
LONGEST_PAUSE_S: Final = 30.0
"""How long an order is not looked at if nothing woke its resolver."""


def agreement(state: SubscriptionState) -> Callable[[Database], object]:
    return lambda db: set_agreement_state(db, "sub0", state)


def watch(db: Database) -> None:
    row = fetch_one(db, "SELECT policy FROM subscription WHERE id = 'sub0'")
    assert row is not None
    policy = replace(read_policy(row[0]), mode=Mode.WATCH)
    db.execute("UPDATE subscription SET policy = ? WHERE id = 'sub0'", (write_policy(policy),))


def switch(*, is_owners: bool) -> Callable[[Database], object]:
    return lambda db: set_switch(
        db,
        Switch(
            scope=SwitchScope.ACCOUNT,
            target="f0",
            note="",
            set_by="ann",
            set_at=BEGINNING,
            is_owners=is_owners,
        ),
    )


def strategy(state: StrategyState) -> Callable[[Database], object]:
    return lambda db: set_strategy_state(db, StrategyId("s"), state)


def ask_consent(db: Database) -> None:
    db.execute("UPDATE strategy SET terms_us = 1")


@pytest.mark.parametrize(
    ("stop", "first", "second"),
    [
        (agreement(SubscriptionState.PAUSED), "cancelled", "placed"),
        (agreement(SubscriptionState.LEFT), "cancelled", "placed"),
        (watch, "cancelled", "placed"),
        (switch(is_owners=True), "cancelled", "placed"),
        (strategy(StrategyState.PAUSED), "cancelled", "cancelled"),
        (strategy(StrategyState.RETIRED), "cancelled", "cancelled"),
        (switch(is_owners=False), "placed", "placed"),
        (ask_consent, "placed", "placed"),
    ],
    ids=["paused", "left", "watch", "owner", "master", "retired", "operator", "consent"],
)
async def test_an_entry_rests_no_longer_than_it_is_wanted(
    tmp_path: Path,
    autojump_clock: MockClock,
    stop: Callable[[Database], object],
    first: str,
    second: str,
) -> None:
    async with world(tmp_path, followers=2) as house:
        resting = await house.send(
            Action.OPEN,
            side=PositionSide.LONG,
            order_type=OrderType.LIMIT,
            price=Price(Decimal("60000")),
        )
        assert await house.outcome(resting) == ["placed", "placed"]
        assert stopped_entries(house.ledger.db) == []
        assert [each.is_ending for each in resting_of(house.ledger.db, A0)] == [False]
        await house.ledger.write(stop)
        (seen,) = resting_of(house.ledger.db, A0)
        assert seen.is_ending is (first == "cancelled")
        stopped = [account for account, _ in stopped_entries(house.ledger.db)]
        found = zip(("a0", "a1"), (first, second), strict=True)
        assert stopped == [account for account, code in found if code == "cancelled"]
        await trio.sleep(3 * LONGEST_PAUSE_S)
        assert house.codes(resting) == [first, second]
        assert stopped_entries(house.ledger.db) == []
