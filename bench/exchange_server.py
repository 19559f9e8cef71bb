"""BENCH ONLY, no real exchange: an HTTP server process that answers orders after a set delay and
counts them.

``python -m bench.exchange_server --latency-ms 20`` prints one JSON line with its ports and ends
with its input. With ``--certificate`` it speaks TLS on a second port. It parses requests by hand
and answers from callbacks, so that it slows the measured code as little as it can: it reads only
the request line, ``Content-Length`` and ``X-Account`` of our own clients, which send no request
before the answer to the last one. Times are CLOCK_MONOTONIC nanoseconds, comparable between
processes on Linux.
"""

import argparse
import asyncio
import json
import ssl
import sys
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic_ns, process_time_ns
from typing import Final, cast

import msgspec

SYMBOLS = {"BTCUSDT": "60000", "ETHUSDT": "3000"}
HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
KEPT_ORDERS: Final = 50
FLOOD: Final = b" " * (8 * 1024 * 1024)
FAULTS: Final = ("hang", "fail", "flood")


class Asked(msgspec.Struct):
    """One order as the adapter sends it."""

    client_order_id: str
    symbol: str
    side: str
    position_side: str
    quantity: Decimal
    leverage: Decimal
    reduce_only: bool


@dataclass
class Account:
    """The newest orders and the positions of one account, and the fault that it suffers."""

    orders: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=KEPT_ORDERS))
    positions: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    fault: str = ""


@dataclass
class Book:
    """Every account, and the arrivals since the last reset."""

    latency_s: float
    first_ns: int = 0
    last_ns: int = 0
    count: int = 0
    ids: int = 0
    connections: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    arrivals: dict[str, int] = field(default_factory=dict)

    def reset(self) -> None:
        """Forget the arrivals. Positions stay: an account does not lose them between signals."""
        self.first_ns = self.last_ns = self.count = 0
        self.arrivals.clear()

    def stats(self) -> dict[str, object]:
        """Return the counts and times for a benchmark."""
        return {
            "orders": self.count,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "accounts": len(self.arrivals),
            "connections": self.connections,
            "cpu_ns": process_time_ns(),
        }

    def of(self, name: str) -> Account:
        """Return an account; it opens with its first request."""
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = Account()
        return found

    def add(self, name: str, body: bytes) -> dict[str, object]:
        """Fill one order at once and return its report."""
        self.last_ns = monotonic_ns()
        self.first_ns = self.first_ns or self.last_ns
        self.count += 1
        self.ids += 1
        self.arrivals.setdefault(name, self.last_ns)
        asked = READ(body)
        report: dict[str, object] = {
            "id": f"o{self.ids}",
            "client_order_id": asked.client_order_id,
            "symbol": asked.symbol,
            "side": asked.side,
            "quantity": asked.quantity,
            "reduce_only": asked.reduce_only,
            "status": "filled",
            "filled_quantity": asked.quantity,
            "average_price": SYMBOLS.get(asked.symbol, "1"),
            "fee": "0",
            "created_at": datetime.now(UTC),
        }
        account, key = self.of(name), (asked.symbol, asked.position_side)
        account.orders.append(report)
        held = account.positions.get(key, Decimal(0))
        account.positions[key] = held + (-asked.quantity if asked.reduce_only else asked.quantity)
        return report

    def account(self, name: str) -> dict[str, object]:
        """Return an account that always has enough money, with the sums of its orders."""
        return {
            "available": "1000000",
            "total": "1000000",
            "positions": [
                {
                    "symbol": symbol,
                    "side": side,
                    "quantity": quantity,
                    "price": SYMBOLS.get(symbol, "1"),
                    "leverage": "5",
                }
                for (symbol, side), quantity in self.of(name).positions.items()
                if quantity > 0
            ],
        }

    def answer(self, method: str, target: str, name: str, body: bytes) -> tuple[int, object]:
        """Return the status and the JSON body. An order is counted at its arrival, before its
        delay.
        """
        path, _, query = target.partition("?")
        match method, path:
            case "POST", "/orders":
                return 200, self.add(name, body)
            case "GET", "/orders":
                symbol = query.removeprefix("symbol=")
                return 200, [
                    order for order in reversed(self.of(name).orders) if order["symbol"] == symbol
                ]
            case "GET", "/account":
                return 200, self.account(name)
            case "GET", "/instruments":
                return 200, list(SYMBOLS)
            case "GET", "/quotes":
                return 200, SYMBOLS
            case "GET", "/__stats":
                return 200, self.stats()
            case "GET", "/__arrivals":
                return 200, self.arrivals
            case "POST", "/__reset":
                self.reset()
                return 200, {}
            case "POST", "/__fault":
                asked = json.loads(body)
                self.of(asked["account"]).fault = asked["fault"]
                return 200, {}
        return 404, {"error": f"no {method} {path}"}


READ = msgspec.json.Decoder(Asked).decode
WRITE = msgspec.json.Encoder().encode


class Connection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = ("_book", "_data", "_loop", "_transport")

    def __init__(self, book: Book, loop: asyncio.AbstractEventLoop) -> None:
        self._book = book
        self._loop = loop
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        self._transport = cast(asyncio.Transport, transport)
        self._book.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self._transport = None
        self._book.connections -= 1

    def data_received(self, data: bytes) -> None:
        """Answer the request once it is whole."""
        self._data = data = self._data + data if self._data else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = data[:end]
        low = head.lower()
        size = end + 4 + int(_field(head, low, b"content-length") or 0)
        if len(data) < size:
            return
        self._data = data[size:]
        method, target, _ = head[: head.find(b"\r\n")].decode("latin-1").split(" ")
        name = _field(head, low, b"x-account").decode("latin-1")
        self._answer(method, target, name, data[end + 4 : size])

    def _answer(self, method: str, target: str, name: str, body: bytes) -> None:
        book, is_order = self._book, (method, target) == ("POST", "/orders")
        fault = book.of(name).fault if name else ""
        if fault == "hang" and is_order:
            return
        if fault == "fail":
            status, text = 500, b'{"error": "out of order"}'
        else:
            status, answer = book.answer(method, target, name, body)
            text = WRITE(answer)
            if fault == "flood":
                text += FLOOD
        content = HEAD % (status, len(text)) + text
        if is_order and book.latency_s:
            self._loop.call_later(book.latency_s, self._send, content)
        else:
            self._send(content)

    def _send(self, content: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(content)


def _field(head: bytes, low: bytes, name: bytes) -> bytes:
    """Return a header of a request, or nothing; ``low`` is the same head in lower case."""
    at = low.find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    at += len(name) + 3
    end = head.find(b"\r\n", at)
    return head[at : end if end >= 0 else len(head)].strip()


async def main(latency_s: float, certificate: str) -> None:
    """Serve until the input ends."""
    book, loop = Book(latency_s), asyncio.get_running_loop()
    ports = {}
    for name in ("port", "tls_port") if certificate else ("port",):
        tls = None
        if name == "tls_port":
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate)
        server = await loop.create_server(
            lambda: Connection(book, loop), "127.0.0.1", 0, backlog=4096, ssl=tls
        )
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps({**ports, "latency_ms": latency_s * 1000}), flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)
    await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--certificate", default="")
    options = parser.parse_args()
    asyncio.run(main(options.latency_ms / 1000, options.certificate))
