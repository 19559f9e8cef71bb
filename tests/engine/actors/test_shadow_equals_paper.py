"""A shadow book and a paper account that traded the same signals end with the same money: the real
engine trades on the real paper exchange, and the book is made of what the ledger and the tape hold.

The price of the market moves once a minute, and signals come when the engine has read what the last
move did: how late an engine notices a stop is a difference by nature.
"""

import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
import trio

from engine.decisions.recorded_prices import RecordedPrices
from engine.decisions.shadow import ShadowBook, ShadowTerms
from engine.decisions.sizing import TAKER_FEE_BPS
from engine.domain.amounts import Money, Price
from engine.domain.identifiers import AccountId, StrategyId, Symbol
from engine.domain.signal import Action, OrderType, PositionSide, SignalSize, SizeMode
from engine.domain.subscription import (
    BelowMinimum,
    CopyPolicy,
    Mode,
    RiskLimits,
    parse_leverage,
    parse_sizing,
)
from engine.ledger.codec import write_policy
from engine.ledger.query import fetch_all
from engine.ledger.signals import read_signal
from tests.engine.actors.engine_world import BEGINNING, BTC, World, world

D = Decimal
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
STEP_S = 120
STEP = D("0.1")


@dataclass
class Market:
    """A random walk from a seed that moves once a minute, the same in every process."""

    seed: int
    moves: float = 0.015
    walk: list[Price] = field(default_factory=lambda: [Price(D(65000))])

    def price(self, symbol: Symbol, second: int) -> Price:
        index = (second - int(BEGINNING.timestamp())) // STEP_S
        while len(self.walk) <= index:
            by = random.Random(f"{self.seed}/{len(self.walk)}").uniform(-self.moves, self.moves)
            self.walk.append(Price((self.walk[-1] * (1 + D(str(round(by, 6))))).quantize(STEP)))
        return self.walk[max(0, index)]

    def block(self, symbol: Symbol, number: int) -> tuple[Price, Price]:
        price = self.price(symbol, number * 60)
        return price, price


POLICIES: dict[str, CopyPolicy] = {
    "the same margin for each entry": CopyPolicy(
        Mode.LIVE,
        parse_sizing({"mode": "fixed_margin", "margin": "500"}),
        parse_leverage("5"),
        frozenset([BTC]),
    ),
    "a part of the equity at a high leverage": CopyPolicy(
        Mode.LIVE,
        parse_sizing({"mode": "equity_share", "share": "0.1"}),
        parse_leverage({"mode": "fixed", "value": "50"}),
        frozenset([BTC]),
    ),
    "caps that refuse": CopyPolicy(
        Mode.LIVE,
        parse_sizing({"mode": "multiplier", "factor": "2"}),
        parse_leverage({"mode": "follow", "value": "10"}),
        frozenset([BTC]),
        RiskLimits(order_notional=Money(D(4000)), symbol_notional=Money(D(6000)), slippage_bps=50),
        BelowMinimum.LIFT,
    ),
    "more than the account has": CopyPolicy(
        Mode.LIVE,
        parse_sizing({"mode": "fixed_margin", "margin": "4500"}),
        parse_leverage("20"),
        frozenset([BTC]),
        RiskLimits(drawdown_percent=30),
    ),
    "the stop decides the size": CopyPolicy(
        Mode.LIVE,
        parse_sizing({"mode": "stop_distance", "risk": "0.01"}),
        parse_leverage("10"),
        frozenset([BTC]),
    ),
}


def _signal(draw: random.Random, price: Price) -> tuple[Action, dict[str, Any]]:
    """Draw a signal as a master might send it at a price, sensible or not."""
    action = draw.choice(
        [Action.OPEN] * 5
        + [Action.ADD] * 4
        + [Action.REDUCE, Action.CLOSE, Action.REVERSE] * 2
        + [Action.SET_PROTECTION] * 3
        + [Action.CANCEL]
    )
    side = draw.choice([LONG, SHORT])
    said: dict[str, Any] = {}
    sign = 1 if side is LONG else -1

    def away(low: float, high: float, way: int) -> Price:
        by = D(str(round(draw.uniform(low, high), 5)))
        return Price((price * (1 + sign * way * by)).quantize(STEP))

    if action.is_entry or action is Action.SET_PROTECTION:
        if draw.random() < 0.7:
            said["stop_loss"] = away(0.005, 0.04, -1)
        if draw.random() < 0.5 or (action is Action.SET_PROTECTION and not said):
            said["take_profit"] = away(0.005, 0.05, 1)
    if action.is_entry:
        said["leverage"] = D(draw.choice(["3", "7", "12"]))
        if draw.random() < 0.4:
            said["order_type"] = OrderType.LIMIT
            said["price"] = away(0.0, 0.02, -1)
        elif draw.random() < 0.3:
            said["price"] = away(0.0, 0.01, draw.choice([-1, 1]))
        said["size"] = SignalSize(SizeMode.QUANTITY, quantity=D(draw.choice(["0.02", "0.034"])))
    if action is Action.REDUCE:
        said["size"] = SignalSize(SizeMode.FRACTION, fraction=D(draw.choice(["0.5", "0.25"])))
    if action.is_entry or (action in (Action.CLOSE, Action.SET_PROTECTION) and draw.random() < 0.3):
        said["side"] = side
    return action, said


