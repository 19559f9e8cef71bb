"""The operators' pages, each a command or two of the operator's shell, with the operator's name on
what is done.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from quart import Response

from engine.domain.errors import InvalidValue, NothingThere
from engine.domain.typed import typed_whole
from engine.services.user import FormErrors
from web.again import Again
from web.engine_port import Commands
from web.rooms import Rooms, Who
from web.visit import Visit

PAGE: Final = 50
SHOWN: Final = 20
_WHOLE_MAX: Final = 99_999
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
    "refused": "/operate/webhooks",
    "late": "/operate#accounts",
    "missed": "/operate#accounts",
    "wishes": "/operate/people",
}
"""Where what needs somebody is acted upon, by its code."""
SECTIONS: Final = (
    ("", "Overview"),
    ("/switches", "Switches"),
    ("/unknowns", "Unknowns"),
    ("/people", "People"),
    ("/alerts", "Alerts"),
    ("/webhooks", "Webhooks"),
    ("/audit", "Audit"),
    ("/plugins", "Plugins"),
    ("/system", "System"),
)
"""Each operator's page with its name in the row of tabs."""


def register_operators(rooms: Rooms, commands: Commands) -> "Service":
    """Add the operators' pages; returns what further pages of theirs ask and answer with."""
    service = Service(rooms, commands)
    service.register()
    return service


