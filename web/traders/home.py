"""Home: each account's state and money, the last signals, and how to pause and flatten."""

from typing import Final

from quart import Response

from web.again import Again
from web.routes import Route, Who, get, post
from web.visit import Visit

_LAST_SIGNALS: Final = 10


async def show_home(visit: Visit) -> Response:
    """Show the user's accounts and the last signals."""
    following = visit.services.following
    return visit.page(
        "traders/home.html",
        cards=await following.cards(visit.who),
        copies=following.copies(visit.who, limit=_LAST_SIGNALS),
        live=visit.newest(),
    )


async def pause(visit: Visit, name: str) -> Response:
    """Stop entries on an account; exits go on."""
    await visit.services.following.pause(visit.who, name)
    return visit.go("/home", "paused")


async def resume(visit: Visit, name: str) -> Response:
    """Allow entries on an account again."""
    await visit.services.following.resume(visit.who, name)
    return visit.go("/home", "resumed")


async def show_flatten(visit: Visit, name: str) -> Response:
    """Show what a flatten closes, or how far it is."""
    following = visit.services.following
    row = following.account(visit.who, name)
    cards = await following.cards(visit.who)
    return visit.page(
        "traders/flatten.html",
        row=row,
        open=following.still_open(visit.who, name),
        live=visit.newest(),
        is_on=any(card.row.id == row.id and card.level == "flatten" for card in cards),
    )


async def flatten(visit: Visit, name: str) -> Response:
    """Close what the engine opened on an account."""
    following = visit.services.following
    await following.flatten(visit.who, name)
    notice = "flattening" if following.still_open(visit.who, name) else "flat"
    return visit.go(f"/accounts/{name}/flatten", notice)


ROUTES: Final[tuple[Route, ...]] = (
    get("/home", Who.FOLLOWER, show_home),
    post(
        "/accounts/<name>/pause",
        Who.FOLLOWER,
        pause,
        again=Again(lambda fields: f"Pause {fields['name']}: no new trades"),
    ),
    post("/accounts/<name>/resume", Who.FOLLOWER, resume),
    get("/accounts/<name>/flatten", Who.FOLLOWER, show_flatten),
    post(
        "/accounts/<name>/flatten",
        Who.FOLLOWER,
        flatten,
        again=Again(lambda fields: f"Flatten {fields['name']}: close what the engine opened"),
    ),
)
