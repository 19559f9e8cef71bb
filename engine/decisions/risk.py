"""What one account carries because of this engine, and whether one more entry stays inside every
cap.

What always holds: an entry that passes keeps every cap *together with* all our entries already in
flight, so a burst cannot pass a cap that each of its entries alone would keep. A value that cannot
be computed is never taken as zero: the entry is refused. Nothing here chooses a size or knows the
signal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from typing import Final
from zoneinfo import ZoneInfo

from engine.domain.account import AccountReport, EquityMarks, Position, UnreadableRow
from engine.domain.amounts import (
    EXACT,
    FINEST,
    ZERO,
    Money,
    Quantity,
    Ratio,
    ceil_to_step,
    initial_margin,
    notional,
    plain,
)
from engine.domain.holding import Holding, PendingEntry
from engine.domain.identifiers import Symbol
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.subscription import RiskLimits


@dataclass(frozen=True, slots=True)
class Carried:
    """A notional value and the initial margin behind it."""

    notional: Money
    margin: Money

    def plus(self, other: "Carried") -> "Carried":
        """Add two, exactly."""
        return Carried(total(self.notional, other.notional), total(self.margin, other.margin))


NOTHING: Final = Carried(Money(ZERO), Money(ZERO))


@dataclass(frozen=True, slots=True)
class Unvalued:
    """``symbol`` is held, and neither the report nor a pending entry shows its value."""

    symbol: Symbol


def total(*amounts: Decimal) -> Money:
    """Add amounts exactly (Decimal's own context would round at 28 digits)."""
    return Money(reduce(EXACT.add, amounts, ZERO))


def fee(worth: Money, fee_bps: Decimal) -> Money:
    """Compute a taker fee in basis points of ``worth``, rounded up to 12 decimals."""
    return Money(
        ceil_to_step(EXACT.divide(EXACT.multiply(worth, fee_bps), Decimal(10_000)), FINEST)
    )


def is_held(holding: Holding) -> bool:
    """Return whether a strategy holds the symbol: it has a share, or an entry that is not terminal."""
    return holding.share > 0 or holding.entries_open > 0


def position_of(report: AccountReport, symbol: Symbol) -> Position | None:
    """Return the report's position in ``symbol``; the exchange nets, so at most one is not empty."""
    return next(
        (each for each in report.positions if each.symbol == symbol and each.quantity > 0), None
    )


def is_held_position(holding: Holding, position: Position) -> bool:
    """Return whether a position is the one that a holding is in: of its side, and no other one by
    their ids, where both are known.
    """
    is_named = "" not in (holding.position_id, position.id)
    return position.side is holding.side and not (is_named and holding.position_id != position.id)


def may_have_position(report: AccountReport, symbol: Symbol) -> bool:
    """Return whether a position may be open in ``symbol`` that the report could not read; it is
    then not taken as closed.
    """
    return position_of(report, symbol) is None and any(
        _is_unread_position(row, symbol) for row in report.unreadable
    )


def may_have_order(report: AccountReport, symbol: Symbol) -> bool:
    """Return whether an order may be open in ``symbol`` that the report could not read."""
    return any(row.what != "position" and row.symbol in (None, symbol) for row in report.unreadable)


def unread_row(report: AccountReport, symbol: Symbol) -> UnreadableRow | None:
    """Return an unreadable row that may concern ``symbol``; None if the report shows all of it.

    A readable position is the only one of its symbol, because the exchange nets. An order's row
    counts if it names the symbol.
    """
    may_have = may_have_position(report, symbol)
    return next(
        (
            row
            for row in report.unreadable
            if (may_have and _is_unread_position(row, symbol))
            or (row.what != "position" and row.symbol == symbol)
        ),
        None,
    )


def _is_unread_position(row: UnreadableRow, symbol: Symbol) -> bool:
    return row.what == "position" and row.symbol in (None, symbol)


def carried_in(
    symbol: Symbol,
    holdings: Iterable[Holding],
    report: AccountReport,
    pending: Iterable[PendingEntry],
) -> Carried | Unvalued:
    """Value everything the engine has in one symbol: its share at the present mark price plus
    entries in flight.

    A pending entry counts with what it may still bring. If the report does not show the whole share
    yet, the missing part is what the pending entries brought, and it is counted once: through them.
    The margin of a share is at its entry price.
    """
    holding = next((each for each in holdings if each.symbol == symbol and each.share > 0), None)
    share, position = ZERO if holding is None else holding.share, position_of(report, symbol)
    shown = (
        min(share, position.quantity)
        if holding is not None and position is not None and position.side is holding.side
        else ZERO
    )
    missing = EXACT.subtract(share, shown)
    on_their_way, brought = NOTHING, ZERO
    for each in pending:
        if each.symbol == symbol:
            # what filled counts through the share, as far as the report shows the share
            unshown = min(each.filled, missing)
            missing = EXACT.subtract(missing, unshown)
            rest = Quantity(EXACT.add(EXACT.subtract(each.quantity, each.filled), unshown))
            on_their_way, brought = on_their_way.plus(_part(each, rest)), EXACT.add(brought, rest)
    unseen = EXACT.subtract(share, EXACT.add(shown, brought))
    if position is None or holding is None:
        return on_their_way if unseen <= 0 else Unvalued(symbol)
    return on_their_way.plus(_valued(position, Quantity(EXACT.add(shown, max(unseen, ZERO)))))


def _part(entry: PendingEntry, quantity: Quantity) -> Carried:
    """Value a part of a pending entry, rounded up to 12 decimals."""
    if quantity == entry.quantity:
        return Carried(entry.notional, entry.margin)
    worth, margin = (
        Money(ceil_to_step(EXACT.divide(EXACT.multiply(whole, quantity), entry.quantity), FINEST))
        for whole in (entry.notional, entry.margin)
    )
    return Carried(worth, margin)


def _valued(position: Position, quantity: Quantity) -> Carried:
    # An adapter that reports no leverage must not make the margin smaller: the full notional counts
    # then.
    leverage = position.leverage if position.leverage > 0 else Ratio(Decimal(1))
    return Carried(
        notional(position.mark_price, quantity),
        initial_margin(position.entry_price, quantity, leverage),
    )


def held_symbols(holdings: Iterable[Holding], pending: Iterable[PendingEntry]) -> frozenset[Symbol]:
    """Return every symbol in which the engine holds something or is about to."""
    return frozenset(
        {each.symbol for each in holdings if is_held(each)} | {each.symbol for each in pending}
    )


def broken_cap(
    limits: RiskLimits,
    symbol: Symbol,
    entry: Carried,
    holdings: tuple[Holding, ...],
    report: AccountReport,
    pending: tuple[PendingEntry, ...],
    currency: str,
) -> Outcome | None:
    """Return the outcome of the first cap, in the order of RiskLimits, that the account would break
    with ``entry`` added; None if none.

    An amount exactly at a cap is inside it. An account whose holdings cannot be valued is not ready
    while a cap needs their value.
    """
    if limits.order_notional is not None and entry.notional > limits.order_notional:
        return _over(
            OutcomeCode.DENIED_ORDER_NOTIONAL,
            what="notional",
            amount=entry.notional,
            cap=limits.order_notional,
            symbol=symbol,
            currency=currency,
        )
    symbols = held_symbols(holdings, pending)
    by_symbol = {each: carried_in(each, holdings, report, pending) for each in symbols | {symbol}}
    return (
        _broken_symbol_cap(
            limits.symbol_notional,
            symbol=symbol,
            entry=entry,
            here=by_symbol[symbol],
            currency=currency,
        )
        or _broken_account_cap(
            limits,
            symbol=symbol,
            entry=entry,
            everything=tuple(by_symbol.values()),
            currency=currency,
        )
        or _broken_count(limits.open_positions, symbol, symbols)
    )


def _broken_symbol_cap(
    cap: Money | None, symbol: Symbol, entry: Carried, here: Carried | Unvalued, currency: str
) -> Outcome | None:
    if cap is None:
        return None
    if isinstance(here, Unvalued):
        return _not_valued(here)
    worth = total(here.notional, entry.notional)
    return (
        _over(
            OutcomeCode.DENIED_SYMBOL_NOTIONAL,
            what="notional",
            amount=worth,
            cap=cap,
            symbol=symbol,
            currency=currency,
        )
        if worth > cap
        else None
    )


def _broken_account_cap(
    limits: RiskLimits,
    symbol: Symbol,
    entry: Carried,
    everything: tuple[Carried | Unvalued, ...],
    currency: str,
) -> Outcome | None:
    if limits.account_notional is None and limits.account_margin is None:
        return None
    after = entry
    for each in everything:
        if isinstance(each, Unvalued):
            return _not_valued(each)
        after = after.plus(each)
    if limits.account_notional is not None and after.notional > limits.account_notional:
        return _over(
            OutcomeCode.DENIED_ACCOUNT_NOTIONAL,
            what="notional",
            amount=after.notional,
            cap=limits.account_notional,
            symbol=symbol,
            currency=currency,
        )
    if limits.account_margin is not None and after.margin > limits.account_margin:
        return _over(
            OutcomeCode.DENIED_ACCOUNT_MARGIN,
            what="margin",
            amount=after.margin,
            cap=limits.account_margin,
            symbol=symbol,
            currency=currency,
        )
    return None


def _broken_count(cap: int | None, symbol: Symbol, symbols: frozenset[Symbol]) -> Outcome | None:
    others = len(symbols - {symbol})
    if cap is None or others < cap:
        return None
    return Outcome(
        OutcomeCode.DENIED_OPEN_POSITIONS, {"open": str(others), "cap": str(cap), "symbol": symbol}
    )


def lacking_balance(
    entry: Carried, report: AccountReport, pending: tuple[PendingEntry, ...], fee_bps: Decimal
) -> Outcome | None:
    """Refuse an entry whose margin and fee exceed what is free once every pending entry has taken
    its own; what the exchange has reserved is not in the report's free balance any more.
    """
    needed = total(entry.margin, fee(entry.notional, fee_bps))
    to_come = total(
        *(
            total(each.margin, fee(each.notional, fee_bps))
            for each in pending
            if not each.is_reserved
        )
    )
    free = EXACT.subtract(report.balance.available, to_come)
    if needed <= free:
        return None
    numbers = {
        "needed": plain(needed),
        "available": plain(max(free, ZERO)),
        "currency": report.balance.currency,
    }
    return Outcome(OutcomeCode.DENIED_BALANCE, numbers)


def equity(report: AccountReport) -> Money:
    """Compute the account's equity: the wallet with the margin in use, plus the unrealised profit
    of open positions.
    """
    return total(report.balance.total, *(each.unrealised_profit for each in report.positions))


def hides_equity(report: AccountReport) -> UnreadableRow | None:
    """Return the row of a position that cannot be read, so that the equity is not known; None if
    every position was read.
    """
    return next((row for row in report.unreadable if row.what == "position"), None)


def equity_not_known(row: UnreadableRow) -> Outcome:
    """Return the refusal of an entry that needs an equity which is not known."""
    return Outcome(
        OutcomeCode.DENIED_ACCOUNT_NOT_READY,
        {
            "why": f"the position in {row.symbol or 'an unknown contract'} cannot be read, so its "
            "equity is not known"
        },
    )


def trading_day(moment: datetime, zone: str) -> date:
    """Return the trading day of a moment: its date in the named time zone."""
    return moment.astimezone(ZoneInfo(zone)).date()


def marks_of_today(marks: EquityMarks | None, now: datetime) -> EquityMarks | None:
    """Return the marks if they began today; an account that was not read since has no result of
    today.
    """
    if marks is None or trading_day(marks.since, marks.zone) != trading_day(now, marks.zone):
        return None
    return marks


def lost_too_much(
    limits: RiskLimits,
    report: AccountReport,
    marks: EquityMarks | None,
    currency: str,
    moment: datetime,
) -> Outcome | None:
    """Refuse an entry once the day's loss or the drawdown has reached its cap; exactly at the cap
    counts as over. A day that is over decides nothing: the next reading begins the new one.

    Equity counts, so a deposit or withdrawal by the owner counts as profit or loss until the day's
    mark is renewed. Without marks, or with a position that cannot be read, an account with such a cap
    is not ready.
    """
    if not limits.limits_losses:
        return None
    if (row := hides_equity(report)) is not None:
        return equity_not_known(row)
    if marks is None:
        return Outcome(
            OutcomeCode.DENIED_ACCOUNT_NOT_READY,
            {"why": "its equity at the day's start is not recorded yet"},
        )
    now = equity(report)
    loss = EXACT.subtract(marks.day_start, now)
    is_today = marks_of_today(marks, moment) is not None
    if limits.daily_loss is not None and is_today and loss >= limits.daily_loss:
        numbers = {
            "loss": plain(loss),
            "cap": plain(limits.daily_loss),
            "since": f"{marks.since.astimezone(ZoneInfo(marks.zone)):%Y-%m-%d %H:%M}",
            "zone": marks.zone,
        }
        return Outcome(OutcomeCode.DENIED_DAILY_LOSS, numbers | {"currency": currency})
    if limits.drawdown_percent is not None and marks.peak > 0:
        below = EXACT.divide(
            EXACT.multiply(EXACT.subtract(marks.peak, now), Decimal(100)), marks.peak
        )
        if below >= limits.drawdown_percent:
            drawdown_numbers = {
                "drawdown": plain(ceil_to_step(max(below, ZERO), Decimal("0.01"))),
                "cap": str(limits.drawdown_percent),
            }
            return Outcome(
                OutcomeCode.DENIED_DRAWDOWN,
                drawdown_numbers | {"peak": plain(marks.peak), "currency": currency},
            )
    return None


def _over(
    code: OutcomeCode, what: str, amount: Money, cap: Money, symbol: Symbol, currency: str
) -> Outcome:
    return Outcome(
        code, {what: plain(amount), "cap": plain(cap), "symbol": symbol, "currency": currency}
    )


def _not_valued(gap: Unvalued) -> Outcome:
    return Outcome(
        OutcomeCode.DENIED_ACCOUNT_NOT_READY,
        {"why": f"the newest reading does not show the {gap.symbol} held here yet"},
    )
