"""An exchange that fails on purpose. It keeps its own complete record, and the record judges.

It behaves like a netting futures exchange: an order is acknowledged first and fills a little later,
positions are netted per contract, an order may be refused after its acknowledgement, and a fill may
be missing from readings for a while. It never deduplicates: an order that is sent twice is executed
twice. What it reports about closes differs by story (``Habits``): without order rows, without
position ids, with closed positions and fees late or never. ``fault_connection`` is an account's
connection, ``fault_accounts`` its positions and money.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from random import Random
from typing import Final

import httpx
import trio

from rexalgo import (
    AccountLogin,
    Candle,
    ClientOrderId,
    Clock,
    ClosedBy,
    CredentialField,
    Environment,
    ExchangeConnection,
    ExchangeContext,
    ExchangeTraits,
    Instrument,
    Money,
    OrderIntent,
    OrderReport,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionSide,
    Price,
    ProtectionOrder,
    Quantity,
    Quote,
    RateLimit,
    Ratio,
    Rejected,
    RejectionKind,
    Symbol,
)
from tests.faults.dice import CONNECT, Dice, Roll
from tests.faults.fault_accounts import FEE_RATE, ZERO, Accounts, Filled, Place

SYMBOLS: Final = (Symbol("BTCUSDT"), Symbol("ETHUSDT"), Symbol("SOLUSDT"))
PRICE: Final = Decimal(100)
NOTIONAL_MIN: Final = Decimal(1)
VISIBLE_S: Final = 5.0
TICK: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Habits:
    """What the exchange of a story reports. ``born_s`` is the longest delay of closed positions."""

    ids: str = "both"
    names_positions: bool = True
    tells_closed: bool = True
    rows_of_closes: bool = True
    fees_with_orders: bool = True
    born_s: float = 1.0

    @staticmethod
    def of(random: Random) -> "Habits":
        """Return the habits of a story."""
        return Habits(
            random.choice(("both", "entries", "none")),
            random.random() < 0.75,
            random.random() < 0.75,
            random.random() < 0.6,
            random.random() < 0.5,
            random.choice((0.5, 25.0, 200.0)),
        )


@dataclass(slots=True)
class Row:
    """One order as the exchange knows it. ``plan`` are the coming fills, earliest first."""

    id: str
    account: str
    client_order_id: ClientOrderId | None
    symbol: Symbol
    side: OrderSide
    quantity: Decimal
    limit: Decimal | None
    reduce_only: bool
    created: datetime
    visible: datetime
    plan: list[tuple[datetime, Decimal]]
    status: OrderStatus = OrderStatus.OPEN
    filled: Decimal = ZERO
    by_owner: bool = False
    worth: Decimal = ZERO
    position_id: str = ""
    closed_by: ClosedBy | None = None

    @property
    def price(self) -> Price | None:
        """Return the average price of what filled."""
        return Price(self.worth / self.filled) if self.filled else None


@dataclass
class FaultExchange:
    """The adapter and the exchange in one. ``ids`` of its habits says which orders carry the client
    order id on reads: "both", "entries" or "none".
    """

    clock: Clock
    dice: Dice
    habits: Habits
    rows: list[Row] = field(default_factory=list)
    accounts: Accounts = field(default_factory=Accounts)
    own: dict[Place, Decimal] = field(default_factory=dict)
    ours: dict[Place, Decimal] = field(default_factory=dict)
    levels: dict[Place, tuple[Price | None, Price | None]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    out: set[tuple[str, Symbol, bool]] = field(default_factory=set)
    action_of: Callable[[str], str] = lambda cid: "-"
    key_refused_until: dict[str, datetime] = field(default_factory=dict)
    refused_exits: set[tuple[str, str]] = field(default_factory=set)
    prices_fail_until: datetime | None = None
    _working: list[Row] = field(default_factory=list)
    _on_their_way: list[tuple[datetime, str, OrderIntent, Roll]] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    name = "fault"
    title = "Fault exchange"
    credential_fields: Sequence[CredentialField] = (CredentialField("secret", "Secret", "any"),)

    @property
    def traits(self) -> ExchangeTraits:
        return ExchangeTraits(
            reads_client_order_id=self.habits.ids != "none",
            protects_with_entry=True,
            order_limit=RateLimit(1000, 1.0, 1000),
            read_limit=RateLimit(1000, 1.0, 1000),
            visible_within_s=VISIBLE_S,
            exits_carry_client_order_id=self.habits.ids == "both" and self.habits.rows_of_closes,
            sets_protection=True,
            names_positions=self.habits.names_positions,
            reports_closed_positions=self.habits.tells_closed,
            reports_fees=not self.habits.fees_with_orders,
        )

    @property
    def positions(self) -> dict[Place, Decimal]:
        """Return every open position, above 0 is long."""
        return {place: held.signed for place, held in self.accounts.held.items()}

    def environment(self, context: ExchangeContext) -> Environment:
        return Environment.SIMULATED

    async def market_data(self, context: ExchangeContext) -> "FaultMarket":
        return FaultMarket(self)

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> ExchangeConnection:
        from tests.faults.fault_connection import FaultConnection

        await trio.lowlevel.checkpoint()
        self.check_key(str(login.account))
        match self.dice.roll(CONNECT, str(login.account)).fault:
            case "connect_fails":
                raise httpx.ConnectError("refused")
            case "connect_key_refused":
                raise Rejected("key refused for a while", RejectionKind.CREDENTIALS)
            case "connect_hangs":
                await trio.sleep_forever()
        return FaultConnection(self, str(login.account))

    def check_key(self, account: str) -> None:
        """Refuse an account whose key does not work for a while."""
        until = self.key_refused_until.get(account)
        if until is not None and self.clock.now() < until:
            self.dice.count("key_window", self.dice.situation(account, None))
            raise Rejected("key refused for a while", RejectionKind.CREDENTIALS)

    # What happens in time

    def new_id(self) -> str:
        """Return an order id that was never used before, whatever happened to the rows."""
        return f"X{next(self._ids)}"

    def settle(self) -> None:
        """Apply everything due, in the order of time: orders that were on their way arrive, orders
        fill.
        """
        now = self.clock.now()
        arrived = sorted(
            (each for each in self._on_their_way if each[0] <= now), key=lambda each: each[0]
        )
        self._on_their_way = [each for each in self._on_their_way if each[0] > now]
        for at, account, intent, roll in arrived:
            self._fill_until(at)
            if self.is_open_for(account, intent):
                self.accept(account, intent, roll, None, at)
        self._fill_until(now)

    def _fill_until(self, now: datetime) -> None:
        while True:
            due = [
                (row.plan[0][0], number, row)
                for number, row in enumerate(self._working)
                if row.plan and row.plan[0][0] <= now
            ]
            if not due:
                return
            self._fill(min(due, key=lambda each: each[:2])[2])
            self._working = [row for row in self._working if row.plan]

    def _fill(self, row: Row) -> None:
        place = (row.account, row.symbol)
        at, quantity = row.plan.pop(0)
        signed = self.positions.get(place, ZERO)
        if row.reduce_only:
            quantity = min(quantity, max(ZERO, signed if row.side is OrderSide.SELL else -signed))
        if quantity > 0:
            change = quantity if row.side is OrderSide.BUY else -quantity
            self._net(row, change, change, at)
            self.ours[place] = self.ours.get(place, ZERO) + change
        if row.plan:
            row.status = OrderStatus.PARTIALLY_FILLED if row.filled else OrderStatus.OPEN
        elif row.filled == row.quantity:
            row.status = OrderStatus.FILLED
        else:
            row.status = (
                OrderStatus.CANCELLED if row.filled or row.reduce_only else OrderStatus.REJECTED
            )

    def _net(
        self, row: Row, change: Decimal, ours: Decimal, at: datetime, by: ClosedBy = ClosedBy.ORDER
    ) -> None:
        """Execute a part of an order, at a price of its own near the market's."""
        place, number = (row.account, row.symbol), int(row.id[1:])
        price = PRICE + TICK * (number * 7 % 11 - 5)
        was_open = place in self.accounts.held and (self.accounts.held[place].signed > 0) is not (
            change > 0
        )
        born_s = self.habits.born_s * (number % 5 + 1) / 5
        row.position_id = self.accounts.net(
            Filled(row.account, row.symbol, change, ours, price, at, row.id, by), born_s
        )
        row.filled += abs(change)
        row.worth += abs(change) * price
        row.closed_by = by if was_open else None
        if place not in self.accounts.held:
            self.levels.pop(place, None)

    # What the owner does by hand

    def owner_closes(
        self,
        account: str,
        symbol: Symbol,
        share: Decimal = Decimal(1),
        by: ClosedBy = ClosedBy.ORDER,
    ) -> None:
        """Close the position or part of it by hand: the owner's part first, then ours."""
        self.settle()
        place, now = (account, symbol), self.clock.now()
        signed = self.positions.get(place, ZERO)
        quantity = (abs(signed) * share).quantize(Decimal("0.001"))
        if not quantity:
            return
        side = OrderSide.SELL if signed > 0 else OrderSide.BUY
        row = Row(
            self.new_id(),
            account,
            None,
            symbol,
            side,
            quantity,
            None,
            True,
            now,
            now,
            [],
            OrderStatus.FILLED,
            by_owner=True,
        )
        self.rows.append(row)
        his = min(quantity, self.own.get(place, ZERO))
        ours = min(quantity - his, abs(self.ours.get(place, ZERO)))
        sign = -1 if signed > 0 else 1
        self._net(row, sign * quantity, sign * ours, now, by)
        self.own[place] = self.own.get(place, ZERO) - his
        self.ours[place] = self.ours.get(place, ZERO) + sign * ours
        for book in (self.own, self.ours):
            if not book[place]:
                del book[place]

    def owner_opens(
        self, account: str, symbol: Symbol, side: PositionSide, quantity: Decimal
    ) -> None:
        """Open a position of his own."""
        self.settle()
        place, now, opening = (account, symbol), self.clock.now(), OrderSide.opening(side)
        row = Row(
            self.new_id(),
            account,
            None,
            symbol,
            opening,
            quantity,
            None,
            False,
            now,
            now,
            [],
            OrderStatus.FILLED,
            by_owner=True,
        )
        self.rows.append(row)
        self._net(row, quantity if side is PositionSide.LONG else -quantity, ZERO, now)
        self.own[place] = self.own.get(place, ZERO) + quantity

    # Orders

    def is_open_for(self, account: str, order: OrderIntent | ProtectionOrder) -> bool:
        """Return whether an order can be accepted: an exit and a protection need a position on their
        side, the one that they name.
        """
        if isinstance(order, OrderIntent) and not order.reduce_only:
            return True
        held = self.accounts.held.get((account, order.symbol))
        if held is None or (held.signed > 0) is not (order.position_side is PositionSide.LONG):
            return False
        return order.position_id in ("", held.id)

    def is_too_small(self, account: str, intent: OrderIntent) -> bool:
        """Return whether a closing order is refused as too small, and record that. A whole position
        is closed at any size.
        """
        signed = abs(self.positions.get((account, intent.symbol), ZERO))
        refused = (
            intent.reduce_only
            and 0 < signed != intent.quantity
            and intent.quantity * PRICE < NOTIONAL_MIN
        )
        if refused:
            self.refused_exits.add((account, str(intent.symbol)))
        return refused

    def arrive_later(self, at: datetime, account: str, intent: OrderIntent, roll: Roll) -> None:
        """Accept later an order that its sender has given up on."""
        self._on_their_way.append((at, account, intent, roll))

    def is_on_its_way(self, cid: str) -> bool:
        """Return whether an order may still arrive."""
        return any(intent.client_order_id == cid for _, _, intent, _ in self._on_their_way)

    def accept(
        self, account: str, intent: OrderIntent, roll: Roll, fate: str | None, now: datetime
    ) -> Row:
        """Accept an order for good; it is in the record from now on."""
        if (
            intent.reduce_only
            and not self.habits.rows_of_closes
            and fate in ("partial", "partial_then_rest")
        ):
            # a closing call that leaves no row closes all that it asks for: nobody could tell a
            # part of it
            fate = None
        seen_after_s = roll.between(0.5, VISIBLE_S - 0.1) if fate == "late_visible" else 0.0
        row = Row(
            self.new_id(),
            account,
            intent.client_order_id,
            intent.symbol,
            intent.side,
            intent.quantity,
            None if intent.limit_price is None else Decimal(intent.limit_price),
            intent.reduce_only,
            now,
            now + timedelta(seconds=seen_after_s),
            [],
        )
        held = self.accounts.held.get((account, intent.symbol))
        if intent.reduce_only and held is not None:
            row.position_id = held.id
        if intent.order_type is OrderType.MARKET:
            row.plan = _fills(intent, roll, fate, now)
            self._working.append(row)
        self.rows.append(row)
        if not intent.reduce_only:
            self._watch_entry(account, intent)
        if not intent.reduce_only and (
            intent.stop_loss is not None or intent.take_profit is not None
        ):
            self.levels[account, intent.symbol] = (intent.stop_loss, intent.take_profit)
        return row

    def _watch_entry(self, account: str, intent: OrderIntent) -> None:
        """Record a second entry into what the engine holds already, unless it is an add."""
        ours = self.ours.get((account, intent.symbol), ZERO)
        if ours and self.action_of(intent.client_order_id) != "add":
            self.problems.append(
                f"doubled: {account} entered {intent.symbol} again while {ours} of ours was open"
            )

    def report(self, row: Row) -> OrderReport:
        """Return a row in the form of a reading."""
        ids, names = self.habits.ids, self.habits.names_positions
        shows = ids == "both" or (ids == "entries" and not row.reduce_only)
        fee = Money(row.worth * FEE_RATE) if self.habits.fees_with_orders else None
        return OrderReport(
            row.id,
            row.client_order_id if shows else None,
            row.symbol,
            row.side,
            Quantity(row.quantity),
            row.status,
            Quantity(row.filled),
            row.price,
            fee,
            row.created,
            None if names and ids == "none" else row.reduce_only,
            "refused after it was acknowledged" if row.status is OrderStatus.REJECTED else "",
            row.position_id if names else "",
            row.closed_by if names else None,
        )

    def shows(self, row: Row) -> bool:
        """Return whether an order's row is ever visible: some exchanges write none for a close."""
        return self.habits.rows_of_closes or not row.reduce_only


