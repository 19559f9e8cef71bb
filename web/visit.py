"""One request of one browser: who sent it, its form, and the answers it can get."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from quart import Response, redirect
from werkzeug.datastructures import MultiDict

from engine.domain.identifiers import PersonId
from engine.domain.person import Role
from engine.services import Services
from engine.services.identity import Caller, SignedIn
from engine.services.user import LookFirst, User
from web.again import Offer
from web.compressing import AS_IT_IS, SHOWS_SECRETS, masked, unmasked
from web.engine_port import Commands
from web.once import ShownOnce
from web.pages import page
from web.settings import WebSettings
from web.words import CARE, NOTICES

COOKIE: Final = "__Host-rexalgo"
COOKIE_PLAIN: Final = "rexalgo"
"""On plain http (this machine only) a browser refuses a ``__Host-`` cookie: it must be Secure."""
_NEXT_MAX: Final = 2_000


@dataclass(slots=True)
class Visit:
    """What a handler works with: the user, the request and the services.

    ``form`` keeps what was typed, so that a page which refuses it shows it again. ``notice`` is the
    code of the notice above the page. ``offers`` are forms of this person that were not done and
    are offered again. ``only_looks``: the page fetches itself again, and nobody may be there.
    ``former`` is the person whose session has ended. ``refilled`` is the address of the form that
    the page fills in again: it was refused with ``errors`` or with what to look at first
    (``unconfirmed``), or it was typed before the session ended. Empty where none is. ``newest`` is the
    ledger's newest sequence before anything was read for the page: a live page asks for what
    follows it, and so misses nothing that happens while it is made. 0 for strangers: no page of
    theirs is live.
    """

    services: Services
    commands: Commands
    settings: WebSettings
    caller: Caller
    path: str
    query: MultiDict[str, str]
    now: datetime
    shown: ShownOnce
    newest: int
    user: User | None = None
    form: MultiDict[str, str] = field(default_factory=MultiDict)
    notice: str = ""
    offers: tuple[Offer, ...] = ()
    only_looks: bool = False
    former: PersonId | None = None
    refilled: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    unconfirmed: LookFirst | None = None
    consequence: str = ""
    _titles: Mapping[str, str] | None = None

    @property
    def titles(self) -> Mapping[str, str]:
        """Return by name what the user calls their accounts, read at the first use."""
        if self._titles is None:
            self._titles = {} if self.user is None else self.services.following.titles(self.user)
        return self._titles

    @property
    def who(self) -> User:
        """Return the user of a page that only signed-in people reach."""
        assert self.user is not None, "this page was declared for people who are signed in"
        return self.user

    def text(self, name: str, default: str = "") -> str:
        """Return a field of the form without surrounding blanks."""
        return self.form.get(name, default).strip()

    def before(self, name: str = "before") -> int | None:
        """Return the row before which an older page begins, None for the newest page."""
        text = self.query.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    def has_token(self, form: MultiDict[str, str]) -> bool:
        """Return whether a form carries the token of the user's session."""
        token = unmasked(form.get("csrf", ""))
        return self.services.identity.is_csrf_token(self.who, token)

    def page(
        self,
        template: str,
        status: int | None = None,
        *,
        errors: Mapping[str, str] | None = None,
        **values: object,
    ) -> Response:
        """Answer with a whole page; with errors its status is 422, else 200, unless given.

        ``errors`` are shown beside their fields: of a query here, of a refused form those of the
        visit.
        """
        errors = errors or self.errors
        if status is None:
            status = 422 if errors or self.unconfirmed else 200
        if self.refilled and "live" in values:
            values["live"] = None  # the page must not renew itself over what was typed
        answer = page(template, status, **self._common(errors), **values)
        if template in SHOWS_SECRETS:
            answer.headers["Cache-Control"] = AS_IT_IS
        return answer

    def require_fresh(self) -> None:
        """Raise NeedsConfirmation unless the user showed a factor within the last minutes."""
        self.who.require_fresh(self.now)

    def go(self, address: str, done: str = "") -> Response:
        """Redirect to a page of this site; ``done`` is the code of the notice that it shows."""
        assert address.startswith("/"), "only pages of this site"
        mark = "&" if "?" in address else "?"
        return _see_other(f"{address}{mark}done={quote(done)}" if done else address)

    def show(self, address: str, **values: object) -> Response:
        """Redirect to a page that may show these values to this session for ten minutes.

        The page reads them with ``kept``.
        """
        key = self.shown.keep(self.who.session.id, values, self.now)
        return self.go(f"{address}{'&' if '?' in address else '?'}shown={key}")

    def kept(self) -> Mapping[str, Any]:
        """Return the values that a form kept for this page; empty where none are kept any more."""
        return self.shown.find(self.who.session.id, self.query.get("shown", ""), self.now) or {}

    def enter(self, signed_in: SignedIn, address: str) -> Response:
        """Begin a session in this browser and redirect."""
        answer = self.go(address)
        answer.set_cookie(
            self.cookie_name,
            signed_in.cookie,
            max_age=int((signed_in.expires_at - self.now).total_seconds()),
            path="/",
            secure=self.settings.https,
            httponly=True,
            samesite="Strict",
        )
        return answer

    def leave(self) -> Response:
        """End the session in this browser."""
        answer = self.go("/")
        answer.delete_cookie(
            self.cookie_name, path="/", secure=self.settings.https, httponly=True, samesite="Strict"
        )
        answer.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
        return answer

    @property
    def cookie_name(self) -> str:
        """Return the name of the session's cookie."""
        return cookie_name(self.settings)

    def home(self) -> str:
        """Return the first page of a person with these roles."""
        person = self.who.person
        if person.reaches(Role.FOLLOWER):
            return "/home"
        if person.is_a(Role.MASTER):
            return "/studio"
        return "/operate" if person.is_a(Role.OPERATOR) else "/strategies"

    def next(self) -> str:
        """Return the page to go on to after signing in.

        That is the page of this site that the person wanted, else their newest offer, else their
        home.
        """
        wanted = self.form.get("next", self.query.get("next", ""))
        is_ours = (
            wanted.startswith("/")
            and not wanted.startswith(("//", "/\\"))
            and wanted.isprintable()
            and len(wanted) <= _NEXT_MAX
        )
        if is_ours and wanted != "/":
            return wanted
        if self.offers:
            return self.offers[-1].page
        return "/" if self.user is None else self.home()

    def _common(self, errors: Mapping[str, str]) -> dict[str, object]:
        """Return the values that every template may use."""
        user = self.user
        roles = () if user is None else user.person.roles
        return {
            "visit": self,
            "person": None if user is None else user.person,
            "roles": frozenset(role.value for role in roles),
            "reached": frozenset(
                role.value for role in Role if user is not None and user.person.reaches(role)
            ),
            "zone": "UTC" if user is None else user.person.zone,
            "csrf": "" if user is None else masked(self.services.identity.csrf_token(user)),
            "fresh": user is not None and user.is_fresh(self.now),
            "nothing_sent": "" if user is None else self.services.pulse.held(user),
            "news": 0 if user is None else self.services.telling.news(user),
            "dead_channels": () if user is None else self.services.telling.dead(user),
            "errors": dict(errors),
            "form": self.form,
            "offers": self.offers,
            "notice": NOTICES.get(self.notice, ""),
            "is_care": self.notice in CARE,
            "place": self.services.identity.place,
            "now": self.now,
            "path": self.path,
        }


def cookie_name(settings: WebSettings) -> str:
    """Return the name of the session's cookie."""
    return COOKIE if settings.https else COOKIE_PLAIN


def _see_other(address: str) -> Response:
    answer = redirect(address, 303)
    assert isinstance(answer, Response)
    return answer
