"""The shadow book by small cases whose money can be worked out by hand. That it equals an account
that traded is proven in ``tests/engine/actors/test_shadow_equals_paper.py``.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.decisions.recorded_prices import PriceBlock, RecordedPrices, Samples
from engine.decisions.shadow import ShadowBook, ShadowTerms
from engine.domain.amounts import Money
from engine.domain.booking import Cause
from engine.domain.identifiers import AccountId, StrategyId
from engine.domain.outcome import OutcomeCode
from engine.domain.signal import Action, OrderType, Signal, SignalDraft, SignalSize, SizeMode
from engine.domain.subscription import FixedMargin, RiskLimits
from tests.engine.decisions.decision_builders import (
    BTC,
    ETH,
    LONG,
    NOW,
    SHORT,
    D,
    instrument,
    key,
    policy,
)


def recorded(*steps: tuple[int, str], until: int = 100_000) -> RecordedPrices:
    """Return prices from steps of (second after NOW, price)."""
    begin = int(NOW.timestamp())
    prices = [D(price) for _, price in steps]
    samples = Samples(
        [begin + second for second, _ in steps], [int(price * 10) for price in prices], 1
    )
    block = PriceBlock(samples.seconds[0], begin + until, min(prices), max(prices), lambda: samples)
    return RecordedPrices({BTC: [block], ETH: [block]})


def book(prices: RecordedPrices, **changes: Any) -> ShadowBook:
    terms: dict[str, Any] = {
        "account": AccountId("a1"),
        "strategy": StrategyId("s1"),
        "policy": policy(),
        "operator": RiskLimits(),
        "balance": Money(D("1000")),
        "contracts": {BTC: instrument()},
        "fee_bps": D("10"),
        "taker_fee_bps": D("10"),
        "entry_age_s": 10,
        "price_age_s": 5,
        "resting_entry_s": 600,
        "zone": "UTC",
    }
    return ShadowBook(ShadowTerms(**{**terms, **changes}), prices, NOW)


def sent(second: int, action: Action, **said: Any) -> Signal:
    at = NOW + timedelta(seconds=second)
    symbol = said.pop("symbol", BTC)
    draft = SignalDraft(dedupe_key=str(second), action=action, symbol=symbol, **said)
    return Signal(
        id=f"sig-{second}",
        number=second,
        strategy="s1",
        draft=draft,
        order_key=key(second),
        decided_at=at,
        received_at=at,
    )


def after(made: ShadowBook, *signals: Signal, until: int = 1_000) -> list[OutcomeCode]:
    for each in signals:
        made.take(each)
    made.look(NOW + timedelta(seconds=until))
    return [each.outcome.code for each in made.outcomes]


def test_a_long_earns_what_the_price_rose_less_both_fees() -> None:
    made = book(recorded((0, "100"), (20, "110")))
    codes = after(made, sent(1, Action.OPEN, side=LONG), sent(30, Action.CLOSE))
    assert codes == [OutcomeCode.FILLED, OutcomeCode.FILLED]
    # 50 of margin at 5x are 2.5 units: 25 earned, 0.25 and 0.275 paid
    assert made.wallet == D("1024.475")
    assert made.fees == D("0.525")
    (trade,) = made.trades
    assert (trade.trade.result, trade.margin) == (D("24.475"), D("50"))


def test_a_stop_is_filled_at_the_first_price_beyond_it_and_the_next_entry_is_copied() -> None:
    made = book(recorded((0, "100"), (20, "97"), (30, "94.5"), (40, "99")))
    codes = after(
        made,
        sent(1, Action.OPEN, side=LONG, stop_loss=D("95")),
        sent(50, Action.OPEN, side=LONG),
        sent(60, Action.CLOSE),
        sent(70, Action.OPEN, side=SHORT),
    )
    assert codes == [
        OutcomeCode.FILLED,
        OutcomeCode.FILLED,
        OutcomeCode.FILLED,
        OutcomeCode.FILLED,
    ]
    stopped, _closed = made.trades
    assert (stopped.trade.cause, stopped.trade.exit_price) == (Cause.STOP_LOSS, D("94.5"))
    assert stopped.trade.closed_at == NOW + timedelta(seconds=30)


def test_no_second_is_left_out_between_two_looks() -> None:
    made = book(recorded((0, "100"), (11, "94"), (12, "100")))
    after(
        made,
        sent(1, Action.OPEN, side=LONG, stop_loss=D("95")),
        sent(10, Action.CANCEL),
        sent(20, Action.CLOSE),
    )
    assert made.trades[0].trade.closed_at == NOW + timedelta(seconds=11)


def test_a_limit_waits_for_its_price_and_is_taken_back_when_it_rested_too_long() -> None:
    limit = {"side": LONG, "order_type": OrderType.LIMIT, "price": D("90")}
    made = book(recorded((0, "100"), (700, "90")))
    assert after(made, sent(1, Action.OPEN, **limit), until=600) == [OutcomeCode.PLACED]
    assert after(made) == [OutcomeCode.CANCELLED]
    assert made.wallet == D("1000")
    made = book(recorded((0, "100"), (400, "89"), (410, "95")))
    assert after(made, sent(1, Action.OPEN, **limit)) == [OutcomeCode.FILLED]
    (held,) = made.report().positions
    assert (held.entry_price, held.unrealised_profit) == (D("90"), D("5") * held.quantity)


def test_a_limit_that_rests_takes_its_money_once() -> None:
    made = book(
        recorded((0, "100")),
        policy=policy(sizing=FixedMargin(D("450"))),
        contracts={BTC: instrument(), ETH: instrument(symbol=ETH)},
    )
    rests = {"side": LONG, "order_type": OrderType.LIMIT, "price": D("90")}
    codes = after(
        made,
        sent(1, Action.OPEN, **rests),
        sent(2, Action.OPEN, symbol=ETH, side=LONG),
        until=4,
    )
    assert codes == [OutcomeCode.PLACED, OutcomeCode.FILLED]


def test_a_loss_beyond_the_margin_is_the_margin() -> None:
    made = book(recorded((0, "100"), (20, "50")))
    after(made, sent(1, Action.OPEN, side=LONG))
    assert made.trades[0].trade.cause is Cause.LIQUIDATION
    assert made.wallet == D("1000") - D("50") - D("0.25")


def test_after_a_liquidation_the_master_must_be_flat_first() -> None:
    made = book(recorded((0, "100"), (20, "50"), (30, "100")))
    codes = after(
        made,
        sent(1, Action.OPEN, side=LONG),
        sent(40, Action.OPEN, side=LONG),
        sent(50, Action.CLOSE),
        sent(60, Action.OPEN, side=LONG),
    )
    assert codes == [
        OutcomeCode.FILLED,
        OutcomeCode.SKIPPED_DETACHED,
        OutcomeCode.SKIPPED_NOTHING_TO_CLOSE,
        OutcomeCode.FILLED,
    ]


def test_without_a_price_an_entry_is_not_copied_and_an_exit_takes_the_next_one() -> None:
    begin = int(NOW.timestamp())
    first = PriceBlock(begin, begin + 10, D("100"), D("100"), lambda: Samples([begin], [100], 0))
    later = PriceBlock(
        begin + 200, begin + 900, D("120"), D("120"), lambda: Samples([begin + 200], [120], 0)
    )
    made = book(RecordedPrices({BTC: [first, later]}))
    codes = after(
        made,
        sent(1, Action.OPEN, side=LONG),
        sent(100, Action.CLOSE),
        sent(110, Action.OPEN, side=LONG),
    )
    assert codes == [OutcomeCode.FILLED, OutcomeCode.FILLED, OutcomeCode.DENIED_PRICE_STALE]
    assert made.trades[0].trade.exit_price == D("120")


def test_a_price_of_some_seconds_ago_is_the_price_of_an_exit() -> None:
    made = book(recorded((0, "100"), until=10))
    after(made, sent(1, Action.OPEN, side=LONG), sent(13, Action.CLOSE))
    assert made.trades[0].trade.exit_price == D("100")
    made = book(recorded((0, "100"), until=10))
    after(made, sent(1, Action.OPEN, side=LONG), sent(16, Action.CLOSE))
    assert not made.trades, "no price was recorded since"


def test_a_test_does_nothing_and_an_entry_older_than_a_close_is_not_copied() -> None:
    made = book(recorded((0, "100")))
    late = sent(5, Action.OPEN, side=LONG)
    codes = after(made, sent(1, Action.OPEN, side=LONG, is_test=True), sent(10, Action.CLOSE), late)
    assert codes == [OutcomeCode.SKIPPED_NOTHING_TO_CLOSE, OutcomeCode.SKIPPED_SUPERSEDED]


def test_a_reduction_of_an_entry_that_rests_waits_for_it() -> None:
    made = book(recorded((0, "100"), (50, "90"), (60, "95")))
    half = SignalSize(SizeMode.FRACTION, fraction=D("0.5"))
    after(
        made,
        sent(1, Action.OPEN, side=LONG, order_type=OrderType.LIMIT, price=D("90")),
        sent(10, Action.REDUCE, size=half),
        sent(20, Action.SET_PROTECTION, stop_loss=D("80")),
    )
    (held,) = made.report().positions
    # 50 x 5 / 90 floored to steps of 0.001, of it half
    assert (held.quantity, held.stop_loss) == (D("1.389"), D("80"))


def test_a_day_s_loss_is_counted_from_midnight_of_the_trading_day() -> None:
    midnight = int((datetime(2026, 11, 25, tzinfo=UTC) - NOW).total_seconds())
    prices = recorded((0, "100"), (20, "90"), (midnight - 10, "89"), (midnight + 10, "80"))
    caps = policy(limits=RiskLimits(daily_loss=Money(D("20"))))
    made = book(prices, policy=caps)
    codes = after(
        made,
        sent(1, Action.OPEN, side=LONG),
        sent(30, Action.CLOSE),
        sent(40, Action.OPEN, side=LONG),
        sent(midnight + 5, Action.OPEN, side=LONG),
        until=midnight + 6,
    )
    assert codes[2:] == [OutcomeCode.DENIED_DAILY_LOSS, OutcomeCode.FILLED]
    assert Decimal(made.wallet) < 976
