"""The rooms of the site: every page is declared here with who may come in; the default is nobody.

What always holds, before any handler runs: the session row decides who it is; a person without the
role is told that nothing is there; a form is taken only from our own pages (Sec-Fetch-Site or
Origin) and, in a session, with its token; people who have no password yet, and operators without a
second factor, are led there first.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import partial, wraps
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import trio
from quart import Response, abort, request
from quart_trio import QuartTrio
from werkzeug.datastructures import MultiDict

from engine.domain.errors import InvalidValue, NothingThere, OwnFault, RexAlgoError
from engine.domain.person import Role
from engine.ports.secret import Secret
from engine.services import Services
from engine.services.identity import Caller, NotSignedIn
from engine.services.user import FormErrors, NeedsConfirmation, User
from web.again import DECLINE, Again, OpenOffers, address_of_offer, read_offer
from web.again import PAGE as AGAIN_PAGE
from web.once import CONFIRM, DoneOnce, ShownOnce, ToldOnce
from web.peers import is_from_here
from web.requests import asks_locally, client
from web.settings import WebSettings
from web.visit import Visit

log = logging.getLogger("rexalgo.web")
Handler = Callable[..., Awaitable[Response]]
FIRST_PASSWORD: Final = "/security/password"  # noqa: S105 - an address
FIRST_TOTP: Final = "/security/second-factor"
ONLY_LOOKS: Final = "X-Only-Looks"
"""What a page says when it fetches itself again: nobody is there, so that a session left open runs
out all the same.
"""
_BEFORE_FACTORS: Final = (
    FIRST_PASSWORD,
    FIRST_TOTP,
    f"{FIRST_PASSWORD}/codes",
    "/sign-out",
    CONFIRM,
)
_AT_THE_DOOR: Final = ("ended", "ended-offered")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Declare one route: its address as written, its methods, who may come in; and of an act
    whether it is done once, and offered again.
    """

    address: str
    methods: tuple[str, ...]
    who: Who
    once: bool = False
    again: bool = False


