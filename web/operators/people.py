"""The people of the place: roles, one-time links, invitations, and who asks to become a master."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from quart import Response

from engine.domain.errors import InvalidValue
from engine.domain.typed import typed_whole
from engine.services.user import FormErrors
from web.again import Again
from web.operators.commands import operator_page, run, run_form, search_text
from web.routes import Route, Who, form, get, post
from web.visit import Visit

_PEOPLE_SHOWN: Final = 20
_WHOLE_MAX: Final = 99_999
ROLES: Final[Mapping[str, str]] = {
    "follower": "Connects accounts and copies strategies.",
    "master": "Publishes strategies and sends their signals.",
    "operator": "Runs this installation: stops trading, lets people in, reads the audit.",
}
"""Each role with what it opens."""
_STANDS_FOR: Final[Mapping[str, tuple[str, str, str]]] = {
    "follower": ("accounts", "account", "accounts"),
    "master": ("strategies", "strategy", "strategies"),
}
"""What takes no entries without the role: its name in the answer about a person, one, several."""
SUSPENDED: Final = "suspended"
_ALL: Final = "/operate/people"
_ONE: Final = "/operate/people/<name>"


async def show_people(visit: Visit) -> Response:
    """Show people, invitations, and who asks to become a master."""
    made: dict[str, Any] | None = visit.kept().get("made")
    search, who = search_text(visit), visit.query.get("who", "")
    after = visit.query.get("after", "")[:80]
    users = await run(
        visit,
        "users",
        search=search,
        role=who if who in ROLES else "",
        suspended=who == SUSPENDED,
        after=after,
        limit=_PEOPLE_SHOWN + 1,
    )
    rows = users["users"]
    asked = {"search": search, "who": who}
    invitations = await run(visit, "invitations")
    strategies = visit.services.performance.directory_of_all()
    return operator_page(
        visit,
        "people",
        live=made is None,
        rows=rows[:_PEOPLE_SHOWN],
        more=urlencode({**asked, "after": rows[_PEOPLE_SHOWN - 1]["name"]})
        if len(rows) > _PEOPLE_SHOWN
        else "",
        total=users["total"],
        selected=asked,
        first=urlencode(asked) if after else "",
        wishes=users["asked_to_be_master"],
        invitations=invitations["invitations"],
        shown=made,
        strategies=[row.name for row in strategies],
    )


async def show_person(visit: Visit, name: str) -> Response:
    """Show one person: factors, sessions, roles, and what is theirs."""
    made: dict[str, Any] | None = visit.kept().get("made")
    user = await run(visit, "user", name=name)
    return operator_page(
        visit,
        "person",
        live=made is None,
        user=user,
        roles_known=ROLES,
        without={role: _without(user, role) for role in ROLES},
        shown=made,
    )


async def change_role(visit: Visit) -> Response:
    """Give or take a role."""
    name, role, takes = visit.text("name"), visit.text("role"), visit.text("take") == "yes"
    if takes and not visit.who.is_fresh(visit.now):
        stops = _without(await run(visit, "user", name=name), role)
        visit.consequence = f"{name} is no longer a {role} then: {stops}" if stops else ""
    visit.require_fresh()
    await run(visit, "user_role", name=name, role=role, take=takes)
    return visit.go(_page_of(name), "role")


async def suspend(visit: Visit) -> Response:
    """Suspend somebody; it lowers risk, so that no factor is asked for."""
    name = visit.text("name")
    await run_form(visit, "user_suspend", "name", name=name, note=visit.text("note"))
    return visit.go(_page_of(name), "suspended")


async def resume(visit: Visit) -> Response:
    """End somebody's suspension."""
    visit.require_fresh()
    name = visit.text("name")
    await run(visit, "user_resume", name=name)
    return visit.go(_page_of(name), "unsuspended")


async def sign_out(visit: Visit) -> Response:
    """End one session of somebody, or all of them; it lowers risk."""
    name = visit.text("name")
    await run(visit, "user_sign_out", name=name, session=visit.text("session"))
    return visit.go(_page_of(name), "signed-out")


