"""Shared parts of the paper tests: a clock and prices that the test moves, intents, and a pure
venue without a file.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from plugins.paper.account import Account, apply, open_account
from plugins.paper.adapter import PaperAdapter
from plugins.paper.events import AccountOpened, OrderPlaced
from plugins.paper.market import second_of
from plugins.paper.rules import Terms, decide_order, next_trigger
from plugins.paper.settings import PaperSettings
from rexalgo import (
    AccountId,
    AccountLogin,
    ClientOrderId,
    ExchangeContext,
    Money,
    OrderIntent,
    OrderSide,
    OrderType,
    PositionSide,
    Price,
    Quantity,
    Ratio,
    Secret,
    Symbol,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
BTC = Symbol("BTCUSDT")
TERMS = Terms.of_bps(Decimal(5), Decimal(0))


class HandClock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class ScriptedPrices:
    """Prices by a script of (second after START, price) for every symbol; before the first step the
    price is 65000.
    """

    def __init__(self, *steps: tuple[int, str]) -> None:
        self.steps = [(second_of(START) + second, Price(Decimal(price))) for second, price in steps]

    def add(self, second: int, price: str) -> None:
        self.steps.append((second_of(START) + second, Price(Decimal(price))))

    def price(self, symbol: Symbol, second: int) -> Price:
        return next(
            (price for since, price in reversed(self.steps) if since <= second),
            Price(Decimal(65000)),
        )

    def block(self, symbol: Symbol, number: int) -> tuple[Price, Price]:
        prices = [self.price(symbol, second) for second in range(number * 60, number * 60 + 60)]
        return min(prices), max(prices)


def order(
    side: str,
    quantity: str,
    client_id: str = "rx1",
    *,
    reduce_only: bool = False,
    leverage: str = "10",
    symbol: str = "BTCUSDT",
    limit: str | None = None,
    stop: str | None = None,
    target: str | None = None,
) -> OrderIntent:
    way = OrderSide(side)
    opens = PositionSide.LONG if way is OrderSide.BUY else PositionSide.SHORT
    return OrderIntent(
        client_order_id=ClientOrderId(client_id),
        symbol=Symbol(symbol),
        side=way,
        position_side=opens.opposite if reduce_only else opens,
        quantity=Quantity(Decimal(quantity)),
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        leverage=Ratio(Decimal(leverage)),
        limit_price=_price(limit),
        stop_loss=_price(stop),
        take_profit=_price(target),
        reduce_only=reduce_only,
    )


def _price(text: str | None) -> Price | None:
    return None if text is None else Price(Decimal(text))


@dataclass
class PureVenue:
    """The pure rules, driven as the running venue does, without a journal."""

    balance: str = "10000"
    terms: Terms = TERMS
    prices: ScriptedPrices = field(default_factory=ScriptedPrices)
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.account: Account = open_account(
            AccountOpened("a", Money(Decimal(self.balance)), START)
        )
        self.forced: list[OrderPlaced] = []

    def send(self, intent: OrderIntent) -> OrderPlaced:
        self.look()
        now = self.clock.now()
        price = self.prices.price(intent.symbol, second_of(now))
        event = decide_order(
            self.account, intent, price, f"P{len(self.account.orders) + 1}", now, self.terms
        )
        apply(self.account, event)
        return event

    def look(self) -> None:
        now = self.clock.now()
        while event := next_trigger(
            self.account, self.prices, now, f"P{len(self.account.orders) + 1}", self.terms
        ):
            apply(self.account, event)
            if isinstance(event, OrderPlaced):
                self.forced.append(event)
        self.account.checked_s = second_of(now)

    def wait(self, seconds: int) -> None:
        self.clock.forward(seconds)
        self.look()

    def market(self, price: str) -> None:
        """Move one second on, to another price."""
        self.clock.forward(1)
        self.prices.add(second_of(self.clock.now()) - second_of(START), price)


@dataclass
class PaperHouse:
    """An adapter over a folder; reopening is a new adapter on the same folder, as after a crash."""

    folder: Path
    settings: dict[str, object] = field(default_factory=dict)
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.settings = {"flush": "inline", "price_fixed": {"BTCUSDT": "65000"}, **self.settings}
        self.adapter = PaperAdapter(PaperSettings.parse(self.settings))

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def context(self) -> ExchangeContext:
        return ExchangeContext(self.settings, self.clock, _no_http, str(self.folder))

    async def connect(self, secret: str = "paper-0001", account: str = "acc1"):
        return await self.adapter.connect(
            AccountLogin(AccountId(account), {"secret": Secret(secret)}), self.context
        )

    def after_crash(self, **settings: object) -> "PaperHouse":
        return PaperHouse(self.folder, {**self.settings, **settings}, self.clock)


def _no_http(base_url, headers=None):
    raise AssertionError("the paper exchange needs no HTTP")
