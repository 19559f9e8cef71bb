"""The errors that requests end with: those of ``ports.http``, each of them httpx's own error too.

Whoever asks through either client, and whoever catches by either name, meets the same errors with
the same proof.
"""

import httpx

from engine.ports import http


class ConnectError(http.ConnectError, httpx.ConnectError):
    """No connection; no byte was written."""


class ConnectTimeout(http.ConnectTimeout, httpx.ConnectTimeout):
    """No connection in time; no byte was written."""


class PoolTimeout(http.PoolTimeout, httpx.PoolTimeout):
    """No free connection in time; no byte was written."""


class ReadTimeout(http.ReadTimeout, httpx.ReadTimeout):
    """No whole answer in time."""


class ReadError(http.ReadError, httpx.ReadError):
    """The connection broke before the answer was read."""


class WriteError(http.WriteError, httpx.WriteError):
    """The connection broke while the request was written."""


class RemoteProtocolError(http.RemoteProtocolError, httpx.RemoteProtocolError):
    """The peer sent what is no acceptable answer."""


class HttpStatusError(http.HttpStatusError, httpx.HTTPError):
    """The status is not 2xx."""
