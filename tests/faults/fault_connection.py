"""One account's connection to the fault exchange. Every call can fail in every way known of
exchanges.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import httpx
import trio

from rexalgo import (
    AccountReport,
    Balance,
    ClientOrderId,
    ClosedPosition,
    ClosedPositions,
    FeeHistory,
    FeeReport,
    Money,
    NotExecuted,
    OrderHistory,
    OrderIntent,
    OrderReport,
    OrderStatus,
    OutcomeUnknown,
    Position,
    PositionSide,
    Price,
    ProtectionOrder,
    Quantity,
    Ratio,
    Rejected,
    RejectionKind,
    Symbol,
)
from tests.faults.dice import ANSWER, CANCEL, FATE, FIND, PREPARE, PROTECT, READ, RECORD, Roll
from tests.faults.fault_accounts import ZERO, Held
from tests.faults.fault_exchange import PRICE, VISIBLE_S, FaultExchange

STEP: Final = Decimal("0.001")


class FaultConnection:
    """A connection for one account, with faults."""

    def __init__(self, exchange: FaultExchange, account: str) -> None:
        self._exchange = exchange
        self._account = account

    async def prepare_entry(self, order: OrderIntent) -> None:
        await trio.lowlevel.checkpoint()
        action = self._exchange.action_of(order.client_order_id)
        match self._exchange.dice.roll(PREPARE, self._account, cells={(action, "new")}).fault:
            case "prepare_fails":
                raise NotExecuted("busy", 0.2)
            case "prepare_refused":
                raise Rejected("leverage out of permissible range")
            case "prepare_foreign_error":
                raise RuntimeError("a plugin's own mistake")
            case "prepare_hangs":
                await trio.sleep_forever()

    async def place_order(self, order: OrderIntent) -> OrderReport:
        exchange, lane = self._exchange, (self._account, order.symbol, order.reduce_only)
        if lane in exchange.out:
            exchange.problems.append(
                f"lane: two {'exits' if order.reduce_only else 'entries'} of {lane[0]} {lane[1]} "
                "were out at once"
            )
        exchange.out.add(lane)
        try:
            return await self._place(order)
        finally:
            exchange.out.discard(lane)

    async def _place(self, order: OrderIntent) -> OrderReport:
        exchange = self._exchange
        exchange.check_key(self._account)
        cells = {(exchange.action_of(order.client_order_id), "claimed")}
        roll = exchange.dice.roll(ANSWER, self._account, cells=cells)
        await self._travel(order, roll)
        exchange.settle()
        await self._maybe_fail_before(order, roll)
        if order.quantity % STEP:
            exchange.problems.append(
                f"step: {self._account} was sent {order.quantity} {order.symbol}, the step is "
                f"{STEP}"
            )
            raise Rejected("quantity not a multiple of the quantity step")
        if exchange.is_too_small(self._account, order):
            raise Rejected(
                "order value less than minimum required value", RejectionKind.BELOW_MINIMUM
            )
        if not exchange.is_open_for(self._account, order):
            raise Rejected("position is not open", RejectionKind.POSITION_NOT_OPEN)
        fate = exchange.dice.roll(FATE, self._account, cells=cells)
        row = exchange.accept(self._account, order, fate, fate.fault, exchange.clock.now())
        if order.reduce_only and not exchange.habits.rows_of_closes:
            raise OutcomeUnknown("the closing call was taken, and no order shows up")
        match roll.fault:
            case "answer_lost":
                raise httpx.ReadError("reset")
            case "answer_late":
                await trio.sleep(30)
            case "answer_garbage":
                raise ValueError("not JSON")
            case "answer_500":
                raise OutcomeUnknown("502 Bad Gateway")
        report = exchange.report(row)
        if roll.fault == "other_order":
            return OrderReport(
                "Y1",
                ClientOrderId("rxother"),
                report.symbol,
                report.side,
                report.quantity,
                report.status,
                report.filled_quantity,
                None,
                report.fee,
                report.created_at,
            )
        return report

    async def _travel(self, order: OrderIntent, roll: Roll) -> None:
        """Take the time of the way to the exchange. A caller cancelled meanwhile does not know
        whether the order arrives.
        """
        exchange = self._exchange
        try:
            await trio.sleep(
                roll.between(3.0, 7.5) if roll.fault == "slow" else roll.between(0.01, 0.2)
            )
        except trio.Cancelled:
            if roll.random.random() < 0.5:
                exchange.arrive_later(
                    exchange.clock.now() + timedelta(seconds=roll.between(0.0, 2.0)),
                    self._account,
                    order,
                    roll,
                )
            raise

    async def _maybe_fail_before(self, order: OrderIntent, roll: Roll) -> None:
        """Fail in a way that leaves nothing at the exchange, or nothing yet."""
        match roll.fault:
            case "refused":
                raise NotExecuted("maintenance")
            case "connect_error":
                raise httpx.ConnectError("refused")
            case "rate_limited":
                raise NotExecuted("too many requests", 1.0)
            case "rejected":
                raise Rejected("no")
            case "key_refused":
                raise Rejected("key refused", RejectionKind.CREDENTIALS)
            case "hangs":
                await trio.sleep_forever()
            case "error_500":
                raise OutcomeUnknown("500")
            case "foreign_error":
                raise KeyError("a plugin's own mistake")
            case "accepted_late":
                at = self._exchange.clock.now() + timedelta(seconds=roll.between(8.5, 12.0))
                self._exchange.arrive_later(at, self._account, order, roll)
                await trio.sleep_forever()

    async def fetch_account(self) -> AccountReport:
        exchange = self._exchange
        exchange.check_key(self._account)
        roll = exchange.dice.roll(READ, self._account)
        await trio.sleep(
            roll.between(2.0, 6.0) if roll.fault == "read_slow" else roll.between(0.01, 0.1)
        )
        match roll.fault:
            case "read_fails":
                raise httpx.ReadTimeout("slow")
            case "read_hangs":
                await trio.sleep_forever()
            case "read_key_refused":
                raise Rejected("key refused", RejectionKind.CREDENTIALS)
            case "read_garbage":
                raise ValueError("not JSON")
        exchange.settle()
        now = exchange.clock.now()
        shown = now - timedelta(
            seconds=roll.between(0.5, VISIBLE_S - 0.5) if roll.fault == "read_old" else 0.0
        )
        seen, cash = exchange.accounts.at(self._account, shown)
        positions = tuple(self._position(symbol, seen[symbol]) for symbol in sorted(seen))
        resting = tuple(
            exchange.report(row)
            for row in exchange.rows
            if row.account == self._account
            and row.status is OrderStatus.OPEN
            and row.limit is not None
            and row.visible <= shown
        )
        return AccountReport(Balance(Money(cash), Money(cash)), positions, resting, now)

    def _position(self, symbol: Symbol, held: Held) -> Position:
        side = PositionSide.LONG if held.signed > 0 else PositionSide.SHORT
        stop, target = self._exchange.levels.get((self._account, symbol), (None, None))
        quantity, open_result = (
            abs(held.signed),
            held.signed * PRICE - (held.worth if held.signed > 0 else -held.worth),
        )
        return Position(
            symbol,
            side,
            Quantity(quantity),
            Price(held.price),
            Price(PRICE),
            Ratio(ZERO + 5),
            Money(held.worth / 5),
            Money(open_result),
            None,
            stop,
            target,
            held.id if self._exchange.habits.names_positions else "",
        )

    async def closed_positions(
        self, since: datetime, position_ids: Collection[str] = ()
    ) -> ClosedPositions:
        rows = await self._told("record")
        return ClosedPositions(
            tuple(
                each
                for each in rows
                if isinstance(each, ClosedPosition) and each.closed_at >= since
            ),
            complete=True,
        )

    async def fees(self, since: datetime) -> FeeHistory:
        rows = await self._told("fees")
        return FeeHistory(
            tuple(
                each for each in reversed(rows) if isinstance(each, FeeReport) and each.at >= since
            ),
            complete=True,
        )

    async def _told(self, what: str) -> list[ClosedPosition | FeeReport]:
        exchange = self._exchange
        exchange.check_key(self._account)
        roll = exchange.dice.roll(RECORD, self._account)
        await trio.sleep(roll.between(0.01, 0.1))
        match roll.fault:
            case "record_fails":
                raise httpx.ReadTimeout("slow")
            case "record_garbage":
                raise ValueError(f"{what}: not JSON")
            case "record_empty":
                return []
        exchange.settle()
        return exchange.accounts.rows(self._account, exchange.clock.now())

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        exchange = self._exchange
        exchange.check_key(self._account)
        roll = exchange.dice.roll(FIND, self._account, symbol)
        await trio.sleep(roll.between(0.01, 0.1))
        match roll.fault:
            case "find_fails":
                raise httpx.ReadTimeout("slow")
            case "find_hangs":
                await trio.sleep_forever()
            case "find_garbage":
                raise ValueError("not JSON")
        exchange.settle()
        now = exchange.clock.now()
        rows = [
            exchange.report(row)
            for row in reversed(exchange.rows)
            if row.account == self._account
            and row.symbol == symbol
            and row.created >= since
            and row.visible <= now
            and exchange.shows(row)
        ]
        match roll.fault:
            case "find_incomplete":
                return OrderHistory(tuple(rows[: len(rows) // 2]), False)
            case "find_duplicates":
                return OrderHistory((*rows, *rows), True)
            case "find_shuffled":
                roll.random.shuffle(rows)
        return OrderHistory(tuple(rows), True)

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        exchange = self._exchange
        exchange.check_key(self._account)
        roll = exchange.dice.roll(CANCEL, self._account, symbol)
        await trio.lowlevel.checkpoint()
        if roll.fault == "cancel_fails":
            raise httpx.ReadTimeout("slow")
        exchange.settle()
        row = next(row for row in exchange.rows if row.id == exchange_order_id)
        if (
            roll.fault != "cancel_ignored"
            and row.status is OrderStatus.OPEN
            and row.limit is not None
        ):
            row.status = OrderStatus.CANCELLED

    async def set_protection(self, protection: ProtectionOrder) -> None:
        exchange = self._exchange
        exchange.check_key(self._account)
        roll = exchange.dice.roll(PROTECT, self._account, protection.symbol)
        await trio.lowlevel.checkpoint()
        if roll.fault == "protect_fails":
            raise httpx.ReadTimeout("slow")
        exchange.settle()
        if not exchange.is_open_for(self._account, protection):
            raise Rejected("position is not open", RejectionKind.POSITION_NOT_OPEN)
        exchange.levels[self._account, protection.symbol] = (
            protection.stop_loss,
            protection.take_profit,
        )
        if roll.fault == "protect_lost":
            raise httpx.ReadError("reset")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
