"""BENCH ONLY, no real exchange: an adapter for ``bench.exchange_server``, written like any plugin.

Labelled simulated. Each account has its own client and sends its secret in ``X-Account``.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from rexalgo import (
    AccountLogin,
    AccountReport,
    Balance,
    Candle,
    ClientOrderId,
    CredentialField,
    Environment,
    ExchangeAdapter,
    ExchangeContext,
    ExchangeTraits,
    HttpAnswer,
    HttpClient,
    HttpError,
    Instrument,
    InvalidValue,
    Money,
    NotExecuted,
    NotSent,
    OrderHistory,
    OrderIntent,
    OrderReport,
    OrderSide,
    OrderStatus,
    OutcomeUnknown,
    Position,
    PositionSide,
    Price,
    Quantity,
    Quote,
    RateLimit,
    Ratio,
    Rejected,
    RejectionKind,
    Symbol,
    hookimpl,
    initial_margin,
    plain,
)

rexalgo_api_version = 1
default_settings: Mapping[str, object] = {"base_url": "http://127.0.0.1:0"}
ZERO = Money(Decimal(0))
LOOPBACK = ("http://127.0.0.1:", "https://127.0.0.1:")
PLENTY = RateLimit(count=1_000_000, period_s=1.0, burst=1_000_000)


class WireOrder(msgspec.Struct):
    """One order as the server writes it."""

    id: str
    client_order_id: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    reduce_only: bool
    status: OrderStatus
    filled_quantity: Decimal
    average_price: Decimal
    fee: Decimal
    created_at: datetime

    def report(self) -> OrderReport:
        """Return it as an OrderReport."""
        return OrderReport(
            exchange_order_id=self.id,
            client_order_id=ClientOrderId(self.client_order_id),
            symbol=Symbol(self.symbol),
            side=self.side,
            quantity=Quantity(self.quantity),
            status=self.status,
            filled_quantity=Quantity(self.filled_quantity),
            average_price=Price(self.average_price),
            fee=Money(self.fee),
            created_at=self.created_at,
            reduce_only=self.reduce_only,
        )


class WirePosition(msgspec.Struct):
    """One position as the server writes it."""

    symbol: str
    side: PositionSide
    quantity: Decimal
    price: Decimal
    leverage: Decimal

    def position(self) -> Position:
        """Return it as a Position."""
        price, quantity, leverage = Price(self.price), Quantity(self.quantity), Ratio(self.leverage)
        margin = initial_margin(price, quantity, leverage)
        return Position(
            Symbol(self.symbol), self.side, quantity, price, price, leverage, margin, ZERO
        )


class WireAccount(msgspec.Struct):
    """An account as the server writes it."""

    available: Decimal
    total: Decimal
    positions: list[WirePosition]


READ_ORDER = msgspec.json.Decoder(WireOrder).decode
READ_ORDERS = msgspec.json.Decoder(list[WireOrder]).decode
READ_ACCOUNT = msgspec.json.Decoder(WireAccount).decode


class BenchConnection:
    """A connection for one account."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def prepare_entry(self, order: OrderIntent) -> None:
        """Do nothing: the server takes the leverage with the order."""

    async def place_order(self, order: OrderIntent) -> OrderReport:
        """Send the order once."""
        body = {
            "client_order_id": order.client_order_id,
            "symbol": order.symbol,
            "side": order.side.value,
            "position_side": order.position_side.value,
            "quantity": plain(order.quantity),
            "leverage": plain(order.leverage),
            "order_type": order.order_type.value,
            "reduce_only": order.reduce_only,
        }
        try:
            answer = await self._http.post("/orders", content=msgspec.json.encode(body))
        except NotSent as error:
            raise NotExecuted(str(error)) from error
        except HttpError as error:
            raise OutcomeUnknown(str(error)) from error
        return self._read(answer)

    def _read(self, answer: HttpAnswer) -> OrderReport:
        status = answer.status_code
        if status in (423, 429):
            raise NotExecuted(f"the exchange answered {status}")
        if status in (401, 403):
            raise Rejected(f"the exchange answered {status}", RejectionKind.CREDENTIALS)
        if status in (400, 404, 422):
            raise Rejected(f"the exchange answered {status}: {answer.text[:100]}")
        if status != 200:
            raise OutcomeUnknown(f"the exchange answered {status}")
        try:
            return READ_ORDER(answer.content).report()
        except msgspec.MsgspecError as error:
            raise OutcomeUnknown(f"the exchange's answer cannot be read: {error}") from error

    async def fetch_account(self) -> AccountReport:
        """Read the whole account."""
        account = READ_ACCOUNT((await self._http.get("/account")).raise_for_status().content)
        balance = Balance(available=Money(account.available), total=Money(account.total))
        return AccountReport(
            balance, tuple(each.position() for each in account.positions), (), datetime.now(UTC)
        )

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        """Read every order of the symbol since a time."""
        answer = (await self._http.get("/orders", params={"symbol": symbol})).raise_for_status()
        reports = (each.report() for each in READ_ORDERS(answer.content))
        return OrderHistory(
            tuple(each for each in reports if each.created_at >= since), complete=True
        )

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        """Do nothing: every order fills at once."""

    async def aclose(self) -> None:
        """Close the client."""
        await self._http.aclose()


