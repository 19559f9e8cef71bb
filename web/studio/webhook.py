"""A strategy's endpoints: the signed webhook with its secrets, and what ends an address."""

from collections.abc import Mapping
from typing import Final

from quart import Response

from engine.domain.errors import NothingThere
from web.again import Again
from web.routes import Route, Who, get, post
from web.studio.senders import python_sender, shell_sender
from web.visit import Visit

_PAGE: Final = "/studio/strategies/<identifier>"


async def show_secret(visit: Visit, identifier: str) -> Response:
    """Show a secret that was just made, with senders that have it filled in."""
    row = visit.services.studio.strategy(visit.who, identifier)
    kept = visit.kept()
    if not kept:
        return visit.go(f"/studio/strategies/{identifier}", "gone")
    url, secret, symbol = kept["made"].url, kept["made"].secret.reveal(), row.symbols[0]
    return visit.page(
        "studio/secret.html",
        identifier=row.id,
        name=row.name,
        url=url,
        secret=secret,
        is_new=kept["is_new"],
        python=python_sender(url, secret, symbol),
        shell=shell_sender(url, secret, symbol),
    )


async def make_webhook(visit: Visit, identifier: str) -> Response:
    """Make an endpoint for signed signals, and show its secret."""
    made = await visit.services.studio.make_webhook(visit.who, identifier)
    return visit.show(f"/studio/strategies/{identifier}/secret", made=made, is_new=False)


async def rotate_secret(visit: Visit, identifier: str) -> Response:
    """Make a new secret and show it; the old one stays valid for a day."""
    made = await visit.services.studio.rotate(visit.who, identifier)
    return visit.show(f"/studio/strategies/{identifier}/secret", made=made, is_new=False)


async def revoke_old_secret(visit: Visit, identifier: str) -> Response:
    """End the old secret now."""
    await visit.services.studio.revoke_old(visit.who, identifier)
    return visit.go(f"/studio/strategies/{identifier}", "revoked")


async def show_delete(visit: Visit, identifier: str, endpoint: str) -> Response:
    """Show what deleting the webhook means."""
    studio = visit.services.studio
    row = studio.strategy(visit.who, identifier)
    webhook = studio.webhook(row)
    if webhook is None or webhook[0].id != endpoint:
        raise NothingThere("there is no such endpoint of yours")
    return visit.page(
        "studio/delete.html",
        row=row,
        endpoint=webhook[0],
        url=webhook[1],
        open_shares=studio.open_shares(row),
    )


async def change_endpoint(visit: Visit, identifier: str, endpoint: str, act: str) -> Response:
    """Enable, disable or delete an endpoint."""
    studio = visit.services.studio
    if act == "delete":
        await studio.delete(visit.who, identifier, endpoint)
    elif act in ("enable", "disable"):
        await studio.set_enabled(visit.who, identifier, endpoint, act == "enable")
    else:
        raise NothingThere("there is no such act")
    return visit.go(f"/studio/strategies/{identifier}", "saved")


def _endpoint_again(fields: Mapping[str, str]) -> str:
    """Return the sentence that offers an act again; empty unless it lowers risk."""
    sentences = {"disable": "Disable this address", "delete": "Delete this address"}
    return sentences.get(fields["act"], "")


ROUTES: Final[tuple[Route, ...]] = (
    get("/studio/strategies/<identifier>/secret", Who.MASTER, show_secret),
    post(f"{_PAGE}/endpoint", Who.MASTER, make_webhook, page=_PAGE, once=True),
    post(f"{_PAGE}/rotate", Who.MASTER, rotate_secret, page=_PAGE, once=True),
    post(
        "/studio/strategies/<identifier>/revoke",
        Who.MASTER,
        revoke_old_secret,
        page=_PAGE,
        again=Again(lambda fields: "Revoke the old secret of this strategy"),
    ),
    get("/studio/strategies/<identifier>/endpoints/<endpoint>/delete", Who.MASTER, show_delete),
    post(
        "/studio/strategies/<identifier>/endpoints/<endpoint>/<act>",
        Who.MASTER,
        change_endpoint,
        page=_PAGE,
        again=Again(_endpoint_again),
    ),
)
