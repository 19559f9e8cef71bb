"""What a stop would touch is counted for everything, an exchange, a strategy and an account."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from engine_world import World, world
from trio.testing import MockClock

from engine.commands.touching import TOUCHING
from engine.context import EngineContext
from engine.domain.signal import Action, PositionSide
from engine.ledger.query import fetch_all


async def touched(house: World, **where: str) -> list[dict[str, Any]]:
    """Ask the command; return what it counts of each scope, short."""
    context = cast(EngineContext, SimpleNamespace(ledger=house.ledger, clock=house.shared.clock))
    return [
        {name: each[name] for name in ("accounts", "strategies", "waiting", "positions")}
        for each in (await TOUCHING["touched"](context, dict(where)))["touched"]
    ]


def counts(accounts: int, strategies: int, positions: int) -> dict[str, Any]:
    """Return what a scope on paper is expected to count; no entry waits."""
    return {
        "accounts": {"paper": accounts} if accounts else {},
        "strategies": strategies,
        "waiting": 0,
        "positions": positions,
    }


async def test_each_scope_counts_its_own_accounts_strategies_and_positions(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=3) as house:
        assert (
            await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
            == ["filled"] * 3
        )
        [(identifier, name)] = fetch_all(house.ledger.db, "SELECT id, name FROM strategy")
        account = house.followers[0].account.name
        assert await touched(house) == [counts(3, 1, 3)] * 2  # everything, and the one exchange
        for target in (identifier, name):
            assert await touched(house, scope="strategy", target=target) == [counts(3, 1, 3)]
        assert await touched(house, scope="exchange", target="paper") == [counts(3, 1, 3)]
        assert await touched(house, scope="account", target=account) == [counts(1, 1, 1)]
        for scope in ("strategy", "exchange", "account"):
            assert await touched(house, scope=scope, target="nobody") == [counts(0, 0, 0)]
        left = house.followers[2].account.id
        await house.ledger.write(
            lambda db: db.execute(
                "UPDATE subscription SET state = 'left' WHERE account_id = ?", (left,)
            )
        )
        # Who left still holds what was opened, and is still connected.
        assert await touched(house) == [counts(3, 1, 3)] * 2
        assert await touched(house, scope="strategy", target=name) == [counts(2, 1, 3)]
