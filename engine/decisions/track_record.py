"""What a strategy did for those who copy it, so that strategies can be compared. Pure.

What always holds: every figure is of one environment. Nothing is added up over followers, because
more followers would make a strategy look better: a signal counts with the median of its followers,
and a follower with the sum of their own signals. A return is the P&L of a position, net of fees, in
percent of the margin behind all its entries: closing it in parts makes it no larger. So only whole
positions are handed in: what closed of an open one would count on the margin of that part alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Final
from zoneinfo import ZoneInfo

from engine.decisions.portfolio import percent_of
from engine.decisions.results import drawdown
from engine.domain.amounts import EXACT, ZERO

_HUNDREDTH: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedTrade:
    """One reconciled trade of a follower; ``signal`` is the one that opened it.

    ``fees`` are of its entry and its exit. ``margin`` was behind its entry. ``slippage_bps`` is how
    much worse than planned the entry was filled, below 0 better; ``delay_ms`` is from the signal to
    the fill. Both are None where the order did not show them.
    """

    follower: str
    signal: int
    symbol: str
    side: str
    opened_at: datetime
    closed_at: datetime
    result: Decimal
    fees: Decimal
    margin: Decimal
    slippage_bps: Decimal | None
    delay_ms: int | None


@dataclass(slots=True)
class _Whole:
    """What all trades of one follower of one signal came to."""

    result: Decimal = ZERO
    fees: Decimal = ZERO
    margin: Decimal = ZERO

    def add(self, trade: CopiedTrade) -> None:
        """Count a trade."""
        self.result = EXACT.add(self.result, trade.result)
        self.fees = EXACT.add(self.fees, trade.fees)
        self.margin = EXACT.add(self.margin, trade.margin)

    @property
    def percent(self) -> Decimal:
        """Return the return on margin in percent."""
        return of_margin(self.result, self.margin)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReturn:
    """One signal, closed: the median of its followers, with the ``least`` and the ``most`` that one
    of them got. Percentages are of margin.
    """

    number: int
    symbol: str
    side: str
    opened_at: datetime
    closed_at: datetime
    followers: int
    percent: Decimal
    least: Decimal
    most: Decimal
    fee_percent: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecord:
    """The figures of one strategy in one environment and period; percentages are of margin.

    ``per_signal`` is the mean over signals, ``per_follower`` the median over followers of the sum
    of their signals. ``max_drawdown`` is of ``curve``, the running sum of signals, in percent points.
    ``win_rate`` counts signals. ``profit_factor`` is gains over losses of signals, None without a
    loss. ``fees_per_signal`` is the mean over signals. ``returns`` are the signals, first closed
    first. ``margins`` is the mean margin of each follower, by signal.
    """

    signals: int
    followers: int
    trades: int
    per_signal: Decimal
    per_follower: Decimal
    max_drawdown: Decimal
    win_rate: Decimal
    profit_factor: Decimal | None
    slippage_bps: Decimal | None
    delay_ms: int | None
    fees_per_signal: Decimal
    curve: tuple[tuple[datetime, Decimal], ...]
    returns: tuple[SignalReturn, ...]
    margins: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The signals that were closed in one month, ``label`` as in 2026-11; percentages of margin,
    ``percent`` is their sum.
    """

    label: str
    signals: int
    won: int
    percent: Decimal
    best: Decimal
    worst: Decimal


def margin_of(
    *, entry_price: Decimal, quantity: Decimal, planned_notional: Decimal, planned_margin: Decimal
) -> Decimal:
    """Return the margin behind a trade: its value at the leverage with which its entry was planned."""
    value = EXACT.multiply(entry_price, quantity)
    return EXACT.divide(EXACT.multiply(value, planned_margin), planned_notional)


def slippage_of(*, planned: Decimal, filled: Decimal, is_long: bool) -> Decimal:
    """Return how much worse than the planned price an entry was filled, in basis points."""
    worse = EXACT.subtract(filled, planned) if is_long else EXACT.subtract(planned, filled)
    return EXACT.divide(EXACT.multiply(Decimal(10_000), worse), planned)


