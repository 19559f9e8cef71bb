"""One Mudrex account: entries by the order call, exits by the position's closing calls, protection by its risk order.

A closing call answers without an order id, so an exit reads the history until its order shows up, within the engine's own deadline.
Every write is one request. Leverage is looked at before each entry (a look holds 60 s), set where it differs, and forgotten where a
position shows another one.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import httpx
import trio

from plugins.mudrex import parsing, requests
from plugins.mudrex.errors import judge_write
from plugins.mudrex.limits import HISTORY_ROWS, PAGE_ROWS
from plugins.mudrex.requests import CURRENCY, is_held
from plugins.mudrex.settings import EntryApi
from plugins.mudrex.shared import Shared, get
from rexalgo import (
    AccountReport,
    Clock,
    ExchangeError,
    FeeHistory,
    FeeReport,
    FundsElsewhere,
    InvalidValue,
    Money,
    NotExecuted,
    OrderHistory,
    OrderIntent,
    OrderReport,
    OrderStatus,
    OutcomeUnknown,
    Position,
    Price,
    ProtectionOrder,
    Quantity,
    Rejected,
    RejectionKind,
    Symbol,
)

_LOG = logging.getLogger("rexalgo.mudrex")
LEVERAGE_HOLDS_S: Final = 60.0
LOOK_S: Final = 0.4
CLOSE_SEEN_WITHIN_S: Final = 6.0
FEES_WITHIN_S: Final = 1.0
FEES_LOOK_BACK: Final = timedelta(minutes=10)
FEE_PAGES_MAX: Final = 5


class MudrexConnection:
    """Act for one account."""

    def __init__(self, http: httpx.AsyncClient, clock: Clock, shared: Shared, entry_api: EntryApi) -> None:
        self._http = http
        self._clock = clock
        self._shared = shared
        self._uses_v2 = entry_api is EntryApi.V2
        self._leverage: dict[Symbol, tuple[Decimal, datetime]] = {}
        self._reference: dict[Symbol, Price] = {}
        self._fees: dict[str, Money] = {}

    @property
    def reads_client_order_id(self) -> bool:
        """Tell whether this account's entries carry a client order id."""
        return self._uses_v2

    async def read(self, path: str, **query: str) -> Any:
        """Read one path with this account's key."""
        return await get(self._http, path, **query)

    async def _write(self, method: str, path: str, body: requests.Body, **query: str) -> httpx.Response:
        return await self._http.request(method, path, params=query, json=body)

    # Entries

    async def prepare_entry(self, order: OrderIntent) -> None:
        """Have the contract's leverage stand at the order's, and a reference price at hand where the call needs one."""
        if not self._uses_v2:
            await self._read_reference(order)
        known = self._leverage.get(order.symbol)
        now = self._clock.now()
        if known is not None and known[0] == order.leverage and now - known[1] < timedelta(seconds=LEVERAGE_HOLDS_S):
            return
        path = f"/v1/futures/{order.symbol}/leverage"
        seen = await self._http.get(path, params={"is_symbol": "1", "trade_currency": CURRENCY})
        if seen.status_code not in (200, 404):
            raise _nothing_done(seen)
        if seen.status_code == 404 or self._standing(seen.content) != order.leverage:
            # Setting it twice does no harm and executes nothing: what is in doubt is asked again.
            answer = await self._write("POST", path, requests.leverage(order.leverage), is_symbol="1")
            if answer.status_code != 200:
                raise _nothing_done(answer)
        self._leverage[order.symbol] = (order.leverage, now)

    def _standing(self, content: bytes) -> Decimal | None:
        try:
            return parsing.number(parsing.data_of(content), "leverage")
        except (ValueError, AttributeError):
            return None

    async def _read_reference(self, order: OrderIntent) -> None:
        try:
            self._reference[order.symbol] = requests.reference_price(await self.read(f"/v1/futures/{order.symbol}", is_symbol="1"))
        except (ValueError, InvalidValue) as error:
            raise NotExecuted(f"no reference price for {order.symbol}: {error}") from None

    async def place_order(self, order: OrderIntent) -> OrderReport:
        """Send one order once: an entry by the order call, an exit by the position's closing call."""
        return await (self._close(order) if order.reduce_only else self._enter(order))

    async def _enter(self, order: OrderIntent) -> OrderReport:
        sent = self._clock.now()
        if self._uses_v2:
            answer = await self._write("POST", "/v2/futures/order", requests.entry_v2(order), symbol=order.symbol)
        else:
            reference = self._reference.get(order.symbol)
            if reference is None and order.limit_price is None:
                raise NotExecuted(f"no reference price for {order.symbol}")
            body = requests.entry_v1(order, reference or order.limit_price or Price(Decimal(0)))
            answer = await self._write("POST", f"/v1/futures/{order.symbol}/order", body, is_symbol="1")
        if answer.status_code != 202:
            raise judge_write(answer.status_code, answer.content)
        try:
            identifier = str(parsing.data_of(answer.content)["order_id"])
        except (ValueError, KeyError, TypeError):
            raise OutcomeUnknown("the exchange accepted the order and its answer cannot be read") from None
        return OrderReport(
            identifier, order.client_order_id, order.symbol, order.side, order.quantity, OrderStatus.OPEN, Quantity(Decimal(0)), None,
            Money(Decimal(0)), sent,
        )  # fmt: skip

    # Exits

    async def _close(self, order: OrderIntent) -> OrderReport:
        before = {each.exchange_order_id for each in await self._history()}
        held = await self._held(order)
        path, body = requests.closing(str(held["id"]), order)
        sent = self._clock.now()
        answer = await self._write("POST", path, body)
        if answer.status_code not in (200, 202):
            raise judge_write(answer.status_code, answer.content)
        closed = await self._closing_order(order, before, sent)
        return (await self._with_fees([closed]))[0]

    async def _held(self, order: OrderIntent | ProtectionOrder) -> parsing.Row:
        held = next((row for row in await self._positions() if is_held(row, order)), None)
        if held is None:
            raise Rejected("position is not open", RejectionKind.POSITION_NOT_OPEN)
        return held

    async def _closing_order(self, order: OrderIntent, before: set[str], sent: datetime) -> OrderReport:
        """Find the order that the closing call made: new, without a client id, of the closing side."""
        until = sent + timedelta(seconds=CLOSE_SEEN_WITHIN_S)
        while self._clock.now() < until:
            await trio.sleep(LOOK_S)
            try:
                rows = await self._history()
            except (ExchangeError, httpx.HTTPError):
                continue  # a reading that failed proves nothing; look again
            for each in rows:
                is_new = each.exchange_order_id not in before and each.client_order_id is None
                if is_new and each.symbol == order.symbol and each.side is order.side and each.status.is_terminal:
                    return each
        raise OutcomeUnknown("the exchange accepted the closing call, and its order did not show up in time")

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        """Cancel a resting order; 400 and 404 mean that it is done already."""
        await self._remove(f"/v1/futures/orders/{exchange_order_id}", {"trade_currency": CURRENCY})

    async def _remove(self, path: str, body: requests.Body) -> None:
        answer = await self._write("DELETE", path, body)
        if answer.status_code not in (200, 400, 404):
            raise judge_write(answer.status_code, answer.content)

    # Protection

    async def set_protection(self, protection: ProtectionOrder) -> None:
        """Make a position's stop and target exactly these, and read back that they stand; raises to be asked again where they do not."""
        for step in requests.protection_steps(await self._held(protection), protection):
            if step.method == "DELETE":
                await self._remove(step.path, step.body)
                continue
            answer = await self._write(step.method, step.path, step.body)
            if answer.status_code not in (200, 202):
                raise judge_write(answer.status_code, answer.content)
        if not requests.stands(await self._held(protection), protection):
            raise OutcomeUnknown("the exchange took the stop and target, and the position does not show them yet")

    # Readings

    async def _history(self) -> list[OrderReport]:
        rows = await self.read("/v1/futures/orders/history", trade_currency=CURRENCY, limit=str(HISTORY_ROWS))
        return self._orders(rows)

    def _orders(self, data: Any) -> list[OrderReport]:
        try:
            seen = {str(row["id"]): parsing.order(row, carries_client_id=self._uses_v2) for row in parsing.rows_of(data)}
        except (ValueError, KeyError) as error:
            raise ExchangeError(f"the exchange's order rows cannot be read: {error!r}") from None
        return [each for each in seen.values() if each is not None]

    async def _positions(self) -> list[parsing.Row]:
        try:
            return parsing.rows_of(await self.read("/v1/futures/positions", trade_currency=CURRENCY))
        except ValueError as error:
            raise ExchangeError(f"the exchange's positions cannot be read: {error}") from None

    async def fetch_account(self) -> AccountReport:
        """Read wallet, positions with their stop and target, and resting orders."""
        as_of = self._clock.now()
        funds = await self.read("/v1/futures/funds", trade_currency=CURRENCY)
        positions = tuple(self._position(row) for row in await self._positions())
        resting = self._orders(await self.read("/v1/futures/orders", trade_currency=CURRENCY, limit=str(PAGE_ROWS)))
        return AccountReport(parsing.balance(funds), positions, tuple(resting), as_of)

    def _position(self, row: parsing.Row) -> Position:
        read = parsing.position(row, self._shared.prices.get(Symbol(str(row.get("symbol")))))
        known = self._leverage.get(read.symbol)
        if known is not None and known[0] != read.leverage:
            _LOG.warning("a position in %s stands at leverage %s, and %s was set before it", read.symbol, read.leverage, known[0])
            del self._leverage[read.symbol]  # the next entry looks again
        return read

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        """Read the history; complete when it is not full, or reaches back past ``since``. Its times are whole seconds."""
        rows = await self._history()
        complete = len(rows) < HISTORY_ROWS or min(each.created_at for each in rows) < since - timedelta(seconds=1)
        floor = since - timedelta(seconds=1)
        found = [each for each in rows if each.symbol == symbol and each.created_at >= floor]
        return OrderHistory(tuple(sorted(await self._with_fees(found), key=_created, reverse=True)), complete)

    # Fees and other money

    async def fees(self, since: datetime) -> FeeHistory:
        """Read the fee history back to a time, newest first; complete where its pages reach back."""
        found: dict[str, FeeReport] = {}
        complete = False
        for page in range(FEE_PAGES_MAX):
            data = await self.read(
                "/v1/futures/fee/history", trade_currency=CURRENCY, limit=str(PAGE_ROWS), offset=str(page * PAGE_ROWS)
            )  # fmt: skip
            try:
                rows = parsing.rows_of(data)
                read = [each for row in rows if (each := parsing.fee(row)) is not None]
            except (ValueError, KeyError) as error:
                raise ExchangeError(f"the exchange's fee history cannot be read: {error!r}") from None
            found |= {each.id: each for each in read}
            if len(rows) < PAGE_ROWS or any(each.at < since for each in read):
                complete = True
                break
        told = sorted((each for each in found.values() if each.at >= since), key=lambda each: each.at, reverse=True)
        return FeeHistory(tuple(told), complete)

    async def _with_fees(self, reports: list[OrderReport]) -> list[OrderReport]:
        """Give filled orders the fee that the history shows; without it they keep 0, because proof of the order must not wait for it."""
        missing = [each for each in reports if each.filled_quantity > 0 and each.exchange_order_id not in self._fees]
        if missing:
            try:
                with trio.move_on_after(FEES_WITHIN_S):
                    rows = (await self.fees(min(each.created_at for each in missing) - FEES_LOOK_BACK)).rows
                    read = parsing.with_fees(missing, rows)
                    # A part that filled may cost more later: only what is done is remembered.
                    self._fees |= {each.exchange_order_id: each.fee for each in read if each.fee and each.status.is_terminal}
            except (ExchangeError, httpx.HTTPError) as error:
                _LOG.info("fees could not be read: %s", type(error).__name__)
        return [parsing.charged(each, self._fees.get(each.exchange_order_id)) for each in reports]

    async def funds_elsewhere(self) -> Sequence[FundsElsewhere]:
        """Read what lies in the spot wallet, and in the rupee futures wallet; only what is above zero is told."""
        spot = parsing.spot_amount(await self.read("/v1/wallet/funds"))
        rupees = parsing.balance(await self.read("/v1/futures/funds", trade_currency="INR")).total
        told = [FundsElsewhere("the spot wallet", spot, CURRENCY), FundsElsewhere("the rupee futures wallet", rupees, "INR")]
        return [each for each in told if each.amount > 0]

    async def aclose(self) -> None:
        """Close the client."""
        if self._http in self._shared.readers:
            self._shared.readers.remove(self._http)
        await self._http.aclose()


def _nothing_done(answer: httpx.Response) -> ExchangeError:
    error = judge_write(answer.status_code, answer.content)
    return error if isinstance(error, Rejected | NotExecuted) else NotExecuted(error.text)


def _created(report: OrderReport) -> datetime:
    return report.created_at
