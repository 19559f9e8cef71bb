"""The service of figures: strategies with the results of their followers' trades, and what a
person's own accounts did.

Every figure is from our own ledger, by environment, never mixed, and from reconciled trades only:
price, fee and cause of every fill are known. The number of closed trades that are not reconciled is
shown beside it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

import trio

from engine.context import EngineContext
from engine.decisions.portfolio import percent_of, summed
from engine.decisions.results import drawdown
from engine.decisions.risk import equity
from engine.decisions.track_record import (
    CopiedTrade,
    Month,
    TrackRecord,
    funding_per_follower,
    months,
    track_record,
)
from engine.domain.account import LIVE_FIRST
from engine.domain.errors import NothingThere
from engine.domain.identifiers import AccountId, StrategyId
from engine.domain.token import TokenScope
from engine.ledger import results
from engine.ledger.books_view import BooksSummary, books_summary
from engine.ledger.following import AgreementRow, accounts_of, agreements_of, former_accounts_of
from engine.ledger.funding import funding_by_day, funding_of_strategy
from engine.ledger.people import AccountRow
from engine.ledger.results import DayRow, StrategyRow, TradePoint, TradeRow
from engine.ledger.track_records import NEWEST, Place, copied_trades
from engine.services.asking import asked, for_tokens
from engine.services.curves import Curve, curve_of
from engine.services.outcomes import OutcomeCounts, heard_of
from engine.services.user import User

PAGE: Final = 20
SIGNALS_COUNTED: Final = 20
EQUITY_SHOWN: Final = timedelta(days=90)
HOUR: Final = timedelta(hours=1)
_EQUITY_POINTS: Final = 500
TRADES_DRAWN: Final = 500
TRADES_COMPARED: Final = 5_000
"""How many of a strategy's newest trades are compared: a page must not read all of them."""
FOLLOWERS_ASKED: Final = 50
"""How many followers' funding is read for one page, those first who closed a trade last."""
_TRADES_AT_ONCE: Final = 200
_COMPARED_FOR: Final = timedelta(seconds=60)
_COMPARED_MAX: Final = 2_000
_EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The results of reconciled trades in one environment. ``drawdown`` is the maximum drawdown
    of ``curve``, the cumulative P&L.

    ``unreconciled`` counts the closed trades that are in none of these figures: not known yet,
    unexplained, or from before 0.2.

    ``funding`` is what was paid by UTC day, below 0 received, beside the result and not in it; None
    if it is not summed.
    """

    environment: str
    trades: int
    won: int
    result: Decimal
    fees: Decimal
    drawdown: Decimal
    curve: Curve
    days: tuple[DayRow, ...]
    funding: Mapping[str, Decimal] | None = None
    unreconciled: int = 0

    @property
    def funding_paid(self) -> Decimal | None:
        """Return all funding that was paid, None if it is not summed."""
        return None if self.funding is None else sum(self.funding.values(), Decimal(0))

    @property
    def won_percent(self) -> Decimal | None:
        """Return the share of winning trades, in percent with one decimal, None without trades."""
        return (
            None
            if not self.trades
            else (Decimal(100) * self.won / self.trades).quantize(Decimal("0.1"))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The result of a day, week or month, labelled by its first day."""

    label: str
    trades: int
    result: Decimal
    fees: Decimal
    funding: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A strategy with the figures by which it is compared; ``record`` is None without a closed
    position.

    ``is_cut``: there are more trades than ``TRADES_COMPARED``, and the newest are counted. ``days``
    is how long ago its first trade was closed. ``copied_percent`` is of its newest entry signals.
    ``unreconciled`` counts the closed trades, ever, that are in none of these figures. ``at`` is
    when it was read.
    """

    row: StrategyRow
    record: TrackRecord | None
    is_cut: bool
    days: int | None
    copied_percent: Decimal | None
    unreconciled: int
    at: datetime


class PerformanceService:
    """The service for people who want to see results."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._outcomes = OutcomeCounts(context)
        self._compared: dict[tuple[str, str, int | None], tuple[object, Compared]] = {}

    # Strategies

    def directory_of_all(self) -> Sequence[StrategyRow]:
        """Read every strategy of this installation; for operators."""
        return results.all_strategies(self._context.ledger.db)

    def strategy(self, user: User, identifier: str) -> StrategyRow:
        """Read one strategy that the user may see; raises NothingThere."""
        rows = results.strategies_for(self._context.ledger.db, user.id, identifier)
        if not rows:
            raise NothingThere("there is no such strategy")
        return rows[0]

    def openable(self, user: User, identifiers: Iterable[str]) -> frozenset[str]:
        """Return which of these strategies have a page that the user may see: not one that they left
        and that is private.
        """
        db = self._context.ledger.db
        return frozenset(
            each for each in set(identifiers) if results.is_openable(db, user.id, each)
        )

    def environments_of(self, strategy: StrategyRow) -> Sequence[str]:
        """Read the environments in which a strategy has closed trades, live first."""
        return results.strategy_environments(self._context.ledger.db, strategy.id)

    async def record(self, strategy: StrategyRow, environment: str, days: int | None) -> Compared:
        """Read a strategy's figures of one environment over the last ``days`` (None: ever)."""
        return await self._compare(strategy, environment, days)

    def funding_per_follower(self, compared: Compared) -> Decimal | None:
        """Return the funding of the median follower in percent of margin, over the time of the
        figures and at most ``FOLLOWERS_ASKED`` followers; None if nobody paid any.
        """
        record = compared.record
        if record is None:
            return None
        since = min(each.opened_at for each in record.returns)
        asked_of = islice(record.margins, FOLLOWERS_ASKED)
        db, strategy = self._context.ledger.db, StrategyId(compared.row.id)
        paid = {
            each: funding_of_strategy(db, AccountId(each), strategy, since) for each in asked_of
        }
        return funding_per_follower(paid, record.margins)

    def months(self, compared: Compared, zone: str) -> Sequence[Month]:
        """Return the months of a zone in which signals of a strategy were closed, newest first."""
        return () if compared.record is None else months(compared.record.returns, ZoneInfo(zone))

    async def outcomes(self, strategy: str) -> Mapping[str, Mapping[str, int]]:
        """Count the outcomes of the copies of a strategy's newest signals, by environment (live
        first) and family.
        """
        db = self._context.ledger.db
        numbers = results.newest_signals(db, StrategyId(strategy), SIGNALS_COUNTED)
        families: dict[str, Counter[str]] = {}
        for (environment, code, _), count in (await self._outcomes.of(numbers)).items():
            family = "waiting" if code is None else code.partition(".")[0]
            families.setdefault(environment, Counter())[family] += count
        return {
            each: dict(families[each].most_common())
            for each in sorted(families, key=LIVE_FIRST.index)
        }

    def agreements(self, user: User, strategy: str) -> Sequence[AgreementRow]:
        """Read what the user agreed to for a strategy."""
        return [
            each
            for each in agreements_of(self._context.ledger.db, user.id)
            if each.strategy == strategy
        ]

    async def compared(self, user: User, environment: str, days: int | None) -> Sequence[Compared]:
        """Read the strategies that the user may see with their figures of one environment over the
        last ``days`` (None: ever).
        """
        rows = results.strategies_for(self._context.ledger.db, user.id)
        return [await self._compare(row, environment, days) for row in rows]

    def environments(self, user: User) -> Sequence[str]:
        """Read the environments in which a strategy that the user may see has closed trades, live
        first.
        """
        db = self._context.ledger.db
        found = {
            each
            for row in results.strategies_for(db, user.id)
            for each in results.strategy_environments(db, row.id)
        }
        return sorted(found, key=LIVE_FIRST.index)

    async def _compare(self, row: StrategyRow, environment: str, days: int | None) -> Compared:
        db, now = self._context.ledger.db, self._context.clock.now()
        strategy = StrategyId(row.id)
        known = results.strategy_days(db, strategy, environment)
        key = (row.id, environment, days)
        stamp = (tuple(known[-1:]), sum(each.trades for each in known), row.last_signal_at)
        kept = self._compared.get(key)
        if kept is not None and kept[0] == stamp and now - kept[1].at < _COMPARED_FOR:
            return replace(kept[1], row=row)
        since = _EVER if days is None else now - timedelta(days=days)
        trades: list[CopiedTrade] = []
        place: Place | None = NEWEST
        while place is not None and len(trades) < TRADES_COMPARED:
            page, place = copied_trades(db, strategy, environment, since, _TRADES_AT_ONCE, place)
            trades += page
            await trio.lowlevel.checkpoint()  # orders go first
        entries = results.newest_entries(db, strategy, SIGNALS_COUNTED)
        heard = heard_of(environment, await self._outcomes.of(entries))
        made = Compared(
            row=row,
            record=await trio.to_thread.run_sync(track_record, trades)
            if len(trades) > _TRADES_AT_ONCE
            else track_record(trades),
            is_cut=place is not None,
            days=None if not known else (now.date() - date.fromisoformat(known[0].day)).days + 1,
            copied_percent=percent_of(Decimal(heard.copied), Decimal(heard.wanted)),
            unreconciled=sum(each.unreconciled for each in known),
            at=now,
        )
        if len(self._compared) >= _COMPARED_MAX:
            self._compared.clear()
        self._compared[key] = (stamp, made)
        return made

    # A person's own accounts

    def account(self, user: User, name: str) -> AccountRow | None:
        """Return one of the user's accounts, connected or not: the named one, else the first, None
        without any; raises NothingThere.
        """
        if name:
            return self.owned(user, name)
        return next(iter([*self.accounts(user), *self.former_accounts(user)]), None)

    def owned(self, user: User, name: str) -> AccountRow:
        """Return one of the user's accounts, connected or not; raises NothingThere."""
        mine = [*self.accounts(user), *self.former_accounts(user)]
        row = next((each for each in mine if each.name == name), None)
        if row is None:
            raise NothingThere("there is no such account of yours")
        return row

    def accounts(self, user: User) -> Sequence[AccountRow]:
        """Read the user's connected accounts."""
        return accounts_of(self._context.ledger.db, user.id)

    def former_accounts(self, user: User) -> Sequence[AccountRow]:
        """Read the accounts that the user disconnected; their results are read and exported as
        before.
        """
        return former_accounts_of(self._context.ledger.db, user.id)

    def figures(self, row: AccountRow) -> Figures:
        """Read the results of an account's trades."""
        db = self._context.ledger.db
        figures = figures_of(
            row.environment,
            results.account_days(db, row.id),
            results.trade_results(db, row.id, TRADES_DRAWN),
        )
        return replace(figures, funding=funding_by_day(db, row.id))

    def books(self, row: AccountRow) -> BooksSummary:
        """Read each line by which the account's wallet changed since its books began, and what
        nothing explains.
        """
        return books_summary(self._context.ledger.db, row.id)

    @asked
    async def equity(
        self, row: AccountRow, shown: timedelta | None = EQUITY_SHOWN
    ) -> Sequence[tuple[datetime, Decimal]]:
        """Read an account's equity over the last 90 days (``shown``; None: ever), oldest first,
        ending with its newest reading. Of more than 90 days there are some hundred points.
        """
        db, now = self._context.ledger.db, self._context.clock.now()
        since = _EVER if shown is None else now - shown
        first = results.first_equity_at(db, row.id, since)
        apart = apart_of(timedelta(0) if first is None else now - first)
        points = (
            results.equity_points(db, row.id, since)
            if apart == HOUR
            else results.equity_points_apart(db, row.id, since, apart)
        )
        task = None if self._context.live is None else self._context.live.named(row.name)
        if (
            task is not None
            and task.account.report is not None
            and task.account.read_at
            and (not points or task.account.read_at > points[-1][0])
        ):
            points.append((task.account.read_at, equity(task.account.report)))
        return points

    @asked
    @for_tokens(TokenScope.READ)
    async def total_equity(
        self, user: User, environment: str, shown: timedelta | None
    ) -> Sequence[tuple[datetime, Decimal]]:
        """Read the summed equity of the user's connected accounts of one environment, oldest first;
        see ``equity`` for ``shown``.
        """
        rows = [each for each in self.accounts(user) if each.environment == environment]
        if shown is None:
            return summed([await self.equity(each, None) for each in rows])
        since = self._context.clock.now() - shown
        series = []
        for row in rows:
            before = results.equity_before(self._context.ledger.db, row.id, since)
            carried = [] if before is None else [(since, before)]
            series.append([*carried, *await self.equity(row, shown)])
        return summed(series)

    def account_trades(self, row: AccountRow) -> Sequence[TradeRow]:
        """Read an account's newest trades, newest first."""
        return results.account_trades(self._context.ledger.db, row.id, PAGE)


