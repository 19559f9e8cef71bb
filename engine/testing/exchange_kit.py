"""The kit for exchange adapters: trades a few smallest orders on an account made for it, and breaks the line on purpose.

Give it a paper account, a simulator or a test account, never one with a position in it: it closes everything that it finds. ``read_only``
sends no order at all. Every case stands on its own and leaves the account flat.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Final, cast

import trio

from engine.actors.clock import SystemClock
from engine.decisions.order_lifecycle import Accepted, Answer, NoProof, NothingSent, Refused, classify
from engine.decisions.sizing import smallest_quantity
from engine.domain.account import AccountReport, Environment, Position
from engine.domain.amounts import Price, Quantity, Ratio, ceil_to_step, floor_to_step, notional
from engine.domain.identifiers import AccountId, CopyId, client_order_id
from engine.domain.instrument import Instrument
from engine.domain.order import OrderIntent, OrderReport, OrderSide, OrderStatus, ProtectionOrder
from engine.domain.signal import OrderType, PositionSide
from engine.ports.exchange import (
    AccountLogin,
    ExchangeAdapter,
    ExchangeConnection,
    ExchangeContext,
    ExchangeTraits,
    ProtectionConnection,
    Rejected,
    RejectionKind,
)
from engine.ports.market_data import Quote
from engine.ports.secret import Secret
from engine.testing.faulty_http import AFTER, BEFORE, READING, Clients, FaultyHttp
from engine.testing.report import CaseFailed, CaseResult, CaseSkipped, KitReport, Verdict, expect

SETTLE_S: Final = 15.0
CASE_S: Final = 60.0
LOOK_S: Final = 0.3
AFTERMATH_S: Final = 1.0
LONG: Final = PositionSide.LONG


@dataclass(frozen=True, slots=True)
class ExchangeUnderTest:
    """Hold what the kit needs: the adapter, an account's credentials, wrong ones, and the settings that the plugin was given.

    ``wrong_credentials`` are refused by the exchange; None where every key is an account (paper). ``data_dir`` is an empty folder.
    ``http``: where requests go, None for the network; ``RecordedAnswers`` answers them from a file (then ``read_only``).
    """

    adapter: ExchangeAdapter
    credentials: Mapping[str, Secret]
    settings: Mapping[str, object]
    data_dir: str
    wrong_credentials: Mapping[str, Secret] | None = None
    read_only: bool = False
    http: Clients | None = None


Check = Callable[["ExchangeKit"], Awaitable[None]]
_CASES: list[tuple[str, str, bool, Check]] = []


def _case(number: str, promise: str, *, trades: bool = True) -> Callable[[Check], Check]:
    def keep(check: Check) -> Check:
        _CASES.append((number, promise, trades, check))
        return check

    return keep


def exchange_cases() -> tuple[tuple[str, str], ...]:
    """Return (number, promise) of every case, for the guide."""
    return tuple((number, promise) for number, promise, _, _ in sorted(_CASES))


async def check_exchange_adapter(under_test: ExchangeUnderTest, only: str | None = None) -> KitReport:
    """Run every case, or the one with the number ``only``, against a real exchange, simulator or paper account."""
    kit = ExchangeKit(under_test)
    results = []
    try:
        for number, promise, trades, check in sorted(_CASES, key=lambda each: each[0]):
            if only in (None, number):
                results.append(await kit.run(number, promise, trades, check))
    finally:
        await kit.aclose()
    return KitReport("exchange", under_test.adapter.name, tuple(results), _capabilities(under_test.adapter.traits))


def _capabilities(traits: ExchangeTraits) -> dict[str, str]:
    shown = {}
    for each in fields(traits):
        value = getattr(traits, each.name)
        shown[each.name] = {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    return shown


class ExchangeKit:
    """Hold one run: an open connection, and what was learned about the market."""

    def __init__(self, under_test: ExchangeUnderTest) -> None:
        self.under_test = under_test
        self.adapter = under_test.adapter
        self.http = FaultyHttp(under_test.http)
        self.clock = SystemClock()
        self.context = ExchangeContext(under_test.settings, self.clock, self.http, under_test.data_dir)
        self._connection: ExchangeConnection | None = None
        self._market: Any = None
        self._numbers = count(1)
        self._mark = f"kit{self.clock.now().timestamp():.0f}"
        self._begun = self.clock.now()

    async def run(self, number: str, promise: str, trades: bool, check: Check) -> CaseResult:
        """Run one case and put everything back; whatever the adapter raises is a result."""
        if trades and self.under_test.read_only:
            return CaseResult(number, promise, Verdict.SKIPPED, "it places orders, and this run only reads")
        try:
            with trio.fail_after(CASE_S):
                await check(self)
            verdict, detail = Verdict.PASS, ""
        except CaseSkipped as skipped:
            verdict, detail = Verdict.SKIPPED, str(skipped)
        except CaseFailed as failed:
            verdict, detail = Verdict.FAIL, str(failed)
        except Exception as error:  # an adapter under test may raise anything; that is the finding
            verdict, detail = Verdict.FAIL, f"expected the case to end, found {type(error).__name__}: {error}"[:300]
        self.http.plan.write = self.http.plan.read = None
        self.http.plan.slow_reads = False
        if trades and verdict is not Verdict.SKIPPED:
            try:
                with trio.fail_after(CASE_S):
                    await self.flatten()
            except Exception as error:
                verdict = Verdict.FAIL
                detail = (detail + f" [afterwards the account could not be made flat: {type(error).__name__}: {error}]"[:200]).strip()
        return CaseResult(number, promise, verdict, detail)

    async def aclose(self) -> None:
        """Close everything."""
        for each in (self._connection, self._market):
            if each is not None:
                await each.aclose()
        await self.http.aclose()

    # What cases use

    async def connection(self) -> ExchangeConnection:
        """Return the account's connection."""
        if self._connection is None:
            limits = self.adapter.traits.order_limit, self.adapter.traits.read_limit
            # A little below what both limits allow together: the exchange counts by its own clock.
            self.http.plan.spacing_s = 1.25 / sum(each.count / each.period_s for each in limits)
            login = AccountLogin(AccountId("kit"), self.under_test.credentials)
            self._connection = await self.adapter.connect(login, self.context)
        return self._connection

    async def market(self) -> Any:
        """Return the market data; some exchanges read it only once an account is connected."""
        await self.connection()
        if self._market is None:
            self._market = await self.adapter.market_data(self.context)
        return self._market

    async def contract(self) -> tuple[Instrument, Quote]:
        """Return a contract whose smallest order is cheap, and its price."""
        market = await self.market()
        instruments = sorted(await market.instruments(), key=lambda each: each.symbol)
        quotes = {each.symbol: each for each in await market.quotes(frozenset(each.symbol for each in instruments[:50]))}
        priced = [each for each in instruments if each.symbol in quotes]
        expect(bool(priced), "expected a price of at least one contract, found none")

        def worth(each: Instrument) -> Decimal:
            price = quotes[each.symbol].last
            return notional(price, smallest_quantity(each, price))

        chosen = min(priced, key=worth)
        return chosen, quotes[chosen.symbol]

    async def intent(self, side: PositionSide = LONG, times: int = 4, **changes: Any) -> OrderIntent:
        """Make an entry of some times the smallest size."""
        instrument, quote = await self.contract()
        quantity = Quantity(smallest_quantity(instrument, quote.last) * times)
        leverage = Ratio(min(max(Decimal(2), instrument.leverage_min), instrument.leverage_max))
        base = OrderIntent(
            client_order_id(CopyId(f"{self._mark}-{next(self._numbers)}"), 1), instrument.symbol, OrderSide.opening(side), side, quantity,
            OrderType.MARKET, leverage,
        )  # fmt: skip
        return replace(base, **changes)

    def exit_of(self, position: Position, quantity: Decimal | None = None) -> OrderIntent:
        """Make an exit of a position, whole or a part."""
        whole = quantity is None or quantity == position.quantity
        return OrderIntent(
            client_order_id(CopyId(f"{self._mark}-{next(self._numbers)}"), 1), position.symbol, OrderSide.closing(position.side),
            position.side, Quantity(position.quantity if quantity is None else quantity), OrderType.MARKET,
            Ratio(position.leverage if position.leverage > 0 else Decimal(1)), reduce_only=True, whole_position=whole,
        )  # fmt: skip

    async def send(self, order: OrderIntent, fault: str | None = None) -> Answer:
        """Prepare, send once, and judge the answer as the engine does."""
        connection = await self.connection()
        if not order.reduce_only:
            await connection.prepare_entry(order)
        self.http.plan.writes = 0
        self.http.plan.write = fault
        result: OrderReport | BaseException
        try:
            with trio.fail_after(8):
                result = await connection.place_order(order)
        except Exception as error:
            result = error
        written = None if not self.http.used else fault != "connect_refused"
        return classify(order, result, written)

    async def entered(self, order: OrderIntent) -> tuple[OrderReport, Position]:
        """Send an entry and wait until its position is there."""
        answer = await self.send(order)
        if not isinstance(answer, Accepted):
            raise CaseFailed(f"expected the entry to be accepted, found {answer}")
        return answer.report, await self.held(order)

    async def held(self, order: OrderIntent) -> Position:
        """Wait until the position of an entry is read back."""
        with trio.move_on_after(SETTLE_S):
            while True:
                for each in (await self.account()).positions:
                    if each.symbol == order.symbol and each.quantity > 0:
                        return each
                await trio.sleep(LOOK_S)
        raise CaseFailed(f"expected a {order.position_side.value} position in {order.symbol} within {SETTLE_S:g} s, found none")

    async def account(self) -> AccountReport:
        """Read the account."""
        return await (await self.connection()).fetch_account()

    async def found(self, order: OrderIntent, since: datetime | None = None) -> OrderReport:
        """Wait until an order is read back in its last state."""
        connection, report = await self.connection(), None
        with trio.move_on_after(SETTLE_S):
            while True:
                history = await connection.find_orders(order.symbol, since or self._begun - timedelta(seconds=60))
                report = next((each for each in history.orders if _is_it(each, order, self.adapter.traits)), None)
                if report is not None and report.status.is_terminal:
                    return report
                await trio.sleep(LOOK_S)
        raise CaseFailed(f"expected the order to be read back and done within {SETTLE_S:g} s, found {report}")

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

    def needs(self, holds: bool, capability: str) -> None:
        """Skip the case where the adapter says that it cannot do this."""
        if not holds:
            raise CaseSkipped(f"the adapter's traits say: {capability}")

    def needs_http(self) -> None:
        """Skip the case for an adapter that speaks to its exchange by other means than ``context.http``."""
        if not self.http.used:
            raise CaseSkipped("the adapter does not use context.http, so no fault can be put on its line")


