"""One connection to one origin: one request at a time over h11, written at most once, its answer
read whole.

The errors say how far it got. ConnectError: the kernel accepted no byte. Everything else
(WriteError, ReadError, RemoteProtocolError) may have reached the peer, and nothing here writes it
again. After any error the connection is to be closed.
"""

import ssl
from dataclasses import dataclass
from typing import Any

import h11
import httpx
import trio

from engine.transport.decoding import Undecodable, decoded
from engine.transport.permit import SendPermit
from engine.transport.wire import Wire, open_wire

HEADER_BYTES_MAX = 32 * 1024
_FREE_METHODS = frozenset(("GET", "HEAD"))


@dataclass(frozen=True, slots=True)
class Origin:
    """A peer; ``scheme`` is http or https."""

    scheme: str
    host: str
    port: int

    @staticmethod
    def of(url: httpx.URL) -> "Origin":
        """Return the origin of an absolute address; raises httpx.ConnectError for anything but http
        and https.
        """
        default = {"http": 80, "https": 443}.get(url.scheme)
        host = url.raw_host.decode("ascii")
        if default is None or not host:
            raise httpx.ConnectError(
                f"expected an http or https address with a host, found {url.scheme!r} and "
                f"{host!r}; nothing was sent"
            )
        return Origin(url.scheme, host, url.port or default)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class Connection:
    """A connection that carries requests to one origin, one after another. ``idle_since`` is on
    trio's clock.
    """

    __slots__ = ("_h11", "_wire", "idle_since", "origin")

    def __init__(self, origin: Origin, wire: Wire) -> None:
        self.origin = origin
        self.idle_since = trio.current_time()
        self._wire = wire
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADER_BYTES_MAX)

    @property
    def wrote(self) -> bool:
        """Return whether the kernel accepted any byte of the current request."""
        return self._wire.wrote

    def is_quiet(self) -> bool:
        """Return, without waiting, whether an idle peer neither closed nor sent anything unasked."""
        return self._wire.is_quiet()

    def close(self) -> None:
        """Close at once."""
        self._wire.close()

    async def exchange(
        self,
        request: httpx.Request,
        body: bytes,
        permit: SendPermit[Any] | None,
        body_bytes_max: int,
    ) -> httpx.Response:
        """Write one request and read its whole answer; the permit is taken just before the first
        byte unless the method is GET or HEAD.
        """
        data = self._encode(request, body)
        await self._write(data, None if request.method in _FREE_METHODS else permit, request)
        try:
            return await self._read(body_bytes_max, request)
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(
                f"{self.origin} sent what is not HTTP: {error}", request=request
            ) from error
        except (OSError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(
                f"the connection to {self.origin} broke before the answer was read: {error}",
                request=request,
            ) from error

    def finish(self) -> bool:
        """Prepare for the next request; return False if the connection must be closed instead."""
        if (
            self._h11.our_state is not h11.DONE
            or self._h11.their_state is not h11.DONE
            or self._h11.trailing_data[0]
        ):
            return False
        self._h11.start_next_cycle()
        self._wire.wrote = False
        self.idle_since = trio.current_time()
        return True

    def _encode(self, request: httpx.Request, body: bytes) -> bytes:
        try:
            head = self._h11.send(
                h11.Request(
                    method=request.method, target=request.url.raw_path, headers=request.headers.raw
                )
            )
            data = self._h11.send(h11.Data(data=body)) if body else b""
            end = self._h11.send(h11.EndOfMessage())
        except (
            h11.LocalProtocolError
        ):  # its text quotes the header, which may be the one with the key
            raise httpx.ConnectError(
                "this request is not valid HTTP (a header or the target); nothing was sent",
                request=request,
            ) from None
        return (head or b"") + (data or b"") + (end or b"")

    async def _write(
        self, data: bytes, permit: SendPermit[Any] | None, request: httpx.Request
    ) -> None:
        if permit is not None:
            permit.take()  # no await from here to the first byte
        try:
            await self._wire.send(data)
        except (OSError, trio.ClosedResourceError) as error:
            kind = httpx.WriteError if self._wire.wrote else httpx.ConnectError
            raise kind(
                f"the connection to {self.origin} broke while writing: {error}", request=request
            ) from error
        finally:
            if permit is not None:
                permit.mark_written()

    async def _read(self, body_bytes_max: int, request: httpx.Request) -> httpx.Response:
        head: h11.Response | None = None
        parts: list[bytes] = []
        size = 0
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                await self._receive()
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > body_bytes_max:
                    raise httpx.RemoteProtocolError(
                        f"{self.origin} sent an answer of more than {body_bytes_max} bytes",
                        request=request,
                    )
                parts.append(bytes(event.data))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return self._response(head, b"".join(parts), body_bytes_max, request)
            elif not isinstance(event, h11.InformationalResponse):
                raise httpx.RemoteProtocolError(
                    f"{self.origin} sent {event!r} instead of an answer", request=request
                )

    def _response(
        self, head: h11.Response, body: bytes, body_bytes_max: int, request: httpx.Request
    ) -> httpx.Response:
        extensions = {"http_version": b"HTTP/" + head.http_version, "reason_phrase": head.reason}
        headers = httpx.Headers(head.headers.raw_items())
        try:
            plain = decoded(body, headers.get("content-encoding", ""), body_bytes_max)
        except Undecodable as error:
            raise httpx.RemoteProtocolError(
                f"{self.origin} sent {error}", request=request
            ) from error
        headers.pop("content-encoding", None)  # decoded here, within the bound
        return httpx.Response(
            head.status_code, headers=headers, stream=httpx.ByteStream(plain), extensions=extensions
        )

    async def _receive(self) -> None:
        data = await self._wire.receive()
        if not data and self._h11.their_state is h11.SEND_RESPONSE:
            raise ConnectionResetError("the peer closed without an answer")
        self._h11.receive_data(data)


async def connect(origin: Origin, tls: ssl.SSLContext) -> Connection:
    """Open a connection; raises httpx.ConnectError."""
    try:
        wire = await open_wire(origin.host, origin.port, tls if origin.scheme == "https" else None)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"cannot connect to {origin}: {error}") from error
    return Connection(origin, wire)
