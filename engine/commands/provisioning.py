"""``provision``: apply a file of declarations, then warn of what is absurd about the result, as the
pages do before somebody agrees.

What always holds: a warning stops nothing and is given after the file was applied. Each contract is
read once, all of it within a deadline, with the server running or not; an account's money is
compared only if an engine reads it, and accounts that were not read are named.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from engine.commands.auditing import recorder
from engine.commands.parameters import Run, text
from engine.context import EngineContext
from engine.decisions.preflight import SymbolNeed
from engine.decisions.sizing import TAKER_FEE_BPS
from engine.decisions.terms import TermsFacts, TermsWarning, warn_of_strategy, warn_of_terms
from engine.domain.account import AccountReport
from engine.domain.amounts import Ratio
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import Symbol
from engine.domain.instrument import Instrument
from engine.domain.subscription import CopyPolicy
from engine.ledger import Database
from engine.ledger.people import (
    AccountRow,
    StrategyRow,
    account_named,
    strategy_named,
    subscription_of,
)
from engine.market.comparing import listed_now, read_contracts
from engine.market.feed import MarketFeed
from engine.ports.market_data import Quote
from engine.provisioning import ProvisionResult, provision
from engine.provisioning.exchange_setup import exchange_context, exchange_setup

COMPARED_WITHIN_S: Final = 10.0
ACCOUNTS_WITHIN_S: Final = 5.0


async def _provision(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    table = params.get("table")
    if not isinstance(table, dict):
        raise InvalidValue("table", "the declarations as a table")
    async with context.one_at_a_time:
        plugins = context.plugins()
        record, by, file = (
            await recorder(context, params),
            text(params, "by", "operator"),
            text(params, "file", "the file"),
        )

        def write_down(db: Database, made: ProvisionResult) -> None:
            if made.created or made.updated:
                record(
                    db,
                    by,
                    "provisioned",
                    file,
                    {"created": dict(made.created), "updated": len(made.updated)},
                )

        result = await provision(
            context.ledger,
            await context.open_vault(),
            plugins,
            table,
            places=exchange_setup(context.config, plugins, context.clock),
            now=context.clock.now(),
            webhook_address=context.webhook_address,
            webhook_source=context.config.plugins.webhook_source,
            file=file,
            also=write_down,
        )
        await context.changed()
    async with _feeds(context) as feeds:
        warnings, unread = await _compare(context, feeds, result)
    return {**result.as_json(), "warnings": warnings, "not_read": unread}


@asynccontextmanager
async def _feeds(context: EngineContext) -> AsyncIterator[Mapping[str, MarketFeed]]:
    """Yield the feeds of the running engine, else feeds that are closed with the block."""
    if context.live is not None:
        yield context.feeds
        return
    plugins = context.plugins()
    feeds = {
        name: MarketFeed(
            adapter, exchange_context(context.config, plugins, name, context.clock), context.clock
        )
        for name, adapter in plugins.exchanges.items()
    }
    try:
        yield feeds
    finally:
        for feed in feeds.values():
            await feed.aclose()


Agreed = tuple[AccountRow, StrategyRow, CopyPolicy]


def _agreed(db: Database, made: ProvisionResult) -> list[Agreed]:
    """Read the subscriptions that a file names, as they are now."""
    plans = {name: strategy_named(db, name) for _, name in made.subscriptions}
    agreements = []
    for follower, name in made.subscriptions:
        account, plan = account_named(db, follower), plans[name]
        if (
            account is not None
            and plan is not None
            and (agreed := subscription_of(db, account.id, plan.id)) is not None
        ):
            agreements.append((account, plan, agreed.policy))
    return agreements


async def _compare(
    context: EngineContext, feeds: Mapping[str, MarketFeed], made: ProvisionResult
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what is absurd about the strategies and subscriptions that a file names, and whose
    money was not read.
    """
    db = context.ledger.db
    plans = [row for each in made.strategies if (row := strategy_named(db, each.name)) is not None]
    agreed = _agreed(db, made)
    used = {account.exchange for account, _, _ in agreed} or set(feeds)
    market = _Market(
        {name: feed for name, feed in feeds.items() if name in used},
        context.config.engine.price_age_s,
    )
    with trio.move_on_after(COMPARED_WITHIN_S):
        await market.read(
            {
                (account.exchange, symbol)
                for account, _, policy in agreed
                for symbol in policy.symbols
            },
            [each for plan in (*plans, *(plan for _, plan, _ in agreed)) for each in plan.symbols],
        )
    reports = await _reports(context, [account for account, _, _ in agreed])
    warnings = _Found()
    for plan in plans:
        warnings.add(
            f"strategy {plan.name}",
            "",
            warn_of_strategy(plan.leverage, listed_now(market.feeds, plan.symbols)),
        )
    for account, plan, policy in agreed:
        facts = TermsFacts(
            policy=policy,
            asked=plan.leverage,
            needs=market.needs(account, plan, policy),
            report=reports.get(account.name),
            operator=context.config.limits,
            fee_bps=Ratio(TAKER_FEE_BPS),
            entry_age_s=context.config.engine.entry_age_s,
        )
        warnings.add(f"terms of {plan.name}", account.name, warn_of_terms(facts))
        await trio.lowlevel.checkpoint()
    unread = sorted({account.name for account, _, _ in agreed} - set(reports))
    return warnings.as_json(), unread


