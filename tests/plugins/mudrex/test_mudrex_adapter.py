"""The adapter against the simulator over a real socket: stops and targets, candles, and faults of every kind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import httpx
import pytest
import trio

from engine.actors.clock import SystemClock
from engine.ports.exchange import AccountLogin, ExchangeContext
from engine.transport import HttpClientFactory
from plugins.mudrex.adapter import MudrexAdapter, MudrexConnection, MudrexSettings
from plugins.mudrex.simulator.faults import FAULTS, PRESETS, preset_or_file, read_rules
from plugins.mudrex.simulator.server import Simulator, serve
from rexalgo import (
    AccountId,
    ClientOrderId,
    OrderIntent,
    OrderSide,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    Price,
    ProtectionOrder,
    Quantity,
    Ratio,
    Rejected,
    RejectionKind,
    Secret,
    Symbol,
)

BTC = Symbol("BTCUSDT")
LONG = PositionSide.LONG


def price(text: str) -> Price:
    return Price(Decimal(text))


def entry(identifier: str, **changes: Price) -> OrderIntent:
    quantity, leverage = Quantity(Decimal("0.004")), Ratio(Decimal(5))
    return OrderIntent(ClientOrderId(identifier), BTC, OrderSide.BUY, LONG, quantity, OrderType.MARKET, leverage, **changes)  # type: ignore[arg-type]


class There:
    """Hold a simulator that runs here, and an account connected to it."""

    def __init__(self, simulator: Simulator, adapter: MudrexAdapter, context: ExchangeContext, connection: MudrexConnection) -> None:
        self.simulator = simulator
        self.adapter = adapter
        self.context = context
        self.connection = connection

    async def position(self) -> Position | None:
        found = (await self.connection.fetch_account()).positions
        return found[0] if found else None

    async def opened(self, identifier: str = "rxone", **changes: Price) -> Position:
        order = entry(identifier, **changes)
        await self.connection.prepare_entry(order)
        await self.connection.place_order(order)
        with trio.fail_after(5):
            while (position := await self.position()) is None:
                await trio.lowlevel.checkpoint()
        return position


@asynccontextmanager
async def there() -> AsyncIterator[There]:
    simulator = Simulator(None, latency_s=0.0, per_s=0)
    simulator.exchange._fill_s = (0.0, 0.05)
    http = HttpClientFactory()
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, simulator, 0)
        adapter = MudrexAdapter(MudrexSettings(f"http://127.0.0.1:{port}/fapi", 100, 100))
        context = ExchangeContext({}, SystemClock(), http, "")
        connection = await adapter.connect(AccountLogin(AccountId("a"), {"secret": Secret("sim-0001")}), context)
        assert isinstance(connection, MudrexConnection)
        yield There(simulator, adapter, context, connection)
        await http.aclose()
        nursery.cancel_scope.cancel()


async def test_stop_and_target_go_with_the_entry_and_are_read_back() -> None:
    async with there() as at:
        position = await at.opened(stop_loss=price("60000"), take_profit=price("70000"))
        assert (position.stop_loss, position.take_profit) == (price("60000"), price("70000"))


async def test_stop_and_target_are_created_moved_and_removed() -> None:
    async with there() as at:
        await at.opened()
        for stop, target in (("60000", None), ("61000", "70000"), ("61000", "70000"), (None, "71000"), (None, None)):
            wanted = ProtectionOrder(BTC, LONG, None if stop is None else price(stop), None if target is None else price(target))
            await at.connection.set_protection(wanted)
            position = await at.position()
            assert position is not None
            assert (position.stop_loss, position.take_profit) == (wanted.stop_loss, wanted.take_profit)
        before = dict(at.simulator.counts)
        await at.connection.set_protection(ProtectionOrder(BTC, LONG))
        changed = {name for name, count in at.simulator.counts.items() if count != before.get(name)}
        assert changed == {"GET /fapi/v1/futures/positions 200"}  # what stands already is not sent again


async def test_protection_of_no_position_and_beyond_the_price_is_refused() -> None:
    async with there() as at:
        with pytest.raises(Rejected) as caught:
            await at.connection.set_protection(ProtectionOrder(BTC, LONG, price("60000")))
        assert caught.value.kind is RejectionKind.POSITION_NOT_OPEN
        await at.opened()
        with pytest.raises(Rejected, match="Risk order creation failed"):
            await at.connection.set_protection(ProtectionOrder(BTC, LONG, price("66000")))


async def test_a_stop_closes_at_its_price_and_a_liquidation_too() -> None:
    async with there() as at:
        await at.opened(stop_loss=price("60000"))
        async with httpx.AsyncClient(base_url=at.connection._http.base_url.join("/"), trust_env=False) as control:
            told = await control.post("/__control/price", json={"symbol": BTC, "price": "59999"})
            assert told.json() == {"closed": 1}
        assert await at.position() is None
        history = await at.connection.find_orders(BTC, SystemClock().now().replace(year=2020))
        assert [each.reduce_only for each in history.orders] == [True, False]


async def test_closed_candles_come_oldest_first() -> None:
    async with there() as at:
        market = await at.adapter.market_data(at.context)
        candles = await market.candles(BTC, 60, 5)
        assert len(candles) == 5
        assert [each.opened_at for each in candles] == sorted(each.opened_at for each in candles)
        assert candles[-1].close == Decimal(65000)
        assert candles[-1].opened_at.timestamp() + 60 <= SystemClock().now().timestamp()


@pytest.mark.parametrize(
    ("fault", "status", "filled"), [("partial_fill", "cancelled", "0.002"), ("late_rejection", "rejected", "0"), ("late_visible", "", "")]
)
async def test_what_the_exchange_does_after_accepting_is_read_as_it_is(fault: str, status: str, filled: str) -> None:
    async with there() as at:
        at.simulator.faults.rules = read_rules([{"path": "/order", "fault": fault}])
        order = entry("rxone")
        await at.connection.prepare_entry(order)
        assert (await at.connection.place_order(order)).status is OrderStatus.OPEN
        since = SystemClock().now().replace(year=2020)
        rows = (await at.connection.find_orders(BTC, since)).orders
        if fault == "late_visible":
            assert rows == ()
            return
        with trio.fail_after(5):
            while not rows[0].status.is_terminal:
                rows = (await at.connection.find_orders(BTC, since)).orders
        assert (rows[0].status.value, rows[0].filled_quantity) == (status, Decimal(filled))


async def test_a_dead_key_is_refused_everywhere() -> None:
    async with there() as at:
        at.simulator.exchange.dead_keys.add("sim-0001")
        with pytest.raises(Rejected) as caught:
            await at.connection.fetch_account()
        assert caught.value.kind is RejectionKind.CREDENTIALS


def test_presets_name_known_faults_and_a_wrong_one_is_named() -> None:
    assert {fault for rules in PRESETS.values() for _, fault, _ in rules} <= set(FAULTS)
    for name in PRESETS:
        preset_or_file(name)
    with pytest.raises(ValueError, match="calm, lossy"):
        preset_or_file("nonsense")
    with pytest.raises(ValueError, match="found explode"):
        read_rules([{"path": "/", "fault": "explode"}])
