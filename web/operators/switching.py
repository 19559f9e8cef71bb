"""The switches: what is on, switched on at every scope, a flatten only after its page said what it
closes, resumed with a factor.

What always holds: a form that does not say clearly what is to be stopped stops nothing, and what
was typed stays.
"""

from collections.abc import Mapping
from typing import Any, Final

from quart import Response

from engine.services.user import FormErrors
from web.again import Again
from web.operators.pages import Service
from web.rooms import Rooms, Who
from web.visit import Visit

LEVELS: Final = {
    "entries": ("No new entries", "Exits go on; what is open stays."),
    "reduce": ("Reduce only", "Resting entries are taken back too: exposure can only shrink."),
    "flatten": (
        "Flatten",
        "What the engine opened is closed, again and again until the exchange says that it is.",
    ),
}
STOPPED: Final = ("killed", "skipped.entries_off")
_SHOWN: Final = 50


def register_switches(rooms: Rooms, service: Service) -> None:
    """Add the page of switches and its acts."""

    @rooms.get("/operate/switches", Who.OPERATOR)
    async def switches(visit: Visit) -> Response:
        return await show(visit)

    async def show(visit: Visit, errors: Mapping[str, str] | None = None) -> Response:
        seen, found = (
            await service.ask(visit, "status", hours=1),
            await service.ask(visit, "accounts", limit=_SHOWN),
        )
        open_: list[dict[str, Any]] = []
        for each in seen["switches"]:
            if each["level"] == "flatten":
                open_ += (
                    await service.ask(visit, "still_open", **_where(each["scope"], each["target"]))
                )["open"]
        stopped = {code: count for code, count in seen["copies"].items() if code in STOPPED}
        names = {
            "account": [each["name"] for each in found["accounts"]],
            "exchange": sorted((await service.ask(visit, "system"))["exchanges"]),
            "strategy": [row.name for row, _ in rooms.services.performance.directory_of_all()],
        }
        return service.page(
            visit,
            "switches",
            errors=errors,
            seen=seen,
            levels=LEVELS,
            open=open_,
            stopped=stopped,
            names=names,
        )

    @rooms.post(
        "/operate/switches/on",
        Who.OPERATOR,
        again=Again(_again, ("level", "scope", "target", "note")),
    )
    async def halt(visit: Visit) -> Response:
        scope, target, level = visit.text("scope"), visit.text("target"), visit.text("level")
        try:
            if scope == "all" and target:
                raise FormErrors(
                    {
                        "target": (
                            "expected nothing here for everything; for this one alone, choose "
                            "above what it is"
                        )
                    }
                )
            if level == "flatten" and visit.text("sure") != "yes":
                await service.ask_form(
                    visit, "still_open", "target", known=True, **_where(scope, target)
                )
                return visit.show(
                    "/operate/switches/flatten", scope=scope, target=target, note=visit.text("note")
                )
            note = visit.text("note")
            await service.ask_form(
                visit, "halt", "target", level=level, note=note, **_where(scope, target)
            )
        except FormErrors as error:
            return await show(visit, error.errors)
        return visit.go("/operate/switches", "halted")

    @rooms.get("/operate/switches/flatten", Who.OPERATOR)
    async def flatten_page(visit: Visit) -> Response:
        kept = visit.kept()
        if not kept:
            return visit.go("/operate/switches", "unflattened")
        found = await service.ask(visit, "still_open", **_where(kept["scope"], kept["target"]))
        return service.page(visit, "flatten", open=found["open"], **kept)

    @rooms.post("/operate/switches/off", Who.OPERATOR)
    async def resume(visit: Visit) -> Response:
        visit.require_fresh()
        await service.ask(visit, "resume", **_where(visit.text("scope"), visit.text("target")))
        return visit.go("/operate/switches", "resumed-entries")


def _again(said: Mapping[str, str]) -> str:
    where = "everything" if said["scope"] == "all" else f"{said['scope']} {said['target']}"
    return (
        f"{LEVELS[said['level']][0]} for {where}"
        if said["level"] in LEVELS and said["scope"]
        else ""
    )


def _where(scope: str, target: str) -> dict[str, str]:
    return {"scope": scope} if scope == "all" else {"scope": scope, "target": target}
