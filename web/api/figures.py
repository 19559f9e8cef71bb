"""The endpoints that read figures over time: equity, results, the calendar, strategies, shadow books
and price charts.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from engine.domain.account import LIVE_FIRST, Environment
from engine.domain.errors import NothingThere
from engine.domain.subscription import Mode
from engine.services.shadowing import NoShadow
from web.api import figure_models as models
from web.api.models import Strategies, strategy_of
from web.api.table import Ask, Endpoint, get

_PERIODS: Final = {"day": 90, "week": 53, "month": 24}
_DAYS: Final = {"30": 30, "90": 90, "all": None}
_SPANS: Final = {
    "1D": timedelta(days=1),
    "1W": timedelta(days=7),
    "1M": timedelta(days=30),
    "3M": timedelta(days=90),
    "all": None,
}
_SIGNALS_SHOWN: Final = 20
_ID_DIGITS_MAX: Final = 18
_WATCHES_NOT: Final = "The account does not watch this strategy: it copies it live."
_WHY_NONE: Final = {
    NoShadow.NOT_READ: "The account has not been read yet.",
    NoShadow.NO_SIGNAL: "No signal in the last 30 days, or none since prices have been recorded.",
}
Environments = Literal["live", "simulated", "paper"] | None
Compared = Annotated[
    Environments, "Whose trades count; the first environment with trades unless given."
]
Mine = Annotated[Environments, "Of accounts of this environment; the first of yours unless given."]
Days = Annotated[Literal["30", "90", "all"], "The period."]
Range = Annotated[Literal["1D", "1W", "1M", "3M", "all"], "How far back."]


async def total_equity(
    ask: Ask, *, environment: Mine = None, range: Range = "1W"
) -> models.TotalEquity:
    """The equity of all your connected accounts over time, oldest first."""
    performance = ask.services.performance
    chosen = environment or _first_of(each.environment for each in performance.accounts(ask.user))
    points = await performance.total_equity(ask.user, chosen, _SPANS[range]) if chosen else ()
    return models.TotalEquity(
        environment=Environment(chosen) if chosen else None, points=models.points_of(points)
    )


async def equity(ask: Ask, account: str, *, range: Range = "1W") -> models.Equity:
    """An account's equity over time, oldest first, up to its newest reading."""
    performance = ask.services.performance
    row = performance.owned(ask.user, account)
    return models.Equity(
        account=row.name,
        environment=Environment(row.environment),
        points=models.points_of(await performance.equity(row, _SPANS[range])),
    )


async def results(
    ask: Ask,
    account: str,
    *,
    by: Annotated[Literal["day", "week", "month"], "The size of the periods."] = "day",
) -> models.Results:
    """The results of an account's trades, whole and by period, newest first."""
    performance = ask.services.performance
    row = performance.owned(ask.user, account)
    return models.results_of(row.name, performance.figures(row), by, _PERIODS[by])


async def books(ask: Ask, account: str) -> models.Books:
    """What changed an account's wallet since its books began."""
    performance = ask.services.performance
    row = performance.owned(ask.user, account)
    return models.books_of(row.name, row.environment, performance.books(row))


async def calendar(
    ask: Ask,
    *,
    environment: Mine = None,
    account: Annotated[str, "Only of the account with this name; else of all."] = "",
    month: Annotated[date | None, "Any day of the month; this month unless given."] = None,
) -> models.Calendar:
    """The P&L of each day of a month."""
    years = ask.services.years
    chosen = environment or _first_of(
        each.environment
        for each in ask.services.history.accounts(ask.user)
        if account in ("", each.name)
    )
    now = ask.services.context.clock.now().astimezone(ZoneInfo(ask.user.person.zone))
    first = (month or now.date()).replace(day=1)
    return models.calendar_of(chosen, account, await years.month(ask.user, chosen, account, first))


def _first_of(environments: Iterable[str]) -> str:
    """Return the environment that is shown first; empty without any."""
    return min(environments, key=LIVE_FIRST.index, default="")


async def strategies(ask: Ask, *, environment: Compared = None, days: Days = "30") -> Strategies:
    """The strategies that you may see, with the figures by which they are compared."""
    performance = ask.services.performance
    known = performance.environments(ask.user)
    chosen = environment or (known or [""])[0]
    compared = await performance.compared(ask.user, chosen, _DAYS[days])
    return Strategies(
        environment=chosen,
        environments=tuple(map(Environment, known)),
        strategies=tuple(map(strategy_of, sorted(compared, key=lambda each: each.row.name))),
    )


async def strategy(
    ask: Ask, strategy: str, *, environment: Compared = None, days: Days = "all"
) -> models.StrategyRecord:
    """One strategy: its curve, months, newest closed signals, and the outcomes of its copies."""
    performance = ask.services.performance
    row = performance.strategy(ask.user, strategy)
    known = performance.environments_of(row)
    chosen = environment or (known or [""])[0]
    each = await performance.record(row, chosen, _DAYS[days])
    return models.record_of(
        each,
        environment=chosen,
        environments=known,
        funding=performance.funding_per_follower(each),
        months=performance.months(each, ask.user.person.zone),
        most=_SIGNALS_SHOWN,
        outcomes=await performance.outcomes(row.id),
    )


async def shadow(ask: Ask, account: str, strategy: str) -> models.Shadow:
    """What an account that watches a strategy would have done in the last 30 days. Nothing of it was
    traded.
    """
    row = ask.services.following.account(ask.user, account)
    agreed = next(
        (
            each
            for each in ask.services.performance.agreements(ask.user, strategy)
            if each.account == row.id
        ),
        None,
    )
    if agreed is None:
        raise NothingThere("there is no such agreement of yours")
    figures, why_none = None, _WATCHES_NOT
    if agreed.policy.mode is Mode.WATCH:
        found = await ask.services.shadowing.shadow(row, agreed.strategy, agreed.policy)
        figures = None if isinstance(found, NoShadow) else models.shadow_figures(found)
        why_none = _WHY_NONE[found] if isinstance(found, NoShadow) else ""
    return models.Shadow(
        account=row.name,
        environment=Environment(row.environment),
        strategy=agreed.strategy,
        shadow=figures,
        why_none=why_none,
    )


async def position(ask: Ask, account: str, symbol: str) -> models.OpenPosition:
    """One open position with its fills and the price since it was opened."""
    each = await ask.services.charting.position(ask.user, account, symbol)
    if each is None:
        raise NothingThere("nothing is open there")
    return models.open_position_of(each)


async def trade(ask: Ask, trade: str) -> models.ClosedTrade:
    """One closed trade, by its id, with its fills and the price around it."""
    if not (trade.isascii() and trade.isdigit() and len(trade) <= _ID_DIGITS_MAX):
        raise NothingThere("no trade has such an id")
    return models.closed_trade_of(await ask.services.charting.trade(ask.user, int(trade)))


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    get("/equity", total_equity),
    get("/calendar", calendar),
    get("/accounts/<account>/equity", equity),
    get("/accounts/<account>/results", results),
    get("/accounts/<account>/books", books),
    get("/accounts/<account>/positions/<symbol>", position),
    get("/accounts/<account>/strategies/<strategy>/shadow", shadow),
    get("/strategies", strategies, role=None),
    get("/strategies/<strategy>", strategy, role=None),
    get("/trades/<trade>", trade),
)
