"""The Mudrex adapter: entries by the v2 order call with a client order id, exits by the position's closing calls.

A closing call answers without an order id, so an exit reads the history until its order shows up, within the engine's own deadline.
Every write is one request. Leverage is looked at before each entry (a look holds 60 s) and set where it differs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import trio

from plugins.mudrex import parsing
from plugins.mudrex.errors import judge_read, judge_write
from rexalgo import (
    AccountLogin,
    AccountReport,
    Candle,
    Clock,
    CredentialField,
    Environment,
    ExchangeConnection,
    ExchangeContext,
    ExchangeError,
    ExchangeTraits,
    Instrument,
    InvalidValue,
    MarketData,
    Money,
    NotExecuted,
    OrderHistory,
    OrderIntent,
    OrderReport,
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
    Rejected,
    RejectionKind,
    Symbol,
    plain,
)

CURRENCY: Final = "USDT"
HISTORY_LIMIT: Final = 500
PAGE: Final = 100
CANDLES_MAX: Final = 1_440
AGGREGATIONS: Final = {60: "1m", 900: "15t", 1_800: "30t", 3_600: "1h", 14_400: "4h", 86_400: "1d"}
LEVERAGE_HOLDS_S: Final = 60.0
LOOK_S: Final = 0.4
CLOSE_SEEN_WITHIN_S: Final = 6.0
SECRET_FIELD = CredentialField(
    name="secret",
    label="API secret",
    help="Mudrex, pro trading, API keys (desktop). Shown once; it expires after 90 days. It can trade futures, and cannot withdraw.",
)


@dataclass(frozen=True, slots=True)
class MudrexSettings:
    """Hold the [plugin.mudrex] section. The limits are requests per second and key: half of what is published."""

    base_url: str
    orders_per_s: int
    reads_per_s: int

    @staticmethod
    def parse(table: Mapping[str, object]) -> "MudrexSettings":
        """Read the section; https is required except for an address of this machine."""
        base_url = table["base_url"]
        if not isinstance(base_url, str) or not (base_url.startswith("https://") or is_loopback(base_url)):
            raise InvalidValue("plugin.mudrex.base_url", "an https address, or http on this machine (a simulator)", base_url)
        counts = []
        for name in ("orders_per_s", "reads_per_s"):
            value = table[name]
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
                raise InvalidValue(f"plugin.mudrex.{name}", "a whole number from 1 to 100", value)
            counts.append(value)
        return MudrexSettings(base_url.rstrip("/"), *counts)


def is_loopback(url: str) -> bool:
    """Tell whether an address is on this machine: what answers there is a simulator."""
    parts = urlsplit(url)
    try:
        return parts.scheme == "http" and (parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback)
    except ValueError:
        return False


@dataclass(slots=True)
class _Shared:
    """Hold what all accounts share: clients that may read public data (every read needs a key), and the newest prices."""

    readers: list[httpx.AsyncClient] = field(default_factory=list)
    prices: dict[Symbol, Price] = field(default_factory=dict)


class MudrexAdapter:
    """Stand for Mudrex futures."""

    name = "mudrex"
    title = "Mudrex"
    credential_fields: Sequence[CredentialField] = (SECRET_FIELD,)

    def __init__(self, settings: MudrexSettings) -> None:
        self._settings = settings
        self._shared = _Shared()
        self.traits = ExchangeTraits(
            reads_client_order_id=True,
            protects_with_entry=True,
            order_limit=RateLimit(settings.orders_per_s, 1.0, settings.orders_per_s),
            read_limit=RateLimit(settings.reads_per_s, 1.0, settings.reads_per_s),
            visible_within_s=5.0,
            exits_carry_client_order_id=False,
            account_requests=3,
            exit_requests=3,
            refuses_repeated_ids=True,
            sets_protection=True,
            credentials_last_days=90,
        )

    def environment(self, context: ExchangeContext) -> Environment:
        """Return simulated for an address of this machine, else live."""
        return Environment.SIMULATED if is_loopback(self._settings.base_url) else Environment.LIVE

    async def market_data(self, context: ExchangeContext) -> MarketData:
        """Open the market data; it reads with the key of whichever account is connected."""
        return MudrexMarket(self._shared, context.clock)

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> ExchangeConnection:
        """Open one account's connection and try its key."""
        headers = {"X-Authentication": login.credentials["secret"].reveal(), "Content-Type": "application/json"}
        http = context.http(self._settings.base_url, headers)
        connection = MudrexConnection(http, context.clock, self._shared)
        await connection.read("/v1/futures/funds", trade_currency=CURRENCY)
        self._shared.readers.append(http)
        return connection


async def get(http: httpx.AsyncClient, path: str, **query: str) -> Any:
    """Read one path; raises ExchangeError for anything but a readable answer."""
    answer = await http.get(path, params=query)
    if answer.status_code != 200:
        raise judge_read(answer.status_code, answer.content)
    try:
        return parsing.data_of(answer.content)
    except ValueError as error:
        raise ExchangeError(f"the exchange's answer to {path} cannot be read: {error}") from None


