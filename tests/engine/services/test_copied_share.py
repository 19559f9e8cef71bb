"""What counts as copied is the same for who compares strategies, for a master and for a follower."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from engine.decisions.missed import missed_by_week
from engine.decisions.portfolio import percent_of
from engine.domain.identifiers import StrategyId
from engine.domain.outcome import OutcomeCode
from engine.domain.signal import Action, PositionSide
from engine.ledger.following import entry_outcomes
from engine.ledger.query import fetch_all
from engine.ledger.results import all_strategies, newest_entries
from engine.services.outcomes import OutcomeCounts, heard_of
from engine.services.performance import PerformanceService
from tests.engine.actors.engine_world import World, world

Became = tuple[OutcomeCode, str]
EXPECTED: list[tuple[Became, bool | None]] = [
    ((OutcomeCode.FILLED, "1"), True),
    ((OutcomeCode.PLACED, "0"), True),
    ((OutcomeCode.PARTIALLY_FILLED, "0.6"), True),
    ((OutcomeCode.CANCELLED, "0.6"), True),
    ((OutcomeCode.CANCELLED, "0"), False),
    ((OutcomeCode.EXPIRED, "0"), False),
    ((OutcomeCode.UNKNOWN, "0"), None),
    ((OutcomeCode.NOT_CONFIRMED, "0"), None),
    ((OutcomeCode.NOT_CONFIRMED, "0.6"), True),
    ((OutcomeCode.SKIPPED_ALREADY_OPEN, "0"), None),
]


def become(house: World, *outcomes: Became) -> None:
    """Give the copies of the only signal these outcomes, one for each account."""
    for index, (code, filled) in enumerate(outcomes):
        mine = f"account_id = 'a{index}'"
        house.ledger.db.execute(
            f"UPDATE copy SET code = ?, numbers = json_object('filled', ?) WHERE {mine}",
            (code.value, filled),
        )
        house.ledger.db.execute(f"UPDATE attempt SET filled = ? WHERE {mine}", (filled,))


@pytest.mark.parametrize("part", [slice(None), *(slice(each, each + 1) for each in range(10))])
async def test_every_page_counts_the_same_entries_as_copied(
    tmp_path: Path, autojump_clock: MockClock, part: slice
) -> None:
    chosen = EXPECTED[part]
    copied = sum(is_copied is True for _, is_copied in chosen)
    missed = sum(is_copied is False for _, is_copied in chosen)
    async with world(tmp_path, followers=len(chosen)) as house:
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        become(house, *(each for each, _ in chosen))
        db: Any = house.ledger.db
        context: Any = type("Context", (), {"ledger": house.ledger, "clock": house.shared.clock})
        counts = await OutcomeCounts(context).of(newest_entries(db, StrategyId("s"), 20))
        heard = heard_of("paper", counts)
        assert (heard.copied, heard.wanted) == (copied, copied + missed)
        assert sum(count for _, count in heard.others) == missed
        (row,) = all_strategies(db)
        compared = await PerformanceService(context).record(row, "paper", None)
        assert compared.copied_percent == percent_of(Decimal(copied), Decimal(copied + missed))
        accounts = [
            type("Account", (), {"id": each, "name": each, "environment": "paper"})
            for (each,) in fetch_all(db, "SELECT id FROM account")
        ]
        told = [each for row in accounts for each in entry_outcomes(db, row, 99, 99)[0]]  # type: ignore[arg-type]
        weeks = missed_by_week(told, "UTC")
        assert [(each.copied, each.missed) for each in weeks] == (
            [(copied, missed)] if copied + missed else []
        )
