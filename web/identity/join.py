"""Joining: a name here, and the first exchange account, which proves who joins."""

from typing import Final

from quart import Response

from engine.services.accounts import exchange_choices
from engine.services.identity import NotSignedIn
from engine.services.user import FormErrors
from web.identity.exchange_login import chosen_exchange, new_login
from web.routes import Route, Who, get, post
from web.visit import Visit
from web.words import wait_words


async def show_join(visit: Visit) -> Response:
    """Show the form, or why nobody may join by this link."""
    return _join(visit, visit.query.get("invite", ""))


async def join(visit: Visit) -> Response:
    """Make a person with an account, sign them in, and ask for a password."""
    identity = visit.services.identity
    token = visit.text("invite")
    chosen = chosen_exchange(visit, exchange_choices(visit.services.context))
    assert chosen is not None, "an exchange is always enabled"
    try:
        signed_in = await identity.join(
            token, visit.text("name"), chosen.name, new_login(visit, chosen), visit.caller
        )
    except FormErrors as error:
        return _join(visit, token, error.errors)
    except NotSignedIn as error:
        return _join(visit, token, {"": wait_words(error)})
    strategy = await identity.invited_to(signed_in.person)
    query = f"?next=/strategies/{strategy}" if strategy else ""
    return visit.enter(signed_in, f"/security/password{query}")


def _join(visit: Visit, token: str, errors: dict[str, str] | None = None) -> Response:
    identity = visit.services.identity
    is_invited = identity.sign_up == "invite" and identity.invitation(token) is not None
    choices = exchange_choices(visit.services.context)
    return visit.page(
        "identity/join.html",
        errors=errors,
        invite=token,
        may_join=identity.sign_up == "open" or is_invited,
        sign_up=identity.sign_up,
        choices=choices,
        chosen=chosen_exchange(visit, choices),
    )


ROUTES: Final[tuple[Route, ...]] = (
    get("/join", Who.ANYONE, show_join),
    post("/join", Who.ANYONE, join, once=True),
)