class MudrexConnection:
    """Act for one account."""

    def __init__(self, http: httpx.AsyncClient, clock: Clock, shared: _Shared) -> None:
        self._http = http
        self._clock = clock
        self._shared = shared
        self._leverage: dict[Symbol, tuple[Decimal, datetime]] = {}

    async def read(self, path: str, **query: str) -> Any:
        """Read one path with this account's key."""
        return await get(self._http, path, **query)

    # Entries

    async def prepare_entry(self, order: OrderIntent) -> None:
        """Have the contract's leverage stand at the order's."""
        known = self._leverage.get(order.symbol)
        now = self._clock.now()
        if known is not None and known[0] == order.leverage and now - known[1] < timedelta(seconds=LEVERAGE_HOLDS_S):
            return
        path = f"/v1/futures/{order.symbol}/leverage"
        seen = await self._http.get(path, params={"is_symbol": "1", "trade_currency": CURRENCY})
        if seen.status_code not in (200, 404):
            error = judge_write(seen.status_code, seen.content)
            raise error if isinstance(error, Rejected | NotExecuted) else NotExecuted(error.text)
        if seen.status_code == 404 or self._standing(seen.content) != order.leverage:
            await self._set_leverage(path, order)
        self._leverage[order.symbol] = (order.leverage, now)

    def _standing(self, content: bytes) -> Decimal | None:
        try:
            return parsing.number(parsing.data_of(content), "leverage")
        except (ValueError, AttributeError):
            return None

    async def _set_leverage(self, path: str, order: OrderIntent) -> None:
        body = {"margin_type": "ISOLATED", "leverage": plain(order.leverage), "trade_currency": CURRENCY}
        answer = await self._http.post(path, params={"is_symbol": "1"}, json=body)
        if answer.status_code != 200:
            error = judge_write(answer.status_code, answer.content)
            # Setting it twice does no harm and executes nothing: what is in doubt is asked again.
            raise error if isinstance(error, Rejected | NotExecuted) else NotExecuted(error.text)

    async def place_order(self, order: OrderIntent) -> OrderReport:
        """Send one order once: an entry by the order call, an exit by the position's closing call."""
        return await (self._close(order) if order.reduce_only else self._enter(order))

    async def _enter(self, order: OrderIntent) -> OrderReport:
        body: dict[str, object] = {
            "trigger_type": order.order_type.value,
            "order_type": order.position_side.value,
            "quantity": plain(order.quantity),
            "trade_currency": CURRENCY,
            "client_order_id": order.client_order_id,
        }
        if order.order_type is OrderType.LIMIT and order.limit_price is not None:
            body["order_price"] = plain(order.limit_price)
        for flag, key, price in (
            ("is_stoploss", "stoploss_price", order.stop_loss),
            ("is_takeprofit", "takeprofit_price", order.take_profit),
        ):
            if price is not None:
                body |= {flag: True, key: plain(price)}
        sent = self._clock.now()
        answer = await self._http.post("/v2/futures/order", params={"symbol": order.symbol}, json=body)
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
        before = await self._history()
        held = next((row for row in await self._positions() if _is_of(row, order.symbol, order.position_side)), None)
        if held is None:
            raise Rejected("position is not open", RejectionKind.POSITION_NOT_OPEN)
        path = f"/v1/futures/positions/{held['id']}/close"
        body: dict[str, object] = {"trade_currency": CURRENCY}
        if not order.whole_position:
            path, body = f"{path}/partial", {**body, "order_type": "MARKET", "quantity": plain(order.quantity)}
        sent = self._clock.now()
        answer = await self._http.post(path, json=body)
        if answer.status_code not in (200, 202):
            raise judge_write(answer.status_code, answer.content)
        return await self._closing_order(order, {each.exchange_order_id for each in before}, sent)

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

    # Stop and target

    async def set_protection(self, protection: ProtectionOrder) -> None:
        """Create, move or remove the position's stop and target, so that they are exactly these."""
        rows = await self._positions()
        held = next((row for row in rows if _is_of(row, protection.symbol, protection.position_side)), None)
        if held is None:
            raise Rejected("position is not open", RejectionKind.POSITION_NOT_OPEN)
        create: dict[str, object] = {}
        amend: dict[str, object] = {}
        for name, wanted in (("stoploss", protection.stop_loss), ("takeprofit", protection.take_profit)):
            leg = parsing.leg(held, name)
            if wanted is None and leg is not None:
                await self.cancel_order(protection.symbol, leg.order_id)
            elif wanted is not None and leg is None:
                create |= {f"{name}_price": plain(wanted), f"is_{name}": True}
            elif wanted is not None and leg is not None and leg.price != wanted:
                amend |= {f"{name}_price": plain(wanted), f"is_{name}": True, f"{name}_order_id": leg.order_id}
        path = f"/v1/futures/positions/{held['id']}/riskorder"
        for method, body in (("POST", create), ("PATCH", amend)):
            if body:
                answer = await self._http.request(method, path, json={**body, "order_source": "API", "trade_currency": CURRENCY})
                if answer.status_code not in (200, 202):
                    raise judge_write(answer.status_code, answer.content)

    # Readings

    async def _history(self) -> list[OrderReport]:
        return _orders(await self.read("/v1/futures/orders/history", trade_currency=CURRENCY, limit=str(HISTORY_LIMIT)))

    async def _positions(self) -> list[parsing.Row]:
        return parsing.rows_of(await self.read("/v1/futures/positions", trade_currency=CURRENCY))

    async def fetch_account(self) -> AccountReport:
        """Read wallet, positions and resting orders."""
        as_of = self._clock.now()
        funds = await self.read("/v1/futures/funds", trade_currency=CURRENCY)
        positions = tuple(self._position(row) for row in await self._positions())
        resting = _orders(await self.read("/v1/futures/orders", trade_currency=CURRENCY, limit=str(PAGE)))
        return AccountReport(parsing.balance(funds), positions, tuple(resting), as_of)

    def _position(self, row: parsing.Row) -> Position:
        return parsing.position(row, self._shared.prices.get(Symbol(str(row.get("symbol")))))

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        """Read the history; complete when it is not full, or reaches back past ``since``. Its times are whole seconds."""
        rows = await self._history()
        complete = len(rows) < HISTORY_LIMIT or min(each.created_at for each in rows) < since - timedelta(seconds=1)
        floor = since - timedelta(seconds=1)
        found = sorted((each for each in rows if each.symbol == symbol and each.created_at >= floor), key=_newest, reverse=True)
        return OrderHistory(tuple(found), complete)

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        """Cancel a resting order; 400 and 404 mean that it is done already."""
        answer = await self._http.delete(f"/v1/futures/orders/{exchange_order_id}")
        if answer.status_code not in (200, 400, 404):
            raise judge_write(answer.status_code, answer.content)

    async def aclose(self) -> None:
        """Close the client."""
        if self._http in self._shared.readers:
            self._shared.readers.remove(self._http)
        await self._http.aclose()


