"""The endpoints that read: what pages show."""

from datetime import date, timedelta
from typing import Annotated, Final, Literal

from engine.domain.account import Environment
from engine.domain.errors import InvalidValue, NothingThere
from engine.services.history import HistoryPage, Kind, Wanted, read_key
from web.api import models
from web.api.table import Ask, Endpoint, get
from web.needs import needs_of

_PERIODS: Final = {"day": 90, "week": 53, "month": 24}
_DAYS: Final = {"30": 30, "90": 90, "all": None}
_SPANS: Final = {
    "1D": timedelta(days=1),
    "1W": timedelta(days=7),
    "1M": timedelta(days=30),
    "3M": timedelta(days=90),
    "all": None,
}
Account = Annotated[str, "Only of the account with this name; disconnected ones included."]
Strategy = Annotated[str, "Only of the strategy with this name."]
Find = Annotated[str, "Only with this part of a contract, strategy, account, id or state."]
Since = Annotated[date | None, "From this day on, in your time zone."]
Until = Annotated[date | None, "Up to and including this day, in your time zone."]
Order = Annotated[Literal["newest", "oldest"], "What comes first."]
Past = Annotated[str, "Where the page begins: ``next`` of the page before."]


async def me(ask: Ask) -> models.Me:
    """Who asks, with which token, and whether anything is sent at all now."""
    return models.me_of(ask.user, ask.services.pulse.held(ask.user))


async def needs(ask: Ask) -> models.Needs:
    """What needs you: nothing else goes on until you act."""
    cards = await ask.services.following.cards(ask.user)
    return models.Needs(
        needs=tuple(
            models.Need(what=what, do=do, page=page)
            for card in cards
            for what, do, page in needs_of(card)
        )
    )


async def accounts(ask: Ask) -> models.Accounts:
    """Your connected accounts with their state and money, and the sums by environment."""
    following = ask.services.following
    cards = await following.cards(ask.user)
    return models.Accounts(
        totals=tuple(models.total_of(each) for each in following.totals(cards)),
        accounts=tuple(models.account_of(each) for each in cards),
        former=tuple(each.name for each in following.former_accounts(ask.user)),
    )


async def account(ask: Ask, account: str) -> models.Account:
    """One connected account."""
    cards = await ask.services.following.cards(ask.user)
    card = next((each for each in cards if each.row.name == account), None)
    if card is None:
        raise NothingThere("there is no such account of yours")
    return models.account_of(card)


async def positions(ask: Ask) -> models.Positions:
    """What is open on your accounts: shares of strategies, and what you hold besides."""
    rows = await ask.services.following.positions(ask.user)
    return models.Positions(positions=tuple(map(models.position_of, rows)))


async def strategies(
    ask: Ask,
    *,
    environment: Annotated[
        Literal["live", "simulated", "paper"] | None,
        "Whose trades count; the first environment with trades unless given.",
    ] = None,
    days: Annotated[Literal["30", "90", "all"], "The period."] = "30",
) -> models.Strategies:
    """The strategies that you may see, with the figures by which they are compared."""
    performance = ask.services.performance
    known = performance.environments(ask.user)
    chosen = environment or (known or [""])[0]
    compared = await performance.compared(ask.user, chosen, _DAYS[days])
    return models.Strategies(
        environment=chosen,
        environments=tuple(map(Environment, known)),
        strategies=tuple(map(models.strategy_of, sorted(compared, key=lambda each: each.row.name))),
    )


async def agreements(ask: Ask) -> models.Agreements:
    """What you agreed to: the terms of each strategy on each account."""
    rows = ask.services.following.agreements(ask.user)
    return models.Agreements(agreements=tuple(map(models.agreement_of, rows)))


async def signals(
    ask: Ask,
    *,
    account: Account = "",
    strategy: Strategy = "",
    find: Find = "",
    since: Since = None,
    until: Until = None,
    order: Order = "newest",
    past: Past = "",
    family: Annotated[str, "Only outcomes of this family, such as ``skipped``."] = "",
) -> models.Signals:
    """What became of signals on your accounts."""
    wanted = _wanted(account, strategy, find, since, until, order, family)
    return models.signals_of(await _page(ask, Kind.SIGNALS, wanted, past))


