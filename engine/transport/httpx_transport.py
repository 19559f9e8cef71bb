"""A pool behind the whole httpx API, for a plugin or a library that needs it."""

import httpx
import trio

from engine.transport.errors import ConnectTimeout
from engine.transport.h11_reader import H11Reader
from engine.transport.pool import Pool
from engine.transport.request import Origin


class TrioTransport(httpx.AsyncBaseTransport):
    """An httpx transport over one pool.

    A request's own timeout (``total`` in its timeout extension, else its read timeout) takes the
    place of the pool's deadline.
    """

    def __init__(self, pool: Pool | None = None) -> None:
        self.pool = Pool() if pool is None else pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its whole answer."""
        origin = Origin.of(request.url)
        total_s = self._deadline_s(request)
        # before the first byte: only the kernel may pause a half-written request
        began = trio.current_time()
        with trio.move_on_after(total_s) as scope:
            body = await request.aread()
        if scope.cancelled_caught:
            raise ConnectTimeout(f"no whole request within {total_s:g} s; nothing was sent")
        reader = H11Reader(self.pool.body_bytes_max)
        data = reader.written(request.method, request.url.raw_path, request.headers.raw, body)
        waited_s = trio.current_time() - began
        answer = await self.pool.exchange(origin, request.method, data, reader, total_s, waited_s)
        return httpx.Response(
            answer.status_code,
            headers=answer.lines,
            stream=httpx.ByteStream(answer.content),
            extensions={
                "http_version": b"HTTP/" + answer.http_version,
                "reason_phrase": answer.reason,
            },
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self.pool.aclose()

    def _deadline_s(self, request: httpx.Request) -> float:
        asked = request.extensions.get("timeout") or {}
        for value in (asked.get("total"), asked.get("read")):
            if value is not None:
                return float(value)
        return self.pool.total_s
