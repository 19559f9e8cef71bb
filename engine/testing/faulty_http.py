"""The engine's own HTTP clients with injected faults: an author needs no server that fails.

A fault concerns the next writing request (anything but GET and HEAD), every reading one, or one
reading one alone. What happened is counted, because a plugin that sends an order twice must be
caught. Requests are spaced by the adapter's own limits, as the engine's limiter does it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import httpx
import trio

from engine.transport import HttpClientFactory

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


class Clients(Protocol):
    """A factory of HTTP clients: the engine's own, or those that are answered from a file."""

    def __call__(
        self, base_url: str, headers: Mapping[str, str] | None = None
    ) -> httpx.AsyncClient:
        """Return a client for one base address."""
        ...

    async def aclose(self) -> None:
        """Close every client."""
        ...


@dataclass(slots=True)
class Plan:
    """The faults to inject, and counts of what happened.

    ``write`` affects the next writing request. ``read`` affects every reading request, or with
    ``read_only_nth`` just that one of those that are sent from now on (1 is the next).
    ``strange_rows`` counts the rows that were put into true answers.
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


class FaultyHttp:
    """A factory of HTTP clients like the engine's, with the faults of ``plan``."""

    def __init__(self, real: Clients | None = None) -> None:
        self.plan = Plan()
        self.used = False
        self._real: Clients = HttpClientFactory() if real is None else real

    def __call__(
        self, base_url: str, headers: Mapping[str, str] | None = None
    ) -> httpx.AsyncClient:
        """Return a client for one base address."""
        self.used = True
        client = self._real(base_url, headers)
        client._transport = _FaultyTransport(client._transport, self.plan)
        return client

    async def aclose(self) -> None:
        """Close every client."""
        await self._real.aclose()


class _FaultyTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, plan: Plan) -> None:
        self._inner = inner
        self._plan = plan

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._plan.pace()
        self._plan.requests += 1
        self._plan.hosts.add(request.url.host)
        if request.method in ("GET", "HEAD"):
            return await self._read(request)
        self._plan.writes += 1
        fault, self._plan.write = self._plan.write, None
        if fault == "connect_refused":
            raise httpx.ConnectError("refused by the kit", request=request)
        if fault in ("rate_limited", "rate_limited_html"):
            return _limited(request, fault)
        if fault == "bad_gateway_instead":
            return _broken(request, "bad_gateway")
        answer = await self._inner.handle_async_request(request)
        return answer if fault is None else _broken(request, fault)

    async def _read(self, request: httpx.Request) -> httpx.Response:
        if self._plan.slow_reads:
            await trio.sleep_forever()
        match self._plan.reading_fault():
            case "read_error":
                raise httpx.ReadError("reset by the kit", request=request)
            case "read_500":
                return httpx.Response(500, json={"error": "broken by the kit"}, request=request)
            case "read_not_json":
                return httpx.Response(200, text="<html>broken by the kit</html>", request=request)
            case "read_empty_object":
                return httpx.Response(200, json={}, request=request)
            case "read_429":
                return _limited(request, "rate_limited")
            case "read_nothing":
                return httpx.Response(200, content=b"", request=request)
            case "read_without_lists":
                answer = await self._inner.handle_async_request(request)
                return httpx.Response(
                    answer.status_code,
                    content=_without_lists(await answer.aread()),
                    request=request,
                )
            case "read_strange_rows":
                answer = await self._inner.handle_async_request(request)
                content, count = _with_strange_rows(await answer.aread())
                self._plan.strange_rows += count
                headers = {
                    name: answer.headers[name]
                    for name in ("date", "content-type")
                    if name in answer.headers
                }
                return httpx.Response(
                    answer.status_code, content=content, headers=headers, request=request
                )
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _without_lists(content: bytes) -> bytes:
    def change(value: object) -> object:
        if isinstance(value, dict):
            return {name: change(member) for name, member in value.items()}
        return "broken by the kit" if isinstance(value, list) else value

    try:
        return json.dumps(change(json.loads(content))).encode()
    except ValueError:
        return content


def _with_strange_rows(content: bytes) -> tuple[bytes, int]:
    count = 0

    def change(value: object) -> object:
        nonlocal count
        if isinstance(value, dict):
            return {name: change(member) for name, member in value.items()}
        if isinstance(value, list) and value and isinstance(value[0], dict):
            count += 1
            return [dict.fromkeys(value[0], "never seen"), *value]
        return value

    try:
        return json.dumps(change(json.loads(content))).encode(), count
    except ValueError:
        return content, 0


def _limited(request: httpx.Request, fault: str) -> httpx.Response:
    headers = {"retry-after": "3"}
    if fault == "rate_limited_html":
        return httpx.Response(
            429, text="<html>Too Many Requests</html>", headers=headers, request=request
        )
    return httpx.Response(
        429, json={"error": "rate limited by the kit"}, headers=headers, request=request
    )


def _broken(request: httpx.Request, fault: str) -> httpx.Response:
    match fault:
        case "answer_dropped":
            raise httpx.ReadError(
                "reset by the kit after the request was delivered", request=request
            )
        case "answer_timed_out":
            raise httpx.ReadTimeout(
                "no answer in time, made by the kit after the request was delivered",
                request=request,
            )
        case "hung_up":
            raise httpx.RemoteProtocolError(
                "closed by the kit without an answer after the request was delivered",
                request=request,
            )
        case "bad_gateway":
            return httpx.Response(
                502, text="<html><h1>502 Bad Gateway</h1></html>", request=request
            )
        case "server_error":
            return httpx.Response(500, json={"error": "broken by the kit"}, request=request)
        case "unavailable":
            return httpx.Response(
                503,
                json={"error": "service unavailable, by the kit"},
                headers={"retry-after": "3"},
                request=request,
            )
        case "empty_answer":
            return httpx.Response(202, content=b"", request=request)
        case "empty_object":
            return httpx.Response(200, json={}, request=request)
        case "cut_off_json":
            return httpx.Response(
                202, content=b'{"success": true, "data": {"order', request=request
            )
        case "not_json":
            return httpx.Response(200, text="<html>all is well</html>", request=request)
        case _:
            return httpx.Response(307, headers={"location": str(request.url)}, request=request)
