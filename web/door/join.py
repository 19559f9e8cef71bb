"""Joining: a name here, and the first exchange account, which proves who joins."""

from typing import Any, Final

from quart import Response

from engine.services.accounts import ExchangeChoice, exchange_choices
from engine.services.identity import NotSignedIn
from engine.services.user import FormErrors
from web.door.exchange_login import exchange_choice, new_login
from web.rooms import Room, Who, get, post
from web.visit import Visit
from web.words import wait_words


async def show_join(visit: Visit) -> Response:
    """Show the form, or why nobody may join by this link."""
    return visit.page("door/join.html", **_values(visit, visit.query.get("invite", "")))


async def join(visit: Visit) -> Response:
    """Make a person with an account, sign them in, and ask for a password."""
    identity = visit.services.identity
    token = visit.text("invite")
    values = _values(visit, token)
    chosen = values["chosen"]
    assert isinstance(chosen, ExchangeChoice)
    try:
        signed_in = await identity.join(
            token, visit.text("name"), chosen.name, new_login(visit, chosen), visit.caller
        )
    except FormErrors as error:
        return visit.page("door/join.html", errors=error.errors, **values)
    except NotSignedIn as error:
        return visit.page("door/join.html", errors={"": wait_words(error)}, **values)
    strategy = identity.invited_to(signed_in.person)
    query = f"?next=/strategies/{strategy}" if strategy else ""
    return visit.enter(signed_in, f"/security/password{query}")


def _values(visit: Visit, token: str) -> dict[str, Any]:
    identity = visit.services.identity
    is_invited = identity.sign_up == "invite" and identity.invitation(token) is not None
    return {
        "invite": token,
        "may_join": identity.sign_up == "open" or is_invited,
        "sign_up": identity.sign_up,
        **exchange_choice(visit, exchange_choices(visit.services.context)),
    }


ROOMS: Final[tuple[Room, ...]] = (
    get("/join", Who.ANYONE, show_join),
    post("/join", Who.ANYONE, join, once=True),
)
