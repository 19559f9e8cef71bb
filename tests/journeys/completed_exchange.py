"""Tiny: an exchange for RexAlgo. Completed from ``rexalgo plugin new tiny --kind exchange`` by the
guide docs/plugin-exchange.md.

The exchange's own documentation is the docstring of tiny_exchange.py.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from rexalgo import (
    AccountLogin,
    AccountReport,
    Balance,
    Candle,
    ClientOrderId,
    Clock,
    CredentialField,
    Environment,
    ExchangeAdapter,
    ExchangeContext,
    ExchangeError,
    ExchangeTraits,
    HttpClient,
    Instrument,
    InvalidValue,
    Money,
    NotExecuted,
    OrderHistory,
    OrderIntent,
    OrderReport,
    OrderSide,
    OrderStatus,
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
    UnreadableRow,
    hookimpl,
    is_loopback,
    parse_symbol,
    plain,
)

rexalgo_api_version = 1
default_settings: Mapping[str, object] = {"base_url": "http://127.0.0.1:9000"}
KEY_HEADER = "X-Api-Key"
STATES = {
    "open": OrderStatus.OPEN,
    "filled": OrderStatus.FILLED,
    "cancelled": OrderStatus.CANCELLED,
}
SIDES = {"buy": OrderSide.BUY, "sell": OrderSide.SELL}
KINDS = {
    "too_small": RejectionKind.BELOW_MINIMUM,
    "no_funds": RejectionKind.BALANCE,
    "no_position": RejectionKind.POSITION_NOT_OPEN,
    "bad_key": RejectionKind.CREDENTIALS,
}


class Adapter:
    """The adapter of the exchange. Creating it connects to nothing."""

    name = "tiny"
    title = "Tiny"
    credential_fields: Sequence[CredentialField] = (
        CredentialField("secret", "API key", "Any text that does not begin with bad."),
    )
    traits = ExchangeTraits(
        reads_client_order_id=True,
        protects_with_entry=True,
        order_limit=RateLimit(100, 1.0, 100),
        read_limit=RateLimit(100, 1.0, 100),
        visible_within_s=0.5,
        refuses_repeated_ids=True,
        sets_protection=True,
    )

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def environment(self, context: ExchangeContext) -> Environment:
        """Return the environment of this address."""
        return Environment.SIMULATED if is_loopback(self._base_url) else Environment.LIVE

    async def market_data(self, context: ExchangeContext) -> "Market":
        """Open a connection for public data."""
        return Market(context.http(self._base_url), context.clock)

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> "Connection":
        """Open one account and check its key."""
        http = context.http(self._base_url, {KEY_HEADER: login.credentials["secret"].reveal()})
        await read(http, "/account")
        return Connection(http, context.clock)


async def read(http: HttpClient, path: str, **query: str) -> Any:
    """Read one path, or raise."""
    answer = await http.get(path, params=query)
    if answer.status_code == 401:
        raise Rejected("the exchange refused the key", RejectionKind.CREDENTIALS)
    if answer.status_code != 200:
        raise ExchangeError(f"the exchange answered {answer.status_code}")
    return json.loads(answer.content, parse_float=Decimal, parse_int=Decimal)


def rows(value: Any) -> list[Mapping[str, Any]]:
    """Return a list, or raise if it is not one."""
    if not isinstance(value, list):
        raise ExchangeError("the exchange's answer has no list where one must be")
    return value


def judge(status: int, content: bytes) -> ExchangeError:
    """Return what a refused order or cancel proves."""
    if status in (423, 429):
        return NotExecuted(f"the exchange is busy ({status})")
    if 400 <= status < 500 and status != 409:
        code = str(json.loads(content)["code"])
        return Rejected(f"the exchange refused it: {code}", KINDS.get(code, RejectionKind.OTHER))
    return OutcomeUnknown(f"the exchange answered {status}")


T = TypeVar("T")


def read_each(
    what: str, listed: Any, read_one: Callable[[Mapping[str, Any]], T]
) -> tuple[tuple[T, ...], tuple[UnreadableRow, ...]]:
    """Parse row by row. An unreadable row is reported and affects no other."""
    values: list[T] = []
    unreadable: list[UnreadableRow] = []
    for row in rows(listed):
        try:
            values.append(read_one(row))
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            unreadable.append(
                UnreadableRow(
                    what,
                    str(row.get("id", "")),
                    symbol_of(row),
                    f"{type(error).__name__}: {error}"[:100],
                )
            )
    return tuple(values), tuple(unreadable)


def symbol_of(row: Mapping[str, Any]) -> Symbol | None:
    """Return a row's contract, if it is readable."""
    try:
        return parse_symbol(row.get("symbol"))
    except ValueError:
        return None


def order_of(row: Mapping[str, Any]) -> OrderReport:
    """Parse one order."""
    filled = Decimal(row["filled"])
    return OrderReport(
        exchange_order_id=row["id"],
        client_order_id=ClientOrderId(row["clientId"]),
        symbol=Symbol(row["symbol"]),
        side=SIDES[row["side"]],
        quantity=Quantity(Decimal(row["size"])),
        status=STATES[row["state"]],
        filled_quantity=Quantity(filled),
        average_price=Price(Decimal(row["price"])) if filled else None,
        fee=Money(Decimal(0)),
        created_at=datetime.fromtimestamp(int(row["ms"]) / 1000, UTC),
        reduce_only=row["reduceOnly"],
    )


