"""What became of one signal and why, what was missed, open positions, and notifications."""

from typing import Final

from quart import Response

from engine.domain.alert import ABOUT_PEOPLE, ABOUT_STRATEGIES
from engine.domain.errors import EngineAway
from engine.domain.outcome import EXPLANATIONS, OutcomeCode
from engine.services.following import MISSED_LOOKED
from engine.views import WhyView
from web.routes import Route, Who, get
from web.visit import Visit

_TOLD_OF_AN_ORDER: Final = ("symbol", "side", "quantity", "filled", "price", "fee")
_SETTING_PAGES: Final = {"no new entries": "/home", "key": "/accounts"}


async def show_missed(visit: Visit) -> Response:
    """Show by week which entries were missed and why, each with the page of its setting."""
    following = visit.services.following
    try:
        worked_out = await visit.services.shadowing.missed(visit.who)
    except EngineAway:  # the rest of the page is read from the ledger
        worked_out = {}
    weeks = await following.missed(visit.who, worked_out)
    followed = {(each.account_name, each.strategy) for each in following.agreements(visit.who)}
    settings = {
        each.code: EXPLANATIONS[each.code].setting or "" for week in weeks for each in week.reasons
    }
    return visit.page(
        "traders/missed.html",
        weeks=weeks,
        settings=settings,
        pages=_SETTING_PAGES,
        followed=followed,
        looked=MISSED_LOOKED,
        live=visit.newest(),
    )


async def show_why(visit: Visit, signal: str, account: str) -> Response:
    """Show why a copy has its outcome, with every order that was sent for it."""
    why = await visit.services.following.why(visit.who, signal, account)
    change = _setting_page(visit, account, why.strategy, why.setting) if why.setting else ""
    return visit.page(
        "traders/why.html", why=why, change=change, numbers=_untold(why), live=visit.newest()
    )


async def show_positions(visit: Visit) -> Response:
    """Show open positions at the newest mark prices."""
    following = visit.services.following
    return visit.page(
        "traders/positions.html",
        rows=await following.positions(visit.who),
        cards=await following.cards(visit.who),
        live=visit.newest(),
    )


async def show_notifications(visit: Visit) -> Response:
    """Show alerts about the user and their accounts and strategies."""
    newest = visit.newest()  # first: what comes while they are read was not shown
    return visit.page(
        "traders/notifications.html",
        alerts=visit.services.following.alerts(visit.who),
        about_strategies=ABOUT_STRATEGIES,
        about_people=ABOUT_PEOPLE,
        live=newest,
    )


def _untold(why: WhyView) -> dict[str, str]:
    """Return the numbers of an outcome that neither its sentence nor an order's row tells."""
    sentence = EXPLANATIONS[OutcomeCode(why.code)].sentence if why.code else ""
    return {
        name: number
        for name, number in why.numbers.items()
        if f"{{{name}}}" not in sentence and not (why.attempts and name in _TOLD_OF_AN_ORDER)
    }


def _setting_page(visit: Visit, account: str, strategy: str, setting: str) -> str:
    """Return the page where a setting is changed; empty where there is none."""
    if setting in _SETTING_PAGES:
        return _SETTING_PAGES[setting]
    for agreement in visit.services.following.agreements(visit.who):
        if agreement.strategy_name == strategy:
            return f"/strategies/{agreement.strategy}/follow?account={account}"
    return ""


ROUTES: Final[tuple[Route, ...]] = (
    get("/signals/missed", Who.FOLLOWER, show_missed),
    get("/signals/<signal>/<account>", Who.FOLLOWER, show_why),
    get("/positions", Who.FOLLOWER, show_positions),
    get("/notifications", Who.SIGNED_IN, show_notifications),
)
