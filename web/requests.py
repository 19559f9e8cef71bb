"""What a handler may read of the current request: raw headers, the client, and the connection."""

import trio
from quart import request

from web.connections import CONNECTION_KEY, Connection
from web.peers import client_address, is_local
from web.settings import WebSettings


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
