"""A tiny exchange over HTTP on this machine, for the completed example of a plugin. Standard
library only.

Every request of an account has the header ``X-Api-Key``; a key that begins with ``bad`` is refused.
All numbers are texts. Fixed prices.

GET /contracts              {"contracts": [{"symbol", "tick", "lot", "minNotional", "maxLeverage"}]}
GET /ticker?symbol=         {"symbol", "last", "mark"}, 404
GET /account                {"free", "total", "positions": [...], "orders": [...]}; a position has "symbol", "size" (negative is
                            short), "entry", "leverage", "margin", "stop", "target"
GET /orders?symbol=&since=  {"orders": [...]}, newest first; an order has "id", "clientId", "symbol", "side" (buy, sell), "size",
                            "filled", "price", "state" (open, filled, cancelled), "reduceOnly", "ms"
                            (since 1970)
POST /orders                "clientId", "symbol", "side", "size", "leverage", "limit" (null: market), "reduceOnly", "stop", "target":
                            201 and the order
DELETE /orders/ID           204; 404 unknown, 409 done already
PUT /positions/SYMBOL/protection  "stop", "target" (null: none): 204; 404 without a position
Refusals: {"code"} with 400 (too_small, no_funds, no_position, bad_request), 401, 404, 409 (duplicate_client_id).
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PRICES = {"BTCUSDT": Decimal(65000), "DOGEUSDT": Decimal("0.125")}
LOTS = {"BTCUSDT": Decimal("0.001"), "DOGEUSDT": Decimal(1)}
TICKS = {"BTCUSDT": Decimal("0.1"), "DOGEUSDT": Decimal("0.00001")}
MIN_NOTIONAL = Decimal(5)


class Refusal(Exception):
    """Raised to answer with a status and a code."""


@dataclass
class Account:
    """One account."""

    cash: Decimal = Decimal(10_000)
    positions: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: list[dict[str, Any]] = field(default_factory=list)

    @property
    def margin(self) -> Decimal:
        return sum((each["margin"] for each in self.positions.values()), Decimal(0))


@dataclass
class Exchange:
    """All accounts."""

    accounts: dict[str, Account] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(
        self, method: str, path: str, query: Mapping[str, list[str]], key: str, body: dict[str, Any]
    ) -> tuple[int, object]:
        """Answer one request."""
        match method, path.strip("/").split("/"):
            case "GET", ["contracts"]:
                rows = [
                    {
                        "symbol": each,
                        "tick": TICKS[each],
                        "lot": LOTS[each],
                        "minNotional": MIN_NOTIONAL,
                        "maxLeverage": "50",
                    }
                    for each in PRICES
                ]
                return 200, {"contracts": rows}
            case "GET", ["ticker"]:
                symbol = query["symbol"][0]
                return (
                    (200, {"symbol": symbol, "last": PRICES[symbol], "mark": PRICES[symbol]})
                    if symbol in PRICES
                    else (404, {"code": "?"})
                )
        if not key or key.startswith("bad"):
            raise Refusal(401, "bad_key")
        account = self.accounts.setdefault(key, Account())
        match method, path.strip("/").split("/"):
            case "GET", ["account"]:
                open_orders = [each for each in account.orders if each["state"] == "open"]
                positions = [{"symbol": name, **each} for name, each in account.positions.items()]
                return 200, {
                    "free": account.cash - account.margin,
                    "total": account.cash,
                    "positions": positions,
                    "orders": open_orders,
                }
            case "GET", ["orders"]:
                since = int(query["since"][0])
                return 200, {
                    "orders": [
                        each
                        for each in account.orders
                        if each["symbol"] == query["symbol"][0] and each["ms"] >= since
                    ]
                }
            case "POST", ["orders"]:
                return 201, self.place(account, body)
            case "DELETE", ["orders", number]:
                return self.cancel(account, number)
            case "PUT", ["positions", symbol, "protection"] if symbol in account.positions:
                account.positions[symbol] |= {"stop": body["stop"], "target": body["target"]}
                return 204, None
        raise Refusal(404, "not_found")

    def place(self, account: Account, body: dict[str, Any]) -> dict[str, Any]:
        """Accept an order: a market order fills at once, a limit order rests."""
        symbol, size, limit = body["symbol"], Decimal(body["size"]), body["limit"]
        if any(each["clientId"] == body["clientId"] for each in account.orders):
            raise Refusal(409, "duplicate_client_id")
        if symbol not in PRICES or size % LOTS[symbol] or not isinstance(body["size"], str):
            raise Refusal(400, "bad_request")
        signed, held = size if body["side"] == "buy" else -size, account.positions.get(symbol)
        if body["reduceOnly"]:
            if held is None or held["size"] * signed > 0:
                raise Refusal(400, "no_position")
            signed = max(signed, -held["size"]) if signed < 0 else min(signed, -held["size"])
        elif size * PRICES[symbol] < MIN_NOTIONAL:
            raise Refusal(400, "too_small")
        elif size * PRICES[symbol] / Decimal(body["leverage"]) > account.cash - account.margin:
            raise Refusal(400, "no_funds")
        order = {
            "id": f"T{len(account.orders) + 1}",
            "clientId": body["clientId"],
            "symbol": symbol,
            "side": body["side"],
            "size": size,
            "filled": Decimal(0),
            "price": None,
            "state": "open",
            "reduceOnly": body["reduceOnly"],
            "ms": int(time.time() * 1000),
        }
        account.orders.insert(0, order)
        if limit is None:
            order |= {"state": "filled", "filled": size, "price": PRICES[symbol]}
            self.fill(account, symbol, signed, body)
        return order

    def fill(self, account: Account, symbol: str, signed: Decimal, body: dict[str, Any]) -> None:
        """Change the position by a fill."""
        held = account.positions.pop(symbol, None)
        size = (held["size"] if held else Decimal(0)) + signed
        if size:
            leverage = held["leverage"] if held else Decimal(body["leverage"])
            account.positions[symbol] = {
                "size": size,
                "entry": PRICES[symbol],
                "leverage": leverage,
                "margin": abs(size) * PRICES[symbol] / leverage,
                "stop": (held or body)["stop"],
                "target": (held or body)["target"],
            }

    def cancel(self, account: Account, number: str) -> tuple[int, object]:
        """Cancel a resting order."""
        found = next((each for each in account.orders if each["id"] == number), None)
        if found is None:
            raise Refusal(404, "not_found")
        if found["state"] != "open":
            raise Refusal(409, "done")
        found["state"] = "cancelled"
        return 204, None


def handler(exchange: Exchange) -> type[BaseHTTPRequestHandler]:
    """Return the class that serves one exchange."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536  # one packet per answer

        def _serve(self) -> None:
            target = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                with exchange.lock:
                    body = json.loads(raw) if raw else {}
                    status, value = exchange.answer(
                        self.command,
                        target.path,
                        parse_qs(target.query),
                        self.headers.get("x-api-key") or "",
                        body,
                    )
                    content = b"" if value is None else json.dumps(value, default=str).encode()
            except Refusal as refusal:
                status, content = refusal.args[0], json.dumps({"code": refusal.args[1]}).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _serve

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler


@contextmanager
def tiny_exchange() -> Iterator[str]:
    """Serve one on a free port of this machine; yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(Exchange()))
    server.daemon_threads = True
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
