"""Each check of an entry, alone and in its order; and what no entry may ever do, over random
accounts.
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
    pending,
    policy,
    position,
    report,
    row,
    signal,
    subscription,
    switch,
    view,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decisions.planning import (
    EntryContext,
    EntryPlan,
    Reading,
    Wait,
    last_line_entry,
    plan_entry,
)
from engine.decisions.risk import Unvalued, carried_in, total
from engine.domain.account import EquityMarks
from engine.domain.amounts import EXACT, notional
from engine.domain.identifiers import client_order_id
from engine.domain.order import OrderSide
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import OrderType, SignalSize, SizeMode
from engine.domain.subscription import (
    BelowMinimum,
    CopyPolicy,
    FixedMargin,
    FixedNotional,
    FixedQuantity,
    LeverageMode,
    LeveragePolicy,
    Mode,
    Multiplier,
    RiskLimits,
    StopDistance,
    SubscriptionState,
)
from engine.ports.market_data import Quote

C = OutcomeCode


def follow(ceiling: str) -> LeveragePolicy:
    return LeveragePolicy(LeverageMode.FOLLOW, D(ceiling))


def priced(last: str) -> Quote:
    return Quote(BTC, D(last), D(last), NOW)


MARKS = EquityMarks(D("1100"), NOW - timedelta(hours=3), "Europe/Berlin", D("1250"))

# In the order of the checks: each change makes exactly its own check apply. Later tests stack them
# to prove the order.
CHECKS: list[tuple[str, OutcomeCode, dict[str, Any]]] = [
    ("superseded", C.SKIPPED_SUPERSEDED, {"goal_key": key(100)}),
    (
        "expired",
        C.EXPIRED,
        {
            "now": NOW + timedelta(seconds=60),
            "quote": replace(priced("100"), at=NOW + timedelta(seconds=60)),
        },
    ),
    (
        "expired while it waited",
        C.EXPIRED_WAITING,
        {
            "now": NOW + timedelta(seconds=60),
            "is_exiting": True,
            "quote": replace(priced("100"), at=NOW + timedelta(seconds=60)),
        },
    ),
    ("entries off", C.SKIPPED_ENTRIES_OFF, {"switches": (switch(),)}),
    ("paused", C.SKIPPED_PAUSED, {"subscription": subscription(state=SubscriptionState.PAUSED)}),
    ("left", C.SKIPPED_LEFT, {"subscription": subscription(state=SubscriptionState.LEFT)}),
    (
        "terms changed",
        C.SKIPPED_CONSENT,
        {"subscription": subscription(state=SubscriptionState.CONSENT)},
    ),
    (
        "strategy off",
        C.SKIPPED_STRATEGY_OFF,
        {"subscription": subscription(state=SubscriptionState.STRATEGY_PAUSED)},
    ),
    (
        "not agreed",
        C.DENIED_SYMBOL_NOT_AGREED,
        {"subscription": subscription(symbols=frozenset({ETH}))},
    ),
    ("not ready", C.DENIED_ACCOUNT_NOT_READY, {"account": None}),
    (
        "detached",
        C.SKIPPED_DETACHED,
        {"account": view(holdings=(holding(share=D("0"), detached=True),))},
    ),
    ("already open", C.SKIPPED_ALREADY_OPEN, {"account": view(holdings=(holding(),))}),
    (
        "own entry flying",
        C.SKIPPED_ALREADY_OPEN,
        {"account": view(holdings=(holding(share=D("0"), entries_open=1),))},
    ),
    (
        "own entry only pending",
        C.SKIPPED_ALREADY_OPEN,
        {"account": view(pending=(pending(symbol=BTC),))},
    ),
    ("opposite held", C.SKIPPED_OPPOSITE_HELD, {"account": view(holdings=(holding(side=SHORT),))}),
    ("symbol held", C.SKIPPED_SYMBOL_HELD, {"account": view(holdings=(holding(strategy="s2"),))}),
    (
        "symbol about to be held",
        C.SKIPPED_SYMBOL_HELD,
        {"account": view(pending=(pending(symbol=BTC, strategy="s2"),))},
    ),
    ("own position", C.SKIPPED_OWN_POSITION, {"account": view(report=report((position(),)))}),
    (
        "own resting order",
        C.SKIPPED_OWN_POSITION,
        {"account": view(report=report((), (row(client_order_id=None),)))},
    ),
    (
        "own order with an id",
        C.SKIPPED_OWN_POSITION,
        {"account": view(report=report((), (row(client_order_id="mine-1"),)))},
    ),
    ("no instrument", C.DENIED_INSTRUMENT, {"instrument": None}),
    ("leverage out of range", C.DENIED_INSTRUMENT, {"instrument": instrument(leverage_max=D("2"))}),
    ("leverage below range", C.DENIED_INSTRUMENT, {"instrument": instrument(leverage_min=D("20"))}),
    (
        "limit below the step",
        C.DENIED_INSTRUMENT,
        {"signal": signal(order_type=OrderType.LIMIT, price=D("0.05")), "quote": priced("100")},
    ),
    (
        "leverage above the ceiling",
        C.DENIED_LEVERAGE,
        {"signal": signal(leverage=D("10")), "subscription": subscription(leverage=follow("5"))},
    ),
    ("no price", C.DENIED_PRICE_STALE, {"quote": None}),
    (
        "old price",
        C.DENIED_PRICE_STALE,
        {"quote": replace(priced("100"), at=NOW - timedelta(seconds=6))},
    ),
    (
        "price of another contract",
        C.DENIED_PRICE_STALE,
        {"quote": replace(priced("100"), symbol=ETH)},
    ),
    (
        "the price ran away",
        C.DENIED_SLIPPAGE,
        {"signal": signal(price=D("99")), "limits": RiskLimits(slippage_bps=100)},
    ),
    (
        "no stop to size by",
        C.SKIPPED_NO_STOP,
        {"subscription": subscription(sizing=StopDistance(D("0.01")))},
    ),
    (
        "no master quantity",
        C.SKIPPED_NO_MASTER_QUANTITY,
        {"subscription": subscription(sizing=Multiplier(D("1")))},
    ),
    (
        "below the minimum",
        C.SKIPPED_BELOW_MINIMUM,
        {"subscription": subscription(sizing=FixedMargin(D("0.01")))},
    ),
    (
        "below the least worth",
        C.SKIPPED_BELOW_MINIMUM,
        {"subscription": subscription(sizing=FixedNotional(D("4.99")))},
    ),
    ("too large an order", C.DENIED_INSTRUMENT, {"instrument": instrument(quantity_max=D("2"))}),
    ("stop above a long", C.DENIED_PROTECTION, {"signal": signal(stop_loss=D("100"))}),
    ("target below a long", C.DENIED_PROTECTION, {"signal": signal(take_profit=D("99.9"))}),
    ("stop below a short", C.DENIED_PROTECTION, {"signal": signal(side=SHORT, stop_loss=D("99"))}),
    (
        "target above a short",
        C.DENIED_PROTECTION,
        {"signal": signal(side=SHORT, take_profit=D("101"))},
    ),
    ("order cap", C.DENIED_ORDER_NOTIONAL, {"limits": RiskLimits(order_notional=D("249"))}),
    ("symbol cap", C.DENIED_SYMBOL_NOTIONAL, {"limits": RiskLimits(symbol_notional=D("249"))}),
    ("account cap", C.DENIED_ACCOUNT_NOTIONAL, {"limits": RiskLimits(account_notional=D("249"))}),
    ("margin cap", C.DENIED_ACCOUNT_MARGIN, {"limits": RiskLimits(account_margin=D("49"))}),
    (
        "open positions",
        C.DENIED_OPEN_POSITIONS,
        {"limits": RiskLimits(open_positions=1), "account": view(holdings=(holding(symbol=ETH),))},
    ),
    (
        "not valued",
        C.DENIED_ACCOUNT_NOT_READY,
        {
            "limits": RiskLimits(account_notional=D("9999")),
            "account": view(holdings=(holding(symbol=ETH),)),
        },
    ),
    ("daily loss", C.DENIED_DAILY_LOSS, {"limits": RiskLimits(daily_loss=D("100")), "day": MARKS}),
    ("drawdown", C.DENIED_DRAWDOWN, {"limits": RiskLimits(drawdown_percent=20), "day": MARKS}),
    ("no mark of equity", C.DENIED_ACCOUNT_NOT_READY, {"limits": RiskLimits(daily_loss=D("100"))}),
    ("balance", C.DENIED_BALANCE, {"account": view(report=report(available="50"))}),
    ("test", C.SKIPPED_TEST, {"signal": signal(is_test=True)}),
    ("watch", C.SKIPPED_WATCH_ONLY, {"subscription": subscription(mode=Mode.WATCH)}),
]


@pytest.mark.parametrize(
    ("code", "changes"), [each[1:] for each in CHECKS], ids=[each[0] for each in CHECKS]
)
def test_each_check_tells_its_own_outcome_in_a_whole_sentence(
    code: OutcomeCode, changes: dict[str, Any]
) -> None:
    outcome = plan_entry(entry(**changes))
    assert isinstance(outcome, Outcome)
    assert outcome.code is code
    assert "?" not in outcome.sentence


def test_every_outcome_an_entry_can_have_is_in_the_table_of_checks() -> None:
    later = {
        "residue",
        "placed",
        "filled",
        "partially_filled",
        "cancelled",
        "unknown",
        "not_confirmed",
        "not_executed",
        "killed",
    }
    later |= {"applied", "nothing_to_do"}
    others = {
        C.SKIPPED_NOTHING_TO_CLOSE,
        C.SKIPPED_CARRIED,
        C.SKIPPED_CANNOT_PROTECT,
        C.SKIPPED_NOT_OPEN,
    }
    planned = {
        each for each in OutcomeCode if each.value not in later and each.family != "rejected"
    } - others
    assert {each[1] for each in CHECKS} == planned


@pytest.mark.parametrize("first", range(len(CHECKS)), ids=[each[0] for each in CHECKS])
def test_the_earlier_check_is_told_when_a_later_one_applies_too(first: int) -> None:
    _, code, changes = CHECKS[first]
    for _, _, later in CHECKS[first + 1 :]:
        turns_side = "signal" in later and later["signal"].draft.side is not LONG
        if turns_side or set(later) & set(changes):
            # both change the same value, or the later one turns what the first is about: they
            # cannot be stacked
            continue
        outcome = plan_entry(entry(**(later | changes)))
        assert isinstance(outcome, Outcome)
        assert outcome.code is code


def test_an_entry_is_sized_by_margin_times_leverage_and_carries_the_copy_s_id() -> None:
    plan = plan_entry(
        entry(signal=signal(leverage=D("3"), stop_loss=D("90.04"), take_profit=D("120.06")))
    )
    assert isinstance(plan, EntryPlan)
    assert (plan.price, plan.notional, plan.margin) == (D("100"), D("150"), D("50"))
    intent = plan.intent
    assert intent.client_order_id == client_order_id("copy-1", 1)
    assert (intent.side, intent.quantity, intent.leverage) == (OrderSide.BUY, D("1.5"), D("3"))
    assert (intent.stop_loss, intent.take_profit) == (D("90.1"), D("120.0"))
    assert not intent.reduce_only
    assert not intent.whole_position


@pytest.mark.parametrize(
    ("mode", "asked", "used"),
    [
        (LeverageMode.CAPPED, "10", "5"),
        (LeverageMode.CAPPED, "3", "3"),
        (LeverageMode.CAPPED, None, "5"),
        (LeverageMode.FOLLOW, "4", "4"),
        (LeverageMode.FOLLOW, None, "5"),
        (LeverageMode.FIXED, "2", "5"),
        (LeverageMode.FIXED, "20", "5"),
    ],
)
def test_leverage_follows_the_policy_and_never_passes_what_was_agreed(
    mode: LeverageMode, asked: str | None, used: str
) -> None:
    draft = signal(leverage=None if asked is None else D(asked))
    plan = plan_entry(
        entry(signal=draft, subscription=subscription(leverage=LeveragePolicy(mode, D("5"))))
    )
    assert isinstance(plan, EntryPlan)
    assert plan.intent.leverage == D(used)


@pytest.mark.parametrize(
    ("sizing", "quantity"),
    [
        (FixedMargin(D("50")), "2.5"),
        (FixedNotional(D("77.77")), "0.777"),
        (FixedQuantity(D("0.1239")), "0.123"),
        (Multiplier(D("0.5")), "0.35"),
    ],
)
def test_each_sizing_floors_to_the_step(sizing: Any, quantity: str) -> None:
    draft = signal(size=SignalSize(SizeMode.QUANTITY, D("0.7")))
    plan = plan_entry(entry(signal=draft, subscription=subscription(sizing=sizing)))
    assert isinstance(plan, EntryPlan)
    assert plan.intent.quantity == D(quantity)


@pytest.mark.parametrize(
    ("side", "limit", "sized_at", "sent_limit"),
    [
        (LONG, "90.19", "90.1", "90.1"),
        (LONG, "110", "110", "110"),
        (SHORT, "110.01", "110.1", "110.1"),
        (SHORT, "50", "100", "50"),
    ],
)
def test_a_limit_entry_is_sized_at_the_highest_price_it_can_cost(
    side: Any, limit: str, sized_at: str, sent_limit: str
) -> None:
    plan = plan_entry(entry(signal=signal(side=side, order_type=OrderType.LIMIT, price=D(limit))))
    assert isinstance(plan, EntryPlan)
    assert (plan.price, plan.intent.limit_price) == (D(sized_at), D(sent_limit))
    assert plan.notional <= 250


def test_a_long_limit_beyond_the_market_is_protected_against_the_market_price() -> None:
    draft = signal(order_type=OrderType.LIMIT, price=D("200"), stop_loss=D("150"))
    outcome = plan_entry(entry(signal=draft))
    assert isinstance(outcome, Outcome)
    assert outcome.code is C.DENIED_PROTECTION


def test_a_size_below_the_minimum_is_lifted_where_the_policy_says_so_and_every_cap_still_holds() -> (
    None
):
    lifting = subscription(sizing=FixedNotional(D("1")), below_minimum=BelowMinimum.LIFT)
    plan = plan_entry(entry(subscription=lifting))
    assert isinstance(plan, EntryPlan)
    assert (plan.intent.quantity, plan.notional) == (D("0.05"), D("5"))
    denied = plan_entry(entry(subscription=lifting, limits=RiskLimits(order_notional=D("4.99"))))
    assert isinstance(denied, Outcome)
    assert denied.code is C.DENIED_ORDER_NOTIONAL


def test_a_skipped_small_size_names_the_size_it_came_to_and_the_minimum() -> None:
    outcome = plan_entry(entry(subscription=subscription(sizing=FixedNotional(D("0.04")))))
    assert isinstance(outcome, Outcome)
    assert outcome.sentence == (
        "The size came to 0.0004 BTCUSDT (about 0.04 USDT), below the exchange's minimum of 0.05."
    )


def test_watching_tells_the_size_but_a_limit_that_would_deny_is_told_as_that_denial() -> None:
    watching = subscription(mode=Mode.WATCH)
    told = plan_entry(entry(subscription=watching))
    assert isinstance(told, Outcome)
    assert told.sentence == "Watch only: LONG 2.5 BTCUSDT would have been sent (about 250.00 USDT)."
    denied = plan_entry(entry(subscription=watching, limits=RiskLimits(order_notional=D("10"))))
    assert isinstance(denied, Outcome)
    assert denied.code is C.DENIED_ORDER_NOTIONAL


def test_a_test_signal_on_a_watching_account_is_told_as_a_test() -> None:
    outcome = plan_entry(
        entry(signal=signal(is_test=True), subscription=subscription(mode=Mode.WATCH))
    )
    assert isinstance(outcome, Outcome)
    assert outcome.code is C.SKIPPED_TEST


def test_the_owner_may_allow_entries_beside_a_position_of_their_own() -> None:
    theirs = view(report=report((position(),), (row(client_order_id=None),)))
    plan = plan_entry(entry(account=theirs, subscription=subscription(allow_own_position=True)))
    assert isinstance(plan, EntryPlan)


def test_no_entry_is_made_against_a_position_of_the_owner_s() -> None:
    theirs = view(report=report((position(side=SHORT),)))
    plan = plan_entry(entry(account=theirs, subscription=subscription(allow_own_position=True)))
    assert isinstance(plan, Outcome)
    assert plan.code is C.SKIPPED_OWN_POSITION
    assert "SHORT" in plan.sentence


def test_our_own_resting_order_is_not_taken_for_the_owner_s() -> None:
    assert isinstance(plan_entry(entry(account=view(report=report((), (row(),))))), EntryPlan)


def test_what_another_strategy_once_held_and_closed_does_not_stand_in_the_way() -> None:
    past = (holding(strategy="s2", share=D("0"), detached=True),)
    assert isinstance(plan_entry(entry(account=view(holdings=past))), EntryPlan)


def test_exactly_at_every_cap_is_inside_it() -> None:
    limits = RiskLimits(D("250"), D("250"), D("250"), D("50"), 1, 10)
    assert isinstance(plan_entry(entry(limits=limits)), EntryPlan)
    at_age_limit = entry(limits=limits, now=NOW + timedelta(seconds=9), price_age_s=9)
    assert isinstance(plan_entry(at_age_limit), EntryPlan)


def test_holdings_and_pending_entries_count_towards_the_account_s_caps() -> None:
    # ETH: share 3 of which the report shows 2 at 100, the third is what the pending entry of 1
    # already brought.
    account = view(
        report=report((position(symbol=ETH),)),
        holdings=(holding(symbol=ETH, share=D("3")),),
        pending=(pending(symbol=ETH),),
    )
    assert isinstance(
        plan_entry(entry(account=account, limits=RiskLimits(account_notional=D("550")))), EntryPlan
    )
    denied = plan_entry(entry(account=account, limits=RiskLimits(account_notional=D("549"))))
    assert isinstance(denied, Outcome)
    assert denied.numbers["notional"] == "550"
    tight = plan_entry(entry(account=account, limits=RiskLimits(account_margin=D("109"))))
    assert isinstance(tight, Outcome)
    assert tight.numbers["margin"] == "110"


def test_margin_and_fee_of_pending_entries_are_not_free_any_more() -> None:
    account = view(
        report=report(available="70.175"), pending=(pending(margin=D("20"), notional=D("100")),)
    )
    assert isinstance(plan_entry(entry(account=account)), EntryPlan)
    short = replace(account, report=report(available="70.1749"))
    denied = plan_entry(entry(account=short))
    assert isinstance(denied, Outcome)
    assert denied.numbers == {"needed": "50.125", "available": "50.1249", "currency": "USDT"}


def test_what_the_exchange_reserved_for_a_resting_entry_is_not_taken_off_again() -> None:
    resting = pending(margin=D("20"), notional=D("100"), is_reserved=True)
    account = view(report=report(available="50.125"), pending=(resting,))
    assert isinstance(plan_entry(entry(account=account)), EntryPlan)
    short = replace(account, report=report(available="50.1249"))
    denied = plan_entry(entry(account=short))
    assert isinstance(denied, Outcome)
    assert denied.numbers == {"needed": "50.125", "available": "50.1249", "currency": "USDT"}


@given(st.integers(0, 5), st.integers(1, 5), st.data())
def test_an_entry_that_is_filling_counts_once_in_the_caps(
    before: int, ordered: int, data: st.DataObject
) -> None:
    filled = data.draw(st.integers(0, ordered))
    shown = before + data.draw(st.integers(0, filled))  # the reading may lag behind the ledger
    share = holding(share=D(str(before + filled)), entries_open=1)
    carried = carried_in(
        BTC,
        (share,),
        report((position(quantity=D(str(shown)), leverage=D("5")),) if shown else ()),
        (
            pending(
                symbol=BTC,
                quantity=D(str(ordered)),
                notional=D(str(100 * ordered)),
                margin=D(str(20 * ordered)),
                filled=D(str(filled)),
            ),
        ),
    )
    whole = before + ordered
    if isinstance(carried, Unvalued):
        assert shown == 0
        assert before > 0
    else:
        assert 100 * whole <= carried.notional < 100 * whole + D("0.001")
        assert 20 * whole <= carried.margin < 20 * whole + D("0.001")


def test_the_stricter_age_holds_and_the_age_is_never_shown_below_the_limit() -> None:
    outcome = plan_entry(entry(signal=signal(age_s=3.01), limits=RiskLimits(entry_age_s=3)))
    assert isinstance(outcome, Outcome)
    assert outcome.numbers == {"age_s": "3.1", "limit_s": "3"}


def test_the_last_line_repeats_what_may_have_changed_since_planning() -> None:
    fresh = signal()
    assert last_line_entry(fresh, key(99), (), 10, NOW) is None
    superseded = last_line_entry(fresh, key(101), (switch(),), 0, NOW)
    assert superseded is not None
    assert superseded.code is C.SKIPPED_SUPERSEDED
    expired = last_line_entry(fresh, "", (switch(),), 0, NOW)
    assert expired is not None
    assert expired.code is C.EXPIRED
    off = last_line_entry(fresh, "", (switch(note=""),), 10, NOW)
    assert off is not None
    assert off.sentence == "New entries are switched off for everything: no note was left"


# Properties over random, valid accounts.


def amounts(low: str, high: str, places: int = 3) -> st.SearchStrategy[Any]:
    return st.decimals(low, high, places=places, allow_nan=False, allow_infinity=False)


money = amounts("0.001", "5000")
ratios = amounts("0.01", "100", 2)
sides = st.sampled_from([LONG, SHORT])
sizings = st.one_of(
    st.builds(FixedMargin, money),
    st.builds(FixedNotional, money),
    st.builds(FixedQuantity, money),
    st.builds(Multiplier, ratios),
)
caps = st.none() | amounts("1", "20000")
limits_of = st.builds(
    RiskLimits,
    caps,
    caps,
    caps,
    caps,
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 20),
)
policies = st.builds(
    CopyPolicy,
    mode=st.sampled_from(Mode),
    sizing=sizings,
    leverage=st.builds(LeveragePolicy, st.sampled_from(LeverageMode), ratios),
    symbols=st.sampled_from([frozenset({BTC}), frozenset({BTC, ETH}), frozenset({ETH})]),
    below_minimum=st.sampled_from(BelowMinimum),
    allow_own_position=st.booleans(),
)
steps = st.sampled_from([D("1"), D("0.5"), D("0.1"), D("0.003"), D("0.001"), D("0.00001")])
instruments = st.builds(
    instrument,
    price_step=steps,
    quantity_step=steps,
    quantity_min=amounts("0.001", "3"),
    quantity_max=amounts("3", "100000"),
    notional_min=amounts("0", "20"),
    leverage_min=amounts("0.1", "2", 1),
    leverage_max=amounts("2", "125", 0),
)
levels = st.none() | amounts("0.01", "3000", 2)
drafts = st.builds(
    signal,
    side=sides,
    price=amounts("0.01", "3000", 2),
    order_type=st.sampled_from(OrderType),
    leverage=st.none() | ratios,
    stop_loss=levels,
    take_profit=levels,
    is_test=st.booleans(),
    size=st.just(SignalSize()) | st.builds(SignalSize, st.just(SizeMode.QUANTITY), money),
    age_s=st.integers(0, 12),
)
symbols = st.sampled_from([BTC, ETH, "SOLUSDT", "XRPUSDT"])
strategies = st.sampled_from(["s1", "s2"])
holdings_of = st.lists(
    st.builds(
        holding,
        symbol=symbols,
        strategy=strategies,
        side=sides,
        share=amounts("0", "50"),
        entries_open=st.integers(0, 2),
        detached=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda each: each.symbol,
)
positions_of = st.lists(
    st.builds(
        position,
        symbol=symbols,
        side=sides,
        quantity=amounts("0", "50"),
        mark_price=money,
        entry_price=money,
        leverage=ratios,
    ),
    max_size=4,
    unique_by=lambda each: each.symbol,
)
pendings = st.lists(
    st.builds(
        pending,
        symbol=symbols,
        strategy=strategies,
        side=sides,
        quantity=money,
        notional=money,
        margin=money,
    ),
    max_size=4,
)
orders_of = st.lists(
    st.builds(
        row,
        client_order_id=st.sampled_from([None, "mine", client_order_id("x", 1)]),
        symbol=symbols,
    ),
    max_size=2,
)


@st.composite
def accounts(draw: st.DrawFn) -> Any:
    held = report(
        tuple(draw(positions_of)), tuple(draw(orders_of)), str(draw(amounts("0", "10000")))
    )
    return view(report=held, holdings=tuple(draw(holdings_of)), pending=tuple(draw(pendings)))


quotes = st.builds(
    Quote, st.just(BTC), money, money, st.sampled_from([NOW, NOW - timedelta(seconds=7)])
)
contexts = st.builds(
    entry,
    signal=drafts,
    subscription=st.builds(lambda chosen: replace(subscription(), policy=chosen), policies),
    account=st.none() | accounts() | st.just(view()),
    instrument=st.none() | instruments,
    quote=st.none() | quotes,
    limits=limits_of,
    switches=st.sampled_from([(), (), (), (switch(),)]),
    goal_key=st.sampled_from(["", key(1), key(100), key(101)]),
    fee_bps=amounts("0", "20", 1),
)
# Mostly free of refusals, so that plans are common and the properties of plans are really tried.
open_contexts = st.builds(
    entry,
    signal=st.builds(
        signal,
        side=sides,
        leverage=st.none() | ratios,
        size=st.just(SignalSize(SizeMode.QUANTITY, D("3.3"))),
    ),
    subscription=st.builds(
        lambda sizing, value, mode, below: subscription(
            sizing=sizing, leverage=LeveragePolicy(mode, value), below_minimum=below
        ),
        sizings,
        ratios,
        st.sampled_from(LeverageMode),
        st.sampled_from(BelowMinimum),
    ),
    account=st.builds(lambda free: view(report=report(available=str(free))), amounts("0", "10000")),
    instrument=st.builds(
        instrument,
        quantity_step=steps,
        leverage_min=st.just(D("0.01")),
        leverage_max=st.just(D("100")),
    ),
    quote=st.builds(Quote, st.just(BTC), money, money, st.just(NOW)),
    limits=st.just(RiskLimits()) | st.builds(RiskLimits, caps, caps, caps, caps),
)


@settings(max_examples=300)
@given(contexts)
def test_any_valid_context_has_an_answer_and_the_same_one_twice(context: EntryContext) -> None:
    answer = plan_entry(context)
    assert answer == plan_entry(context)
    if isinstance(answer, Outcome):
        assert "?" not in answer.sentence
        assert not any(
            "E" in number and number.replace(".", "").replace("E", "").isdigit()
            for number in answer.numbers.values()
        )


def agreed_worth(context: EntryContext, leverage: Any, price: Any) -> Any:
    match context.subscription.policy.sizing:
        case FixedMargin(margin):
            return EXACT.multiply(margin, leverage)
        case FixedNotional(worth):
            return worth
        case FixedQuantity(quantity):
            return notional(price, quantity)
        case Multiplier(factor):
            quantity = context.signal.draft.size.quantity
            return (
                notional(price, EXACT.multiply(factor, quantity)) if quantity is not None else None
            )


@settings(max_examples=400)
@given(contexts | open_contexts | open_contexts)
def test_a_plan_is_a_whole_number_of_steps_inside_every_cap_and_never_worth_more_than_agreed(
    context: EntryContext,
) -> None:
    plan = plan_entry(context)
    if not isinstance(plan, EntryPlan):
        return
    limits, instrument_, chosen = context.limits, context.instrument, context.subscription.policy
    assert instrument_ is not None
    assert context.account is not None
    assert EXACT.remainder(plan.intent.quantity, instrument_.quantity_step) == 0
    assert instrument_.quantity_min <= plan.intent.quantity <= instrument_.quantity_max
    assert plan.notional >= instrument_.notional_min
    assert plan.notional == notional(plan.price, plan.intent.quantity)
    assert plan.intent.leverage <= chosen.leverage.value
    if chosen.below_minimum is BelowMinimum.SKIP:
        assert plan.notional <= agreed_worth(context, plan.intent.leverage, plan.price)
    pending_worth = total(*(each.notional for each in context.account.pending))
    for cap in (limits.order_notional, limits.symbol_notional):
        assert cap is None or plan.notional <= cap
    assert (
        limits.account_notional is None or plan.notional + pending_worth <= limits.account_notional
    )
    pending_margin = total(*(each.margin for each in context.account.pending))
    assert limits.account_margin is None or plan.margin + pending_margin <= limits.account_margin
    assert plan.margin + pending_margin <= context.account.report.balance.available


def test_random_open_contexts_do_reach_plans() -> None:
    seen = []

    @settings(max_examples=100, database=None, derandomize=True)
    @given(open_contexts)
    def collect(context: EntryContext) -> None:
        seen.append(isinstance(plan_entry(context), EntryPlan))

    collect()
    assert sum(seen) > 5


@settings(max_examples=80)
@given(
    caps,
    caps,
    st.none() | st.integers(1, 6),
    amounts("0", "1000"),
    st.lists(amounts("5", "200"), min_size=1, max_size=10),
)
def test_a_burst_of_pending_entries_never_passes_a_cap_together(
    worth: Any, margin: Any, count: Any, free: Any, sizes: list[Any]
) -> None:
    limits = RiskLimits(account_notional=worth, account_margin=margin, open_positions=count)
    flying: tuple[Any, ...] = ()
    names = frozenset(f"C{n:03}USDT" for n in range(len(sizes)))
    for n, size in enumerate(sizes):
        symbol = f"C{n:03}USDT"
        context = entry(
            signal=signal(symbol=symbol),
            subscription=replace(
                subscription(), policy=policy(symbols=names, sizing=FixedMargin(size))
            ),
            instrument=instrument(symbol=symbol),
            quote=Quote(symbol, D("10"), D("10"), NOW),
            account=view(report=report(available=str(free)), pending=flying),
            limits=limits,
        )
        plan = plan_entry(context)
        if isinstance(plan, EntryPlan):
            sent = plan.intent
            flying += (
                pending(
                    symbol=symbol,
                    quantity=sent.quantity,
                    notional=plan.notional,
                    margin=plan.margin,
                ),
            )
    assert worth is None or total(*(each.notional for each in flying)) <= worth
    assert margin is None or total(*(each.margin for each in flying)) <= margin
    assert count is None or len(flying) <= count
    assert (
        total(*(each.margin for each in flying), *(each.notional * D("0.0005") for each in flying))
        <= free
    )


@pytest.mark.parametrize(
    ("changes", "reads"),
    [
        ({"is_exiting": True}, False),
        ({"is_exiting": True, "account": view(holdings=(holding(side=SHORT),))}, False),
        ({"is_exiting": True, "account": view(holdings=(holding(),))}, False),
        (
            {"is_exiting": True, "account": view(holdings=(holding(share=D("0"), detached=True),))},
            False,
        ),
        ({"here": Reading.BEFORE}, True),
        ({"here": Reading.BEFORE, "account": view(report=report((position(),)))}, True),
        ({"here": Reading.SOON_AFTER, "account": view(report=report((position(),)))}, True),
        ({"anywhere": Reading.SOON_AFTER, "account": view(report=report(available="1"))}, True),
        (
            {
                "anywhere": Reading.BEFORE,
                "account": view(pending=(pending(),)),
                "limits": RiskLimits(open_positions=1),
            },
            True,
        ),
    ],
)
def test_an_entry_waits_for_the_exit_before_it_and_for_a_reading_that_shows_what_it_left(
    changes: dict[str, Any], reads: bool
) -> None:
    planned = plan_entry(entry(**changes))
    assert isinstance(planned, Wait)
    assert planned.reads is reads


@pytest.mark.parametrize(
    "changes",
    [
        {"here": Reading.SOON_AFTER},
        {"anywhere": Reading.BEFORE},
        {"here": Reading.SOON_AFTER, "anywhere": Reading.SOON_AFTER},
    ],
)
def test_a_reading_that_cannot_be_wrong_about_this_entry_is_not_waited_for(
    changes: dict[str, Any],
) -> None:
    assert isinstance(plan_entry(entry(**changes)), EntryPlan)


def test_an_order_that_is_too_large_alone_is_denied_at_once_after_an_exit_too() -> None:
    planned = plan_entry(entry(anywhere=Reading.BEFORE, limits=RiskLimits(order_notional=D("1"))))
    assert isinstance(planned, Outcome)
    assert planned.code is C.DENIED_ORDER_NOTIONAL


def test_what_it_waited_for_is_told_when_it_is_too_late() -> None:
    late = {
        "now": NOW + timedelta(seconds=60),
        "waited_for": "the account was not read since our last exit",
    }
    planned = plan_entry(entry(**late))
    assert isinstance(planned, Outcome)
    assert planned.code is C.EXPIRED_WAITING
    assert (
        "because the account was not read since our last exit, until it was too late"
        in planned.sentence
    )


def test_what_came_too_late_is_not_told_to_have_waited() -> None:
    """An alert that fired long ago, while an exit is under way."""
    asked = entry(waited_for="an exit is under way", now=NOW + timedelta(seconds=60))
    came_late = replace(asked.signal, received_at=asked.signal.decided_at + timedelta(seconds=59))
    planned = plan_entry(replace(asked, signal=came_late))
    assert isinstance(planned, Outcome)
    assert planned.code is C.EXPIRED
