"""The master studio: a master's strategies, and new ones."""

from typing import Final

from quart import Response

from engine.domain.person import Role
from web.routes import Route, Who, form, get
from web.studio.strategy import STATES
from web.visit import Visit


async def show_studio(visit: Visit) -> Response:
    """Show a master's strategies; to others, how to become a master."""
    services = visit.services
    is_master = visit.who.person.is_a(Role.MASTER)
    return visit.page(
        "studio/studio.html",
        rows=services.studio.strategies(visit.who) if is_master else (),
        is_master=is_master,
        asked=services.identity.master_request(visit.who),
        states=STATES,
        live=visit.newest,
        refused=services.refused.all(visit.who) if is_master else (),
    )


async def show_new(visit: Visit) -> Response:
    """Show the form for a new strategy."""
    look_first = visit.unconfirmed
    return visit.page(
        "studio/new.html",
        warnings=() if look_first is None else look_first.warnings,
        confirmed="" if look_first is None else look_first.confirmed,
    )


async def make_strategy(visit: Visit) -> Response:
    """Make a draft with a webhook, and show its secret."""
    identifier, made = await visit.services.studio.create(visit.who, visit.form)
    return visit.show(f"/studio/strategies/{identifier}/secret", made=made, is_new=True)


_DESCRIBED: Final = ("name", "about", "symbols", "leverage", "confirmed")

ROUTES: Final[tuple[Route, ...]] = (
    get("/studio", Who.SIGNED_IN, show_studio),
    get("/studio/copy-trading/new", Who.MASTER, show_new),
    form("/studio/copy-trading/new", Who.MASTER, make_strategy, once=True, keeps=_DESCRIBED),
)
