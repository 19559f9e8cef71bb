"""How a person proves who they are, where they are signed in, and the zone of their times."""

from quart import Response

from engine.services.user import FormErrors
from web.again import Again
from web.rooms import Rooms, Who
from web.visit import Visit


def register_security(rooms: Rooms) -> None:
    """Add the pages about a person's own security."""
    service = rooms.services.identity

    def overview(visit: Visit, errors: dict[str, str] | None = None) -> Response:
        return visit.page(
            "door/security.html",
            422 if errors else 200,
            errors=errors,
            sessions=service.sessions(visit.who),
            codes_left=service.recovery_codes_left(visit.who),
            request_to_publish=service.master_request(visit.who),
        )

    @rooms.get("/security", Who.SIGNED_IN)
    async def security(visit: Visit) -> Response:
        return overview(visit)

    @rooms.get("/security/password", Who.SIGNED_IN)
    async def password_page(visit: Visit) -> Response:
        return visit.page("door/password.html")

    @rooms.post("/security/password", Who.SIGNED_IN, once=True)
    async def password(visit: Visit) -> Response:
        try:
            codes = await service.set_password(
                visit.who, visit.form.get("password", ""), visit.form.get("again", "")
            )
        except FormErrors as error:
            return visit.refuse("door/password.html", error.errors)
        if not codes:
            return visit.go(
                visit.next() if visit.text("next") or visit.offers else "/security", "password"
            )
        return visit.show("/security/password/codes", codes=codes, onward=visit.next())

    @rooms.get("/security/second-factor", Who.SIGNED_IN)
    async def totp_page(visit: Visit) -> Response:
        return _totp(visit, {})

    @rooms.post("/security/second-factor", Who.SIGNED_IN, once=True)
    async def totp(visit: Visit) -> Response:
        try:
            await service.set_totp(visit.who, visit.text("secret"), visit.text("code"))
        except FormErrors as error:
            return _totp(visit, error.errors)
        return visit.go(visit.offers[-1].page if visit.offers else "/security", "totp")

    def _totp(visit: Visit, errors: dict[str, str]) -> Response:
        offer = service.offer_totp(visit.who, visit.text("secret"))
        status = 422 if errors else 200
        return visit.page(
            "door/second_factor.html",
            status,
            errors=errors,
            svg=offer.svg,
            secret=offer.secret.reveal(),
        )

    @rooms.post("/security/second-factor/remove", Who.SIGNED_IN)
    async def totp_off(visit: Visit) -> Response:
        await service.remove_totp(visit.who)
        return visit.go("/security", "totp-off")

    @rooms.post("/security/codes", Who.SIGNED_IN, once=True)
    async def codes(visit: Visit) -> Response:
        made = await service.renew_recovery_codes(visit.who)
        return visit.show("/security/password/codes", codes=made, onward="/security")

    @rooms.get("/security/password/codes", Who.SIGNED_IN)
    async def codes_page(visit: Visit) -> Response:
        kept = visit.kept()
        return visit.page("door/codes.html", **kept) if kept else visit.go("/security", "gone")

    @rooms.post(
        "/security/sessions/<session>",
        Who.SIGNED_IN,
        again=Again(lambda said: "Sign that session out"),
    )
    async def end_session(visit: Visit, session: str) -> Response:
        await service.revoke(visit.who, session)
        return visit.go("/security", "session")

    @rooms.post("/security/zone", Who.SIGNED_IN)
    async def zone(visit: Visit) -> Response:
        try:
            await service.set_zone(visit.who, visit.text("zone"))
        except FormErrors as error:
            return overview(visit, error.errors)
        return visit.go("/security", "zone")

    @rooms.post("/security/become-master", Who.SIGNED_IN)
    async def become_master(visit: Visit) -> Response:
        try:
            await service.ask_to_be_master(visit.who, visit.text("note"))
        except FormErrors as error:
            return overview(visit, error.errors)
        return visit.go("/security", "asked")
