"""Orders without proof of their fate, and the operator's decision about one: it was filled, or it was
not.
"""

from collections.abc import Mapping
from typing import Final

from quart import Response

from engine.services.user import FormErrors
from web.operators.commands import operator_page, run, run_form
from web.routes import Route, Who, get, post
from web.visit import Visit

FILLED: Final = "filled"
NOT_FILLED: Final = "not-filled"


async def show_unknowns(visit: Visit) -> Response:
    """Show the orders without proof."""
    return await _unknowns(visit)


async def decide(visit: Visit) -> Response:
    """Decide that an order was filled, or that the exchange has none.

    A filled entry is named by the exchange's id, so that the exchange itself tells what was filled.
    """
    visit.require_fresh()
    decided, order = visit.text("decided"), visit.text("order")
    try:
        await run_form(
            visit,
            "decide",
            "order",
            signal=visit.text("signal"),
            follower=visit.text("follower"),
            note=visit.text("note"),
            order=order,
            done=await _is_done(visit, decided, order),
        )
    except FormErrors as error:
        return await _unknowns(visit, error.errors)
    return visit.go("/operate/unknowns", f"decided-{decided}")


async def _is_done(visit: Visit, decided: str, order: str) -> bool:
    """Return whether a closing order is taken as filled without its id; raises FormErrors where the
    form does not say clearly what was seen.
    """
    if decided not in (FILLED, NOT_FILLED):
        raise FormErrors({"": "Nothing was decided: press one of the two buttons."})
    if decided == NOT_FILLED:
        if order:
            raise FormErrors({"order": "expected nothing here for an order that was not filled"})
        return False
    if not order and await _opens(visit):
        raise FormErrors({"order": "expected the exchange’s id of the order that was filled"})
    return not order


async def _opens(visit: Visit) -> bool:
    """Return whether one of the orders that the form is about may open a position."""
    about = (visit.text("signal"), visit.text("follower"))
    rows = (await run(visit, "unknown"))["unknown"]
    return any(row["opens"] for row in rows if (row["signal_id"], row["account"]) == about)


async def _unknowns(visit: Visit, errors: Mapping[str, str] | None = None) -> Response:
    rows = (await run(visit, "unknown"))["unknown"]
    about = (visit.text("signal"), visit.text("follower"))
    if errors and about not in [(row["signal_id"], row["account"]) for row in rows]:
        # its form is gone: the order was proven meanwhile
        errors = {"": "; ".join(errors.values())}
    return operator_page(visit, "unknowns", errors=errors, rows=rows, about=about)


ROUTES: Final[tuple[Route, ...]] = (
    get("/operate/unknowns", Who.OPERATOR, show_unknowns),
    post(
        "/operate/unknowns",
        Who.OPERATOR,
        decide,
        keeps=("signal", "follower", "note", "order"),
    ),
)
