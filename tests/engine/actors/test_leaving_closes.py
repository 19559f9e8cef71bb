"""Leaving a strategy with closing is one transaction: whatever fails, nobody has left without
recorded closes.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from engine_world import BTC, World, world
from trio.testing import MockClock

from engine.domain.identifiers import AccountId
from engine.domain.signal import Action, PositionSide
from engine.ledger import Database, LedgerError
from engine.ledger.audit import AuditKey
from engine.ledger.holdings import read_holding, write_holding
from engine.ledger.query import fetch_all
from engine.services import agreeing
from engine.services.agreeing import AgreeingService


def service(house: World) -> AgreeingService:
    async def audit_key() -> AuditKey:
        return AuditKey("k", b"0" * 32)

    async def changed() -> None:
        house.shared.forget_subscriptions()

    context: Any = SimpleNamespace(
        ledger=house.ledger,
        clock=house.shared.clock,
        audit_key=audit_key,
        changed=changed,
        live=house.account_tasks,
        ask=None,
    )
    return AgreeingService(context, None)  # type: ignore[arg-type]  # the service of positions is not asked


VISITOR: Any = SimpleNamespace(person=SimpleNamespace(name="ann"), address="127.0.0.1", token=None)
ROW: Any = SimpleNamespace(id=AccountId("a0"), name="f0")
TERMS: Any = SimpleNamespace(id="s", name="trend")


def told(house: World) -> list[list[tuple[Any, ...]]]:
    return [
        fetch_all(house.ledger.db, sql)
        for sql in (
            "SELECT state FROM subscription",
            "SELECT symbol FROM signal WHERE origin = 'operator:flatten'",
            "SELECT act FROM audit",
        )
    ]


async def test_leaving_with_closing_closes_what_is_held(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        await service(house).leave(VISITOR, ROW, TERMS, close=True)
        assert told(house) == [[("left",)], [(BTC,)], [("strategy_left",)]]
        while house.holdings():
            await house.next_commit()
        assert await house.position() is None


async def test_leaving_without_closing_records_no_close(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        await service(house).leave(VISITOR, ROW, TERMS, close=False)
        assert told(house) == [[("left",)], [], [("strategy_left",)]]


@pytest.mark.parametrize("fails_at", [1, 2, 3])
async def test_whatever_fails_within_leaving_leaves_everything_as_it_was(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    async with world(tmp_path, followers=1) as house:
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        held = read_holding(house.ledger.db, ROW.id, BTC)
        assert held is not None

        def beside(db: Database) -> None:
            db.execute("CREATE TEMP TABLE another AS SELECT * FROM holding")
            db.execute("UPDATE another SET symbol = 'ETHUSDT'")
            db.execute("INSERT INTO holding SELECT * FROM another")

        await house.ledger.write(beside)
        steps = 0

        def failing(real: Any) -> Any:
            def step(*given: Any, **named: Any) -> Any:
                nonlocal steps
                steps += 1
                if steps == fails_at:
                    raise LedgerError("the process was killed here")
                return real(*given, **named)

            return step

        for name in ("set_agreement_state", "record_signal"):
            monkeypatch.setattr(agreeing, name, failing(getattr(agreeing, name)))
        with pytest.raises(LedgerError):
            await service(house).leave(VISITOR, ROW, TERMS, close=True)
        assert told(house) == [[("active",)], [], []]
        await house.ledger.write(lambda db: write_holding(db, held))