def _is_of(row: parsing.Row, symbol: Symbol, side: PositionSide) -> bool:
    return row.get("symbol") == symbol and row.get("order_type") == side.value


def _newest(report: OrderReport) -> datetime:
    return report.created_at


def _orders(data: Any) -> list[OrderReport]:
    try:
        seen = {str(row["id"]): parsing.order(row) for row in parsing.rows_of(data)}
    except (ValueError, KeyError) as error:
        raise ExchangeError(f"the exchange's order rows cannot be read: {error!r}") from None
    return [each for each in seen.values() if each is not None]


class MudrexMarket:
    """Read contracts and last prices, once for everybody. Every such read needs a key: the first connected account lends its own."""

    def __init__(self, shared: _Shared, clock: Clock) -> None:
        self._shared = shared
        self._clock = clock

    def _reader(self) -> httpx.AsyncClient:
        if not self._shared.readers:
            raise ExchangeError("no account is connected yet, and contracts and prices can only be read with a key")
        return self._shared.readers[0]

    async def instruments(self) -> Sequence[Instrument]:
        """Read every contract, page by page."""
        found: dict[Symbol, Instrument] = {}
        offset = 0
        while True:
            rows = parsing.rows_of(await get(self._reader(), "/v1/futures", limit=str(PAGE), offset=str(offset)))
            found |= {each.symbol: each for each in map(parsing.instrument, rows)}
            offset += len(rows)
            if len(rows) < PAGE:
                return list(found.values())

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        """Read the last price of each contract; it stands for the mark price, which the exchange gives no key-holder."""
        quotes = []
        for symbol in sorted(symbols):
            row = await get(self._reader(), f"/v1/futures/{symbol}", is_symbol="1")
            price = Price(parsing.number(row, "price"))
            self._shared.prices[symbol] = price
            quotes.append(Quote(symbol, price, price, self._clock.now()))
        return quotes

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        """Read closed candles; intervals are those of the exchange, from a minute to a day."""
        unit = AGGREGATIONS.get(interval_s)
        if unit is None:
            raise InvalidValue("interval_s", "one of " + ", ".join(map(str, AGGREGATIONS)), interval_s)
        end = int(self._clock.now().timestamp()) // interval_s * interval_s - interval_s
        asset = f"{symbol.removesuffix(CURRENCY)}/{CURRENCY}"
        start = end - interval_s * (min(limit, CANDLES_MAX) - 1)
        data = await get(self._reader(), "/v1/price/kline", assets=asset, aggregation=unit, start_time=str(start), end_time=str(end))
        return parsing.candles(data, asset, symbol, interval_s)

    async def aclose(self) -> None:
        """Need nothing: the clients are the accounts'."""
