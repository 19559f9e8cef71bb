"""Put the rooms together into one Quart-Trio app: routes, error answers, headers. No engine is
started here.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from web.asgi import SteadyHTTPConnection
from web.bots import error_answer, register_bots
from web.door.security import register_security
from web.door.sign_in import register_sign_in
from web.engine_port import Engine
from web.headers import NO_STORE, security_headers
from web.live import register_live
from web.operators.pages import register_operators
from web.operators.switching import register_switches
from web.pages import error_page, register_static
from web.pulse import register_pulse
from web.rooms import Room, Rooms, Who
from web.settings import WebSettings
from web.studio.pages import register_studio
from web.traders.accounts import register_accounts
from web.traders.follow import register_follow
from web.traders.home import register_home
from web.traders.signals import register_signals
from web.traders.strategies import register_strategies

_WORDS = {
    400: ("bad_request", "The request could not be read."),
    403: (
        "forbidden",
        "This was not sent from a page of this place, or the page was old. Load it again and "
        "repeat.",
    ),
    404: ("not_found", "There is nothing here."),
    405: ("method_not_allowed", "This address does not take that method."),
    408: ("too_slow", "The body did not arrive in time."),
    429: ("too_many", "Too many pages of yours are open. Close some."),
    413: ("too_large", "The body is larger than is taken here."),
}
OTHER_ROOMS: Final = (
    Room(address="/api/webhooks/copy-trading/<path:endpoint>", methods=("POST",), who=Who.BOT),
    Room(address="/hooks/tv/<path:token>", methods=("POST",), who=Who.BOT),
    Room(address="/api/receipts/<path:receipt_id>", methods=("GET",), who=Who.BOT),
    Room(address="/api/health", methods=("GET",), who=Who.ANYONE),
    Room(address="/api/ready", methods=("GET",), who=Who.ANYONE),
    Room(address="/static/<name>", methods=("GET",), who=Who.ANYONE),
    Room(address="/live", methods=("GET",), who=Who.HERE),
    Room(address="/events", methods=("GET",), who=Who.HERE),
)
"""The routes that are no pages with sessions, with who may come in; a test holds that there is no
other.
"""
_BODILESS: Final = ("GET", "HEAD", "OPTIONS")
_OWN_FAULT = ("failed", "Something here failed, and it was logged. Try again shortly.")


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    engine: Engine, settings: WebSettings, *, now: Callable[[], datetime] = _utc_now
) -> QuartTrio:
    """Make the app over an engine. ``now`` is the clock for the time of receipt (UTC).

    Without services it takes signals and shows the live page only.
    """
    app = QuartTrio(__name__, static_folder=None, template_folder=None)
    app.asgi_http_class = SteadyHTTPConnection
    app.config["MAX_CONTENT_LENGTH"] = settings.body_bytes_max
    app.config["BODY_TIMEOUT"] = settings.body_timeout_s
    app.url_map.merge_slashes = False  # a redirect would repeat the sender's path
    register_bots(app, ingress=engine.ingress, monitor=engine.monitor, settings=settings, now=now)
    register_live(app, engine.monitor, settings)
    register_static(app)
    if engine.services is not None:
        rooms = Rooms(app, engine.services, settings, now)
        register_sign_in(rooms)
        register_security(rooms)
        register_pulse(rooms, engine.monitor)
        register_home(rooms)
        register_signals(rooms)
        register_follow(rooms)
        register_strategies(rooms)
        register_accounts(rooms)
        register_studio(rooms)
        register_switches(rooms, register_operators(rooms, engine.commands))
        app.config["ROOMS"] = (*rooms.declared, *OTHER_ROOMS)
    _register_errors(app)
    _register_headers(app, settings)
    return app


def _register_errors(app: QuartTrio) -> None:
    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response:
        answer = _error(error.code or 500)
        allowed = getattr(error, "valid_methods", None)
        if allowed:
            answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        app.logger.error("a page failed", exc_info=error)
        return _error(503)


def _error(status: int) -> Response:
    code, message = _WORDS.get(status, _OWN_FAULT if status >= 500 else _WORDS[400])
    is_api = request.path == "/api" or request.path.startswith("/api/")
    answer = error_answer(status, code, message) if is_api else error_page(status, message)
    if status == 503:
        answer.headers["Retry-After"] = "5"
    if request.method not in _BODILESS:
        answer.headers["Connection"] = (
            # the body may not have been read: then the connection ends, and the client must know
            "close"
        )
    return answer


def _register_headers(app: QuartTrio, settings: WebSettings) -> None:
    fixed = security_headers(https=settings.https)

    @app.after_request
    async def add_headers(response: Response) -> Response:
        for name, value in fixed:
            response.headers[name] = value
        response.headers.setdefault(*NO_STORE)
        return response
