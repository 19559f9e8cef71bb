"""The floor: a bare trio + h11 loop that sends N orders at once on N open connections."""

import json
import ssl
from dataclasses import dataclass
from time import monotonic_ns
from typing import Final

import h11
import trio

from bench.wire import Wire

ORDER: Final = json.dumps(
    {
        "client_order_id": "rxbench",
        "symbol": "ETHUSDT",
        "side": "BUY",
        "position_side": "LONG",
        "quantity": "0.004",
        "leverage": "5",
        "order_type": "MARKET",
        "reduce_only": False,
    }
).encode()
OPENING_AT_ONCE: Final = 100


class Bare:
    """One connection with one h11 state and no rules."""

    def __init__(self, stream: trio.abc.Stream, account: int) -> None:
        self.stream = stream
        self.h11 = h11.Connection(h11.CLIENT)
        self.headers = [
            ("Host", "127.0.0.1"),
            ("X-Account", f"floor-{account}"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(ORDER))),
        ]

    async def send(self) -> None:
        """Send one order and read its answer."""
        conn = self.h11
        head = conn.send(h11.Request(method="POST", target="/orders", headers=self.headers))
        data = conn.send(h11.Data(data=ORDER))
        conn.send(h11.EndOfMessage())
        assert head is not None
        assert data is not None
        await self.stream.send_all(head + data)
        while (event := conn.next_event()) is not None:
            if event is h11.NEED_DATA:
                conn.receive_data(bytes(await self.stream.receive_some()))
            elif isinstance(event, h11.EndOfMessage):
                break
        conn.start_next_cycle()


@dataclass(frozen=True, slots=True)
class Wave:
    """The milliseconds from the start until the exchange saw the first and the last order, and
    until the last answer was read; and the share of that time in which the exchange computed.
    """

    first: float
    last: float
    answered: float
    exchange_busy: float


class Floor:
    """N open connections of their own; ``wave`` sends one order on each."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, *, control: Wire) -> None:
        self._port = port
        self._tls = tls
        self._control = control
        self._bare: list[Bare] = []

    async def open(self, count: int) -> None:
        """Open the connections."""
        slots = trio.CapacityLimiter(OPENING_AT_ONCE)

        async def one(number: int) -> None:
            async with slots:
                stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", self._port)
                if self._tls is not None:
                    secured = trio.SSLStream(stream, self._tls, server_hostname="127.0.0.1")
                    await secured.do_handshake()
                    stream = secured
                self._bare.append(Bare(stream, number))

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(one, number)

    async def wave(self) -> Wave:
        """Start every send at once; raises RuntimeError if the exchange counts another number."""
        await self._control.ask("POST", "/__reset")
        before = await self._control.ask("GET", "/__stats")
        began = monotonic_ns()
        async with trio.open_nursery() as nursery:
            for each in self._bare:
                nursery.start_soon(each.send)
        answered = monotonic_ns()
        seen = await self._control.ask("GET", "/__stats")
        if seen["orders"] != len(self._bare):
            raise RuntimeError(
                f"expected {len(self._bare)} orders at the exchange, found {seen['orders']}"
            )
        return Wave(
            (seen["first_ns"] - began) / 1e6,
            (seen["last_ns"] - began) / 1e6,
            (answered - began) / 1e6,
            (seen["cpu_ns"] - before["cpu_ns"]) / (answered - began),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        for each in self._bare:
            await trio.aclose_forcefully(each.stream)
        self._bare.clear()