async def why(ask: Ask, signal: str, account: str) -> models.Why:
    """Why a signal ended so on one account, with every order that was sent for it."""
    return models.why_of(await ask.services.following.why(ask.user, signal, account))


async def missed(ask: Ask) -> models.Missed:
    """Which entries you missed and why, by week."""
    return models.missed_of(ask.services.following.missed(ask.user))


async def orders(
    ask: Ask,
    *,
    account: Account = "",
    strategy: Strategy = "",
    find: Find = "",
    since: Since = None,
    until: Until = None,
    order: Order = "newest",
    past: Past = "",
) -> models.Orders:
    """The orders of your accounts."""
    wanted = _wanted(account, strategy, find, since, until, order)
    return models.orders_of(await _page(ask, Kind.ORDERS, wanted, past))


async def trades(
    ask: Ask,
    *,
    account: Account = "",
    strategy: Strategy = "",
    find: Find = "",
    since: Since = None,
    until: Until = None,
    order: Order = "newest",
    past: Past = "",
) -> models.Trades:
    """The closed trades of your accounts."""
    wanted = _wanted(account, strategy, find, since, until, order)
    return models.trades_of(await _page(ask, Kind.TRADES, wanted, past))


async def funding(
    ask: Ask,
    *,
    account: Account = "",
    strategy: Strategy = "",
    find: Find = "",
    since: Since = None,
    until: Until = None,
    order: Order = "newest",
    past: Past = "",
) -> models.Funding:
    """What your positions of strategies paid in funding."""
    wanted = _wanted(account, strategy, find, since, until, order)
    return models.funding_of(await _page(ask, Kind.FUNDING, wanted, past))


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


async def equity(
    ask: Ask,
    account: str,
    *,
    range: Annotated[Literal["1D", "1W", "1M", "3M", "all"], "How far back."] = "1W",
) -> models.Equity:
    """How an account's equity went, oldest first, ending with its newest reading."""
    performance = ask.services.performance
    row = performance.owned(ask.user, account)
    points = await performance.equity(row, _SPANS[range])
    return models.Equity(
        account=row.name,
        environment=Environment(row.environment),
        points=tuple(models.Point(at=at, equity=models.amount(value)) for at, value in points),
    )


async def alerts(ask: Ask) -> models.Alerts:
    """The newest alerts about your accounts and strategies."""
    return models.Alerts(
        alerts=tuple(map(models.alert_of, ask.services.following.alerts(ask.user)))
    )


def _wanted(
    account: str,
    strategy: str,
    find: str,
    since: date | None,
    until: date | None,
    order: str,
    family: str = "",
) -> Wanted:
    if since is not None and until is not None and since > until:
        raise InvalidValue("until", "a day that is not before since")
    return Wanted(
        account=account,
        strategy=strategy,
        family=family,
        find=find,
        since=since,
        until=until,
        newest_first=order == "newest",
    )


async def _page(ask: Ask, kind: Kind, wanted: Wanted, past: str) -> HistoryPage:
    key = read_key(kind, past) if past else None
    if past and key is None:
        raise InvalidValue("past", "next of the page before")
    return await ask.services.history.page(ask.user, kind, wanted, key)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    get("/me", me, role=None),
    get("/needs", needs),
    get("/accounts", accounts),
    get("/accounts/<account>", account),
    get("/accounts/<account>/results", results),
    get("/accounts/<account>/equity", equity),
    get("/positions", positions),
    get("/strategies", strategies, role=None),
    get("/agreements", agreements),
    get("/signals", signals),
    get("/signals/<signal>/<account>", why),
    get("/missed", missed),
    get("/orders", orders),
    get("/trades", trades),
    get("/funding", funding),
    get("/alerts", alerts, role=None),
)
