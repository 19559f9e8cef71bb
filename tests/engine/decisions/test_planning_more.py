"""Adding, reversing, reducing, protecting, sizing by equity and the loss limits: each decided from
values alone.
"""

from dataclasses import replace
from datetime import timedelta
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
    instrument,
    key,
    leaving,
    policy,
    position,
    report,
    signal,
    subscription,
    view,
)
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.planning import EntryPlan, Wait, plan_entry
from engine.decisions.planning_exits import Carry, ExitPlan, plan_exit
from engine.decisions.planning_protection import (
    LEVELS_NOT_KNOWN,
    ProtectionContext,
    ProtectionPlan,
    plan_protection,
    protection_words,
)
from engine.decisions.risk import trading_day
from engine.decisions.routing import legs
from engine.domain.account import EquityMarks, UnreadableRow
from engine.domain.amounts import plain
from engine.domain.errors import InvalidValue
from engine.domain.order import ProtectionOrder
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Action, PositionSide, SignalDraft, SignalSize, SizeMode
from engine.domain.subscription import (
    EquityShare,
    FixedMargin,
    LeverageMode,
    LeveragePolicy,
    RiskLimits,
    StopDistance,
    Subscription,
)

C = OutcomeCode


def adding(**changes: Any) -> Any:
    held = changes.pop("holding", holding(share=D("2")))
    at_exchange = changes.pop("position", position(quantity=D("2"), leverage=D("3")))
    leverage = changes.pop("leverage", None)
    account = view(
        holdings=() if held is None else (held,),
        report=report(() if at_exchange is None else (at_exchange,)),
    )
    return entry(
        signal=signal(action=Action.ADD, side=changes.pop("side", LONG), leverage=leverage),
        account=account,
        **changes,
    )


def test_an_add_keeps_the_position_s_leverage() -> None:
    plan = plan_entry(adding())
    assert isinstance(plan, EntryPlan)
    assert plan.intent.leverage == D("3")


@pytest.mark.parametrize("mode", [LeverageMode.CAPPED, LeverageMode.FIXED])
@pytest.mark.parametrize("asked", [None, D("5"), D("20")])
def test_an_add_is_sized_with_no_more_leverage_than_agreed(mode: LeverageMode, asked: Any) -> None:
    terms = subscription(leverage=LeveragePolicy(mode, D("5")))
    plan = plan_entry(
        adding(subscription=terms, position=position(leverage=D("20")), leverage=asked)
    )
    assert isinstance(plan, EntryPlan)
    assert plan.notional == D("250")  # as an open under these terms: 50 at 5x
    assert plan.intent.leverage == D("20")  # the exchange has one per position
    assert plan.margin == D("12.5")  # what the exchange takes for it


@pytest.mark.parametrize(
    ("held", "asked", "above"),
    [("20", "5", "20"), ("20", None, "20"), ("5", "6", "6"), ("5", "5", None), ("3", "5", None)],
)
def test_where_more_leverage_is_denied_an_add_to_a_position_above_it_is(
    held: str, asked: str | None, above: str | None
) -> None:
    plan = plan_entry(
        adding(
            subscription=subscription(leverage=LeveragePolicy(LeverageMode.FOLLOW, D("5"))),
            position=position(leverage=D(held)),
            leverage=None if asked is None else D(asked),
        )
    )
    if above is None:
        assert isinstance(plan, EntryPlan)
        assert plan.notional == 50 * D(held)
    else:
        assert isinstance(plan, Outcome)
        assert plan.code is C.DENIED_LEVERAGE
        assert plan.numbers == {"asked": above, "ceiling": "5"}


@given(
    st.sampled_from(LeverageMode),
    st.integers(1, 50),
    st.integers(1, 50),
    st.none() | st.integers(1, 50),
    st.sampled_from([FixedMargin(D("50")), EquityShare(D("0.05"))]),
)
def test_an_add_is_never_larger_than_an_open_under_the_same_terms(
    mode: LeverageMode, ceiling: int, held: int, asked: int | None, sizing: Any
) -> None:
    terms = subscription(leverage=LeveragePolicy(mode, D(str(ceiling))), sizing=sizing)
    leverage = None if asked is None else D(str(asked))
    opened = plan_entry(entry(signal=signal(leverage=leverage), subscription=terms))
    added = plan_entry(
        adding(subscription=terms, position=position(leverage=D(str(held))), leverage=leverage)
    )
    if isinstance(opened, EntryPlan) and isinstance(added, EntryPlan):
        assert added.notional <= opened.notional
    else:
        assert isinstance(added, Outcome)  # an add is denied where an open is


