"""HTTP as a plugin sees it: one client for orders and readings, its answers, and errors that say
whether anything left.

The one rule: ``NotSent`` proves that no byte of a request was written, and nothing else proves it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from engine.domain.errors import RexAlgoError

Params = Mapping[str, str | int | bool | None]


class HttpError(RexAlgoError):
    """The base of every error that a request ends with instead of a whole answer. Its text has no
    header and no path.
    """


class NotSent(HttpError):
    """The base of the errors that prove that no byte of the request was written."""


class ConnectError(NotSent):
    """Raised if there is no connection to the peer, or the request cannot be written as HTTP."""


class ConnectTimeout(NotSent):
    """Raised if there was no connection to the peer before the deadline."""


class PoolTimeout(NotSent):
    """Raised if all connections of the account were busy until the deadline."""


class ReadTimeout(HttpError):
    """Raised if the request was written and its whole answer did not come before the deadline."""


class ReadError(HttpError):
    """Raised if the connection broke, or was closed, before the answer was read."""


class WriteError(HttpError):
    """Raised if the connection broke while the request was written; a part of it left."""


class RemoteProtocolError(HttpError):
    """Raised if the peer sent what is not one acceptable answer, or more than the bound."""


class HttpStatusError(HttpError):
    """Raised by ``raise_for_status`` for an answer whose status is not 2xx."""


class HttpAnswer(Protocol):
    """A whole answer."""

    @property
    def status_code(self) -> int:
        """Return the status, 200 to 999."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers; names are compared without case, repeated ones joined by a comma."""
        ...

    @property
    def content(self) -> bytes:
        """Return the body, unpacked."""
        ...

    @property
    def text(self) -> str:
        """Return the body as text; bytes that do not fit its charset are replaced."""
        ...

    def json(self, **options: Any) -> Any:
        """Return the body read as JSON. ``options`` are those of ``json.loads``; use
        ``parse_float=Decimal`` for money. Raises ValueError.
        """
        ...

    def raise_for_status(self) -> Self:
        """Return the answer itself; raises HttpStatusError unless its status is 2xx."""
        ...


class HttpClient(Protocol):
    """A client for one base address, over at most three connections of its own.

    Each request is written at most once, and ends by one total deadline with a whole answer or an
    error: HttpError, or what the engine raises where it stops an order. There are no redirects,
    retries, cookies or proxies. ``path`` is relative to the base address; ``params`` are added to
    its query. ``json`` becomes the body unless ``content`` is given. ``headers`` are added to the
    client's own, or replace them. The answer to a request other than GET and HEAD is read strictly:
    HTTP/1.0 or 1.1 to the letter.
    """

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Send one request and return its whole answer, whatever its status."""
        ...

    async def get(
        self, path: str, *, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Send a GET."""
        return await self.request("GET", path, params=params, headers=headers)

    async def head(
        self, path: str, *, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Send a HEAD."""
        return await self.request("HEAD", path, params=params, headers=headers)

    async def post(
        self,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Send a POST."""
        return await self.request(
            "POST", path, params=params, json=json, content=content, headers=headers
        )

    async def put(
        self,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Send a PUT."""
        return await self.request(
            "PUT", path, params=params, json=json, content=content, headers=headers
        )

    async def patch(
        self,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Send a PATCH."""
        return await self.request(
            "PATCH", path, params=params, json=json, content=content, headers=headers
        )

    async def delete(
        self,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Send a DELETE."""
        return await self.request(
            "DELETE", path, params=params, json=json, content=content, headers=headers
        )

    async def aclose(self) -> None:
        """Close every connection; a request in flight ends with an error that says how far it got."""
        ...


class HttpClients(Protocol):
    """A factory of HTTP clients over the engine's transport: ``http(base_url, headers)`` returns one,
    and the engine closes it.
    """

    def __call__(self, base_url: str, headers: Mapping[str, str] | None = None) -> HttpClient:
        """Return a client for one base address, which sends ``headers`` with every request; give
        each account connection its own.
        """
        ...

    def httpx(self, base_url: str, headers: Mapping[str, str] | None = None) -> Any:
        """Return an ``httpx.AsyncClient`` instead, for a library that needs one: the same transport
        and errors, more CPU per order.
        """
        ...

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host that may be called, for a plugin that speaks another
        protocol; raises ConnectError if none may. Connect to one of them, never to the name again:
        it could lead elsewhere by then.
        """
        ...
