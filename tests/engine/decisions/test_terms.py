"""Warnings about terms: unreasonable ones always get one, ordinary ones never do."""

from decimal import Decimal

import pytest
from decision_builders import NOW
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.preflight import SymbolNeed
from engine.decisions.terms import TermsFacts, TermsWarning, least_size, warn_of_terms
from engine.domain.account import AccountReport, Balance
from engine.domain.amounts import Money, Price, Quantity, Ratio, plain
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

BTC = Symbol("BTCUSDT")
D = Decimal
NO_LIMITS = RiskLimits()
CONTRACT = Instrument(
    BTC,
    Price(D("0.1")),
    Quantity(D("0.001")),
    Quantity(D("0.001")),
    Quantity(D("100")),
    Money(D("5")),
    Ratio(D("1")),
    Ratio(D("125")),
)


def told(
    size: dict[str, str],
    leverage: object = "5",
    *,
    price: str = "65000",
    worth: str | None = "1000",
    free: str | None = None,
    limits: dict[str, object] | None = None,
    operator: RiskLimits = NO_LIMITS,
    lift: bool = False,
    contract: Instrument | None = CONTRACT,
    is_known: bool = True,
) -> dict[str, str]:
    """Return the warnings by field for an account of that equity."""
    policy = CopyPolicy(
        Mode.LIVE,
        parse_sizing(size),
        parse_leverage(leverage),
        frozenset([BTC]),
        parse_limits(limits or {}),
        BelowMinimum.LIFT if lift else BelowMinimum.SKIP,
    )
    quote = None if not price else Quote(BTC, Price(D(price)), Price(D(price)), NOW)
    report = (
        None
        if worth is None
        else AccountReport(Balance(Money(D(free or worth)), Money(D(worth))), (), (), NOW)
    )
    need = SymbolNeed(BTC, "trend", policy, contract, quote, is_known)
    found = warn_of_terms(
        TermsFacts(
            policy=policy,
            asked=Ratio(D(5)),
            needs=[need],
            report=report,
            operator=operator,
            fee_bps=Ratio(D(6)),
            entry_age_s=10,
        )
    )
    fields: dict[str, str] = {}
    for each in found:
        assert isinstance(each, TermsWarning)
        fields[each.field] = f"{fields.get(each.field, '')}{each.sentence}"
    return fields


def margin(amount: str) -> dict[str, str]:
    return {"mode": "fixed_margin", "margin": amount}


def test_ordinary_terms_are_not_talked_about() -> None:
    assert told(margin("50")) == {}
    assert (
        told(
            {"mode": "equity_share", "share": "0.05"},
            worth="10000",
            limits={"daily_loss": "100", "entry_age_s": 5},
        )
        == {}
    )
    assert told({"mode": "multiplier", "factor": "1"}) == {}
    assert told({"mode": "stop_distance", "risk": "0.01"}) == {}
    assert told(margin("50"), "3") == {}


@pytest.mark.parametrize(
    ("size", "least"),
    [
        (margin("0.0000001"), "13"),
        (margin("12.99"), "13"),
        ({"mode": "fixed_notional", "notional": "1"}, "65"),
        ({"mode": "fixed_quantity", "quantity": "0.0001"}, "0.001"),
        ({"mode": "equity_share", "share": "0.000001"}, "0.013"),
    ],
)
def test_a_size_that_never_trades_is_told_with_the_smallest_that_does(
    size: dict[str, str], least: str
) -> None:
    found = told(size)
    assert found["size"].endswith(f"The smallest that trades now is {least}.")
    (field,) = set(size) - {"mode"}
    assert told({**size, field: least}) == {}


def test_a_size_that_is_lifted_is_told_with_what_it_takes_instead() -> None:
    assert "lifted to it: 13.04 USDT instead" in told(margin("0.0000001"), lift=True)["size"]


def test_ten_times_the_account_is_told() -> None:
    assert (
        "needs 10,027.00 USDT of margin and fee, and the account is worth 1,000.00"
        in told(margin("10000"))["size"]
    )
    assert "and 39.00 is free" in told(margin("50"), free="39")["size"]
    assert (
        "The smallest entry needs 13.00 USDT"
        in told({"mode": "equity_share", "share": "1"}, worth="5")["size"]
    )
    assert (
        told(margin("10000"), worth=None) == {}
    )  # not read yet: nothing is claimed about its money


@pytest.mark.parametrize(
    "leverage", ["500", {"mode": "fixed", "value": "500"}, {"mode": "follow", "value": "500"}]
)
def test_a_leverage_above_strategy_and_contract_is_told(leverage: object) -> None:
    found = told(margin("50"), leverage)["leverage"]
    assert "500x is more than the 5x that the strategy asks for at most" in found
    assert "BTCUSDT takes 1x to 125x at the exchange" in found


def test_a_follow_ceiling_below_what_the_strategy_asks_for_is_told() -> None:
    assert (
        "entries above your 3x are denied"
        in told(margin("50"), {"mode": "follow", "value": "3"})["leverage"]
    )


def test_limits_that_let_nothing_or_everything_through_are_told_at_their_field() -> None:
    assert (
        "more than this" in told(margin("50"), limits={"order_notional": "100"})["order_notional"]
    )
    assert "more than this" in told(margin("50"), limits={"account_margin": "10"})["account_margin"]
    found = told(margin("50"), operator=RiskLimits(symbol_notional=Money(D(100))))
    assert "more than the operator’s limit of 100" in found["size"]
    absurd = told(
        margin("50"), limits={"daily_loss": "5000", "drawdown_percent": 100, "entry_age_s": 3600}
    )
    assert set(absurd) == {"daily_loss", "drawdown_percent", "entry_age_s"}


def test_what_cannot_be_compared_is_told_and_what_is_not_traded() -> None:
    assert told(margin("50"), price="")["symbols"].endswith("its price is not known now.")
    assert told(margin("50"), contract=None)["symbols"].endswith("is not traded at this exchange.")
    assert told(margin("50"), contract=None, is_known=False)["symbols"].endswith(
        "is not known now."
    )


@given(
    st.decimals("0.00001", "200000", places=5),
    st.sampled_from(["1", "3", "7", "125"]),
    st.sampled_from(["fixed_margin", "fixed_notional", "fixed_quantity"]),
)
def test_the_smallest_that_is_named_trades(price: Decimal, leverage: str, mode: str) -> None:
    field = {"fixed_margin": "margin", "fixed_notional": "notional", "fixed_quantity": "quantity"}[
        mode
    ]
    found = told({"mode": mode, field: "0.000000000001"}, leverage, price=plain(price), worth=None)
    named = found["size"].rpartition(" ")[2].rstrip(".")
    again = told({"mode": mode, field: named}, leverage, price=plain(price), worth=None)
    assert "less than the smallest" not in again.get("size", "")


def test_nothing_is_named_where_no_size_would_do() -> None:
    assert (
        least_size(
            parse_sizing({"mode": "equity_share", "share": "1"}),
            Quantity(D(1)),
            Price(D(5)),
            Ratio(D(1)),
            Money(D(1)),
        )
        is None
    )