def apart_of(span: timedelta) -> timedelta:
    """Return how far apart the points of equity over a time are: an hour, and more where 90 days do
    not hold it.
    """
    if span <= EQUITY_SHOWN:
        return HOUR
    return HOUR * -(-span // (HOUR * _EQUITY_POINTS))


def figures_of(
    environment: str, days: Sequence[DayRow], newest: Sequence[TradePoint] = ()
) -> Figures:
    """Sum days; see ``curve_of`` for what is drawn of them and of the newest trades."""
    curve = curve_of(days, newest)
    return Figures(
        environment=environment,
        trades=sum(each.trades for each in days),
        won=sum(each.won for each in days),
        result=sum((each.result for each in days), Decimal(0)),
        fees=sum((each.fees for each in days), Decimal(0)),
        drawdown=drawdown(value for _, value in curve.points),
        curve=curve,
        days=tuple(days),
        unreconciled=sum(each.unreconciled for each in days),
    )


def periods(figures: Figures, size: str) -> Sequence[Period]:
    """Sum days into days, ISO weeks or months, newest first, by label; a day may have funding
    alone.
    """
    trades, funding = {each.day: each for each in figures.days}, figures.funding or {}
    summed: dict[str, Period] = {}
    for day in sorted({*trades, *funding}):
        label = _label(day, size)
        period = summed.get(
            label, Period(label=label, trades=0, result=Decimal(0), fees=Decimal(0))
        )
        each = trades.get(day, DayRow(day=day, trades=0, won=0, result=Decimal(0), fees=Decimal(0)))
        paid = period.funding + funding.get(day, Decimal(0))
        summed[label] = Period(
            label=label,
            trades=period.trades + each.trades,
            result=period.result + each.result,
            fees=period.fees + each.fees,
            funding=paid,
        )
    return list(reversed(summed.values()))


def without_gaps(summed: Sequence[Period], size: str) -> Sequence[Period]:
    """Return periods, newest first as given, with the empty ones between them, so that they form a
    calendar.
    """
    if not summed:
        return ()
    by_label = {each.label: each for each in summed}
    day, labels = _first_day(summed[-1].label), list[str]()
    while not labels or labels[-1] != summed[0].label:
        label = _label(day.isoformat(), size)
        if not labels or labels[-1] != label:
            labels.append(label)
        day += timedelta(days=1)
    return [
        by_label.get(each, Period(label=each, trades=0, result=Decimal(0), fees=Decimal(0)))
        for each in reversed(labels)
    ]


def _first_day(label: str) -> date:
    if "week" in label:
        year, _, week = label.partition(" week ")
        return date.fromisocalendar(int(year), int(week), 1)
    return date.fromisoformat(label if len(label) == 10 else f"{label}-01")


def _label(day: str, size: str) -> str:
    year, week, _ = datetime.fromisoformat(day).isocalendar()
    return {"day": day, "week": f"{year} week {week:02}", "month": day[:7]}[size]
