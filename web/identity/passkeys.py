"""A person's passkeys, and what a browser is asked to sign with one."""

from typing import Final

from quart import Response, abort

from engine.services.passkeys import PasskeyService
from web.headers import NO_STORE
from web.routes import Route, Who, form, get, post
from web.visit import Visit

NEW: Final = "/security/passkeys/new"


async def begin(visit: Visit) -> Response:
    """Ask for a factor where none was shown lately, and go on to the page that makes a passkey."""
    visit.require_fresh()
    return visit.go(NEW)


async def show_new(visit: Visit) -> Response:
    """Show the form that makes a passkey."""
    return visit.page("identity/passkey.html")


async def add(visit: Visit) -> Response:
    """Store the passkey that an authenticator made."""
    visit.require_fresh()
    if not visit.text("credential"):
        return visit.go(NEW)
    await visit.services.passkeys.add(
        visit.who, visit.text("name"), visit.form.get("credential", "")
    )
    return visit.go(visit.offers[-1].page if visit.offers else "/security", "passkey")


async def remove(visit: Visit, passkey: str) -> Response:
    """Remove a passkey."""
    await visit.services.passkeys.remove(visit.who, passkey)
    return visit.go("/security", "passkey-off")


async def options_to_add(visit: Visit) -> Response:
    """Answer with what a new passkey is made with."""
    return _json(await _passkeys(visit).options_to_add(visit.who))


async def options_to_confirm(visit: Visit) -> Response:
    """Answer with what a passkey is to sign to confirm something."""
    return _json(await _passkeys(visit).options_to_confirm(visit.who))


async def options_to_sign_in(visit: Visit) -> Response:
    """Answer with what a passkey is to sign to sign somebody in."""
    return _json(await _passkeys(visit).options_to_sign_in(visit.query.get("form", "")))


async def sign_in(visit: Visit) -> Response:
    """Sign in with a passkey alone."""
    signed_in = await visit.services.identity.sign_in_with_passkey(
        visit.form.get("passkey", ""), visit.form.get("once", ""), visit.caller
    )
    return visit.enter(signed_in, visit.next())


def _passkeys(visit: Visit) -> PasskeyService:
    """Return the service of a place that can have passkeys; 404 where it can have none."""
    if not visit.services.passkeys.origin:
        abort(404)
    return visit.services.passkeys


def _json(text: str) -> Response:
    return Response(text, content_type="application/json", headers=dict([NO_STORE]))


ROUTES: Final[tuple[Route, ...]] = (
    post("/security/passkeys", Who.SIGNED_IN, begin, page="/security"),
    get(NEW, Who.SIGNED_IN, show_new),
    form(NEW, Who.SIGNED_IN, add, once=True, keeps=("name", "credential")),
    post("/security/passkeys/<passkey>/remove", Who.SIGNED_IN, remove, page="/security"),
    get("/security/passkeys/to-add", Who.SIGNED_IN, options_to_add),
    get("/security/passkeys/to-confirm", Who.SIGNED_IN, options_to_confirm),
    get("/sign-in/passkey/to-sign", Who.ANYONE, options_to_sign_in),
    form("/sign-in/passkey", Who.ANYONE, sign_in, page="/sign-in", keeps=("next",)),
)
