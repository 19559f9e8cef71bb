"""The stream that keeps pages live: it says only that something of this person's changed, and the
page then fetches itself again.

The id of an event is the ledger's sequence, so a browser that lost the stream goes on where it was
(Last-Event-ID). A stream ends when the engine or the server closes, when the reader leaves, and
when the session no longer holds.
"""

import re
from collections.abc import AsyncIterator
from typing import Final

import trio
from quart import Response, abort
from quart import request as http

from engine.domain.identifiers import PersonId
from web.connections import Connection
from web.engine_port import Monitor
from web.requests import current_connection
from web.routes import Route, Who, get
from web.visit import Visit

STREAMS_MAX: Final = 500
STREAMS_PER_PERSON_MAX: Final = 20
"""One person's open pages: nobody may take the streams of all others."""
LOOK_AGAIN_S: Final = 0.25
_SEQUENCE: Final = re.compile(r"[0-9]{1,18}")
_HEARTBEAT: Final = ": still here\nevent: beat\ndata: {}\n\n"
_CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"


class PulseStreams:
    """The open streams of one app, each with the person who reads it."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._people: dict[object, PersonId] = {}

    def routes(self) -> tuple[Route, ...]:
        """Return the route of the stream."""
        return (get("/pulse", Who.SIGNED_IN, self.open),)

    async def open(self, visit: Visit) -> Response:
        """Open a stream; 404 for another site, 429 and 503 where too many are open."""
        if http.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            abort(404)
        person_streams = sum(person == visit.who.id for person in self._people.values())
        if person_streams >= STREAMS_PER_PERSON_MAX:
            abort(429)
        if len(self._people) >= STREAMS_MAX:
            abort(503)
        if http.method == "HEAD":
            return Response(content_type=_CONTENT_TYPE)
        connection = current_connection()
        cookie = http.cookies.get(visit.cookie_name, "")
        events = self._events(visit, cookie, connection, _start(visit))
        answer = Response(events, content_type=_CONTENT_TYPE)
        answer.headers["X-Accel-Buffering"] = "no"
        answer.timeout = None
        connection.outlive()
        return answer

    async def _events(
        self, visit: Visit, cookie: str, connection: Connection, after: int
    ) -> AsyncIterator[str]:
        """Yield server-sent events; no nursery and no cancel scope stands around a yield."""
        services = visit.services
        stream = object()
        self._people[stream] = visit.who.id
        sequence = after
        try:
            yield "retry: 2000\n\n" + _HEARTBEAT
            while not connection.closing.is_set():
                user = await services.identity.user(cookie, "", only_looks=True)
                if user is None:
                    return
                newest = services.pulse.newest()
                for changed in services.pulse.changed(user, after):
                    after = changed
                    yield f"id: {changed}\nevent: changed\ndata: {{}}\n\n"
                after = max(after, newest)  # what concerned nobody here is not read again
                sequence = max(sequence, after)
                news = await self._wait(connection.closing, sequence, visit.settings.heartbeat_s)
                if news is None:
                    yield _HEARTBEAT
                elif news == 0:
                    return
                else:
                    sequence = news
                    await trio.sleep(LOOK_AGAIN_S)
        finally:
            del self._people[stream]

    async def _wait(self, closing: trio.Event, after: int, heartbeat_s: float) -> int | None:
        """Wait for an event of the ledger and return its newest sequence.

        Return 0 at the end, None when a heartbeat is due first.
        """
        news: int | None = None

        async def end_at_closing(scope: trio.CancelScope) -> None:
            nonlocal news
            await closing.wait()
            news = 0
            scope.cancel()

        with trio.move_on_after(heartbeat_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(end_at_closing, nursery.cancel_scope)
                newest = await self._monitor.wait_news(after)
                news = 0 if closing.is_set() else newest
                nursery.cancel_scope.cancel()
        return news


def _start(visit: Visit) -> int:
    """Return the sequence from which the reader goes on: its last event, its page, or now."""
    for text in (http.headers.get("Last-Event-ID", ""), visit.query.get("after", "")):
        if _SEQUENCE.fullmatch(text):
            return int(text)
    return visit.newest
