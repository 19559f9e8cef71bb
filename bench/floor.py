"""BENCH ONLY: the floor. A bare trio + h11 loop sends N orders at once on N open connections.

``measure`` is for other benchmarks. ``python -m bench.floor`` starts its own exchange process and
prints, in one run, this floor beside the engine's transport used directly and through httpx: the
time to the last arrival, and requests per second of this core.
"""

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from time import monotonic, monotonic_ns, process_time

import h11
import httpx
import trio

from engine.transport import HttpClientFactory

ORDER = json.dumps(
    {
        "client_order_id": "rxbench",
        "symbol": "BTCUSDT",
        "side": "BUY",
        "position_side": "LONG",
        "quantity": "0.004",
        "leverage": "5",
        "order_type": "MARKET",
        "reduce_only": False,
    }
).encode()
Send = Callable[[], Awaitable[object]]


class Bare:
    """One connection with one h11 state and no rules."""

    def __init__(self, stream: trio.SocketStream, account: int) -> None:
        self.stream = stream
        self.h11 = h11.Connection(h11.CLIENT)
        self.headers = [
            ("Host", "127.0.0.1"),
            ("X-Account", str(account)),
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
                conn.receive_data(await self.stream.receive_some())
            elif isinstance(event, h11.EndOfMessage):
                break
        conn.start_next_cycle()


async def wave(port: int, sends: list[Send]) -> float:
    """Start every send at once; return the seconds from the start until the exchange saw the last
    order.
    """
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        transport=HttpClientFactory()("http://x")._transport,
        timeout=30,
    ) as ask:
        await ask.post("/__reset")
        started = monotonic_ns()
        async with trio.open_nursery() as nursery:
            for send in sends:
                nursery.start_soon(send)
        stats = (await ask.get("/__stats")).json()
    if stats["orders"] != len(sends):
        raise RuntimeError(f"expected {len(sends)} orders at the exchange, found {stats['orders']}")
    return float(stats["last_ns"] - started) / 1e9


async def measure(port: int, n: int) -> float:
    """Return the floor in seconds: n open connections send one order each, until the last arrival."""
    streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(n)]
    try:
        return await wave(
            port, [Bare(stream, account).send for account, stream in enumerate(streams)]
        )
    finally:
        for stream in streams:
            await trio.aclose_forcefully(stream)


async def measure_transport(port: int, n: int, *, direct: bool) -> float:
    """Return the same through the engine's transport: one warm client each, used directly or
    through httpx.
    """
    factory = HttpClientFactory()
    clients = [
        factory(f"http://127.0.0.1:{port}", {"X-Account": str(account)}) for account in range(n)
    ]
    await factory.warm()
    try:
        return await wave(port, [_sender(client, direct) for client in clients])
    finally:
        await factory.aclose()


def _sender(client: httpx.AsyncClient, direct: bool) -> Send:
    request = client.build_request(
        "POST", "/orders", content=ORDER
    )  # built once, because building costs as much as sending

    async def through_transport() -> None:
        await (await client._transport.handle_async_request(request)).aread()

    async def through_httpx() -> None:
        await client.post("/orders", content=ORDER)

    return through_transport if direct else through_httpx


async def throughput(n: int, sends: list[Send], seconds: float = 2.0) -> float:
    """Return requests per second of this process's CPU time, n at once; independent of other
    processes.
    """
    count = 0
    ends = monotonic() + seconds

    async def loop(send: Send) -> None:
        nonlocal count
        while monotonic() < ends:
            await send()
            count += 1

    before = process_time()
    async with trio.open_nursery() as nursery:
        for send in sends:
            nursery.start_soon(loop, send)
    return count / (process_time() - before)


async def compare(port: int) -> None:
    """Print the table."""
    print(
        f"{'at once':>8} {'':>12} {'floor':>10} {'transport':>10} {'ratio':>6} {'httpx':>10} "
        f"{'ratio':>6}"
    )
    for n in (1, 10, 100, 1000):
        last = [
            await measure(port, n),
            await measure_transport(port, n, direct=True),
            await measure_transport(port, n, direct=False),
        ]
        _row(n, "last ms", [each * 1000 for each in last], [last[1] / last[0], last[2] / last[0]])
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(n)]
        factory = HttpClientFactory()
        clients = [factory(f"http://127.0.0.1:{port}") for _ in range(n)]
        rates = [
            await throughput(n, [Bare(stream, 0).send for stream in streams]),
            await throughput(n, [_sender(client, True) for client in clients]),
            await throughput(n, [_sender(client, False) for client in clients]),
        ]
        _row(n, "req/s core", rates, [rates[0] / rates[1], rates[0] / rates[2]])
        await factory.aclose()
        for stream in streams:
            await trio.aclose_forcefully(stream)


def _row(n: int, what: str, values: list[float], ratios: list[float]) -> None:
    floor, direct, through = values
    print(
        f"{n:>8} {what:>12} {floor:>10.1f} {direct:>10.1f} {ratios[0]:>6.2f} {through:>10.1f} "
        f"{ratios[1]:>6.2f}",
        flush=True,
    )


def main() -> None:
    """Start an exchange process without latency, compare, and stop it."""
    command = [sys.executable, "-m", "bench.exchange_server", "--latency-ms", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            trio.run(compare, json.loads(server.stdout.readline())["port"])
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
