"""The rooms of the site: every page is declared here with who may come in; the default is nobody.

What always holds, before any handler runs: the session row decides who it is; a person without the role is told that nothing is there;
a form is taken only from our own pages (Sec-Fetch-Site or Origin) and, in a session, with its token; people who have no password yet,
and operators without a second factor, are led there first.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import wraps
from typing import Final
from urllib.parse import quote

from quart import Response, abort, request
from quart_trio import QuartTrio
from werkzeug.datastructures import MultiDict

from engine.desks import Desks
from engine.desks.identity import Caller, NotSignedIn
from engine.desks.visitor import FormErrors, NeedsConfirmation, Visitor
from engine.domain.errors import InvalidValue, OwnFault, RexAlgoError
from engine.domain.person import Role
from engine.office import NothingThere
from engine.ports.secret import Secret
from web.peers import is_from_here
from web.requests import asks_locally, client
from web.settings import WebSettings
from web.visit import Visit

log = logging.getLogger("rexalgo.web")
Handler = Callable[..., Awaitable[Response]]
FIRST_PASSWORD: Final = "/security/password"  # noqa: S105 - an address
FIRST_TOTP: Final = "/security/second-factor"
ONLY_LOOKS: Final = "X-Only-Looks"
"""What a page says when it fetches itself again: nobody is there, so that a session left open runs out all the same."""
_BEFORE_FACTORS: Final = (FIRST_PASSWORD, FIRST_TOTP, "/sign-out", "/confirm")
_FORM_FIELDS_MAX: Final = 100


class Who(Enum):
    """Who may come into a room."""

    ANYONE = "anyone"
    SIGNED_IN = "signed in"
    FOLLOWER = "follower"
    MASTER = "master"
    OPERATOR = "operator"
    BOT = "a bot with a signature or a capability"
    HERE = "somebody on this machine, or an operator"


_ROLES: Final = {Who.FOLLOWER: Role.FOLLOWER, Who.MASTER: Role.MASTER, Who.OPERATOR: Role.OPERATOR}


@dataclass(frozen=True, slots=True)
class Room:
    """Declare one route: its address as written, its methods, and who may come in."""

    address: str
    methods: tuple[str, ...]
    who: Who


class Rooms:
    """Add pages to the app, each with its declaration."""

    def __init__(self, app: QuartTrio, desks: Desks, settings: WebSettings, now: Callable[[], datetime]) -> None:
        self._app = app
        self.desks = desks
        self.settings = settings
        self._now = now
        self.declared: list[Room] = []

    def get(self, address: str, who: Who) -> Callable[[Handler], Handler]:
        """Declare a page that only shows."""
        return self._add(address, who, "GET")

    def post(self, address: str, who: Who) -> Callable[[Handler], Handler]:
        """Declare an act: a form of our own pages is sent there."""
        return self._add(address, who, "POST")

    def _add(self, address: str, who: Who, method: str) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            @wraps(handler)
            async def enter(**parts: object) -> Response:
                return await self._enter(handler, who, parts)

            endpoint = f"{method} {address}"
            self._app.add_url_rule(address, endpoint.replace(".", "_"), enter, methods=[method])
            self.declared.append(Room(address, (method,), who))
            return handler

        return register

    async def _enter(self, handler: Handler, who: Who, parts: dict[str, object]) -> Response:
        form = await request.form if request.method == "POST" else None  # read before any answer: an unread body ends the connection
        visit = await self._visit()
        led = self._lead(visit, who)
        if led is not None:
            return led
        if form is not None:
            self._take_form(visit, form)
        try:
            if "factor" in visit.form and visit.visitor is not None and not visit.who.is_fresh(visit.now):
                await self._confirm(visit)
            return await handler(visit, **parts)
        except NeedsConfirmation:
            return self._ask_for_factor(visit, {})
        except NotSignedIn as error:
            return self._ask_for_factor(visit, {"factor": wait_words(error)})
        except NothingThere:
            abort(404)
        except FormErrors as error:
            return visit.page("refused.html", 422, reasons=[f"{name}: {text}" if name else text for name, text in error.errors.items()])
        except InvalidValue as error:
            return visit.page("refused.html", 422, reasons=[f"{error.field}: expected {error.expected}"])
        except OwnFault:
            log.exception("a page failed, and was answered with 503")
            abort(503)
        except RexAlgoError as error:
            return visit.page("refused.html", 409, reasons=[str(error)])

    async def _visit(self) -> Visit:
        now = self._now()
        caller = Caller(client(self.settings), request.headers.get("User-Agent", "")[:200])
        visit = Visit(self.desks, self.settings, caller, request.path, MultiDict(request.args), now)
        cookie = request.cookies.get(visit.cookie_name, "")
        if cookie:
            by_itself = request.path == "/pulse" or request.headers.get(ONLY_LOOKS) == "yes"
            visit.visitor = await self.desks.identity.visitor(cookie, caller.address, only_looks=by_itself)
        return visit

    def _lead(self, visit: Visit, who: Who) -> Response | None:
        """Return where somebody is led instead, None where they may come in."""
        visitor = visit.visitor
        if who is Who.HERE:
            if not asks_locally(self.settings) and (visitor is None or not visitor.person.is_a(Role.OPERATOR)):
                abort(404)
            return None
        if who is Who.ANYONE:
            return None
        if visitor is None:
            wanted = request.full_path.rstrip("?") if request.method == "GET" else ""
            return visit.go(f"/sign-in?next={quote(wanted, safe='')}" if wanted else "/sign-in?done=ended")
        first = _missing_factor(visitor)
        if first is not None and visit.path not in _BEFORE_FACTORS and not self.settings.demo_people:
            return visit.go(first)
        role = _ROLES.get(who)
        if role is not None and not visitor.person.is_a(role):
            abort(404)
        return None

    def _take_form(self, visit: Visit, form: MultiDict[str, str]) -> None:
        told = request.headers
        if not is_from_here(told.get("Sec-Fetch-Site"), told.get("Origin"), request.host, https=self.settings.https):
            abort(403)
        if len(form) > _FORM_FIELDS_MAX:
            abort(413)
        visit.form = MultiDict(form.items(multi=True))
        if visit.visitor is not None and not self.desks.identity.is_csrf_token(visit.visitor, visit.form.get("csrf", "")):
            abort(403)

    async def _confirm(self, visit: Visit) -> None:
        factor = visit.form.get("factor", "")
        await self.desks.identity.confirm(visit.who, Secret(factor), factor, visit.caller)
        visit.visitor = await self._again(visit.who)

    async def _again(self, visitor: Visitor) -> Visitor:
        cookie = request.cookies.get(Visit(self.desks, self.settings, Caller(""), "", MultiDict(), self._now()).cookie_name, "")
        return await self.desks.identity.visitor(cookie, visitor.address) or visitor

    def _ask_for_factor(self, visit: Visit, errors: dict[str, str]) -> Response:
        """Ask for a factor, carrying what was typed; forms with secrets ask for it themselves."""
        kept = [(name, value) for name, value in visit.form.items(multi=True) if name not in ("factor", "csrf")]
        status = 422 if errors else 200
        return visit.page("door/confirm.html", status, errors=errors, kept=kept, action=request.full_path.rstrip("?"))


def _missing_factor(visitor: Visitor) -> str | None:
    """Return where a factor is set that must stand before anything else, None where all stand."""
    if not visitor.has_password:
        return FIRST_PASSWORD
    return FIRST_TOTP if visitor.person.is_a(Role.OPERATOR) and not visitor.has_totp else None


def wait_words(error: NotSignedIn) -> str:
    """Say that a try failed, and when the next one may be made."""
    if error.wait_s:
        return f"That did not fit, and there were several tries. Try again in {error.wait_s} s."
    return "That did not fit. Check it and try again."
