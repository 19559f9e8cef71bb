"""A complete plugin, written in an afternoon: ``import rexalgo`` and nothing else of this project.

The exchange is a toy on this machine (labelled simulated): every order fills at 10, and is written
to a file in the plugin's folder.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from secrets import token_urlsafe

from rexalgo import (
    AccountLogin,
    AccountReport,
    Action,
    AddressGuide,
    Authenticated,
    Balance,
    Candle,
    CredentialField,
    Delivery,
    EndpointSetting,
    Environment,
    ExchangeAdapter,
    ExchangeContext,
    ExchangeTraits,
    Instrument,
    InvalidValue,
    Money,
    NotAuthentic,
    OrderHistory,
    OrderIntent,
    OrderReport,
    OrderStatus,
    Position,
    PositionSide,
    Price,
    Quantity,
    Quote,
    RateLimit,
    Ratio,
    ReadyMessage,
    Secret,
    SignalDraft,
    StreamContext,
    StreamSource,
    Symbol,
    WebhookSource,
    capability_key,
    hookimpl,
    parse_symbol,
    verify_capability,
)

rexalgo_api_version = 1
default_settings: Mapping[str, object] = {}
TOY = Symbol("TOYUSDT")
TEN = Price(Decimal(10))


class ToyConnection:
    """A connection that fills everything at ten."""

    def __init__(self, name: str, context: ExchangeContext) -> None:
        self.name = name
        self.file = Path(context.data_dir) / "orders"
        self.clock = context.clock
        self.orders: list[OrderReport] = []

    async def prepare_entry(self, order: OrderIntent) -> None:
        return None

    async def place_order(self, order: OrderIntent) -> OrderReport:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"{self.name} {order.side.value} {order.quantity} {order.client_order_id}\n")
        number = f"{self.name}-{len(self.orders) + 1}"
        report = OrderReport(
            number,
            order.client_order_id,
            order.symbol,
            order.side,
            order.quantity,
            OrderStatus.FILLED,
            order.quantity,
            TEN,
            Money(Decimal(0)),
            self.clock.now(),
            order.reduce_only,
        )
        self.orders.append(report)
        return report

    async def fetch_account(self) -> AccountReport:
        held = sum(
            (each.quantity if each.side.value == "BUY" else -each.quantity for each in self.orders),
            Decimal(0),
        )
        positions = ()
        if held:
            side = PositionSide.LONG if held > 0 else PositionSide.SHORT
            zero = Money(Decimal(0))
            positions = (
                Position(
                    TOY,
                    side,
                    Quantity(abs(held)),
                    TEN,
                    TEN,
                    Ratio(Decimal(1)),
                    Money(abs(held) * TEN),
                    zero,
                ),
            )
        balance = Balance(Money(Decimal(1000)), Money(Decimal(1000)))
        return AccountReport(balance, positions, (), self.clock.now())

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        return OrderHistory(
            tuple(each for each in reversed(self.orders) if each.created_at >= since), complete=True
        )

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        return None

    async def aclose(self) -> None:
        return None


class ToyMarket:
    """A market that quotes ten and closes a candle every second."""

    def __init__(self, context: ExchangeContext) -> None:
        self.clock = context.clock

    async def instruments(self) -> Sequence[Instrument]:
        one = Quantity(Decimal("0.1"))
        return [
            Instrument(
                TOY,
                Price(Decimal("0.1")),
                one,
                one,
                Quantity(Decimal(1000)),
                Money(Decimal(1)),
                Ratio(Decimal(1)),
                Ratio(Decimal(10)),
            )
        ]

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        return [Quote(TOY, TEN, TEN, self.clock.now())]

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        now = int(self.clock.now().timestamp()) // interval_s * interval_s
        starts = [
            datetime.fromtimestamp(now, UTC) - timedelta(seconds=interval_s * back)
            for back in range(min(limit, 5), 0, -1)
        ]
        return [
            Candle(symbol, interval_s, start, TEN, TEN, TEN, TEN, Decimal(1)) for start in starts
        ]

    async def aclose(self) -> None:
        return None


class Toy:
    """The adapter of the toy exchange."""

    name = "stranger_toy"
    title = "Toy exchange (simulated)"
    traits = ExchangeTraits(
        True, True, RateLimit(100, 1.0, 100), RateLimit(100, 1.0, 100), visible_within_s=0.1
    )
    credential_fields: Sequence[CredentialField] = (CredentialField("secret", "Name", "any text"),)

    def environment(self, context: ExchangeContext) -> Environment:
        return Environment.SIMULATED

    async def market_data(self, context: ExchangeContext) -> ToyMarket:
        return ToyMarket(context)

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> ToyConnection:
        return ToyConnection(login.credentials["secret"].reveal(), context)


class Hook:
    """A source that takes ``BUY TOYUSDT key`` with the secret in a header."""

    name = "stranger_hook"

    def new_secret(self) -> Secret:
        return Secret("stranger-secret")

    def authenticate(
        self, delivery: Delivery, keys: Sequence[Secret], now: datetime
    ) -> Authenticated:
        given = delivery.header("x-stranger")
        for index, key in enumerate(keys):
            if given == [key.reveal()]:
                return Authenticated(index, None)
        raise NotAuthentic

    def parse(self, delivery: Delivery, proof: Authenticated) -> SignalDraft:
        words = delivery.body.decode("ascii", "replace").split()
        if len(words) != 3 or words[0] not in ("BUY", "CLOSE"):
            raise InvalidValue("body", "BUY or CLOSE, a contract, a key")
        action = Action.OPEN if words[0] == "BUY" else Action.CLOSE
        side = PositionSide.LONG if action is Action.OPEN else None
        return SignalDraft(words[2], action, parse_symbol(words[1]), side)


class Doorstep:
    """Take ``up ID`` and ``down ID`` at an address that is itself the proof; what ``down`` does is
    chosen for each address.
    """

    name = "stranger_doorstep"
    guide = AddressGuide(
        title="Doorstep", about="From anywhere.", paste="Paste both there:", message="up ID"
    )
    endpoint_settings = (
        EndpointSetting(
            "down", "The word down", (("close", "closes what is held"), ("turn", "turns short"))
        ),
    )

    def new_secret(self) -> Secret:
        return capability_key(token_urlsafe(32))

    def authenticate(
        self, delivery: Delivery, keys: Sequence[Secret], now: datetime
    ) -> Authenticated:
        return verify_capability(delivery, keys)

    def parse(self, delivery: Delivery, proof: Authenticated) -> SignalDraft:
        words = delivery.body.decode("ascii", "replace").split()
        if len(words) != 2 or words[0] not in ("up", "down"):
            raise InvalidValue("body", self.example(TOY, is_exit=False))
        if words[0] == "up":
            return SignalDraft(words[1], Action.OPEN, TOY, PositionSide.LONG)
        if delivery.settings["down"] == "turn":
            return SignalDraft(words[1], Action.REVERSE, TOY, PositionSide.SHORT)
        return SignalDraft(words[1], Action.CLOSE, TOY)

    def ready_messages(self, symbol: Symbol) -> Sequence[ReadyMessage]:
        orders = (("flat to long", b"up 1"),)
        return [ReadyMessage(title="Only up", text="up ID", events=(), orders=orders)]

    def example(self, symbol: Symbol, *, is_exit: bool) -> str:
        return "down ID" if is_exit else "up ID"


class Candles:
    """A source that opens long at the first closed candle."""

    name = "stranger_candles"

    def check_params(self, params: Mapping[str, object]) -> None:
        if not isinstance(params.get("after"), int):
            raise InvalidValue("params.after", "a whole number of candles", params.get("after"))

    async def run(self, context: StreamContext) -> None:
        async for candle in context.candles(TOY, 1):
            key = f"candle-{candle.opened_at.timestamp():.0f}"
            await context.emit(SignalDraft(key, Action.OPEN, TOY, PositionSide.LONG))
            return


@hookimpl
def register_exchanges(
    register: Callable[[ExchangeAdapter], None], settings: Mapping[str, object]
) -> None:
    register(Toy())


@hookimpl
def register_signal_sources(
    register: Callable[[WebhookSource | StreamSource], None], settings: Mapping[str, object]
) -> None:
    register(Hook())
    register(Doorstep())
    register(Candles())
