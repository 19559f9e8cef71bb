"""Signing in by password, exchange login, recovery code or one-time link, and signing out."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from quart import Response, abort

from engine.ports.secret import Secret
from engine.services import Services
from engine.services.accounts import exchange_choices
from engine.services.identity import NotSignedIn
from engine.services.user import FormErrors
from web.identity.exchange_login import chosen_exchange, kept_login, typed_login
from web.requests import asks_locally
from web.routes import Route, Who, form, get, post
from web.visit import Visit


async def show_front(visit: Visit) -> Response:
    """Show the front page; redirect a user who is signed in to their home."""
    if visit.user is not None:
        return visit.go(visit.home())
    sign_up = visit.services.identity.sign_up
    return visit.page("identity/front.html", sign_up=sign_up, demo=_demo_people(visit))


async def show_password(visit: Visit) -> Response:
    """Show the form for name and password."""
    return _form(visit, "password")


async def sign_in_with_password(visit: Visit) -> Response:
    """Sign in by name and password."""
    signed_in = await visit.services.identity.sign_in(
        visit.text("name"),
        Secret(visit.form.get("password", "")),
        visit.text("code"),
        visit.caller,
        passkey=visit.form.get("passkey", ""),
        form=visit.form.get("once", ""),
    )
    return visit.enter(signed_in, visit.next())


async def show_recovery(visit: Visit) -> Response:
    """Show the form for a recovery code."""
    return _form(visit, "recovery")


async def sign_in_with_recovery(visit: Visit) -> Response:
    """Sign in by name and recovery code, and ask for a new password."""
    signed_in = await visit.services.identity.sign_in_with_recovery(
        visit.text("name"), visit.text("code"), visit.caller
    )
    wanted = visit.text("next")
    query = f"?next={quote(wanted, safe='')}" if wanted else ""
    return visit.enter(signed_in, f"/security/password{query}")


async def show_exchange(visit: Visit) -> Response:
    """Show the form for the login of an exchange."""
    choices = visit.services.identity.exchange_doors()
    chosen = chosen_exchange(visit, choices)
    return _form(visit, "exchange", choices=choices, chosen=chosen)


async def sign_in_with_exchange(visit: Visit) -> Response:
    """Sign in by the login of a connected exchange account."""
    identity = visit.services.identity
    chosen = chosen_exchange(visit, identity.exchange_doors())
    signed_in = await identity.sign_in_with_exchange(
        visit.text("exchange"),
        {} if chosen is None else typed_login(visit, chosen),
        visit.text("code"),
        visit.caller,
        passkey=visit.form.get("passkey", ""),
        form=visit.form.get("once", ""),
    )
    return visit.enter(signed_in, visit.next())


async def show_link(visit: Visit, token: str) -> Response:
    """Show the button that uses a one-time link: opening the link alone signs nobody in."""
    return visit.page("identity/welcome.html", token=token)


async def use_link(visit: Visit, token: str) -> Response:
    """Sign in by a one-time link."""
    try:
        signed_in = await visit.services.identity.use_link(token, visit.caller)
    except NotSignedIn as error:
        if error.wait_s:
            raise
        used = "This link was used or has expired: ask for another."
        raise FormErrors({"": used}) from None
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


def _form(visit: Visit, way: str, **values: Any) -> Response:
    """Show the form of a way to sign in."""
    return visit.page("identity/sign_in.html", way=way, **values)


def _kept_of_exchange(services: Services, given: Mapping[str, str]) -> Iterable[str]:
    return ("next", *kept_login(exchange_choices(services.context), given))


def _demo_people(visit: Visit) -> tuple[tuple[str, str], ...]:
    """Return the people of the demo; only ``rexalgo demo`` names any, only on this machine."""
    return visit.settings.demo_people if asks_locally(visit.settings) else ()


ROUTES: Final[tuple[Route, ...]] = (
    get("/", Who.ANYONE, show_front),
    get("/sign-in", Who.ANYONE, show_password),
    form("/sign-in", Who.ANYONE, sign_in_with_password, once=True, keeps=("name", "next")),
    get("/sign-in/recovery", Who.ANYONE, show_recovery),
    form("/sign-in/recovery", Who.ANYONE, sign_in_with_recovery, once=True, keeps=("name", "next")),
    get("/sign-in/exchange", Who.ANYONE, show_exchange),
    form(
        "/sign-in/exchange", Who.ANYONE, sign_in_with_exchange, once=True, keeps=_kept_of_exchange
    ),
    get("/welcome/<token>", Who.ANYONE, show_link),
    form("/welcome/<token>", Who.ANYONE, use_link, once=True, keeps=()),
    post("/sign-out", Who.SIGNED_IN, sign_out, page="/"),
    post("/demo/<name>", Who.ANYONE, enter_demo, page="/", once=True),
)
