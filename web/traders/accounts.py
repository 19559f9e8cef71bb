"""One's exchange accounts: their health, another one, a new key, and the end of one."""

from quart import Response

from engine.services.user import FormErrors
from web.door.sign_in import given_login
from web.rooms import Rooms, Who
from web.visit import Visit


def register_accounts(rooms: Rooms) -> None:
    """Add the pages about one's accounts."""
    service, following = rooms.services.accounts, rooms.services.following

    @rooms.get("/accounts", Who.SIGNED_IN)
    async def accounts(visit: Visit) -> Response:
        return visit.page(
            "traders/accounts.html",
            cards=following.cards(visit.who),
            former=following.former_accounts(visit.who),
            live=rooms.services.pulse.newest(),
        )

    @rooms.get("/accounts/connect", Who.SIGNED_IN)
    async def connect_page(visit: Visit) -> Response:
        return visit.page(
            "traders/connect.html",
            choices=service.choices(),
            chosen=service.choice(visit.query.get("exchange", "")),
        )

    @rooms.post("/accounts/connect", Who.SIGNED_IN, once=True)
    async def connect(visit: Visit) -> Response:
        chosen = service.choice(visit.text("exchange"))
        try:
            row = await service.connect(visit.who, chosen.name, given_login(visit, chosen))
        except FormErrors as error:
            return visit.refuse(
                "traders/connect.html", error.errors, choices=service.choices(), chosen=chosen
            )
        return visit.go(f"/accounts/{row.name}", "connected")

    @rooms.get("/accounts/<name>", Who.FOLLOWER)
    async def account(visit: Visit, name: str) -> Response:
        row = following.account(visit.who, name)
        card = next(each for each in following.cards(visit.who) if each.row.id == row.id)
        return visit.page(
            "traders/account.html",
            card=card,
            choice=service.choice(row.exchange),
            live=rooms.services.pulse.newest(),
        )

    @rooms.post("/accounts/<name>/check", Who.FOLLOWER)
    async def check(visit: Visit, name: str) -> Response:
        await following.check(visit.who, name)
        return visit.go(f"/accounts/{name}", "checked")

    @rooms.get("/accounts/<name>/key", Who.FOLLOWER)
    async def key_page(visit: Visit, name: str) -> Response:
        row = service.with_key(visit.who, name)
        return visit.page("traders/key.html", row=row, chosen=service.choice(row.exchange))

    @rooms.post("/accounts/<name>/key", Who.FOLLOWER)
    async def key(visit: Visit, name: str) -> Response:
        row = service.with_key(visit.who, name)
        chosen = service.choice(row.exchange)
        try:
            await service.replace_key(
                visit.who,
                name,
                {each.name: visit.form.get(each.name, "") for each in chosen.fields},
            )
        except FormErrors as error:
            return visit.refuse("traders/key.html", error.errors, row=row, chosen=chosen)
        return visit.go(f"/accounts/{name}", "key")

    def leaving(visit: Visit, name: str, errors: dict[str, str] | None = None) -> Response:
        row = following.account(visit.who, name)
        return visit.page(
            "traders/disconnect.html",
            422 if errors else 200,
            errors=errors,
            row=row,
            held=following.still_open(visit.who, name),
            chosen=service.choice(row.exchange),
        )

    @rooms.get("/accounts/<name>/disconnect", Who.FOLLOWER)
    async def disconnect_page(visit: Visit, name: str) -> Response:
        return leaving(visit, name)

    @rooms.post("/accounts/<name>/disconnect", Who.FOLLOWER, once=True)
    async def disconnect(visit: Visit, name: str) -> Response:
        row = following.account(visit.who, name)
        try:
            await service.disconnect(visit.who, name, keep=visit.text("keep") == "yes")
        except FormErrors as error:
            return leaving(visit, name, error.errors)
        return visit.go(
            "/accounts", "disconnected-paper" if row.environment == "paper" else "disconnected"
        )
