"""Exits: our share and never more, never refused by a guard of entries, waiting only if proof is
missing.
"""

from dataclasses import replace
from typing import Any

import pytest
from decision_builders import (
    BTC,
    LONG,
    NOW,
    SHORT,
    D,
    holding,
    instrument,
    key,
    leaving,
    position,
    signal,
    subscription,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decisions.planning import Wait
from engine.decisions.planning_exits import (
    NO_TRACE,
    Carry,
    ExitContext,
    ExitPlan,
    is_below_minimum,
    plan_exit,
)
from engine.domain.amounts import EXACT
from engine.domain.identifiers import exit_client_order_id
from engine.domain.order import OrderSide
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Action, OrderType, SignalSize, SizeMode
from engine.domain.subscription import Mode

C = OutcomeCode


def close(**changes: Any) -> Any:
    return signal(action=Action.CLOSE, **changes)


ENDED: list[tuple[str, OutcomeCode, dict[str, Any]]] = [
    ("nothing held", C.SKIPPED_NOTHING_TO_CLOSE, {"holding": None}),
    ("share zero", C.SKIPPED_NOTHING_TO_CLOSE, {"holding": holding(share=D("0"))}),
    ("other side asked for", C.SKIPPED_NOTHING_TO_CLOSE, {"signal": close(side=SHORT)}),
    (
        "watching, nothing held",
        C.SKIPPED_NOTHING_TO_CLOSE,
        {"holding": None, "subscription": subscription(mode=Mode.WATCH)},
    ),
    ("older than the entry", C.SKIPPED_SUPERSEDED, {"holding": holding(entry_key=key(101))}),
    ("as old as the entry", C.SKIPPED_SUPERSEDED, {"holding": holding(entry_key=key(100))}),
    ("test", C.SKIPPED_TEST, {"signal": close(is_test=True)}),
    (
        "test while entries are open",
        C.SKIPPED_TEST,
        {"signal": close(is_test=True), "holding": holding(entries_open=1)},
    ),
]


@pytest.mark.parametrize(
    ("code", "changes"), [each[1:] for each in ENDED], ids=[each[0] for each in ENDED]
)
def test_an_exit_that_ends_without_an_order_says_why_in_a_whole_sentence(
    code: OutcomeCode, changes: dict[str, Any]
) -> None:
    outcome = plan_exit(leaving(**changes))
    assert isinstance(outcome, Outcome)
    assert outcome.code is code
    assert "?" not in outcome.sentence


@pytest.mark.parametrize(
    "changes",
    [
        {"holding": holding(share=D("0"), entries_open=1)},
        {"holding": holding(share=D("0"), entries_open=1), "instrument": None},
        {"outstanding": D("2")},
        {"outstanding": D("1")},
    ],
)
def test_an_exit_waits_while_proof_of_an_entry_or_of_an_exit_is_missing(
    changes: dict[str, Any],
) -> None:
    answer = plan_exit(leaving(**changes))
    assert isinstance(answer, Wait)
    assert answer.cause


def test_an_exit_closes_the_whole_share_reduce_only_under_its_own_attempt_s_id() -> None:
    plan = plan_exit(leaving(attempt=3))
    assert isinstance(plan, ExitPlan)
    intent = plan.intent
    assert intent.client_order_id == exit_client_order_id("copy-1", 1, 3)
    assert (intent.side, intent.position_side, intent.quantity) == (OrderSide.SELL, LONG, D("2"))
    assert (intent.order_type, intent.reduce_only, intent.whole_position, intent.leverage) == (
        OrderType.MARKET,
        True,
        True,
        D("5"),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"position": None},
        {"position": position(quantity=D("3"))},
        {"position": position(side=SHORT)},
    ],
)
def test_the_whole_position_is_closed_only_where_our_share_is_provably_all_of_it(
    changes: dict[str, Any],
) -> None:
    plan = plan_exit(leaving(**changes))
    assert isinstance(plan, ExitPlan)
    assert not plan.intent.whole_position
    assert plan.intent.quantity == D("2")


@pytest.mark.parametrize(
    ("share", "contract"),
    [
        ("2", {"quantity_min": D("3")}),
        ("2", {"notional_min": D("201")}),
        ("2", {"quantity_max": D("1"), "quantity_min": D("0.1")}),
        ("2.0005", {}),
        ("0.0004", {}),
        ("41", {"notional_min": D("4101"), "quantity_step": D("1"), "quantity_min": D("1")}),
    ],
)
@pytest.mark.parametrize("entries_open", [0, 1])
def test_a_whole_position_is_closed_to_the_last_digit_whatever_it_is_worth(
    share: str, contract: dict[str, Any], entries_open: int
) -> None:
    whole = position(quantity=D(share))
    plan = plan_exit(
        leaving(
            holding=holding(share=D(share), entries_open=entries_open),
            position=whole,
            instrument=instrument(**contract),
        )
    )
    assert isinstance(plan, ExitPlan)
    assert (plan.intent.quantity, plan.intent.whole_position, plan.leave, plan.carried) == (
        D(share),
        True,
        0,
        0,
    )


@pytest.mark.parametrize(
    ("share", "contract", "sent"),
    [
        ("2", {"quantity_min": D("3")}, "2"),
        ("2", {"notional_min": D("201")}, "2"),
        ("0.0004", {}, "0.0004"),
        ("2.0005", {}, "2"),
        ("2", {"quantity_max": D("0.5")}, "0.5"),
    ],
)
def test_all_that_is_ours_in_a_larger_position_is_asked_for_too(
    share: str, contract: dict[str, Any], sent: str
) -> None:
    plan = plan_exit(
        leaving(
            holding=holding(share=D(share)),
            position=position(quantity=D("9")),
            instrument=instrument(**contract),
        )
    )
    assert isinstance(plan, ExitPlan)
    assert (plan.intent.quantity, plan.intent.whole_position) == (D(sent), False)


