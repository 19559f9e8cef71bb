"""An exchange that fails on purpose. It keeps its own complete record, and the record judges.

It behaves like a netting futures exchange: an order is acknowledged first and fills a little later, positions are netted per contract, an
order may be refused after it was acknowledged. Nothing here dedupes: an order that is sent twice is executed twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

import httpx
import trio

from rexalgo import (
    AccountLogin,
    AccountReport,
    Balance,
    Candle,
    ClientOrderId,
    Clock,
    CredentialField,
    Environment,
    ExchangeContext,
    ExchangeTraits,
    Instrument,
    Money,
    NotExecuted,
    OrderHistory,
    OrderIntent,
    OrderReport,
    OrderSide,
    OrderStatus,
    OrderType,
    OutcomeUnknown,
    Position,
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

ZERO: Final = Decimal(0)
SYMBOLS: Final = (Symbol("BTCUSDT"), Symbol("ETHUSDT"), Symbol("SOLUSDT"))
PRICE: Final = Decimal(100)
VISIBLE_S: Final = 5.0

# By what is called; the first of each group happens before anything is accepted, the others after.
PLACE_BEFORE: Final = ("refused", "connect_error", "rate_limited", "rejected", "hangs", "error_500", "foreign_error")
PLACE_AFTER: Final = (
    "answer_lost", "answer_late", "answer_garbage", "answer_500", "other_order", "late_rejection", "partial", "late_fill", "late_visible",
    "lost_and_late",
)  # fmt: skip
READ: Final = ("read_fails", "read_hangs")
FIND: Final = ("find_fails", "find_incomplete", "find_duplicates", "find_hangs")
CANCEL: Final = ("cancel_fails", "cancel_ignored")
PROTECT: Final = ("protect_fails", "protect_lost")
PREPARE: Final = ("prepare_fails", "prepare_foreign_error")
CONNECT: Final = ("connect_fails", "key_refused")


@dataclass(slots=True)
class Row:
    """Hold one order as the exchange knows it."""

    id: str
    account: str
    client_order_id: ClientOrderId | None
    symbol: Symbol
    side: OrderSide
    quantity: Decimal
    order_type: OrderType
    limit: Decimal | None
    reduce_only: bool
    created: datetime
    due: datetime
    visible: datetime
    fills: Decimal
    status: OrderStatus = OrderStatus.OPEN
    filled: Decimal = ZERO
    by_owner: bool = False


@dataclass
class Dice:
    """Decide, from one seed, when which fault happens; counts every fault that did. ``off`` ends them all."""

    random: Random
    share: float
    off: bool = False
    hits: dict[tuple[str, str], int] = field(default_factory=dict)
    only: frozenset[str] | None = None

    def roll(self, faults: Sequence[str], where: str) -> str | None:
        """Return the fault of this call, or None."""
        happens = self.random.random() < self.share
        chosen = self.random.choice(faults)
        if self.off or not happens or (self.only is not None and chosen not in self.only):
            return None
        self.hits[chosen, where] = self.hits.get((chosen, where), 0) + 1
        return chosen

    def between(self, low: float, high: float) -> float:
        """Return a number of this seed."""
        return self.random.uniform(low, high)


class FaultExchange:
    """Be the adapter and the exchange at once. ``ids``: "both", "entries" or "none" carry the client order id on reads."""

    name = "fault"
    title = "Fault exchange"
    credential_fields: Sequence[CredentialField] = (CredentialField("secret", "Secret", "any"),)

    def __init__(self, clock: Clock, dice: Dice, ids: str) -> None:
        self.clock = clock
        self.dice = dice
        self.ids = ids
        self.rows: list[Row] = []
        self.positions: dict[tuple[str, Symbol], tuple[PositionSide, Decimal]] = {}
        self.own: dict[tuple[str, Symbol], Decimal] = {}
        self.met: list[tuple[str, str]] = []
        self.ours: dict[tuple[str, Symbol], Decimal] = {}
        self.levels: dict[tuple[str, Symbol], tuple[Price | None, Price | None]] = {}
        self.traits = ExchangeTraits(
            reads_client_order_id=ids != "none",
            protects_with_entry=True,
            order_limit=RateLimit(1000, 1.0, 1000),
            read_limit=RateLimit(1000, 1.0, 1000),
            visible_within_s=VISIBLE_S,
            exits_carry_client_order_id=ids == "both",
            sets_protection=True,
        )

    def environment(self, context: ExchangeContext) -> Environment:
        return Environment.SIMULATED

    async def market_data(self, context: ExchangeContext) -> "FaultMarket":
        return FaultMarket(self.clock)

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> "FaultConnection":
        await trio.lowlevel.checkpoint()
        match self.dice.roll(CONNECT, "connect"):
            case "connect_fails":
                raise httpx.ConnectError("refused")
            case "key_refused":
                raise Rejected("key refused for a while", RejectionKind.CREDENTIALS)
        return FaultConnection(self, str(login.account))

    # What happens in time

    def settle(self) -> None:
        """Fill what is due."""
        now = self.clock.now()
        for row in self.rows:
            if row.status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED) and row.due <= now and row.limit is None:
                self._fill(row)

    def _fill(self, row: Row) -> None:
        key = (row.account, row.symbol)
        quantity = row.fills
        held = self.positions.get(key)
        if row.reduce_only:
            there = held[1] if held is not None and OrderSide.closing(held[0]) is row.side else ZERO
            quantity = min(quantity, there)
        row.filled = quantity
        if quantity == row.quantity:
            row.status = OrderStatus.FILLED
        else:
            row.status = OrderStatus.CANCELLED if quantity > 0 or row.reduce_only else OrderStatus.REJECTED
        if quantity > 0:
            self._net(key, row.side, quantity)
            self.ours[key] = self.ours.get(key, ZERO) + (quantity if row.side is OrderSide.BUY else -quantity)

    def _net(self, key: tuple[str, Symbol], side: OrderSide, quantity: Decimal) -> None:
        held = self.positions.get(key)
        signed = (ZERO if held is None else held[1] if held[0] is PositionSide.LONG else -held[1]) + (
            quantity if side is OrderSide.BUY else -quantity
        )
        if signed == 0:
            self.positions.pop(key, None)
            self.levels.pop(key, None)
        else:
            self.positions[key] = (PositionSide.LONG if signed > 0 else PositionSide.SHORT, abs(signed))

    # What the owner does by hand

    def owner_closes(self, account: str, symbol: Symbol) -> bool:
        """Close the whole position by hand, ours and his."""
        self.settle()
        held = self.positions.pop((account, symbol), None)
        self.own.pop((account, symbol), None)
        self.ours.pop((account, symbol), None)
        return held is not None

    def owner_opens(self, account: str, symbol: Symbol, side: PositionSide, quantity: Decimal) -> None:
        """Open a position of his own."""
        self.settle()
        self._net((account, symbol), OrderSide.opening(side), quantity)
        self.own[account, symbol] = self.own.get((account, symbol), ZERO) + quantity

    def accept(self, account: str, intent: OrderIntent, fault: str | None) -> Row:
        """Take an order for good: from here on it is in the record."""
        now = self.clock.now()
        pause = self.dice.between(0.0, 2.0) if fault != "late_fill" else self.dice.between(2.0, 4.0)
        fills = intent.quantity
        if fault == "late_rejection":
            fills = Quantity(ZERO)
        elif fault == "partial":
            fills = Quantity((intent.quantity / 2).quantize(Decimal("0.001")))
        visible = now + timedelta(seconds=self.dice.between(0.5, VISIBLE_S - 0.1) if fault in ("late_visible", "lost_and_late") else 0.0)
        row = Row(
            f"X{len(self.rows) + 1}", account, intent.client_order_id, intent.symbol, intent.side, intent.quantity, intent.order_type,
            None if intent.limit_price is None else Decimal(intent.limit_price), intent.reduce_only, now, now + timedelta(seconds=pause),
            visible, fills,
        )  # fmt: skip
        self.rows.append(row)
        if not intent.reduce_only and (intent.stop_loss is not None or intent.take_profit is not None):
            self.levels[account, intent.symbol] = (intent.stop_loss, intent.take_profit)
        return row

    def report(self, row: Row) -> OrderReport:
        """Write a row as it is read."""
        shows = self.ids == "both" or (self.ids == "entries" and not row.reduce_only)
        return OrderReport(
            row.id, row.client_order_id if shows else None, row.symbol, row.side, Quantity(row.quantity), row.status,
            Quantity(row.filled), Price(PRICE) if row.filled else None, Money(ZERO), row.created, row.reduce_only,
            "refused after it was acknowledged" if row.status is OrderStatus.REJECTED else "",
        )  # fmt: skip


class FaultConnection:
    """Act for one account, with faults."""

    def __init__(self, exchange: FaultExchange, account: str) -> None:
        self._exchange = exchange
        self._account = account

    async def prepare_entry(self, order: OrderIntent) -> None:
        await trio.lowlevel.checkpoint()
        match self._exchange.dice.roll(PREPARE, "entry"):
            case "prepare_fails":
                raise NotExecuted("busy", 0.2)
            case "prepare_foreign_error":
                raise RuntimeError("a plugin's own mistake")

    async def place_order(self, order: OrderIntent) -> OrderReport:
        exchange, dice = self._exchange, self._exchange.dice
        kind = "exit" if order.reduce_only else "entry"
        fault = dice.roll((*PLACE_BEFORE, *PLACE_AFTER), kind)
        if fault is not None:
            exchange.met.append((order.client_order_id, fault))
        await trio.sleep(dice.between(0.01, 0.2))
        exchange.settle()
        match fault:
            case "refused":
                raise NotExecuted("maintenance")
            case "connect_error":
                raise httpx.ConnectError("refused")
            case "rate_limited":
                raise NotExecuted("too many requests", 1.0)
            case "rejected":
                raise Rejected("no")
            case "hangs":
                await trio.sleep_forever()
            case "error_500":
                raise OutcomeUnknown("500")
            case "foreign_error":
                raise KeyError("a plugin's own mistake")
        held = exchange.positions.get((self._account, order.symbol))
        if order.reduce_only and (held is None or held[0] is not order.position_side):
            raise Rejected("position is not open", RejectionKind.POSITION_NOT_OPEN)
        row = exchange.accept(self._account, order, fault)
        match fault:
            case "answer_lost" | "lost_and_late":
                raise httpx.ReadError("reset")
            case "answer_late":
                await trio.sleep(30)
            case "answer_garbage":
                raise ValueError("not JSON")
            case "answer_500":
                raise OutcomeUnknown("502 Bad Gateway")
        report = exchange.report(row)
        if fault == "other_order":
            return OrderReport(
                "Y1", ClientOrderId("rxother"), report.symbol, report.side, report.quantity, report.status, report.filled_quantity, None,
                report.fee, report.created_at,
            )  # fmt: skip
        return report

    async def fetch_account(self) -> AccountReport:
        exchange = self._exchange
        fault = exchange.dice.roll(READ, "read")
        await trio.sleep(exchange.dice.between(0.01, 0.1))
        if fault == "read_fails":
            raise httpx.ReadTimeout("slow")
        if fault == "read_hangs":
            await trio.sleep_forever()
        exchange.settle()
        now = exchange.clock.now()
        positions = tuple(self._position(key[1]) for key in sorted(exchange.positions) if key[0] == self._account)
        resting = tuple(
            exchange.report(row)
            for row in exchange.rows
            if row.account == self._account and row.status is OrderStatus.OPEN and row.limit is not None and row.visible <= now
        )
        return AccountReport(Balance(Money(Decimal(100_000)), Money(Decimal(100_000))), positions, resting, now)

    def _position(self, symbol: Symbol) -> Position:
        side, quantity = self._exchange.positions[self._account, symbol]
        stop, target = self._exchange.levels.get((self._account, symbol), (None, None))
        price = Price(PRICE)
        return Position(
            symbol, side, Quantity(quantity), price, price, Ratio(Decimal(5)), Money(quantity * PRICE / 5), Money(ZERO), None, stop, target
        )

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        exchange = self._exchange
        fault = exchange.dice.roll(FIND, "find")
        await trio.sleep(exchange.dice.between(0.01, 0.1))
        if fault == "find_fails":
            raise httpx.ReadTimeout("slow")
        if fault == "find_hangs":
            await trio.sleep_forever()
        exchange.settle()
        now = exchange.clock.now()
        rows = [
            exchange.report(row)
            for row in reversed(exchange.rows)
            if row.account == self._account and row.symbol == symbol and row.created >= since and row.visible <= now
        ]
        if fault == "find_incomplete":
            return OrderHistory(tuple(rows[: len(rows) // 2]), False)
        if fault == "find_duplicates":
            return OrderHistory((*rows, *rows), True)
        return OrderHistory(tuple(rows), True)

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        exchange = self._exchange
        fault = exchange.dice.roll(CANCEL, "cancel")
        await trio.lowlevel.checkpoint()
        if fault == "cancel_fails":
            raise httpx.ReadTimeout("slow")
        exchange.settle()
        row = next(row for row in exchange.rows if row.id == exchange_order_id)
        if fault != "cancel_ignored" and row.status is OrderStatus.OPEN and row.limit is not None:
            row.status = OrderStatus.CANCELLED

    async def set_protection(self, protection: ProtectionOrder) -> None:
        exchange = self._exchange
        fault = exchange.dice.roll(PROTECT, "protect")
        await trio.lowlevel.checkpoint()
        if fault == "protect_fails":
            raise httpx.ReadTimeout("slow")
        exchange.settle()
        held = exchange.positions.get((self._account, protection.symbol))
        if held is None or held[0] is not protection.position_side:
            raise Rejected("position is not open", RejectionKind.POSITION_NOT_OPEN)
        exchange.levels[self._account, protection.symbol] = (protection.stop_loss, protection.take_profit)
        if fault == "protect_lost":
            raise httpx.ReadError("reset")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class FaultMarket:
    """Be a market at one price."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def instruments(self) -> Sequence[Instrument]:
        d = Decimal
        return [
            Instrument(
                each, Price(d("0.1")), Quantity(d("0.001")), Quantity(d("0.001")), Quantity(d(1000)), Money(d(1)), Ratio(d(1)), Ratio(d(50))
            )
            for each in SYMBOLS
        ]  # fmt: skip

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        return [Quote(each, Price(PRICE), Price(PRICE), self._clock.now()) for each in sorted(symbols)]

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        return ()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
