"""Home: one state, the money, the last signals, and the two switches that anybody may pull."""

from quart import Response

from web.again import Again
from web.rooms import Rooms, Who
from web.visit import Visit

LAST = 10


def register_home(rooms: Rooms) -> None:
    """Add the home page and its acts."""
    desk = rooms.desks.following

    @rooms.get("/home", Who.FOLLOWER)
    async def home(visit: Visit) -> Response:
        cards = desk.cards(visit.who)
        return visit.page(
            "traders/home.html",
            cards=cards,
            copies=desk.copies(visit.who, limit=LAST),
            live=rooms.desks.pulse.newest(),
        )

    @rooms.post(
        "/accounts/<name>/pause",
        Who.FOLLOWER,
        again=Again(lambda said: f"Pause {said['name']}: no new trades"),
    )
    async def pause(visit: Visit, name: str) -> Response:
        await desk.pause(visit.who, name)
        return visit.go("/home", "paused")

    @rooms.post("/accounts/<name>/resume", Who.FOLLOWER)
    async def resume(visit: Visit, name: str) -> Response:
        await desk.resume(visit.who, name)
        return visit.go("/home", "resumed")

    @rooms.get("/accounts/<name>/flatten", Who.FOLLOWER)
    async def flatten_page(visit: Visit, name: str) -> Response:
        row = desk.account(visit.who, name)
        return visit.page(
            "traders/flatten.html",
            row=row,
            open=desk.still_open(visit.who, name),
            live=rooms.desks.pulse.newest(),
            is_on=any(
                each.row.id == row.id and each.level == "flatten" for each in desk.cards(visit.who)
            ),
        )

    @rooms.post(
        "/accounts/<name>/flatten",
        Who.FOLLOWER,
        again=Again(lambda said: f"Flatten {said['name']}: close what the engine opened"),
    )
    async def flatten(visit: Visit, name: str) -> Response:
        await desk.flatten(visit.who, name)
        return visit.go(
            f"/accounts/{name}/flatten",
            "flattening" if desk.still_open(visit.who, name) else "flat",
        )
