"""Who may use a route, and which forms are accepted.

A person without the role gets the same 404 as for an address that does not exist; a follower's pages
stay open to whoever owns an account. A person without a password, and an operator without a second
factor, is sent to set it first. A form is accepted only from a page of this site (Sec-Fetch-Site or
Origin) and, within a session, with its token.
"""

from typing import Final
from urllib.parse import quote

from quart import Response, abort, request
from werkzeug.datastructures import MultiDict

from engine.domain.person import Role
from engine.services.user import User
from web.again import PAGE as OFFER_PAGE
from web.once import CONFIRM
from web.peers import is_from_here
from web.routes import Who
from web.typed import QUERY as TYPED
from web.visit import Visit

FIRST_PASSWORD: Final = "/security/password"  # noqa: S105 - an address
FIRST_TOTP: Final = "/security/second-factor"
_BEFORE_FACTORS: Final = (
    FIRST_PASSWORD,
    FIRST_TOTP,
    "/security/passkeys",
    "/security/passkeys/new",
    "/security/passkeys/to-add",
    "/security/passkeys/to-confirm",
    f"{FIRST_PASSWORD}/codes",
    "/sign-out",
    CONFIRM,
)
_FORM_FIELDS_MAX: Final = 100
_ROLES: Final = {Who.FOLLOWER: Role.FOLLOWER, Who.MASTER: Role.MASTER, Who.OPERATOR: Role.OPERATOR}


def redirect_instead(visit: Visit, who: Who, back: str) -> Response | None:
    """Return a redirect to where the user must go first, None where none is needed.

    404 for a user without the role.

    ``back``: the page that offers the form again or shows what was typed, else the form's page;
    empty for a form that a valid session sent.
    """
    user = visit.user
    if who is Who.ANYONE:
        return None
    if user is None:
        return _to_sign_in(visit, back)
    missing = missing_factor(user)
    is_before_factors = visit.path in _BEFORE_FACTORS or visit.settings.demo_people
    if missing is not None and not is_before_factors:
        return visit.go(missing, "" if _is_get() or back else "factor-first")
    role = _ROLES.get(who)
    if role is not None and not user.person.reaches(role):
        abort(404)
    return None


def missing_factor(user: User) -> str | None:
    """Return the address where the user must set a factor first, None where none is missing."""
    if not user.has_password:
        return FIRST_PASSWORD
    return FIRST_TOTP if user.person.is_a(Role.OPERATOR) and not user.has_second_factor else None


def accept_form(visit: Visit, who: Who, form: MultiDict[str, str]) -> bool:
    """Keep the form in the visit; return False where its token is not of this session.

    403 for a form of another site, 413 for too many fields. Rooms for anyone need no token: nobody
    is signed in there yet.
    """
    if not is_form_from_here(visit):
        abort(403)
    if len(form) > _FORM_FIELDS_MAX:
        abort(413)
    visit.form = MultiDict(form.items(multi=True))
    if visit.user is None or who is Who.ANYONE:
        return True
    return visit.has_token(visit.form)


def is_form_from_here(visit: Visit) -> bool:
    """Return whether the form of the request was sent from a page of this site."""
    headers = request.headers
    return is_from_here(
        headers.get("Sec-Fetch-Site"),
        headers.get("Origin"),
        request.host,
        https=visit.settings.https,
    )


def _to_sign_in(visit: Visit, back: str) -> Response:
    if _is_get():
        wanted, notice = request.full_path.rstrip("?"), "ended-page" if visit.former else ""
    else:
        wanted = back
        is_offer, is_kept = back.startswith(OFFER_PAGE), f"?{TYPED}=" in back
        notice = "ended-offered" if is_offer else "ended-typed" if is_kept else "ended"
    return visit.go(f"/sign-in?next={quote(wanted, safe='')}" if wanted else "/sign-in", notice)


def _is_get() -> bool:
    return request.method == "GET"
