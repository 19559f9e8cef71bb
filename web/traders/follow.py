"""Following a strategy: choose terms, confirm them before they go live, pause, leave, consent."""

from collections.abc import Mapping
from typing import Any, Final

from quart import Response

from engine.domain.errors import NothingThere
from engine.domain.subscription import CopyPolicy, Mode, SubscriptionState
from engine.services.terms_form import LIMITS, read_terms, terms_fields
from engine.services.user import FormErrors
from web import labels
from web.again import Again
from web.pages import page
from web.routes import Route, Who, form, get, post
from web.visit import Visit

_PAGE: Final = "/strategies/<identifier>"
_PRESETS: Final = {"careful": "Careful", "balanced": "Balanced"}
_OWN: Final = "own"
_FIELDS: Final = (
    "mode",
    "sizing",
    "size",
    "leverage_mode",
    "leverage",
    "below_minimum",
    "allow_own_position",
    "symbols",
    *LIMITS,
)
_NOTICES: Final = {"pause": "paused", "resume": "resumed", "consent": "changed", "leave": "left"}


async def show_terms(visit: Visit, identifier: str) -> Response:
    """Show the form with what was typed, else the previewed terms, the stored ones, or first ones."""
    return await _terms(visit, identifier)


async def agree(visit: Visit, identifier: str) -> Response:
    """Preview terms, ask to confirm them, or store them."""
    service = visit.services.agreeing
    strategy = service.strategy(visit.who, identifier)
    row = visit.services.following.account(visit.who, visit.text("account"))
    address = f"/strategies/{identifier}"
    policy = read_terms(_typed(visit), strategy)
    if visit.text("do") == "preview":
        return visit.show(f"{address}/follow?account={row.name}", terms=policy)
    if visit.text("confirmed") != "yes" and (
        policy.mode is Mode.LIVE or await service.warnings(row, strategy, policy)
    ):
        return visit.show(f"{address}/confirm?account={row.name}", terms=policy)
    await service.agree(visit.who, row, strategy, policy)
    return visit.go(address, "subscribed" if policy.mode is Mode.LIVE else "watching")


async def show_confirm(visit: Visit, identifier: str) -> Response:
    """Show the terms as they were read, with warnings; confirming stores exactly these."""
    service = visit.services.agreeing
    strategy = service.strategy(visit.who, identifier)
    row = visit.services.following.account(visit.who, visit.query.get("account", ""))
    policy: CopyPolicy | None = visit.kept().get("terms")
    if policy is None:
        return visit.go(f"/strategies/{identifier}/follow?account={row.name}", "unconfirmed")
    fields = terms_fields(policy)
    return visit.page(
        "traders/confirm_terms.html",
        strategy=strategy,
        row=row,
        typed=fields,
        limits=labels.LIMITS,
        sizings=labels.SIZINGS,
        kept=hidden_terms(row.name, fields),
        meaning=await service.meaning(row, strategy, policy),
    )


