"""The address that is called when a signal of a strategy has settled."""

from typing import Final

from quart import Response

from engine.services.user import FormErrors
from web.routes import Route, Who, get, post
from web.visit import Visit


async def show_callback(visit: Visit, identifier: str) -> Response:
    """Show the address, and how its calls go."""
    return _callback(visit, identifier)


async def set_callback(visit: Visit, identifier: str) -> Response:
    """Set the address, or end the calls."""
    try:
        await visit.services.callbacks.set(visit.who, identifier, visit.text("url"))
    except FormErrors as error:
        return _callback(visit, identifier, error.errors)
    return visit.go(f"/studio/strategies/{identifier}/callback", "saved")


def _callback(visit: Visit, identifier: str, errors: dict[str, str] | None = None) -> Response:
    callbacks = visit.services.callbacks
    row = callbacks.strategy(visit.who, identifier)
    return visit.page(
        "studio/callback.html",
        errors=errors,
        row=row,
        callback=callbacks.of(row),
        live=visit.newest(),
    )


ROUTES: Final[tuple[Route, ...]] = (
    get("/studio/strategies/<identifier>/callback", Who.MASTER, show_callback),
    post("/studio/strategies/<identifier>/callback", Who.MASTER, set_callback),
)
