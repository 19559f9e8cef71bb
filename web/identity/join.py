"""Joining: a name here, and the first exchange account, which proves who joins."""

from collections.abc import Iterable, Mapping
from typing import Final

from quart import Response

from engine.services import Services
from engine.services.accounts import exchange_choices
from engine.services.user import FormErrors
from web.identity.exchange_login import chosen_exchange, kept_login, new_login
from web.routes import Route, Who, form, get
from web.visit import Visit


async def show_join(visit: Visit) -> Response:
    """Show the form, or why nobody may join by this link."""
    identity = visit.services.identity
    token = visit.form.get("invite", visit.query.get("invite", ""))
    is_invited = identity.sign_up == "invite" and identity.invitation(token) is not None
    choices = exchange_choices(visit.services.context)
    return visit.page(
        "identity/join.html",
        invite=token,
        may_join=identity.sign_up == "open" or is_invited,
        sign_up=identity.sign_up,
        choices=choices,
        chosen=chosen_exchange(visit, choices),
    )


async def join(visit: Visit) -> Response:
    """Make a person with an account, sign them in, and ask for a password."""
    identity = visit.services.identity
    token = visit.text("invite")
    chosen = chosen_exchange(visit, exchange_choices(visit.services.context))
    assert chosen is not None, "an exchange is always enabled"
    name = visit.text("name")
    try:
        login = new_login(visit, chosen)
    except FormErrors as error:
        wrong = await identity.wrong_to_join(token, name, visit.caller)
        raise FormErrors({**error.errors, **wrong}) from None
    signed_in = await identity.join(token, name, chosen.name, login, visit.caller)
    strategy = await identity.invited_to(signed_in.person)
    query = f"?next=/strategies/{strategy}" if strategy else ""
    return visit.enter(signed_in, f"/security/password{query}")


def _kept(services: Services, given: Mapping[str, str]) -> Iterable[str]:
    return ("name", "invite", *kept_login(exchange_choices(services.context), given))


ROUTES: Final[tuple[Route, ...]] = (
    get("/join", Who.ANYONE, show_join),
    form("/join", Who.ANYONE, join, once=True, keeps=_kept),
)