class BenchMarketData:
    """The server's few contracts and fixed prices."""

    def __init__(self, http: HttpClient, context: ExchangeContext) -> None:
        self._http = http
        self._clock = context.clock

    async def instruments(self) -> Sequence[Instrument]:
        """Return every contract, all with the same wide limits."""
        names = msgspec.json.decode(
            (await self._http.get("/instruments")).raise_for_status().content, type=list[str]
        )
        return [_instrument(Symbol(name)) for name in names]

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        """Return the fixed prices."""
        prices = msgspec.json.decode(
            (await self._http.get("/quotes")).raise_for_status().content, type=dict[str, Decimal]
        )
        now = self._clock.now()
        return [
            Quote(Symbol(name), Price(price), Price(price), now)
            for name, price in prices.items()
            if name in symbols
        ]

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        """Return no candles."""
        return ()

    async def aclose(self) -> None:
        """Close the client."""
        await self._http.aclose()


def _instrument(symbol: Symbol) -> Instrument:
    return Instrument(
        symbol=symbol,
        price_step=Price(Decimal("0.01")),
        quantity_step=Quantity(Decimal("0.0001")),
        quantity_min=Quantity(Decimal("0.0001")),
        quantity_max=Quantity(Decimal(1000)),
        notional_min=Money(Decimal(1)),
        leverage_min=Ratio(Decimal(1)),
        leverage_max=Ratio(Decimal(100)),
    )


class BenchExchange:
    """The adapter of the bench server."""

    name = "bench_http"
    title = "Benchmark exchange (simulated)"
    traits = ExchangeTraits(
        reads_client_order_id=True,
        protects_with_entry=True,
        order_limit=PLENTY,
        read_limit=PLENTY,
        visible_within_s=0.1,
    )
    credential_fields: Sequence[CredentialField] = (
        CredentialField("secret", "Account name", "any text; one account each"),
    )

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def environment(self, context: ExchangeContext) -> Environment:
        """Return SIMULATED: the server runs on this machine."""
        return Environment.SIMULATED

    async def market_data(self, context: ExchangeContext) -> BenchMarketData:
        """Open a connection for public data."""
        return BenchMarketData(context.http(self._base_url), context)

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> BenchConnection:
        """Open one account's connection."""
        headers = {
            "X-Account": login.credentials["secret"].reveal(),
            "Content-Type": "application/json",
        }
        return BenchConnection(context.http(self._base_url, headers))


@hookimpl
def register_exchanges(
    register: Callable[[ExchangeAdapter], None], settings: Mapping[str, object]
) -> None:
    """Register the adapter, for a loopback address only."""
    base_url = settings["base_url"]
    if not isinstance(base_url, str) or not base_url.startswith(LOOPBACK):
        raise InvalidValue(
            "base_url", "an address of this machine such as http://127.0.0.1:8000", base_url
        )
    register(BenchExchange(base_url))
