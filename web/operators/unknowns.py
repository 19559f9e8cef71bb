"""Orders without proof of their fate, and the operator's decision about one."""

from collections.abc import Mapping
from typing import Final

from quart import Response

from engine.services.user import FormErrors
from web.operators.commands import operator_page, run, run_form
from web.routes import Route, Who, get, post
from web.visit import Visit


async def show_unknowns(visit: Visit) -> Response:
    """Show the orders without proof."""
    return await _unknowns(visit)


async def decide(visit: Visit) -> Response:
    """Store the exchange's id of the order, or that there is no order."""
    visit.require_fresh()
    try:
        await run_form(
            visit,
            "decide",
            "order",
            signal=visit.text("signal"),
            follower=visit.text("follower"),
            note=visit.text("note"),
            order=visit.text("order"),
        )
    except FormErrors as error:
        return await _unknowns(visit, error.errors)
    return visit.go("/operate/unknowns", "decided")


async def _unknowns(visit: Visit, errors: Mapping[str, str] | None = None) -> Response:
    rows = (await run(visit, "unknown"))["unknown"]
    about = (visit.text("signal"), visit.text("follower"))
    if errors and about not in [(row["signal_id"], row["account"]) for row in rows]:
        # its form is gone: the order was proven meanwhile
        errors = {"": "; ".join(errors.values())}
    return operator_page(visit, "unknowns", errors=errors, rows=rows, about=about)


ROUTES: Final[tuple[Route, ...]] = (
    get("/operate/unknowns", Who.OPERATOR, show_unknowns),
    post("/operate/unknowns", Who.OPERATOR, decide),
)
