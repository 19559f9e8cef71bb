"""The pool of one account's connections, and the one deadline of a call.

A pool owns at most three connections: one kept warm, two more while it is busy; a fourth request
waits its turn. An idle connection is dropped at its next use if it is too old or the peer closed
it; nothing runs in the background.
"""

import ssl
from functools import cache

import httpx
import trio

from engine.domain.network import PUBLIC, Reach
from engine.transport.answer import Answer
from engine.transport.connection import Connection, Reader, connect
from engine.transport.errors import ConnectError, ConnectTimeout, PoolTimeout, ReadTimeout
from engine.transport.peer_clock import PeerClock
from engine.transport.permit import send_permit
from engine.transport.request import READING_METHODS, Origin

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


class _Progress:
    """How far one request got, so that a timeout can report it."""

    __slots__ = ("connection", "has_slot")

    def __init__(self) -> None:
        self.has_slot = False
        self.connection: Connection | None = None

    def timeout(self, total_s: float, what: str) -> PoolTimeout | ConnectTimeout | ReadTimeout:
        if not self.has_slot:
            return PoolTimeout(
                f"all {CONNECTIONS_MAX} connections stayed busy for {total_s:g} s; nothing was "
                f"sent ({what})"
            )
        if self.connection is None or not self.connection.wrote:
            return ConnectTimeout(f"no connection within {total_s:g} s; nothing was sent ({what})")
        return ReadTimeout(f"no whole answer within {total_s:g} s of the call ({what})")


class Pool:
    """The connections of one account. Never writes a request twice; returns only whole answers.

    Only addresses within ``reach`` are called: the public ones, unless the operator allowed more.
    ``total_s`` bounds waiting, connecting, writing and reading together. ``tls`` must verify
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
        reach: Reach = PUBLIC,
    ) -> None:
        if tls is not None and (tls.verify_mode is not ssl.CERT_REQUIRED or not tls.check_hostname):
            raise ValueError(
                "expected a TLS context that verifies certificates and host names, found one that "
                "does not"
            )
        self.total_s = total_s
        self.body_bytes_max = body_bytes_max
        self.closed = False
        self._tls = tls
        self._keep_alive_s = keep_alive_s
        self._peer_clock = peer_clock
        self._reach = reach
        self._slots = trio.Semaphore(CONNECTIONS_MAX)
        self._idle: list[Connection] = []  # oldest first
        self._busy: list[Connection] = []

    async def exchange(
        self,
        origin: Origin,
        method: str,
        data: bytes,
        reader: Reader,
        total_s: float | None = None,
        waited_s: float = 0.0,
    ) -> Answer:
        """Write one request and return its whole answer, within ``total_s`` or the pool's own
        deadline; ``waited_s`` of it have passed already.
        """
        total_s = self.total_s if total_s is None else total_s
        progress = _Progress()
        with trio.move_on_after(max(0.0, total_s - waited_s)):
            try:
                # succeeds only while nobody waits: first come, first served
                self._slots.acquire_nowait()
            except trio.WouldBlock:
                await self._slots.acquire()
            progress.has_slot = True
            try:
                self._drop_expired()
                connection = self._take_idle(origin)
                if connection is None:
                    connection = await self._open(origin)
                progress.connection = connection
                return await self._use(connection, method, data, reader)
            finally:
                self._slots.release()
        raise progress.timeout(total_s, f"{method} {origin.host}")

    async def warm(self, origin: Origin) -> None:
        """Make sure that a live idle connection to this origin exists, or that all are busy.

        Raises ConnectError or ConnectTimeout. The engine calls it before it claims an order.
        """
        # Measured: the last order of a fan-out leaves sooner when each order gives up one turn here.
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
            with trio.move_on_after(self.total_s):
                self._put_back(await self._open(origin))
                return
            raise ConnectTimeout(
                f"no connection to {origin} within {self.total_s:g} s; nothing was sent"
            )
        finally:
            self._slots.release()

    async def aclose(self) -> None:
        """Close every connection; a request in flight ends with an error that says how far it got."""
        self.closed = True
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()
        await trio.lowlevel.checkpoint()

    async def _use(
        self, connection: Connection, method: str, data: bytes, reader: Reader
    ) -> Answer:
        permit = None if method in READING_METHODS else send_permit.get()
        clock = self._peer_clock
        sent = None if clock is None else clock.now()
        self._busy.append(connection)
        try:
            answer = await connection.exchange(data, reader, permit, self.body_bytes_max)
            if clock is not None and sent is not None:
                clock.note(answer.value(b"date"), sent)
            if reader.reusable:
                connection.rest()
                self._put_back(connection)
            else:
                connection.close()
            return answer
        # whatever happened, cancellation too: its next bytes would belong to this answer
        except BaseException:
            connection.close()
            raise
        finally:
            self._busy.remove(connection)

    async def _open(self, origin: Origin) -> Connection:
        if self.closed:
            raise ConnectError(f"this client is closed; nothing was sent to {origin}")
        if len(self._idle) + len(self._busy) >= CONNECTIONS_MAX:
            self._idle.pop(0).close()  # idle at another origin
        connection = await connect(origin, self._tls or shared_tls(), self._reach)
        if self.closed:
            connection.close()
            raise ConnectError(f"this client was closed; nothing was sent to {origin}")
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
        if self.closed:
            connection.close()
        else:
            self._idle.append(connection)

    def _drop_expired(self) -> None:
        oldest = trio.current_time() - self._keep_alive_s
        if not any(each.idle_since < oldest for each in self._idle):
            return
        for connection in [each for each in self._idle if each.idle_since < oldest]:
            self._idle.remove(connection)
            connection.close()
