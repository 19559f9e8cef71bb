"""One accepted connection: contained, bounded in time and number, HTTP/1.1 only.

What must hold: whatever bytes arrive, the server's nursery never sees an exception of a connection;
no client, reading or not, keeps a connection or the shutdown of the process for longer than the
limits say.

This reaches into hypercorn 0.18.0 (pinned exactly); each work-around names what it cures:
- trio/run.py starts every TCPServer in the server's own nursery, so one escaping exception ends the process (hypercorn#225,
  open: a websocket upgrade followed by one byte is enough). ``GuardedServer.run`` contains every Exception and group.
- a Host that is no name, and a target that is no path, raise inside the routing and become a 500 with a page of traceback each
  (werkzeug routing/map.py bind, quart asgi.py urlparse). ``Http11Only`` refuses both before the app is called.
- protocol/h11.py switches to websocket, h2c and (for the preface ``PRI``) HTTP/2. We use none:
  ``Http11Only`` refuses them.
- trio/tcp_server.py shields its sends without a deadline, so a client that stops reading cannot be cancelled. Ours have one,
  and the watch closes the socket itself, which wakes a shielded send.
- protocol/h11.py, _handle_events: pipelined bytes behind a closing response park the reader for
  ever. The watch cancels it.
- trio/tcp_server.py closes with unread bytes, so the kernel resets and a 413 may never be read. We
  half-close and linger.
"""

import logging
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from engine.domain.network import network_of
from web.peers import read_address
from web.settings import Network

log = logging.getLogger("rexalgo.web")
CONNECTION_KEY = "rexalgo.connection"
_LINGER_S = 0.5
_LINGER_BYTES = 1024 * 1024
_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|(?=[^:]{1,253}(?::|\Z))[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?)(?::[0-9]{1,5})?"
)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bound connections, in seconds and numbers. ``uncapped`` networks (trusted proxies) are free
    of the cap per peer.
    """

    connections_max: int = 1024
    connections_per_peer_max: int = 256
    keep_alive_s: float = 5.0
    request_s: float = 30.0
    send_s: float = 10.0
    drain_s: float = 1.5
    uncapped: tuple[Network, ...] = ()


@dataclass(slots=True)
class Guard:
    """Count the connections of one server and tell all of them when it closes. Numbers are for
    reading only.
    """

    limits: ConnectionLimits
    headers: tuple[tuple[str, str], ...]
    open: int = 0
    by_peer: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    contained: int = 0
    closing: trio.Event = field(default_factory=trio.Event)

    def admit(self, peer: str) -> bool:
        """Take a place for a connection, or refuse it; every admitted connection is released
        exactly once.
        """
        if self.open >= self.limits.connections_max or self._is_crowded(peer):
            self.refused += 1
            return False
        self.open += 1
        self.by_peer[network_of(peer)] += 1
        return True

    def release(self, peer: str) -> None:
        """Give the place back."""
        self.open -= 1
        line = network_of(peer)
        self.by_peer[line] -= 1
        if not self.by_peer[line]:
            del self.by_peer[line]

    def _is_crowded(self, peer: str) -> bool:
        if self.by_peer[network_of(peer)] < self.limits.connections_per_peer_max:
            return False
        address = read_address(peer)
        return address is None or not any(address in network for network in self.limits.uncapped)


class GuardedConfig(Config):
    """Carry the guard to the connections: hypercorn makes them itself and hands over only its
    Config.
    """

    guard: Guard


class Connection:
    """Let a handler of a long answer speak to its connection; found in
    ``scope["state"][CONNECTION_KEY]``.
    """

    def __init__(self, closing: trio.Event) -> None:
        self.closing = closing
        self._watch = trio.CancelScope()

    def outlive(self) -> None:
        """Free this connection from the deadline of a request, for an event stream that ends with
        ``closing``.
        """
        if not self.closing.is_set():
            self._watch.deadline = math.inf

    def expect(self, seconds: float) -> None:
        """Set the moment by which this connection must have moved on."""
        self._watch.deadline = trio.current_time() + seconds

    def hurry(self, seconds: float) -> None:
        """Bring the end nearer, never further away."""
        self._watch.deadline = min(self._watch.deadline, trio.current_time() + seconds)

    async def wait_end(self) -> None:
        """Return when the deadline has passed."""
        with self._watch:
            await trio.sleep_forever()


class _Refused(Exception):
    """Say that the request asked for a protocol that is not spoken here; the answer has been sent."""


class Http11Only(H11Protocol):
    """Speak HTTP/1.1 and nothing else; give the server's own answers the same headers as every
    other.
    """

    config: GuardedConfig

    async def handle(self, event: Event) -> None:
        """Take bytes in; a refused request closes the connection."""
        try:
            await super().handle(event)
        except _Refused:
            await self.send(Closed())

    async def stream_send(self, event: StreamEvent) -> None:
        """Send one event of a response; hypercorn's own error answers get our headers."""
        if isinstance(event, Response) and not any(
            name == b"content-security-policy" for name, _ in event.headers
        ):
            event = Response(
                stream_id=event.stream_id,
                headers=[*event.headers, *self._own_headers()],
                status_code=event.status_code,
            )
        await super().stream_send(event)

    async def _check_protocol(self, event: h11.Request) -> None:
        names = {name.lower() for name, _ in event.headers}
        hosts = [value for name, value in event.headers if name.lower() == b"host"]
        if event.http_version not in (b"1.0", b"1.1"):
            await self._send_error_response(505)
            raise _Refused
        is_unfit = (
            not event.target.startswith(b"/")
            or len(hosts) > 1
            or not all(_HOST.fullmatch(host) for host in hosts)
        )
        if is_unfit or b"upgrade" in names or event.method in (b"PRI", b"CONNECT"):
            await self._send_error_response(400)
            raise _Refused

    async def _send_error_response(self, status_code: int) -> None:
        headers = [
            (b"content-length", b"0"),
            (b"connection", b"close"),
            *self._own_headers(),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.EndOfMessage())

    def _own_headers(self) -> list[tuple[bytes, bytes]]:
        pairs = (*self.config.guard.headers, ("cache-control", "no-store"))
        return [(name.encode("ascii"), value.encode("ascii")) for name, value in pairs]