def _is_it(report: OrderReport, order: OrderIntent, traits: ExchangeTraits) -> bool:
    shows = traits.reads_client_order_id and (traits.exits_carry_client_order_id or not order.reduce_only)
    if shows:
        return report.client_order_id == order.client_order_id
    return report.side is order.side and report.quantity == order.quantity


# ---- E0x: what it says about itself and the market ----


@_case("E01", "names, traits and credential fields are well formed, without connecting anywhere", trades=False)
async def _says_what_it_is(kit: ExchangeKit) -> None:
    adapter = kit.adapter
    expect(
        adapter.name == adapter.name.lower() and adapter.name.isidentifier(), f"expected a short lower-case name, found {adapter.name!r}"
    )
    expect(bool(adapter.title.strip()), "expected a title that people read, found nothing")
    expect(isinstance(adapter.traits, ExchangeTraits), f"expected ExchangeTraits, found {type(adapter.traits).__name__}")
    names = [each.name for each in adapter.credential_fields]
    expect(len(names) == len(set(names)), f"expected credential fields of different names, found {names}")
    for each in adapter.credential_fields:
        expect(bool(each.label and each.help), f"expected label and help of credential field {each.name}, found an empty one")
    expect(any(each.secret for each in adapter.credential_fields), "expected at least one secret credential field, found none")
    expect(adapter.traits.visible_within_s >= 0, f"expected visible_within_s of 0 or more, found {adapter.traits.visible_within_s}")