def hidden_terms(account: str, fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the fields of a form that sends terms as they are."""
    return [
        ("account", account),
        *((name, value) for name, value in fields.items() if name != "symbols"),
        *(("symbols", symbol) for symbol in fields["symbols"]),
    ]


async def copy_terms(visit: Visit, identifier: str) -> Response:
    """Take the terms of one account for another one: they are shown with what they mean there, and
    confirming stores exactly these.
    """
    service, following = visit.services.agreeing, visit.services.following
    strategy = service.strategy(visit.who, identifier)
    source = following.account(visit.who, visit.text("from"))
    target = following.account(visit.who, visit.text("account"))
    agreed = service.agreement(source, strategy.id)
    if agreed is None or agreed.state is SubscriptionState.LEFT:
        raise NothingThere("there are no such terms")
    return visit.show(
        f"/strategies/{identifier}/confirm?account={target.name}", terms=agreed.policy
    )


async def show_meaning(visit: Visit, identifier: str) -> Response:
    """Answer with what the terms mean as they are typed: a part of the page, nothing is stored."""
    service = visit.services.agreeing
    strategy = service.strategy(visit.who, identifier)
    row = visit.services.following.account(visit.who, visit.text("account"))
    try:
        meaning = await service.meaning(row, strategy, read_terms(_typed(visit), strategy))
    except FormErrors as error:
        wrong = [f"{labels.field_label(name)}: {text}" for name, text in error.errors.items()]
        return page("traders/meaning.html", meaning=None, wrong=wrong)
    return page("traders/meaning.html", meaning=meaning, wrong=())


async def change(visit: Visit, identifier: str, act: str) -> Response:
    """Pause, resume, consent to or leave a strategy."""
    service = visit.services.agreeing
    strategy = service.strategy(visit.who, identifier)
    row = visit.services.following.account(visit.who, visit.text("account"))
    match act:
        case "pause":
            await service.pause(visit.who, row, strategy)
        case "resume":
            await service.resume(visit.who, row, strategy)
        case "consent":
            await service.consent(visit.who, row, strategy)
        case "leave":
            await service.leave(visit.who, row, strategy, close=visit.text("close") == "yes")
        case _:
            raise NothingThere("there is no such act")
    return visit.go("/home" if act == "leave" else f"/strategies/{identifier}", _NOTICES[act])


async def show_leave(visit: Visit, identifier: str) -> Response:
    """Show what the strategy holds on the account, and how to leave it."""
    strategy = visit.services.agreeing.strategy(visit.who, identifier)
    following = visit.services.following
    row = following.account(visit.who, visit.query.get("account", ""))
    open_shares = [
        share
        for share in following.still_open(visit.who, row.name)
        if share.strategy_id == strategy.id
    ]
    return visit.page("traders/leave.html", strategy=strategy, row=row, open_shares=open_shares)


async def _terms(visit: Visit, identifier: str) -> Response:
    service = visit.services.agreeing
    strategy = service.strategy(visit.who, identifier)
    accounts = visit.services.following.accounts(visit.who)
    if not accounts:
        return visit.go("/accounts")
    wanted = visit.form.get("account", visit.query.get("account", ""))
    row = next((account for account in accounts if account.name == wanted), accounts[0])
    agreed = service.agreement(row, strategy.id)
    if agreed is not None and agreed.state is SubscriptionState.LEFT:
        agreed = None
    previewed: CopyPolicy | None = visit.kept().get("terms")
    preset = visit.query.get("preset", "")
    if visit.refilled or previewed:
        preset = _OWN
    elif preset not in (*_PRESETS, _OWN):
        preset = "careful" if agreed is None else _OWN
    if previewed is not None:
        policy = previewed
    elif preset == _OWN and agreed is not None:
        policy = agreed.policy
    else:
        mode = Mode.WATCH if agreed is None else agreed.policy.mode
        chosen = preset if preset in _PRESETS else "careful"
        policy = await service.preset(row, strategy, chosen, mode)
    meaning = None if visit.errors else await service.meaning(row, strategy, policy)
    return visit.page(
        "traders/follow.html",
        strategy=strategy,
        row=row,
        accounts=accounts,
        agreed=agreed,
        typed=_typed(visit) if visit.refilled else terms_fields(policy),
        presets={**_PRESETS, _OWN: "My own"},
        preset=preset,
        contracts=await service.contracts_now(row, strategy),
        meaning=meaning,
        warnings=() if meaning is None else meaning.warnings,
        limits=labels.LIMITS,
        sizings=labels.SIZINGS,
        previewed=None if previewed is None else await service.preview(row, strategy, previewed),
    )


def _again(fields: Mapping[str, str]) -> str:
    """Return the sentence that offers an act again; empty unless it lowers risk."""
    account = fields["account"]
    if fields["act"] == "pause":
        return f"Pause this strategy on {account}"
    if fields["act"] == "leave":
        closing = " and close what it opened" if fields["close"] == "yes" else ""
        return f"Leave this strategy with {account}{closing}"
    return ""


def _typed(visit: Visit) -> dict[str, Any]:
    """Return the terms as they were typed."""
    one = (name for name in _FIELDS if name != "symbols")
    return {**{name: visit.text(name) for name in one}, "symbols": visit.form.getlist("symbols")}


ROUTES: Final[tuple[Route, ...]] = (
    get("/strategies/<identifier>/follow", Who.FOLLOWER, show_terms),
    form(
        "/strategies/<identifier>/follow",
        Who.FOLLOWER,
        agree,
        keeps=(*_FIELDS, "account", "do", "confirmed"),
    ),
    post(
        "/strategies/<identifier>/meaning",
        Who.FOLLOWER,
        show_meaning,
        page=_PAGE,
        answers=True,
    ),
    post(
        "/strategies/<identifier>/copy-terms",
        Who.FOLLOWER,
        copy_terms,
        page=_PAGE,
        keeps=("from", "account"),
    ),
    get("/strategies/<identifier>/confirm", Who.FOLLOWER, show_confirm),
    post(
        "/strategies/<identifier>/<act>",
        Who.FOLLOWER,
        change,
        page=_PAGE,
        keeps=("account", "close"),
        again=Again(_again, ("account", "close")),
    ),
    get("/strategies/<identifier>/leave", Who.FOLLOWER, show_leave),
)
