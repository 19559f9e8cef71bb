"""What runs before and after every handler of a page or form.

Before: the row of the session decides who the user is; ``web.access`` decides whether they may use
the route and whether their form is accepted. After: an error of the engine becomes an answer, and
the notice of a finished form waits for the page to which the form redirects.

A refused form is answered by its own page, with every error and with what was typed. The page is
given only the fields that its route declares, so no page can repeat a secret.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

import trio
from markupsafe import escape
from quart import Response, abort, request
from quart_trio import QuartTrio
from werkzeug.datastructures import MultiDict

from engine.domain.errors import EngineAway, InvalidValue, NothingThere, OwnFault, RexAlgoError
from engine.domain.text import for_people, may_be_kept
from engine.ports.secret import Secret
from engine.services import Services
from engine.services.identity import Caller, NotSignedIn
from engine.services.user import FormErrors, LookFirst, NeedsConfirmation, User
from web.access import accept_form, is_form_from_here, missing_factor, redirect_instead
from web.again import DECLINE, Again, Offer, OpenOffers, offer_address, read_offer
from web.again import PAGE as AGAIN_PAGE
from web.compressing import compress
from web.engine_port import Commands
from web.once import CONFIRM, DoneOnce, NoticesOnce, ShownOnce
from web.requests import client
from web.routes import Route, Who, get, post
from web.settings import WebSettings
from web.typed import QUERY as TYPED
from web.typed import NotSent, TypedAgain, only
from web.visit import Visit, cookie_name
from web.words import FACTOR_MISSING, FACTOR_WRONG, SECRETS_NOT_KEPT, not_accepted, wait_words

log = logging.getLogger("rexalgo.web")
ONLY_LOOKS: Final = "X-Only-Looks"
"""The header of a page that fetches itself again: nobody may be there, so it keeps no session
alive.
"""
_SIGNED_OUT_NOTICES: Final = ("ended", "ended-offered", "ended-typed", "ended-page")
_PROOFS: Final = frozenset({"csrf", "once", "factor", "passkey"})
"""The fields of the forms themselves: what proves who sent them, and that they were not sent before."""
_VALUE_MAX: Final = 20_000
"""The characters that a field may have; most take far fewer."""
_PART: Final = re.compile("<([a-z]+)>")


class Dispatcher:
    """The pages and forms of one app, with what is kept between their requests."""

    def __init__(
        self,
        app: QuartTrio,
        services: Services,
        commands: Commands,
        settings: WebSettings,
        now: Callable[[], datetime],
    ) -> None:
        self._app = app
        self._services = services
        self._commands = commands
        self._settings = settings
        self._now = now
        self._confirming = trio.Lock()
        self._done = DoneOnce()
        self._shown = ShownOnce()
        self._notices = NoticesOnce()
        self._offered: dict[str, Again] = {}
        self._open_offers = OpenOffers()
        self._typed = TypedAgain()
        self._pages: dict[str, Route] = {}
        self.own_routes: Final = (
            get(AGAIN_PAGE, Who.SIGNED_IN, self._show_offer),
            post(DECLINE, Who.SIGNED_IN, self._decline_offer, page="/", keeps=("page",)),
            get(CONFIRM, Who.SIGNED_IN, _ask_for_factor),
        )
        self.add(self.own_routes)

    def add(self, routes: Iterable[Route]) -> None:
        """Add routes to the app; each request passes every check before its handler runs."""
        for route in routes:
            handler = partial(self._serve, route)
            self._app.add_url_rule(route.address, route.endpoint, handler, methods=[route.method])
            if route.again is not None:
                self._offered[route.endpoint] = route.again
            if route.method == "GET":
                self._pages[route.address] = route

    async def _serve(self, route: Route, /, **parts: str) -> Response:
        # the form is read before any answer: an unread body ends the connection
        form = await request.form if request.method == "POST" else None
        named = (*parts.values(), *_names_and_values(request.args), *(form or ()))
        if not all(map(may_be_kept, named)):
            abort(400)
        visit = await self._visit()
        answer = await self._check(route, visit, form, parts)
        if visit.user is not None and "Location" in answer.headers:
            self._notices.note(visit.user.session.id, answer.headers["Location"], visit.now)
        return await compress(answer)

    async def refusal(self, status: int, message: str) -> Response:
        """Answer what no handler took with a page that leads on: it has the navigation of whoever
        asks.
        """
        visit = await self._visit(only_looks=True)
        return visit.page("nothing.html", status, code=status, message=message)

    async def _visit(self, *, only_looks: bool = False) -> Visit:
        caller = Caller(client(self._settings), request.headers.get("User-Agent", "")[:200])
        cookie = self._cookie()
        user = None
        now = self._now()
        only_looks = (
            only_looks or request.path == "/pulse" or request.headers.get(ONLY_LOOKS) == "yes"
        )
        if cookie:
            user = await self._services.identity.user(cookie, caller.address, only_looks=only_looks)
        former = self._services.identity.former(cookie) if cookie and user is None else None
        return Visit(
            self._services,
            self._commands,
            self._settings,
            caller,
            request.path,
            MultiDict(request.args),
            now,
            self._shown,
            0 if user is None else self._services.pulse.newest(),
            user,
            only_looks=only_looks,
            former=former,
        )

    async def _check(
        self, route: Route, visit: Visit, form: MultiDict[str, str] | None, parts: dict[str, str]
    ) -> Response:
        """Answer after every check; the handler runs only if all of them pass."""
        offer = ""
        if form is not None and route.again is not None and _is_readable(form):
            offer = offer_address(route.again, parts, visit.path, form)
        self._keep_offer(visit, offer)
        back = offer or ("" if form is None else self._keep_typed(route, visit, form, parts))
        redirected = redirect_instead(visit, route.who, back)
        if redirected is not None:
            return redirected
        visit.notice = self._notice(visit)
        if form is None:
            self._fill_in(visit)
        elif not accept_form(visit, route.who, form):
            return visit.go(back) if back else abort(403)
        if route.once and visit.form.get("once"):
            session = "" if visit.user is None else visit.user.session.id
            key = self._done.key(session, request.full_path, visit.form.items(multi=True))
            handle = partial(self._handle, route, visit, parts)
            return await self._done.answer(key, handle, visit.now)
        answer = await self._handle(route, visit, parts)
        if answer.status_code == 303 and not answer.headers["Location"].startswith(CONFIRM):
            self._end_offers(visit)
        return answer

    async def _handle(self, route: Route, visit: Visit, parts: dict[str, str]) -> Response:
        """Call the handler, and turn an error of the engine into an answer."""
        try:
            return await self._do(route, visit, parts)
        except NothingThere:
            abort(404)
        except EngineAway:
            raise  # the app answers it with 503 and its words
        except OwnFault:
            log.exception("a page failed, and was answered with 503")
            abort(503)
        except RexAlgoError as error:
            return visit.page("refused.html", 409, reasons=[str(error)], back="")

    async def _do(self, route: Route, visit: Visit, parts: dict[str, str]) -> Response:
        """Call the handler; a form that is refused gets its page."""
        try:
            if (
                route.who is not Who.ANYONE
                and ("factor" in visit.form or visit.form.get("passkey"))
                and visit.user is not None
                and not visit.user.is_fresh(visit.now)
            ):
                await self._confirm(visit)
            _require_readable(visit.form)
            answer = await route.handler(visit, **parts)
            shows = route.method == "GET" or route.answers
            assert shows or answer.status_code == 303, "its page shows what a form did"
            return answer
        except NeedsConfirmation:
            if not self._forgets(route, visit, parts):
                return visit.show(CONFIRM, **_to_confirm(visit))
            return await self._refuse(route, visit, parts, {"factor": FACTOR_MISSING})
        except NotSignedIn as error:
            if route.who is Who.ANYONE:
                return await self._refuse(route, visit, parts, {"": wait_words(error)})
            errors = {"factor": wait_words(error, FACTOR_WRONG)}
            if not self._forgets(route, visit, parts):
                return visit.page("identity/confirm.html", errors=errors, **_to_confirm(visit))
            return await self._refuse(route, visit, parts, errors)
        except LookFirst as error:
            visit.unconfirmed = error
            return await self._refuse(route, visit, parts, {})
        except FormErrors as error:
            return await self._refuse(route, visit, parts, error.errors)
        except InvalidValue as error:
            return await self._refuse(
                route, visit, parts, {error.field: f"expected {error.expected}"}
            )
        except (NothingThere, EngineAway, OwnFault):
            raise
        except RexAlgoError as error:
            return await self._refuse(route, visit, parts, {"": str(error)}, 409)

    async def _refuse(
        self,
        route: Route,
        visit: Visit,
        parts: Mapping[str, str],
        errors: Mapping[str, str],
        status: int = 422,
    ) -> Response:
        """Answer a form with its own page, with the errors and with what may be shown again of what
        was typed; a button with a page that says why.
        """
        if not route.asks:
            reasons = [f"{name}: {text}" if name else text for name, text in errors.items()]
            back = _page_address(route, parts, visit.form)
            return visit.page("refused.html", status, reasons=reasons, back=back)
        given = {**visit.form.to_dict(), **parts}
        visit.errors, visit.refilled = dict(errors), visit.path
        if errors and self._forgets(route, visit, parts):
            above = errors.get("") or not_accepted(len(errors))
            visit.errors = {**errors, "": f"{above} {SECRETS_NOT_KEPT}"}
        visit.path = _page_address(route, parts, visit.form)
        visit.form = only(visit.form, self._kept(route, visit, parts) | frozenset(route.redraws))
        of_page = {name: given.get(name, "") for name in _PART.findall(route.page)}
        show = partial(self._pages[route.page].handler, visit, **of_page)
        answer = await show()
        shown = await answer.get_data(as_text=True)
        unseen = [
            f"{name}: {text}"
            for name, text in errors.items()
            if name and str(escape(text)) not in shown
        ]
        if unseen:  # of a hidden field, or of one that the page does not have now
            visit.errors = {
                **visit.errors,
                "": " ".join((visit.errors.get("", ""), *unseen)).strip(),
            }
            answer = await show()
        return answer

    def _kept(self, route: Route, visit: Visit, parts: Mapping[str, str]) -> frozenset[str]:
        return route.kept(self._services, {**visit.form.to_dict(), **parts})

    def _forgets(self, route: Route, visit: Visit, parts: Mapping[str, str]) -> bool:
        """Return whether the form carries something that no page may repeat, such as a secret."""
        kept = self._kept(route, visit, parts) | _PROOFS
        return any(value and name not in kept for name, value in visit.form.items(multi=True))

    async def _confirm(self, visit: Visit) -> None:
        """Check the factor that the form carries; raises NotSignedIn where it is wrong."""
        factor = visit.form.get("factor", "")
        # a second click brings a code that the first one uses up: it finds the session confirmed
        async with self._confirming:
            visit.user = await self._read_again(visit.who)
            if not visit.who.is_fresh(visit.now):
                await self._services.identity.confirm(
                    visit.who,
                    Secret(factor),
                    factor,
                    visit.caller,
                    passkey=visit.form.get("passkey", ""),
                )
                visit.user = await self._read_again(visit.who)

    async def _read_again(self, user: User) -> User:
        return await self._services.identity.user(self._cookie(), user.address) or user

    def _cookie(self) -> str:
        return request.cookies.get(cookie_name(self._settings), "")

    def _notice(self, visit: Visit) -> str:
        """Return the code of the notice to show.

        Signed out, only those that say that the session had ended: anybody can write an address.
        """
        if visit.user is None:
            done = visit.query.get("done", "")
            return done if done in _SIGNED_OUT_NOTICES else ""
        return self._notices.take(visit.user.session.id, request.full_path, visit.now)

    def _keep_offer(self, visit: Visit, offer: str) -> None:
        """Keep an offer that this page shows, or from which the user is redirected; read all."""
        if visit.user is None:
            return
        shows_offer = visit.path == AGAIN_PAGE
        if shows_offer or (offer and missing_factor(visit.user) is not None):
            query = visit.query if shows_offer else MultiDict(parse_qsl(offer.partition("?")[2]))
            with suppress(NothingThere):
                self._open_offers.open(visit.user.person.id, self._read_offer(query))
        visit.offers = self._open_offers.of(visit.user.person.id)

    def _keep_typed(
        self, route: Route, visit: Visit, form: MultiDict[str, str], parts: Mapping[str, str]
    ) -> str:
        """Keep what was typed if no valid session sent it; return the address of the form's page,
        empty where a valid session, nobody or another site sent it.
        """
        is_expired = visit.user is None or not visit.has_token(form)
        if route.who is Who.ANYONE or not is_expired or not is_form_from_here(visit):
            return ""
        address = _page_address(route, parts, form)
        person = visit.former if visit.user is None else visit.user.person.id
        if person is None or not _is_readable(form):
            return address
        given = {**form.to_dict(), **parts}
        kept = only(form, route.kept(self._services, given))
        key = self._typed.keep(person, NotSent(visit.path, route.asks, kept), visit.now)
        return f"{address}?{urlencode({TYPED: key})}" if key else address

    def _fill_in(self, visit: Visit) -> None:
        """Fill in what the user typed before their session ended."""
        if visit.user is None:
            return
        key = visit.query.get(TYPED, "")
        sent = self._typed.find(visit.user.person.id, key, visit.now)
        if sent is not None:
            visit.form, visit.refilled = sent.fields, sent.address
            visit.notice = visit.notice or ("typed-again" if sent.asks else "pressed-again")

    def _end_offers(self, visit: Visit) -> None:
        for offer in visit.offers:
            if offer.is_done_by(visit.path, visit.form):
                self._open_offers.end(visit.who.person.id, offer.page)

    async def _show_offer(self, visit: Visit) -> Response:
        return visit.page("identity/again.html", offer=self._read_offer(visit.query))

    async def _decline_offer(self, visit: Visit) -> Response:
        self._open_offers.end(visit.who.person.id, visit.text("page"))
        return visit.go(visit.home(), "declined")

    def _read_offer(self, query: MultiDict[str, str]) -> Offer:
        return read_offer(self._app.url_map, self._offered, query)


async def _ask_for_factor(visit: Visit) -> Response:
    kept = visit.kept()
    if not kept:
        return visit.go(visit.home(), "unrepeated")
    return visit.page("identity/confirm.html", **kept)


def _to_confirm(visit: Visit) -> dict[str, Any]:
    """Return the form that is sent again with a factor, as it was typed: nothing of it is secret."""
    kept = [
        (name, value)
        for name, value in visit.form.items(multi=True)
        if name not in ("factor", "passkey", "csrf")
    ]
    return {
        "kept": kept,
        "action": request.full_path.rstrip("?"),
        "consequence": visit.consequence,
    }


def _page_address(route: Route, parts: Mapping[str, str], form: Mapping[str, str]) -> str:
    """Return the address of the page that has a form."""
    given = {**form, **parts}
    return _PART.sub(lambda part: quote(given.get(part[1], ""), safe=""), route.page)


def _is_readable(form: MultiDict[str, str]) -> bool:
    return all(may_be_kept(value) for _, value in form.items(multi=True))


def _require_readable(form: MultiDict[str, str]) -> None:
    """Raise FormErrors for every field whose text nobody can keep or handle; keep in the form what
    of it may be shown again.
    """
    errors = dict[str, str]()
    for name, values in list(form.lists()):
        if not all(map(may_be_kept, values)):
            errors[name] = "expected text without the character NUL"
            form.setlist(name, list(map(for_people, values)))
        elif max(map(len, values)) > _VALUE_MAX:
            errors[name] = f"expected at most {_VALUE_MAX} characters"
    if errors:
        raise FormErrors(errors)


def _names_and_values(fields: MultiDict[str, str]) -> Iterator[str]:
    """Yield the names and values of a query."""
    for name, value in fields.items(multi=True):
        yield from (name, value)