@pytest.mark.parametrize(
    ("context", "code"),
    [
        (adding(holding=None, position=None), C.SKIPPED_NOT_OPEN),
        (adding(side=SHORT), C.SKIPPED_OPPOSITE_HELD),
        (adding(holding=holding(strategy="s2")), C.SKIPPED_NOT_OPEN),
        (adding(position=position(quantity=D("2.5"))), C.SKIPPED_OWN_POSITION),
        (adding(limits=RiskLimits(symbol_notional=D("300"))), C.DENIED_SYMBOL_NOTIONAL),
    ],
)
def test_an_add_that_is_not_sent_says_why(context: Any, code: OutcomeCode) -> None:
    outcome = plan_entry(context)
    assert isinstance(outcome, Outcome)
    assert outcome.code is code
    assert "?" not in outcome.sentence


def test_an_add_waits_for_the_entry_before_it() -> None:
    assert isinstance(plan_entry(adding(holding=holding(entries_open=1))), Wait)


def test_a_reverse_waits_until_it_is_flat_and_stands_right_behind_its_own_exit() -> None:
    turned = signal(action=Action.REVERSE, side=SHORT)
    held = view(holdings=(holding(),), report=report((position(),)))
    assert isinstance(plan_entry(entry(signal=turned, account=held)), Wait)
    assert isinstance(plan_entry(entry(signal=turned, goal_key=turned.order_key)), EntryPlan)
    later = plan_entry(entry(signal=turned, goal_key=key(101)))
    assert isinstance(later, Outcome)
    assert later.code is C.SKIPPED_SUPERSEDED
    assert legs(Action.REVERSE) == ("exit", "entry")


def reducing(fraction: str, **changes: Any) -> Any:
    size = SignalSize(SizeMode.FRACTION, fraction=D(fraction))
    return leaving(signal=signal(action=Action.REDUCE, size=size), **changes)


def test_a_reduce_closes_its_fraction_floored_and_carries_the_rest() -> None:
    plan = plan_exit(reducing("0.33335", holding=holding(share=D("1.001"))))
    assert isinstance(plan, ExitPlan)
    assert (plan.intent.quantity, plan.leave) == (D("0.333"), D("0.668"))
    assert plan.carried == D("0.33368335") - D("0.333")
    assert not plan.intent.whole_position


def test_a_reduce_goes_on_towards_what_its_first_attempt_fixed() -> None:
    again = plan_exit(reducing("0.5", holding=holding(share=D("1.4")), leave=D("1")))
    assert isinstance(again, ExitPlan)
    assert again.intent.quantity == D("0.4")
    done = plan_exit(reducing("0.5", holding=holding(share=D("1")), leave=D("1")))
    assert isinstance(done, Outcome)
    assert done.code is C.NOTHING_TO_DO


def test_a_reduce_below_the_least_quantity_is_carried_whole() -> None:
    carry = plan_exit(reducing("0.1", holding=holding(share=D("0.004"), carried=D("0.0003"))))
    assert isinstance(carry, Carry)
    assert (carry.outcome.code, carry.carried) == (C.SKIPPED_CARRIED, D("0.0007"))
    assert "?" not in carry.outcome.sentence


def test_a_reduce_waits_for_an_entry_before_it() -> None:
    assert isinstance(plan_exit(reducing("0.5", holding=None, is_entering=True)), Wait)
    assert isinstance(
        plan_exit(reducing("0.5", holding=holding(share=D("0"), entries_open=1))), Wait
    )


def test_a_reduce_waits_until_the_steps_of_the_contract_are_known() -> None:
    assert isinstance(
        plan_exit(reducing("0.33335", holding=holding(share=D("1.001")), instrument=None)), Wait
    )


