"""The protocol HTTP/1.1 over hypercorn 0.18.0, and nothing else."""

import re
from typing import Final

import h11
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import H11SendableEvent

from web.connections import GuardedConfig
from web.headers import NO_STORE, on_the_wire

# With two slashes the router (werkzeug routing/map.py, match) takes it for the path with one, past
# the rules that a proxy has for that path.
_PATH: Final = re.compile(rb"/(?!/|%2[fF])")
_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,45}\]"
    rb"|(?=[^:]{1,253}(?::|\Z))[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?)"
    rb"(?::[0-9]{1,5})?"
)
_HELD_MAX: Final = 64 * 1024
"""The body, in bytes, up to which an answer is held back until it is whole."""


class _Refused(Exception):
    """Raised after a request that is not HTTP/1.1 was refused; the answer has been sent."""


class Http11Only(H11Protocol):
    """The protocol HTTP/1.1 and nothing else; the server's own answers carry our headers too."""

    config: GuardedConfig
    _held = b""
    """What of an answer waits for the rest of it."""
    _is_cut = False
    _is_last = False
    """Whether the connection ends with this answer."""
    _due = 0
    """How many bytes of the body are waited for."""

    async def handle(self, event: Event) -> None:
        """Handle received bytes; a refused request closes the connection."""
        try:
            await super().handle(event)
        except _Refused:
            await self.send(Closed())

    async def stream_send(self, event: StreamEvent) -> None:
        """Send one event of a response; hypercorn's own error answers get our headers."""
        if isinstance(event, Response):
            names = {name for name, _ in event.headers}
            own = [] if b"content-security-policy" in names else self._own_headers()
            if self._is_last and b"connection" not in names:
                own.append((b"connection", b"close"))
            event = Response(
                stream_id=event.stream_id,
                headers=[*event.headers, *own],
                status_code=event.status_code,
            )
        await super().stream_send(event)

    async def _check_protocol(self, event: h11.Request) -> None:
        names = {name.lower() for name, _ in event.headers}
        hosts = [value for name, value in event.headers if name.lower() == b"host"]
        if event.http_version not in (b"1.0", b"1.1"):
            await self._send_error_response(505)
            raise _Refused
        # Of a body with two ends a proxy in front may read the other one: the rest would be a
        # second request that nobody sent. HTTP/1.0 knows no chunks.
        has_two_ends = b"transfer-encoding" in names and (
            b"content-length" in names or event.http_version == b"1.0"
        )
        is_unfit = (
            has_two_ends
            or not _PATH.match(event.target)
            or len(hosts) > 1
            or not all(_HOST.fullmatch(host) for host in hosts)
        )
        upgrades = {value.lower() for name, value in event.headers if name.lower() == b"upgrade"}
        if is_unfit or upgrades - {b"h2c"} or event.method in (b"PRI", b"CONNECT"):
            await self._send_error_response(400)
            raise _Refused
        # Clients of HTTP/2 offer h2c unasked, and a server may go on with HTTP/1.1. A proxy in front
        # may take what follows for the other protocol, past its own rules: nothing more is read.
        self._is_last = bool(upgrades)

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        """Send an answer whose length is known in one write: each write is a call of the system."""
        # A connection that is cut while an answer begins leaves h11 within that answer. The end of
        # the handler then asks for an error answer, which nobody can send any more.
        is_within = isinstance(event, h11.Response) and self.connection.our_state is h11.SEND_BODY
        self._is_cut = self._is_cut or is_within
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR and not self._is_cut:
                raise
            return
        if isinstance(event, h11.Response):
            self._due = _length(event)
        elif isinstance(event, h11.Data):
            self._due -= len(event.data)
        else:
            self._due = 0
        self._held += data or b""
        if self._due <= 0 and self._held:
            data, self._held = self._held, b""
            await self.send(RawData(data=data))

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
        return [*on_the_wire((*self.config.guard.headers, NO_STORE))]


def _length(response: h11.Response) -> int:
    """Return the length of a body that is small enough to wait for, else 0."""
    for name, value in response.headers:
        if name == b"content-length":
            length = int(value)
            return length if length <= _HELD_MAX else 0
    return 0
