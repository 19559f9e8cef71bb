"""Bytes to and from one peer, over TCP or TLS, without hidden pauses.

What must always hold: ``send`` makes its first attempt before it awaits anything, so that the check
made just before it still holds for the first byte; certificates and host names are verified. This
is why TLS is driven here over memory buffers and not through ``trio.SSLStream``: that stream pauses
for a lock before its first byte, and it cannot be asked, without waiting, whether the peer closed
an idle connection (a TLS 1.3 peer sends session tickets at any time, so readable bytes alone prove
nothing). Used by one task at a time; only ``close`` may be called by another.
"""

import contextlib
import errno
import os
import socket
import ssl

import trio

from engine.domain.network import Reach

RECEIVE_BYTES = 64 * 1024
NEXT_AFTER_S = 1.0
"""How long one of several addresses has to answer before the next is tried."""


class _Tls:
    """A translator between plain bytes and TLS records in memory."""

    __slots__ = ("_incoming", "_object", "_outgoing")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def shake_hands(self) -> bool:
        """Advance the handshake by one step; return whether it is done."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def feed(self, records: bytes) -> None:
        """Feed in what the peer sent; empty means that it closed."""
        if records:
            self._incoming.write(records)
        else:
            self._incoming.write_eof()

    def seal(self, data: bytes) -> bytes:
        """Return the records that carry ``data``, after any records of TLS itself."""
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]
        return self._outgoing.read()

    def open_nowait(self) -> bytes | None:
        """Return plain bytes, empty after a proper close, None while more records are needed."""
        try:
            return self._object.read(RECEIVE_BYTES)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""


class Wire:
    """One connected socket. Failures are OSError (TLS failures are too) or trio.ClosedResourceError
    after ``close``.

    ``wrote`` is True once the kernel accepted a byte since it was last set to False.
    """

    __slots__ = ("_socket", "_tls", "wrote")

    def __init__(self, connected: socket.socket, tls: _Tls | None) -> None:
        self._socket = connected
        self._tls = tls
        self.wrote = False

    async def send(self, data: bytes) -> None:
        """Write everything; the first attempt comes before any await."""
        await self._send_raw(data if self._tls is None else self._tls.seal(data))

    async def receive(self) -> bytes:
        """Wait for bytes; empty means that the peer closed."""
        if self._tls is None:
            return await self._receive_raw()
        while (plain := self._tls.open_nowait()) is None:
            await self._send_raw(self._tls.seal(b""))
            self._tls.feed(await self._receive_raw())
        return plain

    async def shake_hands(self) -> None:
        """Do the TLS handshake, including the certificate check; does nothing on plain TCP."""
        if self._tls is None:
            return
        done = False
        while not done:
            try:
                done = self._tls.shake_hands()
            finally:
                await self._send_raw(self._tls.seal(b""))  # a TLS alert, too, should reach the peer
            if not done:
                self._tls.feed(await self._receive_raw())

    def is_quiet(self) -> bool:
        """Return, without waiting, whether an idle peer neither closed nor sent anything unasked."""
        try:
            raw = self._socket.recv(RECEIVE_BYTES)
            if self._tls is None or not raw:
                return False
            self._tls.feed(raw)
            return self._tls.open_nowait() is None
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Close at once; a waiting task gets trio.ClosedResourceError."""
        if self._socket.fileno() != -1:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    async def _send_raw(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                sent = self._socket.send(view)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
                continue
            self.wrote = True
            view = view[sent:]

    async def _receive_raw(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(RECEIVE_BYTES)
            except BlockingIOError:  # a wake-up without bytes: wait again
                continue


class Unreachable(OSError):
    """Raised where a name leads only to addresses that may not be called."""


async def resolved(host: str, port: int, reach: Reach) -> list[str]:
    """Return the addresses of a host that may be called; raises Unreachable if none may."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    refused = {each: why for each in addresses if (why := reach.why_not(each))}
    allowed = [each for each in addresses if each not in refused]
    if not allowed:
        told = ", ".join(f"{each} ({why})" for each, why in refused.items())
        raise Unreachable(
            f"expected a public address, found {told or 'none'}; if it is meant, add it to "
            "outgoing.internal in rexalgo.toml"
        )
    return allowed


async def _connected(addresses: list[str], port: int) -> socket.socket:
    """Connect to the first address that answers. They are addresses, never the name again: it could
    lead elsewhere by now.
    """
    *others, last = addresses
    for address in others:
        with trio.move_on_after(NEXT_AFTER_S), contextlib.suppress(OSError):
            return await _connected_at(address, port)
    return await _connected_at(last, port)


async def _connected_at(address: str, port: int) -> socket.socket:
    """Connect to one address. ``trio.open_tcp_stream`` looks it up again and lets several race, in
    tasks of their own: for an address that costs as much as a request.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        problem = made.connect_ex((address, port))
        if problem == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(made)
            problem = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            raise OSError(problem, os.strerror(problem))
    except BaseException:
        made.close()
        raise
    return made


async def open_wire(host: str, port: int, context: ssl.SSLContext | None, reach: Reach) -> Wire:
    """Connect, over TLS if a context is given, to an address within reach. Raises OSError (DNS, TCP,
    TLS, certificate, Unreachable) or UnicodeError (no host name).
    """
    connected = await _connected(await resolved(host, port, reach), port)
    wire = Wire(connected, None)
    try:
        wire = Wire(connected, None if context is None else _Tls(context, host))
        await wire.shake_hands()
    except BaseException:
        wire.close()
        raise
    wire.wrote = False
    return wire
