"""The pool of one account's connections behind the httpx API, and the factory that plugins get.

Each transport owns at most three connections: one kept warm, two more while it is busy; a fourth
request waits its turn. An idle connection is dropped at its next use if it is too old or the peer
closed it; nothing runs in the background.
"""

import ssl
from collections.abc import Callable, Mapping
from functools import cache, partial

import httpx
import trio

from engine.transport.connection import Connection, Origin, connect
from engine.transport.peer_clock import PeerClock
from engine.transport.permit import send_permit

CONNECTIONS_MAX = 3
TOTAL_S = 8.0
KEEP_ALIVE_S = 50.0
BODY_BYTES_MAX = 1024 * 1024


@cache
def shared_tls() -> ssl.SSLContext:
    """Return the process's single TLS client context; making one costs about 29 ms. It ignores the
    environment and verifies certificates.
    """
    context = httpx.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Attempt:
    """The progress of one request, so that a timeout can report it."""

    __slots__ = ("connection", "has_slot")

    def __init__(self) -> None:
        self.has_slot = False
        self.connection: Connection | None = None

    def timeout(self, total_s: float, what: str) -> httpx.TimeoutException:
        if not self.has_slot:
            return httpx.PoolTimeout(
                f"all {CONNECTIONS_MAX} connections stayed busy for {total_s:g} s; nothing was "
                f"sent ({what})"
            )
        if self.connection is None or not self.connection.wrote:
            return httpx.ConnectTimeout(
                f"no connection within {total_s:g} s; nothing was sent ({what})"
            )
        return httpx.ReadTimeout(f"no whole answer within {total_s:g} s of the call ({what})")


