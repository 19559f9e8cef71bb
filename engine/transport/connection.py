"""One connection to one origin: one request at a time, written at most once, its answer read whole.

The errors say how far it got. ConnectError: the kernel accepted no byte. Everything else
(WriteError, ReadError, RemoteProtocolError) may have reached the peer, and nothing here writes it
again. After any error the connection is to be closed.
"""

import ssl
from typing import Any, Protocol

import trio

from engine.domain.network import Reach
from engine.transport.answer import Answer
from engine.transport.answer_parser import MalformedAnswer
from engine.transport.decoding import Undecodable, decoded
from engine.transport.errors import ConnectError, ReadError, RemoteProtocolError, WriteError
from engine.transport.permit import SendPermit
from engine.transport.request import Origin
from engine.transport.wire import Wire, open_wire


class Reader(Protocol):
    """A reader of one answer, without input or output: ``AnswerParser`` or ``H11Reader``."""

    @property
    def has_head(self) -> bool:
        """Return whether the final head was read."""
        ...

    @property
    def reusable(self) -> bool:
        """Return whether the connection may carry another request after this answer."""
        ...

    def feed(self, data: bytes) -> Answer | None:
        """Take the next bytes; return the answer once it is whole. Raises MalformedAnswer."""
        ...

    def hang_up(self) -> Answer:
        """Return the answer that ends because the peer closed; raises MalformedAnswer."""
        ...


class Connection:
    """A connection that carries requests to one origin, one after another. ``idle_since`` is on
    trio's clock.
    """

    __slots__ = ("_wire", "idle_since", "origin")

    def __init__(self, origin: Origin, wire: Wire) -> None:
        self.origin = origin
        self.idle_since = trio.current_time()
        self._wire = wire

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
        self, data: bytes, reader: Reader, permit: SendPermit[Any] | None, body_bytes_max: int
    ) -> Answer:
        """Write one request and read its whole answer; a permit is taken just before the first
        byte.
        """
        await self._write(data, permit)
        answer: Answer | None = None
        try:
            while answer is None:
                received = await self._wire.receive()
                if received:
                    answer = reader.feed(received)
                elif reader.has_head:
                    answer = reader.hang_up()
                else:
                    raise ConnectionResetError("the peer closed without an answer")
            unpacked = _unpacked(answer, body_bytes_max)
            if permit is not None:
                permit.is_unanswered = False
            return unpacked
        except (MalformedAnswer, Undecodable) as error:
            raise RemoteProtocolError(f"{self.origin} sent {error}") from error
        except (OSError, trio.ClosedResourceError) as error:
            raise ReadError(
                f"the connection to {self.origin} broke before the answer was read: {error}"
            ) from error

    def rest(self) -> None:
        """Prepare for the next request."""
        self._wire.wrote = False
        self.idle_since = trio.current_time()

    async def _write(self, data: bytes, permit: SendPermit[Any] | None) -> None:
        if permit is not None:
            permit.take()  # no await from here to the first byte
        try:
            await self._wire.send(data)
        except (OSError, trio.ClosedResourceError) as error:
            kind = WriteError if self._wire.wrote else ConnectError
            raise kind(f"the connection to {self.origin} broke while writing: {error}") from error
        finally:
            if permit is not None:
                permit.is_unanswered = self._wire.wrote
                permit.mark_written()


def _unpacked(answer: Answer, body_bytes_max: int) -> Answer:
    """Undo the content encoding, within the bound."""
    encoding = answer.value(b"content-encoding")
    if encoding is not None:
        answer.content = decoded(answer.content, encoding, body_bytes_max)
        answer.lines = [each for each in answer.lines if each[0] != b"content-encoding"]
    return answer


async def connect(origin: Origin, tls: ssl.SSLContext, reach: Reach) -> Connection:
    """Open a connection to an address within reach; raises ConnectError."""
    context = tls if origin.scheme == "https" else None
    try:
        wire = await open_wire(origin.host, origin.port, context, reach)
    except (OSError, UnicodeError) as error:
        raise ConnectError(f"cannot connect to {origin}: {error}") from error
    return Connection(origin, wire)
