"""The engine's own HTTP clients with injected faults: an author needs no server that fails.

A fault concerns the next writing request (anything but GET and HEAD), every reading one, or one
reading one alone. What happened is counted, because a plugin that sends an order twice must be
caught. Requests are spaced by the adapter's own limits, as the engine's limiter does it.
"""

import json as json_library
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import httpx
import trio
from httpx import AsyncClient

from engine.domain.network import LOOPBACK
from engine.ports.http import HttpAnswer, HttpClient, HttpClients, Params
from engine.testing.over_httpx import as_answer
from engine.transport import Answer, HttpClientFactory
from engine.transport.errors import ConnectError, ReadError, ReadTimeout, RemoteProtocolError
from engine.transport.request import READING_METHODS

# Occurs instead of the request; nothing reaches the exchange, and that is proven.
BEFORE: Final = ("connect_refused", "rate_limited", "rate_limited_html")
# Occurs to the answer; the exchange has seen the request.
AFTER: Final = (
    "answer_dropped",
    "bad_gateway",
    "server_error",
    "empty_answer",
    "cut_off_json",
    "not_json",
    "redirect",
    "answer_timed_out",
    "hung_up",
    "unavailable",
    "empty_object",
)
# Occurs instead of a request before an order or after it (leverage, stop and target): what was
# asked for is not done.
LOST: Final = ("rate_limited", "bad_gateway_instead")
# Occurs to readings.
READING: Final = (
    "read_error",
    "read_500",
    "read_not_json",
    "read_empty_object",
    "read_429",
    "read_nothing",
)
# Occurs to the true answer of a reading: each list is replaced by a text.
WITHOUT_LISTS: Final = "read_without_lists"
# Occurs to the true answer of a reading: each list of objects begins with one of unknown values.
STRANGE_ROWS: Final = "read_strange_rows"
# Occurs to the true answer of a reading: in the first object of each list, the field of this name is
# an unknown text.
SPOILT_ROWS: Final = "read_spoilt_rows"


class Clients(HttpClients, Protocol):
    """A factory of HTTP clients: the engine's own, or those that are answered from a file."""

    async def aclose(self) -> None:
        """Close every client."""
        ...


@dataclass(slots=True)
class Plan:
    """The faults to inject, and counts of what happened.

    ``write`` affects the next writing request. ``read`` affects every reading request, or with
    ``read_only_nth`` just that one of those that are sent from now on (1 is the next).
    ``strange_rows`` counts the rows that were put into true answers, or spoilt in them;
    ``row_fields`` are the names of the fields of such rows, of which ``spoilt`` is spoilt.
    """

    write: str | None = None
    read: str | None = None
    read_only_nth: int | None = None
    writes: int = 0
    requests: int = 0
    hosts: set[str] = field(default_factory=set)
    spacing_s: float = 0.0
    slow_reads: bool = False
    strange_rows: int = 0
    row_fields: set[str] = field(default_factory=set)
    spoilt: str = ""
    _next: float = field(default=0.0)

    def heal(self) -> None:
        """Remove every fault."""
        self.write = self.read = self.read_only_nth = None
        self.slow_reads = False

    async def pace(self) -> None:
        """Wait until the next request may be sent."""
        now = trio.current_time()
        at = max(now, self._next)
        self._next = at + self.spacing_s
        await trio.sleep(at - now)

    def reading_fault(self) -> str | None:
        """Return the fault of the reading request that is being sent now."""
        if self.read_only_nth is None:
            return self.read
        self.read_only_nth -= 1
        return self.read if self.read_only_nth == 0 else None