class TrioTransport(httpx.AsyncBaseTransport):
    """An httpx transport for one account. Never writes a request twice; returns only whole answers.

    ``total_s`` bounds waiting, connecting, writing and reading together; a request's own timeout
    (``total`` in its timeout extension, else its read timeout) takes its place. ``tls`` must verify
    certificates and host names. Raises ConnectError, ConnectTimeout or PoolTimeout exactly when no
    byte was written; otherwise ReadTimeout, ReadError, WriteError or RemoteProtocolError (also for
    an answer above ``body_bytes_max``, packed or unpacked); SendRefused for a second order request.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        total_s: float = TOTAL_S,
        keep_alive_s: float = KEEP_ALIVE_S,
        body_bytes_max: int = BODY_BYTES_MAX,
        peer_clock: PeerClock | None = None,
    ) -> None:
        if tls is not None and (tls.verify_mode is not ssl.CERT_REQUIRED or not tls.check_hostname):
            raise ValueError(
                "expected a TLS context that verifies certificates and host names, found one that "
                "does not"
            )
        self._tls = tls
        self._total_s = total_s
        self._keep_alive_s = keep_alive_s
        self._peer_clock = peer_clock
        self._body_bytes_max = body_bytes_max
        self._slots = trio.Semaphore(CONNECTIONS_MAX)
        self._idle: list[Connection] = []  # oldest first
        self._busy: set[Connection] = set()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its whole answer."""
        total_s = self._deadline_s(request)
        attempt = _Attempt()
        with trio.move_on_after(total_s):
            return await self._send(request, attempt)
        error = attempt.timeout(total_s, f"{request.method} {request.url.host}")
        error.request = request
        raise error

    async def warm(self, url: httpx.URL | str) -> None:
        """Make sure that a live idle connection to this origin exists, or that all are busy.

        Raises httpx.ConnectError or httpx.ConnectTimeout. The engine calls it before it claims an
        order.
        """
        origin = Origin.of(httpx.URL(url))
        await trio.lowlevel.checkpoint()
        self._drop_expired()
        connection = self._take_idle(origin)
        if connection is not None:
            self._put_back(connection)
            return
        try:
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            return
        try:
            with trio.move_on_after(self._total_s):
                self._put_back(await self._open(origin))
                return
            raise httpx.ConnectTimeout(
                f"no connection to {origin} within {self._total_s:g} s; nothing was sent"
            )
        finally:
            self._slots.release()

    async def aclose(self) -> None:
        """Close every connection; a request in flight ends with an error that says how far it got."""
        self._closed = True
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()
        await trio.lowlevel.checkpoint()

    def _deadline_s(self, request: httpx.Request) -> float:
        asked = request.extensions.get("timeout") or {}
        for value in (asked.get("total"), asked.get("read")):
            if value is not None:
                return float(value)
        return self._total_s

    async def _send(self, request: httpx.Request, attempt: _Attempt) -> httpx.Response:
        origin = Origin.of(request.url)
        body = (
            await request.aread()
        )  # before the first byte: only the kernel may pause a half-written request
        await self._wait_slot()
        attempt.has_slot = True
        try:
            self._drop_expired()
            connection = attempt.connection = self._take_idle(origin) or await self._open(origin)
            return await self._use(connection, request, body)
        finally:
            self._slots.release()

    async def _use(
        self, connection: Connection, request: httpx.Request, body: bytes
    ) -> httpx.Response:
        self._busy.add(connection)
        clock = self._peer_clock
        sent = None if clock is None else clock.now()
        try:
            response = await connection.exchange(
                request, body, send_permit.get(), self._body_bytes_max
            )
            if clock is not None and sent is not None:
                clock.note(response.headers.get("date"), sent)
            if connection.finish():
                self._put_back(connection)
            else:
                connection.close()
            return response
        except (
            BaseException
        ):  # whatever happened, cancellation too: its next bytes would belong to this answer
            connection.close()
            raise
        finally:
            self._busy.discard(connection)

    async def _wait_slot(self) -> None:
        try:
            # succeeds only while nobody waits: first come, first served
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            await self._slots.acquire()

    async def _open(self, origin: Origin) -> Connection:
        if self._closed:
            raise httpx.ConnectError(f"this client is closed; nothing was sent to {origin}")
        if len(self._idle) + len(self._busy) >= CONNECTIONS_MAX:
            self._idle.pop(0).close()  # idle at another origin
        connection = await connect(origin, self._tls or shared_tls())
        if self._closed:
            connection.close()
            raise httpx.ConnectError(f"this client was closed; nothing was sent to {origin}")
        return connection

    def _take_idle(self, origin: Origin) -> Connection | None:
        """Return the freshest idle connection that is still good; nothing was written on it, so
        dropping a bad one is no retry.
        """
        for index in reversed(range(len(self._idle))):
            if self._idle[index].origin == origin:
                connection = self._idle.pop(index)
                if connection.is_quiet():
                    return connection
                connection.close()
        return None

    def _put_back(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    def _drop_expired(self) -> None:
        oldest = trio.current_time() - self._keep_alive_s
        for connection in [each for each in self._idle if each.idle_since < oldest]:
            self._idle.remove(connection)
            connection.close()


class HttpClientFactory:
    """A factory of httpx clients over this transport, which it remembers; the engine makes one per
    account and closes it.

    With a ``peer_clock``, every answer measures it.
    """

    def __init__(
        self,
        make_transport: Callable[..., TrioTransport] = TrioTransport,
        peer_clock: PeerClock | None = None,
    ) -> None:
        self._make_transport = (
            partial(make_transport, peer_clock=peer_clock)
            if peer_clock is not None
            else make_transport
        )
        self._clients: list[tuple[httpx.AsyncClient, TrioTransport]] = []

    def __call__(
        self, base_url: str, headers: Mapping[str, str] | None = None
    ) -> httpx.AsyncClient:
        """Return a client of its own for one base address: no redirects, no retries, nothing from
        the environment.
        """
        transport = self._make_transport()
        client = httpx.AsyncClient(
            base_url=base_url,
            headers=headers,
            transport=transport,
            timeout=None,  # noqa: S113 - the transport's total deadline replaces it
            follow_redirects=False,
            trust_env=False,
        )
        self._clients.append((client, transport))
        return client

    async def warm(self) -> None:
        """Warm every open client at its base address; raises httpx.ConnectError or
        httpx.ConnectTimeout.
        """
        self._clients = [pair for pair in self._clients if not pair[0].is_closed]
        for client, transport in self._clients:
            await transport.warm(client.base_url)

    async def aclose(self) -> None:
        """Close every client that was made."""
        while self._clients:
            client, _ = self._clients.pop()
            await client.aclose()
