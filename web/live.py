"""The live page of outcomes: a table made on the server, and a stream of the rows that follow.

It names followers. Until people can sign in it is served only to somebody on this machine who asks
directly; for everybody else it does not exist. A stream ends when the engine closes, when the
server closes, or when the reader leaves.
"""

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import trio
from quart import Response, abort
from quart import request as http
from quart_trio import QuartTrio

from engine.views import OutcomeRow
from web.connections import Connection
from web.engine_port import Monitor
from web.pages import page, render
from web.requests import asks_locally, connection, header_pairs
from web.rows import Row, count_families, present
from web.settings import WebSettings

_SEQUENCE: Final = re.compile(r"[0-9]{1,18}")
_BATCH: Final = 100
_BEAT: Final = ": still here\nevent: beat\ndata: {}\n\n"


@dataclass(slots=True)
class Streams:
    """Count the open event streams."""

    open: int = 0


def register_live(app: QuartTrio, monitor: Monitor, settings: WebSettings) -> None:
    """Add the live page and its stream to the app."""
    streams = Streams()

    @app.get("/live")
    async def live() -> Response:
        _only_here(settings)
        newest_first = await monitor.recent_outcomes(settings.rows_max)
        rows = [present(row) for row in newest_first]
        after = newest_first[0].sequence if newest_first else 0
        return page(
            "live.html",
            rows=rows,
            after=after,
            counters=count_families(rows),
            rows_max=settings.rows_max,
        )

    @app.get("/events")
    async def events() -> Response:
        _only_here(settings)
        if any(
            name == "sec-fetch-site" and value not in ("same-origin", "none")
            for name, value in header_pairs()
        ):
            abort(404)
        if streams.open >= settings.streams_max:
            abort(503)
        after = await _start(monitor)
        here = connection()
        body = (
            _stream(
                monitor, here=here, streams=streams, after=after, heartbeat_s=settings.heartbeat_s
            )
            if http.method != "HEAD"
            else b""
        )
        answer = Response(body, content_type="text/event-stream; charset=utf-8")
        answer.headers["X-Accel-Buffering"] = "no"
        answer.timeout = None
        if http.method != "HEAD":
            here.outlive()
        return answer


def _only_here(settings: WebSettings) -> None:
    if not settings.live_page or not asks_locally(settings):
        abort(404)


async def _start(monitor: Monitor) -> int:
    """Return the sequence after which the reader wants to go on: its last event, else what its page
    showed, else now.
    """
    for told in (http.headers.get("Last-Event-ID", ""), http.args.get("after", "")):
        if _SEQUENCE.fullmatch(told):
            return int(told)
    newest = await monitor.recent_outcomes(1)
    return newest[0].sequence if newest else 0


async def _stream(
    monitor: Monitor, here: Connection, streams: Streams, after: int, heartbeat_s: float
) -> AsyncIterator[str]:
    """Yield server-sent events; no nursery and no cancel scope stands around a yield."""
    streams.open += 1
    try:
        yield "retry: 2000\n\n" + _BEAT
        while True:
            news = await _next_news(monitor, here.closing, after, heartbeat_s)
            if news is None:
                yield _BEAT
            elif not news:
                return
            else:
                after = news[-1].sequence
                yield _event(news)
    finally:
        streams.open -= 1


async def _next_news(
    monitor: Monitor, closing: trio.Event, after: int, heartbeat_s: float
) -> Sequence[OutcomeRow] | None:
    """Wait for rows; empty when there will be none any more, None when a heartbeat is due first."""
    news: Sequence[OutcomeRow] | None = None

    async def end_at_closing(scope: trio.CancelScope) -> None:
        nonlocal news
        await closing.wait()
        news = ()
        scope.cancel()

    with trio.move_on_after(heartbeat_s):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end_at_closing, nursery.cancel_scope)
            found = await monitor.wait_outcomes(after, _BATCH)
            news = found if not closing.is_set() else ()
            nursery.cancel_scope.cancel()
    return news


def _event(news: Sequence[OutcomeRow]) -> str:
    rows: list[Row] = [present(row) for row in reversed(news)]
    return (
        f"id: {news[-1].sequence}\nevent: outcomes\ndata: "
        f"{json.dumps({'html': render('rows.html', rows=rows)})}\n\n"
    )
