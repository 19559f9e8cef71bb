"""A person's own channels: connecting, confirming and testing them, and what is told on each."""

from typing import Final

from quart import Response

from engine.services.telling import Begun
from engine.services.user import FormErrors
from web.labels import HOWS, TOLD
from web.routes import Route, Who, get, post
from web.visit import Visit

_PAGE: Final = "/channels"
_NOT_KEPT: Final = "Nothing was connected. What is secret was not kept: enter it again."


async def show_channels(visit: Visit) -> Response:
    """Show every channel that this place offers, as the person has it."""
    return _page(visit)


async def begin(visit: Visit, name: str) -> Response:
    """Send a code to a channel, or show the one that is to be written in the chat."""
    try:
        begun: Begun = await visit.services.telling.begin(visit.who, name, _given(visit))
    except FormErrors as error:
        return _refused(visit, error.errors, name)
    return visit.show(_PAGE, name=name, code=begun.code, link=begun.address)


async def confirm(visit: Visit, name: str) -> Response:
    """Take the code that arrived on a channel."""
    try:
        await visit.services.telling.confirm(visit.who, name, visit.text("code"))
    except FormErrors as error:
        return _page(visit, name, error.errors)
    return visit.go(_PAGE, "channel-connected")


async def want(visit: Visit, name: str) -> Response:
    """Change what is told on a channel, and how."""
    try:
        await visit.services.telling.want(visit.who, name, _given(visit))
    except FormErrors as error:
        return _page(visit, name, error.errors)
    return visit.go(_PAGE, "changed")


async def test(visit: Visit, name: str) -> Response:
    """Send a test message now."""
    try:
        problem = await visit.services.telling.test(visit.who, name)
    except FormErrors as error:
        return _page(visit, name, error.errors)
    if problem:
        return _page(visit, name, {"": f"The test did not arrive: {problem}"})
    return visit.go(_PAGE, "channel-tested")


async def drop(visit: Visit, name: str) -> Response:
    """Disconnect a channel."""
    await visit.services.telling.drop(visit.who, name)
    return visit.go(_PAGE, "channel-removed")


async def see(visit: Visit) -> Response:
    """Mark every alert as read."""
    await visit.services.telling.see(visit.who)
    return visit.go("/notifications")


def _given(visit: Visit) -> dict[str, str]:
    proofs = ("csrf", "factor", "passkey")
    return {name: value for name, value in visit.form.items() if name not in proofs}


def _refused(visit: Visit, errors: dict[str, str], name: str) -> Response:
    """Answer with the page and the errors of one channel; what is secret is not filled in again."""
    return _page(visit, name, {"": _NOT_KEPT, **errors})


def _page(visit: Visit, name: str = "", errors: dict[str, str] | None = None) -> Response:
    """Answer with the page; ``name`` is the channel that the errors are about."""
    kept = visit.kept()
    return visit.page(
        "traders/channels.html",
        errors=errors,
        wrong=name,
        channels=visit.services.telling.channels(visit.who),
        begun=kept,
        told=TOLD,
        hows=HOWS,
    )


ROUTES: Final[tuple[Route, ...]] = (
    get(_PAGE, Who.SIGNED_IN, show_channels),
    post(f"{_PAGE}/<name>/begin", Who.SIGNED_IN, begin, unproven=_refused),
    post(f"{_PAGE}/<name>/confirm", Who.SIGNED_IN, confirm),
    post(f"{_PAGE}/<name>/wants", Who.SIGNED_IN, want),
    post(f"{_PAGE}/<name>/test", Who.SIGNED_IN, test),
    post(f"{_PAGE}/<name>/drop", Who.SIGNED_IN, drop),
    post("/notifications/read", Who.SIGNED_IN, see),
)