_UNPROVEN = (
    "SELECT 1 FROM holding JOIN fill USING (account_id, symbol) WHERE detached = 1 AND is_entry = 0 "
    "AND coalesce(cause, 'unexplained') = 'unexplained'"
)


async def _until_second(house: World, offset: int) -> None:
    """Sleep to a second of the next minute."""
    passed = (house.shared.clock.now() - BEGINNING).total_seconds()
    await trio.sleep((passed // STEP_S + 1) * STEP_S + offset - passed)


def _shadow(house: World, policy: CopyPolicy) -> ShadowBook:
    feed = house.shared.feeds["paper"]
    contract = feed.instrument(BTC)
    assert contract is not None
    terms = ShadowTerms(
        account=AccountId("a0"),
        strategy=StrategyId("s"),
        policy=policy,
        operator=RiskLimits(),
        balance=Money(D(10_000)),
        contracts={BTC: contract},
        fee_bps=TAKER_FEE_BPS,
        taker_fee_bps=feed.taker_fee_bps or D(0),
        entry_age_s=10,
        price_age_s=5,
        resting_entry_s=86_400,
        zone="UTC",
    )
    prices = RecordedPrices({BTC: feed.tape.blocks(BTC)})
    book = ShadowBook(terms, prices, BEGINNING)
    for (number,) in fetch_all(house.ledger.db, "SELECT number FROM signal ORDER BY number"):
        book.take(read_signal(house.ledger.db, number))
    book.look(house.shared.clock.now())
    return book


@pytest.mark.parametrize("policy", list(POLICIES))
@pytest.mark.parametrize("seed", range(2))
async def test_the_shadow_book_ends_with_the_money_of_the_account_that_traded(
    autojump_clock, tmp_path, monkeypatch, seed, policy
):
    draw, market = random.Random(f"{seed}/{policy}"), Market(seed)
    monkeypatch.setattr("plugins.paper.adapter.make_prices", lambda settings: market)
    async with world(tmp_path, followers=1, paper={"price_fixed": {}}) as house:
        chosen = POLICIES[policy]
        house.ledger.db.execute("UPDATE subscription SET policy = ?", (write_policy(chosen),))
        house.shared.forget_subscriptions()
        await house.followers[0].account.wait_read()
        for _ in range(40):
            await _until_second(house, 100)
            price = market.price(BTC, int(house.shared.clock.now().timestamp()))
            action, said = _signal(draw, price)
            if action is Action.REVERSE and any(rests for _, _, rests in house.holdings()):
                # how long an exchange takes to cancel decides whether the entry is still young
                action, said = Action.CANCEL, {}
            if fetch_all(house.ledger.db, _UNPROVEN):
                # two positions that closed in one minute: only a shadow book knows what closed both
                action, said = Action.CLOSE, {}
            if action is Action.SET_PROTECTION and {"stop_loss", "take_profit"} <= said.keys():
                # two alerts of one moment, as from a sender of one level each
                await house.send(action, **{**said, "take_profit": None})
                said["stop_loss"] = None
            await house.send(action, **said)
        await _until_second(house, 100)
        session = await house.followers[0].account.connected()
        traded = await session.fetch_account()
        book = _shadow(house, chosen)
        told = book.report()
        assert told.balance == traded.balance
        assert [_facts(each) for each in told.positions] == [
            _facts(each) for each in traded.positions
        ]
        assert house.orders()


def _facts(position: Any) -> tuple[object, ...]:
    return (
        position.symbol,
        position.side,
        position.quantity,
        position.entry_price,
        position.mark_price,
        position.margin,
        position.unrealised_profit,
        position.liquidation_price,
        position.stop_loss,
        position.take_profit,
    )
