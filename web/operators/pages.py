"""The operators' pages, each a command or two of the operator's shell, with the operator's name on what is done."""

from typing import Any, Final
from urllib.parse import quote

from quart import Response

from engine.domain.errors import InvalidValue
from engine.office import NothingThere
from web.rooms import Rooms, Who
from web.service_port import Service
from web.visit import Visit

PAGE: Final = 50
SHOWN: Final = 30
LEVELS: Final = {
    "entries": ("No new entries", "Exits go on; what is open stays."),
    "reduce": ("Reduce only", "Resting entries are taken back too: exposure can only shrink."),
    "flatten": ("Flatten", "What the engine opened is closed, again and again until the exchange says that it is."),
}
SECTIONS: Final = (
    ("", "Overview"), ("/switches", "Switches"), ("/unknowns", "Unknowns"), ("/people", "People"), ("/alerts", "Alerts"),
    ("/webhooks", "Webhooks"), ("/audit", "Audit"), ("/plugins", "Plugins"), ("/system", "System"),
)  # fmt: skip
"""Each operator's page with its name in the row of tabs."""


def register_operators(rooms: Rooms, service: Service) -> None:
    """Add the operators' pages."""
    Desk(rooms, service).register()


class Desk:
    """Hold what the operators' pages share."""

    def __init__(self, rooms: Rooms, service: Service) -> None:
        self._rooms = rooms
        self._service = service

    def register(self) -> None:
        """Declare every page and act."""
        get, post = self._rooms.get, self._rooms.post
        for address, page in (
            ("/operate", self.overview), ("/operate/switches", self.switches), ("/operate/accounts/<name>", self.account),
            ("/operate/unknowns", self.unknowns), ("/operate/people", self.people), ("/operate/alerts", self.alerts),
            ("/operate/webhooks", self.webhooks), ("/operate/audit", self.audit), ("/operate/plugins", self.plugins),
            ("/operate/system", self.system),
        ):  # fmt: skip
            get(address, Who.OPERATOR)(page)
        for address, act in (
            ("/operate/switches/on", self.halt), ("/operate/switches/off", self.resume), ("/operate/accounts/<name>/<act>", self.act),
            ("/operate/unknowns", self.decide), ("/operate/people/role", self.role), ("/operate/people/link", self.link),
            ("/operate/people/invite", self.invite), ("/operate/people/revoke", self.revoke), ("/operate/people/master", self.master),
            ("/operate/alerts/test", self.test_alert), ("/operate/audit/verify", self.verify),
        ):  # fmt: skip
            post(address, Who.OPERATOR)(act)

    async def _ask(self, visit: Visit, method: str, **params: Any) -> dict[str, Any]:
        return await self._service.command(method, {**params, "by": visit.who.person.name})

    def _page(self, visit: Visit, template: str, *, live: bool = True, **values: Any) -> Response:
        newest = self._rooms.desks.pulse.newest() if live else None
        return visit.page(f"operators/{template}.html", sections=SECTIONS, live=newest, **values)

    def _fresh(self, visit: Visit) -> None:
        visit.who.require_fresh(visit.now)

    # Overview and accounts

    async def overview(self, visit: Visit) -> Response:
        """Show how every account's task does, what is switched, and what wakes somebody."""
        seen, alerts, system = [
            await self._ask(visit, "status", hours=1), await self._ask(visit, "alerts", hours=24), await self._ask(visit, "system")
        ]  # fmt: skip
        search, troubled = visit.query.get("search", "")[:80], visit.query.get("troubled") == "yes"
        after = visit.query.get("after", "")[:80]
        found = await self._ask(visit, "accounts", search=search, troubled=troubled, after=after, limit=SHOWN + 1)
        rows = found["accounts"]
        waking = [each for each in alerts["alerts"] if each["wakes"]]
        return self._page(
            visit, "overview", seen=seen, rows=rows[:SHOWN], more=rows[SHOWN - 1]["name"] if len(rows) > SHOWN else "", trouble=_trouble,
            total=sum(seen["accounts"].values()), search=search, troubled=troubled, waking=waking[:10], system=system,
        )  # fmt: skip

    async def account(self, visit: Visit, name: str) -> Response:
        """Show one account: task, holdings, last check; with ``plan`` what differs from the exchange."""
        found = (await self._ask(visit, "accounts", name=name))["accounts"][0]
        plan = await self._ask(visit, "reconcile", name=name) if visit.query.get("plan") == "yes" else None
        check = await self._ask(visit, "check", name=name) if visit.query.get("check") == "yes" else None
        return self._page(visit, "account", each=found, plan=plan, check=check, trouble=_trouble(found))

    async def act(self, visit: Visit, name: str, act: str) -> Response:
        """Apply corrections, or end a quarantine."""
        self._fresh(visit)
        if act == "reconcile":
            await self._ask(visit, "reconcile", name=name, apply=True)
        elif act == "release":
            await self._ask(visit, "release", name=name)
        else:
            raise NothingThere("there is no such act")
        return visit.go(f"/operate/accounts/{name}", "released" if act == "release" else "changed")

    # Switches

    async def switches(self, visit: Visit) -> Response:
        """Show what is switched, what is still open under a flatten, and what entries were stopped in the last minutes."""
        seen, found = await self._ask(visit, "status", hours=1), await self._ask(visit, "accounts", limit=50)
        open_: list[dict[str, Any]] = []
        for each in seen["switches"]:
            if each["level"] == "flatten":
                target = {} if each["scope"] == "all" else {"target": each["target"]}
                open_ += (await self._ask(visit, "still_open", scope=each["scope"], **target))["open"]
        stopped = {code: count for code, count in seen["copies"].items() if code in ("killed", "skipped.entries_off")}
        names = {
            "account": [each["name"] for each in found["accounts"]],
            "exchange": sorted(self._rooms.desks.office.plugins().exchanges),
            "strategy": [row.name for row, _ in self._rooms.desks.performance.directory_of_all()],
        }  # fmt: skip
        return self._page(visit, "switches", seen=seen, levels=LEVELS, open=open_, stopped=stopped, names=names)

    async def halt(self, visit: Visit) -> Response:
        """Switch on: it lowers risk, so nothing more is asked."""
        scope, target = visit.text("scope", "all"), visit.text("target")
        params = {} if scope == "all" else {"target": target}
        await self._ask(visit, "halt", scope=scope, level=visit.text("level"), note=visit.text("note"), **params)
        return visit.go("/operate/switches", "halted")

    async def resume(self, visit: Visit) -> Response:
        """Switch off; a factor is asked, for entries begin again."""
        self._fresh(visit)
        scope, target = visit.text("scope"), visit.text("target")
        await self._ask(visit, "resume", scope=scope, **({} if scope == "all" else {"target": target}))
        return visit.go("/operate/switches", "resumed")

    # Orders without proof

    async def unknowns(self, visit: Visit) -> Response:
        """Show orders whose fate is not proven."""
        return self._page(visit, "unknowns", rows=(await self._ask(visit, "unknown"))["unknown"])

    async def decide(self, visit: Visit) -> Response:
        """Decide about one: the exchange's id of the order, or that there is none."""
        self._fresh(visit)
        order = visit.text("order")
        await self._ask(
            visit, "decide", signal=visit.text("signal"), follower=visit.text("follower"), note=visit.text("note"), order=order
        )  # fmt: skip
        return visit.go("/operate/unknowns", "decided")

    # People

    async def people(self, visit: Visit) -> Response:
        """Show everybody, invitations, and who asks to become a master."""
        return await self._people(visit)

    async def _people(self, visit: Visit, shown: dict[str, Any] | None = None) -> Response:
        search = visit.query.get("search", "")[:80]
        told, invited = await self._ask(visit, "users", search=search, limit=SHOWN), await self._ask(visit, "invitations")
        strategies = [row.name for row, _ in self._rooms.desks.performance.directory_of_all()]
        return self._page(
            visit, "people", live=shown is None, rows=told["users"], total=told["total"], asked=told["asked_to_be_master"], search=search,
            invitations=invited["invitations"], shown=shown, strategies=strategies,
        )  # fmt: skip

    async def role(self, visit: Visit) -> Response:
        """Give or take a role."""
        self._fresh(visit)
        await self._ask(visit, "user_role", name=visit.text("name"), role=visit.text("role"), take=visit.text("take") == "yes")
        return visit.go(f"/operate/people?search={quote(visit.text('name'))}", "role")

    async def link(self, visit: Visit) -> Response:
        """Make a one-time sign-in link, shown once."""
        self._fresh(visit)
        return await self._people(visit, await self._ask(visit, "user_link", name=visit.text("name")))

    async def invite(self, visit: Visit) -> Response:
        """Make an invitation, shown once."""
        self._fresh(visit)
        uses, days = _whole(visit.text("uses", "1"), "uses"), _whole(visit.text("days", "7"), "days")
        told = await self._ask(visit, "invite", role=visit.text("role"), strategy=visit.text("strategy"), uses=uses, days=days)
        return await self._people(visit, told)

    async def revoke(self, visit: Visit) -> Response:
        """End an invitation."""
        await self._ask(visit, "invitation_revoke", id=visit.text("id"))
        return visit.go("/operate/people", "revoked-invitation")

    async def master(self, visit: Visit) -> Response:
        """Decide about somebody's wish to publish strategies."""
        self._fresh(visit)
        await self._ask(visit, "decide_master", name=visit.text("name"), grant=visit.text("grant") == "yes")
        return visit.go("/operate/people", "decided")

    # Records and the machine

    async def alerts(self, visit: Visit) -> Response:
        """Show alerts of the last days and how each channel does."""
        return self._page(visit, "alerts", told=await self._ask(visit, "alerts", hours=24 * 7), tested=None)

    async def test_alert(self, visit: Visit) -> Response:
        """Send a test through one channel now."""
        tested = await self._ask(visit, "alert_test", channel=visit.text("channel"))
        return self._page(visit, "alerts", told=await self._ask(visit, "alerts", hours=24 * 7), tested=tested)

    async def webhooks(self, visit: Visit) -> Response:
        """Show the newest deliveries that were not taken."""
        return self._page(visit, "webhooks", rows=(await self._ask(visit, "refusals"))["refusals"])

    async def audit(self, visit: Visit) -> Response:
        """Show what people did, newest first."""
        return await self._audit(visit, None)

    async def verify(self, visit: Visit) -> Response:
        """Walk the chain of seals."""
        return await self._audit(visit, await self._ask(visit, "audit_verify"))

    async def _audit(self, visit: Visit, proof: dict[str, Any] | None) -> Response:
        search, before = visit.query.get("search", "")[:80], visit.query.get("before", "")
        number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
        rows = (await self._ask(visit, "audit", limit=PAGE, search=search, before=number))["audit"]
        older = rows[-1]["number"] if len(rows) >= PAGE else None
        return self._page(visit, "audit", rows=rows, search=search, older=older, proof=proof)

    async def plugins(self, visit: Visit) -> Response:
        """Show what is installed and enabled, with kit records."""
        return self._page(visit, "plugins", live=False, told=await self._ask(visit, "plugins"))

    async def system(self, visit: Visit) -> Response:
        """Show versions, disk, clock and backups."""
        return self._page(visit, "system", live=False, told=await self._ask(visit, "system"))


def _trouble(each: dict[str, Any]) -> str:
    """Say what is wrong with an account's task, nothing where it does well."""
    task = each["task"]
    if task is None:
        return "no task runs"
    if task["quarantined"]:
        return f"quarantined, no new entries: {task['last_error']}"
    if task["problem"]:
        return str(task["problem"])
    if not task["running"]:
        return f"restarting: {task['last_error']}"
    return f"{each['unproven']} orders without proof" if each["unproven"] else ""


def _whole(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise InvalidValue(field, "a whole number", text)
    return int(text)
