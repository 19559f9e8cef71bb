"""Home: what needs its owner, money over all accounts, open positions, accounts and the last
outcomes; and how to pause, flatten and close one position.
"""

from datetime import timedelta
from typing import Final

from quart import Response

from engine.services.performance import apart_of
from web.again import Again
from web.charts import GAP, equity_chart
from web.labels import LABELS
from web.needs import needs_of
from web.routes import Route, Who, form, get, post
from web.visit import Visit

_LAST_SIGNALS: Final = 8
_LAST_WATCHED: Final = 3
_POSITIONS: Final = 12
_RANGES: Final = {
    "1D": timedelta(days=1),
    "1W": timedelta(days=7),
    "1M": timedelta(days=30),
    "All": None,
}
_RANGE: Final = "1W"


async def show_home(visit: Visit) -> Response:
    """Show the user's accounts as one: needs, money, equity, positions, and the last outcomes."""
    following = visit.services.following
    cards = await following.cards(visit.who)
    totals = following.totals(cards)
    environments = [each.environment for each in totals]
    wanted, span = visit.query.get("of", ""), visit.query.get("range", "")
    environment = wanted if wanted in environments else (environments or [""])[0]
    span = span if span in _RANGES else _RANGE
    points = await visit.services.performance.total_equity(visit.who, environment, _RANGES[span])
    positions = await following.positions(visit.who)
    copied, watched = following.copies(visit.who, _LAST_SIGNALS)
    return visit.page(
        "traders/home.html",
        cards=cards,
        totals=totals,
        needs=[need for card in cards for need in needs_of(card, visit.titles)],
        environment=environment,
        span=span,
        spans=list(_RANGES),
        equity=equity_chart(
            points,
            LABELS["equity"],
            "USDT",
            visit.who.person.zone,
            GAP if len(points) < 2 else 3 * apart_of(points[-1][0] - points[0][0]),
        ),
        positions=positions[:_POSITIONS],
        more_positions=max(0, len(positions) - _POSITIONS),
        resting=following.resting(visit.who),
        copied=copied,
        watched=watched[:_LAST_WATCHED],
        openable=visit.services.performance.openable(
            visit.who, [each.strategy_id for each in (*copied, *watched)]
        ),
        live=visit.newest,
    )


async def pause(visit: Visit, name: str) -> Response:
    """Stop entries on an account; exits go on."""
    await visit.services.following.pause(visit.who, name)
    return visit.go("/home", "paused")


async def resume(visit: Visit, name: str) -> Response:
    """Allow entries on an account again."""
    await visit.services.following.resume(visit.who, name)
    return visit.go("/home", "resumed")


async def show_flatten(visit: Visit, name: str) -> Response:
    """Show what a flatten closes, or how far it is."""
    following = visit.services.following
    row = following.account(visit.who, name)
    cards = [each for each in await following.cards(visit.who) if each.row.id == row.id]
    return visit.page(
        "traders/flatten.html",
        row=row,
        open=following.still_open(visit.who, name),
        live=visit.newest,
        is_on=any(each.level == "flatten" for each in cards),
        is_own=any(each.own_level == "flatten" for each in cards),
    )


async def flatten(visit: Visit, name: str) -> Response:
    """Close what the engine opened on an account."""
    following = visit.services.following
    await following.flatten(visit.who, name)
    notice = "flattening" if following.still_open(visit.who, name) else "flat"
    return visit.go(f"/accounts/{name}/flatten", notice)


async def show_close(visit: Visit, name: str, symbol: str) -> Response:
    """Show what closing one position means, and ask to confirm it."""
    return await _position(visit, "traders/close.html", name, symbol)


async def close(visit: Visit, name: str, symbol: str) -> Response:
    """Close one position that the engine opened."""
    await visit.services.following.close(visit.who, name, symbol)
    return visit.go("/positions", "closing-position")


async def show_take_over(visit: Visit, name: str, symbol: str) -> Response:
    """Show what taking over one position means, and ask to confirm it."""
    return await _position(visit, "traders/take_over.html", name, symbol)


async def take_over(visit: Visit, name: str, symbol: str) -> Response:
    """Make one position of the engine the owner's own."""
    await visit.services.following.take_over(visit.who, name, symbol)
    return visit.go(f"/accounts/{name}/positions/{symbol}", "taken-over")


async def _position(visit: Visit, template: str, name: str, symbol: str) -> Response:
    following = visit.services.following
    return visit.page(
        template,
        row=following.account(visit.who, name),
        symbol=symbol,
        each=await following.position(visit.who, name, symbol),
    )


ROUTES: Final[tuple[Route, ...]] = (
    get("/home", Who.FOLLOWER, show_home),
    post(
        "/accounts/<name>/pause",
        Who.FOLLOWER,
        pause,
        page="/accounts/<name>",
        again=Again(lambda fields: f"Pause {fields['name']}: no new entries"),
    ),
    post("/accounts/<name>/resume", Who.FOLLOWER, resume, page="/accounts/<name>"),
    get("/accounts/<name>/flatten", Who.FOLLOWER, show_flatten),
    post(
        "/accounts/<name>/flatten",
        Who.FOLLOWER,
        flatten,
        page="/accounts/<name>/flatten",
        again=Again(lambda fields: f"Flatten {fields['name']}: close what the engine opened"),
    ),
    get("/accounts/<name>/positions/<symbol>/take-over", Who.FOLLOWER, show_take_over),
    form("/accounts/<name>/positions/<symbol>/take-over", Who.FOLLOWER, take_over, keeps=()),
    get("/accounts/<name>/positions/<symbol>/close", Who.FOLLOWER, show_close),
    form(
        "/accounts/<name>/positions/<symbol>/close",
        Who.FOLLOWER,
        close,
        keeps=(),
        again=Again(lambda fields: f"Close {fields['symbol']} on {fields['name']}"),
    ),
)
