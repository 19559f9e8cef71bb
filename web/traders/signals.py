"""What became of signals and why, which orders were sent, open positions, and notifications."""

from typing import Final

from quart import Response

from engine.domain.alert import ABOUT_STRATEGIES
from engine.domain.outcome import EXPLANATIONS
from engine.services.following import MISSED_LOOKED
from web.routes import Route, Who, get
from web.rows import FAMILIES
from web.visit import Visit

_PAGE: Final = 50
_SETTING_PAGES: Final = {"no new entries": "/home", "key": "/accounts"}


async def show_signals(visit: Visit) -> Response:
    """Show the copies on the user's accounts, filtered, newest first."""
    following = visit.services.following
    filters = {name: visit.query.get(name, "")[:80] for name in ("strategy", "account", "family")}
    before = visit.before()
    rows = following.copies(
        visit.who,
        before=before,
        strategy=filters["strategy"],
        account=filters["account"],
        family=filters["family"],
    )
    return visit.page(
        "traders/signals.html",
        rows=rows,
        chosen=filters,
        families=FAMILIES,
        accounts=[*following.accounts(visit.who), *following.former_accounts(visit.who)],
        strategies=following.strategies_copied(visit.who),
        older=rows[-1].number if len(rows) >= _PAGE else None,
        live=visit.newest() if before is None else None,
    )


async def show_missed(visit: Visit) -> Response:
    """Show by week which entries were missed and why, each with the page of its setting."""
    following = visit.services.following
    weeks = following.missed(visit.who)
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
    return visit.page("traders/why.html", why=why, change=change, live=visit.newest())


async def show_positions(visit: Visit) -> Response:
    """Show open positions as the exchange last reported them."""
    following = visit.services.following
    return visit.page(
        "traders/positions.html",
        rows=await following.positions(visit.who),
        cards=await following.cards(visit.who),
        live=visit.newest(),
    )


async def show_orders(visit: Visit) -> Response:
    """Show every order of the user's accounts, newest first."""
    before = visit.before()
    rows = visit.services.following.orders(visit.who, before)
    older = rows[-1].id if len(rows) >= _PAGE else None
    live = visit.newest() if before is None else None
    return visit.page("traders/orders.html", rows=rows, older=older, live=live)


async def show_notifications(visit: Visit) -> Response:
    """Show alerts about the user's accounts and strategies."""
    return visit.page(
        "traders/notifications.html",
        alerts=visit.services.following.alerts(visit.who),
        about_strategies=ABOUT_STRATEGIES,
        live=visit.newest(),
    )


def _setting_page(visit: Visit, account: str, strategy: str, setting: str) -> str:
    """Return the page where a setting is changed; empty where there is none."""
    if setting in _SETTING_PAGES:
        return _SETTING_PAGES[setting]
    for agreement in visit.services.following.agreements(visit.who):
        if agreement.strategy_name == strategy:
            return f"/strategies/{agreement.strategy}/follow?account={account}"
    return ""


ROUTES: Final[tuple[Route, ...]] = (
    get("/signals", Who.FOLLOWER, show_signals),
    get("/signals/missed", Who.FOLLOWER, show_missed),
    get("/signals/<signal>/<account>", Who.FOLLOWER, show_why),
    get("/positions", Who.FOLLOWER, show_positions),
    get("/orders", Who.FOLLOWER, show_orders),
    get("/notifications", Who.SIGNED_IN, show_notifications),
)
