"""The overview of the place, and one account of it."""

from typing import Any, Final
from urllib.parse import quote

from quart import Response

from engine.domain.errors import NothingThere
from web.labels import LIMITS, SIZINGS
from web.operators.commands import operator_page, run, search_text
from web.routes import Route, Who, get, post
from web.visit import Visit

_ACCOUNTS_PAGE: Final = 20
_ALERTS_SHOWN: Final = 10
NEEDS: Final = {
    "still": "/operate/alerts",
    "ledger": "/operate/system",
    "failing": "/operate/system",
    "unknowns": "/operate/unknowns",
    "quarantine": "/operate?troubled=yes#accounts",
    "troubled": "/operate?troubled=yes#accounts",
    "exchange": "/operate#exchanges",
    "switches": "/operate/switches",
    "alerts": "/operate/alerts",
    "channels": "/operate/alerts",
    "refused": "/operate/webhooks",
    "late": "/operate#accounts",
    "slow": "/operate#accounts",
    "busy": "/operate/system",
    "clock": "/operate/alerts",
    "missed": "/operate#accounts",
    "backup": "/operate/system",
    "wishes": "/operate/people",
}
"""The page where each need is met, by the code of the need."""


async def show_overview(visit: Visit) -> Response:
    """Show what needs somebody, what is switched off, and every account's task."""
    status = await run(visit, "status", hours=1, last_signal=False)
    alerts = await run(visit, "alerts", hours=24, waking=True, limit=_ALERTS_SHOWN)
    system = await run(visit, "system")
    search = search_text(visit)
    troubled = visit.query.get("troubled") == "yes"
    after = visit.query.get("after", "")[:80]
    accounts = await run(
        visit, "accounts", search=search, troubled=troubled, after=after, limit=_ACCOUNTS_PAGE + 1
    )
    rows = accounts["accounts"]
    touched = (await run(visit, "touched"))["touched"]
    guide = await run(visit, "guide")
    return operator_page(
        visit,
        "overview",
        seen=status,
        stops=touched if len(touched) != 2 else touched[:1],
        steps=[] if guide["done"] else _steps(guide["steps"]),
        rows=rows[:_ACCOUNTS_PAGE],
        more=rows[_ACCOUNTS_PAGE - 1]["name"] if len(rows) > _ACCOUNTS_PAGE else "",
        trouble=_trouble,
        total=sum(status["accounts"].values()),
        search=search,
        troubled=troubled,
        waking=alerts["alerts"],
        system=system,
        places=NEEDS,
    )


_GUIDE: Final = {
    "alerts": (
        "Choose alert channels",
        "Somebody must get the alerts.",
        "/operate/alerts",
    ),
    "master": (
        "Let a master in",
        "Invite a master, or make yourself one under People.",
        "/operate/people",
    ),
    "strategy": (
        "Wait for the first strategy",
        "The master makes it in the studio; it comes with an address and a secret for the bot.",
        "/studio",
    ),
    "account": (
        "Connect an account",
        "A follower connects it, on paper or with a key of an exchange.",
        "/accounts/connect",
    ),
    "terms": (
        "Agree to terms",
        "The follower chooses size and limits on the strategy’s page, and goes live.",
        "/strategies",
    ),
}
"""The steps to the first copied signal: what to do, how, and where."""


def _steps(done: dict[str, bool]) -> list[dict[str, Any]]:
    """Return the steps to the first copied signal, the last of them the signal itself."""
    steps: list[dict[str, Any]] = [
        {"what": what, "how": how, "page": page, "done": done[code]}
        for code, (what, how, page) in _GUIDE.items()
    ]
    last = {
        "what": "Send a signal",
        "how": "Each follower’s outcome appears on their pages and here; then this guide goes.",
        "page": "/studio",
        "done": False,
    }
    return [*steps, last]


async def show_account(visit: Visit, name: str) -> Response:
    """Show one account: its task, money, positions, terms, outcomes and orders; its owner is told
    who looked.

    With ``plan=yes`` also what differs from the exchange, with ``check=yes`` a check made now: when
    a person asks, never when the page renews itself, which keeps what it showed.
    """
    account = (await run(visit, "accounts", name=name))["accounts"][0]
    seen = await run(
        visit,
        "account_view",
        name=name,
        before_order=visit.before("order"),
        before_signal=visit.before("signal"),
    )
    plan = check = None
    if visit.query.get("plan") == "yes" and not visit.only_looks:
        plan = await run(visit, "reconcile", name=name)
    if visit.query.get("check") == "yes" and not visit.only_looks:
        check = await run(visit, "check", name=name)
    return operator_page(
        visit,
        "account",
        account=account,
        stop=(await run(visit, "touched", scope="account", target=name))["touched"][0],
        seen=seen,
        plan=plan,
        check=check,
        trouble=_trouble(account),
        sizings=SIZINGS,
        limits=LIMITS,
    )


async def change_account(visit: Visit, name: str, act: str) -> Response:
    """Correct the ledger by the exchange, or end a quarantine."""
    visit.require_fresh()
    if act == "reconcile":
        await run(visit, "reconcile", name=name, apply=True)
    elif act == "release":
        await run(visit, "release", name=name)
    else:
        raise NothingThere("there is no such act")
    notice = "released" if act == "release" else "changed"
    return visit.go(f"/operate/accounts/{quote(name)}", notice)


def _trouble(account: dict[str, Any]) -> str:
    """Return what is wrong with an account's task; empty where nothing is."""
    task = account["task"]
    if task is None:
        return "no task runs"
    if task["quarantined"]:
        return f"quarantined, no new entries: {task['last_error']}"
    if task["problem"]:
        return str(task["problem"])
    if not task["running"]:
        return f"restarting: {task['last_error']}"
    unproven = account["unproven"]
    return f"unknown orders: {unproven}" if unproven else ""


ROUTES: Final[tuple[Route, ...]] = (
    get("/operate", Who.OPERATOR, show_overview),
    get("/operate/accounts/<name>", Who.OPERATOR, show_account),
    post(
        "/operate/accounts/<name>/<act>",
        Who.OPERATOR,
        change_account,
        page="/operate/accounts/<name>",
    ),
)
