"""SIMULATED exchange over HTTP: authentication, rate limits, routes, faults, and a durable record of every order it ever accepted.

``/__control`` is for drills and tests: ``GET /__control/orders`` (everything accepted), ``GET /__control/accounts``, ``POST
/__control/faults`` with ``{"rules": [{"path": "/order", "fault": "accept_then_503", "times": 3}]}`` (``faults.py`` lists them), ``POST
/__control/price`` with ``{"symbol", "price"}``, which sets off stops, targets and liquidations, ``POST /__control/key`` with ``{"key",
"dead"}``, as if its owner had rotated it.
"""

import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import h11
import trio

from plugins.mudrex.simulator.contracts import CONTRACTS, Contract
from plugins.mudrex.simulator.exchange import Account, Exchange, Refusal
from plugins.mudrex.simulator.faults import FAULTS, PRESETS, Faults, Rule, preset_or_file, read_rules

BODY_BYTES_MAX = 64 * 1024
AGGREGATIONS = {"1m": 60, "15t": 900, "30t": 1800, "1h": 3600, "4h": 14400, "1d": 86400}


class Dropped(Exception):
    """Close the connection, after a part of the answer or without any."""

    def __init__(self, part: bytes = b"") -> None:
        self.part = part


class Dripped(Exception):
    """Send the answer so slowly that it does not end in time."""

    def __init__(self, content: bytes) -> None:
        self.content = content


@dataclass(slots=True)
class Limits:
    """Count requests per key in a sliding second; 0 means no limit."""

    per_s: int
    seen: dict[str, deque[float]] = field(default_factory=dict)

    def take(self, key: str, now: float) -> bool:
        """Count one request; False when the key has used its second up."""
        if not self.per_s:
            return True
        times = self.seen.setdefault(key, deque())
        while times and now - times[0] >= 1.0:
            times.popleft()
        if len(times) >= self.per_s:
            return False
        times.append(now)
        return True