@_case("E02", "the environment is told from the settings alone", trades=False)
async def _environment(kit: ExchangeKit) -> None:
    found = kit.adapter.environment(kit.context)
    expect(isinstance(found, Environment), f"expected an Environment, found {found!r}")


@_case("E03", "a key that the exchange refuses is Rejected of kind CREDENTIALS", trades=False)
async def _wrong_key(kit: ExchangeKit) -> None:
    wrong = kit.under_test.wrong_credentials
    if wrong is None:
        raise CaseSkipped("every key is an account here")
    try:
        connection = await kit.adapter.connect(AccountLogin(AccountId("kit-wrong"), wrong), kit.context)
        try:
            await connection.fetch_account()
        finally:
            await connection.aclose()
    except Rejected as error:
        expect(error.kind is RejectionKind.CREDENTIALS, f"expected kind CREDENTIALS, found {error.kind}")
        shown = [each.reveal() for each in wrong.values() if each.reveal() in str(error)]
        expect(not shown, "expected an error text without the key, found the key in it")
        return
    raise CaseFailed("expected Rejected of kind CREDENTIALS, found that a wrong key connects and reads")


@_case("E04", "contracts are valid, each once, in Decimal", trades=False)
async def _contracts(kit: ExchangeKit) -> None:
    instruments = list(await (await kit.market()).instruments())
    expect(bool(instruments), "expected at least one contract, found none")
    symbols = [each.symbol for each in instruments]
    expect(len(symbols) == len(set(symbols)), "expected each contract once, found doubles")
    for each in instruments:
        expect_no_float(each, f"contract {each.symbol}")


