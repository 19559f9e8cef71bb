"""One request of the app: the headers of every answer, and a work-around for quart-trio.

The work-around lets a response finish before its own end cancels it. Found in quart-trio 0.12.0
(asgi.py, TrioASGIHTTPConnection) with hypercorn 0.18.0 (protocol/h11.py, _maybe_recycle): sending
the last body message closes the stream, which tells the app "http.disconnect", which makes
``handle_messages`` cancel the nursery in which that very send is still running. The send is
cancelled at its next checkpoint, before hypercorn has begun to wait for the next request: the
keep-alive timeout is never applied after the first request, and shutdown waits for the whole
graceful timeout. Shielding the last send cures both. Nothing else of QuartTrio is overridden: its
signatures differ between versions.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent
from quart_trio.asgi import TrioASGIHTTPConnection

from web.headers import NO_STORE, Pairs, on_the_wire

_NO_STORE: Final = on_the_wire((NO_STORE,))


class SteadyHTTPConnection(TrioASGIHTTPConnection):
    """A connection that adds headers to each response and shields its last ``http.response.body``.

    The server bounds every send, so the shield cannot hang.
    """

    headers: ClassVar[Pairs] = ()

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Run one request."""

        async def steady_send(message: ASGISendEvent) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._headed(message["headers"])
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                with trio.CancelScope(shield=True):
                    await send(message)
                return
            await send(message)

        await super().__call__(receive, steady_send)

    def _headed(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return an answer's headers with ours; nobody may keep it unless it says so."""
        headers = [*given, *self.headers]
        is_kept = any(name == b"cache-control" for name, _ in headers)
        return headers if is_kept else [*headers, *_NO_STORE]


def connection_with(headers: Sequence[tuple[str, str]]) -> type[SteadyHTTPConnection]:
    """Return the class of an app's connections, with the headers of every answer."""

    class Headed(SteadyHTTPConnection):
        pass

    Headed.headers = on_the_wire(headers)
    return Headed
