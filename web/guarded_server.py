"""Accepted connections: errors contained, bounded in time and number, HTTP/1.1 only.

Whatever bytes arrive, the server's nursery never sees an exception of a connection. No client,
reading or not, holds a connection or the shutdown of the process for longer than the limits.

These are work-arounds for hypercorn 0.18.0, which is pinned exactly:
- trio/run.py starts every TCPServer in the server's own nursery, so one exception ends the process
  (hypercorn#225, open: a websocket upgrade followed by one byte is enough). ``GuardedServer.run``
  contains every Exception and group.
- A Host that is no name, and a target that is no path, raise inside the routing, and each becomes a
  500 with a page of traceback (werkzeug routing/map.py bind, quart asgi.py urlparse). A path that
  begins with two slashes is routed as the path with one. ``Http11Only`` refuses all three before
  the app is called.
- protocol/h11.py switches to websocket, h2c and (for the preface ``PRI``) HTTP/2. None is used
  here: ``Http11Only`` refuses them, and answers an offer of h2c over HTTP/1.1.
- trio/tcp_server.py shields its sends without a deadline, so a client that stops reading cannot be
  cancelled. Ours have a deadline, and the watch closes the socket, which wakes a shielded send.
- protocol/h11.py, _handle_events: pipelined bytes behind a closing response leave the reader
  waiting for ever. The watch cancels it.
- trio/tcp_server.py starts a task after each answer to end an idle connection. The watch has that
  deadline, too.
- trio/tcp_server.py closes with unread bytes, so the kernel resets the connection and a 413 may
  never be read. We half-close, and read on for a moment.
"""

import logging

import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from web.connections import CONNECTION_KEY, Connection, GuardedConfig
from web.http11 import Http11Only
from web.inbox import Apps

log = logging.getLogger("rexalgo.web")
_LINGER_S = 0.5
_LINGER_BYTES = 1024 * 1024


class GuardedServer(TCPServer):
    """One connection within its limits; hypercorn's worker makes one for each accepted stream."""

    config: GuardedConfig
    # in place of ProtocolWrapper, which only switches protocols
    protocol: Http11Only  # type: ignore[assignment]

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
        self._is_idle = True  # no request is being answered
        self._is_quiet = True  # and no byte of the next one has come
        super().__init__(
            app,
            config,
            context,
            ConnectionState({**state, CONNECTION_KEY: self._connection}),
            stream,
        )

    async def run(self) -> None:
        """Serve until the client leaves or a limit is reached; raises nothing but cancellation."""
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
            return  # the client has left already
        if not self._guard.admit(peer):
            return
        try:
            self._connection.expect(self._limits.head_s + self._limits.request_s)
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
            return  # no handshake, or the client has left
        async with Apps() as self._task_group:
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
            self._rest(self._limits.head_s)
            await self._read_data()

    async def _watch(self, whole: trio.CancelScope) -> None:
        await self._connection.wait_end()
        await trio.aclose_forcefully(self.stream)  # wakes a shielded send
        whole.cancel()  # ends every other wait

    async def _hurry_at_closing(self) -> None:
        await self._guard.closing.wait()
        self._connection.hurry(0 if self._is_idle else self._limits.drain_s)

    def _rest(self, idle_s: float) -> None:
        """Wait for the next request's first byte."""
        self._is_idle = self._is_quiet = True
        if self._guard.closing.is_set():
            self._connection.hurry(0)
        else:
            self._connection.expect(idle_s)

    def _begin_head(self) -> None:
        """Give the rest of a head its time, counted once from the first byte."""
        if self._is_quiet:
            self._is_quiet = False
            if not self._guard.closing.is_set():
                self._connection.expect(self._limits.head_s)

    def _begin_request(self) -> None:
        self._is_idle = self._is_quiet = False
        if not self._guard.closing.is_set():
            self._connection.expect(self._limits.request_s)

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol asks: send bytes, close, or note that a request began or ended."""
        if isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Closed):
            await self._half_close()
            await self.protocol.handle(Closed())
        elif isinstance(event, Updated):
            if event.idle:
                # a part of the next head may have come with the last request
                has_begun = bool(self.protocol.connection.trailing_data[0])
                self._rest(self._limits.head_s if has_begun else self._guard.idle_s)
            else:
                self._begin_request()

    async def _send(self, data: bytes) -> None:
        is_sent = False
        # hypercorn answers 500 for an app that was cancelled: its sender is told nothing instead
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self.send_lock.acquire_nowait()  # nearly always free; acquiring it costs a turn
        except trio.WouldBlock:
            await self.send_lock.acquire()
        try:
            with trio.move_on_after(self._limits.send_s, shield=True):
                try:
                    await self.stream.send_all(data)
                    is_sent = True
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass  # seen below
        finally:
            self.send_lock.release()
        if not is_sent:
            # nobody reads any more: end everything, a reader of pipelined bytes too
            self._connection.hurry(0)
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
                self._begin_head()
                await self.protocol.handle(RawData(bytes(data)))
                if self._is_idle:
                    # A sender often has its next request ready: a turn later it is there, and the
                    # reader need not wait for the socket, which is a sixth of a delivery's CPU.
                    await trio.lowlevel.checkpoint()
            if data == b"":
                break
        await self.protocol.handle(Closed())


def _socket_of(
    stream: trio.SSLStream[trio.SocketStream] | trio.SocketStream,
) -> trio.socket.SocketType:
    return stream.transport_stream.socket if isinstance(stream, trio.SSLStream) else stream.socket
