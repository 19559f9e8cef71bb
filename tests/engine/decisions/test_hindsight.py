"""What a missed entry would have come to alone, by money that can be worked out by hand."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from engine.decisions.hindsight import in_hindsight
from engine.decisions.recorded_prices import RecordedPrices
from engine.decisions.shadow import ShadowTerms
from engine.domain.amounts import Money, Ratio
from engine.domain.identifiers import AccountId, StrategyId
from engine.domain.signal import Action, Signal, SignalSize, SizeMode
from engine.domain.subscription import RiskLimits
from tests.engine.decisions.decision_builders import (
    BTC,
    ETH,
    LONG,
    NOW,
    SHORT,
    D,
    instrument,
    policy,
)
from tests.engine.decisions.test_shadow import recorded, sent

HALF = SignalSize(SizeMode.FRACTION, fraction=Ratio(D("0.5")))


def came_to(
    entry: Signal,
    *later: Signal,
    until: int = 1_000,
    prices: RecordedPrices | None = None,
    **changes: Any,
) -> Decimal | None:
    """Return what an entry came to; the price is 100, then 110 from the 20th second on."""
    terms: dict[str, Any] = {
        "account": AccountId("a1"),
        "strategy": StrategyId("s1"),
        "policy": policy(),
        "operator": RiskLimits(),
        "balance": Money(D("1000")),
        "contracts": {BTC: instrument(), ETH: instrument()},
        "fee_bps": D("10"),
        "taker_fee_bps": D("10"),
        "entry_age_s": 10,
        "price_age_s": 5,
        "resting_entry_s": 600,
        "zone": "UTC",
    }
    given = ShadowTerms(**{**terms, **changes})
    shown = prices or recorded((0, "100"), (20, "110"), (40, "90"))
    return in_hindsight(given, shown, entry, later, NOW + timedelta(seconds=until))


def test_a_missed_long_earns_what_the_price_rose_less_both_fees() -> None:
    entry, close = sent(1, Action.OPEN, side=LONG), sent(25, Action.CLOSE)
    assert came_to(entry, close) == D("24.475")


def test_limits_that_stopped_it_are_left_out() -> None:
    strict = RiskLimits(order_notional=Money(D(1)))
    entry, close = sent(1, Action.OPEN, side=LONG), sent(25, Action.CLOSE)
    for changes in ({"policy": policy(limits=strict)}, {"operator": strict}):
        assert came_to(entry, close, **changes) == D("24.475")


def test_it_stands_alone_until_its_master_closed_it() -> None:
    entry = sent(1, Action.OPEN, side=LONG)
    after_it = (
        sent(5, Action.ADD, side=LONG),
        sent(25, Action.CLOSE),
        sent(45, Action.OPEN, side=SHORT),
    )
    assert came_to(entry, *after_it) == D("24.475")
    reverse = sent(25, Action.REVERSE, side=SHORT)
    assert came_to(entry, reverse) == D("24.475"), "its second half is another entry"
    assert came_to(sent(1, Action.REVERSE, side=LONG), sent(25, Action.CLOSE)) == D("24.475")
    assert came_to(sent(1, Action.ADD, side=LONG), sent(25, Action.CLOSE)) == D("24.475")


def test_a_part_is_closed_by_a_reduce_and_the_rest_is_worth_what_it_is_now() -> None:
    entry, part = sent(1, Action.OPEN, side=LONG), sent(25, Action.REDUCE, size=HALF)
    whole = came_to(entry)
    halved = came_to(entry, part)
    assert whole == D("-25.25"), "bought at 100 for 250, now at 90, one fee"
    assert halved == D("12.5") - D("12.5") - D("0.25") - D("0.1375")


def test_a_stop_ends_it() -> None:
    entry = sent(1, Action.OPEN, side=LONG, stop_loss=D("95"))
    assert came_to(entry) == D("-25.475"), "at 90, the first price beyond the stop, two fees"


@pytest.mark.parametrize(
    "changes",
    [
        {"prices": recorded((10, "100"))},
        {"balance": Money(D("0.01"))},
        {"contracts": {}},
    ],
)
def test_what_could_not_be_made_has_no_result(changes: dict[str, Any]) -> None:
    assert came_to(sent(1, Action.OPEN, side=LONG), **changes) is None
