"""The sentences of an account check: each fact by a table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from engine.decisions.preflight import (
    Facts,
    PassingFacts,
    SymbolNeed,
    check_items,
    key_days_left,
    key_warning,
    next_key_warning,
    passing_items,
)
from engine.domain.account import AccountReport, Balance, EquityMarks, Position
from engine.domain.amounts import Money, Price, Quantity, Ratio
from engine.domain.identifiers import Symbol
from engine.domain.instrument import Instrument
from engine.domain.preflight import CheckItem, Level, Preflight
from engine.domain.signal import PositionSide
from engine.domain.subscription import (
    BelowMinimum,
    CopyPolicy,
    Mode,
    RiskLimits,
    parse_leverage,
    parse_sizing,
)
from engine.ports.exchange import FundsElsewhere
from engine.ports.market_data import Quote

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BTC = Symbol("BTCUSDT")
D = Decimal
CONTRACT = Instrument(
    BTC,
    Price(D("0.1")),
    Quantity(D("0.001")),
    Quantity(D("0.001")),
    Quantity(D("100")),
    Money(D("5")),
    Ratio(D("1")),
    Ratio(D("100")),
)


MARKS = EquityMarks(Money(D(2000)), NOW - timedelta(hours=3), "UTC", Money(D(2000)))


def quote(price: str = "65000") -> Quote:
    """Return a current price."""
    return Quote(BTC, Price(D(price)), Price(D(price)), NOW)


def agreed(**changes: Any) -> SymbolNeed:
    """Return BTC in strategy trend: 50 of margin at leverage 5."""
    sizing = parse_sizing(changes.pop("sizing", {"mode": "fixed_margin", "margin": "50"}))
    leverage = parse_leverage(changes.pop("leverage", "5"))
    policy = {
        name: changes.pop(name)
        for name in ("below_minimum", "allow_own_position")
        if name in changes
    }
    mode = changes.pop("mode", Mode.LIVE)
    known: dict[str, Any] = {"instrument": CONTRACT, "quote": quote(), **changes}
    return SymbolNeed(
        BTC, "trend", CopyPolicy(mode, sizing, leverage, frozenset([BTC]), **policy), **known
    )


def held(quantity: str = "0.01", leverage: str = "5") -> Position:
    """Return a long BTC position."""
    price = Price(D(65000))
    return Position(
        BTC,
        PositionSide.LONG,
        Quantity(D(quantity)),
        price,
        price,
        Ratio(D(leverage)),
        Money(D(130)),
        Money(D(0)),
    )


def report(free: str = "1000", *positions: Position) -> AccountReport:
    """Return a reading."""
    return AccountReport(Balance(Money(D(free)), Money(D(1000))), positions, (), NOW)


def items(**changes: Any) -> dict[str, CheckItem]:
    """Check a healthy account with some facts changed; return the items by subject."""
    facts: dict[str, Any] = {
        "report": report(),
        "problem": "",
        "key_refused": False,
        "key_since": NOW - timedelta(days=10),
        "key_lasts_days": 90,
        "elsewhere": (),
        "ours": {},
        "needs": (agreed(),),
        "unmapped": {},
        "fee_bps": Ratio(D(10)),
    }
    return {each.about: each for each in check_items(Facts(**(facts | changes)), NOW)}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, {"limits in b": "entries are taken again on the next trading day"}),
        (
            {"key_refused": True, "limits": {}},
            {"trading": "let the key trade at the exchange, or "},
        ),
        ({"limits": {"a": RiskLimits(drawdown_percent=50)}}, {"limits in a": "ask an operator"}),
        ({"marks": None}, {}),
        ({"report": None}, {}),
        ({"marks": replace(MARKS, since=NOW - timedelta(days=1))}, {}),
    ],
)
def test_what_passes_is_judged_by_the_limits_of_each_agreement(
    changes: dict[str, Any], told: dict[str, str]
) -> None:
    limits = {
        "a": RiskLimits(daily_loss=Money(D("1000.01"))),
        "b": RiskLimits(daily_loss=Money(D(1000))),
    }
    facts: dict[str, Any] = {
        "report": report(),
        "marks": MARKS,
        "limits": limits,
        "key_refused": False,
    }
    found = passing_items(PassingFacts(**(facts | changes)), NOW)
    assert [each.about for each in found] == list(told)
    assert all(each.do.startswith(told[each.about]) for each in found)
    assert all(each.level is Level.STOPS_ENTRIES for each in found)


def test_a_healthy_account_is_ok_and_the_numbers_are_there() -> None:
    found = items()
    assert list(found) == ["key", "funds", "BTCUSDT in trend"]
    assert {each.level for each in found.values()} == {Level.OK}
    assert found["key"].sentence == (
        "the exchange accepts the key; it was given here 10 days ago and lasts 90, so at most "
        "80 days are left"
    )
    assert found["funds"].sentence == "1,000.00 USDT are free of 1,000.00 in the futures wallet"
    assert found["BTCUSDT in trend"].sentence == (
        "at 65,000 and leverage 5x the smallest entry is 0.001 and needs 13.07 USDT; the agreed "
        "size is 0.003 and needs 39.20 USDT"
    )


@pytest.mark.parametrize(
    ("age_days", "left", "level", "when"),
    [
        (0, 90, Level.OK, ""),
        (75, 15, Level.OK, ""),
        (76, 14, Level.WARNING, "soon"),
        (83, 7, Level.WARNING, "this week"),
        (89, 1, Level.WARNING, "today"),
        (90, 0, Level.WARNING, "today"),
        (120, -30, Level.WARNING, "today"),
    ],
)
def test_a_key_warns_at_14_7_and_1_days_and_an_accepted_old_one_stops_nothing(
    age_days: int, left: int, level: Level, when: str
) -> None:
    since = NOW - timedelta(days=age_days)
    assert key_days_left(since, 90, NOW) == left
    assert key_days_left(since, 90, NOW - timedelta(seconds=1)) == left + 1
    assert key_days_left(since, 90, NOW + timedelta(seconds=1)) == left
    found = items(key_since=since)["key"]
    assert (found.level, when in found.do) == (level, True)
    assert f"at most {max(left, 0)} days" in found.sentence
    assert items(key_since=since, key_lasts_days=None)["key"].level is Level.OK


@pytest.mark.parametrize(
    ("left", "warning", "until"),
    [
        (timedelta(days=90), None, timedelta(days=76)),
        (timedelta(days=14, seconds=1), None, timedelta(seconds=1)),
        (timedelta(days=14), 14, timedelta(days=7)),
        (timedelta(days=7), 7, timedelta(days=6)),
        (timedelta(days=2), 7, timedelta(days=1)),
        (timedelta(days=1), 1, timedelta(days=1)),
        (timedelta(seconds=1), 1, timedelta(seconds=1)),
        (timedelta(0), 0, None),
        (timedelta(days=-30), 0, None),
    ],
)
def test_a_key_comes_to_one_warning_after_the_other(
    left: timedelta, warning: int | None, until: timedelta | None
) -> None:
    since = NOW + left - timedelta(days=90)
    assert key_warning(since, 90, NOW) == warning
    assert next_key_warning(since, 90, NOW) == until
    if until is not None:
        assert (
            key_warning(since, 90, NOW + until - timedelta(microseconds=1))
            == warning
            != key_warning(since, 90, NOW + until)
        )


@pytest.mark.parametrize(
    ("refused", "about", "do"), [(True, "key", "make a new key"), (False, "account", "tried again")]
)
def test_an_account_that_cannot_be_read_stops_entries_and_says_whose_move_it_is(
    refused: bool, about: str, do: str
) -> None:
    found = items(report=None, problem="Rejected: no", key_refused=refused)
    assert "funds" not in found
    assert found[about].level is Level.STOPS_ENTRIES
    assert do in found[about].do


def test_a_paper_account_has_no_key_that_could_be_accepted() -> None:
    found = items(has_key=False, key_since=None, key_lasts_days=None)
    assert found["account"].sentence == "the simulated exchange answers"
    assert "key" not in found


def test_missing_money_is_explained_by_what_lies_elsewhere() -> None:
    elsewhere = (
        FundsElsewhere("the spot wallet", Money(D("120.5")), "USDT"),
        FundsElsewhere("the rupee wallet", Money(D(900)), "INR"),
    )
    found = items(report=report("3"), elsewhere=elsewhere)["funds"]
    assert found.level is Level.STOPS_ENTRIES
    assert found.sentence == (
        "3.00 USDT are free of 1,000.00 in the futures wallet; besides, 120.5 USDT in the spot wallet "
        "and 900 INR in the rupee wallet, which "
        "cannot be traded with here; the smallest entry needs 13.07 USDT"
    )
    assert found.do == "move money to the futures wallet at the exchange"
    assert items(report=report("3"))["funds"].do == "pay money into the futures wallet"
    assert items(report=report("14"), elsewhere=elsewhere)["funds"].level is Level.OK


def test_what_is_older_than_the_reading_says_when_it_was_seen() -> None:
    elsewhere = (FundsElsewhere("the spot wallet", Money(D("5")), "USDT"),)
    looked = NOW - timedelta(hours=5, minutes=20)
    found = items(elsewhere=elsewhere, elsewhere_at=looked)["funds"]
    assert "5 USDT in the spot wallet (seen 5 h ago), which cannot be" in found.sentence
    old = replace(quote(), at=NOW - timedelta(minutes=7))
    found = items(needs=(agreed(quote=old),))["BTCUSDT in trend"]
    assert found.sentence.startswith("at 65,000 (seen 7 min ago) and leverage")
    young = replace(quote(), at=NOW - timedelta(minutes=4))
    assert "seen" not in items(needs=(agreed(quote=young),))["BTCUSDT in trend"].sentence


@pytest.mark.parametrize(
    ("position", "ours", "need", "level", "words"),
    [
        (held(), "0.01", agreed(), Level.OK, "is held by a strategy"),
        (held(leverage="20"), "0.01", agreed(), Level.WARNING, "above the agreed leverage of 5"),
        (
            held(),
            "0",
            agreed(),
            Level.STOPS_ENTRIES,
            "0.01 is the owner's own: entries in it are skipped",
        ),
        (held(), "0.004", agreed(), Level.STOPS_ENTRIES, "0.006 is the owner's own"),
        (held(), "0", agreed(allow_own_position=True), Level.OK, "0.01 is the owner's own"),
    ],
)
def test_positions_that_are_there_are_told_apart(
    position: Position, ours: str, need: SymbolNeed, level: Level, words: str
) -> None:
    found = items(report=report("1000", position), ours={BTC: Quantity(D(ours))}, needs=(need,))[
        BTC
    ]
    assert found.level is level
    assert words in found.sentence


@pytest.mark.parametrize(
    ("need", "level", "words"),
    [
        (agreed(instrument=None), Level.STOPS_ENTRIES, "does not list"),
        (agreed(instrument=None, contracts_known=False), Level.WARNING, "cannot be read now"),
        (
            agreed(leverage="200"),
            Level.STOPS_ENTRIES,
            "leverage 200 was agreed, and the exchange allows 1 to 100",
        ),
        (agreed(quote=None), Level.WARNING, "no price"),
        (
            agreed(sizing={"mode": "fixed_margin", "margin": "5"}),
            Level.STOPS_ENTRIES,
            "gives 0, so copies are skipped",
        ),
        (
            agreed(sizing={"mode": "fixed_margin", "margin": "5"}, below_minimum=BelowMinimum.LIFT),
            Level.WARNING,
            "is lifted to it",
        ),
        (
            agreed(sizing={"mode": "fixed_margin", "margin": "5000"}),
            Level.STOPS_ENTRIES,
            "and 1,000.00 USDT are free",
        ),
        (agreed(sizing={"mode": "multiplier", "factor": "2"}), Level.OK, "needs 13.07"),
        (agreed(mode=Mode.WATCH), Level.WARNING, "only watches"),
    ],
)
def test_each_contract_is_asked_what_it_needs_now(
    need: SymbolNeed, level: Level, words: str
) -> None:
    found = items(needs=(need,))["BTCUSDT in trend"]
    assert found.level is level
    assert words in found.sentence


def test_texts_that_nobody_knows_are_shown_with_their_count() -> None:
    found = items(unmapped={"b": 1, "a text": 3})["texts"]
    assert found.level is Level.WARNING
    assert "a text (3 times); b (1 times)" in found.sentence


def test_a_check_is_as_bad_as_its_worst_item() -> None:
    levels = (Level.OK, Level.STOPS_ENTRIES, Level.WARNING)
    made = tuple(CheckItem(each, "x", "y") for each in levels)
    assert (
        Preflight(account="a", exchange="e", environment="paper", items=made, at=NOW).level
        is Level.STOPS_ENTRIES
    )
    assert (
        Preflight(account="a", exchange="e", environment="paper", items=(), at=NOW).level
        is Level.OK
    )


def test_money_is_shown_in_cents_and_what_is_free_is_never_shown_as_more() -> None:
    found = items(report=report("9676.009147466666666666666667"))
    assert found["funds"].sentence.startswith("9,676.00 USDT are free of ")
