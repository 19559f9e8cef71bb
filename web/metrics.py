"""Metrics for a monitoring system: to somebody on this machine, or to whoever has the token.

With a token set, it is asked for everywhere, on this machine too. Without one, a request through a
proxy finds nothing here.
"""

import hmac

from quart import Response, abort
from quart import request as http

from web.engine_port import Commands
from web.requests import asks_locally
from web.routes import Route, Who, get
from web.settings import WebSettings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsPage:
    """The address that a monitoring system scrapes."""

    def __init__(self, commands: Commands, settings: WebSettings) -> None:
        self._commands = commands
        self._settings = settings

    def routes(self) -> tuple[Route, ...]:
        """Return the route, without a session."""
        return (get("/metrics", Who.BOT, self.show),)

    async def show(self) -> Response:
        """Answer every metric as text; 404 without the right to see it."""
        token = self._settings.metrics_token
        if token is None:
            if not asks_locally(self._settings):
                abort(404)
        elif not _carries(token.reveal()):
            answer = Response("", 401)
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        told = await self._commands.run("metrics", {})
        answer = Response(told["text"], 200, content_type=CONTENT_TYPE)
        answer.headers["Cache-Control"] = "no-store"
        return answer


def _carries(token: str) -> bool:
    """Return whether the request carries the token, in constant time."""
    scheme, _, given = http.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode("utf-8", "replace"), token.encode()
    )
