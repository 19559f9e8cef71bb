"""Collect the market data of contracts, for comparison with terms or a strategy before anybody
agrees to them.

It reads each exchange at most once, all at the same time; one that cannot be read is left out and
nothing is claimed about it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import trio

from engine.decisions.preflight import SymbolNeed
from engine.decisions.terms import Listed
from engine.domain.identifiers import Symbol
from engine.domain.subscription import CopyPolicy
from engine.market.feed import MarketFeed


async def needs_now(
    feed: MarketFeed, strategy: str, policy: CopyPolicy, price_age_s: float
) -> list[SymbolNeed]:
    """Return every agreed contract, with its definition and current price if they are available."""
    quotes = {each: await feed.quote(each, price_age_s) for each in sorted(policy.symbols)}
    needs = needs_read(feed, strategy, policy)
    return [replace(each, quote=quotes[each.symbol]) for each in needs]


def needs_read(feed: MarketFeed, strategy: str, policy: CopyPolicy) -> list[SymbolNeed]:
    """Return every agreed contract with its definition and the newest price that was read, however
    old; reads nothing.
    """
    return [
        SymbolNeed(
            symbol=symbol,
            strategy=strategy,
            policy=policy,
            instrument=feed.instrument(symbol),
            quote=feed.newest(symbol),
            contracts_known=feed.knows_contracts,
        )
        for symbol in sorted(policy.symbols)
    ]


async def read_contracts(feeds: Iterable[MarketFeed], any_symbol: Symbol) -> None:
    """Read the contracts of every exchange that has not reported them yet; reading any contract
    reads the whole list.
    """
    async with trio.open_nursery() as nursery:
        for feed in feeds:
            nursery.start_soon(feed.trades, any_symbol)


def listed_now(feeds: Mapping[str, MarketFeed], symbols: Iterable[Symbol]) -> Sequence[Listed]:
    """Return these contracts as the exchanges with known contract lists have them; reads nothing."""
    return [
        Listed(name, each, feed.instrument(each))
        for each in symbols
        for name, feed in feeds.items()
        if feed.knows_contracts
    ]
