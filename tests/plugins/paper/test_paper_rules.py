"""The pure venue: refusals, netting, reduce-only, triggers, and that no money appears or
disappears.
"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_world import BTC, PureVenue, order

from plugins.paper.rules import Terms, liquidation_price
from rexalgo import OrderStatus, PositionSide, Rejected, RejectionKind


@pytest.mark.parametrize(
    ("intent", "kind", "words"),
    [
        (order("BUY", "0.0015"), RejectionKind.OTHER, "multiple of the step 0.001"),
        (order("BUY", "501"), RejectionKind.OTHER, "at most 500"),
        (
            order("BUY", "0.01", leverage="101"),
            RejectionKind.OTHER,
            "leverage must be 1 to 100, was 101",
        ),
        (
            order("BUY", "0.01", leverage="0.5"),
            RejectionKind.OTHER,
            "leverage must be 1 to 100, was 0.5",
        ),
        (order("BUY", "1", symbol="NONEUSDT"), RejectionKind.OTHER, "not traded here"),
        (order("BUY", "1", "no_underscore"), RejectionKind.OTHER, "client order id"),
        (order("BUY", "0.01", limit="64000.05"), RejectionKind.OTHER, "multiple of the step 0.1"),
        (order("BUY", "5", symbol="XRPUSDT"), RejectionKind.BELOW_MINIMUM, "at least 10, was 5"),
        (
            order("BUY", "0.001", limit="100"),
            RejectionKind.BELOW_MINIMUM,
            "worth at least 5 USDT, was 0.1",
        ),
        (
            order("BUY", "10", leverage="1"),
            RejectionKind.BALANCE,
            "need 650325 USDT, 10000 available",
        ),
        (
            order("BUY", "10", leverage="1", limit="64000"),
            RejectionKind.BALANCE,
            "insufficient balance",
        ),
        (
            order("SELL", "0.01", reduce_only=True),
            RejectionKind.POSITION_NOT_OPEN,
            "no position to reduce",
        ),
        (
            order("BUY", "0.01", stop="65000"),
            RejectionKind.OTHER,
            "stop loss 65000 would trigger at once",
        ),
        (
            order("SELL", "0.01", stop="65000"),
            RejectionKind.OTHER,
            "stop loss 65000 would trigger at once",
        ),
        (
            order("BUY", "0.01", target="64999"),
            RejectionKind.OTHER,
            "take profit 64999 would trigger at once",
        ),
    ],
)
def test_refusals_name_expected_and_found(intent, kind, words):
    venue = PureVenue()
    with pytest.raises(Rejected) as refused:
        venue.send(intent)
    assert (refused.value.kind, words in refused.value.text) == (kind, True), refused.value.text
    assert not venue.account.orders


def test_market_order_opens_a_position_with_margin_and_fee():
    venue = PureVenue()
    venue.send(order("BUY", "0.1"))
    position = venue.account.positions[BTC]
    assert (position.side, position.quantity, position.margin) == (
        PositionSide.LONG,
        Decimal("0.1"),
        Decimal(650),
    )
    assert venue.account.fees == Decimal("3.25")
    assert venue.account.available == Decimal(10_000) - 650 - Decimal("3.25")


@pytest.mark.parametrize(
    ("orders", "side", "quantity"),
    [
        ([("BUY", "0.1"), ("BUY", "0.2")], PositionSide.LONG, "0.3"),
        ([("BUY", "0.3"), ("SELL", "0.1")], PositionSide.LONG, "0.2"),
        ([("BUY", "0.1"), ("SELL", "0.3")], PositionSide.SHORT, "0.2"),
        ([("SELL", "0.1"), ("BUY", "0.3")], PositionSide.LONG, "0.2"),
        ([("BUY", "0.1"), ("SELL", "0.1")], None, "0"),
    ],
)
def test_orders_net_into_one_position(orders, side, quantity):
    venue = PureVenue()
    for number, (way, amount) in enumerate(orders):
        venue.send(order(way, amount, f"rx{number}"))
    position = venue.account.positions.get(BTC)
    assert (
        (None, Decimal(0)) == (side, Decimal(quantity))
        if position is None
        else (position.side, position.quantity) == (side, Decimal(quantity))
    )


def test_reduce_only_above_the_position_is_cut_and_says_so():
    venue = PureVenue()
    venue.send(order("BUY", "0.1"))
    placed = venue.send(order("SELL", "0.5", "rx2", reduce_only=True))
    report = venue.account.orders[placed.order_id].report()
    assert not venue.account.positions
    assert (report.quantity, report.filled_quantity, report.status) == (
        Decimal("0.5"),
        Decimal("0.1"),
        OrderStatus.CANCELLED,
    )
    assert "reduce-only" in report.reason


def test_reducing_to_a_residue_below_the_minimum_leaves_what_only_a_whole_close_can_take():
    venue = PureVenue(prices=_doge())
    venue.send(order("BUY", "50", symbol="DOGEUSDT"))
    with pytest.raises(Rejected) as refused:
        venue.send(order("SELL", "10", "rx2", symbol="DOGEUSDT", reduce_only=True))
    assert refused.value.kind is RejectionKind.BELOW_MINIMUM
    venue.send(order("SELL", "40", "rx3", symbol="DOGEUSDT", reduce_only=True))
    venue.send(order("SELL", "10", "rx4", symbol="DOGEUSDT", reduce_only=True))
    assert not venue.account.positions


def _doge():
    prices = PureVenue().prices
    prices.add(0, "0.125")
    return prices


def test_slippage_is_always_against_the_order():
    for side, paid in (("BUY", "65065"), ("SELL", "64935")):
        venue = PureVenue(terms=Terms.of_bps(Decimal(5), Decimal(10)))
        placed = venue.send(order(side, "0.1"))
        assert placed.fill is not None
        assert placed.fill.price == Decimal(paid)


@pytest.mark.parametrize(
    ("side", "path", "reason", "price"),
    [
        ("BUY", ["64500", "63900", "66500"], "stop loss 64000 reached at 63900", "63900"),
        ("BUY", ["65500", "66100", "63000"], "take profit 66000 reached at 66100", "66100"),
        ("BUY", ["40000"], "liquidation", "58500"),
        ("SELL", ["65500", "66200", "63000"], "stop loss 66000 reached at 66200", "66200"),
        ("SELL", ["64500", "63900", "67000"], "take profit 64000 reached at 63900", "63900"),
        ("SELL", ["99000"], "liquidation", "71500"),
    ],
)
def test_stop_target_and_liquidation_close_the_whole_position_with_a_reason(
    side, path, reason, price
):
    venue = PureVenue()
    low, high = ("64000", "66000")
    venue.send(
        order(
            side, "0.1", stop=low if side == "BUY" else high, target=high if side == "BUY" else low
        )
    )
    for step in path:
        venue.market(step)
    venue.look()
    assert not venue.account.positions
    assert len(venue.forced) == 1
    assert venue.forced[0].client_order_id is None
    assert venue.forced[0].reason.startswith(reason)
    assert venue.forced[0].fill is not None
    assert venue.forced[0].fill.price == Decimal(price)


def test_liquidation_takes_the_margin_and_never_more():
    venue = PureVenue()
    venue.send(order("BUY", "0.1"))
    wallet, margin = venue.account.wallet, venue.account.positions[BTC].margin
    assert liquidation_price(venue.account.positions[BTC]) == Decimal("58825")
    venue.market("58825.1")
    venue.look()
    assert venue.account.positions
    venue.market("1000")
    venue.look()
    assert venue.account.wallet == wallet - margin


def test_a_stop_that_was_reached_and_left_again_between_two_looks_has_triggered():
    venue = PureVenue()
    venue.send(order("BUY", "0.1", stop="64000"))
    venue.prices.add(100, "63000")
    venue.prices.add(101, "65000")
    venue.wait(1000)
    assert [each.reason for each in venue.forced] == ["stop loss 64000 reached at 63000"]


def test_a_look_reaches_back_an_hour_and_no_further():
    venue = PureVenue()
    venue.send(order("BUY", "0.1", stop="64000"))
    venue.prices.add(100, "63000")
    venue.prices.add(101, "65000")
    venue.wait(3701)
    assert not venue.forced


def test_limit_order_rests_reserves_margin_and_fills_at_its_price():
    venue = PureVenue()
    placed = venue.send(order("BUY", "0.1", limit="64000"))
    assert venue.account.orders[placed.order_id].status is OrderStatus.OPEN
    assert venue.account.available == Decimal(10_000) - 640 - Decimal("3.2")
    venue.market("63000")
    venue.look()
    assert venue.account.orders[placed.order_id].status is OrderStatus.FILLED
    assert venue.account.positions[BTC].entry_price == Decimal(64000)
    assert venue.account.available == Decimal(10_000) - 640 - Decimal("3.2")


def test_crossing_limit_order_fills_at_once_at_the_better_price():
    venue = PureVenue()
    placed = venue.send(order("BUY", "0.1", limit="70000"))
    assert placed.fill is not None
    assert placed.fill.price == Decimal(65000)


def test_resting_reduce_only_order_is_cancelled_once_its_position_is_gone():
    venue = PureVenue()
    venue.send(order("BUY", "0.1"))
    resting = venue.send(order("SELL", "0.1", "rx2", limit="70000", reduce_only=True))
    venue.send(order("SELL", "0.1", "rx3", reduce_only=True))
    venue.look()
    assert venue.account.orders[resting.order_id].status is OrderStatus.CANCELLED
    assert not venue.account.resting


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 400).map(lambda thousandths: str(Decimal(thousandths) / 1000)),
        st.sampled_from(["60000", "63210.7", "64999.9", "65000", "67123.4", "70000.3"]),
        st.booleans(),
        st.sampled_from(["1", "3", "7", "50", "100"]),
        st.sampled_from([None, "61000", "64000", "66000"]),
    ),
    max_size=25,
)


@given(STEPS)
def test_money_is_conserved_and_no_wallet_falls_below_zero(steps):
    venue = PureVenue()
    _play(venue, steps)
    account = venue.account
    assert account.wallet == Decimal(10_000) + account.realised - account.fees
    assert account.wallet >= 0
    cash = Decimal(10_000) - account.fees
    for each in account.orders.values():
        if each.fill is not None:
            worth = each.fill.price * each.fill.quantity
            cash += worth if each.placed.side.value == "SELL" else -worth
    tied = sum(
        (p.cost if p.side is PositionSide.LONG else -p.cost for p in account.positions.values()),
        Decimal(0),
    )
    assert account.wallet == cash + tied


@given(STEPS)
def test_reduce_only_never_opens_grows_or_flips(steps):
    venue = PureVenue()
    for number, (side, quantity, price, _, leverage, limit) in enumerate(steps):
        _play(venue, [(side, quantity, price, False, leverage, limit)], f"a{number}")
        venue.look()
        before = venue.account.positions.get(BTC)
        was = None if before is None else (before.side, before.quantity)
        _send(venue, order(side, quantity, f"b{number}", reduce_only=True))
        after = venue.account.positions.get(BTC)
        assert after is None or (
            was is not None and after.side is was[0] and after.quantity <= was[1]
        )


@given(STEPS)
def test_an_accepted_order_never_leaves_less_than_nothing_available(steps):
    venue = PureVenue()
    for number, (side, quantity, price, reduce_only, leverage, limit) in enumerate(steps):
        venue.market(price)
        venue.look()
        if (
            _send(
                venue,
                order(
                    side,
                    quantity,
                    f"c{number}",
                    reduce_only=reduce_only,
                    leverage=leverage,
                    limit=limit,
                ),
            )
            and not reduce_only
        ):
            assert venue.account.wallet >= 0
            assert venue.account.available >= -venue.account.fees


def _play(venue, steps, name="s"):
    for number, (side, quantity, price, reduce_only, leverage, limit) in enumerate(steps):
        venue.market(price)
        _send(
            venue,
            order(
                side,
                quantity,
                f"{name}{number}",
                reduce_only=reduce_only,
                leverage=leverage,
                limit=limit,
            ),
        )
    venue.look()


def _send(venue, intent):
    try:
        venue.send(intent)
    except Rejected:
        return False
    return True
