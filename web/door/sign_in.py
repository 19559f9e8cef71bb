"""Signing in by password, exchange login, recovery code or one-time link, and signing out."""

from typing import Any, Final
from urllib.parse import quote

from quart import Response, abort

from engine.ports.secret import Secret
from engine.services.identity import NotSignedIn
from engine.services.user import FormErrors
from web.door.exchange_login import exchange_choice, typed_login
from web.requests import asks_locally
from web.rooms import Room, Who, get, post
from web.visit import Visit
from web.words import wait_words


async def show_front(visit: Visit) -> Response:
    """Show the front page; redirect a user who is signed in to their home."""
    if visit.user is not None:
        return visit.go(visit.home())
    sign_up = visit.services.identity.sign_up
    return visit.page("door/front.html", sign_up=sign_up, demo=_demo_people(visit))


async def show_password(visit: Visit) -> Response:
    """Show the form for name and password."""
    return visit.page("door/sign_in.html", way="password")


async def sign_in_with_password(visit: Visit) -> Response:
    """Sign in by name and password."""
    try:
        signed_in = await visit.services.identity.sign_in(
            visit.text("name"),
            Secret(visit.form.get("password", "")),
            visit.text("code"),
            visit.caller,
        )
    except NotSignedIn as error:
        return _refused(visit, "password", {"": wait_words(error)})
    return visit.enter(signed_in, visit.next())


async def show_recovery(visit: Visit) -> Response:
    """Show the form for a recovery code."""
    return visit.page("door/sign_in.html", way="recovery")


async def sign_in_with_recovery(visit: Visit) -> Response:
    """Sign in by name and recovery code, and ask for a new password."""
    try:
        signed_in = await visit.services.identity.sign_in_with_recovery(
            visit.text("name"), visit.text("code"), visit.caller
        )
    except NotSignedIn as error:
        return _refused(visit, "recovery", {"": wait_words(error)})
    wanted = visit.text("next")
    query = f"?next={quote(wanted, safe='')}" if wanted else ""
    return visit.enter(signed_in, f"/security/password{query}")


async def show_exchange(visit: Visit) -> Response:
    """Show the form for the login of an exchange."""
    choice = exchange_choice(visit, visit.services.identity.exchange_doors())
    return visit.page("door/sign_in.html", way="exchange", **choice)


async def sign_in_with_exchange(visit: Visit) -> Response:
    """Sign in by the login of a connected exchange account."""
    identity = visit.services.identity
    choice = exchange_choice(visit, identity.exchange_doors())
    chosen = choice["chosen"]
    try:
        login = {} if chosen is None else typed_login(visit, chosen)
        signed_in = await identity.sign_in_with_exchange(
            visit.text("exchange"), login, visit.text("code"), visit.caller
        )
    except NotSignedIn as error:
        return _refused(visit, "exchange", {"": wait_words(error)}, **choice)
    except FormErrors as error:
        return _refused(visit, "exchange", error.errors, **choice)
    return visit.enter(signed_in, visit.next())


async def show_link(visit: Visit, token: str) -> Response:
    """Show the button that uses a one-time link: opening the link alone signs nobody in."""
    return visit.page("door/welcome.html", token=token)


async def use_link(visit: Visit, token: str) -> Response:
    """Sign in by a one-time link."""
    try:
        signed_in = await visit.services.identity.use_link(token, visit.caller)
    except NotSignedIn as error:
        used = "This link was used or has expired: ask for another."
        text = wait_words(error) if error.wait_s else used
        return visit.page("door/welcome.html", errors={"": text}, token=token)
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


def _refused(visit: Visit, way: str, errors: dict[str, str], **values: Any) -> Response:
    return visit.page("door/sign_in.html", errors=errors, way=way, **values)


def _demo_people(visit: Visit) -> tuple[tuple[str, str], ...]:
    """Return the people of the demo; only ``rexalgo demo`` names any, only on this machine."""
    return visit.settings.demo_people if asks_locally(visit.settings) else ()


ROOMS: Final[tuple[Room, ...]] = (
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
