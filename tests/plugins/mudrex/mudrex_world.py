"""The adapter against the simulator over a real socket in this process, with the engine's
transport, checked against the exchange's record.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import trio

from engine.domain.network import LOOPBACK
from engine.domain.order import OrderSide
from engine.transport import HttpClientFactory
from plugins.mudrex.adapter import MudrexAdapter
from plugins.mudrex.connection import MudrexConnection
from plugins.mudrex.settings import MudrexSettings
from plugins.mudrex.simulator.exchange import Exchange
from plugins.mudrex.simulator.faults import Drill
from plugins.mudrex.simulator.server import serve
from plugins.mudrex.simulator.simulated import Simulator
from plugins.mudrex.simulator.switches import Switches
from plugins.mudrex.simulator.values import Account
from rexalgo import (
    AccountId,
    AccountLogin,
    ClientOrderId,
    ExchangeContext,
    OrderIntent,
    OrderReport,
    OrderType,
    PositionSide,
    Price,
    ProtectionOrder,
    Quantity,
    Ratio,
    Secret,
    Symbol,
)

BTC = Symbol("BTCUSDT")
T = TypeVar("T")
FAST = (0.0, 0.0)


class WallClock:
    """The real clock."""

    def now(self) -> datetime:
        """Return now, UTC."""
        return datetime.now(UTC)


@dataclass
class World:
    """A running simulator, an adapter at its address, and one open connection."""

    simulator: Simulator
    url: str
    adapter: MudrexAdapter
    context: ExchangeContext
    connection: MudrexConnection

    async def control(self, what: str, **body: object) -> Any:
        """Send a request to the simulator's control address."""
        async with httpx.AsyncClient(base_url=f"{self.url}/__control", trust_env=False) as client:
            answer = await (client.post(f"/{what}", json=body) if body else client.get(f"/{what}"))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def fault(self, path: str, fault: str, times: int = 1, **more: object) -> None:
        """Inject a fault into the next requests."""
        await self.control("faults", rules=[{"path": path, "fault": fault, "times": times, **more}])

    async def connect(self, key: str = "someone", account: str = "a2") -> MudrexConnection:
        """Open another connection."""
        made = await self.adapter.connect(
            AccountLogin(AccountId(account), {"secret": Secret(key)}), self.context
        )
        assert isinstance(made, MudrexConnection)
        return made

    async def enter(self, cid: str = "rx1", **changes: Any) -> OrderReport:
        """Enter BTC long and return the answer."""
        order = entry(cid, **changes)
        await self.connection.prepare_entry(order)
        return await self.connection.place_order(order)

    async def until(
        self, read: Callable[[], Awaitable[T]], holds: Callable[[T], bool], within_s: float = 5.0
    ) -> T:
        """Read until something holds: rows appear after the events they are about."""
        with trio.fail_after(within_s):
            while True:
                found = await read()
                if holds(found):
                    return found
                await trio.sleep(0.02)

    async def order(self, status: str | None = None, within_s: float = 5.0) -> OrderReport:
        """Return the newest BTC order, once it has a status."""
        with trio.fail_after(within_s):
            while True:
                found = await self.connection.find_orders(BTC, datetime(2020, 1, 1, tzinfo=UTC))
                if found.orders and status in (None, found.orders[0].status.value):
                    return found.orders[0]
                await trio.lowlevel.checkpoint()


def entry(cid: str = "rx1", **changes: Any) -> OrderIntent:
    """Return an entry: long BTC, 0.01 at leverage 5, with changes."""
    plain: dict[str, Any] = {
        "client_order_id": ClientOrderId(cid),
        "symbol": BTC,
        "side": OrderSide.BUY,
        "position_side": PositionSide.LONG,
        "quantity": Quantity(Decimal("0.01")),
        "order_type": OrderType.MARKET,
        "leverage": Ratio(Decimal(5)),
    }
    return OrderIntent(**{**plain, **changes})


def leave(quantity: str = "0.01", *, whole: bool = True) -> OrderIntent:
    """Return an exit of long BTC."""
    return entry(
        "rx-exit",
        side=OrderSide.SELL,
        reduce_only=True,
        whole_position=whole,
        quantity=Quantity(Decimal(quantity)),
    )


def protection(stop: str | None = None, target: str | None = None) -> ProtectionOrder:
    """Return a protection of long BTC."""
    return ProtectionOrder(
        BTC,
        PositionSide.LONG,
        None if stop is None else Price(Decimal(stop)),
        None if target is None else Price(Decimal(target)),
    )


@asynccontextmanager
async def mudrex_world(
    folder: Path,
    settings: Mapping[str, object] | None = None,
    *,
    state: Path | None = None,
    drill: Drill | None = None,
    per_s: int = 0,
    seed: int = 1,
) -> AsyncIterator[World]:
    """Serve a simulator with fixed prices and immediate fills, and connect to it."""
    drill = drill or Drill(switches={"prices_move": False, "margin_freed_after_s": 0.0})
    simulator = Simulator(state, seed, 0.0, per_s, drill=drill, fill_s=FAST)
    clients = HttpClientFactory(reach=LOOPBACK)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, simulator, 0))
        url = f"http://127.0.0.1:{port}"
        adapter = MudrexAdapter(
            MudrexSettings.parse({"base_url": f"{url}/fapi", **(settings or {})})
        )
        context = ExchangeContext({}, WallClock(), clients, str(folder))
        try:
            connection = await adapter.connect(
                AccountLogin(AccountId("a1"), {"secret": Secret("someone")}), context
            )
            assert isinstance(connection, MudrexConnection)
            yield World(simulator, url, adapter, context, connection)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                await clients.aclose()
            nursery.cancel_scope.cancel()


def recorded(file: Path) -> list[dict[str, Any]]:
    """Read the simulator's own file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


# The simulated exchange alone, without HTTP

STILL_NOW = 1_800_000_000.0


def body(quantity: str = "0.01", side: str = "LONG", **more: object) -> dict[str, object]:
    """Return a v2 order of BTC."""
    return {
        "trigger_type": "MARKET",
        "order_type": side,
        "quantity": quantity,
        "trade_currency": "USDT",
        **more,
    }


def exchange(**switches: Any) -> Exchange:
    """Return an exchange with fixed prices that fills after half a second."""
    made = Exchange(1, (0.5, 0.5), switches=Switches(prices_move=False, margin_freed_after_s=0.0))
    made.switch(**switches)
    return made


def place(
    on: Exchange, now: float = STILL_NOW, *, fate: str = "", version: int = 2, **more: object
) -> Account:
    """Place an order of one account and return the account a second later."""
    on.place("key", body(**more), now, "BTCUSDT", version=version, fate=fate)  # type: ignore[arg-type]
    return on.account("key", now + 1)
