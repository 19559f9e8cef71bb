"""What terms mean now, and presets that are never absurd."""

from dataclasses import replace
from decimal import Decimal

import pytest
from decision_builders import NOW
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.meaning import (
    PRESETS,
    MostInUse,
    entries_now,
    most_in_use,
    one_each,
    preset_terms,
)
from engine.decisions.preflight import SymbolNeed
from engine.decisions.terms import TermsFacts, warn_of_terms
from engine.domain.account import AccountReport, Balance
from engine.domain.amounts import Money, Price, Quantity, Ratio
from engine.domain.identifiers import Symbol
from engine.domain.instrument import Instrument
from engine.domain.subscription import (
    BelowMinimum,
    CopyPolicy,
    Mode,
    RiskLimits,
    parse_leverage,
    parse_limits,
    parse_sizing,
)
from engine.ports.market_data import Quote
from engine.views import Lack

D = Decimal
PRICES = {"BTCUSDT": D(65_000), "ETHUSDT": D(3_000)}


def facts_of(policy: CopyPolicy, worth: str | None = "1000") -> TermsFacts:
    def need(symbol: Symbol) -> SymbolNeed:
        price = Price(PRICES[symbol])
        contract = Instrument(
            symbol,
            Price(D("0.1")),
            Quantity(D("0.001")),
            Quantity(D("0.001")),
            Quantity(D(100)),
            Money(D(5)),
            Ratio(D(1)),
            Ratio(D(125)),
        )
        return SymbolNeed(symbol, "trend", policy, contract, Quote(symbol, price, price, NOW))

    balance = None if worth is None else Balance(Money(D(worth)), Money(D(worth)), "USDT")
    return TermsFacts(
        policy=policy,
        asked=Ratio(D(5)),
        needs=[need(each) for each in sorted(policy.symbols)],
        report=None if balance is None else AccountReport(balance, (), (), NOW),
        operator=RiskLimits(),
        fee_bps=Ratio(D("5.5")),
        entry_age_s=10,
    )


def terms(size: dict[str, str], *, lift: bool = False, **limits: object) -> CopyPolicy:
    return CopyPolicy(
        Mode.LIVE,
        parse_sizing(size),
        parse_leverage("5"),
        frozenset(Symbol(each) for each in PRICES),
        parse_limits(limits),
        BelowMinimum.LIFT if lift else BelowMinimum.SKIP,
    )


def margin(of: str) -> dict[str, str]:
    return {"mode": "fixed_margin", "margin": of}


def test_an_entry_is_told_with_value_margin_and_share_of_the_account() -> None:
    btc, eth = entries_now(facts_of(terms(margin("26"))))
    assert (btc.symbol, btc.value, btc.margin, btc.percent) == ("BTCUSDT", 130, 26, D("2.60"))
    assert (btc.smallest, btc.trades, eth.smallest) == (65, True, 6)


def test_what_is_below_the_smallest_never_trades_unless_it_is_lifted() -> None:
    btc, eth = entries_now(facts_of(terms(margin("5"))))
    assert (btc.trades, eth.trades) == (False, True)
    lifted, _ = entries_now(facts_of(terms(margin("5"), lift=True)))
    assert (lifted.trades, lifted.value, lifted.margin) == (True, 65, 13)


@pytest.mark.parametrize(
    ("limits", "positions", "total"),
    [
        ({}, 2, D(52)),
        ({"open_positions": 1}, 1, D(26)),
        ({"open_positions": 9}, 2, D(52)),
        ({"account_margin": "40"}, 2, D(52)),
    ],
)
def test_one_entry_in_each_contract_is_told_for_as_many_as_may_be_open(
    limits: dict[str, object], positions: int, total: Decimal
) -> None:
    facts = facts_of(terms(margin("26"), **limits))
    one = one_each(facts, entries_now(facts))
    assert one is not None
    assert one.positions == positions
    assert abs(one.total - total) < 1, "an order is rounded down to the step"
    assert one.percent == (one.total / 10).quantize(D("0.01"))


def test_only_a_limit_of_margin_says_what_is_most_in_use_because_adds_take_more() -> None:
    assert most_in_use(facts_of(terms(margin("26"), open_positions=1))) is None
    most = most_in_use(facts_of(terms(margin("26"), account_margin="200")))
    assert most == MostInUse(total=D(200), percent=D("20.00"))
    place = replace(
        facts_of(terms(margin("26"), account_margin="200"), None),
        operator=RiskLimits(account_margin=Money(D(150))),
    )
    assert most_in_use(place) == MostInUse(total=D(150), percent=None)


@pytest.mark.parametrize(
    ("size", "worth", "changes", "lacks"),
    [
        (margin("26"), "1000", {"quote": None}, Lack.PRICE),
        (margin("26"), "1000", {"instrument": None}, Lack.CONTRACT),
        ({"mode": "equity_share", "share": "0.1"}, None, {}, Lack.READING),
        ({"mode": "multiplier", "factor": "1"}, "1000", {}, Lack.SIGNAL),
        ({"mode": "stop_distance", "risk": "0.1"}, None, {}, Lack.SIGNAL),
    ],
)
def test_a_size_that_is_not_known_says_what_it_lacks(
    size: dict[str, str], worth: str | None, changes: dict[str, object], lacks: Lack
) -> None:
    facts = facts_of(terms(size), worth)
    btc, eth = facts.needs
    facts = replace(facts, needs=[btc, replace(eth, **changes)])
    entries = entries_now(facts)
    assert (entries[1].value, entries[1].lacks) == (None, lacks)
    assert one_each(facts, entries) is None


def test_where_nothing_trades_there_is_no_sum() -> None:
    facts = facts_of(terms(margin("0.01")))
    entries = entries_now(facts)
    assert [(each.trades, each.lacks) for each in entries] == [(False, None), (False, None)]
    assert one_each(facts, entries) is None


@given(st.sampled_from(PRESETS), st.integers(900, 10_000_000), st.integers(1, 125))
def test_a_preset_trades_without_a_warning_and_within_the_account(
    name: str, worth: int, asked: int
) -> None:
    policy = preset_terms(
        name,
        symbols=frozenset({Symbol("ETHUSDT")}),
        asked=Ratio(D(asked)),
        worth=Money(D(worth)),
        entry_age_s=10,
    )
    facts = facts_of(policy, str(worth))
    assert policy.mode is Mode.WATCH
    assert policy.leverage.value <= asked
    warnings = [each for each in warn_of_terms(facts) if each.field != "leverage"]
    assert [each for each in warnings if "largest order" not in each.sentence] == []
    one, most = one_each(facts, entries_now(facts)), most_in_use(facts)
    assert one is not None
    assert most is not None
    assert one.total <= most.total == policy.limits.account_margin <= worth / 2  # type: ignore[operator]


def test_without_a_reading_a_preset_has_no_limit_in_money() -> None:
    for worth in (None, Money(D(0)), Money(D("-3"))):
        policy = preset_terms(
            "careful",
            symbols=frozenset({Symbol("ETHUSDT")}),
            asked=Ratio(D(5)),
            worth=worth,
            entry_age_s=10,
        )
        assert (policy.limits.daily_loss, policy.limits.account_margin) == (None, None)
        assert policy.limits.open_positions == 3