@dataclass(slots=True)
class Request:
    """Hold one request."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    key: str
    body: Mapping[str, object]


class Simulator:
    """Answer requests against one exchange."""

    def __init__(self, state: Path | None, seed: int = 1, latency_s: float = 0.02, per_s: int = 10, clock: Callable[[], float] = time.time,
        rules: Sequence[Rule] = ()) -> None:  # fmt: skip
        self._file = None if state is None else os.open(state, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self.orders: list[Mapping[str, object]] = []
        self.exchange = Exchange(seed, accepted=self._accept)
        self.limits = Limits(per_s)
        self.faults = Faults(seed, rules)
        self.counts: dict[str, int] = {}
        self._latency_s = latency_s
        self._clock = clock

    def _accept(self, order: Mapping[str, object]) -> None:
        self.orders.append(order)
        if self._file is not None:
            os.write(self._file, json.dumps(order).encode() + b"\n")
            os.fdatasync(self._file)

    async def answer(self, request: Request) -> tuple[int, bytes]:
        """Answer one request; raises Dropped where the connection is to be closed."""
        if request.path.startswith("/__control"):
            return 200, json.dumps(self._control(request)).encode()
        await trio.sleep(self._latency_s)
        fault = self.faults.of(request.path)
        if fault is not None:
            self._count(f"fault {fault}")
        if fault == "slow":
            await trio.sleep(5)
        if fault == "refuse_503":
            return 503, b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
        if fault == "rate_limit" or not self.limits.take(request.key, self._clock()):
            self._count("429")
            return 429, _error(5002, "API rate limit exceeded")
        self.exchange.behaviour = fault
        status, content = self._safely(request)
        self.exchange.behaviour = None
        self._count(f"{request.method} {re.sub('[0-9a-f-]{36}', 'ID', request.path)} {status}")
        if fault == "accept_then_503":
            return 503, b"<html>upstream timed out</html>"
        if fault in ("accept_then_drop", "reset_mid_body"):
            raise Dropped(content[: len(content) // 2] if fault == "reset_mid_body" else b"")
        if fault == "drip":
            raise Dripped(content)
        return (status, b'{"success": tr') if fault == "garbage" else (status, content)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _safely(self, request: Request) -> tuple[int, bytes]:
        try:
            now = self._clock()
            account = self.exchange.account(request.key, now)
            status, data = self._route(request, account, now)
        except Refusal as refusal:
            return refusal.status, _error(refusal.code, refusal.text)
        return status, json.dumps({"success": True, "data": data}).encode()

    def _route(self, request: Request, account: Account, now: float) -> tuple[int, object]:
        method, path = request.method, request.path
        if (method, path) == ("POST", "/fapi/v2/futures/order"):
            symbol = request.query.get("symbol", [""])[0]
            return 202, self.exchange.place(request.key, request.body, now, symbol, version=2)
        if (method, path) == ("GET", "/fapi/v1/price/kline"):
            return 200, self._klines(request, now)
        rest = path.removeprefix("/fapi/v1/futures")
        if rest == path:
            raise Refusal(404, "resource not found")
        match method, rest.strip("/").split("/"):
            case "GET", ["ping"]:
                return 200, "pong"
            case "GET", [""]:
                return 200, _page([self._contract_row(each) for each in CONTRACTS.values()], request)
            case "GET", ["funds"]:
                return 200, {"balance": str(account.balance), "locked_amount": str(account.locked), "first_time_user": False}
            case "GET", ["positions"]:
                return 200, [each.row() for each in account.positions.values()] or None
            case "GET", ["orders"]:
                return 200, [each.row() for each in account.orders if each.status == "CREATED" and each.visible <= now]
            case "GET", ["orders", "history"]:
                return 200, _page([each.row() for each in reversed(account.orders) if each.visible <= now], request)
            case "DELETE", ["orders", order_id]:
                self.exchange.cancel(request.key, order_id, now)
                return 200, {"message": "", "order_id": "", "status": ""}
            case "POST", ["positions", position_id, "close"]:
                self.exchange.close(request.key, position_id, None, now)
                return 200, {"position_id": position_id, "status": "CREATED", "message": "OK"}
            case "POST", ["positions", position_id, "close", "partial"]:
                self.exchange.close(request.key, position_id, Decimal(str(request.body.get("quantity"))), now)
                return 200, True
            case ("POST" | "PATCH") as how, ["positions", position_id, "riskorder"]:
                return 200, self.exchange.set_levels(request.key, position_id, request.body, now, amend=how == "PATCH")
            case "GET", [asset]:
                return 200, self._contract_row(_asset(asset, request))
            case _, [asset, "leverage"]:
                return 200, self._leverage(request, account, asset)
            case "POST", [asset, "order"]:
                return 202, self.exchange.place(request.key, request.body, now, _asset(asset, request).symbol, version=1)
            case _:
                raise Refusal(404, "resource not found")

    def _contract_row(self, contract: Contract) -> dict[str, object]:
        return {**contract.row(), "price": str(self.exchange.prices[contract.symbol])}

    def _klines(self, request: Request, now: float) -> dict[str, object]:
        """Answer closed candles at today's price: the simulated market stands still but for ``/__control/price``."""
        seconds = AGGREGATIONS.get(request.query.get("aggregation", [""])[0])
        if seconds is None:
            raise Refusal(400, f"{request.query.get('aggregation', [''])[0]} aggregation not supported")
        first, last = int(request.query["start_time"][0]), min(int(request.query["end_time"][0]), int(now) - seconds)
        ticks = {}
        for asset in request.query["assets"][0].split(","):
            price = self.exchange.prices.get(asset.replace("/", ""))
            if price is not None:
                starts = range(-(-first // seconds) * seconds, last + 1, seconds)
                ticks[asset.lower()] = [[start, *[float(price)] * 4, 1.0] for start in starts][:1440]
        return {"asset_ticks": ticks} if ticks else {}

    def _leverage(self, request: Request, account: Account, asset: str) -> dict[str, object]:
        contract = _asset(asset, request)
        if request.method == "POST":
            self.exchange.set_leverage(account, contract, Decimal(str(request.body.get("leverage"))))
        elif contract.symbol not in account.leverage:
            raise Refusal(404, "leverage not found")
        return {"margin_type": "ISOLATED", "leverage": str(account.leverage[contract.symbol]), "collateral_currency_id": 0}

    def _control(self, request: Request) -> object:
        match request.method, request.path:
            case "GET", "/__control/orders":
                return self.orders
            case "GET", "/__control/accounts":
                now = self._clock()
                seen = {key: self.exchange.account(key, now) for key in list(self.exchange.accounts)}
                return {key: {"positions": [each.row() for each in account.positions.values()]} for key, account in seen.items()}
            case "GET", "/__control/counts":
                return self.counts
            case "POST", "/__control/faults":
                preset = request.body.get("preset")
                self.faults.rules = read_rules(request.body.get("rules", [])) if preset is None else preset_or_file(str(preset))
                return {"rules": len(self.faults.rules), "known": FAULTS, "presets": list(PRESETS)}
            case "POST", "/__control/price":
                price = Decimal(str(request.body.get("price")))
                return {"closed": self.exchange.set_price(str(request.body.get("symbol")), price, self._clock())}
            case "POST", "/__control/key":
                (self.exchange.dead_keys.add if request.body.get("dead", True) else self.exchange.dead_keys.discard)(
                    str(request.body.get("key"))
                )
                return {"dead_keys": len(self.exchange.dead_keys)}
            case _:
                return {"paths": ["orders", "accounts", "counts", "faults", "price", "key"]}


def _asset(asset: str, request: Request) -> Contract:
    for contract in CONTRACTS.values():
        if asset == (contract.symbol if "is_symbol" in request.query else contract.id):
            return contract
    raise Refusal(404, "Asset not found")


def _page(rows: list[dict[str, object]], request: Request) -> list[dict[str, object]]:
    limit = int(request.query.get("limit", ["20"])[0])
    offset = int(request.query.get("offset", ["0"])[0])
    return rows[offset : offset + limit] if offset < 1_000_000_000 else rows[:limit]


def _error(code: int, text: str) -> bytes:
    return json.dumps({"success": False, "errors": [{"code": code, "text": text}]}).encode()


# HTTP


async def serve_connection(simulator: Simulator, stream: trio.SocketStream) -> None:
    """Answer one client's requests, one after another, until it closes or sends nonsense."""
    wire = h11.Connection(h11.SERVER)
    try:
        while True:
            request = await _read(wire, stream)
            if request is None:
                return
            status, content = await simulator.answer(request)
            kind = b"text/html" if content.startswith(b"<") else b"application/json"
            headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode()), (b"server", b"mudrex.simulated")]
            parts = (h11.Response(status_code=status, headers=headers), h11.Data(data=content), h11.EndOfMessage())
            await stream.send_all(b"".join(wire.send(part) or b"" for part in parts))
            if wire.our_state is not h11.DONE:
                return
            wire.start_next_cycle()
    except Dropped as dropped:
        if dropped.part:
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4096\r\n\r\n" + dropped.part)
    except Dripped as dripped:
        await _drip(stream, dripped.content)
    except (h11.ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError, ValueError):
        return
    finally:
        await trio.aclose_forcefully(stream)


async def _drip(stream: trio.SocketStream, content: bytes) -> None:
    try:
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(content))
        for index in range(len(content)):
            await stream.send_all(content[index : index + 1])
            await trio.sleep(1)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


async def _read(wire: h11.Connection, stream: trio.SocketStream) -> Request | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await stream.receive_some(65_536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                return None
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            target = urlsplit(head.target.decode("ascii"))
            key = next((value.decode("latin-1") for name, value in head.headers if name == b"x-authentication"), "")
            parsed = json.loads(body) if body else {}
            query = parse_qs(target.query, keep_blank_values=True)
            return Request(head.method.decode(), target.path, query, key, parsed if isinstance(parsed, dict) else {})
        else:
            return None


async def serve(simulator: Simulator, port: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve on this machine only until cancelled; reports the port."""
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1", backlog=4096)
    task_status.started(listeners[0].socket.getsockname()[1])

    async def handle(stream: trio.SocketStream) -> None:
        await serve_connection(simulator, stream)

    await trio.serve_listeners(handle, listeners)