class Service:
    """Hold what the operators' pages share."""

    def __init__(self, rooms: Rooms, commands: Commands) -> None:
        self._rooms = rooms
        self._commands = commands

    def register(self) -> None:
        """Declare every page and act."""
        get, post = self._rooms.get, self._rooms.post
        for address, page in (
            ("/operate", self.overview),
            ("/operate/accounts/<name>", self.account),
            ("/operate/unknowns", self.unknowns),
            ("/operate/people", self.people),
            ("/operate/alerts", self.alerts),
            ("/operate/webhooks", self.webhooks),
            ("/operate/audit", self.audit),
            ("/operate/plugins", self.plugins),
            ("/operate/system", self.system),
        ):
            get(address, Who.OPERATOR)(page)
        for address, act in (
            ("/operate/accounts/<name>/<act>", self.act),
            ("/operate/unknowns", self.decide),
            ("/operate/people/role", self.role),
            ("/operate/people/master", self.master),
            ("/operate/audit/verify", self.verify),
        ):
            post(address, Who.OPERATOR)(act)
        for address, act in (
            ("/operate/people/link", self.link),
            ("/operate/people/invite", self.invite),
            ("/operate/alerts/test", self.test_alert),
        ):
            post(address, Who.OPERATOR, once=True)(act)
        post(
            "/operate/people/revoke",
            Who.OPERATOR,
            again=Again(lambda said: "End this invitation", ("id",)),
        )(self.revoke)

    async def ask(self, visit: Visit, method: str, **params: Any) -> dict[str, Any]:
        """Run a command of the operator's shell, in the user's name and from where they are."""
        return await self._commands.run(
            method, {**params, "by": visit.who.person.name, "address": visit.who.address}
        )

    async def ask_form(
        self, visit: Visit, method: str, missing: str, **params: Any
    ) -> dict[str, Any]:
        """Run a command with what somebody typed; raises FormErrors. ``missing``: the field beside
        which stands what is not there.
        """
        try:
            return await self.ask(visit, method, **params)
        except InvalidValue as error:
            raise FormErrors({error.field: f"expected {error.expected}"}) from None
        except NothingThere as error:
            raise FormErrors({missing: str(error)}) from None

    def page(
        self,
        visit: Visit,
        template: str,
        *,
        live: bool = True,
        errors: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """Answer with a page of the operators' rooms; with ``errors`` a form was not taken, and the
        page holds still.
        """
        newest = self._rooms.services.pulse.newest() if live and not errors else None
        return visit.page(
            f"operators/{template}.html",
            422 if errors else 200,
            errors=errors,
            sections=SECTIONS,
            live=newest,
            **values,
        )

    # Overview and accounts

    async def overview(self, visit: Visit) -> Response:
        """Show how every account's task does, what is switched, and what wakes somebody."""
        seen, alerts, system = [
            await self.ask(visit, "status", hours=1),
            await self.ask(visit, "alerts", hours=24),
            await self.ask(visit, "system"),
        ]
        search, troubled = visit.query.get("search", "")[:80], visit.query.get("troubled") == "yes"
        after = visit.query.get("after", "")[:80]
        found = await self.ask(
            visit, "accounts", search=search, troubled=troubled, after=after, limit=SHOWN + 1
        )
        rows = found["accounts"]
        waking = [each for each in alerts["alerts"] if each["wakes"]]
        return self.page(
            visit,
            "overview",
            seen=seen,
            rows=rows[:SHOWN],
            more=rows[SHOWN - 1]["name"] if len(rows) > SHOWN else "",
            trouble=_trouble,
            total=sum(seen["accounts"].values()),
            search=search,
            troubled=troubled,
            waking=waking[:10],
            system=system,
            places=NEEDS,
        )

    async def account(self, visit: Visit, name: str) -> Response:
        """Show one account: task, holdings, last check; with ``plan`` what differs from the
        exchange.
        """
        found = (await self.ask(visit, "accounts", name=name))["accounts"][0]
        plan = (
            await self.ask(visit, "reconcile", name=name)
            if visit.query.get("plan") == "yes"
            else None
        )
        check = (
            await self.ask(visit, "check", name=name) if visit.query.get("check") == "yes" else None
        )
        return self.page(
            visit, "account", each=found, plan=plan, check=check, trouble=_trouble(found)
        )

    async def act(self, visit: Visit, name: str, act: str) -> Response:
        """Apply corrections, or end a quarantine."""
        visit.require_fresh()
        if act == "reconcile":
            await self.ask(visit, "reconcile", name=name, apply=True)
        elif act == "release":
            await self.ask(visit, "release", name=name)
        else:
            raise NothingThere("there is no such act")
        return visit.go(
            f"/operate/accounts/{quote(name)}", "released" if act == "release" else "changed"
        )

    # Orders without proof

    async def unknowns(self, visit: Visit) -> Response:
        """Show orders whose fate is not proven."""
        return await self._unknowns(visit)

    async def _unknowns(self, visit: Visit, errors: Mapping[str, str] | None = None) -> Response:
        rows, about = (
            (await self.ask(visit, "unknown"))["unknown"],
            (visit.text("signal"), visit.text("follower")),
        )
        if errors and about not in [(each["signal_id"], each["account"]) for each in rows]:
            errors = {
                "": "; ".join(errors.values())
            }  # its form is gone: the order was proven meanwhile
        return self.page(visit, "unknowns", errors=errors, rows=rows, about=about)

    async def decide(self, visit: Visit) -> Response:
        """Decide about one: the exchange's id of the order, or that there is none."""
        visit.require_fresh()
        copy = {"signal": visit.text("signal"), "follower": visit.text("follower")}
        try:
            await self.ask_form(
                visit, "decide", "order", **copy, note=visit.text("note"), order=visit.text("order")
            )
        except FormErrors as error:
            return await self._unknowns(visit, error.errors)
        return visit.go("/operate/unknowns", "decided")

    # People

    async def people(self, visit: Visit) -> Response:
        """Show everybody, invitations, and who asks to become a master."""
        return await self._people(visit)

    async def _people(self, visit: Visit, errors: Mapping[str, str] | None = None) -> Response:
        shown: dict[str, Any] | None = visit.kept().get("made")
        search = visit.query.get("search", "")[:80]
        told, invited = (
            await self.ask(visit, "users", search=search, limit=SHOWN),
            await self.ask(visit, "invitations"),
        )
        strategies = [row.name for row, _ in self._rooms.services.performance.directory_of_all()]
        return self.page(
            visit,
            "people",
            live=shown is None,
            errors=errors,
            rows=told["users"],
            total=told["total"],
            search=search,
            asked=told["asked_to_be_master"],
            invitations=invited["invitations"],
            shown=shown,
            strategies=strategies,
        )

    async def role(self, visit: Visit) -> Response:
        """Give or take a role."""
        visit.require_fresh()
        await self.ask(
            visit,
            "user_role",
            name=visit.text("name"),
            role=visit.text("role"),
            take=visit.text("take") == "yes",
        )
        return visit.go(f"/operate/people?search={quote(visit.text('name'))}", "role")

    async def link(self, visit: Visit) -> Response:
        """Make a one-time sign-in link, shown once."""
        visit.require_fresh()
        return visit.show(
            "/operate/people", made=await self.ask(visit, "user_link", name=visit.text("name"))
        )

    async def invite(self, visit: Visit) -> Response:
        """Make an invitation, shown once."""
        visit.require_fresh()
        try:
            numbers = _whole_numbers(visit, uses="1", days="7")
            told = await self.ask_form(
                visit,
                "invite",
                "strategy",
                role=visit.text("role"),
                strategy=visit.text("strategy"),
                **numbers,
            )
        except FormErrors as error:
            return await self._people(visit, error.errors)
        return visit.show("/operate/people", made=told)

    async def revoke(self, visit: Visit) -> Response:
        """End an invitation."""
        await self.ask(visit, "invitation_revoke", id=visit.text("id"))
        return visit.go("/operate/people", "revoked-invitation")

    async def master(self, visit: Visit) -> Response:
        """Decide about somebody's wish to publish strategies."""
        visit.require_fresh()
        await self.ask(
            visit, "decide_master", name=visit.text("name"), grant=visit.text("grant") == "yes"
        )
        return visit.go("/operate/people", "decided")

    # Records and the machine

    async def alerts(self, visit: Visit) -> Response:
        """Show alerts of the last days and how each channel does."""
        tested = visit.kept().get("tested")
        return self.page(
            visit, "alerts", told=await self.ask(visit, "alerts", hours=24 * 7), tested=tested
        )

    async def test_alert(self, visit: Visit) -> Response:
        """Send a test through one channel now."""
        return visit.show(
            "/operate/alerts",
            tested=await self.ask(visit, "alert_test", channel=visit.text("channel")),
        )

    async def webhooks(self, visit: Visit) -> Response:
        """Show the newest deliveries that were not taken."""
        return self.page(visit, "webhooks", rows=(await self.ask(visit, "refusals"))["refusals"])

    async def audit(self, visit: Visit) -> Response:
        """Show what people did, newest first."""
        return await self._audit(visit, visit.kept().get("proof"))

    async def verify(self, visit: Visit) -> Response:
        """Walk the chain of seals."""
        return visit.show("/operate/audit", proof=await self.ask(visit, "audit_verify"))

    async def _audit(self, visit: Visit, proof: dict[str, Any] | None) -> Response:
        search, before = visit.query.get("search", "")[:80], visit.query.get("before", "")
        number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
        rows = (await self.ask(visit, "audit", limit=PAGE, search=search, before=number))["audit"]
        older = rows[-1]["number"] if len(rows) >= PAGE else None
        rows = [{**each, "told": _told(each["data"])} for each in rows]
        return self.page(visit, "audit", rows=rows, search=search, older=older, proof=proof)

    async def plugins(self, visit: Visit) -> Response:
        """Show what is installed and enabled, with kit records."""
        return self.page(visit, "plugins", live=False, told=await self.ask(visit, "plugins"))

    async def system(self, visit: Visit) -> Response:
        """Show versions, disk, clock and backups."""
        return self.page(visit, "system", live=False, told=await self.ask(visit, "system"))


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
    return f"without proof: {each['unproven']} of its orders" if each["unproven"] else ""


def _told(data: str) -> str:
    """Write what an audit row carries for a person; the command tells it as it is sealed."""
    found: dict[str, Any] = json.loads(data)
    return "; ".join(
        f"{name.replace('_', ' ')}: {each if isinstance(each, str) else json.dumps(each)}"
        for name, each in found.items()
    )


def _whole_numbers(visit: Visit, **defaults: str) -> dict[str, int]:
    """Read fields that are whole numbers; raises FormErrors that names every one that is none."""
    numbers, wrong = {}, {}
    for name, default in defaults.items():
        try:
            numbers[name] = typed_whole(visit.text(name, default), name, 0, _WHOLE_MAX)
        except InvalidValue as error:
            wrong[name] = f"expected {error.expected}"
    if wrong:
        raise FormErrors(wrong)
    return numbers
