"""BENCH ONLY: the floor. A bare trio + h11 loop sends N orders at once on N open connections.

``measure`` is for other benchmarks. ``python -m bench.floor`` starts its own exchange process and
prints, in one run, this floor beside the two clients of the engine's transport, the one that
plugins get and the whole httpx API: the time to the last arrival, and the CPU time of one order in
microseconds. Then it prints the parts of an order that need no socket.
"""

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from time import monotonic, monotonic_ns, process_time
from timeit import Timer
from typing import Any

import h11
import trio

from engine.transport import HttpClientFactory
from engine.transport.answer_parser import AnswerParser
from engine.transport.h11_reader import H11Reader
from engine.transport.request import PreparedRequests

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
    async with aclosing(HttpClientFactory()(f"http://127.0.0.1:{port}")) as ask:
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


async def measure_transport(port: int, n: int, *, through_httpx: bool) -> float:
    """Return the same through the engine's transport: one warm client each."""
    factory = HttpClientFactory()
    make = factory.httpx if through_httpx else factory
    clients = [
        make(f"http://127.0.0.1:{port}", {"X-Account": str(account)}) for account in range(n)
    ]
    await factory.warm()
    try:
        return await wave(port, [_sender(client) for client in clients])
    finally:
        await factory.aclose()


def _sender(client: Any) -> Send:
    async def send() -> None:
        await client.post("/orders", content=ORDER)

    return send


async def cpu_us(n: int, sends: list[Send], seconds: float = 2.0) -> float:
    """Return this process's CPU time of one request in microseconds, n at once; independent of
    other processes.
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
    return (process_time() - before) / count * 1e6


async def compare(port: int) -> None:
    """Print the table."""
    print(
        f"{'at once':>8} {'':>10} {'floor':>8} {'client':>8} {'ratio':>6} {'httpx':>8} {'ratio':>6}"
    )
    for n in (1, 10, 100, 1000):
        last = [
            await measure(port, n),
            await measure_transport(port, n, through_httpx=False),
            await measure_transport(port, n, through_httpx=True),
        ]
        _row(n, "last ms", [each * 1000 for each in last])
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(n)]
        factory = HttpClientFactory()
        base = f"http://127.0.0.1:{port}"
        costs = [
            await cpu_us(n, [Bare(stream, 0).send for stream in streams]),
            await cpu_us(n, [_sender(factory(base)) for _ in range(n)]),
            await cpu_us(n, [_sender(factory.httpx(base)) for _ in range(n)]),
        ]
        _row(n, "CPU us", costs)
        await factory.aclose()
        for stream in streams:
            await trio.aclose_forcefully(stream)


def _row(n: int, what: str, values: list[float]) -> None:
    floor, client, through_httpx = values
    print(
        f"{n:>8} {what:>10} {floor:>8.1f} {client:>8.1f} {client / floor:>6.2f} "
        f"{through_httpx:>8.1f} {through_httpx / floor:>6.2f}",
        flush=True,
    )


def parts() -> None:
    """Print what preparing an order and reading its answer cost without a socket."""
    prepared = PreparedRequests("http://127.0.0.1:1", {"X-Account": "1"})
    lines = [("Host", "127.0.0.1"), ("X-Account", "1"), ("Content-Length", str(len(ORDER)))]
    body = b"{" + b" " * 400 + b"}"
    answer = (
        b"HTTP/1.1 200 OK\r\nDate: Sun, 29 Nov 2026 13:00:00 GMT\r\nContent-Type: "
        b"application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    ) + body

    def prepare() -> None:
        prepared.written("POST", prepared.target("/orders"), None, ORDER)

    def read() -> None:
        if AnswerParser(1_000_000).feed(answer) is None:
            raise RuntimeError("expected a whole answer, found a part")

    def over_h11() -> None:
        reader = H11Reader(1_000_000)
        reader.written("POST", b"/orders", lines, ORDER)  # type: ignore[arg-type]
        if reader.feed(answer) is None:
            raise RuntimeError("expected a whole answer, found a part")

    for name, part in (("prepare", prepare), ("read", read), ("both over h11", over_h11)):
        best = min(Timer(part).repeat(5, 5_000)) / 5_000
        print(f"{name:>16} {best * 1e6:>6.1f} us")


def main() -> None:
    """Start an exchange process without latency, compare, and stop it."""
    command = [sys.executable, "-m", "bench.exchange_server", "--latency-ms", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            trio.run(compare, json.loads(server.stdout.readline())["port"])
            parts()
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
