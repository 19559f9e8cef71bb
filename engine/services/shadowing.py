"""The service of shadow books: what the last 30 days would have been for an account that watches, and
what missed entries would have come to.

A book is made when somebody looks, from the signals of the ledger and the prices that were recorded,
and is kept for a minute. Nothing of it is stored, and no order waits for it: the pages of a book let
every other task run between two signals.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from typing import Final

import trio

from engine.context import EngineContext
from engine.decisions.hindsight import in_hindsight
from engine.decisions.missed import is_copied, is_missed
from engine.decisions.portfolio import percent_of
from engine.decisions.recorded_prices import PriceBlock, RecordedPrices
from engine.decisions.results import drawdown
from engine.decisions.risk import equity, total
from engine.decisions.shadow import ShadowBook, ShadowTerms, ShadowTrade
from engine.decisions.sizing import TAKER_FEE_BPS
from engine.decisions.track_record import of_margin
from engine.domain.account import Position
from engine.domain.amounts import EXACT, ZERO, Money
from engine.domain.identifiers import StrategyId, Symbol
from engine.domain.outcome import OutcomeCode
from engine.domain.signal import Signal
from engine.domain.subscription import CopyPolicy
from engine.domain.token import TokenScope
from engine.ledger.following import AgreementRow
from engine.ledger.people import AccountRow
from engine.ledger.prices import read_blocks
from engine.ledger.signals import signal_count, signals_since
from engine.market.feed import MarketFeed
from engine.services.asking import asked, for_tokens
from engine.services.following import FollowingService
from engine.services.user import User

LOOKED_BACK: Final = timedelta(days=30)
SIGNALS_MAX: Final = 1_000
TRADES_SHOWN: Final = 20
MISSED_MAX: Final = 200
"""How many missed entries of an account are worked out."""
POINTS_SHOWN: Final = 500
_KEPT_FOR: Final = timedelta(seconds=60)
_KEPT_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What an account would have done from ``since`` to ``until``. Nothing of it was traded.

    ``is_whole``: these are 30 days; else prices were recorded later, or there were more signals than
    are looked at. ``result`` and ``max_drawdown`` include what is open; ``percent`` is the sum of the
    positions of which nothing is open any more, each in percent of the margin behind it. ``entries``
    counts entry signals that would have been copied or missed (``decisions.missed``), ``missed`` why. ``trades`` are the newest,
    newest first.
    """

    since: datetime
    until: datetime
    is_whole: bool
    balance: Decimal
    currency: str
    result: Decimal
    open_pnl: Decimal
    fees: Decimal
    percent: Decimal | None
    max_drawdown: Decimal
    closed: int
    won: int
    entries: int
    copied: int
    missed: Sequence[tuple[OutcomeCode, int]]
    positions: Sequence[Position]
    trades: Sequence[ShadowTrade]
    curve: Sequence[tuple[datetime, Decimal]]

    @property
    def result_percent(self) -> Decimal | None:
        """Return the result in percent of the money that the account begins with."""
        return percent_of(self.result, self.balance)


class NoShadow(Enum):
    """Why there is no shadow book: the account was not read yet, so there is no money to plan with;
    or there was no signal, or none since prices of its contract have been recorded.
    """

    NOT_READ = "not read"
    NO_SIGNAL = "no signal"


