"""One run of the kit for exchange adapters: an open connection, orders to send, and waiting until
something shows.

The cases are in the files beside this one. Give the kit a paper account, a simulator or a test
account, never one with a position in it: it closes everything that it finds. ``read_only`` sends no
order at all. Every case is independent and leaves the account flat.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Final, cast

import trio

from engine.actors.clock import SystemClock
from engine.decisions.order_lifecycle import Accepted, Answer, Refused, classify
from engine.decisions.sizing import smallest_quantity
from engine.domain.account import AccountReport, Environment, Position
from engine.domain.amounts import Price, Quantity, Ratio, ceil_to_step, floor_to_step, notional
from engine.domain.identifiers import AccountId, CopyId, Symbol, client_order_id
from engine.domain.instrument import Instrument
from engine.domain.order import OrderIntent, OrderReport, OrderSide
from engine.domain.signal import OrderType, PositionSide
from engine.ports.exchange import (
    AccountLogin,
    ExchangeAdapter,
    ExchangeConnection,
    ExchangeContext,
    OrderIdConnection,
)
from engine.ports.market_data import Quote
from engine.ports.secret import Secret
from engine.testing.exchange.looks import expect_sound
from engine.testing.faulty_http import Clients, FaultyHttp
from engine.testing.report import CaseFailed, CaseSkipped, chain, expect

SETTLE_S: Final = 15.0
LOOK_S: Final = 0.15
AFTERMATH_S: Final = 0.5
DEADLINE_S: Final = 8.0
LONG: Final = PositionSide.LONG
SHORT: Final = PositionSide.SHORT
SECRET_CHARACTERS_MIN: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeUnderTest:
    """What the kit needs: the adapter, an account's credentials, wrong ones, and the plugin's
    settings.

    ``wrong_credentials`` are refused by the exchange; None if every key is an account (paper).
    ``data_dir`` is an empty folder. ``http``: where requests go, None for the network;
    ``RecordedAnswers`` answers them from a file (then ``read_only``). ``adapter_at`` makes the
    adapter for another base address, so that E02 sees what it says about one that is not on this
    machine.
    """

    adapter: ExchangeAdapter
    credentials: Mapping[str, Secret]
    settings: Mapping[str, object]
    data_dir: str
    wrong_credentials: Mapping[str, Secret] | None = None
    read_only: bool = False
    http: Clients | None = None
    adapter_at: Callable[[str], ExchangeAdapter] | None = None


@dataclass(slots=True)
class ExchangeKit:
    """One run: an open connection, what was learned about the market, and what was sent."""

    under_test: ExchangeUnderTest
    http: FaultyHttp = field(init=False)
    clock: SystemClock = field(default_factory=SystemClock)
    failed: set[str] = field(default_factory=set)
    accepted: list[tuple[OrderIntent, str]] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    begun: datetime = field(init=False)
    context: ExchangeContext = field(init=False)
    _connection: ExchangeConnection | None = None
    _market: Any = None
    _numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.http = FaultyHttp(self.under_test.http)
        self.begun = self.clock.now()
        self.context = ExchangeContext(
            self.under_test.settings, self.clock, self.http, self.under_test.data_dir
        )

    @property
    def adapter(self) -> ExchangeAdapter:
        """Return the adapter under test."""
        return self.under_test.adapter

    async def aclose(self) -> None:
        """Close everything."""
        for each in (self._connection, self._market):
            if each is not None:
                await each.aclose()
        await self.http.aclose()

    # The account and the market

    def login(self, credentials: Mapping[str, Secret] | None = None) -> AccountLogin:
        """Return the login of the account under test, or one with other credentials."""
        return AccountLogin(
            AccountId("kit"), self.under_test.credentials if credentials is None else credentials
        )

    async def connection(self) -> ExchangeConnection:
        """Return the account's connection."""
        if self._connection is None:
            limits = self.adapter.traits.order_limit, self.adapter.traits.read_limit
            # A little below what both limits allow together: the exchange counts by its own clock.
            self.http.plan.spacing_s = 1.25 / sum(each.count / each.period_s for each in limits)
            self._connection = await self.adapter.connect(self.login(), self.context)
        return self._connection

    async def market(self) -> Any:
        """Return the market data; some exchanges read it only once an account is connected."""
        await self.connection()
        if self._market is None:
            self._market = await self.adapter.market_data(self.context)
        return self._market

    async def contracts(self) -> list[tuple[Instrument, Quote]]:
        """Return contracts with their prices, those whose smallest order is cheapest first."""
        market = await self.market()
        instruments = sorted(await market.instruments(), key=lambda each: each.symbol)[:50]
        quotes = {
            each.symbol: each
            for each in await market.quotes(frozenset(each.symbol for each in instruments))
        }
        priced = [(each, quotes[each.symbol]) for each in instruments if each.symbol in quotes]
        expect(bool(priced), "expected a price of at least one contract, found none")
        return sorted(
            priced,
            key=lambda each: notional(each[1].last, smallest_quantity(each[0], each[1].last)),
        )

    async def contract(self, number: int = 0) -> tuple[Instrument, Quote]:
        """Return a contract whose smallest order is cheap, and its price; skip the case if there
        are not enough contracts.
        """
        contracts = await self.contracts()
        if len(contracts) <= number:
            raise CaseSkipped(
                f"it needs {number + 1} contracts, and the exchange has {len(contracts)} with a price"
            )
        return contracts[number]

    async def account(self) -> AccountReport:
        """Read the account."""
        return await (await self.connection()).fetch_account()

    async def position(self, symbol: Symbol) -> Position | None:
        """Read the position in a contract; None if there is none."""
        return next(
            (
                each
                for each in (await self.account()).positions
                if each.symbol == symbol and each.quantity > 0
            ),
            None,
        )

    async def reads_client_order_id(self) -> bool:
        """Return whether entries are read back with our id, as the traits or the connection say."""
        connection = await self.connection()
        if self.adapter.traits.client_order_id_per_account:
            return cast(OrderIdConnection, connection).reads_client_order_id
        return self.adapter.traits.reads_client_order_id

    # Orders

    async def intent(
        self,
        side: PositionSide = LONG,
        times: int = 4,
        contract: int = 0,
        leverage: int = 2,
        **changes: Any,
    ) -> OrderIntent:
        """Build an entry of ``times`` the smallest size."""
        instrument, quote = await self.contract(contract)
        quantity = Quantity(smallest_quantity(instrument, quote.last) * times)
        within = Ratio(
            min(max(Decimal(leverage), instrument.leverage_min), instrument.leverage_max)
        )
        base = OrderIntent(
            client_order_id=self._id(),
            symbol=instrument.symbol,
            side=OrderSide.opening(side),
            position_side=side,
            quantity=quantity,
            order_type=OrderType.MARKET,
            leverage=within,
        )
        return replace(base, **changes)

    async def resting(self, side: PositionSide = LONG) -> OrderIntent:
        """Build a limit entry that is too far from the price to be filled."""
        instrument, quote = await self.contract()
        share, to_step = (
            (Decimal("0.8"), floor_to_step) if side is LONG else (Decimal("1.2"), ceil_to_step)
        )
        limit = Price(to_step(quote.last * share, instrument.price_step))
        quantity = Quantity(smallest_quantity(instrument, min(limit, quote.last)) * 4)
        return await self.intent(
            side, order_type=OrderType.LIMIT, limit_price=limit, quantity=quantity
        )

    def exit_of(
        self, position: Position, quantity: Decimal | None = None, side: PositionSide | None = None
    ) -> OrderIntent:
        """Build an exit of a position, whole or a part; ``side`` names another side than it has."""
        whole, of_side = quantity is None or quantity == position.quantity, side or position.side
        return OrderIntent(
            client_order_id=self._id(),
            symbol=position.symbol,
            side=OrderSide.closing(of_side),
            position_side=of_side,
            quantity=Quantity(position.quantity if quantity is None else quantity),
            order_type=OrderType.MARKET,
            leverage=Ratio(position.leverage if position.leverage > 0 else Decimal(1)),
            reduce_only=True,
            whole_position=whole,
            position_id=position.id,
        )

    def _id(self) -> Any:
        return client_order_id(CopyId(f"kit{self.begun.timestamp():.6f}-{next(self._numbers)}"), 1)

    async def send(self, order: OrderIntent, fault: str | None = None) -> Answer:
        """Prepare, send once, and classify the answer as the engine does."""
        connection = await self.connection()
        if not order.reduce_only:
            await connection.prepare_entry(order)
        self.http.plan.writes = 0
        self.http.plan.write = fault
        result: OrderReport | BaseException
        try:
            with trio.fail_after(DEADLINE_S):
                result = await connection.place_order(order)
        except Exception as error:
            self.look_for_secrets(error)
            result = error
        written = None if not self.http.used else fault != "connect_refused"
        answer = classify(order, result, written)
        if isinstance(answer, Accepted):
            self.accepted.append((order, answer.report.exchange_order_id))
        return answer

    async def taken(self, order: OrderIntent) -> OrderReport:
        """Send an order that must be accepted."""
        answer = await self.send(order)
        if not isinstance(answer, Accepted):
            raise CaseFailed(
                f"expected the {'exit' if order.reduce_only else 'entry'} to be accepted, found "
                f"{answer}"
            )
        return answer.report

    async def entered(self, order: OrderIntent) -> tuple[OrderReport, Position]:
        """Send an entry and wait until its whole position is there."""
        report = await self.taken(order)
        return report, await self.held(order)

    async def replaced(self) -> tuple[Position, Position]:
        """Open a position, close it, and open another one in its place; return both. Skip the case
        if positions have no id.
        """
        _, gone = await self.entered(await self.intent())
        await self.flatten()
        if not gone.id:
            raise CaseSkipped("positions have no id, so none is told from another")
        _, place = await self.entered(await self.intent())
        expect(
            place.id not in ("", gone.id),
            f"expected another id of a position that was opened anew, found {place.id or 'none'}: "
            "leave Position.id empty if the exchange gives no such id",
        )
        return gone, place

    async def held(self, order: OrderIntent) -> Position:
        """Wait until the position of an entry is read back whole: exchanges fill in parts."""
        position = None
        with trio.move_on_after(SETTLE_S):
            while True:
                position = await self.position(order.symbol)
                if position is not None and position.quantity == order.quantity:
                    return position
                await trio.sleep(LOOK_S)
        if position is None:
            raise CaseFailed(
                f"expected a {order.position_side.value} position in {order.symbol} within "
                f"{SETTLE_S:g} s, found none"
            )
        return position

    async def found(
        self, order: OrderIntent, exchange_order_id: str, since: datetime | None = None
    ) -> OrderReport:
        """Wait until an order is read back in its last state."""
        connection, report = await self.connection(), None
        with trio.move_on_after(SETTLE_S):
            while True:
                history = await connection.find_orders(
                    order.symbol, since or self.begun - timedelta(seconds=60)
                )
                report = next(
                    (
                        each
                        for each in history.orders
                        if each.exchange_order_id == exchange_order_id
                    ),
                    None,
                )
                if report is not None:
                    expect_sound(report, f"order {exchange_order_id} while it was waited for")
                if report is not None and report.status.is_terminal:
                    return report
                await trio.sleep(LOOK_S)
        raise CaseFailed(
            f"expected find_orders to show order {exchange_order_id} done within {SETTLE_S:g} s, "
            "found " + ("no such order" if report is None else str(report))
        )

    async def waits_for(self, holds: Callable[[AccountReport], bool]) -> AccountReport:
        """Read the account until ``holds`` returns True, or the time is over; return the last
        reading.
        """
        report = await self.account()
        with trio.move_on_after(SETTLE_S):
            while not holds(report):
                await trio.sleep(LOOK_S)
                report = await self.account()
        return report

    async def aftermath(self, answer: Answer | None = None) -> None:
        """Wait for something that nobody expects to appear; longer if ``answer`` leaves open
        whether there is an order that may show late.
        """
        is_open = answer is not None and not isinstance(answer, Refused) and self.http.used
        await trio.sleep(
            max(AFTERMATH_S, min(self.adapter.traits.visible_within_s, 5.0))
            if is_open
            else AFTERMATH_S
        )

    async def flatten(self) -> None:
        """Cancel what rests and close what is open."""
        connection = await self.connection()
        with trio.move_on_after(SETTLE_S * 2):
            while True:
                report = await self.account()
                if not report.positions and not report.open_orders:
                    return
                for each in report.open_orders:
                    await connection.cancel_order(each.symbol, each.exchange_order_id)
                for position in report.positions:
                    await self.send(self.exit_of(position))
                await trio.sleep(LOOK_S)
        raise CaseFailed("positions or orders stayed open")

    # What a case asks of the adapter

    def needs(self, holds: bool, capability: str) -> None:
        """Skip the case if the adapter says that it cannot do this."""
        if not holds:
            raise CaseSkipped(f"the adapter's traits say: {capability}")

    def needs_http(self) -> None:
        """Skip a paper exchange that runs in this process; every other one must be reachable where
        faults can be put on its connection.
        """
        if self.http.used:
            return
        if self.adapter.environment(self.context) is Environment.PAPER:
            raise CaseSkipped(
                "the adapter does not use context.http, so no fault can be put on its line"
            )
        raise CaseFailed(
            "expected requests through context.http, found none: no fault can be put on this "
            "line, so nothing is proven"
        )

    def look_for_secrets(self, error: BaseException) -> None:
        """Record an error whose text, or the text of one behind it, shows a credential; E52 reports
        it.
        """
        for each in chain(error):
            self.leaks += [
                f"{name} in a {type(each).__name__}" for name in self.shown_in(f"{each} {each!r}")
            ]

    def shown_in(self, text: str, credentials: Mapping[str, Secret] | None = None) -> list[str]:
        """Return the names of the secret credentials (those of the account, or others) that a text
        shows.
        """
        hidden = {each.name for each in self.adapter.credential_fields if each.secret}
        return [
            name
            for name, secret in (credentials or self.under_test.credentials).items()
            if name in hidden
            and len(secret.reveal()) >= SECRET_CHARACTERS_MIN
            and secret.reveal() in text
        ]
