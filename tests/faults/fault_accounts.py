"""The accounts of the fault exchange: netted positions with ids, cash, closed positions, fee rows,
and which part is ours.

The record is exact and complete, and it judges. ``ours`` splits every fill between the engine and
the owner (who closes his own part first), so the true result of the engine's trades is known,
whatever the exchange reports.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Final

from rexalgo import (
    ClosedBy,
    ClosedPosition,
    FeeKind,
    FeeReport,
    Money,
    OrderSide,
    PositionSide,
    Price,
    Quantity,
    Symbol,
)

ZERO: Final = Decimal(0)
FEE_RATE: Final = Decimal("0.0005")
START: Final = Decimal(100_000)
Place = tuple[str, Symbol]


@dataclass(frozen=True, slots=True)
class Held:
    """One netted position. ``signed`` above 0 is long; ``worth`` is quantity x average price of
    what is open.
    """

    id: str
    signed: Decimal
    worth: Decimal
    opened: datetime
    entered: Decimal
    paid: Decimal
    brought: Decimal = ZERO

    @property
    def price(self) -> Decimal:
        """Return the average entry price."""
        return self.worth / abs(self.signed)


@dataclass(frozen=True, slots=True)
class Filled:
    """One fill to be netted. ``ours`` is the change of the engine's share, with the sign of
    ``change``.
    """

    account: str
    symbol: Symbol
    change: Decimal
    ours: Decimal
    price: Decimal
    at: datetime
    order_id: str
    closed_by: ClosedBy


@dataclass(frozen=True, slots=True)
class Late:
    """A row that is visible from ``seen`` on."""

    seen: datetime
    account: str
    row: ClosedPosition | FeeReport


@dataclass
class Accounts:
    """Positions and money of every account. ``born_s`` is the delay of the next closed position and
    fee rows.
    """

    held: dict[Place, Held] = field(default_factory=dict)
    cash: dict[str, Decimal] = field(default_factory=dict)
    flows: dict[str, Decimal] = field(default_factory=dict)
    """Account -> what the engine's own fills brought and cost, fees apart: what its trades came to
    once it holds nothing.
    """
    fees: dict[str, Decimal] = field(default_factory=dict)
    """Account -> what the engine's own fills paid in fees."""
    told: list[Late] = field(default_factory=list)
    _before: list[tuple[datetime, Place, Held | None, Decimal]] = field(default_factory=list)
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    def cash_of(self, account: str) -> Decimal:
        """Return an account's wallet, without open results."""
        return self.cash.get(account, START)

    def net(self, fill: Filled, born_s: float) -> str:
        """Net one fill and return the id of the position that it closed, or else opened or
        increased.
        """
        place, before = (fill.account, fill.symbol), self.held.get((fill.account, fill.symbol))
        self._before.append((fill.at, place, before, self.cash_of(fill.account)))
        fee, part = abs(fill.change) * fill.price * FEE_RATE, abs(fill.ours) / abs(fill.change)
        self.cash[fill.account] = self.cash_of(fill.account) - fee
        self.flows[fill.account] = self.flows.get(fill.account, ZERO) - fill.ours * fill.price
        self.fees[fill.account] = self.fees.get(fill.account, ZERO) + fee * part
        self._tell_fee(fill, fee, born_s)
        rest, closed = fill.change, ""
        if before is not None and (before.signed > 0) is not (fill.change > 0):
            rest, closed = self._close(before, fill, born_s), before.id
        if rest:
            self._grow(fill, rest)
        return closed or self.held[place].id

    def _close(self, before: Held, fill: Filled, born_s: float) -> Decimal:
        place, quantity = (fill.account, fill.symbol), min(abs(before.signed), abs(fill.change))
        sign = 1 if before.signed > 0 else -1
        self.cash[fill.account] += (fill.price - before.price) * quantity * sign
        brought = before.brought + quantity * fill.price
        if quantity == abs(before.signed):
            del self.held[place]
            seen = fill.at + timedelta(seconds=born_s)
            self.told.append(Late(seen, fill.account, _closed(before, fill, brought)))
        else:
            left = before.signed - sign * quantity
            self.held[place] = Held(
                before.id,
                left,
                before.price * abs(left),
                before.opened,
                before.entered,
                before.paid,
                brought,
            )
        return fill.change + sign * quantity

    def _grow(self, fill: Filled, change: Decimal) -> None:
        place, worth = (fill.account, fill.symbol), abs(change) * fill.price
        held = self.held.get(place)
        if held is None:
            self.held[place] = Held(
                f"P{next(self._ids)}", change, worth, fill.at, abs(change), worth
            )
        else:
            self.held[place] = Held(
                held.id,
                held.signed + change,
                held.worth + worth,
                held.opened,
                held.entered + abs(change),
                held.paid + worth,
                held.brought,
            )

    def _tell_fee(self, fill: Filled, fee: Decimal, born_s: float) -> None:
        side = OrderSide.BUY if fill.change > 0 else OrderSide.SELL
        by = fill.closed_by if fill.closed_by is not ClosedBy.ORDER else None
        row = FeeReport(
            f"F{len(self.told)}",
            fill.symbol,
            FeeKind.TRADE,
            Money(fee),
            Money(ZERO),
            "USDT",
            fill.at,
            side,
            Money(abs(fill.change) * fill.price),
            by,
        )
        self.told.append(Late(fill.at + timedelta(seconds=min(born_s, 1.0)), fill.account, row))

    def at(self, account: str, when: datetime) -> tuple[dict[Symbol, Held], Decimal]:
        """Return an account's positions and cash at an earlier time."""
        seen = {symbol: held for (name, symbol), held in self.held.items() if name == account}
        cash = self.cash_of(account)
        for at, (name, symbol), before, had in reversed(self._before):
            if at <= when:
                break
            if name == account:
                cash = had
                if before is None:
                    seen.pop(symbol, None)
                else:
                    seen[symbol] = before
        return seen, cash

    def rows(self, account: str, now: datetime) -> list[ClosedPosition | FeeReport]:
        """Return the closed positions and fee rows that an account sees now."""
        return [each.row for each in self.told if each.account == account and each.seen <= now]


def _closed(before: Held, fill: Filled, brought: Decimal) -> ClosedPosition:
    side = PositionSide.LONG if before.signed > 0 else PositionSide.SHORT
    earned = (brought - before.paid) * (1 if before.signed > 0 else -1)
    entry, average = Price(before.paid / before.entered), Price(brought / before.entered)
    return ClosedPosition(
        before.id,
        fill.symbol,
        side,
        Quantity(before.entered),
        entry,
        average,
        fill.at,
        before.opened,
        fill.closed_by,
        fill.order_id,
        Money(earned),
    )
