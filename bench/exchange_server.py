"""BENCH ONLY, no real exchange: an HTTP server process that answers orders after a set delay and
counts them.

``python -m bench.exchange_server --port 0 --latency-ms 20`` prints one JSON line with its port. It
parses requests by hand, so that it does not slow the measured code: it reads only the request line,
``Content-Length`` and ``X-Account`` of our own clients. Times are CLOCK_MONOTONIC nanoseconds,
comparable between processes on Linux.
"""

import argparse
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic_ns

import trio

SYMBOLS = {"BTCUSDT": "60000", "ETHUSDT": "3000"}
HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@dataclass
class Book:
    """Every order since the last reset, by account, with the arrival of the first and the last."""

    latency_s: float
    first_ns: int = 0
    last_ns: int = 0
    orders: list[dict[str, object]] = field(default_factory=list)
    by_account: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    def reset(self) -> None:
        """Forget all orders."""
        self.first_ns = self.last_ns = 0
        self.orders.clear()
        self.by_account.clear()

    def stats(self) -> dict[str, object]:
        """Return the counts and times for a benchmark."""
        return {
            "orders": len(self.orders),
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "distinct_accounts": len(self.by_account),
        }

    def add(self, account: str, body: bytes) -> dict[str, object]:
        """Fill one order at once and return its report."""
        self.last_ns = monotonic_ns()
        self.first_ns = self.first_ns or self.last_ns
        asked = json.loads(body)
        report = {
            "id": f"o{len(self.orders) + 1}",
            "client_order_id": asked["client_order_id"],
            "symbol": asked["symbol"],
            "side": asked["side"],
            "quantity": asked["quantity"],
            "reduce_only": asked["reduce_only"],
            "status": "filled",
            "filled_quantity": asked["quantity"],
            "average_price": SYMBOLS.get(asked["symbol"], "1"),
            "fee": "0",
            "created_at": datetime.now(UTC).isoformat(),
            "position_side": asked["position_side"],
            "leverage": asked["leverage"],
        }
        self.orders.append(report)
        self.by_account.setdefault(account, []).append(report)
        return report

    def account(self, account: str) -> dict[str, object]:
        """Return an account that always has enough money, with the sum of its orders as positions."""
        positions: dict[tuple[object, object], float] = {}
        for order in self.by_account.get(account, ()):
            key = (order["symbol"], order["position_side"])
            sign = -1 if order["reduce_only"] else 1
            positions[key] = positions.get(key, 0) + sign * float(str(order["quantity"]))
        return {
            "available": "1000000",
            "total": "1000000",
            "positions": [
                {
                    "symbol": symbol,
                    "side": side,
                    "quantity": f"{position:.6f}",
                    "price": SYMBOLS.get(str(symbol), "1"),
                    "leverage": "5",
                }
                for (symbol, side), position in positions.items()
                if position > 1e-9
            ],
        }

    def answer(self, method: str, target: str, account: str, body: bytes) -> tuple[int, object]:
        """Return the status and the JSON body. An order is counted at its arrival, before its
        delay.
        """
        path, _, query = target.partition("?")
        match method, path:
            case "POST", "/orders":
                return 200, self.add(account, body)
            case "GET", "/orders":
                symbol = query.removeprefix("symbol=")
                return 200, [
                    order
                    for order in reversed(self.by_account.get(account, ()))
                    if order["symbol"] == symbol
                ]
            case "GET", "/account":
                return 200, self.account(account)
            case "GET", "/instruments":
                return 200, list(SYMBOLS)
            case "GET", "/quotes":
                return 200, SYMBOLS
            case "GET", "/__stats":
                return 200, self.stats()
            case "POST", "/__reset":
                self.reset()
                return 200, {}
        return 404, {"error": f"no {method} {path}"}


async def serve_connection(book: Book, stream: trio.SocketStream) -> None:
    """Answer one client's requests, one after another, until it closes."""
    data = b""
    try:
        while True:
            while (end := data.find(b"\r\n\r\n")) < 0:
                chunk = await stream.receive_some()
                if not chunk:
                    return
                data += chunk
            first, *lines = data[:end].decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines)
            }
            size = end + 4 + int(headers.get("content-length", 0))
            while len(data) < size:
                data += await stream.receive_some() or b"\0" * size
            body, data = data[end + 4 : size], data[size:]
            method, target, _ = first.split(" ")
            status, answer = book.answer(method, target, headers.get("x-account", ""), body)
            if (method, target) == ("POST", "/orders"):
                await trio.sleep(book.latency_s)
            text = json.dumps(answer).encode()
            await stream.send_all(HEAD % (status, len(text)) + text)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # the client disconnected
    finally:
        await trio.aclose_forcefully(stream)


async def main(port: int, latency_s: float) -> None:
    """Serve until killed."""
    book = Book(latency_s)
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1", backlog=4096)
    print(
        json.dumps({"port": listeners[0].socket.getsockname()[1], "latency_ms": latency_s * 1000}),
        flush=True,
    )

    async def serve(stream: trio.SocketStream) -> None:
        await serve_connection(book, stream)

    await trio.serve_listeners(serve, listeners)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=20)
    options = parser.parse_args()
    trio.run(main, options.port, options.latency_ms / 1000)