class ShadowingService:
    """The service for followers who look before they trade."""

    def __init__(self, context: EngineContext, following: FollowingService) -> None:
        self._context = context
        self._following = following
        self._kept: dict[tuple[str, str], tuple[object, Shadow]] = {}
        self._kept_missed: dict[str, tuple[object, datetime, Mapping[str, Decimal]]] = {}

    @asked
    async def shadow(
        self, row: AccountRow, strategy: StrategyId, policy: CopyPolicy
    ) -> Shadow | NoShadow:
        """Return the shadow book of the last 30 days for an account under terms, beginning flat with
        the account's present money; or why there is none.
        """
        task, db = self._following.task(row), self._context.ledger.db
        report = None if task is None else task.account.last_report
        if report is None:
            return NoShadow.NOT_READ
        now = self._context.clock.now()
        since = now - LOOKED_BACK
        stamp = (policy, equity(report), signal_count(db, strategy))
        kept = self._kept.get((row.id, strategy))
        if kept is not None and kept[0] == stamp and now - kept[1].until < _KEPT_FOR:
            return kept[1]
        signals = signals_since(db, strategy, since, SIGNALS_MAX)
        terms, prices = await self._known(row, strategy, policy, signals, equity(report))
        first = prices.since()
        if first is None:
            return NoShadow.NO_SIGNAL
        starts = [since, datetime.fromtimestamp(first, UTC)]
        if len(signals) == SIGNALS_MAX:
            starts.append(signals[0].received_at)
        book = ShadowBook(terms, prices, max(starts))
        for signal in signals:
            if signal.received_at >= max(starts):
                book.take(signal)
                await trio.lowlevel.checkpoint()
        book.look(now)
        shown = shadow_of(book, until=now, is_whole=max(starts) == since)
        if len(self._kept) >= _KEPT_MAX:
            self._kept.clear()
        self._kept[(row.id, strategy)] = (stamp, shown)
        return shown

    @asked
    @for_tokens(TokenScope.READ)
    async def missed(self, user: User) -> Mapping[str, Mapping[str, Decimal]]:
        """Return by account and number of the signal what the user's newest missed entries of the
        last 30 days would have come to, each alone; those of strategies that are still followed.
        """
        found: dict[str, Mapping[str, Decimal]] = {}
        for row in self._following.accounts(user):
            known = await self._following.entries(row)
            entries = [each for each in known if is_missed(each.outcome)]
            agreed = [each for each in self._following.agreements(user) if each.account == row.id]
            stamp = (entries[:1], len(entries), [each.policy for each in agreed])
            kept, now = self._kept_missed.get(row.id), self._context.clock.now()
            if kept is None or kept[0] != stamp or now - kept[1] >= _KEPT_FOR:
                newest = {each.signal for each in entries[:MISSED_MAX]}
                if len(self._kept_missed) >= _KEPT_MAX:
                    self._kept_missed.clear()
                kept = (stamp, now, await self._in_hindsight(row, agreed, newest, now))
                self._kept_missed[row.id] = kept
            found[row.name] = kept[2]
        return found

    async def _in_hindsight(
        self, row: AccountRow, agreed: Sequence[AgreementRow], missed: Set[int], now: datetime
    ) -> Mapping[str, Decimal]:
        task = self._following.task(row)
        report = None if task is None else task.account.last_report
        found: dict[str, Decimal] = {}
        if report is None or not missed:
            return found
        for each in agreed:
            signals = signals_since(
                self._context.ledger.db, each.strategy, now - LOOKED_BACK, SIGNALS_MAX
            )
            if missed.isdisjoint(signal.number for signal in signals):
                continue
            terms, prices = await self._known(
                row, each.strategy, each.policy, signals, equity(report)
            )
            for place, signal in enumerate(signals):
                if signal.number in missed:
                    later = islice(signals, place + 1, None)
                    result = in_hindsight(terms, prices, signal, later, now)
                    if result is not None:
                        found[str(signal.number)] = result
                    await trio.lowlevel.checkpoint()
        return found

    async def _known(
        self,
        row: AccountRow,
        strategy: StrategyId,
        policy: CopyPolicy,
        signals: Sequence[Signal],
        balance: Money,
    ) -> tuple[ShadowTerms, RecordedPrices]:
        """Return what signals are planned with, and the prices of their contracts."""
        feed = self._context.feeds[row.exchange]
        symbols = frozenset(each.draft.symbol for each in signals)
        blocks = await self._blocks(
            row.exchange, feed, symbols, self._context.clock.now() - LOOKED_BACK
        )
        terms = self._terms(row, strategy, policy, feed, symbols, balance)
        return terms, RecordedPrices(blocks)

    async def _blocks(
        self, exchange: str, feed: MarketFeed, symbols: frozenset[Symbol], since: datetime
    ) -> Mapping[Symbol, Sequence[PriceBlock]]:
        """Return what is recorded and what is still on the tape, which is the newer form of a block
        that is in both.
        """
        found = {}
        for symbol in symbols:
            recorded = read_blocks(self._context.ledger.db, exchange, symbol, since)
            newest = {block.begin: block for block in (*recorded, *feed.tape.blocks(symbol))}
            found[symbol] = list(newest.values())
            await trio.lowlevel.checkpoint()
        return found

    def _terms(
        self,
        row: AccountRow,
        strategy: StrategyId,
        policy: CopyPolicy,
        feed: MarketFeed,
        symbols: frozenset[Symbol],
        balance: Money,
    ) -> ShadowTerms:
        config = self._context.config
        contracts = {each: feed.instrument(each) for each in symbols}
        charged = feed.taker_fee_bps
        return ShadowTerms(
            account=row.id,
            strategy=strategy,
            policy=policy,
            operator=config.limits,
            balance=balance,
            contracts={each: found for each, found in contracts.items() if found is not None},
            fee_bps=TAKER_FEE_BPS,
            taker_fee_bps=TAKER_FEE_BPS if charged is None else charged,
            entry_age_s=config.engine.entry_age_s,
            price_age_s=config.engine.price_age_s,
            resting_entry_s=config.engine.resting_entry_s,
            zone=config.engine.trading_day_zone,
            sets_protection=feed.sets_protection,
        )


def shadow_of(book: ShadowBook, *, until: datetime, is_whole: bool) -> Shadow:
    """Return what is shown of a book."""
    report, (since, begin) = book.report(), book.curve[0]
    results = [each.trade.result or ZERO for each in book.trades]
    entries = [each for each in book.outcomes if each.is_entry]
    missed = Counter(each.outcome.code for each in entries if is_missed(each.outcome))
    copied = sum(1 for each in entries if is_copied(each.outcome))
    every = max(1, len(book.curve) // POINTS_SHOWN)
    worth = equity(report)
    return Shadow(
        since=since,
        until=until,
        is_whole=is_whole,
        balance=begin,
        currency=report.balance.currency,
        result=EXACT.subtract(worth, begin),
        open_pnl=total(*(each.unrealised_profit for each in report.positions)),
        fees=book.fees,
        percent=_percent(book.closed_positions),
        max_drawdown=drawdown([*(value for _, value in book.curve), worth]),
        closed=len(results),
        won=sum(1 for each in results if each > 0),
        entries=copied + missed.total(),
        copied=copied,
        missed=missed.most_common(),
        positions=report.positions,
        trades=tuple(book.trades[: -TRADES_SHOWN - 1 : -1]),
        curve=tuple(
            (at, EXACT.subtract(value, begin))
            for at, value in (*book.curve[::every], (until, worth))
        ),
    )


def _percent(trades: Sequence[ShadowTrade]) -> Decimal | None:
    """Return the sum of positions, each in percent of the margin behind it; None without any."""
    parts: dict[tuple[Symbol, datetime], list[ShadowTrade]] = {}
    for each in trades:
        parts.setdefault((each.symbol, each.trade.opened_at), []).append(each)
    returns = [
        of_margin(
            total(*(each.trade.result or ZERO for each in own)),
            total(*(each.margin for each in own)),
        )
        for own in parts.values()
    ]
    return total(*returns) if returns else None