async def reset_factors(visit: Visit) -> Response:
    """Remove the second factors of somebody who lost them."""
    visit.require_fresh()
    name = visit.text("name")
    await run(visit, "user_reset_factors", name=name)
    return visit.go(_page_of(name), "factors-reset")


async def make_link(visit: Visit) -> Response:
    """Make a one-time link that signs a person in, and show it once."""
    visit.require_fresh()
    made = await run(visit, "user_link", name=visit.text("name"))
    return visit.show(_page_of(str(made["name"])), made=made)


async def invite(visit: Visit) -> Response:
    """Make an invitation, and show it once."""
    visit.require_fresh()
    made = await run_form(
        visit,
        "invite",
        "strategy",
        role=visit.text("role"),
        strategy=visit.text("strategy"),
        **_whole_numbers(visit, uses="1", days="7"),
    )
    return visit.show("/operate/people", made=made)


async def revoke_invitation(visit: Visit) -> Response:
    """End an invitation."""
    await run(visit, "invitation_revoke", id=visit.text("id"))
    return visit.go("/operate/people", "revoked-invitation")


async def decide_master(visit: Visit) -> Response:
    """Grant or refuse the role of a master to somebody who asked for it."""
    visit.require_fresh()
    grant = visit.text("grant") == "yes"
    await run(visit, "decide_master", name=visit.text("name"), grant=grant)
    return visit.go("/operate/people", "decided")


def _without(user: Mapping[str, Any], role: str) -> str:
    """Return what a person without a role does not get; empty if nothing of theirs needs it."""
    if role not in _STANDS_FOR:
        return ""
    kept, one, several = _STANDS_FOR[role]
    count = len(user[kept])
    words = (
        f"no new entries for {count} {one if count == 1 else several}, and those that rest are "
        "cancelled; exits go on."
    )
    return words if count else ""


def _page_of(name: str) -> str:
    return f"/operate/people/{quote(name, safe='')}"


def _whole_numbers(visit: Visit, **defaults: str) -> dict[str, int]:
    """Return fields that are whole numbers; raises FormErrors that names every one that is none."""
    numbers, errors = {}, {}
    for name, default in defaults.items():
        try:
            numbers[name] = typed_whole(visit.text(name, default), name, 0, _WHOLE_MAX)
        except InvalidValue as error:
            errors[name] = f"expected {error.expected}"
    if errors:
        raise FormErrors(errors)
    return numbers


ROUTES: Final[tuple[Route, ...]] = (
    get("/operate/people", Who.OPERATOR, show_people),
    get("/operate/people/<name>", Who.OPERATOR, show_person),
    post(
        "/operate/people/role",
        Who.OPERATOR,
        change_role,
        page=_ONE,
        keeps=("name", "role", "take"),
    ),
    form(
        "/operate/people/suspend",
        Who.OPERATOR,
        suspend,
        page=_ONE,
        keeps=("name", "note"),
        again=Again(lambda fields: f"Suspend {fields['name']}", ("name", "note")),
    ),
    post("/operate/people/resume", Who.OPERATOR, resume, page=_ONE, keeps=("name",)),
    post("/operate/people/reset-factors", Who.OPERATOR, reset_factors, page=_ONE, keeps=("name",)),
    post(
        "/operate/people/sign-out",
        Who.OPERATOR,
        sign_out,
        page=_ONE,
        keeps=("name", "session"),
        again=Again(lambda fields: f"End sessions of {fields['name']}", ("name", "session")),
    ),
    post(
        "/operate/people/master",
        Who.OPERATOR,
        decide_master,
        page=_ALL,
        keeps=("name", "grant"),
    ),
    post("/operate/people/link", Who.OPERATOR, make_link, page=_ONE, once=True, keeps=("name",)),
    form(
        "/operate/people/invite",
        Who.OPERATOR,
        invite,
        page=_ALL,
        once=True,
        keeps=("role", "uses", "days", "strategy"),
    ),
    post(
        "/operate/people/revoke",
        Who.OPERATOR,
        revoke_invitation,
        page=_ALL,
        keeps=("id",),
        again=Again(lambda fields: "End this invitation", ("id",)),
    ),
)
