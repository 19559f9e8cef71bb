"""The switches: which are on, stopping at every scope, and resuming with a factor.

A flatten is switched on only after its page showed what it closes. A form that does not say clearly
what to stop stops nothing, and keeps what was typed.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from quart import Response

from engine.services.user import FormErrors
from web.again import Again
from web.labels import SWITCH_LEVELS
from web.operators.commands import operator_page, run, run_form
from web.routes import Route, Who, form, get, post
from web.visit import Visit

STOPPED: Final = ("killed", "skipped.entries_off")
"""The outcomes of copies that a switch stopped."""


async def show_switches(visit: Visit) -> Response:
    """Show the switches that are on, and the form that stops something."""
    seen = await run(visit, "switches", hours=1)
    return operator_page(
        visit,
        "switches",
        seen=seen,
        levels=SWITCH_LEVELS,
        open=await _open_under_flattens(visit, seen["switches"]),
        stopped={code: count for code, count in seen["copies"].items() if code in STOPPED},
        names=seen["names"],
    )


async def halt(visit: Visit) -> Response:
    """Switch something off; a flatten is shown first."""
    scope, target, level = visit.text("scope"), visit.text("target"), visit.text("level")
    note = visit.text("note")
    if scope == "all" and target:
        raise FormErrors(
            {
                "target": (
                    "expected nothing here for everything; to stop this one alone, choose above "
                    "what it is"
                )
            }
        )
    where = _where(scope, target)
    if level == "flatten" and visit.text("sure") != "yes":
        await run_form(visit, "still_open", "target", known=True, **where)
        return visit.show("/operate/switches/flatten", scope=scope, target=target, note=note)
    await run_form(visit, "halt", "target", level=level, note=note, **where)
    return visit.go(_back(visit), "halted")


async def show_flatten(visit: Visit) -> Response:
    """Show what a flatten closes, before it is switched on."""
    kept = visit.kept()
    if not kept:
        return visit.go("/operate/switches", "unflattened")
    open_shares = await run(visit, "still_open", **_where(kept["scope"], kept["target"]))
    return operator_page(
        visit, "flatten", open=open_shares["open"], still=open_shares["still"], **kept
    )


async def resume(visit: Visit) -> Response:
    """Switch something on again."""
    visit.require_fresh()
    await run(visit, "resume", **_where(visit.text("scope"), visit.text("target")))
    return visit.go(_back(visit), "resumed-entries")


def _back(visit: Visit) -> str:
    """Return the page to go back to: the one on which the button was."""
    match visit.text("page"):
        case "overview":
            return "/operate"
        case "account":
            return f"/operate/accounts/{quote(visit.text('target'), safe='')}"
        case _:
            return "/operate/switches"


async def _open_under_flattens(
    visit: Visit, switches: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return what is still open in the scope of every flatten."""
    open_shares: list[dict[str, Any]] = []
    for switch in switches:
        if switch["level"] == "flatten":
            where = _where(switch["scope"], switch["target"])
            open_shares += (await run(visit, "still_open", **where))["open"]
    return open_shares


def _again(fields: Mapping[str, str]) -> str:
    """Return the sentence that offers stopping again; empty where the form is incomplete."""
    level, scope = fields["level"], fields["scope"]
    if level not in SWITCH_LEVELS or not scope:
        return ""
    where = "everything" if scope == "all" else f"{scope} {fields['target']}"
    return f"{SWITCH_LEVELS[level][0]} for {where}"


def _where(scope: str, target: str) -> dict[str, str]:
    return {"scope": scope} if scope == "all" else {"scope": scope, "target": target}


ROUTES: Final[tuple[Route, ...]] = (
    get("/operate/switches", Who.OPERATOR, show_switches),
    form(
        "/operate/switches/on",
        Who.OPERATOR,
        halt,
        page="/operate/switches",
        keeps=("level", "scope", "target", "note", "sure", "page"),
        again=Again(_again, ("level", "scope", "target", "note")),
    ),
    get("/operate/switches/flatten", Who.OPERATOR, show_flatten),
    post(
        "/operate/switches/off",
        Who.OPERATOR,
        resume,
        page="/operate/switches",
        keeps=("scope", "target", "page"),
    ),
)