@_case("E05", "prices are positive, fresh and carry a UTC time", trades=False)
async def _prices(kit: ExchangeKit) -> None:
    _, quote = await kit.contract()
    expect(quote.last > 0 and quote.mark > 0, f"expected positive prices, found {quote}")
    expect(quote.at.utcoffset() == timedelta(0), f"expected a time in UTC, found {quote.at!r}")
    age = kit.clock.now() - quote.at
    expect(timedelta(seconds=-5) < age < timedelta(seconds=15), f"expected a price not older than 15 s, found {age}")
    expect_no_float(quote, "a price")


@_case("E06", "an account is read whole: money, positions and open orders, in Decimal, at a UTC time", trades=False)
async def _account(kit: ExchangeKit) -> None:
    report = await kit.account()
    expect(report.as_of.utcoffset() == timedelta(0), f"expected a time in UTC, found {report.as_of!r}")
    expect(report.balance.total >= report.balance.available >= 0, f"expected total >= available >= 0, found {report.balance}")
    expect_no_float(report, "the account")


def expect_no_float(value: object, where: str) -> None:
    """Fail for a float anywhere inside: a price that went through one is not the price."""
    if isinstance(value, float):
        raise CaseFailed(f"expected Decimal everywhere in {where}, found the float {value!r}")
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            expect_no_float(getattr(value, each.name), f"{where}.{each.name}")
    elif isinstance(value, list | tuple):
        for member in value:
            expect_no_float(member, where)


# ---- E1x: entries ----


@_case("E10", "an entry is one writing request, and what comes back describes it")
async def _entry_is_one_order(kit: ExchangeKit) -> None:
    order = await kit.intent()
    report, _ = await kit.entered(order)
    if kit.http.used:
        expect(kit.http.plan.writes == 1, f"expected one writing request in place_order, found {kit.http.plan.writes}")
    expect(report.quantity == order.quantity, f"expected the quantity {order.quantity} of the order, found {report.quantity}")
    expect(bool(report.exchange_order_id), "expected the exchange's order id, found nothing")
    expect_no_float(report, "the report")


@_case("E11", "an order is read back with its fill, under the id and the client order id that the traits promise")
async def _read_back(kit: ExchangeKit) -> None:
    order = await kit.intent()
    report, _ = await kit.entered(order)
    found = await kit.found(order)
    expect(found.exchange_order_id == report.exchange_order_id, f"expected id {report.exchange_order_id}, found {found.exchange_order_id}")
    expect(found.status is OrderStatus.FILLED, f"expected a market order to be filled, found {found.status}")
    expect(found.filled_quantity == order.quantity, f"expected {order.quantity} filled, found {found.filled_quantity}")
    expect(found.average_price is not None and found.average_price > 0, f"expected the average price, found {found.average_price}")
    expect(found.side is order.side and not found.reduce_only, f"expected side {order.side}, not reduce-only, found {found}")
    expect_no_float(found, "the order read back")