def position_of(row: Mapping[str, Any], mark: Price) -> Position:
    """Parse one position; the sign of its size is its side."""
    size, entry = Decimal(row["size"]), Price(Decimal(row["entry"]))
    return Position(
        symbol=Symbol(row["symbol"]),
        side=PositionSide.LONG if size > 0 else PositionSide.SHORT,
        quantity=Quantity(abs(size)),
        entry_price=entry,
        mark_price=mark,
        leverage=Ratio(Decimal(row["leverage"])),
        margin=Money(Decimal(row["margin"])),
        unrealised_profit=Money((mark - entry) * size),
        stop_loss=Price(Decimal(row["stop"])) if row["stop"] else None,
        take_profit=Price(Decimal(row["target"])) if row["target"] else None,
    )


class Market:
    """The public data, read once for all accounts. Each method raises if something cannot be read
    (E53).
    """

    def __init__(self, http: HttpClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    async def instruments(self) -> Sequence[Instrument]:
        found = rows((await read(self._http, "/contracts"))["contracts"])
        return [
            Instrument(
                symbol=Symbol(row["symbol"]),
                price_step=Price(Decimal(row["tick"])),
                quantity_step=Quantity(Decimal(row["lot"])),
                quantity_min=Quantity(Decimal(row["lot"])),
                quantity_max=Quantity(Decimal(1_000_000)),
                notional_min=Money(Decimal(row["minNotional"])),
                leverage_min=Ratio(Decimal(1)),
                leverage_max=Ratio(Decimal(row["maxLeverage"])),
            )
            for row in found
        ]

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        found = []
        for symbol in sorted(symbols):
            row = await read(self._http, "/ticker", symbol=symbol)
            found.append(
                Quote(
                    symbol,
                    Price(Decimal(row["last"])),
                    Price(Decimal(row["mark"])),
                    self._clock.now(),
                )
            )
        return found

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        return ()  # none: algorithms cannot run on this exchange (E07)

    async def aclose(self) -> None:
        await self._http.aclose()


class Connection:
    """A connection for one account."""

    def __init__(self, http: HttpClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    async def prepare_entry(self, order: OrderIntent) -> None:
        return None  # leverage is part of the order

    async def place_order(self, order: OrderIntent) -> OrderReport:
        body = {
            "clientId": order.client_order_id,
            "symbol": order.symbol,
            "side": "buy" if order.side is OrderSide.BUY else "sell",
            "size": plain(order.quantity),
            "leverage": plain(order.leverage),
            "limit": text(order.limit_price),
            "reduceOnly": order.reduce_only,
            "stop": text(order.stop_loss),
            "target": text(order.take_profit),
        }
        answer = await self._http.post("/orders", json=body)
        if answer.status_code != 201:
            raise judge(answer.status_code, answer.content)
        return order_of(json.loads(answer.content, parse_float=Decimal, parse_int=Decimal))

    async def fetch_account(self) -> AccountReport:
        as_of = self._clock.now()
        told = await read(self._http, "/account")
        # The account tells no present price; the entry price stands for it, and the engine goes by
        # the quotes.
        positions, strange = read_each(
            "position",
            told["positions"],
            lambda row: position_of(row, Price(Decimal(row["entry"]))),
        )
        orders, unread = read_each("order", told["orders"], order_of)
        balance = Balance(Money(Decimal(told["free"])), Money(Decimal(told["total"])))
        return AccountReport(balance, positions, orders, as_of, strange + unread)

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        told = await read(
            self._http, "/orders", symbol=symbol, since=str(int(since.timestamp() * 1000))
        )
        orders, unread = read_each("order", told["orders"], order_of)
        # The exchange cuts nothing off, and shows this contract and time alone: a row that cannot
        # be read could be any of them.
        return OrderHistory(orders, not unread, unread)

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        answer = await self._http.delete(f"/orders/{exchange_order_id}")
        if answer.status_code not in (204, 404, 409):
            raise judge(answer.status_code, answer.content)

    async def set_protection(self, protection: ProtectionOrder) -> None:
        body = {"stop": text(protection.stop_loss), "target": text(protection.take_profit)}
        answer = await self._http.put(f"/positions/{protection.symbol}/protection", json=body)
        if answer.status_code == 404:
            raise Rejected("there is no such position", RejectionKind.POSITION_NOT_OPEN)
        if answer.status_code != 204:
            raise judge(answer.status_code, answer.content)

    async def aclose(self) -> None:
        await self._http.aclose()


def text(price: Price | None) -> str | None:
    """Return a price as text, or None."""
    return None if price is None else plain(price)


@hookimpl
def register_exchanges(
    register: Callable[[ExchangeAdapter], None], settings: Mapping[str, object]
) -> None:
    """Check the settings and register the adapter. A wrong setting stops the start here."""
    base_url = settings["base_url"]
    if not isinstance(base_url, str) or not (
        base_url.startswith("https://") or is_loopback(base_url)
    ):
        raise InvalidValue(
            "plugin.tiny.base_url", "an https address, or one of this machine", base_url
        )
    register(Adapter(base_url.rstrip("/")))
