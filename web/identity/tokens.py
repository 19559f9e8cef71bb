"""A person's API tokens: make one, see it once, see when each was used, revoke it."""

from typing import Final

from quart import Response

from engine.services.tokens import DAYS_MAX, NAME_MAX
from web.again import Again
from web.labels import TOKEN_SCOPES
from web.routes import Route, Who, form, get, post
from web.visit import Visit


async def show_tokens(visit: Visit) -> Response:
    """Show the user's tokens, and the form for another one."""
    return visit.page(
        "identity/tokens.html",
        tokens=visit.services.tokens.all(visit.who),
        scopes=TOKEN_SCOPES,
        days_max=DAYS_MAX,
        name_max=NAME_MAX,
    )


async def make_token(visit: Visit) -> Response:
    """Make a token; the page that follows shows it."""
    made = await visit.services.tokens.make(visit.who, visit.form)
    return visit.show("/security/tokens/new", made=made)


async def show_new_token(visit: Visit) -> Response:
    """Show a token that was just made."""
    kept = visit.kept()
    if not kept:
        return visit.go("/security/tokens", "gone")
    return visit.page(
        "identity/token.html",
        made=kept["made"],
        scopes=TOKEN_SCOPES,
        address=visit.services.tokens.address,
    )


async def revoke_token(visit: Visit, token: str) -> Response:
    """End a token."""
    await visit.services.tokens.revoke(visit.who, token)
    return visit.go("/security/tokens", "token-revoked")


ROUTES: Final[tuple[Route, ...]] = (
    get("/security/tokens", Who.SIGNED_IN, show_tokens),
    form(
        "/security/tokens",
        Who.SIGNED_IN,
        make_token,
        once=True,
        keeps=("name", "scope", "days"),
    ),
    get("/security/tokens/new", Who.SIGNED_IN, show_new_token),
    post(
        "/security/tokens/<token>/revoke",
        Who.SIGNED_IN,
        revoke_token,
        page="/security/tokens",
        again=Again(lambda fields: "Revoke that API token"),
    ),
)