@given(st.lists(st.integers(1, 99), min_size=1, max_size=8), st.integers(1, 5000))
def test_however_often_it_is_reduced_no_more_is_closed_than_was_asked_for(
    percents: list[int], steps: int
) -> None:
    share = D("0.001") * steps
    exact, held = share, holding(share=share)
    for percent in percents:
        plan = plan_exit(reducing(str(D(percent) / 100), holding=held))
        exact = exact - held.share * D(percent) / 100
        if isinstance(plan, ExitPlan):
            assert plan.intent.quantity + plan.leave == held.share
            held = holding(share=plan.leave, carried=plan.carried)
        elif isinstance(plan, Carry):
            held = holding(share=held.share, carried=plan.carried)
        assert held.share - held.carried == exact or held.share == held.carried


@pytest.mark.parametrize("fraction", ["0", "1", "1.5"])
def test_a_fraction_is_between_nothing_and_everything(fraction: str) -> None:
    with pytest.raises(InvalidValue):
        SignalSize(SizeMode.FRACTION, fraction=D(fraction))


def protecting(**changes: Any) -> ProtectionContext:
    said = {
        name: changes.pop(name)
        for name in ("stop_loss", "take_profit", "no_stop_loss", "no_take_profit", "side")
        if name in changes
    }
    base: dict[str, Any] = {
        "signal": signal(action=Action.SET_PROTECTION, **(said or {"stop_loss": D("90")})),
        "holding": holding(stop_loss=D("80"), take_profit=D("150")),
        "position": None,
        "instrument": instrument(),
        "price": D("100"),
        "can_protect": True,
        "is_entering": False,
        "later": (),
    }
    return ProtectionContext(**(base | changes))


def later(**said: Any) -> SignalDraft:
    return signal(action=Action.SET_PROTECTION, **said).draft


def levels(context: ProtectionContext) -> tuple[ProtectionOrder, ProtectionOrder]:
    """The levels that the position gets, and those that the strategy wants."""
    plan = plan_protection(context)
    assert isinstance(plan, ProtectionPlan)
    return plan.order, plan.wants


def test_what_a_signal_does_not_name_stays() -> None:
    wanted = ProtectionOrder(BTC, LONG, D("90.1"), D("150"))
    assert levels(protecting(stop_loss=D("90.04"))) == (wanted, wanted)
    assert levels(protecting(no_take_profit=True))[0] == ProtectionOrder(BTC, LONG, D("80"), None)
    short = protecting(holding=holding(side=SHORT), stop_loss=D("110.04"), take_profit=D("90.04"))
    assert levels(short)[0] == ProtectionOrder(BTC, SHORT, D("110.0"), D("90.1"))
    assert "no target" in protection_words(ProtectionOrder(BTC, LONG, D("80"), None))


@pytest.mark.parametrize(
    ("side", "stands", "said", "order", "wants"),
    [
        (LONG, ("85", None), {"take_profit": "140"}, ("85", "140"), ("80", "140")),
        (LONG, (None, "120"), {"stop_loss": "90"}, ("90", "120"), ("90", "150")),
        (LONG, ("85", "120"), {"no_stop_loss": True}, (None, "120"), (None, "150")),
        (
            LONG,
            ("85", "120"),
            {"stop_loss": "90", "take_profit": "140"},
            ("90", "140"),
            ("90", "140"),
        ),
        (LONG, ("101", None), {"take_profit": "140"}, ("101", "140"), ("80", "140")),
        (LONG, (None, None), {"take_profit": "140"}, ("80", "140"), ("80", "140")),
        (SHORT, ("85", None), {"take_profit": "140"}, ("80", "140"), ("80", "140")),
    ],
    ids=[
        "the owner's stop",
        "the owner's target",
        "removed all the same",
        "both named",
        "what stands is not judged",
        "missing: as wanted",
        "the other side's",
    ],
)
def test_a_level_that_is_not_named_stays_as_the_owner_left_it(
    side: PositionSide,
    stands: tuple[str | None, str | None],
    said: dict[str, Any],
    order: tuple[str | None, str | None],
    wants: tuple[str | None, str | None],
) -> None:
    stop, target = (None if each is None else D(each) for each in stands)
    there = replace(position(side=side), stop_loss=stop, take_profit=target)
    named = {name: each if each is True else D(each) for name, each in said.items()}
    made = levels(protecting(position=there, **named))
    found = [
        tuple(None if each is None else plain(each) for each in (one.stop_loss, one.take_profit))
        for one in made
    ]
    assert found == [order, wants]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"holding": None}, C.NOTHING_TO_DO),
        ({"side": SHORT, "stop_loss": D("90")}, C.NOTHING_TO_DO),
        ({"later": (later(stop_loss=D("95")),)}, C.SKIPPED_SUPERSEDED),
        ({"later": (later(no_stop_loss=True),)}, C.SKIPPED_SUPERSEDED),
        ({"later": (later(stop_loss=D("95"), side=LONG),)}, C.SKIPPED_SUPERSEDED),
        (
            {
                "stop_loss": D("90"),
                "take_profit": D("140"),
                "later": (later(stop_loss=D("95")), later(no_take_profit=True)),
            },
            C.SKIPPED_SUPERSEDED,
        ),
        ({"holding": holding(entry_key=key(101))}, C.SKIPPED_SUPERSEDED),
        ({"can_protect": False}, C.SKIPPED_CANNOT_PROTECT),
        ({"stop_loss": D("100")}, C.DENIED_PROTECTION),
        ({"take_profit": D("99")}, C.DENIED_PROTECTION),
    ],
)
def test_protection_that_is_not_set_says_why(changes: dict[str, Any], code: OutcomeCode) -> None:
    outcome = plan_protection(protecting(**changes))
    assert isinstance(outcome, Outcome)
    assert outcome.code is code
    assert "?" not in outcome.sentence


