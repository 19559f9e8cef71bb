"""A strategy's addresses for senders that cannot sign, and the messages to paste there."""

from collections.abc import Iterable, Mapping
from typing import Final

from quart import Response

from engine.ports.secret import Secret
from engine.services import Services
from web.routes import Route, Who, form, get
from web.visit import Visit


async def show_addresses(visit: Visit, identifier: str, source: str) -> Response:
    """Show a strategy's addresses for a source, and a new one while it may be seen."""
    studio = visit.services.studio
    kept = visit.kept()
    row, chosen = studio.strategy(visit.who, identifier), studio.address_source(source)
    return visit.page(
        "studio/addresses.html",
        row=row,
        source=chosen,
        made=studio.addresses(row, chosen),
        url=kept["url"].reveal() if kept else "",
        ready=studio.ready_messages(row, chosen),
        is_public=studio.is_public(),
    )


async def make_address(visit: Visit, identifier: str, source: str) -> Response:
    """Make an address; whoever knows it can send signals."""
    url = await visit.services.studio.make_address(visit.who, identifier, source, visit.form)
    return visit.show(f"/studio/strategies/{identifier}/addresses/{source}", url=Secret(url))


def _kept(services: Services, given: Mapping[str, str]) -> Iterable[str]:
    settings = [
        f"setting_{each.name}"
        for source in services.studio.address_sources()
        if source.name == given["source"]
        for each in source.endpoint_settings
    ]
    return ("only", "symbols", "pace", "days", *settings)


ROUTES: Final[tuple[Route, ...]] = (
    get("/studio/strategies/<identifier>/addresses/<source>", Who.MASTER, show_addresses),
    form(
        "/studio/strategies/<identifier>/addresses/<source>",
        Who.MASTER,
        make_address,
        once=True,
        keeps=_kept,
    ),
)