def _fills(
    intent: OrderIntent, roll: Roll, fate: str | None, now: datetime
) -> list[tuple[datetime, Decimal]]:
    """Plan the fills: everything within two seconds, unless this order has another fate."""
    first = now + timedelta(
        seconds=roll.between(2.0, 6.0) if fate == "late_fill" else roll.between(0.0, 2.0)
    )
    half = (intent.quantity / 2).quantize(Decimal("0.001"))
    match fate:
        case "late_rejection":
            return [(first, ZERO)]
        case "partial":
            return [(first, half)]
        case "partial_then_rest":
            return [
                (first, half),
                (first + timedelta(seconds=roll.between(5.0, 25.0)), intent.quantity - half),
            ]
        case _:
            return [(first, Decimal(intent.quantity))]


class FaultMarket:
    """A market at one price, which sometimes cannot be read."""

    def __init__(self, exchange: FaultExchange) -> None:
        self._exchange = exchange

    async def instruments(self) -> Sequence[Instrument]:
        d = Decimal
        return [
            Instrument(
                each,
                Price(d("0.1")),
                Quantity(d("0.001")),
                Quantity(d("0.001")),
                Quantity(d(1000)),
                Money(NOTIONAL_MIN),
                Ratio(d(1)),
                Ratio(d(50)),
            )
            for each in SYMBOLS
        ]

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        now, until = self._exchange.clock.now(), self._exchange.prices_fail_until
        if until is not None and now < until:
            raise httpx.ReadTimeout("slow")
        return [Quote(each, Price(PRICE), Price(PRICE), now) for each in sorted(symbols)]

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        return ()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
