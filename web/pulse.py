"""The stream that keeps pages live: it says only that something of this person's changed; the page
then asks for itself again.

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
from web.requests import connection
from web.rooms import Rooms, Who
from web.visit import Visit

_SEQUENCE: Final = re.compile(r"[0-9]{1,18}")
_BEAT: Final = ": still here\nevent: beat\ndata: {}\n\n"
Streams = dict[object, PersonId]
STREAMS_MAX: Final = 500
STREAMS_OF_ONE_MAX: Final = 20
"""Open pages of one person: nobody takes the streams of all others."""
LOOK_AGAIN_S: Final = 0.25


def register_pulse(rooms: Rooms, monitor: Monitor) -> None:
    """Add the stream to the app."""
    open_streams: Streams = {}

    @rooms.get("/pulse", Who.SIGNED_IN)
    async def pulse(visit: Visit) -> Response:
        if http.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            abort(404)
        if sum(person == visit.who.id for person in open_streams.values()) >= STREAMS_OF_ONE_MAX:
            abort(429)
        if len(open_streams) >= STREAMS_MAX:
            abort(503)
        if http.method == "HEAD":
            return Response(content_type="text/event-stream; charset=utf-8")
        told = (http.headers.get("Last-Event-ID", ""), visit.query.get("after", ""))
        after = next(
            (int(each) for each in told if _SEQUENCE.fullmatch(each)), rooms.services.pulse.newest()
        )
        here = connection()
        cookie = http.cookies.get(visit.cookie_name, "")
        answer = Response(
            _stream(
                rooms,
                monitor=monitor,
                cookie=cookie,
                here=here,
                open_streams=open_streams,
                person=visit.who.id,
                after=after,
                heartbeat_s=visit.settings.heartbeat_s,
            ),
            content_type="text/event-stream; charset=utf-8",
        )
        answer.headers["X-Accel-Buffering"] = "no"
        answer.timeout = None
        here.outlive()
        return answer


async def _stream(
    rooms: Rooms,
    monitor: Monitor,
    cookie: str,
    here: Connection,
    open_streams: Streams,
    person: PersonId,
    after: int,
    heartbeat_s: float,
) -> AsyncIterator[str]:
    """Yield server-sent events; no nursery and no cancel scope stands around a yield."""
    mark = object()
    open_streams[mark] = person
    sequence = after
    try:
        yield "retry: 2000\n\n" + _BEAT
        while not here.closing.is_set():
            user = await rooms.services.identity.user(cookie, "", only_looks=True)
            if user is None:
                return
            newest = rooms.services.pulse.newest()
            for found in rooms.services.pulse.changed(user, after):
                after = found
                yield f"id: {found}\nevent: changed\ndata: {{}}\n\n"
            after = max(after, newest)  # what concerned nobody here is not read again
            sequence = max(sequence, after)
            news = await _wait(monitor, here.closing, sequence, heartbeat_s)
            if news is None:
                yield _BEAT
            elif news == 0:
                return
            else:
                sequence = news
                await trio.sleep(LOOK_AGAIN_S)
    finally:
        del open_streams[mark]


async def _wait(
    monitor: Monitor, closing: trio.Event, after: int, heartbeat_s: float
) -> int | None:
    """Wait for any news of the ledger: its newest sequence, 0 at the end, None when a heartbeat is
    due first.
    """
    found: int | None = None

    async def end_at_closing(scope: trio.CancelScope) -> None:
        nonlocal found
        await closing.wait()
        found = 0
        scope.cancel()

    with trio.move_on_after(heartbeat_s):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end_at_closing, nursery.cancel_scope)
            newest = await monitor.wait_news(after)
            found = 0 if closing.is_set() else newest
            nursery.cancel_scope.cancel()
    return found
