"""The Quart-Trio app: every route, the answers to errors, and the headers of every answer.

Nothing of the engine is started here.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

from quart import Response, current_app, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from engine.domain.errors import EngineAway
from web import installing
from web.api.dispatch import Api
from web.asgi import connection_with
from web.bots import Bots, error_answer
from web.contract import ContractPage
from web.dispatch import Dispatcher
from web.engine_port import Engine
from web.headers import security_headers
from web.identity import join, passkeys, security, sign_in, tokens
from web.live import LivePage
from web.metrics import MetricsPage
from web.operators import overview, people, records, switches, unknowns
from web.pages import error_page, static_file
from web.pulse import PulseStreams
from web.requests import is_for_programs, request_with
from web.routes import Route, Who, get
from web.settings import WebSettings
from web.studio import addresses, callback, debugger, strategy, webhook
from web.studio import overview as studio
from web.traders import (
    accounts,
    channels,
    charts,
    follow,
    history,
    home,
    performance,
    signals,
    strategies,
)

PAGES: Final[tuple[Route, ...]] = (
    *sign_in.ROUTES,
    *join.ROUTES,
    *security.ROUTES,
    *passkeys.ROUTES,
    *tokens.ROUTES,
    *home.ROUTES,
    *history.ROUTES,
    *signals.ROUTES,
    *follow.ROUTES,
    *strategies.ROUTES,
    *performance.ROUTES,
    *charts.ROUTES,
    *accounts.ROUTES,
    *channels.ROUTES,
    *studio.ROUTES,
    *strategy.ROUTES,
    *webhook.ROUTES,
    *addresses.ROUTES,
    *callback.ROUTES,
    *debugger.ROUTES,
    *overview.ROUTES,
    *unknowns.ROUTES,
    *people.ROUTES,
    *records.ROUTES,
    *switches.ROUTES,
)
_ERRORS: Final = {
    400: ("bad_request", "The request could not be read."),
    403: (
        "forbidden",
        "This was not sent from a page of this installation, or the page was too old. Load it again and "
        "repeat.",
    ),
    404: ("not_found", "There is nothing here."),
    405: ("method_not_allowed", "This address does not support that method."),
    408: ("too_slow", "The body did not arrive in time."),
    413: ("too_large", "The body is larger than the limit: nothing was done."),
    429: ("too_many", "You have too many pages open. Close some."),
}
_OWN_FAULT: Final = ("failed", "Something here failed, and it was logged. Try again shortly.")
Refusal = Callable[[int, str], Awaitable[Response]]
_BODILESS: Final = ("GET", "HEAD", "OPTIONS")


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    engine: Engine,
    settings: WebSettings,
    *,
    now: Callable[[], datetime] = _utc_now,
    why_waiting: Callable[[], str] | None = None,
) -> QuartTrio:
    """Return the app over an engine. ``now`` is the clock (UTC). While ``why_waiting`` returns a
    reason, every request is answered 503 with it.

    Without services it takes signals and shows the live page only. ``app.config["ROUTES"]`` lists
    every route with who may use it.
    """
    app = QuartTrio(__name__, static_folder=None, template_folder=None)
    app.asgi_http_class = connection_with(security_headers(https=settings.https))
    app.config["MAX_CONTENT_LENGTH"] = settings.body_bytes_max
    app.request_class = request_with(app.request_class, settings.form_bytes_max)
    app.config["BODY_TIMEOUT"] = settings.body_timeout_s
    app.url_map.merge_slashes = False  # a redirect would repeat the sender's path
    routes: list[Route] = [
        *Bots(engine.ingress, engine.monitor, settings, now).routes(),
        *LivePage(engine.monitor, settings).routes(),
        *MetricsPage(engine.commands, settings).routes(),
        get("/static/<name>", Who.ANYONE, static_file),
        *installing.ROUTES,
    ]
    if engine.services is not None:
        routes += Api(engine.services, settings).routes()
        routes += ContractPage(engine.services).routes()
    for route in routes:
        app.add_url_rule(route.address, route.endpoint, route.handler, methods=[route.method])
    if engine.services is not None:
        dispatcher = Dispatcher(app, engine.services, engine.commands, settings, now)
        pages = (*PAGES, *PulseStreams(engine.monitor).routes())
        dispatcher.add(pages)
        routes += (*dispatcher.own_routes, *pages)
        app.config["REFUSAL"] = dispatcher.refusal
    app.config["ROUTES"] = tuple(routes)
    if why_waiting is not None:
        app.before_request(partial(_wait_for_engine, why_waiting))
    app.register_error_handler(HTTPException, _answer_refusal)
    app.register_error_handler(EngineAway, _answer_away)
    app.register_error_handler(Exception, _answer_failure)
    return app


async def _answer_refusal(error: HTTPException) -> Response:
    answer = await _refused(error.code or 500)
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        answer.headers["Allow"] = ", ".join(sorted(allowed))
    return answer


async def _refused(status: int) -> Response:
    """Answer a person with a page that has the navigation; a program, and a failure, with a plain
    one.
    """
    refusal: Refusal | None = current_app.config.get("REFUSAL")
    if refusal is None or status not in _ERRORS or is_for_programs(request.path):
        return _error(status)
    answer = await refusal(status, _ERRORS[status][1])
    return _ended(answer)


async def _wait_for_engine(why_waiting: Callable[[], str]) -> None:
    reason = why_waiting()
    if reason:
        raise EngineAway(reason)


async def _answer_away(error: EngineAway) -> Response:
    reads = request.method in _BODILESS
    return _error(503, ("engine_away", error.to_reader if reads else str(error)))


async def _answer_failure(error: Exception) -> Response:
    current_app.logger.error("a page failed", exc_info=error)
    return _error(503)


def _error(status: int, words: tuple[str, str] | None = None) -> Response:
    code, message = words or _ERRORS.get(status, _OWN_FAULT if status >= 500 else _ERRORS[400])
    is_api = request.path == "/api" or request.path.startswith("/api/")
    answer = error_answer(status, code, message) if is_api else error_page(status, message)
    if status == 503:
        answer.headers["Retry-After"] = "5"
    return _ended(answer)


def _ended(answer: Response) -> Response:
    """End the connection where the body may not have been read, and say so."""
    if request.method not in _BODILESS:
        answer.headers["Connection"] = "close"
    return answer
