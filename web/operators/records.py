"""Alerts, refused deliveries, the audit, plugins and the system."""

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from quart import Response

from web.audit_words import KINDS, acts_saying, changes, sentence
from web.operators.commands import operator_page, run, search_text
from web.routes import Route, Who, get, post
from web.visit import Visit

_AUDIT_PAGE: Final = 50
_AUDIT_LOOKED: Final = 20_000
"""How many rows one page of a search looks at."""
_ALERT_HOURS: Final = 24 * 7
_ALERTS_PAGE: Final = 50


async def show_alerts(visit: Visit) -> Response:
    """Show the alerts of the last week, and how each channel does."""
    tested = visit.kept().get("tested")
    alerts = await run(
        visit, "alerts", hours=_ALERT_HOURS, limit=_ALERTS_PAGE, before=visit.before()
    )
    plugins = await run(visit, "plugins")
    typed = visit.query.getlist("channel")
    chosen = [name for name in alerts["registered"] if name in (typed or alerts["channels"])]
    return operator_page(
        visit,
        "alerts",
        record=alerts,
        tested=tested,
        chosen=chosen,
        lines=f"[operator]\nalerts = {json.dumps(chosen)}" if typed else "",
        idle=[
            each["name"]
            for each in plugins["plugins"]
            if not each["enabled"] and "register_notifiers" in each["hooks"]
        ],
    )


async def send_test_alert(visit: Visit) -> Response:
    """Send a test through one channel now."""
    tested = await run(visit, "alert_test", channel=visit.text("channel"))
    return visit.show("/operate/alerts", tested=tested)


async def show_refused(visit: Visit) -> Response:
    """Show the newest deliveries that were refused."""
    refused = await run(visit, "refusals")
    return operator_page(visit, "webhooks", rows=refused["refusals"])


async def show_audit(visit: Visit) -> Response:
    """Show what people did in words, newest first, filtered by text, kind and day."""
    search, kind = search_text(visit), visit.query.get("kind", "")
    since, until = visit.query.get("from", ""), visit.query.get("to", "")
    errors = dict[str, str]()
    audit = await run(
        visit,
        "audit",
        limit=_AUDIT_PAGE + 1,
        search=search,
        said=acts_saying(search),
        acts=list(KINDS[kind][1]) if kind in KINDS else [],
        since=_day_begins(visit, "from", since, errors),
        until=_day_begins(visit, "to", until, errors, days=1),
        before=visit.before(),
        looks=_AUDIT_LOOKED,
    )
    rows, onward = audit["audit"], audit["looked_to"]
    if len(rows) > _AUDIT_PAGE:
        onward = rows[_AUDIT_PAGE - 1]["number"]
    asked = {"search": search, "kind": kind, "from": since, "to": until}
    return operator_page(
        visit,
        "audit",
        errors=errors,
        rows=[
            {**row, "told": sentence(row), "changes": changes(row["data"])}
            for row in rows[:_AUDIT_PAGE]
        ],
        asked=asked,
        kinds={name: label for name, (label, _) in KINDS.items()},
        older=urlencode({**asked, "before": onward}) if onward else "",
        proof=visit.kept().get("proof"),
    )


def _day_begins(
    visit: Visit, name: str, typed: str, errors: dict[str, str], *, days: int = 0
) -> str:
    """Return when a typed day begins in the user's zone, some days on; empty for no day."""
    if not typed:
        return ""
    try:
        day = date.fromisoformat(typed) + timedelta(days=days)
        zone = ZoneInfo(visit.who.person.zone)
        return datetime.combine(day, time(), zone).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        errors[name] = "expected a day, such as 2026-01-31"
        return ""


async def verify_audit(visit: Visit) -> Response:
    """Verify the chain of seals, and show the result."""
    return visit.show("/operate/audit", proof=await run(visit, "audit_verify"))


async def show_plugins(visit: Visit) -> Response:
    """Show what is installed and enabled, with kit records."""
    return operator_page(visit, "plugins", live=False, record=await run(visit, "plugins"))


async def show_system(visit: Visit) -> Response:
    """Show versions, disk, clock, backups and the ages of keys."""
    return operator_page(
        visit,
        "system",
        live=False,
        record=await run(visit, "system"),
        kept=await run(visit, "backups"),
        keys=await run(visit, "key_status"),
    )


ROUTES: Final[tuple[Route, ...]] = (
    get("/operate/alerts", Who.OPERATOR, show_alerts),
    post(
        "/operate/alerts/test",
        Who.OPERATOR,
        send_test_alert,
        page="/operate/alerts",
        once=True,
        keeps=("channel",),
    ),
    get("/operate/webhooks", Who.OPERATOR, show_refused),
    get("/operate/audit", Who.OPERATOR, show_audit),
    post("/operate/audit/verify", Who.OPERATOR, verify_audit, page="/operate/audit"),
    get("/operate/plugins", Who.OPERATOR, show_plugins),
    get("/operate/system", Who.OPERATOR, show_system),
)