@pytest.mark.parametrize(
    ("said", "afterwards", "order"),
    [
        ({"stop_loss": D("90")}, later(take_profit=D("130")), ("90", "150")),
        ({"stop_loss": D("90")}, later(stop_loss=D("95"), is_test=True), ("90", "150")),
        ({"stop_loss": D("90")}, later(stop_loss=D("105"), side=SHORT), ("90", "150")),
        ({"stop_loss": D("90"), "take_profit": D("140")}, later(stop_loss=D("95")), ("80", "140")),
        ({"no_stop_loss": True, "take_profit": D("140")}, later(stop_loss=D("95")), ("80", "140")),
        (
            {"stop_loss": D("90"), "take_profit": D("140")},
            later(no_take_profit=True),
            ("90", "150"),
        ),
    ],
)
def test_a_later_signal_replaces_an_earlier_one_in_what_it_names(
    said: dict[str, Any], afterwards: SignalDraft, order: tuple[str, str]
) -> None:
    made, wants = levels(protecting(**said, later=(afterwards,)))
    assert made == wants == ProtectionOrder(BTC, LONG, D(order[0]), D(order[1]))
    unknown = protecting(**said, later=(afterwards,), holding=holding())
    assert plan_protection(unknown) is LEVELS_NOT_KNOWN


@pytest.mark.parametrize(
    ("wants", "said", "waits"),
    [
        ((None, None), {"stop_loss": D("90")}, True),
        ((None, D("150")), {"stop_loss": D("90")}, False),
        ((None, D("150")), {"take_profit": D("140")}, True),
        ((None, None), {"stop_loss": D("90"), "take_profit": D("140")}, False),
        ((None, None), {"stop_loss": D("90"), "no_take_profit": True}, False),
    ],
)
def test_a_level_that_stays_and_is_not_known_is_not_removed(
    wants: tuple[Any, Any], said: dict[str, Any], waits: bool
) -> None:
    ours = holding(stop_loss=wants[0], take_profit=wants[1])
    plan = plan_protection(protecting(holding=ours, position=None, **said))
    assert (plan is LEVELS_NOT_KNOWN) == waits


def test_levels_of_another_position_are_not_kept_and_the_held_one_is_named() -> None:
    ours = holding(position_id="p1", stop_loss=D("80"))
    for there, stop in (("p1", "85"), ("", "85"), ("p2", "80")):
        shown = replace(position(), id=there, stop_loss=D("85"))
        order, _ = levels(protecting(holding=ours, position=shown, take_profit=D("140")))
        assert (order.position_id, order.stop_loss) == ("p1", D(stop))


def test_protection_waits_for_an_entry_that_has_not_filled() -> None:
    assert isinstance(plan_protection(protecting(holding=None, is_entering=True)), Wait)
    assert isinstance(
        plan_protection(protecting(holding=holding(share=D("0"), entries_open=1))), Wait
    )


