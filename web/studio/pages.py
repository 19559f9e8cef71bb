"""The studio: strategies, their endpoints and secrets, test signals, deliveries, and the signature
debugger.
"""

from collections.abc import Mapping
from typing import Final

from quart import Response

from engine.context import NothingThere
from engine.domain.person import Role
from engine.domain.signal import Action
from engine.ports.secret import Secret
from engine.services.user import FormErrors, LookFirst
from web.again import Again
from web.rooms import Rooms, Who
from web.studio.senders import PLACEHOLDER, python_sender, shell_sender
from web.visit import Visit

STATES: Final = {
    "draft": ("Draft", "Only you see it; signals are recorded and no entry is copied."),
    "published": ("Published", "In the directory; anybody here may follow."),
    "by_link": ("By link", "Whoever has its address may follow; not in the directory."),
    "private": ("Private", "Nobody new may follow; those who do are copied."),
    "paused": ("Paused", "Entries are refused, exits still copied. Followers are told."),
    "retired": (
        "Retired",
        "It runs no longer: entries are refused, exits still copied until nothing is left. "
        "Followers are told.",
    ),
}


def register_studio(rooms: Rooms) -> None:
    """Add the master's pages."""
    service = rooms.services.studio

    @rooms.get("/studio", Who.SIGNED_IN)
    async def studio(visit: Visit) -> Response:
        is_master = visit.who.person.is_a(Role.MASTER)
        rows = service.strategies(visit.who) if is_master else ()
        asked = rooms.services.identity.master_request(visit.who)
        return visit.page(
            "studio/studio.html",
            rows=rows,
            is_master=is_master,
            asked=asked,
            states=STATES,
            live=rooms.services.pulse.newest(),
            refused=rooms.services.refused.all(visit.who) if is_master else (),
        )

    @rooms.get("/studio/copy-trading", Who.MASTER)
    async def copy_trading(visit: Visit) -> Response:
        rows = [each for each in service.strategies(visit.who) if each.kind == "copy_trading"]
        return visit.page(
            "studio/copy_trading.html", rows=rows, states=STATES, live=rooms.services.pulse.newest()
        )

    @rooms.get("/studio/copy-trading/new", Who.MASTER)
    async def new_page(visit: Visit) -> Response:
        return visit.page("studio/new.html", warnings=(), confirmed="")

    @rooms.post("/studio/copy-trading/new", Who.MASTER, once=True)
    async def new(visit: Visit) -> Response:
        try:
            identifier, shown = await service.create(visit.who, visit.form)
        except FormErrors as error:
            return visit.refuse("studio/new.html", error.errors, warnings=(), confirmed="")
        except LookFirst as error:
            return visit.page(
                "studio/new.html", 422, warnings=error.warnings, confirmed=error.confirmed
            )
        return visit.show(f"/studio/strategies/{identifier}/secret", made=shown, is_new=True)

    @rooms.get("/studio/strategies/<identifier>/secret", Who.MASTER)
    async def secret_page(visit: Visit, identifier: str) -> Response:
        row, kept = service.strategy(visit.who, identifier), visit.kept()
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

    @rooms.get("/studio/strategies/<identifier>", Who.MASTER)
    async def strategy(visit: Visit, identifier: str) -> Response:
        return show(visit, identifier)

    def show(
        visit: Visit,
        identifier: str,
        errors: dict[str, str] | None = None,
        about: str = "",
        unconfirmed: LookFirst | None = None,
    ) -> Response:
        row = service.strategy(visit.who, identifier)
        webhook = service.webhook(row)
        url = "" if webhook is None else webhook[1]
        return visit.page(
            "studio/strategy.html",
            422 if errors or unconfirmed else 200,
            errors=errors,
            row=row,
            webhook=webhook,
            secrets=service.secrets(row),
            states=STATES,
            audience=service.audience(row),
            signals=service.signals(row),
            deliveries=service.deliveries(row)[:15],
            actions=[each.value for each in Action],
            wrong=about,
            python=python_sender(url, PLACEHOLDER, row.symbols[0]),
            shell=shell_sender(url, PLACEHOLDER, row.symbols[0]),
            placeholder=PLACEHOLDER,
            signed_source=service.signed_source,
            address_sources=service.address_sources(),
            live=rooms.services.pulse.newest(),
            alerts=service.alerts(row),
            refused=rooms.services.refused.of(visit.who, identifier),
            confirmed="" if unconfirmed is None else unconfirmed.confirmed,
            warnings=()
            if errors
            else service.warnings(row)
            if unconfirmed is None
            else unconfirmed.warnings,
        )

    @rooms.post("/studio/strategies/<identifier>/describe", Who.MASTER)
    async def describe(visit: Visit, identifier: str) -> Response:
        try:
            asks = await service.describe(visit.who, identifier, visit.form)
        except FormErrors as error:
            return show(visit, identifier, error.errors, "describe")
        except LookFirst as error:
            return show(visit, identifier, unconfirmed=error)
        return visit.go(f"/studio/strategies/{identifier}", "consent-asked" if asks else "saved")

    @rooms.post(
        "/studio/strategies/<identifier>/state", Who.MASTER, again=Again(_state_again, ("state",))
    )
    async def state(visit: Visit, identifier: str) -> Response:
        await service.set_state(visit.who, identifier, visit.text("state"))
        return visit.go(f"/studio/strategies/{identifier}", "saved")

    @rooms.post("/studio/strategies/<identifier>/rotate", Who.MASTER, once=True)
    async def rotate(visit: Visit, identifier: str) -> Response:
        made = await service.rotate(visit.who, identifier)
        return visit.show(f"/studio/strategies/{identifier}/secret", made=made, is_new=False)

    @rooms.post(
        "/studio/strategies/<identifier>/revoke",
        Who.MASTER,
        again=Again(lambda said: "Revoke the old secret of this strategy"),
    )
    async def revoke(visit: Visit, identifier: str) -> Response:
        await service.revoke_old(visit.who, identifier)
        return visit.go(f"/studio/strategies/{identifier}", "revoked")

    @rooms.post("/studio/strategies/<identifier>/endpoint", Who.MASTER, once=True)
    async def make_webhook(visit: Visit, identifier: str) -> Response:
        made = await service.make_webhook(visit.who, identifier)
        return visit.show(f"/studio/strategies/{identifier}/secret", made=made, is_new=False)

    @rooms.get("/studio/strategies/<identifier>/endpoints/<endpoint>/delete", Who.MASTER)
    async def delete_page(visit: Visit, identifier: str, endpoint: str) -> Response:
        row = service.strategy(visit.who, identifier)
        webhook = service.webhook(row)
        if webhook is None or webhook[0].id != endpoint:
            raise NothingThere("there is no such endpoint of yours")
        return visit.page(
            "studio/delete.html",
            row=row,
            endpoint=webhook[0],
            url=webhook[1],
            audience=service.audience(row),
        )

    @rooms.post(
        "/studio/strategies/<identifier>/endpoints/<endpoint>/<act>",
        Who.MASTER,
        again=Again(_endpoint_again),
    )
    async def endpoint_act(visit: Visit, identifier: str, endpoint: str, act: str) -> Response:
        if act == "delete":
            await service.delete(visit.who, identifier, endpoint)
        elif act in ("enable", "disable"):
            await service.set_enabled(visit.who, identifier, endpoint, act == "enable")
        else:
            raise NothingThere("there is no such act")
        return visit.go(f"/studio/strategies/{identifier}", "saved")

    @rooms.post("/studio/strategies/<identifier>/test", Who.MASTER, once=True)
    async def test(visit: Visit, identifier: str) -> Response:
        try:
            told = await service.test_signal(visit.who, identifier, visit.form)
        except FormErrors as error:
            return show(visit, identifier, error.errors, "test")
        if told.signal_id is None:
            return show(
                visit,
                identifier,
                {
                    "": (
                        f"The endpoint answered {told.kind.value}: {told.field} expected "
                        f"{told.expected}"
                    )
                },
                "test",
            )
        return visit.go(f"/studio/strategies/{identifier}", "tested")

    @rooms.get("/studio/strategies/<identifier>/signals", Who.MASTER)
    async def signals(visit: Visit, identifier: str) -> Response:
        row, before = (
            service.strategy(visit.who, identifier),
            _number(visit.query.get("before", "")),
        )
        found = service.signals(row, before)
        older = found[-1].number if len(found) >= 10 else None
        live = rooms.services.pulse.newest() if before is None else None
        return visit.page("studio/signals.html", row=row, signals=found, older=older, live=live)

    @rooms.get("/studio/strategies/<identifier>/deliveries", Who.MASTER)
    async def deliveries(visit: Visit, identifier: str) -> Response:
        row, before = (
            service.strategy(visit.who, identifier),
            _number(visit.query.get("before", "")),
        )
        found = service.deliveries(row, before)
        older, live = (
            found[-1].id if len(found) >= 50 else None,
            rooms.services.pulse.newest() if before is None else None,
        )
        return visit.page(
            "studio/deliveries.html", row=row, deliveries=found, older=older, live=live
        )

    @rooms.get("/studio/strategies/<identifier>/close", Who.MASTER)
    async def close_page(visit: Visit, identifier: str) -> Response:
        row = service.strategy(visit.who, identifier)
        return visit.page("studio/close.html", row=row, audience=service.audience(row))

    @rooms.post(
        "/studio/strategies/<identifier>/close",
        Who.MASTER,
        again=Again(lambda said: "Close what this strategy opened, for everybody"),
    )
    async def close(visit: Visit, identifier: str) -> Response:
        await service.close_everything(visit.who, identifier)
        return visit.go(f"/studio/strategies/{identifier}", "closing")

    @rooms.get("/studio/strategies/<identifier>/addresses/<source>", Who.MASTER)
    async def addresses(visit: Visit, identifier: str, source: str) -> Response:
        return _addresses(visit, identifier, source)

    @rooms.post("/studio/strategies/<identifier>/addresses/<source>", Who.MASTER, once=True)
    async def make_address(visit: Visit, identifier: str, source: str) -> Response:
        try:
            url = await service.make_address(visit.who, identifier, source, visit.form)
        except FormErrors as error:
            return _addresses(visit, identifier, source, error.errors)
        return visit.show(f"/studio/strategies/{identifier}/addresses/{source}", url=Secret(url))

    def _addresses(
        visit: Visit, identifier: str, name: str, errors: dict[str, str] | None = None
    ) -> Response:
        url = visit.kept()["url"].reveal() if visit.kept() else ""
        row, source = service.strategy(visit.who, identifier), service.address_source(name)
        return visit.page(
            "studio/addresses.html",
            422 if errors else 200,
            errors=errors,
            row=row,
            source=source,
            made=service.addresses(row, source),
            url=url,
            ready=service.ready_messages(row, source),
        )

    @rooms.get("/studio/debugger", Who.MASTER)
    async def debugger_page(visit: Visit) -> Response:
        return _debugger(visit, None)

    @rooms.post("/studio/debugger", Who.MASTER)
    async def debugger(visit: Visit) -> Response:
        found = await service.debug(
            visit.who,
            visit.text("strategy"),
            visit.form.get("headers", ""),
            visit.form.get("body", ""),
        )
        return _debugger(visit, found)

    def _debugger(visit: Visit, found: object) -> Response:
        rows = [each for each in service.strategies(visit.who) if service.webhook(each) is not None]
        return visit.page(
            "studio/debugger.html",
            rows=rows,
            findings=found,
            chosen=visit.form.get("strategy", visit.query.get("strategy", "")),
        )


def _state_again(said: Mapping[str, str]) -> str:
    return (
        f"Set this strategy to {STATES[said['state']][0]}"
        if said["state"] in ("private", "paused", "retired")
        else ""
    )


def _endpoint_again(said: Mapping[str, str]) -> str:
    return {"disable": "Disable this address", "delete": "Delete this address"}.get(said["act"], "")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
