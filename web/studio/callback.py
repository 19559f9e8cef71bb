"""The address that is called when a signal of a strategy has settled."""

from typing import Final

from quart import Response

from web.routes import Route, Who, form, get
from web.visit import Visit


async def show_callback(visit: Visit, identifier: str) -> Response:
    """Show the address, and how its calls go."""
    callbacks = visit.services.callbacks
    row = callbacks.strategy(visit.who, identifier)
    return visit.page(
        "studio/callback.html", row=row, callback=callbacks.of(row), live=visit.newest
    )


async def set_callback(visit: Visit, identifier: str) -> Response:
    """Set the address, or end the calls."""
    await visit.services.callbacks.set(visit.who, identifier, visit.text("url"))
    return visit.go(f"/studio/strategies/{identifier}/callback", "saved")


ROUTES: Final[tuple[Route, ...]] = (
    get("/studio/strategies/<identifier>/callback", Who.MASTER, show_callback),
    form("/studio/strategies/<identifier>/callback", Who.MASTER, set_callback, keeps=("url",)),
)
