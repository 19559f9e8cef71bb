"""The service of price charts: one open position or one closed trade with its fills, its levels and
the candles of its exchange.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.context import EngineContext
from engine.domain.errors import NothingThere
from engine.domain.identifiers import AccountId, Symbol
from engine.domain.token import TokenScope
from engine.ledger.charting import TradeWithFills, closed_trade, open_episode
from engine.ports.market_data import Candle
from engine.services.asking import asked, for_tokens
from engine.services.following import FollowingService, PositionRow
from engine.services.user import User
from engine.views import FillView

_LOG = logging.getLogger("rexalgo.charts")
_NONE: Final = "{exchange} shows no past candles, so there is no price chart."
_UNREAD: Final = "The candles of {exchange} cannot be read just now."
_NO_TIME: Final = "The books do not say when it was opened, so there is no price chart."


@dataclass(frozen=True, slots=True, kw_only=True)
class Candles:
    """Past candles, oldest first; ``why_none`` says in a sentence why there are none."""

    candles: Sequence[Candle] = ()
    why_none: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """One open position with what is known of how it came about; ``opened_at`` is None if the books
    have nothing of it.
    """

    row: PositionRow
    opened_at: datetime | None
    fills: tuple[FillView, ...]
    past: Candles

    @property
    def stop_loss(self) -> Decimal | None:
        """Return the stop at the exchange, else the one that is being set."""
        position, holding = self.row.position, self.row.holding
        shown = None if position is None else position.stop_loss
        return shown or (None if holding is None else holding.stop_loss)

    @property
    def take_profit(self) -> Decimal | None:
        """Return the target at the exchange, else the one that is being set."""
        position, holding = self.row.position, self.row.holding
        shown = None if position is None else position.take_profit
        return shown or (None if holding is None else holding.take_profit)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTrade:
    """One closed trade with the candles around it; ``price_step`` is None while its exchange does not
    list the contract.
    """

    closed: TradeWithFills
    past: Candles
    price_step: Decimal | None

    def level(self, name: str) -> Decimal | None:
        """Return the ``stop_loss`` or ``take_profit`` that its newest entry with one named."""
        named: list[Decimal | None] = [
            getattr(each.signal, name)
            for each in self.closed.fills
            if each.is_entry and each.signal is not None
        ]
        return next((each for each in reversed(named) if each is not None), None)


class ChartingService:
    """The service for people who want to see what the price did."""

    def __init__(self, context: EngineContext, following: FollowingService) -> None:
        self._context = context
        self._following = following

    @asked
    @for_tokens(TokenScope.READ)
    async def position(self, user: User, name: str, symbol: str) -> OpenPosition | None:
        """Return what is open in a contract on one of the user's accounts, None if nothing is;
        raises NothingThere for somebody else's account.
        """
        account = self._following.account(user, name)
        row = await self._following.any_position(user, name, symbol)
        if row is None:
            return None
        episode = open_episode(self._context.ledger.db, AccountId(account.id), Symbol(symbol))
        if episode is None:
            none = Candles(why_none=_NO_TIME)
            return OpenPosition(row=row, opened_at=None, fills=(), past=none)
        now = self._context.clock.now()
        return OpenPosition(
            row=row,
            opened_at=episode.opened_at,
            fills=episode.fills,
            past=await self._candles(account.exchange, symbol, episode.opened_at, now),
        )

    @asked
    @for_tokens(TokenScope.READ)
    async def trade(self, user: User, identifier: int) -> PastTrade:
        """Return a closed trade of one of the user's accounts; raises NothingThere."""
        closed = closed_trade(self._context.ledger.db, user.id, identifier)
        if closed is None:
            raise NothingThere("there is no such trade of yours")
        trade = closed.trade
        past = await self._candles(
            closed.exchange, trade.symbol, trade.opened_at, max(trade.opened_at, trade.closed_at)
        )
        feed = self._context.feeds.get(closed.exchange)
        contract = None if feed is None else feed.instrument(Symbol(trade.symbol))
        step = None if contract is None else contract.price_step
        return PastTrade(closed=closed, past=past, price_step=step)

    async def _candles(
        self, exchange: str, symbol: str, began: datetime, ended: datetime
    ) -> Candles:
        feed = self._context.feeds.get(exchange)
        if feed is None:
            return Candles(why_none=_UNREAD.format(exchange=exchange))
        try:
            read = await feed.chart(Symbol(symbol), began, ended)
        except Exception as error:  # a plugin's fault must not take the page with it
            _LOG.warning(
                "candles of %s at %s cannot be read: %s: %s",
                *(symbol, exchange, type(error).__name__, error),
            )
            return Candles(why_none=_UNREAD.format(exchange=feed.title))
        if read is None:
            return Candles(why_none=_NONE.format(exchange=feed.title))
        return Candles(
            candles=tuple(read),
            why_none="" if read else f"{feed.title} has no candles of this time.",
        )