@_case("E12", "a long and a short entry open that side, with that quantity and that leverage")
async def _position_is_right(kit: ExchangeKit) -> None:
    for side in (LONG, PositionSide.SHORT):
        order = await kit.intent(side)
        _, position = await kit.entered(order)
        expect(position.side is side, f"expected a {side.value} position, found {position.side.value}")
        expect(position.quantity == order.quantity, f"expected {order.quantity}, found {position.quantity}")
        expect(position.leverage == order.leverage, f"expected leverage {order.leverage}, found {position.leverage}")
        expect(position.entry_price > 0 and position.mark_price > 0, f"expected entry and mark price, found {position}")
        await kit.flatten()


@_case("E13", "the same client order id sent again never makes a second order")
async def _never_twice(kit: ExchangeKit) -> None:
    kit.needs(kit.adapter.traits.refuses_repeated_ids, "the exchange takes a client order id twice")
    order = await kit.intent()
    _, position = await kit.entered(order)
    again = await kit.send(order)
    expect(not isinstance(again, NothingSent), "expected no proof that nothing was executed, for the first one was; found NothingSent")
    await trio.sleep(kit.adapter.traits.visible_within_s + LOOK_S)
    now = next((each for each in (await kit.account()).positions if each.symbol == order.symbol), None)
    expect(now is not None and now.quantity == position.quantity, f"expected the position to stay {position.quantity}, found {now}")


@_case("E14", "past orders come newest first and not from before the asked time, and completeness is not claimed wrongly")
async def _history(kit: ExchangeKit) -> None:
    first = await kit.intent()
    await kit.entered(first)
    await kit.found(first)
    await kit.flatten()
    connection = await kit.connection()
    history = await connection.find_orders(first.symbol, kit._begun - timedelta(seconds=60))
    times = [each.created_at for each in history.orders]
    expect(times == sorted(times, reverse=True), "expected newest first, found another order")
    expect(all(each.symbol == first.symbol for each in history.orders), f"expected only {first.symbol}, found others")
    expect(history.complete, "expected a reading of the last minutes to be complete, found incomplete")
    later = await connection.find_orders(first.symbol, kit.clock.now() + timedelta(hours=1))
    expect(not later.orders, f"expected nothing from the future, found {len(later.orders)} orders")


@_case("E15", "stop and target go with the entry and are shown with the position")
async def _protected_entry(kit: ExchangeKit) -> None:
    kit.needs(kit.adapter.traits.protects_with_entry, "stop and target do not go with an entry")
    stop, target = await _levels(kit)
    order = await kit.intent(stop_loss=stop, take_profit=target)
    await kit.entered(order)
    await _shows(kit, order, stop, target)


@_case("E16", "a position's stop and target are set, moved and removed; setting them twice does no harm")
async def _protection(kit: ExchangeKit) -> None:
    kit.needs(kit.adapter.traits.sets_protection, "stop and target of a position cannot be set")
    stop, target = await _levels(kit)
    instrument, _ = await kit.contract()
    order = await kit.intent()
    await kit.entered(order)
    connection = cast(ProtectionConnection, await kit.connection())
    lower = Price(stop - instrument.price_step)
    for levels in ((stop, None), (stop, target), (stop, target), (lower, target), (None, target), (None, None)):
        await connection.set_protection(ProtectionOrder(order.symbol, LONG, *levels))
        await _shows(kit, order, *levels)


@_case("E17", "protection of no position is Rejected of kind POSITION_NOT_OPEN")
async def _protection_of_nothing(kit: ExchangeKit) -> None:
    kit.needs(kit.adapter.traits.sets_protection, "stop and target of a position cannot be set")
    stop, _ = await _levels(kit)
    instrument, _quote = await kit.contract()
    connection = cast(ProtectionConnection, await kit.connection())
    try:
        await connection.set_protection(ProtectionOrder(instrument.symbol, LONG, stop))
    except Rejected as error:
        expect(error.kind is RejectionKind.POSITION_NOT_OPEN, f"expected kind POSITION_NOT_OPEN, found {error.kind}")
        return
    raise CaseFailed("expected Rejected, found that nothing was protected without a word")


async def _levels(kit: ExchangeKit) -> tuple[Price, Price]:
    instrument, quote = await kit.contract()
    step = instrument.price_step
    return Price(floor_to_step(quote.last * Decimal("0.8"), step)), Price(ceil_to_step(quote.last * Decimal("1.2"), step))


