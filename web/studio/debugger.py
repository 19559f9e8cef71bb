"""The signature debugger: which part of a pasted delivery is wrong. Nothing is stored."""

from typing import Final

from quart import Response

from web.routes import Route, Who, form, get
from web.visit import Visit


async def show_debugger(visit: Visit) -> Response:
    """Show the form."""
    return _debugger(visit, None)


async def debug(visit: Visit) -> Response:
    """Check a pasted delivery against a strategy's endpoint."""
    findings = await visit.services.studio.debug(
        visit.who,
        visit.text("strategy"),
        visit.form.get("headers", ""),
        visit.form.get("body", ""),
    )
    return _debugger(visit, findings)


def _debugger(visit: Visit, findings: object) -> Response:
    studio = visit.services.studio
    return visit.page(
        "studio/debugger.html",
        rows=[row for row in studio.strategies(visit.who) if studio.webhook(row) is not None],
        findings=findings,
        chosen=visit.form.get("strategy", visit.query.get("strategy", "")),
    )


ROUTES: Final[tuple[Route, ...]] = (
    get("/studio/debugger", Who.MASTER, show_debugger),
    form(
        "/studio/debugger",
        Who.MASTER,
        debug,
        keeps=("strategy", "headers", "body"),
        answers=True,
    ),
)