class FaultyHttp(HttpClients):
    """A factory of HTTP clients like the engine's, with the faults of ``plan``."""

    def __init__(self, real: Clients | None = None) -> None:
        self.plan = Plan()
        self.used = False
        self._real: Clients = HttpClientFactory(reach=LOOPBACK) if real is None else real

    def __call__(self, base_url: str, headers: Mapping[str, str] | None = None) -> HttpClient:
        """Return a client for one base address."""
        self.used = True
        host = httpx.URL(base_url).host
        return _FaultyClient(self._real(base_url, headers), host, self.plan)

    def httpx(self, base_url: str, headers: Mapping[str, str] | None = None) -> AsyncClient:
        """Return an httpx client for one base address."""
        self.used = True
        client: AsyncClient = self._real.httpx(base_url, headers)
        client._transport = _FaultyTransport(client._transport, self.plan)
        return client

    def beside(self) -> "FaultyHttp":
        """Return another factory over the same one, without faults, that counts its own requests."""
        other = FaultyHttp(self._real)
        other.plan.spacing_s = self.plan.spacing_s
        return other

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses that the real factory permits."""
        return await self._real.addresses(host, port)

    async def aclose(self) -> None:
        """Close every client."""
        await self._real.aclose()


class _FaultyClient(HttpClient):
    def __init__(self, inner: HttpClient, host: str, plan: Plan) -> None:
        self._inner = inner
        self._host = host
        self._plan = plan

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        async def send() -> HttpAnswer:
            return await self._inner.request(
                method, path, params=params, json=json, content=content, headers=headers
            )

        return await _sent(self._plan, method.upper(), self._host, send)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _FaultyTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, plan: Plan) -> None:
        self._inner = inner
        self._plan = plan

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async def send() -> HttpAnswer:
            response = await self._inner.handle_async_request(request)
            await response.aread()
            return as_answer(response)

        answer = await _sent(self._plan, request.method, request.url.host, send)
        return httpx.Response(
            answer.status_code, headers=dict(answer.headers), content=answer.content
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


Send = Callable[[], Awaitable[HttpAnswer]]


async def _sent(plan: Plan, method: str, host: str, send: Send) -> HttpAnswer:
    """Send one request, or let the planned fault occur."""
    await plan.pace()
    plan.requests += 1
    plan.hosts.add(host)
    if method in READING_METHODS:
        return await _read(plan, send)
    plan.writes += 1
    fault, plan.write = plan.write, None
    if fault == "connect_refused":
        raise ConnectError("refused by the kit")
    if fault in ("rate_limited", "rate_limited_html"):
        return _limited(fault)
    if fault == "bad_gateway_instead":
        return _broken("bad_gateway", host)
    answer = await send()
    return answer if fault is None else _broken(fault, host)


async def _read(plan: Plan, send: Send) -> HttpAnswer:
    if plan.slow_reads:
        await trio.sleep_forever()
    match plan.reading_fault():
        case "read_error":
            raise ReadError("reset by the kit")
        case "read_500":
            return _json(500, {"error": "broken by the kit"})
        case "read_not_json":
            return _text(200, "<html>broken by the kit</html>")
        case "read_empty_object":
            return _json(200, {})
        case "read_429":
            return _limited("rate_limited")
        case "read_nothing":
            return _text(200, "")
        case "read_without_lists":
            answer = await send()
            return Answer(answer.status_code, [], _without_lists(answer.content))
        case "read_strange_rows" | "read_spoilt_rows" as fault:
            answer = await send()
            content = _with_bad_rows(plan, answer.content, is_whole=fault == STRANGE_ROWS)
            kept = ("date", "content-type")
            lines = [
                (name.encode(), answer.headers[name].encode())
                for name in kept
                if name in answer.headers
            ]
            return Answer(answer.status_code, lines, content)
    return await send()


def _json(status: int, document: object, **headers: str) -> Answer:
    lines = [(b"content-type", b"application/json")]
    lines += [(name.encode(), value.encode()) for name, value in headers.items()]
    return Answer(status, lines, json_library.dumps(document).encode())


def _text(status: int, text: str, **headers: str) -> Answer:
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Answer(status, lines, text.encode())


def _without_lists(content: bytes) -> bytes:
    def change(value: object) -> object:
        if isinstance(value, dict):
            return {name: change(member) for name, member in value.items()}
        return "broken by the kit" if isinstance(value, list) else value

    try:
        return json_library.dumps(change(json_library.loads(content))).encode()
    except ValueError:
        return content


def _with_bad_rows(plan: Plan, content: bytes, *, is_whole: bool) -> bytes:
    """Put a row of unknown values before each list of objects, or spoil a field of its first row."""

    def change(value: object) -> object:
        if isinstance(value, dict):
            return {name: change(member) for name, member in value.items()}
        if not isinstance(value, list) or not value or not isinstance(value[0], dict):
            return value
        row = value[0]
        plan.row_fields |= set(row)
        if is_whole:
            plan.strange_rows += 1
            return [dict.fromkeys(row, "never seen"), *value]
        if plan.spoilt not in row:
            return value
        plan.strange_rows += 1
        return [{**row, plan.spoilt: "never seen"}, *value[1:]]

    try:
        return json_library.dumps(change(json_library.loads(content))).encode()
    except ValueError:
        return content


def _limited(fault: str) -> Answer:
    wait = {"retry-after": "3"}
    if fault == "rate_limited_html":
        return _text(429, "<html>Too Many Requests</html>", **wait)
    return _json(429, {"error": "rate limited by the kit"}, **wait)


def _broken(fault: str, host: str) -> Answer:
    match fault:
        case "answer_dropped":
            raise ReadError("reset by the kit after the request was delivered")
        case "answer_timed_out":
            raise ReadTimeout("no answer in time, made by the kit after the request was delivered")
        case "hung_up":
            raise RemoteProtocolError(
                "closed by the kit without an answer after the request was delivered"
            )
        case "bad_gateway":
            return _text(502, "<html><h1>502 Bad Gateway</h1></html>")
        case "server_error":
            return _json(500, {"error": "broken by the kit"})
        case "unavailable":
            return _json(503, {"error": "service unavailable, by the kit"}, **{"retry-after": "3"})
        case "empty_answer":
            return _text(202, "")
        case "empty_object":
            return _json(200, {})
        case "cut_off_json":
            return _text(202, '{"success": true, "data": {"order')
        case "not_json":
            return _text(200, "<html>all is well</html>")
        case _:
            return _text(307, "", location=f"http://{host}/")
