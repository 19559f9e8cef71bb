"""One request of the app: the headers of every answer, and two work-arounds for quart-trio 0.12.0
(asgi.py, TrioASGIHTTPConnection; the locks pin it).

One lets a response finish before its own end cancels it, with hypercorn 0.18.0 (protocol/h11.py,
_maybe_recycle): sending the last body message closes the stream, which tells the app
"http.disconnect", which makes ``handle_messages`` cancel the nursery in which that very send is
still running. The send is cancelled at its next checkpoint, before hypercorn has begun to wait for
the next request: the keep-alive timeout is never applied after the first request, and shutdown
waits for the whole graceful timeout. Shielding the last send cures both.

The other begins the handler at once, with the part of the body that is there. quart-trio starts a
task for it, and another one that receives the body: three turns of the loop more, of ten
milliseconds and more while orders flow.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent
from quart.wrappers import Request
from quart_trio.asgi import TrioASGIHTTPConnection

from web.headers import NO_STORE, Pairs, on_the_wire
from web.inbox import Inbox

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

        request = self._create_request_from_scope(steady_send)
        if not isinstance(receive, Inbox) or _read_what_came(request, receive):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.handle_messages, nursery, request, receive)
                await self.handle_request(nursery, request, steady_send)

    def _headed(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return an answer's headers with ours; nobody may keep it unless it says so."""
        headers = [*given, *self.headers]
        is_kept = any(name == b"cache-control" for name, _ in headers)
        return headers if is_kept else [*headers, *_NO_STORE]


def _read_what_came(request: Request, inbox: Inbox) -> bool:
    """Give a request the part of its body that is there; return False if its client has left."""
    is_whole = False
    while not is_whole and (message := inbox.take()) is not None:
        if message["type"] != "http.request":
            return False
        request.body.append(message.get("body", b""))
        is_whole = not message.get("more_body", False)
    if is_whole:
        request.body.set_complete()
    return True


def connection_with(headers: Sequence[tuple[str, str]]) -> type[SteadyHTTPConnection]:
    """Return the class of an app's connections, with the headers of every answer."""

    class Headed(SteadyHTTPConnection):
        pass

    Headed.headers = on_the_wire(headers)
    return Headed
