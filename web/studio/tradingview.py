"""A strategy's addresses for TradingView alerts, and the messages that the alerts send."""

from typing import Final

from quart import Response

from engine.ports.secret import Secret
from engine.services.user import FormErrors
from web.routes import Route, Who, get, post
from web.visit import Visit


async def show_alerts(visit: Visit, identifier: str) -> Response:
    """Show the addresses of a strategy, and a new one while it may be seen."""
    return _alerts(visit, identifier)


async def make_address(visit: Visit, identifier: str) -> Response:
    """Make an address; whoever knows it can send signals."""
    try:
        url = await visit.services.studio.make_alert_address(visit.who, identifier, visit.form)
    except FormErrors as error:
        return _alerts(visit, identifier, error.errors)
    return visit.show(f"/studio/strategies/{identifier}/tradingview", url=Secret(url))


def _alerts(visit: Visit, identifier: str, errors: dict[str, str] | None = None) -> Response:
    studio = visit.services.studio
    kept = visit.kept()
    row = studio.strategy(visit.who, identifier)
    return visit.page(
        "studio/tradingview.html",
        errors=errors,
        row=row,
        made=[endpoint for endpoint in studio.endpoints(row) if endpoint.has_token],
        url=kept["url"].reveal() if kept else "",
        enabled=studio.alerts_enabled(),
        message=studio.alert_message,
        ready=studio.ready_messages(row),
    )


ROUTES: Final[tuple[Route, ...]] = (
    get("/studio/strategies/<identifier>/tradingview", Who.MASTER, show_alerts),
    post("/studio/strategies/<identifier>/tradingview", Who.MASTER, make_address, once=True),
)