@pytest.mark.parametrize(
    ("attempt", "share", "sent", "is_whole"),
    [(1, "1.2005", "1.2005", True), (2, "1.2005", "0.5", False), (4, "0.2005", "0.2005", True)],
)
def test_a_whole_position_above_the_largest_order_is_closed_in_parts_once_it_was_not_taken_as_one(
    attempt: int, share: str, sent: str, is_whole: bool
) -> None:
    plan = plan_exit(
        leaving(
            attempt=attempt,
            holding=holding(share=D(share)),
            position=position(quantity=D(share)),
            instrument=instrument(quantity_max=D("0.5")),
        )
    )
    assert isinstance(plan, ExitPlan)
    assert (plan.intent.quantity, plan.intent.whole_position, plan.leave) == (
        D(sent),
        is_whole,
        0,
    )


@pytest.mark.parametrize("contract", [None, instrument(notional_min=D("1000"))])
def test_a_reduce_that_comes_to_everything_closes_everything(contract: Any) -> None:
    reduce = signal(action=Action.REDUCE, size=SignalSize(SizeMode.FRACTION, fraction=D("0.5")))
    plan = plan_exit(leaving(signal=reduce, holding=holding(carried=D("1")), instrument=contract))
    assert isinstance(plan, ExitPlan)
    assert (plan.intent.quantity, plan.intent.whole_position, plan.leave) == (D("2"), True, 0)


def test_a_reduce_goes_on_with_what_is_large_enough_and_carries_the_rest() -> None:
    reduce = signal(action=Action.REDUCE, size=SignalSize(SizeMode.FRACTION, fraction=D("0.5")))
    rest = plan_exit(
        leaving(signal=reduce, leave=D("1.9995"), holding=holding(carried=D("0.0002")))
    )
    assert isinstance(rest, Carry)
    assert rest.carried == D("0.0007")
    done = plan_exit(leaving(signal=reduce, leave=D("2")))
    assert isinstance(done, Outcome)
    assert done.code is C.NOTHING_TO_DO
    assert "no more than 2 BTCUSDT is held" in done.sentence


def test_what_is_provably_ours_is_closed_while_another_entry_is_unknown() -> None:
    plan = plan_exit(leaving(holding=holding(entries_open=1)))
    assert isinstance(plan, ExitPlan)
    assert plan.intent.quantity == D("2")


def test_watching_age_and_a_missing_instrument_never_stop_an_exit() -> None:
    context = leaving(
        signal=close(age_s=86_400), subscription=subscription(mode=Mode.WATCH), instrument=None
    )
    plan = plan_exit(replace(context, holding=holding(share=D("0.1234567"))))
    assert isinstance(plan, ExitPlan)
    assert plan.intent.quantity == D("0.1234567")


def test_a_short_is_closed_by_buying() -> None:
    plan = plan_exit(
        leaving(
            holding=holding(side=SHORT), position=position(side=SHORT), signal=close(side=SHORT)
        )
    )
    assert isinstance(plan, ExitPlan)
    assert plan.intent.side is OrderSide.BUY


amounts = st.decimals("0", "50", places=4, allow_nan=False, allow_infinity=False)
sides = st.sampled_from([LONG, SHORT])
contexts = st.builds(
    leaving,
    signal=st.builds(
        close, side=st.none() | sides, is_test=st.sampled_from([False, False, False, True])
    ),
    holding=st.none()
    | st.builds(
        holding, side=sides, share=amounts, entries_open=st.integers(0, 2), detached=st.booleans()
    ),
    position=st.none()
    | st.builds(position, side=sides, quantity=amounts, mark_price=amounts, leverage=amounts),
    instrument=st.none()
    | st.builds(instrument, quantity_step=st.sampled_from([D("1"), D("0.003"), D("0.0001")])),
    outstanding=st.just(D("0")) | amounts,
    now=st.just(NOW),
)


@settings(max_examples=300)
@given(contexts)
def test_an_exit_never_passes_the_share_and_every_context_has_one_answer(
    context: ExitContext,
) -> None:
    answer = plan_exit(context)
    assert answer == plan_exit(context)
    if isinstance(answer, Outcome):
        assert "?" not in answer.sentence
    if not isinstance(answer, ExitPlan):
        return
    intent, held = answer.intent, context.holding
    assert held is not None
    assert 0 < intent.quantity <= held.share
    assert context.outstanding == 0
    assert intent.symbol == BTC
    assert intent.reduce_only
    assert intent.position_side is held.side
    assert (
        context.instrument is None
        or intent.whole_position
        or intent.quantity < context.instrument.quantity_step
        or EXACT.remainder(intent.quantity, context.instrument.quantity_step) == 0
    )
    if intent.whole_position:
        assert context.position is not None
        assert context.position.quantity == intent.quantity == held.share


def test_a_close_waits_for_a_person_where_an_exit_without_trace_may_have_closed_all_of_it() -> None:
    shared = leaving(position=position(quantity=D("3")), without_trace=D("2"))
    assert plan_exit(shared) == Wait(NO_TRACE)
    alone = leaving(position=position(quantity=D("2")), without_trace=D("2"))
    assert isinstance(plan_exit(alone), ExitPlan), "all of the position is ours"


def test_without_a_contract_nothing_is_known_to_be_below_a_minimum() -> None:
    assert not is_below_minimum(leaving(instrument=None), D("0.000001"))
