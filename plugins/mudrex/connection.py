"""One Mudrex account: entries by the order call, exits by the position's closing calls, protection
by its risk order.

A closing call answers without an order id. Its exit is proven by the row that names the closed
position, else by the closed position itself, within the engine's own deadline; otherwise it is in
doubt. Every write is one request. Leverage is read before each entry (a reading is valid for 60 s),
set if it differs, and read again after a position shows another one.
"""

import logging
from collections import deque
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import trio

from plugins.mudrex import parsing, requests, rows
from plugins.mudrex.errors import denies, is_of_size, is_own, judge_write, refused_by
from plugins.mudrex.exit_proof import ExitProof
from plugins.mudrex.readings import ORDERS, POSITIONS, Readings
from plugins.mudrex.requests import CURRENCY
from plugins.mudrex.settings import EntryApi
from plugins.mudrex.shared import Shared
from rexalgo import (
    AccountReport,
    Clock,
    ClosedPositions,
    ExchangeError,
    FeeHistory,
    FundsElsewhere,
    HttpAnswer,
    HttpClient,
    HttpError,
    InvalidValue,
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
    plain,
)

_LOG = logging.getLogger("rexalgo.mudrex")
LEVERAGE_HOLDS_S: Final = 60.0
CLOSE_SEEN_WITHIN_S: Final = 6.0
LOOKS_S: Final = (0.4, 0.6, 0.8, 1.2, 3.0)
"""Pauses before each look for the order of a closing call. Their sum is CLOSE_SEEN_WITHIN_S."""
CONTRACT_READ_WITHIN_S: Final = 1.0
CLOCKS_APART: Final = timedelta(seconds=60)
PROVEN_KEPT: Final = 100


