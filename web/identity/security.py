"""A person's password, second factor, recovery codes, sessions and time zone."""

from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from quart import Response

from engine.services.user import FormErrors
from web.again import Again
from web.routes import Route, Who, form, get, post
from web.visit import Visit


async def show_security(visit: Visit) -> Response:
    """Show factors, sessions and zone."""
    identity = visit.services.identity
    return visit.page(
        "identity/security.html",
        sessions=identity.sessions(visit.who),
        passkeys=visit.services.passkeys.passkeys(visit.who),
        passkey_host=urlsplit(visit.services.passkeys.origin).hostname or "",
        codes_left=identity.recovery_codes_left(visit.who),
        request_to_publish=identity.master_request(visit.who),
    )


async def show_password(visit: Visit) -> Response:
    """Show the form for a new password."""
    return visit.page("identity/password.html")


async def set_password(visit: Visit) -> Response:
    """Set the password; the first one comes with recovery codes, which are shown next."""
    codes = await visit.services.identity.set_password(
        visit.who, visit.form.get("password", ""), visit.form.get("again", "")
    )
    if codes:
        if visit.text("zone"):
            with suppress(FormErrors):  # a browser may name a zone that is not known here
                await visit.services.identity.set_zone(visit.who, visit.text("zone"))
        return visit.show("/security/password/codes", codes=codes, onward=visit.next())
    return visit.go(visit.next() if visit.text("next") or visit.offers else "/security", "password")


async def show_totp(visit: Visit) -> Response:
    """Show a new secret for an authenticator app; after a wrong code the same one again."""
    offer = visit.services.identity.offer_totp(visit.who, visit.text("secret"))
    return visit.page("identity/second_factor.html", svg=offer.svg, secret=offer.secret.reveal())


async def set_totp(visit: Visit) -> Response:
    """Set the second factor, proven by a code of it."""
    await visit.services.identity.set_totp(visit.who, visit.text("secret"), visit.text("code"))
    return visit.go(visit.offers[-1].page if visit.offers else "/security", "totp")


async def remove_totp(visit: Visit) -> Response:
    """Remove the second factor."""
    await visit.services.identity.remove_totp(visit.who)
    return visit.go("/security", "totp-off")


async def renew_codes(visit: Visit) -> Response:
    """Make new recovery codes; the old ones end."""
    codes = await visit.services.identity.renew_recovery_codes(visit.who)
    return visit.show("/security/password/codes", codes=codes, onward="/security")


async def show_codes(visit: Visit) -> Response:
    """Show recovery codes that were just made."""
    kept = visit.kept()
    return visit.page("identity/codes.html", **kept) if kept else visit.go("/security", "gone")


async def end_session(visit: Visit, session: str) -> Response:
    """Sign out one other session, or all others."""
    await visit.services.identity.revoke(visit.who, session)
    return visit.go("/security", "session")


async def set_zone(visit: Visit) -> Response:
    """Set the zone in which times are shown."""
    await visit.services.identity.set_zone(visit.who, visit.text("zone"))
    return visit.go("/security", "zone")


async def ask_to_be_master(visit: Visit) -> Response:
    """Ask the operator for the role of a master."""
    await visit.services.identity.ask_to_be_master(visit.who, visit.text("note"))
    return visit.go("/security", "asked")


ROUTES: Final[tuple[Route, ...]] = (
    get("/security", Who.SIGNED_IN, show_security),
    get("/security/password", Who.SIGNED_IN, show_password),
    form(
        "/security/password",
        Who.SIGNED_IN,
        set_password,
        once=True,
        keeps=("name", "next", "zone"),
    ),
    get("/security/password/codes", Who.SIGNED_IN, show_codes),
    get("/security/second-factor", Who.SIGNED_IN, show_totp),
    form(
        "/security/second-factor",
        Who.SIGNED_IN,
        set_totp,
        once=True,
        keeps=(),
        redraws=("secret",),
    ),
    post("/security/second-factor/remove", Who.SIGNED_IN, remove_totp, page="/security"),
    post("/security/codes", Who.SIGNED_IN, renew_codes, page="/security", once=True),
    post(
        "/security/sessions/<session>",
        Who.SIGNED_IN,
        end_session,
        page="/security",
        again=Again(lambda fields: "Sign that session out"),
    ),
    form("/security/zone", Who.SIGNED_IN, set_zone, page="/security", keeps=("zone",)),
    form(
        "/security/become-master",
        Who.SIGNED_IN,
        ask_to_be_master,
        page="/security",
        keeps=("note",),
    ),
)