def track_record(trades: Sequence[CopiedTrade]) -> TrackRecord | None:
    """Return the figures of a strategy's trades; None without any."""
    if not trades:
        return None
    by_signal: dict[int, list[CopiedTrade]] = {}
    wholes: dict[int, dict[str, _Whole]] = {}
    for each in trades:
        by_signal.setdefault(each.signal, []).append(each)
        wholes.setdefault(each.signal, {}).setdefault(each.follower, _Whole()).add(each)
    by_follower: dict[str, list[_Whole]] = {}
    for of_signal in wholes.values():
        for follower, whole in of_signal.items():
            by_follower.setdefault(follower, []).append(whole)
    signals = sorted(
        (_of_signal(number, group, wholes[number]) for number, group in by_signal.items()),
        key=lambda each: (each.closed_at, each.number),
    )
    returns = [each.percent for each in signals]
    running, curve = ZERO, list[tuple[datetime, Decimal]]()
    for signal in signals:
        running = EXACT.add(running, signal.percent)
        curve.append((signal.closed_at, running))
    slips = [each.slippage_bps for each in trades if each.slippage_bps is not None]
    delays = [each.delay_ms for each in trades if each.delay_ms is not None]
    losses = -_sum(value for value in returns if value < 0)
    won = Decimal(sum(1 for value in returns if value > 0))
    win_rate = percent_of(won, Decimal(len(returns)))
    assert win_rate is not None, "there is at least one signal"
    return TrackRecord(
        signals=len(signals),
        followers=len(by_follower),
        trades=len(trades),
        per_signal=_short(EXACT.divide(running, Decimal(len(returns)))),
        per_follower=_short(
            median(_sum(each.percent for each in own) for own in by_follower.values())
        ),
        max_drawdown=_short(drawdown([ZERO, *(value for _, value in curve)])),
        win_rate=win_rate,
        profit_factor=_short(EXACT.divide(_sum(value for value in returns if value > 0), losses))
        if losses
        else None,
        slippage_bps=_short(median(slips)) if slips else None,
        delay_ms=round(median(delays)) if delays else None,
        fees_per_signal=_short(_mean([each.fee_percent for each in signals])),
        curve=tuple(curve),
        returns=tuple(signals),
        margins={
            follower: _mean([each.margin for each in own]) for follower, own in by_follower.items()
        },
    )


def months(returns: Sequence[SignalReturn], zone: ZoneInfo) -> list[Month]:
    """Return the months of a zone in which signals were closed, newest first."""
    grouped: dict[str, list[Decimal]] = {}
    for each in returns:
        grouped.setdefault(f"{each.closed_at.astimezone(zone):%Y-%m}", []).append(each.percent)
    return [
        Month(
            label=label,
            signals=len(values),
            won=sum(1 for value in values if value > 0),
            percent=_sum(values),
            best=max(values),
            worst=min(values),
        )
        for label, values in sorted(grouped.items(), reverse=True)
    ]


def funding_per_follower(
    paid: Mapping[str, Decimal], margins: Mapping[str, Decimal]
) -> Decimal | None:
    """Return the median over followers of the funding that each paid, in percent of their mean
    margin; below 0 was received. None if nobody paid any.
    """
    if not any(paid.values()):
        return None
    return _short(median(of_margin(each, margins[follower]) for follower, each in paid.items()))


def of_margin(amount: Decimal, margin: Decimal) -> Decimal:
    """Return an amount in percent of a margin."""
    return EXACT.divide(EXACT.multiply(Decimal(100), amount), margin)


def _of_signal(
    number: int, group: Sequence[CopiedTrade], wholes: Mapping[str, _Whole]
) -> SignalReturn:
    """Return a signal: each follower counts with all their trades of it as one."""
    returns = [each.percent for each in wholes.values()]
    return SignalReturn(
        number=number,
        symbol=group[0].symbol,
        side=group[0].side,
        opened_at=min(each.opened_at for each in group),
        closed_at=max(each.closed_at for each in group),
        followers=len(wholes),
        percent=median(returns),
        least=min(returns),
        most=max(returns),
        fee_percent=median(of_margin(each.fees, each.margin) for each in wholes.values()),
    )


def _mean(values: Sequence[Decimal]) -> Decimal:
    return EXACT.divide(_sum(values), Decimal(len(values)))


def _sum(values: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for each in values:
        total = EXACT.add(total, each)
    return total


def _short(value: Decimal) -> Decimal:
    return value.quantize(_HUNDREDTH)
