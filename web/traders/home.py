"""Home: one state, the money, the last signals, and the two switches that anybody may pull."""

from quart import Response

from web.again import Again
from web.rooms import Rooms, Who
from web.visit import Visit

LAST = 10


def register_home(rooms: Rooms) -> None:
    """Add the home page and its acts."""
    service = rooms.services.following

    @rooms.get("/home", Who.FOLLOWER)
    async def home(visit: Visit) -> Response:
        cards = service.cards(visit.who)
        return visit.page(
            "traders/home.html",
            cards=cards,
            copies=service.copies(visit.who, limit=LAST),
            live=rooms.services.pulse.newest(),
        )

    @rooms.post(
        "/accounts/<name>/pause",
        Who.FOLLOWER,
        again=Again(lambda said: f"Pause {said['name']}: no new trades"),
    )
    async def pause(visit: Visit, name: str) -> Response:
        await service.pause(visit.who, name)
        return visit.go("/home", "paused")

    @rooms.post("/accounts/<name>/resume", Who.FOLLOWER)
    async def resume(visit: Visit, name: str) -> Response:
        await service.resume(visit.who, name)
        return visit.go("/home", "resumed")

    @rooms.get("/accounts/<name>/flatten", Who.FOLLOWER)
    async def flatten_page(visit: Visit, name: str) -> Response:
        row = service.account(visit.who, name)
        return visit.page(
            "traders/flatten.html",
            row=row,
            open=service.still_open(visit.who, name),
            live=rooms.services.pulse.newest(),
            is_on=any(
                each.row.id == row.id and each.level == "flatten"
                for each in service.cards(visit.who)
            ),
        )

    @rooms.post(
        "/accounts/<name>/flatten",
        Who.FOLLOWER,
        again=Again(lambda said: f"Flatten {said['name']}: close what the engine opened"),
    )
    async def flatten(visit: Visit, name: str) -> Response:
        await service.flatten(visit.who, name)
        return visit.go(
            f"/accounts/{name}/flatten",
            "flattening" if service.still_open(visit.who, name) else "flat",
        )
