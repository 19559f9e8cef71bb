"""How waiting legs are handed to accounts: exits never wait behind the rest of a fan-out."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import trio
from engine_world import world
from trio.testing import MockClock

from engine.actors.account_tasks import SLICE, AccountTasks
from engine.decisions.turns import in_turn
from engine.domain.identifiers import AccountId
from engine.domain.signal import Action, PositionSide
from engine.ledger import Database
from engine.ledger.copies import WaitingLeg, waiting

FOLLOWERS = SLICE * 5


@dataclass
class Offered:
    """What accounts were offered, in order; nothing of it is carried out."""

    legs: list[tuple[AccountId, str]] = field(default_factory=list)

    def follower(self, account: AccountId) -> Any:
        def offer(legs: list[WaitingLeg]) -> None:
            self.legs += [(account, leg.kind) for leg in legs]

        return SimpleNamespace(account=SimpleNamespace(offer=offer))


def follow_another_strategy(db: Database, account: AccountId) -> None:
    db.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us) SELECT 's2', 'swing', master_id, kind, symbols, leverage, source, params, 0 "
        "FROM strategy WHERE id = 's'"
    )
    db.execute(
        "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) SELECT 'other', "
        "account_id, 's2', policy, 0 FROM subscription WHERE account_id = ? AND strategy_id = 's'",
        (account,),
    )


async def test_an_exit_that_is_recorded_in_the_middle_of_a_fan_out_is_handed_on_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=FOLLOWERS) as house:
        for each in house.followers:
            house.account_tasks.part(each.account.id)  # nobody carries anything out
        offered, tasks = Offered(), AccountTasks()
        for each in house.followers:
            tasks.followers[each.account.id] = cast(Any, offered.follower(each.account.id))
        await house.send(Action.OPEN, side=PositionSide.LONG)
        last = in_turn(waiting(house.ledger.db))[-1]
        await house.ledger.write(lambda db: follow_another_strategy(db, last))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tasks.route, house.ledger.db, house.shared.unsent.values())
            while len(offered.legs) < SLICE:
                await trio.lowlevel.checkpoint()
            await house.send(Action.CLOSE, strategy="s2")
            before = len(offered.legs)
            assert before < FOLLOWERS - SLICE
            tasks.wake()
            await trio.sleep(0.5)
            nursery.cancel_scope.cancel()
        assert (last, "exit") in offered.legs[before : before + SLICE + 1]
        assert {account for account, _ in offered.legs} == set(tasks.followers)