async def _shows(kit: ExchangeKit, order: OrderIntent, stop: Price | None, target: Price | None) -> None:
    found: tuple[Price | None, Price | None] = (None, None)
    with trio.move_on_after(SETTLE_S):
        while True:
            position = next((each for each in (await kit.account()).positions if each.symbol == order.symbol), None)
            if position is not None:
                found = (position.stop_loss, position.take_profit)
                if found == (stop, target):
                    return
            await trio.sleep(LOOK_S)
    raise CaseFailed(f"expected stop {stop} and target {target} at the position, found {found}")


@_case("E18", "a limit entry rests, is shown among open orders, and can be cancelled; cancelling again is no error")
async def _resting(kit: ExchangeKit) -> None:
    instrument, quote = await kit.contract()
    limit = Price(floor_to_step(quote.last * Decimal("0.8"), instrument.price_step))
    quantity = Quantity(smallest_quantity(instrument, limit) * 4)
    order = await kit.intent(order_type=OrderType.LIMIT, limit_price=limit, quantity=quantity)
    answer = await kit.send(order)
    if not isinstance(answer, Accepted):
        raise CaseFailed(f"expected the limit order to be accepted, found {answer}")
    shown: list[OrderReport] = []
    with trio.move_on_after(SETTLE_S):
        while True:
            shown = [each for each in (await kit.account()).open_orders if each.symbol == order.symbol]
            if shown:
                break
            await trio.sleep(LOOK_S)
    expect(len(shown) == 1, f"expected one resting order, found {len(shown)}")
    connection = await kit.connection()
    await connection.cancel_order(order.symbol, shown[0].exchange_order_id)
    found = await kit.found(order)
    expect(found.status is OrderStatus.CANCELLED and found.filled_quantity == 0, f"expected it cancelled without a fill, found {found}")
    await connection.cancel_order(order.symbol, shown[0].exchange_order_id)


# ---- E2x: exits and refusals ----


@_case("E20", "a part of a position is closed exactly, and no more")
async def _part(kit: ExchangeKit) -> None:
    order = await kit.intent(times=8)
    _, position = await kit.entered(order)
    part = Quantity(order.quantity / 2)
    answer = await kit.send(kit.exit_of(position, part))
    expect(isinstance(answer, Accepted), f"expected the exit to be accepted, found {answer}")
    left = None
    with trio.move_on_after(SETTLE_S):
        while True:
            left = next((each.quantity for each in (await kit.account()).positions if each.symbol == order.symbol), Decimal(0))
            if left != order.quantity:
                break
            await trio.sleep(LOOK_S)
    expect(left == order.quantity - part, f"expected {order.quantity - part} left, found {left}")


@_case("E21", "the whole of a position is closed by one writing request, and the account is flat")
async def _whole(kit: ExchangeKit) -> None:
    order = await kit.intent()
    _, position = await kit.entered(order)
    leaving = kit.exit_of(position)
    answer = await kit.send(leaving)
    if kit.http.used:
        expect(kit.http.plan.writes == 1, f"expected one writing request for an exit, found {kit.http.plan.writes}")
    if not isinstance(answer, Accepted):
        raise CaseFailed(f"expected the exit to be accepted, found {answer}")
    expect(answer.report.side is leaving.side, f"expected side {leaving.side}, found {answer.report.side}")
    left: tuple[Position, ...] = (position,)
    with trio.move_on_after(SETTLE_S):
        while True:
            left = (await kit.account()).positions
            if not left:
                return
            await trio.sleep(LOOK_S)
    raise CaseFailed(f"expected no position, found {left}")


@_case("E22", "an exit without a position is Rejected of kind POSITION_NOT_OPEN")
async def _nothing_to_close(kit: ExchangeKit) -> None:
    order = await kit.intent()
    answer = await kit.send(replace(order, side=OrderSide.closing(LONG), reduce_only=True, whole_position=True))
    kind = answer.kind if isinstance(answer, Refused) else answer
    expect(kind is RejectionKind.POSITION_NOT_OPEN, f"expected a refusal of kind POSITION_NOT_OPEN, found {kind}")


@_case("E23", "an order below the minimum is Rejected")
async def _too_small(kit: ExchangeKit) -> None:
    instrument, quote = await kit.contract()
    least = smallest_quantity(instrument, quote.last)
    small = Quantity(instrument.quantity_step)
    if small >= least:
        raise CaseSkipped("one step is the minimum of every contract here")
    order = await kit.intent(quantity=small)
    answer = await _refused_somewhere(kit, order)
    expect(isinstance(answer, Refused), f"expected a refusal, found {answer}")


