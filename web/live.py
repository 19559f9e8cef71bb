"""The live page of outcomes: a table rendered on the server, and a stream of the rows that follow.

It names followers, so it is served only to somebody on this machine who asks directly. For
everybody else it does not exist. A stream ends when the engine closes, when the server closes, or
when the reader leaves.
"""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Final

import trio
from quart import Response, abort
from quart import request as http

from engine.domain.network import network_of
from engine.views import OutcomeRow
from web.connections import Connection
from web.engine_port import Monitor
from web.pages import page, render
from web.requests import asks_locally, current_connection, header_pairs, socket_peer
from web.routes import Route, Who, get
from web.rows import count_families, present
from web.settings import WebSettings

_SEQUENCE: Final = re.compile(r"[0-9]{1,18}")
_BATCH: Final = 100
_HEARTBEAT: Final = ": still here\nevent: beat\ndata: {}\n\n"


class LivePage:
    """The live page of one app, with the number of its open streams."""

    def __init__(self, monitor: Monitor, settings: WebSettings) -> None:
        self._monitor = monitor
        self._settings = settings
        self._streams: Counter[str] = Counter()

    def routes(self) -> tuple[Route, ...]:
        """Return the routes of the page and its stream, without a session."""
        return (get("/live", Who.HERE, self.show), get("/events", Who.HERE, self.stream))

    async def show(self) -> Response:
        """Show the newest outcomes."""
        self._require_here()
        newest_first = await self._monitor.recent_outcomes(self._settings.rows_max)
        rows = [present(row) for row in newest_first]
        return page(
            "live.html",
            rows=rows,
            after=newest_first[0].sequence if newest_first else 0,
            counters=count_families(rows),
            rows_max=self._settings.rows_max,
        )

    async def stream(self) -> Response:
        """Open a stream of outcomes; 404 for another site, 429 and 503 where too many are open."""
        self._require_here()
        if any(
            name == "sec-fetch-site" and value not in ("same-origin", "none")
            for name, value in header_pairs()
        ):
            abort(404)
        peer = network_of(socket_peer())
        if self._streams[peer] >= self._settings.streams_per_peer_max:
            abort(429)
        if self._streams.total() >= self._settings.streams_max:
            abort(503)
        after = await self._start()
        connection = current_connection()
        is_head = http.method == "HEAD"
        answer = Response(
            b"" if is_head else self._events(connection, peer, after),
            content_type="text/event-stream; charset=utf-8",
        )
        answer.headers["X-Accel-Buffering"] = "no"
        answer.timeout = None
        if not is_head:
            connection.outlive()
        return answer

    def _require_here(self) -> None:
        if not self._settings.live_page or not asks_locally(self._settings):
            abort(404)

    async def _start(self) -> int:
        """Return the sequence from which the reader goes on: its last event, its page, or now."""
        for text in (http.headers.get("Last-Event-ID", ""), http.args.get("after", "")):
            if _SEQUENCE.fullmatch(text):
                return int(text)
        newest = await self._monitor.recent_outcomes(1)
        return newest[0].sequence if newest else 0

    async def _events(self, connection: Connection, peer: str, after: int) -> AsyncIterator[str]:
        """Yield server-sent events; no nursery and no cancel scope stands around a yield."""
        self._streams[peer] += 1
        try:
            yield "retry: 2000\n\n" + _HEARTBEAT
            while True:
                news = await self._wait(connection.closing, after)
                if news is None:
                    yield _HEARTBEAT
                elif not news:
                    return
                else:
                    after = news[-1].sequence
                    yield _event(news)
        finally:
            self._streams[peer] -= 1
            if not self._streams[peer]:
                del self._streams[peer]

    async def _wait(self, closing: trio.Event, after: int) -> Sequence[OutcomeRow] | None:
        """Wait for rows; empty at the end, None when a heartbeat is due first."""
        news: Sequence[OutcomeRow] | None = None

        async def end_at_closing(scope: trio.CancelScope) -> None:
            nonlocal news
            await closing.wait()
            news = ()
            scope.cancel()

        with trio.move_on_after(self._settings.heartbeat_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(end_at_closing, nursery.cancel_scope)
                rows = await self._monitor.wait_outcomes(after, _BATCH)
                news = rows if not closing.is_set() else ()
                nursery.cancel_scope.cancel()
        return news


def _event(news: Sequence[OutcomeRow]) -> str:
    rows = [present(row) for row in reversed(news)]
    data = json.dumps({"html": render("rows.html", rows=rows)})
    return f"id: {news[-1].sequence}\nevent: outcomes\ndata: {data}\n\n"
