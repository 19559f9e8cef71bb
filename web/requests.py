"""What a handler may read of the current request: raw headers, the client, and the connection; and
how much of a body is read.
"""

from collections.abc import Generator
from typing import Any, Final, TypeVar, cast

import trio
from quart import Request, request
from quart_trio.wrappers.request import TrioBody

from web.connections import CONNECTION_KEY, Connection
from web.peers import client_address, is_local
from web.settings import WebSettings

R = TypeVar("R", bound=Request)
_FOR_PROGRAMS: Final = ("/api", "/hooks", "/static", "/metrics")


def is_for_programs(path: str) -> bool:
    """Return whether an address is for programs, not for people."""
    return any(path == each or path.startswith(f"{each}/") for each in _FOR_PROGRAMS)


class ReadyBody(TrioBody):
    """A body that is awaited without a turn of the loop once it is whole."""

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait until the body is whole; raises what its limits say."""
        if self._must_raise is None and self._complete.is_set():
            return bytes(self._data)
        return (yield from super().__await__())


def request_with(kind: type[R], form_bytes_max: int) -> type[R]:
    """Return the class of an app's requests, in which the forms of people have a limit of their own."""

    class Limited(kind):  # type: ignore[valid-type, misc]
        body_class = ReadyBody

        def __init__(self, method: str, scheme: str, path: str, *rest: Any, **named: Any) -> None:
            if not is_for_programs(path):
                named["max_content_length"] = form_bytes_max
            super().__init__(method, scheme, path, *rest, **named)
            self.max_content_length = named.get("max_content_length")

    return cast(type[R], Limited)


def header_pairs() -> tuple[tuple[str, str], ...]:
    """Return every header in order of arrival: names in lower case, duplicates kept."""
    return tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in request.scope["headers"]
    )


def socket_peer() -> str:
    """Return the address of the socket's peer; empty where there is none."""
    client = request.scope.get("client")
    return str(client[0]) if client else ""


def client(settings: WebSettings) -> str:
    """Return the client's address, behind trusted proxies."""
    forwarded = [
        value.decode("latin-1")
        for name, value in request.scope["headers"]
        if name.lower() == b"x-forwarded-for"
    ]
    return client_address(socket_peer(), forwarded, settings.trusted_proxies)


def asks_locally(settings: WebSettings) -> bool:
    """Return whether a person on this machine asks directly and is trusted for it."""
    return settings.trusts_here and is_local(socket_peer(), header_pairs())


def current_connection() -> Connection:
    """Return the connection of the request; where the server gives none, one that never closes."""
    connection = dict[str, object](request.scope.get("state") or {}).get(CONNECTION_KEY)
    return connection if isinstance(connection, Connection) else Connection(trio.Event())
