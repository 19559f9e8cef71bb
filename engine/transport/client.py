"""The client that plugins get, and its factory.

A request is one prepared head, one write and one strict parser. An answer to a reading that it refuses
is read once more by h11, which forgives a peer more.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import httpx

from engine.domain.network import PUBLIC, Reach
from engine.ports.http import ConnectError, HttpClient, HttpClients, Params
from engine.transport.answer import Answer
from engine.transport.answer_parser import AnswerParser
from engine.transport.connection import Reader
from engine.transport.h11_reader import ReadingReader
from engine.transport.httpx_transport import TrioTransport
from engine.transport.peer_clock import PeerClock
from engine.transport.pool import Pool
from engine.transport.request import READING_METHODS, Origin, PreparedRequests, encoded_body
from engine.transport.wire import resolved


class PooledClient(HttpClient):
    """A client of one base address over one pool."""

    def __init__(self, base_url: str, headers: Mapping[str, str] | None, pool: Pool) -> None:
        self._pool = pool
        self._prepare = partial(PreparedRequests, base_url, headers)
        self._prepared: PreparedRequests | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and return its whole answer; raises what ``Pool`` raises."""
        prepared = self._requests()
        method = method.upper()
        body, is_json = encoded_body(content, json)
        target = prepared.target(path, params)
        reader: Reader
        if method in READING_METHODS:
            reader = ReadingReader(self._pool.body_bytes_max, method)
        else:
            reader = AnswerParser(self._pool.body_bytes_max)
        data = prepared.written(method, target, headers, body, is_json=is_json)
        return await self._pool.exchange(prepared.origin, method, data, reader)

    async def warm(self) -> None:
        """Make sure of a live connection to the base address."""
        await self._pool.warm(self._requests().origin)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()

    def _requests(self) -> PreparedRequests:
        """Return the prepared part, made at the first request: a header that cannot be sent is an
        error of that request.
        """
        if self._prepared is None:
            self._prepared = self._prepare()
        return self._prepared


class _Made(NamedTuple):
    pool: Pool
    warm: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


class HttpClientFactory(HttpClients):
    """A factory of clients over this transport, which it remembers; the engine makes one per
    account and closes it. ``used`` is True once it made a client.

    With a ``peer_clock``, every answer measures it. Without a ``reach``, only public addresses are
    called.
    """

    def __init__(
        self,
        make_pool: Callable[..., Pool] = Pool,
        peer_clock: PeerClock | None = None,
        reach: Reach | None = None,
    ) -> None:
        self.used = False
        self.reach = PUBLIC if reach is None else reach
        given = {"peer_clock": peer_clock, "reach": reach}
        self._make_pool = partial(
            make_pool, **{name: value for name, value in given.items() if value is not None}
        )
        self._made: list[_Made] = []

    def __call__(self, base_url: str, headers: Mapping[str, str] | None = None) -> PooledClient:
        """Return a client of its own for one base address."""
        pool = self._make_pool()
        client = PooledClient(base_url, headers, pool)
        self._remember(_Made(pool, client.warm, client.aclose))
        return client

    def httpx(self, base_url: str, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
        """Return an httpx client for one base address: no redirects, no retries, nothing from the
        environment.
        """
        pool = self._make_pool()
        client = httpx.AsyncClient(
            base_url=base_url,
            headers=headers,
            transport=TrioTransport(pool),
            timeout=None,  # noqa: S113 - the pool's total deadline replaces it
            follow_redirects=False,
            trust_env=False,
        )

        async def warm() -> None:
            await pool.warm(Origin.of(client.base_url))

        self._remember(_Made(pool, warm, client.aclose))
        return client

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host that may be called; raises ConnectError if none may."""
        try:
            return await resolved(host, port, self.reach)
        except (OSError, UnicodeError) as error:
            raise ConnectError(f"{host} cannot be reached: {error}") from error

    async def warm(self) -> None:
        """Warm every open client at its base address; raises ConnectError or ConnectTimeout."""
        for made in self._made:
            if not made.pool.closed:
                await made.warm()

    async def aclose(self) -> None:
        """Close every client that was made."""
        while self._made:
            await self._made.pop().close()

    def _remember(self, made: _Made) -> None:
        self.used = True
        self._made = [*(each for each in self._made if not each.pool.closed), made]
