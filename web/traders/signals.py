"""What became of one signal and why, what was missed, open positions, and notifications."""

from typing import Final
from urllib.parse import quote

from quart import Response

from engine.domain.alert import ABOUT_PEOPLE, ABOUT_STRATEGIES
from engine.domain.errors import EngineAway
from engine.domain.outcome import EXPLANATIONS, OutcomeCode
from engine.services.following import MISSED_LOOKED
from engine.views import WhyView
from web.routes import Route, Who, get
from web.visit import Visit

_TOLD_OF_AN_ORDER: Final = ("symbol", "side", "quantity", "filled", "price", "fee")
_OF_THE_ACCOUNT: Final = {"no new entries": "#stands", "key": "#key"}
_ON_THE_STRATEGY: Final = ("paused", "consent")
_LEFT: Final = "left"
_FIELDS: Final = {"mode": "live", _LEFT: "terms"}
"""Where in the form of the terms a setting stands; the others stand under their own name."""


async def show_missed(visit: Visit) -> Response:
    """Show by week which entries were missed and why, each with the page of its setting."""
    following = visit.services.following
    try:
        worked_out = await visit.services.shadowing.missed(visit.who)
    except EngineAway:  # the rest of the page is read from the ledger
        worked_out = {}
    weeks = await following.missed(visit.who, worked_out)
    followed = {(each.account_name, each.strategy) for each in following.agreements(visit.who)}
    changes: dict[tuple[str, str, str], tuple[str, str]] = {}
    for each in (reason for week in weeks for reason in week.reasons):
        setting = EXPLANATIONS[each.code].setting or ""
        is_his = setting in (*_OF_THE_ACCOUNT, _LEFT)
        if setting and (is_his or (each.account, each.strategy_id) in followed):
            where = setting_page(each.account, each.strategy_id, setting)
            changes[each.code.value, each.account, each.strategy_id] = (setting, where)
    return visit.page(
        "traders/missed.html",
        weeks=weeks,
        changes=changes,
        looked=MISSED_LOOKED,
        openable=visit.services.performance.openable(
            visit.who, [each.strategy_id for week in weeks for each in week.reasons]
        ),
        live=visit.newest,
    )


async def show_why(visit: Visit, signal: str, account: str) -> Response:
    """Show why a copy has its outcome, with every order that was sent for it."""
    why = await visit.services.following.why(visit.who, signal, account)
    change = _change(visit, account, why.strategy, why.setting or "")
    return visit.page(
        "traders/why.html",
        why=why,
        change=change,
        numbers=_untold(why),
        openable=visit.services.performance.openable(visit.who, [why.strategy_id]),
        live=visit.newest,
    )


async def show_positions(visit: Visit) -> Response:
    """Show open positions at the newest mark prices."""
    following = visit.services.following
    return visit.page(
        "traders/positions.html",
        rows=await following.positions(visit.who),
        resting=following.resting(visit.who),
        cards=await following.cards(visit.who),
        live=visit.newest,
    )


async def show_notifications(visit: Visit) -> Response:
    """Show alerts about the user and their accounts and strategies."""
    return visit.page(
        "traders/notifications.html",
        alerts=visit.services.following.alerts(visit.who),
        about_strategies=ABOUT_STRATEGIES,
        about_people=ABOUT_PEOPLE,
        live=visit.newest,
    )


def _untold(why: WhyView) -> dict[str, str]:
    """Return the numbers of an outcome that neither its sentence nor an order's row tells."""
    told = EXPLANATIONS[OutcomeCode(why.code)].told if why.code else ()
    return {
        name: number
        for name, number in why.numbers.items()
        if name not in told and not (why.attempts and name in _TOLD_OF_AN_ORDER)
    }


def setting_page(account: str, strategy: str, setting: str) -> str:
    """Return the address of a setting of an outcome, at the field or button that changes it."""
    if setting in _OF_THE_ACCOUNT:
        return f"/accounts/{quote(account)}{_OF_THE_ACCOUNT[setting]}"
    if setting in _ON_THE_STRATEGY:
        return f"/strategies/{strategy}#mine"
    field = _FIELDS.get(setting, setting.removeprefix("limits."))
    return f"/strategies/{strategy}/follow?account={quote(account)}#{field}"


def _change(visit: Visit, account: str, strategy: str, setting: str) -> str:
    """Return where the user changes a setting; empty where they no longer can. Names of strategies
    are unique.
    """
    following = visit.services.following
    if setting in _OF_THE_ACCOUNT:
        known = any(each.name == account for each in following.accounts(visit.who))
        return setting_page(account, "", setting) if known else ""
    for each in following.agreements(visit.who) if setting else ():
        if (each.account_name, each.strategy_name) == (account, strategy):
            return setting_page(account, each.strategy, setting)
    return ""


ROUTES: Final[tuple[Route, ...]] = (
    get("/signals/missed", Who.FOLLOWER, show_missed),
    get("/signals/<signal>/<account>", Who.FOLLOWER, show_why),
    get("/positions", Who.FOLLOWER, show_positions),
    get("/notifications", Who.SIGNED_IN, show_notifications),
)
