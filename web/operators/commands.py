"""What the operators' pages share: running a command of the operator's shell, and their frame."""

from collections.abc import Mapping
from typing import Any, Final

from quart import Response

from engine.domain.errors import InvalidValue, NothingThere
from engine.services.user import FormErrors
from web.visit import Visit

SECTIONS: Final = (
    ("", "Overview"),
    ("/switches", "Switches"),
    ("/unknowns", "Unknown orders"),
    ("/people", "People"),
    ("/alerts", "Alerts"),
    ("/webhooks", "Webhooks"),
    ("/audit", "Audit"),
    ("/plugins", "Plugins"),
    ("/system", "System"),
)
"""Each operator's page with its name in the row of tabs."""


async def run(visit: Visit, method: str, **params: Any) -> dict[str, Any]:
    """Run a command of the operator's shell in the user's name; the audit notes their address."""
    return await visit.commands.run(
        method, {**params, "by": visit.who.person.name, "address": visit.who.address}
    )


async def run_form(visit: Visit, method: str, missing: str, **params: Any) -> dict[str, Any]:
    """Run a command with what was typed; raises FormErrors.

    ``missing``: the field beside which the error stands where the command finds nothing.
    """
    try:
        return await run(visit, method, **params)
    except InvalidValue as error:
        raise FormErrors({error.field: f"expected {error.expected}"}) from None
    except NothingThere as error:
        raise FormErrors({missing: str(error)}) from None


def operator_page(
    visit: Visit,
    template: str,
    *,
    live: bool = True,
    errors: Mapping[str, str] | None = None,
    **values: Any,
) -> Response:
    """Answer with an operator's page; with errors it is not live, so that the form stays."""
    newest = visit.newest if live and not errors else None
    return visit.page(
        f"operators/{template}.html", errors=errors, sections=SECTIONS, live=newest, **values
    )


def search_text(visit: Visit) -> str:
    """Return what the page is searched for."""
    return visit.query.get("search", "")[:80]