class GuardedServer(TCPServer):
    """Serve one connection inside its bounds. Called by hypercorn's worker for each accepted
    stream.
    """

    config: GuardedConfig
    protocol: Http11Only  # type: ignore[assignment]  # in place of ProtocolWrapper, whose only work is to switch protocols

    def __init__(
        self,
        app: AppWrapper,
        config: GuardedConfig,
        context: WorkerContext,
        state: LifespanState,
        stream: trio.SSLStream[trio.SocketStream],
    ) -> None:
        self._guard = config.guard
        self._limits = config.guard.limits
        self._connection = Connection(config.guard.closing)
        self._lingering = False
        super().__init__(
            app,
            config,
            context,
            ConnectionState({**state, CONNECTION_KEY: self._connection}),
            stream,
        )

    async def run(self) -> None:
        """Serve until the client leaves or a bound is met; never raises anything but cancellation."""
        try:
            await self._run_admitted()
        except* Exception as group:
            self._guard.contained += 1
            log.warning(
                "a connection ended with an error and was closed; others go on", exc_info=group
            )
        finally:
            await trio.aclose_forcefully(self.stream)

    async def _run_admitted(self) -> None:
        sock = _socket_of(self.stream)
        try:
            peer = str(sock.getpeername()[0])
        except OSError:
            return  # gone before it was looked at
        if not self._guard.admit(peer):
            return
        try:
            self._connection.expect(self._limits.keep_alive_s + self._limits.request_s)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, nursery.cancel_scope)
                nursery.start_soon(self._hurry_at_closing)
                await self._converse(sock)
                nursery.cancel_scope.cancel()
        finally:
            self._guard.release(peer)

    async def _converse(self, sock: trio.socket.SocketType) -> None:
        is_tls = isinstance(self.stream, trio.SSLStream)
        try:
            if is_tls:
                with trio.fail_after(self.config.ssl_handshake_timeout):
                    await self.stream.do_handshake()
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, OSError):
            return  # no handshake, or gone: nobody to talk to
        async with TaskGroup() as self._task_group:
            self.protocol = Http11Only(
                self.app,
                self.config,
                self.context,
                self._task_group,
                ConnectionState(self.state),
                is_tls,
                client,
                server,
                self.protocol_send,
            )
            await self.idle_task.restart(self._task_group, self._idle_timeout)
            await self._read_data()
            await (
                self.idle_task.stop()
            )  # the client left: do not hold its place until the idle timer rings

    async def _watch(self, whole: trio.CancelScope) -> None:
        await self._connection.wait_end()
        await trio.aclose_forcefully(self.stream)  # wakes a shielded send
        whole.cancel()  # and whatever waits for something that will not come

    async def _hurry_at_closing(self) -> None:
        await self._guard.closing.wait()
        self._connection.hurry(self._limits.drain_s)

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol asks: send bytes, close, or note that a request began or ended."""
        if isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Closed):
            await self._half_close()
            await self.protocol.handle(Closed())
        else:
            if isinstance(event, Updated) and not self._guard.closing.is_set():
                self._connection.expect(
                    self._limits.keep_alive_s + 1 if event.idle else self._limits.request_s
                )
            await super().protocol_send(event)

    async def _send(self, data: bytes) -> None:
        async with self.send_lock:
            try:
                with trio.fail_after(self._limits.send_s, shield=True):
                    await self.stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                self._connection.hurry(
                    0
                )  # nobody reads any more: end the whole, a parked reader of pipelined bytes too
                await self.protocol.handle(Closed())

    async def _half_close(self) -> None:
        self._connection.hurry(_LINGER_S)
        self._lingering = True
        if isinstance(self.stream, trio.SSLStream):
            await self._close()  # TLS has no half-close
            return
        try:
            async with self.send_lock:  # send_eof beside a send_all is an error of the stream
                await self.stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.aclose_forcefully(self.stream)

    async def _read_data(self) -> None:
        spare = _LINGER_BYTES
        while spare > 0:
            try:
                data = await self.stream.receive_some(MAX_RECV)
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                break
            if self._lingering:
                spare -= len(data)
            else:
                await self.protocol.handle(RawData(bytes(data)))
            if data == b"":
                break
        await self.protocol.handle(Closed())


def _socket_of(
    stream: trio.SSLStream[trio.SocketStream] | trio.SocketStream,
) -> trio.socket.SocketType:
    return stream.transport_stream.socket if isinstance(stream, trio.SSLStream) else stream.socket