async def _reports(
    context: EngineContext, accounts: Sequence[AccountRow]
) -> dict[str, AccountReport]:
    """Return the newest reading of each account, waiting briefly for accounts that just joined."""
    if context.live is None:
        return {}
    wanted = {each.id for each in accounts}
    tasks = [each for each in context.live.tasks() if each.account.id in wanted]
    with trio.move_on_after(ACCOUNTS_WITHIN_S):
        for task in tasks:
            await task.account.wait_read()
    return {
        task.account.name: task.account.last_report
        for task in tasks
        if task.account.last_report is not None
    }


class _Market:
    """What exchanges report about contracts, each read once."""

    def __init__(self, feeds: Mapping[str, MarketFeed], price_age_s: float) -> None:
        self.feeds = feeds
        self._price_age_s = price_age_s
        self._known: dict[tuple[str, Symbol], tuple[Instrument | None, Quote | None]] = {}

    async def read(self, traded: set[tuple[str, Symbol]], named: Sequence[Symbol]) -> None:
        """Read contracts and prices; of an exchange that does not report its contracts nothing more
        is asked.
        """
        if named:
            await read_contracts(self.feeds.values(), min(named))
        for exchange, symbol in sorted(traded):
            feed = self.feeds[exchange]
            if feed.knows_contracts:
                self._known[exchange, symbol] = (
                    feed.instrument(symbol),
                    await feed.quote(symbol, self._price_age_s),
                )

    def needs(self, account: AccountRow, plan: StrategyRow, policy: CopyPolicy) -> list[SymbolNeed]:
        """Return what a subscription is compared with."""
        is_known = self.feeds[account.exchange].knows_contracts
        return [
            SymbolNeed(
                each,
                plan.name,
                policy,
                *self._known.get((account.exchange, each), (None, None)),
                is_known,
            )
            for each in sorted(policy.symbols)
        ]


class _Found:
    """A collector of warnings; the same warning for many followers is one."""

    def __init__(self) -> None:
        self._followers: dict[tuple[str, TermsWarning], list[str]] = {}

    def add(self, what: str, follower: str, warnings: Sequence[TermsWarning]) -> None:
        """Add what is said about something, with the follower if it is about one's terms."""
        for each in warnings:
            self._followers.setdefault((what, each), []).extend([follower] if follower else [])

    def as_json(self) -> list[dict[str, Any]]:
        """Return them in JSON types."""
        return [
            {"what": what, "followers": names, "field": each.field, "sentence": each.sentence}
            for (what, each), names in self._followers.items()
        ]


PROVISIONING: Final[Mapping[str, Run]] = {"provision": _provision}
