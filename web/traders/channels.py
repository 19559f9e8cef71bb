"""A person's own channels: connecting, confirming and testing them, and what is told on each."""

from collections.abc import Iterable, Mapping
from typing import Final

from quart import Response

from engine.services import Services
from engine.services.user import FormErrors
from web.labels import HOWS, TOLD
from web.routes import Route, Who, form, get, post
from web.visit import Visit

_PAGE: Final = "/channels"


async def show_channels(visit: Visit) -> Response:
    """Show every channel that this installation offers, as the person has it."""
    return visit.page(
        "traders/channels.html",
        channels=visit.services.telling.channels(visit.who),
        begun=visit.kept(),
        told=TOLD,
        hows=HOWS,
    )


async def begin(visit: Visit, name: str) -> Response:
    """Send a code to a channel, or show the one that is to be written in the chat."""
    begun = await visit.services.telling.begin(visit.who, name, _given(visit))
    return visit.show(_PAGE, name=name, code=begun.code, link=begun.address)


async def confirm(visit: Visit, name: str) -> Response:
    """Take the code that arrived on a channel."""
    await visit.services.telling.confirm(visit.who, name, visit.text("code"))
    return visit.go(_PAGE, "channel-connected")


async def want(visit: Visit, name: str) -> Response:
    """Change what is told on a channel, and how."""
    await visit.services.telling.want(visit.who, name, _given(visit))
    return visit.go(_PAGE, "changed")


async def test(visit: Visit, name: str) -> Response:
    """Send a test message now."""
    problem = await visit.services.telling.test(visit.who, name)
    if problem:
        raise FormErrors({"": f"The test did not arrive: {problem}"})
    return visit.go(_PAGE, "channel-tested")


async def drop(visit: Visit, name: str) -> Response:
    """Disconnect a channel."""
    await visit.services.telling.drop(visit.who, name)
    return visit.go(_PAGE, "channel-removed")


async def see(visit: Visit) -> Response:
    """Mark as read what the page showed."""
    upto = visit.text("upto")
    if upto.isdecimal() and len(upto) <= 18:
        await visit.services.telling.see(visit.who, int(upto))
    return visit.go("/notifications")


def _given(visit: Visit) -> dict[str, str]:
    proofs = ("csrf", "factor", "passkey")
    return {name: value for name, value in visit.form.items() if name not in proofs}


def _kept(services: Services, given: Mapping[str, str]) -> Iterable[str]:
    return services.telling.open_fields(given["name"])


ROUTES: Final[tuple[Route, ...]] = (
    get(_PAGE, Who.SIGNED_IN, show_channels),
    form(f"{_PAGE}/<name>/begin", Who.SIGNED_IN, begin, page=_PAGE, keeps=_kept),
    form(f"{_PAGE}/<name>/confirm", Who.SIGNED_IN, confirm, page=_PAGE, keeps=()),
    form(f"{_PAGE}/<name>/wants", Who.SIGNED_IN, want, page=_PAGE, keeps=tuple(TOLD)),
    form(f"{_PAGE}/<name>/test", Who.SIGNED_IN, test, page=_PAGE, keeps=()),
    post(f"{_PAGE}/<name>/drop", Who.SIGNED_IN, drop, page=_PAGE),
    post("/notifications/read", Who.SIGNED_IN, see, page="/notifications", keeps=("upto",)),
)
