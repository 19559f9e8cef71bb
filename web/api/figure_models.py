"""What the API answers about figures over time: equity, results, strategies, shadow books, price
charts and the calendar.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from engine.domain.account import Environment
from engine.domain.account import Position as ExchangePosition
from engine.ports.market_data import Candle
from engine.services.charting import OpenPosition as OpenNow
from engine.services.charting import PastTrade
from engine.services.performance import Compared, Figures, periods
from engine.services.read_models import BooksSummary, CalendarMonth, ShadowTrade
from engine.services.read_models import Month as MonthSum
from engine.services.shadowing import Shadow as ShadowBook
from engine.views import FillView
from web.api.models import (
    Amount,
    Position,
    Strategy,
    Time,
    Trade,
    amount,
    amount_or_none,
    position_of,
    rounded,
    strategy_of,
    trade_of,
)
from web.scales import thinned

POINTS_MAX = 1_000
Points = Sequence[tuple[datetime, Decimal]]


def _kept(points: Points) -> Iterable[tuple[datetime, Decimal]]:
    """Return at most ``POINTS_MAX`` points: of more, those that a chart would need."""
    return (points[at] for at in thinned([float(value) for _, value in points], POINTS_MAX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Equity at a time."""

    at: Time
    equity: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Equity:
    """An account's equity over time, oldest first. Of more than 1,000 points, the lowest and the
    highest of each stretch are here.
    """

    account: str
    environment: Environment
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalEquity:
    """How the equity of all connected accounts of one environment went; see ``Equity``.
    ``environment`` is null without an account.
    """

    environment: Environment | None
    points: tuple[Point, ...]


def points_of(points: Points) -> tuple[Point, ...]:
    """Return equity over time."""
    return tuple(Point(at=at, equity=amount(value)) for at, value in _kept(points))


@dataclass(frozen=True, slots=True, kw_only=True)
class PnlPoint:
    """A cumulative P&L at a time."""

    at: Time
    pnl: Amount


def pnl_of(points: Points) -> tuple[PnlPoint, ...]:
    """Return a cumulative P&L over time."""
    return tuple(PnlPoint(at=at, pnl=amount(value)) for at, value in _kept(points))


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The P&L of a day, week or month, labelled by its first day, ISO week or month. ``funding`` was
    paid, below 0 received; it is not in ``result``.
    """

    label: str
    trades: int
    result: Amount
    fees: Amount
    funding: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The results of an account's reconciled trades, fees included and funding beside them.

    ``unreconciled`` closed trades are in none of these figures. ``drawdown`` is the maximum drawdown
    of the cumulative P&L, which is ``curve``: trade by trade after ``exact_since`` (null: nowhere),
    by the ends of days before it. For the number of its points see ``Equity``.
    """

    account: str
    environment: Environment
    trades: int
    won: int
    won_percent: Amount | None
    result: Amount
    fees: Amount
    funding_paid: Amount | None
    drawdown: Amount
    unreconciled: int
    periods: tuple[Period, ...]
    curve: tuple[PnlPoint, ...]
    exact_since: Time | None