class MudrexConnection:
    """A connection for one account."""

    def __init__(self, http: HttpClient, clock: Clock, shared: Shared, entry_api: EntryApi) -> None:
        self._http = http
        self._clock = clock
        self._shared = shared
        self._uses_v2 = entry_api is EntryApi.V2
        self._leverage: dict[Symbol, tuple[Decimal, datetime]] = {}
        self._reference: dict[Symbol, Price] = {}
        self._readings = Readings(http)
        self._proven: deque[str] = deque(maxlen=PROVEN_KEPT)
        """Orders that proved an exit of this connection. Each proves only one."""

    @property
    def reads_client_order_id(self) -> bool:
        """Return whether this account's entries carry a client order id."""
        return self._uses_v2

    async def read(self, path: str, **query: str) -> Any:
        """Read one path with this account's key."""
        return await self._readings.read(path, **query)

    async def _write(self, method: str, path: str, body: requests.Body, **query: str) -> HttpAnswer:
        """Send one write once. Raise the refusal that stands in the envelope of a 2xx."""
        answer = await self._http.request(method, path, params=query, json=body)
        refused = refused_by(answer.content) if answer.status_code < 300 else None
        if refused is not None:
            raise refused
        return answer

    # Entries

    async def prepare_entry(self, order: OrderIntent) -> None:
        """Set the contract's leverage to the order's, and get a reference price if the entry call
        needs one.
        """
        if not self._uses_v2:
            await self._read_reference(order)
        leverage_set = self._leverage.get(order.symbol)
        now = self._clock.now()
        if (
            leverage_set is not None
            and leverage_set[0] == order.leverage
            and now - leverage_set[1] < timedelta(seconds=LEVERAGE_HOLDS_S)
        ):
            return
        path = f"/v1/futures/{order.symbol}/leverage"
        seen = await self._http.get(path, params={"is_symbol": "1", "trade_currency": CURRENCY})
        if seen.status_code not in (200, 404):
            raise _nothing_done(seen)
        if seen.status_code == 404 or self._standing(seen.content) != order.leverage:
            # Setting it twice is harmless and executes nothing, so a doubtful call is repeated.
            answer = await self._write(
                "POST", path, requests.leverage(order.leverage), is_symbol="1"
            )
            if answer.status_code != 200:
                raise _nothing_done(answer)
            shown = self._standing(answer.content)
            if denies(answer.content) or shown not in (None, order.leverage):
                raise NotExecuted(
                    f"leverage {plain(order.leverage)} was asked for, but the exchange answered "
                    + ("without success" if shown is None else f"with {plain(shown)}")
                )
        self._leverage[order.symbol] = (order.leverage, now)

    def _standing(self, content: bytes) -> Decimal | None:
        try:
            return parsing.number(parsing.data_of(content), "leverage")
        except (ValueError, AttributeError):
            return None

    async def _read_reference(self, order: OrderIntent) -> None:
        try:
            self._reference[order.symbol] = requests.reference_price(
                await self.read(f"/v1/futures/{order.symbol}", is_symbol="1")
            )
        except (ValueError, InvalidValue) as error:
            raise NotExecuted(f"no reference price for {order.symbol}: {error}") from None

    async def place_order(self, order: OrderIntent) -> OrderReport:
        """Send one order once: an entry by the order call, an exit by the closing call."""
        if not order.reduce_only:
            return await self._enter(order)
        try:
            return await self._close(order)
        except Rejected as refused:
            if is_of_size(refused.text) and await self._is_below_minimum(order):
                raise Rejected(refused.text, RejectionKind.BELOW_MINIMUM) from None
            raise

    async def _enter(self, order: OrderIntent) -> OrderReport:
        sent = self._clock.now()
        if self._uses_v2:
            answer = await self._write(
                "POST", "/v2/futures/order", requests.entry_v2(order), symbol=order.symbol
            )
        else:
            reference = self._reference.get(order.symbol)
            if reference is None and order.limit_price is None:
                raise NotExecuted(f"no reference price for {order.symbol}")
            body = requests.entry_v1(order, reference or order.limit_price or Price(Decimal(0)))
            answer = await self._write(
                "POST", f"/v1/futures/{order.symbol}/order", body, is_symbol="1"
            )
        if answer.status_code != 202:
            raise judge_write(answer.status_code, answer.content)
        try:
            identifier = str(parsing.data_of(answer.content)["order_id"])
        except (ValueError, KeyError, TypeError):
            raise OutcomeUnknown(
                "the exchange accepted the order, but its answer cannot be read"
            ) from None
        return OrderReport(
            exchange_order_id=identifier,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            status=OrderStatus.OPEN,
            filled_quantity=Quantity(Decimal(0)),
            average_price=None,
            fee=None,
            created_at=sent,
        )

    # Exits

    async def _close(self, order: OrderIntent) -> OrderReport:
        position, seen_at = await self._held(order)
        path, body = requests.closing(position, order)
        answer = await self._write("POST", path, body)
        if answer.status_code not in (200, 202):
            raise judge_write(answer.status_code, answer.content)
        proof = ExitProof(position, order, seen_at, frozenset(self._proven))
        for number, wait_s in enumerate(LOOKS_S):
            await trio.sleep(wait_s)
            try:
                newest = (await self._readings.newest_orders()).values
                closing_order = proof.by_order(newest)
                if closing_order is None and number:
                    closing_order = proof.by_closed_position(
                        await self._readings.closed_now(proof.position_id), newest
                    )
            except (ExchangeError, HttpError):
                continue  # a failed reading proves nothing; look again
            if closing_order is not None:
                self._proven.append(closing_order.exchange_order_id)
                return closing_order
        raise OutcomeUnknown(
            "the exchange accepted the closing call, but nothing named the position that it closed "
            "in time"
        )

    async def _is_below_minimum(self, order: OrderIntent) -> bool:
        """Return whether the contract says that a quantity is too small. Unread, nothing is."""
        with trio.move_on_after(CONTRACT_READ_WITHIN_S):
            try:
                contract = parsing.instrument(
                    await self.read(f"/v1/futures/{order.symbol}", is_symbol="1")
                )
            except (ExchangeError, HttpError, InvalidValue, KeyError, ValueError):
                return False
            return order.quantity < max(contract.quantity_min, contract.quantity_step)
        return False

    async def _held(self, order: OrderIntent | ProtectionOrder) -> tuple[parsing.Row, datetime]:
        """Return the row of the order's position, and the exchange's time of that reading."""
        seen_at = self._clock.now() - CLOCKS_APART
        positions = await self._readings.whole(
            POSITIONS, lambda read_rows: any(requests.is_held(each, order) for each in read_rows)
        )
        position = next((row for row in positions if requests.is_held(row, order)), None)
        if position is not None:
            # The newest answer may be later than the reading, but it came before the closing call,
            # so the order of that call is newer still.
            return position, self._readings.answered_at or seen_at
        if any(requests.may_be_held(row, order) for row in positions):
            raise NotExecuted(
                "a position of this account cannot be read, and it could be the one in "
                f"{order.symbol}"
            )
        named = f"position {order.position_id}" if order.position_id else "position"
        raise Rejected(f"{named} is not open", RejectionKind.POSITION_NOT_OPEN)

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        """Cancel a resting order. The exchange's own 400 or 404 means that it is done already."""
        await self._remove(f"/v1/futures/orders/{exchange_order_id}", {"trade_currency": CURRENCY})

    async def _remove(self, path: str, body: requests.Body) -> None:
        answer = await self._write("DELETE", path, body)
        is_done = answer.status_code in (400, 404) and is_own(answer.content)
        if answer.status_code != 200 and not is_done:
            raise judge_write(answer.status_code, answer.content)

    # Protection

    async def set_protection(self, protection: ProtectionOrder) -> None:
        """Set a position's stop and target to exactly these, and read them back. Raise, to be
        called again, if they differ.
        """
        for step in requests.protection_steps((await self._held(protection))[0], protection):
            if step.method == "DELETE":
                await self._remove(step.path, step.body)
                continue
            answer = await self._write(step.method, step.path, step.body)
            if answer.status_code not in (200, 202):
                raise judge_write(answer.status_code, answer.content)
        if not requests.stands((await self._held(protection))[0], protection):
            raise OutcomeUnknown(
                "the exchange took the stop and target, but the position does not show them yet"
            )

    # Readings

    async def fetch_account(self) -> AccountReport:
        """Read wallet, positions with their stop and target, and resting orders. An unreadable row
        is reported and stops nothing.
        """
        as_of = self._clock.now()
        funds = await self.read("/v1/futures/funds", trade_currency=CURRENCY)
        positions = rows.read_each(
            "position", await self._readings.whole(POSITIONS), self._position
        )
        resting = rows.orders(await self._readings.whole(ORDERS))
        return AccountReport(
            balance=parsing.balance(funds),
            positions=positions.values,
            open_orders=resting.values,
            as_of=as_of,
            unreadable=positions.unreadable + resting.unreadable,
        )

    def _position(self, row: parsing.Row) -> Position:
        read = rows.position(row, self._shared.prices.get(Symbol(str(row.get("symbol")))))
        leverage_set = self._leverage.get(read.symbol)
        if leverage_set is not None and leverage_set[0] != read.leverage:
            _LOG.warning(
                "a position in %s has leverage %s, but %s was set before it",
                read.symbol,
                read.leverage,
                leverage_set[0],
            )
            del self._leverage[read.symbol]  # the next entry reads it again
        return read

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        """Read orders, resting and done, back to a time. Complete if the lists prove it."""
        return await self._readings.orders_since(symbol, since)

    async def closed_positions(
        self, since: datetime, position_ids: Collection[str] = ()
    ) -> ClosedPositions:
        """Read the positions' history. A row may appear minutes after the close."""
        return await self._readings.closed_since(since, position_ids)

    # Fees and other money

    async def fees(self, since: datetime) -> FeeHistory:
        """Read the fee history back to a time, newest first.

        It is complete if its pages reach back to that time.
        """
        return await self._readings.fees_since(since)

    async def funds_elsewhere(self) -> Sequence[FundsElsewhere]:
        """Return the balances above zero of the spot wallet and the rupee futures wallet."""
        spot = parsing.spot_amount(await self.read("/v1/wallet/funds"))
        rupees = parsing.balance(await self.read("/v1/futures/funds", trade_currency="INR")).total
        balances = [
            FundsElsewhere("the spot wallet", spot, CURRENCY),
            FundsElsewhere("the rupee futures wallet", rupees, "INR"),
        ]
        return [each for each in balances if each.amount > 0]

    async def aclose(self) -> None:
        """Close the client."""
        self._shared.leave(self._http)
        await self._http.aclose()


def _nothing_done(answer: HttpAnswer) -> ExchangeError:
    error = judge_write(answer.status_code, answer.content)
    return error if isinstance(error, Rejected | NotExecuted) else NotExecuted(error.text)