def sized(sizing: Any, **changes: Any) -> Any:
    said = {"stop_loss": changes.pop("stop")} if "stop" in changes else {}
    return plan_entry(
        entry(
            signal=signal(**said),
            subscription=Subscription(
                id="sub", account="a1", strategy="s1", policy=policy(sizing=sizing)
            ),
            **changes,
        )
    )


def test_sizes_from_equity_and_from_the_distance_to_the_stop() -> None:
    assert sized(EquityShare(D("0.02"))).intent.quantity == D("1")  # 0.02 x 1000 x 5 / 100
    assert sized(StopDistance(D("0.01")), stop=D("95")).intent.quantity == D("2")  # 10 / 5
    assert sized(StopDistance(D("0.01"))).code is C.SKIPPED_NO_STOP


MARKS = EquityMarks(D("1100"), NOW - timedelta(hours=3), "Europe/Berlin", D("1250"))
DAYS_AGO = replace(MARKS, since=NOW - timedelta(days=9))
"""No day begins while the equity is not known."""


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (RiskLimits(daily_loss=D("100")), C.DENIED_DAILY_LOSS),
        (RiskLimits(drawdown_percent=20), C.DENIED_DRAWDOWN),
        (RiskLimits(daily_loss=D("100.01"), drawdown_percent=21), None),
    ],
)
def test_losses_are_capped_from_the_day_s_start_and_from_the_highest_equity(
    limits: RiskLimits, code: OutcomeCode | None
) -> None:
    answer = plan_entry(entry(limits=limits, day=MARKS))
    assert (answer.code if isinstance(answer, Outcome) else None) is code
    if isinstance(answer, Outcome):
        assert "?" not in answer.sentence


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (RiskLimits(daily_loss=D("100")), None),
        (RiskLimits(daily_loss=D("100"), drawdown_percent=20), C.DENIED_DRAWDOWN),
    ],
)
def test_the_loss_of_a_day_that_is_over_decides_nothing(
    limits: RiskLimits, code: OutcomeCode | None
) -> None:
    yesterday = EquityMarks(D("1100"), NOW - timedelta(hours=24), "Europe/Berlin", D("1250"))
    answer = plan_entry(entry(limits=limits, day=yesterday))
    assert (answer.code if isinstance(answer, Outcome) else None) is code


@pytest.mark.parametrize(
    ("changes", "denied"),
    [
        ({"limits": RiskLimits(daily_loss=D("1000")), "day": MARKS}, True),
        ({"limits": RiskLimits(drawdown_percent=90), "day": MARKS}, True),
        ({"limits": RiskLimits(daily_loss=D("1000")), "day": DAYS_AGO}, True),
        ({"subscription": subscription(sizing=EquityShare(D("0.02")))}, True),
        ({}, False),
    ],
)
def test_an_equity_that_lacks_a_position_decides_nothing(
    changes: dict[str, Any], denied: bool
) -> None:
    unread = replace(report(), unreadable=(UnreadableRow("position", "p", ETH, "?"),))
    answer = plan_entry(entry(account=view(report=unread), **changes))
    assert isinstance(answer, Outcome) == denied
    if isinstance(answer, Outcome):
        assert answer.code is C.DENIED_ACCOUNT_NOT_READY
        assert "ETHUSDT" in answer.sentence


def test_a_loss_limit_without_a_mark_fails_closed() -> None:
    outcome = plan_entry(entry(limits=RiskLimits(daily_loss=D("1"))))
    assert isinstance(outcome, Outcome)
    assert outcome.code is C.DENIED_ACCOUNT_NOT_READY


@pytest.mark.parametrize(
    ("side", "seen", "denied"),
    [(LONG, "99.4", True), (LONG, "99.5", False), (SHORT, "100.6", True), (SHORT, "99", False)],
)
def test_a_market_entry_is_denied_where_the_price_ran_away(
    side: Any, seen: str, denied: bool
) -> None:
    answer = plan_entry(
        entry(signal=signal(side=side, price=D(seen)), limits=RiskLimits(slippage_bps=51))
    )
    assert isinstance(answer, Outcome) is denied
    if isinstance(answer, Outcome):
        assert answer.code is C.DENIED_SLIPPAGE
        assert "?" not in answer.sentence


def test_the_trading_day_begins_at_midnight_of_its_zone() -> None:
    late = NOW.replace(hour=23, minute=30)
    assert trading_day(late, "UTC") != trading_day(late, "Europe/Berlin")
