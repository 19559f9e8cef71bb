"""Alerts, refused deliveries, the audit, plugins and the system."""

import json
from typing import Any, Final

from quart import Response

from web.operators.commands import operator_page, run, search_text
from web.routes import Route, Who, get, post
from web.visit import Visit

_AUDIT_PAGE: Final = 50
_ALERT_HOURS: Final = 24 * 7


async def show_alerts(visit: Visit) -> Response:
    """Show the alerts of the last week, and how each channel does."""
    tested = visit.kept().get("tested")
    alerts = await run(visit, "alerts", hours=_ALERT_HOURS)
    return operator_page(visit, "alerts", record=alerts, tested=tested)


async def send_test_alert(visit: Visit) -> Response:
    """Send a test through one channel now."""
    tested = await run(visit, "alert_test", channel=visit.text("channel"))
    return visit.show("/operate/alerts", tested=tested)


async def show_refused(visit: Visit) -> Response:
    """Show the newest deliveries that were refused."""
    refused = await run(visit, "refusals")
    return operator_page(visit, "webhooks", rows=refused["refusals"])


async def show_audit(visit: Visit) -> Response:
    """Show what people did, newest first."""
    search = search_text(visit)
    audit = await run(visit, "audit", limit=_AUDIT_PAGE, search=search, before=visit.before())
    rows = audit["audit"]
    return operator_page(
        visit,
        "audit",
        rows=[{**row, "details": _details(row["data"])} for row in rows],
        search=search,
        older=rows[-1]["number"] if len(rows) >= _AUDIT_PAGE else None,
        proof=visit.kept().get("proof"),
    )


async def verify_audit(visit: Visit) -> Response:
    """Verify the chain of seals, and show the result."""
    return visit.show("/operate/audit", proof=await run(visit, "audit_verify"))


async def show_plugins(visit: Visit) -> Response:
    """Show what is installed and enabled, with kit records."""
    return operator_page(visit, "plugins", live=False, record=await run(visit, "plugins"))


async def show_system(visit: Visit) -> Response:
    """Show versions, disk, clock and backups."""
    return operator_page(visit, "system", live=False, record=await run(visit, "system"))


def _details(data: str) -> str:
    """Return the data of an audit row (JSON, as it is sealed) as a person reads it."""
    fields: dict[str, Any] = json.loads(data)
    return "; ".join(
        f"{name.replace('_', ' ')}: {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in fields.items()
    )


ROUTES: Final[tuple[Route, ...]] = (
    get("/operate/alerts", Who.OPERATOR, show_alerts),
    post("/operate/alerts/test", Who.OPERATOR, send_test_alert, once=True),
    get("/operate/webhooks", Who.OPERATOR, show_refused),
    get("/operate/audit", Who.OPERATOR, show_audit),
    post("/operate/audit/verify", Who.OPERATOR, verify_audit),
    get("/operate/plugins", Who.OPERATOR, show_plugins),
    get("/operate/system", Who.OPERATOR, show_system),
)