def results_of(account: str, figures: Figures, size: str, most: int) -> Results:
    """Return the results of an account with its newest ``most`` periods of a size."""
    return Results(
        account=account,
        environment=Environment(figures.environment),
        trades=figures.trades,
        won=figures.won,
        won_percent=amount_or_none(figures.won_percent),
        result=amount(figures.result),
        fees=amount(figures.fees),
        funding_paid=amount_or_none(figures.funding_paid),
        drawdown=amount(figures.drawdown),
        unreconciled=figures.unreconciled,
        periods=tuple(
            Period(
                label=each.label,
                trades=each.trades,
                result=amount(each.result),
                fees=amount(each.fees),
                funding=amount(each.funding),
            )
            for each in periods(figures, size)[:most]
        ),
        curve=pnl_of(figures.curve.points),
        exact_since=figures.curve.exact_since,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unexplained:
    """A change of the wallet between two readings that no order explains."""

    kind: str
    amount: Amount
    since: Time
    until: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What changed an account's wallet since its books began (null: not yet).

    ``change`` is results + owner + unexplained - fees - funding; ``owner`` is what its owner did
    besides. ``open_fills`` lack a price or fee that is still asked for, ``unexplained_fills`` will
    never have it.
    """

    account: str
    environment: Environment
    since: Time | None
    change: Amount
    results: Amount
    owner: Amount
    fees: Amount
    funding: Amount
    unexplained: Amount
    rows: tuple[Unexplained, ...]
    open_fills: int
    unexplained_fills: int


def books_of(account: str, environment: str, books: BooksSummary) -> Books:
    """Return the lines of an account's wallet."""
    return Books(
        account=account,
        environment=Environment(environment),
        since=books.since,
        change=amount(books.change),
        results=amount(books.results),
        owner=amount(books.owner),
        fees=amount(books.fees),
        funding=amount(books.funding),
        unexplained=amount(books.unexplained),
        rows=tuple(
            Unexplained(
                kind=each.kind.value,
                amount=amount(each.amount),
                since=each.since,
                until=each.until,
            )
            for each in books.rows
        ),
        open_fills=books.open_fills,
        unexplained_fills=books.unexplained_fills,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day: its reconciled trades closed, how many won, and their P&L net of fees; ``unreconciled``
    closed trades are in none of these figures.
    """

    day: date
    trades: int
    won: int
    unreconciled: int
    result: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """A month of one environment in your time zone, every day of it, and its sums."""

    environment: Environment
    account: str | None
    first: date
    trades: int
    won: int
    unreconciled: int
    result: Amount
    days: tuple[Day, ...]


def calendar_of(environment: str, account: str, month: CalendarMonth) -> Calendar:
    """Return what each day of a month came to."""
    return Calendar(
        environment=Environment(environment),
        account=account or None,
        first=month.first,
        trades=month.sum.trades,
        won=month.sum.won,
        unreconciled=month.sum.unreconciled,
        result=amount(month.sum.result),
        days=tuple(
            Day(
                day=each.day,
                trades=each.sum.trades,
                won=each.sum.won,
                unreconciled=each.sum.unreconciled,
                result=amount(each.sum.result),
            )
            for week in month.weeks
            for each in week
            if each is not None
        ),
    )


# One strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """The returns of a strategy's signals so far, added up, in percent of margin."""

    at: Time
    percent: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The signals that were closed in one month (2026-11): ``percent`` is their sum, of margin."""

    label: str
    signals: int
    won: int
    percent: Amount
    best: Amount
    worst: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedSignal:
    """One signal that is closed: ``percent`` is the median of its followers, ``least`` and ``most``
    what one of them got; of margin, net of fees.
    """

    symbol: str
    side: str
    opened_at: Time
    closed_at: Time
    followers: int
    percent: Amount
    least: Amount
    most: Amount
    fee_percent: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRecord:
    """One strategy in one environment and period. ``funding_per_follower`` is of margin, below 0
    received. ``unreconciled`` closed trades are in none of these figures. ``signals`` are the newest
    closed ones, ``outcomes`` count the outcomes of its newest signals by environment and family.
    """

    environment: str
    environments: tuple[Environment, ...]
    strategy: Strategy
    fees_per_signal: Amount | None
    funding_per_follower: Amount | None
    unreconciled: int
    curve: tuple[Return, ...]
    months: tuple[Month, ...]
    signals: tuple[ClosedSignal, ...]
    outcomes: Mapping[str, Mapping[str, int]]


def record_of(
    each: Compared,
    *,
    environment: str,
    environments: Sequence[str],
    funding: Decimal | None,
    months: Sequence[MonthSum],
    most: int,
    outcomes: Mapping[str, Mapping[str, int]],
) -> StrategyRecord:
    """Return one strategy with at most ``most`` of its closed signals."""
    record = each.record
    return StrategyRecord(
        environment=environment,
        environments=tuple(map(Environment, environments)),
        strategy=strategy_of(each),
        fees_per_signal=None if record is None else amount(record.fees_per_signal),
        funding_per_follower=amount_or_none(funding),
        unreconciled=each.unreconciled,
        curve=()
        if record is None
        else tuple(Return(at=at, percent=rounded(value)) for at, value in _kept(record.curve)),
        months=tuple(
            Month(
                label=month.label,
                signals=month.signals,
                won=month.won,
                percent=rounded(month.percent),
                best=rounded(month.best),
                worst=rounded(month.worst),
            )
            for month in months
        ),
        signals=()
        if record is None
        else tuple(
            ClosedSignal(
                symbol=one.symbol,
                side=one.side,
                opened_at=one.opened_at,
                closed_at=one.closed_at,
                followers=one.followers,
                percent=rounded(one.percent),
                least=rounded(one.least),
                most=rounded(one.most),
                fee_percent=rounded(one.fee_percent),
            )
            for one in record.returns[: -most - 1 : -1]
        ),
        outcomes=outcomes,
    )


# What would have been


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowPosition:
    """A position that nobody has."""

    symbol: str
    side: str
    quantity: Amount
    entry_price: Amount
    mark_price: Amount
    leverage: Amount
    margin: Amount
    open_pnl: Amount
    liquidation_price: Amount | None
    stop_loss: Amount | None
    take_profit: Amount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowClosed:
    """A closed trade that nobody made; see ``Trade``. ``margin`` was behind its entry."""

    symbol: str
    side: str
    quantity: Amount
    entry_price: Amount | None
    exit_price: Amount | None
    fees: Amount | None
    result: Amount | None
    margin: Amount
    opened_at: Time
    closed_at: Time
    ended_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowFigures:
    """What an account would have done with a strategy's signals from ``since`` to ``until`` under
    its terms, from ``balance`` and no position. Nothing of it was traded.

    ``is_whole``: these are 30 days; else prices were recorded later, or there were too many signals.
    ``result`` is net of fees; it and ``max_drawdown`` include what would be open. ``percent`` is the
    sum of the positions of which nothing would be open any more, each in percent of the margin behind
    it. ``copied`` counts as a ``Week`` does, ``missed`` by code, and ``entries`` is both. ``trades``
    are the newest, newest first.
    """

    since: Time
    until: Time
    is_whole: bool
    balance: Amount
    currency: str
    result: Amount
    result_percent: Amount | None
    percent: Amount | None
    open_pnl: Amount
    fees: Amount
    max_drawdown: Amount
    closed: int
    won: int
    entries: int
    copied: int
    missed: Mapping[str, int]
    positions: tuple[ShadowPosition, ...]
    trades: tuple[ShadowClosed, ...]
    curve: tuple[PnlPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """The shadow book of an account that watches a strategy: what was not traded. ``why_none`` says
    why there is none.
    """

    account: str
    environment: Environment
    strategy: str
    shadow: ShadowFigures | None
    why_none: str


def shadow_figures(book: ShadowBook) -> ShadowFigures:
    """Return the figures of a shadow book."""
    return ShadowFigures(
        since=book.since,
        until=book.until,
        is_whole=book.is_whole,
        balance=amount(book.balance),
        currency=book.currency,
        result=amount(book.result),
        result_percent=amount_or_none(book.result_percent),
        percent=None if book.percent is None else rounded(book.percent),
        open_pnl=amount(book.open_pnl),
        fees=amount(book.fees),
        max_drawdown=amount(book.max_drawdown),
        closed=book.closed,
        won=book.won,
        entries=book.entries,
        copied=book.copied,
        missed={code.value: count for code, count in book.missed},
        positions=tuple(map(_shadow_position, book.positions)),
        trades=tuple(map(_shadow_closed, book.trades)),
        curve=pnl_of(book.curve),
    )


def _shadow_position(each: ExchangePosition) -> ShadowPosition:
    return ShadowPosition(
        symbol=each.symbol,
        side=each.side.value,
        quantity=amount(each.quantity),
        entry_price=amount(each.entry_price),
        mark_price=amount(each.mark_price),
        leverage=amount(each.leverage),
        margin=amount(each.margin),
        open_pnl=amount(each.unrealised_profit),
        liquidation_price=amount_or_none(each.liquidation_price),
        stop_loss=amount_or_none(each.stop_loss),
        take_profit=amount_or_none(each.take_profit),
    )


def _shadow_closed(each: ShadowTrade) -> ShadowClosed:
    trade = each.trade
    return ShadowClosed(
        symbol=each.symbol,
        side=trade.side.value,
        quantity=amount(trade.quantity),
        entry_price=amount_or_none(trade.entry_price),
        exit_price=amount_or_none(trade.exit_price),
        fees=amount_or_none(trade.fees),
        result=amount_or_none(trade.result),
        margin=amount(each.margin),
        opened_at=trade.opened_at,
        closed_at=trade.closed_at,
        ended_by=None if trade.cause is None else trade.cause.value,
    )


# Price charts


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One fill of a position; ``price`` and ``fee`` are null until they are known. ``master_price``
    is the one that the signal behind it named, which arrived at ``signal_at``.
    """

    at: Time
    is_entry: bool
    quantity: Amount
    price: Amount | None
    fee: Amount | None
    cause: str | None
    master_price: Amount | None
    signal_at: Time | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceCandle:
    """One closed candle; ``at`` is its start."""

    at: Time
    open: Amount
    high: Amount
    low: Amount
    close: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Candles:
    """The exchange's candles around a position or trade, oldest first, each ``seconds`` long;
    ``why_none`` says why there are none.
    """

    seconds: int | None
    candles: tuple[PriceCandle, ...]
    why_none: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """One open position with its fills, at most 100, and the price since it was opened."""

    position: Position
    fills: tuple[Fill, ...]
    price: Candles


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrade:
    """One closed trade with the fills of its position, at most 100, and the price around it.
    ``stop_loss`` and ``take_profit`` are those that its newest entry with one named.
    """

    trade: Trade
    stop_loss: Amount | None
    take_profit: Amount | None
    fills: tuple[Fill, ...]
    price: Candles


def open_position_of(each: OpenNow) -> OpenPosition:
    """Return one open position with its chart."""
    return OpenPosition(
        position=position_of(each.row),
        fills=tuple(map(_fill, each.fills)),
        price=_candles(each.past.candles, each.past.why_none),
    )


def closed_trade_of(each: PastTrade) -> ClosedTrade:
    """Return one closed trade with its chart."""
    return ClosedTrade(
        trade=trade_of(each.closed.closed),
        stop_loss=amount_or_none(each.level("stop_loss")),
        take_profit=amount_or_none(each.level("take_profit")),
        fills=tuple(map(_fill, each.closed.fills)),
        price=_candles(each.past.candles, each.past.why_none),
    )


def _fill(each: FillView) -> Fill:
    return Fill(
        at=each.at,
        is_entry=each.is_entry,
        quantity=amount(each.quantity),
        price=amount_or_none(each.price),
        fee=amount_or_none(each.fee),
        cause=None if each.cause is None else each.cause.value,
        master_price=None if each.signal is None else amount_or_none(each.signal.price),
        signal_at=each.received_at,
    )


def _candles(candles: Sequence[Candle], why_none: str) -> Candles:
    return Candles(
        seconds=candles[0].interval_s if candles else None,
        candles=tuple(
            PriceCandle(
                at=each.opened_at,
                open=amount(each.open),
                high=amount(each.high),
                low=amount(each.low),
                close=amount(each.close),
            )
            for each in candles
        ),
        why_none=why_none,
    )
