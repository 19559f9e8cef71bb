"""Signing in: by password, by exchange login, by recovery code, by one-time link; joining; signing
out.
"""

import secrets
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from quart import Response, abort

from engine.domain.account import Environment
from engine.domain.amounts import parse_money, plain
from engine.domain.errors import InvalidValue
from engine.domain.typed import typed_number
from engine.ports.secret import Secret
from engine.services.accounts import ExchangeChoice, exchange_choices
from engine.services.identity import NotSignedIn
from engine.services.user import FormErrors
from web.requests import asks_locally
from web.rooms import Rooms, Who, wait_words
from web.visit import Visit

_BALANCE_MAX: Final = Decimal(10_000_000)


def register_sign_in(rooms: Rooms) -> None:
    """Add the ways in and out."""
    service = rooms.services.identity

    @rooms.get("/", Who.ANYONE)
    async def front(visit: Visit) -> Response:
        if visit.user is not None:
            return visit.go(visit.home())
        return visit.page("door/front.html", sign_up=service.sign_up, demo=_demo_people(visit))

    @rooms.get("/sign-in", Who.ANYONE)
    async def sign_in_page(visit: Visit) -> Response:
        return visit.page("door/sign_in.html", way="password")

    @rooms.post("/sign-in", Who.ANYONE, once=True)
    async def sign_in(visit: Visit) -> Response:
        try:
            came = await service.sign_in(
                visit.text("name"),
                Secret(visit.form.get("password", "")),
                visit.text("code"),
                visit.caller,
            )
        except NotSignedIn as error:
            return visit.refuse("door/sign_in.html", {"": wait_words(error)}, way="password")
        return visit.enter(came, visit.next())

    @rooms.get("/sign-in/recovery", Who.ANYONE)
    async def recovery_page(visit: Visit) -> Response:
        return visit.page("door/sign_in.html", way="recovery")

    @rooms.post("/sign-in/recovery", Who.ANYONE, once=True)
    async def recovery(visit: Visit) -> Response:
        try:
            came = await service.sign_in_with_recovery(
                visit.text("name"), visit.text("code"), visit.caller
            )
        except NotSignedIn as error:
            return visit.refuse("door/sign_in.html", {"": wait_words(error)}, way="recovery")
        wanted = visit.text("next")
        return visit.enter(
            came, "/security/password" + (f"?next={quote(wanted, safe='')}" if wanted else "")
        )

    @rooms.get("/sign-in/exchange", Who.ANYONE)
    async def exchange_page(visit: Visit) -> Response:
        return visit.page(
            "door/sign_in.html", way="exchange", **_choice(visit, service.exchange_doors())
        )

    @rooms.post("/sign-in/exchange", Who.ANYONE, once=True)
    async def exchange(visit: Visit) -> Response:
        shown = _choice(visit, service.exchange_doors())
        try:
            given = (
                {}
                if shown["chosen"] is None
                else {each.name: visit.form.get(each.name, "") for each in shown["chosen"].fields}
            )
            came = await service.sign_in_with_exchange(
                visit.text("exchange"), given, visit.text("code"), visit.caller
            )
        except NotSignedIn as error:
            return visit.refuse(
                "door/sign_in.html", {"": wait_words(error)}, way="exchange", **shown
            )
        except FormErrors as error:
            return visit.refuse("door/sign_in.html", error.errors, way="exchange", **shown)
        return visit.enter(came, visit.next())

    @rooms.get("/welcome/<token>", Who.ANYONE)
    async def welcome_page(visit: Visit, token: str) -> Response:
        return visit.page("door/welcome.html", token=token)

    @rooms.post("/welcome/<token>", Who.ANYONE, once=True)
    async def welcome(visit: Visit, token: str) -> Response:
        try:
            came = await service.use_link(token, visit.caller)
        except NotSignedIn as error:
            text = (
                wait_words(error)
                if error.wait_s
                else "This link was used or has run out: ask for another."
            )
            return visit.refuse("door/welcome.html", {"": text}, token=token)
        return visit.enter(came, "/security")

    @rooms.get("/join", Who.ANYONE)
    async def join_page(visit: Visit) -> Response:
        return visit.page("door/join.html", **_join_values(visit, visit.query.get("invite", "")))

    @rooms.post("/join", Who.ANYONE, once=True)
    async def join(visit: Visit) -> Response:
        token = visit.text("invite")
        values = _join_values(visit, token)
        chosen = values["chosen"]
        assert isinstance(chosen, ExchangeChoice)
        try:
            came = await service.join(
                token, visit.text("name"), chosen.name, given_login(visit, chosen), visit.caller
            )
        except FormErrors as error:
            return visit.refuse("door/join.html", error.errors, **values)
        except NotSignedIn as error:
            return visit.refuse("door/join.html", {"": wait_words(error)}, **values)
        invited = service.invited_to(came.person)
        return visit.enter(
            came, "/security/password" + (f"?next=/strategies/{invited}" if invited else "")
        )

    @rooms.post("/sign-out", Who.SIGNED_IN)
    async def sign_out(visit: Visit) -> Response:
        await service.sign_out(visit.who)
        return visit.leave()

    @rooms.post("/demo/<name>", Who.ANYONE, once=True)
    async def demo(visit: Visit, name: str) -> Response:
        if name not in dict(_demo_people(visit)):
            abort(404)
        return visit.enter(await service.enter_demo(name, visit.caller), "/")


def _demo_people(visit: Visit) -> tuple[tuple[str, str], ...]:
    """Return whom a user of the demo may be; only ``rexalgo demo`` names any, and only to people
    on this machine.
    """
    return visit.settings.demo_people if asks_locally(visit.settings) else ()


def _choice(visit: Visit, choices: Sequence[ExchangeChoice]) -> dict[str, Any]:
    wanted = visit.form.get("exchange", visit.query.get("exchange", ""))
    return {
        "choices": choices,
        "chosen": next(
            (each for each in choices if each.name == wanted), choices[0] if choices else None
        ),
    }


def _join_values(visit: Visit, token: str) -> dict[str, Any]:
    service = visit.services.identity
    may_join = service.sign_up == "open" or (
        service.sign_up == "invite" and service.invitation(token) is not None
    )
    return {
        "invite": token,
        "may_join": may_join,
        "sign_up": service.sign_up,
        **_choice(visit, exchange_choices(visit.services.context)),
    }


def given_login(visit: Visit, chosen: ExchangeChoice) -> Mapping[str, str]:
    """Return the login that a form gives; a paper account is always made anew from a balance: any
    text is a login there, also another's.
    """
    if chosen.environment is not Environment.PAPER:
        return {each.name: visit.form.get(each.name, "") for each in chosen.fields}
    return {chosen.fields[0].name: paper_login(visit.text("balance"))}


def paper_login(balance: str) -> str:
    """Make the login of a new paper account with a balance to begin with; raises FormErrors."""
    try:
        amount = parse_money(typed_number(balance, "balance"), "balance")
    except InvalidValue as error:
        raise FormErrors({"balance": f"expected {error.expected}"}) from None
    if not 10 <= amount <= _BALANCE_MAX:
        raise FormErrors({"balance": "expected 10 to 10000000 USDT"})
    return f"paper:{plain(amount)}:{secrets.token_hex(16)}"
