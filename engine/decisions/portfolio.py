"""Sum the accounts of one person: what they are worth now, today's P&L and how their equity went.
Pure.

What always holds: environments are never added up, and an account that was not read yet is counted,
not taken as zero.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.domain.account import LIVE_FIRST, AccountReport, Position
from engine.domain.amounts import EXACT, FINEST, ZERO, Money, Quantity, floor_to_step
from engine.domain.identifiers import Symbol
from engine.domain.signal import PositionSide
from engine.ports.market_data import Quote

_CENTS_OF_A_PERCENT: Final = Decimal("0.01")
Series = Sequence[tuple[datetime, Decimal]]


def marked(report: AccountReport, newest: Callable[[Symbol], Quote | None]) -> AccountReport:
    """Return a reading with each position at the newest mark price, where one was read after it."""
    return replace(
        report, positions=tuple(_marked(each, report, newest) for each in report.positions)
    )


def _marked(
    position: Position, report: AccountReport, newest: Callable[[Symbol], Quote | None]
) -> Position:
    quote = newest(position.symbol)
    if quote is None or quote.at <= report.as_of:
        return position
    begin, end = position.mark_price, quote.mark
    if position.side is PositionSide.SHORT:
        begin, end = end, begin
    gain = EXACT.multiply(EXACT.subtract(end, begin), position.quantity)
    profit = Money(EXACT.add(position.unrealised_profit, gain))
    return replace(position, mark_price=quote.mark, unrealised_profit=profit)


def resized(position: Position, quantity: Decimal) -> Position:
    """Return a position after a fill that its reading does not show: ``quantity`` of it, with margin
    in proportion, and the P&L of what is left; what was added has none yet.
    """

    def cut(amount: Decimal) -> Money:
        exact = EXACT.divide(EXACT.multiply(amount, quantity), position.quantity)
        return Money(floor_to_step(exact, FINEST))

    profit = position.unrealised_profit
    return replace(
        position,
        quantity=Quantity(quantity),
        margin=cut(position.margin),
        unrealised_profit=cut(profit) if quantity < position.quantity else profit,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMoney:
    """What the newest reading of an account says; ``equity`` is None before the first one.

    ``day_start`` is the equity with which the trading day began, None if it is not known.
    ``is_stale``: the reading is old, because the account cannot be read now.
    """

    environment: str
    equity: Decimal | None
    day_start: Decimal | None
    open_pnl: Decimal | None
    is_stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sums over the accounts of one environment.

    ``read`` of ``accounts`` are in ``equity`` and ``open_pnl``, ``stale`` of these with an old
    reading because they cannot be read now. ``todays_pnl`` is None while the
    start of the day is known of none of them; ``todays_percent`` compares it with the equity at the
    start of the day and has two decimals.
    """

    environment: str
    accounts: int
    read: int
    stale: int
    equity: Decimal
    open_pnl: Decimal
    todays_pnl: Decimal | None
    todays_percent: Decimal | None


def totals_of(accounts: Iterable[AccountMoney]) -> tuple[Totals, ...]:
    """Return the sums by environment, live first."""
    by_environment: dict[str, list[AccountMoney]] = {}
    for each in accounts:
        by_environment.setdefault(each.environment, []).append(each)
    return tuple(
        _totals(name, by_environment[name]) for name in sorted(by_environment, key=LIVE_FIRST.index)
    )


def _totals(environment: str, accounts: Sequence[AccountMoney]) -> Totals:
    starts = [
        (each.equity, each.day_start)
        for each in accounts
        if each.equity is not None and each.day_start is not None
    ]
    began = _sum(start for _, start in starts)
    pnl = EXACT.subtract(_sum(equity for equity, _ in starts), began) if starts else None
    return Totals(
        environment=environment,
        accounts=len(accounts),
        read=sum(1 for each in accounts if each.equity is not None),
        stale=sum(1 for each in accounts if each.equity is not None and each.is_stale),
        equity=_sum(each.equity for each in accounts if each.equity is not None),
        open_pnl=_sum(each.open_pnl for each in accounts if each.open_pnl is not None),
        todays_pnl=pnl,
        todays_percent=percent_of(pnl, began),
    )


def percent_of(part: Decimal | None, whole: Decimal) -> Decimal | None:
    """Return a part in percent of a whole, with two decimals; None if the whole is not above 0."""
    if part is None or whole <= 0:
        return None
    share = EXACT.divide(EXACT.multiply(Decimal(100), part), whole)
    return share.quantize(_CENTS_OF_A_PERCENT)


def summed(series: Sequence[Series]) -> list[tuple[datetime, Decimal]]:
    """Add up the equity of several accounts, each oldest first: at each reading of one of them, the
    newest known equity of all.

    An account counts from its first reading on.
    """
    readings = sorted(
        ((at, index, value) for index, points in enumerate(series) for at, value in points),
        key=lambda each: each[:2],
    )
    newest: dict[int, Decimal] = {}
    total, points = ZERO, list[tuple[datetime, Decimal]]()
    for at, index, value in readings:
        total = EXACT.add(total, EXACT.subtract(value, newest.get(index, ZERO)))
        newest[index] = value
        if points and points[-1][0] == at:
            points[-1] = (at, total)
        else:
            points.append((at, total))
    return points


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for each in amounts:
        total = EXACT.add(total, each)
    return total
