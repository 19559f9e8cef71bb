"""Gather what the market says about contracts, for whoever compares terms or a strategy with it
before they are agreed to.

It reads each exchange at most once, at the same time as the others; one that cannot be read is left
out and nothing is claimed about it.
"""

from collections.abc import Iterable, Mapping, Sequence

import trio

from engine.decisions.preflight import SymbolNeed
from engine.decisions.terms import Listed
from engine.domain.identifiers import Symbol
from engine.domain.subscription import CopyPolicy
from engine.market.feed import MarketFeed


async def needs_now(
    feed: MarketFeed, strategy: str, policy: CopyPolicy, price_age_s: float
) -> list[SymbolNeed]:
    """Return every contract that was agreed to, with its definition and a price of now where they
    can be had.
    """
    found = []
    for symbol in sorted(policy.symbols):
        quote = await feed.quote(symbol, price_age_s)
        found.append(
            SymbolNeed(
                symbol=symbol,
                strategy=strategy,
                policy=policy,
                instrument=feed.instrument(symbol),
                quote=quote,
                contracts_known=feed.knows_contracts,
            )
        )
    return found


async def read_contracts(feeds: Iterable[MarketFeed], any_symbol: Symbol) -> None:
    """Read the contracts of every exchange that did not tell them yet; the whole list comes with
    any of them.
    """
    async with trio.open_nursery() as nursery:
        for feed in feeds:
            nursery.start_soon(feed.trades, any_symbol)


def listed_now(feeds: Mapping[str, MarketFeed], symbols: Iterable[Symbol]) -> Sequence[Listed]:
    """Return what the exchanges that told their contracts say of these; it reads nothing."""
    return [
        Listed(name, each, feed.instrument(each))
        for each in symbols
        for name, feed in feeds.items()
        if feed.knows_contracts
    ]
