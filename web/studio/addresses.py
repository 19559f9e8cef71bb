"""A strategy's addresses for senders that cannot sign, and the messages to paste there."""

from typing import Final

from quart import Response

from engine.ports.secret import Secret
from engine.services.user import FormErrors
from web.routes import Route, Who, get, post
from web.visit import Visit


async def show_addresses(visit: Visit, identifier: str, source: str) -> Response:
    """Show a strategy's addresses for a source, and a new one while it may be seen."""
    return _addresses(visit, identifier, source)


async def make_address(visit: Visit, identifier: str, source: str) -> Response:
    """Make an address; whoever knows it can send signals."""
    try:
        url = await visit.services.studio.make_address(visit.who, identifier, source, visit.form)
    except FormErrors as error:
        return _addresses(visit, identifier, source, error.errors)
    return visit.show(f"/studio/strategies/{identifier}/addresses/{source}", url=Secret(url))


def _addresses(
    visit: Visit, identifier: str, name: str, errors: dict[str, str] | None = None
) -> Response:
    studio = visit.services.studio
    kept = visit.kept()
    row, source = studio.strategy(visit.who, identifier), studio.address_source(name)
    return visit.page(
        "studio/addresses.html",
        errors=errors,
        row=row,
        source=source,
        made=studio.addresses(row, source),
        url=kept["url"].reveal() if kept else "",
        ready=studio.ready_messages(row, source),
        is_public=studio.is_public(),
    )


ROUTES: Final[tuple[Route, ...]] = (
    get("/studio/strategies/<identifier>/addresses/<source>", Who.MASTER, show_addresses),
    post("/studio/strategies/<identifier>/addresses/<source>", Who.MASTER, make_address, once=True),
)
