"""The endpoints that read what is and what happened: accounts, positions, terms, histories, alerts."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final, Literal

from engine.domain.account import Environment
from engine.domain.errors import NothingThere
from engine.services.history import HistoryPage, Kind, Wanted, read_key
from web.api import models
from web.api.table import Ask, Endpoint, WrongQuery, get
from web.needs import needs_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is wanted of a history, and where the page begins: the same for each of them."""

    environment: Annotated[
        Literal["live", "simulated", "paper"] | None, "Only of accounts of this environment."
    ] = None
    account: Annotated[str, "Only of the account with this name; disconnected ones included."] = ""
    strategy: Annotated[str, "Only of the strategy with this name."] = ""
    find: Annotated[str, "Only with this part of a contract, strategy, account, id or state."] = ""
    since: Annotated[date | None, "From this day on, in your time zone."] = None
    until: Annotated[date | None, "Up to and including this day, in your time zone."] = None
    order: Annotated[Literal["newest", "oldest"], "What comes first."] = "newest"
    past: Annotated[str, "Where the page begins: ``next`` of the page before."] = ""

    async def page(self, ask: Ask, kind: Kind, family: str = "") -> HistoryPage:
        """Return the page of a history; raises WrongQuery."""
        errors = {}
        key = read_key(kind, self.past) if self.past else None
        if self.past and key is None:
            errors["past"] = "expected next of the page before"
        if self.since is not None and self.until is not None and self.since > self.until:
            errors["until"] = "expected a day that is not before since"
        if errors:
            raise WrongQuery(errors)
        wanted = Wanted(
            environment=self.environment or "",
            account=self.account,
            strategy=self.strategy,
            family=family,
            find=self.find,
            since=self.since,
            until=self.until,
            newest_first=self.order == "newest",
        )
        return await ask.services.history.page(ask.user, kind, wanted, key)


async def me(ask: Ask) -> models.Me:
    """Who asks, with which token, and whether anything is sent at all now."""
    return models.me_of(ask.user, ask.services.pulse.held(ask.user))


async def needs(ask: Ask) -> models.Needs:
    """What only you can do, and the page for it."""
    following = ask.services.following
    cards = await following.cards(ask.user)
    titles = following.titles(ask.user)
    return models.Needs(
        needs=tuple(
            models.Need(what=what, do=do, page=page)
            for card in cards
            for what, do, page in needs_of(card, titles)
        )
    )


async def accounts(ask: Ask) -> models.Accounts:
    """Your connected accounts with their state and money, and the sums by environment."""
    following = ask.services.following
    cards = await following.cards(ask.user)
    return models.Accounts(
        totals=tuple(models.total_of(each) for each in following.totals(cards)),
        accounts=tuple(models.account_of(each, following.titles(ask.user)) for each in cards),
        former=tuple(each.name for each in following.former_accounts(ask.user)),
    )


async def account(ask: Ask, account: str) -> models.Account:
    """One connected account."""
    following = ask.services.following
    cards = await following.cards(ask.user)
    card = next((each for each in cards if each.row.name == account), None)
    if card is None:
        raise NothingThere("there is no such account of yours")
    return models.account_of(card, following.titles(ask.user))


async def still_open(ask: Ask, account: str) -> models.OpenShares:
    """What the engine opened on an account and has not closed, and why: a flatten is done when
    nothing is left.
    """
    following = ask.services.following
    row = following.account(ask.user, account)
    return models.OpenShares(
        account=row.name,
        environment=Environment(row.environment),
        open=tuple(map(models.open_share_of, following.still_open(ask.user, account))),
    )


async def positions(ask: Ask) -> models.Positions:
    """What is open on your accounts: shares of strategies, what you hold besides, and the entries
    that rest at the exchange.
    """
    following = ask.services.following
    rows = await following.positions(ask.user)
    return models.Positions(
        positions=tuple(map(models.position_of, rows)),
        resting=tuple(map(models.resting_entry_of, following.resting(ask.user))),
    )


async def agreements(ask: Ask) -> models.Agreements:
    """What you agreed to: the terms of each strategy on each account."""
    rows = ask.services.following.agreements(ask.user)
    return models.Agreements(agreements=tuple(map(models.agreement_of, rows)))


async def terms(ask: Ask, account: str, strategy: str) -> models.Terms:
    """Your terms for a strategy on an account, and what they mean at the current price: the size of
    an entry, the most that can be in use, and what is out of proportion.
    """
    agreeing, following = ask.services.agreeing, ask.services.following
    row = following.account(ask.user, account)
    strategy_terms = agreeing.strategy(ask.user, strategy)
    for each in following.agreements(ask.user):
        if (each.account, each.strategy) == (row.id, strategy):
            return models.terms_of(each, await agreeing.meaning(row, strategy_terms, each.policy))
    raise NothingThere("there is no such agreement of yours")


async def signals(
    ask: Ask,
    *,
    filters: Filters,
    family: Annotated[str, "Only outcomes of this family, such as ``skipped``."] = "",
) -> models.Signals:
    """The outcomes of signals on your accounts."""
    return models.signals_of(await filters.page(ask, Kind.SIGNALS, family))


async def why(ask: Ask, signal: str, account: str) -> models.Why:
    """Why a signal ended as it did on one account, with every order sent for it."""
    return models.why_of(await ask.services.following.why(ask.user, signal, account))


async def missed(ask: Ask) -> models.Missed:
    """Which entries you missed and why, by week, and what they would have made."""
    worked_out = await ask.services.shadowing.missed(ask.user)
    return models.missed_of(await ask.services.following.missed(ask.user, worked_out))


async def orders(ask: Ask, *, filters: Filters) -> models.Orders:
    """The orders of your accounts."""
    return models.orders_of(await filters.page(ask, Kind.ORDERS))


async def trades(ask: Ask, *, filters: Filters) -> models.Trades:
    """The closed trades of your accounts."""
    return models.trades_of(await filters.page(ask, Kind.TRADES))


async def funding(ask: Ask, *, filters: Filters) -> models.Funding:
    """What your positions of strategies paid in funding."""
    return models.funding_of(await filters.page(ask, Kind.FUNDING))


async def alerts(ask: Ask) -> models.Alerts:
    """The newest alerts about your accounts and strategies."""
    return models.Alerts(
        unseen=ask.services.telling.news(ask.user),
        alerts=tuple(map(models.alert_of, ask.services.following.alerts(ask.user))),
    )


async def channels(ask: Ask) -> models.Channels:
    """Your notification channels and their state. Change them on the pages."""
    return models.Channels(
        channels=tuple(map(models.channel_of, ask.services.telling.channels(ask.user)))
    )


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    get("/me", me, role=None),
    get("/needs", needs),
    get("/accounts", accounts),
    get("/accounts/<account>", account),
    get("/accounts/<account>/open", still_open),
    get("/accounts/<account>/strategies/<strategy>", terms),
    get("/positions", positions),
    get("/agreements", agreements),
    get("/signals", signals),
    get("/signals/<signal>/<account>", why),
    get("/missed", missed),
    get("/orders", orders),
    get("/trades", trades),
    get("/funding", funding),
    get("/alerts", alerts, role=None),
    get("/channels", channels, role=None),
)
