"""The feed of an exchange: a contract that it does not list costs the others nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import trio

from engine.domain.amounts import Price, Quantity, Ratio
from engine.domain.identifiers import Symbol
from engine.domain.instrument import Instrument
from engine.market.feed import MarketFeed
from engine.ports.market_data import Quote

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
BTC, GONE = Symbol("BTCUSDT"), Symbol("NOTLISTEDUSDT")


class Market:
    """A market that lists one contract and fails for any other, as exchanges do."""

    async def instruments(self) -> Sequence[Instrument]:
        one = Decimal(1)
        return [
            Instrument(
                BTC,
                Price(one),
                Quantity(one),
                Quantity(one),
                Quantity(one * 100),
                one * 5,
                Ratio(one),
                Ratio(one * 50),
            )
        ]  # type: ignore[arg-type]

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        if symbols != {BTC}:
            raise ValueError(f"asset not found: {sorted(symbols)}")
        return [Quote(BTC, Price(Decimal(65_000)), Price(Decimal(65_000)), NOW)]

    async def aclose(self) -> None:
        pass


async def test_a_contract_that_is_not_listed_leaves_the_others_their_price(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def market_data(context: object) -> Market:
        return Market()

    feed = MarketFeed(
        SimpleNamespace(name="x", market_data=market_data), None, SimpleNamespace(now=lambda: NOW)
    )  # type: ignore[arg-type]
    feed.want(frozenset({BTC, GONE}))
    quote = await feed.quote(BTC, 5)
    assert quote is not None
    assert quote.last == 65_000
    assert await feed.quote(GONE, 5) is None
    assert feed.problem == ""
