"""Signing in by password, exchange login, recovery code or one-time link, and signing out."""

from typing import Final
from urllib.parse import quote

from quart import Response, abort

from engine.ports.secret import Secret
from engine.services.identity import NotSignedIn
from engine.services.user import FormErrors
from web.identity.exchange_login import chosen_exchange, typed_login
from web.requests import asks_locally
from web.routes import Route, Who, get, post
from web.visit import Visit
from web.words import wait_words


async def show_front(visit: Visit) -> Response:
    """Show the front page; redirect a user who is signed in to their home."""
    if visit.user is not None:
        return visit.go(visit.home())
    sign_up = visit.services.identity.sign_up
    return visit.page("identity/front.html", sign_up=sign_up, demo=_demo_people(visit))


async def show_password(visit: Visit) -> Response:
    """Show the form for name and password."""
    return sign_in_form(visit, "password")


async def sign_in_with_password(visit: Visit) -> Response:
    """Sign in by name and password."""
    try:
        signed_in = await visit.services.identity.sign_in(
            visit.text("name"),
            Secret(visit.form.get("password", "")),
            visit.text("code"),
            visit.caller,
            passkey=visit.form.get("passkey", ""),
            form=visit.form.get("once", ""),
        )
    except NotSignedIn as error:
        return sign_in_form(visit, "password", error)
    return visit.enter(signed_in, visit.next())


async def show_recovery(visit: Visit) -> Response:
    """Show the form for a recovery code."""
    return sign_in_form(visit, "recovery")


async def sign_in_with_recovery(visit: Visit) -> Response:
    """Sign in by name and recovery code, and ask for a new password."""
    try:
        signed_in = await visit.services.identity.sign_in_with_recovery(
            visit.text("name"), visit.text("code"), visit.caller
        )
    except NotSignedIn as error:
        return sign_in_form(visit, "recovery", error)
    wanted = visit.text("next")
    query = f"?next={quote(wanted, safe='')}" if wanted else ""
    return visit.enter(signed_in, f"/security/password{query}")


async def show_exchange(visit: Visit) -> Response:
    """Show the form for the login of an exchange."""
    return _exchange(visit)


async def sign_in_with_exchange(visit: Visit) -> Response:
    """Sign in by the login of a connected exchange account."""
    identity = visit.services.identity
    chosen = chosen_exchange(visit, identity.exchange_doors())
    try:
        login = {} if chosen is None else typed_login(visit, chosen)
        signed_in = await identity.sign_in_with_exchange(
            visit.text("exchange"),
            login,
            visit.text("code"),
            visit.caller,
            passkey=visit.form.get("passkey", ""),
            form=visit.form.get("once", ""),
        )
    except NotSignedIn as error:
        return _exchange(visit, {"": wait_words(error)})
    except FormErrors as error:
        return _exchange(visit, error.errors)
    return visit.enter(signed_in, visit.next())


async def show_link(visit: Visit, token: str) -> Response:
    """Show the button that uses a one-time link: opening the link alone signs nobody in."""
    return visit.page("identity/welcome.html", token=token)


async def use_link(visit: Visit, token: str) -> Response:
    """Sign in by a one-time link."""
    try:
        signed_in = await visit.services.identity.use_link(token, visit.caller)
    except NotSignedIn as error:
        used = "This link was used or has expired: ask for another."
        text = wait_words(error) if error.wait_s else used
        return visit.page("identity/welcome.html", errors={"": text}, token=token)
    return visit.enter(signed_in, "/security")


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await visit.services.identity.sign_out(visit.who)
    return visit.leave()


async def enter_demo(visit: Visit, name: str) -> Response:
    """Sign in as one of the people of the demo."""
    if name not in dict(_demo_people(visit)):
        abort(404)
    return visit.enter(await visit.services.identity.enter_demo(name, visit.caller), "/")


def sign_in_form(visit: Visit, way: str, error: NotSignedIn | None = None) -> Response:
    """Show the form of a way to sign in, with what was wrong."""
    errors = None if error is None else {"": wait_words(error)}
    return visit.page("identity/sign_in.html", errors=errors, way=way)


def _exchange(visit: Visit, errors: dict[str, str] | None = None) -> Response:
    choices = visit.services.identity.exchange_doors()
    chosen = chosen_exchange(visit, choices)
    return visit.page(
        "identity/sign_in.html", errors=errors, way="exchange", choices=choices, chosen=chosen
    )


def _demo_people(visit: Visit) -> tuple[tuple[str, str], ...]:
    """Return the people of the demo; only ``rexalgo demo`` names any, only on this machine."""
    return visit.settings.demo_people if asks_locally(visit.settings) else ()


ROUTES: Final[tuple[Route, ...]] = (
    get("/", Who.ANYONE, show_front),
    get("/sign-in", Who.ANYONE, show_password),
    post("/sign-in", Who.ANYONE, sign_in_with_password, once=True),
    get("/sign-in/recovery", Who.ANYONE, show_recovery),
    post("/sign-in/recovery", Who.ANYONE, sign_in_with_recovery, once=True),
    get("/sign-in/exchange", Who.ANYONE, show_exchange),
    post("/sign-in/exchange", Who.ANYONE, sign_in_with_exchange, once=True),
    get("/welcome/<token>", Who.ANYONE, show_link),
    post("/welcome/<token>", Who.ANYONE, use_link, once=True),
    post("/sign-out", Who.SIGNED_IN, sign_out),
    post("/demo/<name>", Who.ANYONE, enter_demo, once=True),
)
