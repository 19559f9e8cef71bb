"""Orders without proof of their fate, and the operator's decision about one: it was filled, or it was
not.
"""

from typing import Final

from quart import Response

from engine.services.user import FormErrors
from web.operators.commands import operator_page, run, run_form
from web.routes import Route, Who, form, get
from web.visit import Visit

FILLED: Final = "filled"
NOT_FILLED: Final = "not-filled"


async def show_unknowns(visit: Visit) -> Response:
    """Show the orders without proof."""
    rows = (await run(visit, "unknown"))["unknown"]
    return operator_page(visit, "unknowns", rows=rows, about=_about(visit))


async def decide(visit: Visit) -> Response:
    """Decide that an order was filled, or that the exchange has none.

    A filled entry is named by the exchange's id, so that the exchange itself tells what was filled.
    """
    visit.require_fresh()
    decided, order = visit.text("decided"), visit.text("order")
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
    rows = (await run(visit, "unknown"))["unknown"]
    return any(row["opens"] for row in rows if (row["signal_id"], row["account"]) == _about(visit))


def _about(visit: Visit) -> tuple[str, str]:
    """Return the signal and the account that the form is about."""
    return visit.text("signal"), visit.text("follower")


ROUTES: Final[tuple[Route, ...]] = (
    get("/operate/unknowns", Who.OPERATOR, show_unknowns),
    form(
        "/operate/unknowns",
        Who.OPERATOR,
        decide,
        keeps=("signal", "follower", "note", "order", "decided"),
    ),
)
