"""One visit of one browser: who it is, what its form said, and the answers it can get."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from quart import Response, redirect
from werkzeug.datastructures import MultiDict

from engine.domain.person import Role
from engine.services import Services
from engine.services.identity import Caller, SignedIn
from engine.services.user import User
from web.again import Offer
from web.once import ShownOnce
from web.pages import page, render
from web.settings import WebSettings
from web.words import CARE, NOTICES

COOKIE: Final = "__Host-rexalgo"
_NEXT_MAX: Final = 2_000
COOKIE_PLAIN: Final = "rexalgo"
"""On plain http (this machine only) a ``__Host-`` cookie is refused by browsers, because it must be
Secure.
"""


@dataclass(slots=True)
class Visit:
    """Hold what a handler needs.

    ``form`` keeps what was typed, so that a page which refuses it can show it again; ``notice`` is
    the code of what is told above the page. ``offers`` are deeds of this person that were not done,
    and are not declined.
    """

    services: Services
    settings: WebSettings
    caller: Caller
    path: str
    query: MultiDict[str, str]
    now: datetime
    shown: ShownOnce
    user: User | None = None
    form: MultiDict[str, str] = field(default_factory=MultiDict)
    notice: str = ""
    offers: tuple[Offer, ...] = ()

    @property
    def who(self) -> User:
        """Return the user of a page that only signed-in people reach."""
        assert self.user is not None, "this page was declared for people who are signed in"
        return self.user

    def text(self, name: str, default: str = "") -> str:
        """Return a field of the form without blanks around it."""
        return self.form.get(name, default).strip()

    def page(
        self,
        template: str,
        status: int = 200,
        *,
        errors: Mapping[str, str] | None = None,
        **values: object,
    ) -> Response:
        """Answer with a whole page; ``errors`` are shown beside their fields, what was typed stays."""
        return page(template, status, **self._common(errors), **values)

    def refuse(self, template: str, errors: Mapping[str, str], **values: object) -> Response:
        """Answer a form with everything that is wrong with it."""
        return self.page(template, 422, errors=errors, **values)

    def fragment(self, template: str, **values: object) -> str:
        """Render a part of a page."""
        return render(template, **self._common(None), **values)

    def _common(self, errors: Mapping[str, str] | None) -> dict[str, object]:
        user = self.user
        return {
            "visit": self,
            "person": None if user is None else user.person,
            "roles": frozenset()
            if user is None
            else frozenset(each.value for each in user.person.roles),
            "zone": "UTC" if user is None else user.person.zone,
            "csrf": "" if user is None else self.services.identity.csrf_token(user),
            "fresh": user is not None and user.is_fresh(self.now),
            "nothing_sent": "" if user is None else self.services.pulse.held(user),
            "errors": dict(errors or {}),
            "form": self.form,
            "offers": self.offers,
            "notice": NOTICES.get(self.notice, ""),
            "is_care": self.notice in CARE,
            "place": self.services.identity.place,
            "now": self.now,
            "path": self.path,
        }

    def require_fresh(self) -> None:
        """Ask for a factor, unless one was shown within the last minutes; raises NeedsConfirmation."""
        self.who.require_fresh(self.now)

    def go(self, address: str, done: str = "") -> Response:
        """Answer a form that was taken: go on to a page of this site, which may say what was done."""
        assert address.startswith("/"), "only pages of this site"
        mark = "&" if "?" in address else "?"
        return _see_other(f"{address}{mark}done={quote(done)}" if done else address)

    def show(self, address: str, **values: object) -> Response:
        """Go on to a page that may show these values for ten minutes, to this session: they are
        read there with ``kept``.
        """
        key = self.shown.keep(self.who.session.id, values, self.now)
        return self.go(f"{address}{'&' if '?' in address else '?'}shown={key}")

    def kept(self) -> Mapping[str, Any]:
        """Return what a form before left for this page to show, nothing where it left nothing or
        the ten minutes are over.
        """
        return self.shown.find(self.who.session.id, self.query.get("shown", ""), self.now) or {}

    def enter(self, signed_in: SignedIn, address: str) -> Response:
        """Begin a session in this browser and go on."""
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
        return COOKIE if self.settings.https else COOKIE_PLAIN

    def home(self) -> str:
        """Return where this person's day begins."""
        person = self.who.person
        if person.is_a(Role.FOLLOWER):
            return "/home"
        if person.is_a(Role.MASTER):
            return "/studio"
        return "/operate" if person.is_a(Role.OPERATOR) else "/home"

    def next(self) -> str:
        """Return the page of this site that the person wanted before signing in, else what was not
        done yet, else their home.
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
        return self.offers[-1].page if self.offers else "/" if self.user is None else self.home()


def _see_other(address: str) -> Response:
    answer = redirect(address, 303)
    assert isinstance(answer, Response)
    return answer
