"""Values for the tests of decisions: one valid case each, changed by keyword. Prices are round so
that sums are readable.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.decisions.planning import AccountView, EntryContext
from engine.decisions.planning_exits import ExitContext
from engine.domain.account import AccountReport, Balance, Position
from engine.domain.holding import Holding, PendingEntry, Switch, SwitchScope
from engine.domain.identifiers import client_order_id
from engine.domain.instrument import Instrument
from engine.domain.order import OrderIntent, OrderReport, OrderSide, OrderStatus
from engine.domain.signal import Action, OrderType, PositionSide, Signal, SignalDraft, order_key
from engine.domain.subscription import (
    CopyPolicy,
    FixedMargin,
    LeverageMode,
    LeveragePolicy,
    Mode,
    RiskLimits,
    Subscription,
    SubscriptionState,
)
from engine.ports.market_data import Quote

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
BTC, ETH = "BTCUSDT", "ETHUSDT"
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


def D(text: str) -> Any:
    return Decimal(text)


def key(n: int) -> Any:
    return order_key(0, n, n)


def signal(**changes: Any) -> Signal:
    n = changes.pop("n", 100)
    age_s = changes.pop("age_s", 1)
    action = changes.pop("action", Action.OPEN)
    side = changes.pop("side", LONG if action is Action.OPEN else None)
    draft = SignalDraft(
        dedupe_key="d", action=action, symbol=changes.pop("symbol", BTC), side=side, **changes
    )
    at = NOW - timedelta(seconds=age_s)
    return Signal(
        id="sig",
        number=n,
        strategy="s1",
        draft=draft,
        order_key=key(n),
        decided_at=at,
        received_at=at,
    )


def policy(**changes: Any) -> CopyPolicy:
    base = CopyPolicy(
        mode=Mode.LIVE,
        sizing=FixedMargin(D("50")),
        leverage=LeveragePolicy(LeverageMode.CAPPED, D("5")),
        symbols=frozenset({BTC, ETH}),
    )
    return replace(base, **changes)


def subscription(**changes: Any) -> Subscription:
    strategy, state = changes.pop("strategy", "s1"), changes.pop("state", SubscriptionState.ACTIVE)
    return Subscription(
        id="sub", account="a1", strategy=strategy, policy=policy(**changes), state=state
    )


def instrument(**changes: Any) -> Instrument:
    base = Instrument(BTC, D("0.1"), D("0.001"), D("0.001"), D("100"), D("5"), D("1"), D("50"))
    return replace(base, **changes)


def holding(**changes: Any) -> Holding:
    return replace(
        Holding(
            account="a1",
            symbol=BTC,
            strategy="s1",
            side=LONG,
            share=D("2"),
            entries_open=0,
            entry_key=key(50),
        ),
        **changes,
    )


def pending(**changes: Any) -> PendingEntry:
    return replace(
        PendingEntry(
            copy="c9",
            symbol=ETH,
            strategy="s1",
            side=LONG,
            quantity=D("1"),
            notional=D("100"),
            margin=D("20"),
        ),
        **changes,
    )


def position(**changes: Any) -> Position:
    return replace(
        Position(BTC, LONG, D("2"), D("100"), D("100"), D("5"), D("40"), D("0")), **changes
    )


def report(
    positions: tuple[Position, ...] = (),
    orders: tuple[OrderReport, ...] = (),
    available: str = "1000",
) -> AccountReport:
    return AccountReport(Balance(D(available), D("1000")), positions, orders, NOW)


def view(**changes: Any) -> AccountView:
    return replace(AccountView(report(), (), ()), **changes)


def switch(**changes: Any) -> Switch:
    return replace(
        Switch(scope=SwitchScope.ALL, target="", note="quiet night", set_by="op", set_at=NOW),
        **changes,
    )


def entry(**changes: Any) -> EntryContext:
    base = EntryContext(
        signal=signal(),
        subscription=subscription(),
        copy="copy-1",
        leg=1,
        account=view(),
        account_problem="",
        instrument=instrument(),
        quote=Quote(BTC, D("100"), D("100"), NOW),
        limits=RiskLimits(),
        switches=(),
        goal_key="",
        strategy_names={"s1": "trend", "s2": "range"},
        fee_bps=D("5"),
        entry_age_s=10,
        price_age_s=5,
        now=NOW,
    )
    return replace(base, **changes)


def leaving(**changes: Any) -> ExitContext:
    base = ExitContext(
        signal=signal(action=Action.CLOSE),
        subscription=subscription(),
        copy="copy-1",
        leg=1,
        attempt=1,
        holding=holding(),
        position=position(),
        instrument=instrument(),
        outstanding=D("0"),
        now=NOW,
    )
    return replace(base, **changes)


def intent(**changes: Any) -> OrderIntent:
    base = OrderIntent(
        client_order_id("copy-1", 1), BTC, OrderSide.BUY, LONG, D("2.5"), OrderType.MARKET, D("5")
    )
    return replace(base, **changes)


def row(**changes: Any) -> OrderReport:
    """Return the exchange's report of ``intent()``, open and created as it was sent."""
    base = OrderReport(
        "x1",
        client_order_id("copy-1", 1),
        BTC,
        OrderSide.BUY,
        D("2.5"),
        OrderStatus.OPEN,
        D("0"),
        None,
        D("0"),
        NOW,
    )
    return replace(base, **changes)
