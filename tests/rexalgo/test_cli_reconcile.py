"""``rexalgo reconcile``: its exit code says whether ledger and exchange agree, for scripts."""

import json
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from engine.commands import operating
from engine.commands.operating import OPERATING
from engine.decisions.reconciliation import Correction, ForeignOrders, OwnPosition, ShareShrunk
from engine.domain.amounts import Quantity
from engine.domain.identifiers import StrategyId, Symbol
from engine.domain.signal import PositionSide
from rexalgo.cli import main

BTC = Symbol("BTCUSDT")
GONE = ShareShrunk(
    symbol=BTC,
    strategy=StrategyId("s"),
    share_from=Quantity(Decimal(2)),
    share_to=Quantity(Decimal(0)),
    cause="it was closed by hand",
    detached=True,
)
FOREIGN = ForeignOrders(("x1",))
OWN = OwnPosition(BTC, PositionSide.LONG, Quantity(Decimal(1)))


@pytest.mark.parametrize(
    ("found", "busy", "flags", "code", "says"),
    [
        ((), (), ("--plan",), 0, "the ledger and the exchange agree"),
        ((OWN,), (), ("--plan",), 0, "beside : the owner holds LONG 1 BTCUSDT"),
        ((GONE,), (), ("--plan",), 1, "to apply: rexalgo reconcile alice --apply"),
        ((GONE, OWN), (), (), 1, "differs: BTCUSDT: it was closed by hand"),
        ((FOREIGN,), (), ("--plan",), 1, "differs: orders x1 carry our mark"),
        ((), (BTC,), ("--plan",), 1, "not compared: BTCUSDT: an order of ours is in flight"),
        ((GONE,), (), ("--apply",), 0, "done:    BTCUSDT: our share goes from 2 to 0"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_difference_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    found: tuple[Correction, ...],
    busy: tuple[Symbol, ...],
    flags: tuple[str, ...],
    code: int,
    says: str,
    as_json: bool,
) -> None:
    async def plan(*told: object) -> tuple[Correction, ...]:
        return found

    async def recorder(*told: object) -> None:
        return None

    def ask(where: Path, method: str, **params: Any) -> dict[str, Any]:
        known = SimpleNamespace(
            name="alice", environment="paper", not_compared=lambda: busy, why_held=""
        )
        task = SimpleNamespace(
            account=known,
            plan_corrections=plan,
            apply_corrections=plan,
            note_shown=lambda digest: None,
        )
        context: Any = SimpleNamespace(
            ledger=SimpleNamespace(db=None), live=SimpleNamespace(named=lambda name: task)
        )
        return trio.run(OPERATING[method], context, params)

    monkeypatch.setattr(operating, "accounts", lambda db: [SimpleNamespace(name="alice")])
    monkeypatch.setattr(operating, "recorder", recorder)
    monkeypatch.setattr("rexalgo.cli.reconcile.ask", ask)
    result = CliRunner().invoke(
        main,
        ["--config", str(tmp_path), "reconcile", "alice", *flags, *(["--json"] if as_json else [])],
    )
    assert result.exit_code == code, result.output
    if as_json:
        assert json.loads(result.output)["differs"] is any(each is not OWN for each in found)
    else:
        assert says in result.output
