"""A work-around for quart-trio: a response finishes before its own end cancels it.

Found in quart-trio 0.12.0 (asgi.py, TrioASGIHTTPConnection) with hypercorn 0.18.0 (protocol/h11.py,
_maybe_recycle): sending the last body message closes the stream, which tells the app
"http.disconnect", which makes ``handle_messages`` cancel the nursery in which that very send is
still running. The send is cancelled at its next checkpoint, before hypercorn has restarted its idle
timer: the keep-alive timeout is never applied after the first request, and shutdown waits for the
whole graceful timeout. Shielding the last send cures both. Nothing else of QuartTrio is overridden:
its signatures differ between versions.
"""

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent
from quart_trio.asgi import TrioASGIHTTPConnection


class SteadyHTTPConnection(TrioASGIHTTPConnection):
    """A connection that shields the last ``http.response.body`` of each response.

    The server bounds every send, so the shield cannot hang.
    """

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Run one request."""

        async def steady_send(message: ASGISendEvent) -> None:
            is_last = message["type"] == "http.response.body" and not message.get(
                "more_body", False
            )
            with trio.CancelScope(shield=is_last):
                await send(message)

        await super().__call__(receive, steady_send)
