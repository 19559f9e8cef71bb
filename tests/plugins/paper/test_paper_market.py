"""The simulated market: equal in every process, moving, on the price step, with candles that agree
with quotes.
"""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_world import BTC, START, HandClock

from plugins.paper.contracts import CONTRACTS, MAINTENANCE_RATE
from plugins.paper.market import PaperMarketData, SimulatedPrices, candle, make_prices, second_of
from plugins.paper.settings import DEFAULTS, PaperSettings
from rexalgo import InvalidValue, floor_to_step

NOW_S = second_of(START)
SYMBOLS = st.sampled_from(sorted(CONTRACTS))


def prices(seed=1, volatility="20"):
    return SimulatedPrices(seed, Decimal(volatility), {})


@given(SYMBOLS, st.integers(0, 4 * 10**9), st.integers(0, 2**63 - 1))
def test_prices_are_whole_steps_near_the_base_and_the_same_by_seed(symbol, second, seed):
    price = prices(seed).price(symbol, second)
    contract = CONTRACTS[symbol]
    assert price == prices(seed).price(symbol, second)
    assert floor_to_step(price, contract.instrument.price_step) == price
    assert (
        abs(price - contract.price_base)
        <= contract.price_base * Decimal("0.017") + contract.instrument.price_step
    )


def test_another_seed_and_another_second_give_other_prices():
    path = [prices().price(BTC, NOW_S + second) for second in range(60)]
    assert len(set(path)) > 30
    assert path != [prices(seed=2).price(BTC, NOW_S + second) for second in range(60)]


def test_a_known_seed_gives_known_prices_for_ever():
    assert [str(prices().price(BTC, NOW_S + second)) for second in (0, 1, 3600)] == [
        "65376.2",
        "65370.8",
        "65759.3",
    ]


@given(SYMBOLS, st.integers(1, 60), st.integers(0, 10**6))
def test_candles_up_to_a_minute_hold_exactly_the_quotes(symbol, interval, number):
    market = prices()
    path = [market.price(symbol, number * interval + second) for second in range(interval)]
    made = candle(market, symbol, interval, number * interval)
    assert (made.open, made.high, made.low, made.close) == (path[0], max(path), min(path), path[-1])


async def test_candles_are_closed_aligned_oldest_first_and_join():
    clock = HandClock()
    clock.forward(3_725)
    data = PaperMarketData(prices(), clock, lambda: None)
    found = await data.candles(BTC, 300, 5)
    assert [each.opened_at for each in found] == [
        START + timedelta(seconds=300 * number) for number in range(7, 12)
    ]
    assert all(
        each.low <= min(each.open, each.close) <= max(each.open, each.close) <= each.high
        for each in found
    )


async def test_past_candles_are_those_of_their_time_and_never_the_running_one():
    clock = HandClock()
    clock.forward(3_725)
    data = PaperMarketData(prices(), clock, lambda: None)
    since = START + timedelta(seconds=2_100)
    past = await data.past_candles(BTC, 300, since, START + timedelta(seconds=9_000))
    assert past == await data.candles(BTC, 300, 5)
    assert await data.past_candles(BTC, 300, since, since + timedelta(seconds=600)) == past[:2]
    assert await data.past_candles("NONEUSDT", 300, since, START + timedelta(days=1)) == ()
    assert len(await data.past_candles(BTC, 5, START, START + timedelta(days=9))) == 200


async def test_quotes_carry_the_time_of_reading_and_leave_out_what_is_not_traded():
    clock = HandClock()
    data = PaperMarketData(prices(), clock, lambda: None)
    (quote,) = await data.quotes(frozenset({BTC, "NONEUSDT"}))
    assert (quote.symbol, quote.at, quote.last) == (BTC, START, prices().price(BTC, NOW_S))


async def test_candles_of_what_is_not_traded_are_refused():
    data = PaperMarketData(prices(), HandClock(), lambda: None)
    with pytest.raises(InvalidValue, match="BTCUSDT"):
        await data.candles("NONEUSDT", 60, 1)


def test_fixed_prices_do_not_move():
    settings = PaperSettings.parse({"price_fixed": {"BTCUSDT": "65000"}})
    assert {make_prices(settings).price(BTC, NOW_S + second) for second in range(100)} == {
        Decimal(65000)
    }


def test_every_contract_can_be_held_at_its_highest_leverage():
    for contract in CONTRACTS.values():
        assert 1 / contract.instrument.leverage_max > MAINTENANCE_RATE


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({"speed": 1}, "plugin.paper.speed"),
        ({"seed": "1"}, "plugin.paper.seed"),
        ({"seed": True}, "plugin.paper.seed"),
        ({"fee_bps": 5.0}, "plugin.paper.fee_bps"),
        ({"fee_bps": "41"}, "plugin.paper.fee_bps"),
        ({"volatility_bps": "-1"}, "plugin.paper.volatility_bps"),
        ({"starting_balance": "0"}, "plugin.paper.starting_balance"),
        ({"starting_balance": "1000000000001"}, "plugin.paper.starting_balance"),
        ({"orders_per_s": 0}, "plugin.paper.orders_per_s"),
        ({"flush": "never"}, "plugin.paper.flush"),
        ({"dedupe_client_order_ids": 1}, "plugin.paper.dedupe_client_order_ids"),
        ({"latency_ms": -1}, "plugin.paper.latency_ms"),
        ({"hang_for": "acc"}, "plugin.paper.hang_for"),
        ({"raise_for": [""]}, "plugin.paper.raise_for"),
        ({"price_fixed": "65000"}, "plugin.paper.price_fixed"),
        ({"price_fixed": {"NOPE": "1"}}, "plugin.paper.price_fixed.NOPE"),
        ({"price_fixed": {"BTCUSDT": "65000.05"}}, "plugin.paper.price_fixed.BTCUSDT"),
    ],
)
def test_wrong_settings_are_refused_by_name(table, field):
    with pytest.raises(InvalidValue) as refused:
        PaperSettings.parse(table)
    assert refused.value.field == field


def test_the_defaults_are_valid():
    assert PaperSettings.parse(DEFAULTS) == PaperSettings.parse({})