class Rooms:
    """Add pages to the app, each with its declaration."""

    def __init__(
        self, app: QuartTrio, services: Services, settings: WebSettings, now: Callable[[], datetime]
    ) -> None:
        self._app = app
        self.services = services
        self.settings = settings
        self._now = now
        self._confirming = trio.Lock()
        self._done = DoneOnce()
        self._shown = ShownOnce()
        self._told = ToldOnce()
        self._offers: dict[str, Again] = {}
        self.declared: list[Room] = []
        self._open_offers = OpenOffers()
        self.get(AGAIN_PAGE, Who.SIGNED_IN)(self._offer_again)
        self.post(DECLINE, Who.SIGNED_IN)(self._decline)
        self.get(CONFIRM, Who.SIGNED_IN)(self._ask_for_factor)

    def get(self, address: str, who: Who) -> Callable[[Handler], Handler]:
        """Declare a page that only shows."""
        return self._add(address, who, "GET")

    def post(
        self, address: str, who: Who, *, once: bool = False, again: Again | None = None
    ) -> Callable[[Handler], Handler]:
        """Declare an act: a form of our own pages is sent there.

        ``once``: it makes something, and sent again it is told again (``web.once``). ``again``: it
        lowers risk, and is offered again where its session had ended (``web.again``).
        """
        return self._add(address, who, "POST", once=once, again=again)

    def _add(
        self, address: str, who: Who, method: str, *, once: bool = False, again: Again | None = None
    ) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            @wraps(handler)
            async def enter(**parts: str) -> Response:
                return await self._enter(handler, who, parts, once=once, again=again)

            endpoint = f"{method} {address}".replace(".", "_")
            self._app.add_url_rule(address, endpoint, enter, methods=[method])
            self.declared.append(
                Room(
                    address=address, methods=(method,), who=who, once=once, again=again is not None
                )
            )
            if again is not None:
                self._offers[endpoint] = again
            return handler

        return register

    async def _enter(
        self, handler: Handler, who: Who, parts: dict[str, str], *, once: bool, again: Again | None
    ) -> Response:
        visit, answer = await self._let_in(handler, who, parts, once=once, again=again)
        if visit.user is not None and "Location" in answer.headers:
            self._told.note(visit.user.session.id, answer.headers["Location"], visit.now)
        return answer

    def _notice(self, visit: Visit) -> str:
        """Return the notice to be shown: a deed's once, and at the door that a session had ended."""
        if visit.user is None:
            done = visit.query.get("done", "")
            return done if done in _AT_THE_DOOR else ""
        return self._told.take(visit.user.session.id, request.full_path, visit.now)

    async def _let_in(
        self, handler: Handler, who: Who, parts: dict[str, str], *, once: bool, again: Again | None
    ) -> tuple[Visit, Response]:
        form = (
            await request.form if request.method == "POST" else None
        )  # read before any answer: an unread body ends the connection
        visit = await self._visit()
        offered = (
            ""
            if form is None or again is None
            else address_of_offer(again, parts, visit.path, form)
        )
        self._keep_offer(visit, offered)
        led = self._lead(visit, who, offered)
        if led is not None:
            return visit, led
        visit.notice = self._notice(visit)
        if form is not None and not self._take_form(visit, who, form):
            return visit, visit.go(offered) if offered else abort(403)
        if once and visit.form.get("once"):
            key = self._done.key(
                "" if visit.user is None else visit.user.session.id,
                request.full_path,
                visit.form.items(multi=True),
            )
            return visit, await self._done.answer(
                key, partial(self._answer, handler, visit, parts), visit.now
            )
        answer = await self._answer(handler, visit, parts)
        if answer.status_code == 303 and not answer.headers["Location"].startswith(CONFIRM):
            for each in visit.offers:
                if each.is_done_by(visit.path, visit.form):
                    self._open_offers.end(visit.who.person.id, each.page)
        return visit, answer

    def _keep_offer(self, visit: Visit, offered: str) -> None:
        """Keep what this person is offered, or is led away from before it is done, until it is done
        or declined.
        """
        if visit.user is None:
            return
        asks = visit.path == AGAIN_PAGE
        if asks or (offered and _missing_factor(visit.user) is not None):
            query = visit.query if asks else MultiDict(parse_qsl(offered.partition("?")[2]))
            with suppress(NothingThere):
                self._open_offers.open(
                    visit.who.person.id, read_offer(self._app.url_map, self._offers, query)
                )
        visit.offers = self._open_offers.of(visit.who.person.id)

    async def _decline(self, visit: Visit) -> Response:
        self._open_offers.end(visit.who.person.id, visit.text("page"))
        return visit.go(visit.home(), "declined")

    async def _offer_again(self, visit: Visit) -> Response:
        return visit.page(
            "door/again.html", offer=read_offer(self._app.url_map, self._offers, visit.query)
        )

    async def _answer(self, handler: Handler, visit: Visit, parts: dict[str, str]) -> Response:
        try:
            if (
                "factor" in visit.form
                and visit.user is not None
                and not visit.who.is_fresh(visit.now)
            ):
                await self._confirm(visit)
            return await handler(visit, **parts)
        except NeedsConfirmation:
            return visit.show(CONFIRM, **_to_confirm(visit))
        except NotSignedIn as error:
            return visit.refuse(
                "door/confirm.html", {"factor": wait_words(error)}, **_to_confirm(visit)
            )
        except NothingThere:
            abort(404)
        except FormErrors as error:
            return visit.page(
                "refused.html",
                422,
                reasons=[
                    f"{name}: {text}" if name else text for name, text in error.errors.items()
                ],
            )
        except InvalidValue as error:
            return visit.page(
                "refused.html", 422, reasons=[f"{error.field}: expected {error.expected}"]
            )
        except OwnFault:
            log.exception("a page failed, and was answered with 503")
            abort(503)
        except RexAlgoError as error:
            return visit.page("refused.html", 409, reasons=[str(error)])

    async def _visit(self) -> Visit:
        now = self._now()
        caller = Caller(client(self.settings), request.headers.get("User-Agent", "")[:200])
        visit = Visit(
            services=self.services,
            settings=self.settings,
            caller=caller,
            path=request.path,
            query=MultiDict(request.args),
            now=now,
            shown=self._shown,
        )
        cookie = request.cookies.get(visit.cookie_name, "")
        if cookie:
            by_itself = request.path == "/pulse" or request.headers.get(ONLY_LOOKS) == "yes"
            visit.user = await self.services.identity.user(
                cookie, caller.address, only_looks=by_itself
            )
        return visit

    def _lead(self, visit: Visit, who: Who, offered: str) -> Response | None:
        """Return where somebody is led instead, None where they may come in; ``offered``: the page
        that offers what is not done now.
        """
        user = visit.user
        if who is Who.HERE:
            if not asks_locally(self.settings) and (
                user is None or not user.person.is_a(Role.OPERATOR)
            ):
                abort(404)
            return None
        if who is Who.ANYONE:
            return None
        if user is None:
            wanted = request.full_path.rstrip("?") if request.method == "GET" else offered
            done = "" if request.method == "GET" else "ended-offered" if offered else "ended"
            return visit.go(
                f"/sign-in?next={quote(wanted, safe='')}" if wanted else "/sign-in", done
            )
        first = _missing_factor(user)
        if (
            first is not None
            and visit.path not in _BEFORE_FACTORS
            and not self.settings.demo_people
        ):
            return visit.go(first, "" if request.method == "GET" or offered else "factor-first")
        role = _ROLES.get(who)
        if role is not None and not user.person.is_a(role):
            abort(404)
        return None

    def _take_form(self, visit: Visit, who: Who, form: MultiDict[str, str]) -> bool:
        """Take a form of a page of ours; False where its token belongs to no form of this session.
        At the door nobody has one.
        """
        told = request.headers
        if not is_from_here(
            told.get("Sec-Fetch-Site"), told.get("Origin"), request.host, https=self.settings.https
        ):
            abort(403)
        if len(form) > _FORM_FIELDS_MAX:
            abort(413)
        visit.form = MultiDict(form.items(multi=True))
        if visit.user is None or who is Who.ANYONE:
            return True
        return self.services.identity.is_csrf_token(visit.user, visit.form.get("csrf", ""))

    async def _confirm(self, visit: Visit) -> None:
        factor = visit.form.get("factor", "")
        # a second click brings a code that the first one uses up: it finds the session confirmed
        async with self._confirming:
            visit.user = await self._again(visit.who)
            if not visit.who.is_fresh(visit.now):
                await self.services.identity.confirm(
                    visit.who, Secret(factor), factor, visit.caller
                )
                visit.user = await self._again(visit.who)

    async def _again(self, user: User) -> User:
        cookie = request.cookies.get(
            Visit(
                services=self.services,
                settings=self.settings,
                caller=Caller(""),
                path="",
                query=MultiDict(),
                now=self._now(),
                shown=self._shown,
            ).cookie_name,
            "",
        )
        return await self.services.identity.user(cookie, user.address) or user

    async def _ask_for_factor(self, visit: Visit) -> Response:
        kept = visit.kept()
        return (
            visit.page("door/confirm.html", **kept)
            if kept
            else visit.go(visit.home(), "unrepeated")
        )


def _to_confirm(visit: Visit) -> dict[str, Any]:
    """Return what is sent once more with a factor, as it was typed; forms with secrets ask for it
    themselves.
    """
    kept = [
        (name, value)
        for name, value in visit.form.items(multi=True)
        if name not in ("factor", "csrf")
    ]
    return {"kept": kept, "action": request.full_path.rstrip("?")}


def _missing_factor(user: User) -> str | None:
    """Return where a factor is set that must stand before anything else, None where all stand."""
    if not user.has_password:
        return FIRST_PASSWORD
    return FIRST_TOTP if user.person.is_a(Role.OPERATOR) and not user.has_totp else None


def wait_words(error: NotSignedIn) -> str:
    """Say that a try failed, and when the next one may be made."""
    if error.wait_s:
        return f"That did not fit, and there were several tries. Try again in {error.wait_s} s."
    return "That did not fit. Check it and try again."