@_case("E24", "an order that the balance does not cover is Rejected of kind BALANCE")
async def _too_large(kit: ExchangeKit) -> None:
    instrument, quote = await kit.contract()
    report = await kit.account()
    wanted = floor_to_step(report.balance.available * 20 / quote.last + instrument.quantity_min, instrument.quantity_step)
    order = await kit.intent(quantity=Quantity(wanted), leverage=Ratio(max(Decimal(1), instrument.leverage_min)))
    if wanted > instrument.quantity_max:
        raise CaseSkipped("the balance of this account covers the largest order")
    answer = await _refused_somewhere(kit, order)
    kind = answer.kind if isinstance(answer, Refused) else answer
    expect(kind is RejectionKind.BALANCE, f"expected a refusal of kind BALANCE, found {kind}")


async def _refused_somewhere(kit: ExchangeKit, order: OrderIntent) -> Answer:
    try:
        return await kit.send(order)
    except Rejected as error:
        return Refused(error.kind, error.text)


# ---- E3x: a line that breaks ----


def _breaks(number: str, fault: str, promise: str, wanted: type[object], *, exits: bool = False) -> None:
    @_case(number, promise)
    async def check(kit: ExchangeKit) -> None:
        await kit.connection()
        kit.needs_http()
        order = await kit.intent()
        if exits:
            _, position = await kit.entered(order)
            order = kit.exit_of(position)
        answer = await kit.send(order, fault)
        if exits and isinstance(answer, Accepted):  # the adapter may have found its order by reading: that is proof, if it is true
            expect(answer.report.filled_quantity == order.quantity, f"expected proof of the whole exit, found {answer.report}")
        else:
            expect(isinstance(answer, wanted), f"expected {wanted.__name__} after {fault}, found {answer}")
        expect(kit.http.plan.writes <= 1, f"expected no second writing request, found {kit.http.plan.writes}")
        await trio.sleep(AFTERMATH_S)  # what was executed after all is to show before the account is made flat


for _index, _fault in enumerate(BEFORE):
    _breaks(f"E3{_index}", _fault, f"{_fault.replace('_', ' ')}: proof that nothing was executed", NothingSent)
for _index, _fault in enumerate(AFTER, start=len(BEFORE)):
    _breaks(
        f"E3{_index}" if _index < 10 else f"E4{_index - 10}",
        _fault,
        f"entry, {_fault.replace('_', ' ')}: no proof, never sent again",
        NoProof,
    )
for _index, _fault in enumerate(("answer_dropped", "bad_gateway", "cut_off_json"), start=2):
    _breaks(
        f"E4{_index}", _fault, f"exit, {_fault.replace('_', ' ')}: no proof, or proof by reading; never sent again", NoProof, exits=True
    )


@_case("E50", "a reading that fails raises, and never returns an empty account or an empty history", trades=False)
async def _reading_fails(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    kit.needs_http()
    instrument, _ = await kit.contract()
    for fault in READING:
        for what, call in (
            ("fetch_account", connection.fetch_account),
            ("find_orders", lambda: connection.find_orders(instrument.symbol, kit._begun)),
        ):
            kit.http.plan.read = fault
            found: object = None
            try:
                found = await call()
            except Exception as error:  # which one does not matter: the engine keeps what it knew
                found = error
            finally:
                kit.http.plan.read = None
            expect(isinstance(found, Exception), f"expected {what} to raise after {fault}, found {found}")


@_case("E51", "a reading that is cancelled leaves the connection usable", trades=False)
async def _cancelled(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    kit.needs_http()
    kit.http.plan.slow_reads = True
    with trio.move_on_after(0.3):
        await connection.fetch_account()
    kit.http.plan.slow_reads = False
    await connection.fetch_account()


@_case("E52", "no credential shows in the connection's or the adapter's text", trades=False)
async def _secrets(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    shown = repr(connection) + str(connection) + repr(kit.adapter) + repr(vars(kit.adapter))
    for name, secret in kit.under_test.credentials.items():
        expect(len(secret.reveal()) < 3 or secret.reveal() not in shown, f"expected no credential in any text, found {name}")
