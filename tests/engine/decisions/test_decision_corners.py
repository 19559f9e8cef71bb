"""Rare cases of decisions that no other test reaches, so that every branch of a rule about money is
tested.
"""

from decimal import Decimal
from typing import Any

import pytest
from decision_builders import (
    BTC,
    ETH,
    LONG,
    NOW,
    SHORT,
    D,
    entry,
    holding,
    position,
    signal,
    view,
)

from engine.decisions.planning import EntryPlan, plan_entry
from engine.decisions.planning_protection import (
    ProtectionContext,
    ProtectionPlan,
    plan_protection,
)
from engine.decisions.reconciliation import ForeignOrders, OwnPosition, ShareShrunk, words_of
from engine.decisions.sizing import SizingBasis, raw_quantity
from engine.domain.account import EquityMarks
from engine.domain.amounts import Money
from engine.domain.order import ProtectionOrder
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Action
from engine.domain.subscription import RiskLimits, StopDistance

MARKS = EquityMarks(D("1000"), NOW, "UTC", D("1000"))


def test_levels_are_set_as_they_were_named_where_the_contract_has_not_been_read() -> None:
    context = ProtectionContext(
        signal=signal(action=Action.SET_PROTECTION, stop_loss=D("90.0431")),
        holding=holding(),
        position=position(),
        instrument=None,
        price=D("100"),
        can_protect=True,
        is_entering=False,
        later=(),
    )
    wanted = ProtectionOrder(BTC, LONG, D("90.0431"), None)
    assert plan_protection(context) == ProtectionPlan(wanted, wanted, leaves_a_level=True)


@pytest.mark.parametrize(
    "limits",
    [RiskLimits(symbol_notional=Money(D("500"))), RiskLimits(account_notional=Money(D("500")))],
)
def test_a_cap_on_what_cannot_be_valued_denies(limits: RiskLimits) -> None:
    """The holding is not in the newest reading and no entry on its way explains it."""
    account = view(holdings=(holding(symbol=BTC, share=D("2"), entry_key=""),))
    answer = plan_entry(
        entry(
            account=account, limits=limits, signal=signal(action=Action.ADD, side=LONG, symbol=BTC)
        )
    )
    assert isinstance(answer, Outcome)
    assert answer.code is OutcomeCode.DENIED_ACCOUNT_NOT_READY


@pytest.mark.parametrize(
    ("limits", "marks"),
    [
        (RiskLimits(daily_loss=D("1")), MARKS),
        (RiskLimits(drawdown_percent=1), EquityMarks(D("1000"), NOW, "UTC", D("0"))),
    ],
)
def test_an_account_within_its_loss_limits_enters(limits: RiskLimits, marks: EquityMarks) -> None:
    """Also where the highest equity begins anew with the next reading."""
    assert isinstance(plan_entry(entry(limits=limits, day=marks)), EntryPlan)


def test_the_stop_distance_counts_on_either_side_of_the_price() -> None:
    for stop in ("95", "105"):
        basis = SizingBasis(
            leverage=D("5"), price=D("100"), master_quantity=None, equity=D("1000"), stop=D(stop)
        )
        assert raw_quantity(StopDistance(D("0.01")), basis) == Decimal(2)


@pytest.mark.parametrize(
    ("correction", "told"),
    [
        (
            ShareShrunk(
                symbol=BTC,
                strategy="s1",
                share_from=D("2"),
                share_to=D("1"),
                cause="less is there",
                detached=False,
            ),
            {
                "kind": "share",
                "differs": "BTCUSDT: less is there",
                "step": "BTCUSDT: our share goes from 2 to 1",
            },
        ),
        (
            ShareShrunk(
                symbol=BTC,
                strategy="s1",
                share_from=D("2"),
                share_to=D("0"),
                cause="it is gone",
                detached=True,
            ),
            {
                "kind": "share",
                "differs": "BTCUSDT: it is gone",
                "step": "BTCUSDT: our share goes from 2 to 0; no entry there until the master closes or reverses",
            },
        ),
        (
            ForeignOrders(("x1", "x2")),
            {
                "kind": "foreign",
                "differs": "orders x1, x2 carry our mark and are not in this ledger",
                "step": "they are taken as the owner's; entries of the account are allowed again",
            },
        ),
        (
            OwnPosition(ETH, SHORT, D("3")),
            {
                "kind": "own",
                "differs": "the owner holds SHORT 3 ETHUSDT beside us",
                "step": "nothing: it is left alone",
            },
        ),
    ],
)
def test_every_correction_says_what_differs_and_what_applying_it_does(
    correction: Any, told: dict[str, str]
) -> None:
    assert words_of(correction) == told
