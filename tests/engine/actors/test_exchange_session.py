"""The only caller of adapters: deadlines, permits, the last line before the first byte, and missing
features of an exchange.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from engine.actors.clock import TrioClock
from engine.actors.exchange_session import ExchangeSession
from engine.decisions import order_lifecycle
from engine.decisions.circuit import FAILURES_MIN, Circuit
from engine.decisions.learned_rate import LearnedRate
from engine.decisions.order_lifecycle import Accepted, NoProof, NothingSent
from engine.domain.account import AccountReport, Balance, ClosedPositions
from engine.domain.amounts import Money, Quantity, Ratio
from engine.domain.identifiers import AccountId, ClientOrderId, Symbol
from engine.domain.network import LOOPBACK
from engine.domain.order import OrderIntent, OrderReport, OrderSide, OrderStatus, ProtectionOrder
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import OrderType, PositionSide
from engine.ports.clock import Clock
from engine.ports.exchange import (
    AccountLogin,
    ExchangeContext,
    ExchangeTraits,
    FeeHistory,
    FundsElsewhere,
    NotExecuted,
    OrderHistory,
    Rejected,
    TooManyRequests,
)
from engine.ports.rate_limiter import Granted, Priority, RateLimit, Refused
from engine.transport import HttpClientFactory

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BTC = Symbol("BTCUSDT")
TRAITS = ExchangeTraits(True, True, RateLimit(5, 1.0, 5), RateLimit(5, 1.0, 5))
MONEY = Money(Decimal(1))


def order() -> OrderIntent:
    return OrderIntent(
        ClientOrderId("rxabc"),
        BTC,
        OrderSide.BUY,
        PositionSide.LONG,
        Quantity(Decimal(1)),
        OrderType.MARKET,
        Ratio(Decimal(5)),
    )


def filled() -> OrderReport:
    return OrderReport(
        "x1",
        ClientOrderId("rxabc"),
        BTC,
        OrderSide.BUY,
        Quantity(Decimal(1)),
        OrderStatus.FILLED,
        Quantity(Decimal(1)),
        None,
        MONEY,
        NOW,
    )


class Line:
    """A connection, over HTTP if there is a client."""

    def __init__(self, http: httpx.AsyncClient | None) -> None:
        self._http = http
        self.placed = 0
        self.hangs = False
        self.pauses = False
        self.gives_up: Exception | None = None
        self.refuses: BaseException | None = None
        self.is_down = False
        self.reads_client_order_id = False
        self.asked_since: list[datetime] = []

    async def place_order(self, intent: OrderIntent) -> OrderReport:
        self.placed += 1
        if self.hangs:
            await trio.sleep_forever()
        if self.refuses is not None:
            raise self.refuses
        if self.pauses:
            await trio.lowlevel.checkpoint()
        if self.gives_up is not None and self._http is not None:
            with trio.move_on_after(0.5):  # a deadline of its own
                await self._http.post("/order", json={})
            raise self.gives_up
        if self._http is not None:
            (await self._http.post("/order", json={})).raise_for_status()
        return filled()

    async def fetch_account(self) -> AccountReport:
        if self.refuses is not None:
            raise self.refuses
        return AccountReport(Balance(MONEY, MONEY), (), (), NOW)

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        self._ask(since)
        if self._http is not None:
            await self._http.get("/orders")
        return OrderHistory((filled(),), complete=True)

    async def fees(self, since: datetime) -> FeeHistory:
        self._ask(since)
        return FeeHistory((), complete=True)

    async def closed_positions(
        self, since: datetime, position_ids: Collection[str] = ()
    ) -> ClosedPositions:
        self._ask(since)
        return ClosedPositions((), complete=True)

    def _ask(self, since: datetime) -> None:
        if self.is_down:
            raise TimeoutError("no answer")
        self.asked_since.append(since)

    async def funds_elsewhere(self) -> Sequence[FundsElsewhere]:
        return [FundsElsewhere("the spot wallet", MONEY, "USDT")]

    async def aclose(self) -> None:
        pass


class Exchange:
    """An exchange whose connections are at ``url``, or reach nothing."""

    name, title, credential_fields = "ex", "Ex", ()

    def __init__(self, traits: ExchangeTraits, url: str = "") -> None:
        self.traits = traits
        self._url = url
        self.line: Line | None = None

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> Line:
        self.line = Line(context.http(self._url) if self._url else None)
        return self.line

    def unmapped_errors(self) -> dict[str, int]:
        return {"strange": 2}


class Limiter:
    """A limiter that grants everything at once, or what ``answers`` say first; an exception is
    raised.
    """

    name = "limiter"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int, Priority]] = []

    def reserve(
        self, pool: str, limit: RateLimit, cost: int, priority: Priority, now: datetime
    ) -> Granted | Refused:
        self.asked.append((pool, cost, priority))
        answer = self.answers.pop(0) if self.answers else Granted(now)
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[no-any-return] # also what a plugin must not answer


class FrozenClock:
    """A clock that always shows the same time."""

    def now(self) -> datetime:
        return NOW


def session_of(
    exchange: Exchange,
    limiter: Limiter | None = None,
    circuit: Circuit | None = None,
    clock: Clock | None = None,
    held: str = "",
    rate: LearnedRate | None = None,
) -> ExchangeSession:
    context = ExchangeContext({}, clock or TrioClock(NOW), HttpClientFactory(reach=LOOPBACK), "")
    login = AccountLogin(AccountId("a0"))
    return ExchangeSession(
        exchange,
        login,
        context,
        limiter or Limiter(),
        2.0,
        circuit=circuit,
        rate=rate,
        why_held=lambda: held,
    )  # type: ignore[arg-type]


@asynccontextmanager
async def server(date: str = "", *, answers: bool = True) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answer each connection's request with an empty object and that date; ``received`` are the
    bytes of each.
    """
    told = f"Date: {date}\r\n" if date else ""
    received: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            async for chunk in stream:
                received.append(bytes(chunk))
                if not answers:
                    continue
                await stream.send_all(
                    f"HTTP/1.1 200 OK\r\n{told}Content-Length: 2\r\n\r\n{{}}".encode()
                )

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", received
        nursery.cancel_scope.cancel()


async def test_the_last_line_is_asked_again_before_the_first_byte_if_the_adapter_paused() -> None:
    async with server() as (url, received):
        exchange = Exchange(TRAITS, url)
        session = session_of(exchange)
        await session.open()
        assert exchange.line is not None
        exchange.line.pauses = True
        await session.warm()
        written: list[bool] = []
        switched_off = Outcome(OutcomeCode.SKIPPED_ENTRIES_OFF, {"scope": "everything"})
        answers: list[Outcome | NothingSent | None] = [None, switched_off]
        assert (
            await session.place(order(), lambda: answers.pop(0), lambda: written.append(True))
            is switched_off
        )
        changed: list[Outcome | NothingSent | None] = [None, NothingSent("it changed")]
        assert await session.place(
            order(), lambda: changed.pop(0), lambda: written.append(True)
        ) == NothingSent("it changed")
        assert received == []
        assert isinstance(
            await session.place(order(), lambda: None, lambda: written.append(True)), Accepted
        )
        assert len(written) == 3  # once for each order, sent or not
        assert b"POST /order" in b"".join(received)
        await session.aclose()


async def test_the_last_line_is_asked_once_if_nothing_ran_since() -> None:
    async with server() as (url, received):
        session = session_of(Exchange(TRAITS, url))
        await session.open()
        await session.warm()
        answers: list[None] = [None]
        assert isinstance(
            await session.place(order(), lambda: answers.pop(0), lambda: None), Accepted
        )
        assert b"POST /order" in b"".join(received)
        await session.aclose()


async def test_where_nothing_may_leave_no_call_that_changes_something_reaches_the_exchange() -> (
    None
):
    said: list[str | Exception] = []

    def guard() -> str:
        found = said.pop() if said else "it is frozen"
        if isinstance(found, Exception):
            raise found
        return found

    exchange = Exchange(TRAITS)
    context = ExchangeContext({}, TrioClock(NOW), HttpClientFactory(reach=LOOPBACK), "")
    session = ExchangeSession(
        exchange, AccountLogin(AccountId("a0")), context, Limiter(), 2.0, why_held=guard
    )  # type: ignore[arg-type]
    await session.open()
    written: list[bool] = []
    answer = await session.place(order(), lambda: None, lambda: written.append(True))
    assert (answer, written) == (NothingSent("it is frozen", 5.0), [True])
    for act in (
        lambda: session.cancel_order(BTC, "x1"),
        lambda: session.set_protection(ProtectionOrder(BTC, PositionSide.LONG)),
        lambda: session.prepare_entry(order()),
    ):
        with pytest.raises(NotExecuted, match="it is frozen"):
            await act()
        said = [OSError("the disk is gone")]  # what cannot be asked lets nothing out
        with pytest.raises(NotExecuted, match=r"may be sent \(OSError\)"):
            await act()
    assert exchange.line is not None
    assert exchange.line.placed == 0


async def test_a_place_that_stands_still_from_this_moment_sends_not_even_what_is_about_to_be_written() -> (
    None
):
    said = ["it is frozen", ""]
    async with server() as (url, received):
        context = ExchangeContext({}, TrioClock(NOW), HttpClientFactory(reach=LOOPBACK), "")
        login = AccountLogin(AccountId("a0"))
        exchange = Exchange(TRAITS, url)
        session = ExchangeSession(exchange, login, context, Limiter(), 2.0, why_held=said.pop)  # type: ignore[arg-type]
        await session.open()
        assert exchange.line is not None
        exchange.line.pauses = True
        assert await session.place(order(), lambda: None, lambda: None) == NothingSent(
            "it is frozen", 5.0
        )
        assert received == []
        await session.aclose()


async def test_where_the_exchange_has_a_history_of_fees_an_order_tells_none() -> None:
    """Both would be counted: the wallet's fees twice."""
    both, alone = (
        session_of(Exchange(replace(TRAITS, reports_fees=each))) for each in (True, False)
    )
    told = []
    for session in (both, alone):
        await session.open()
        answer = await session.place(order(), lambda: None, lambda: None)
        assert isinstance(answer, Accepted)
        (row,) = (await session.find_orders(BTC, NOW)).orders
        told += [answer.report.fee, row.fee]
    assert told == [None, None, MONEY, MONEY]


async def test_what_the_last_line_stops_at_first_never_reaches_the_adapter() -> None:
    exchange = Exchange(TRAITS)
    session = session_of(exchange)
    await session.open()
    stopped = Outcome(OutcomeCode.KILLED, {"cause": "x"})
    assert await session.place(order(), lambda: stopped, lambda: None) is stopped
    assert exchange.line is not None
    assert exchange.line.placed == 0


async def test_without_a_connection_an_order_is_proven_not_sent_and_a_wallet_is_not_read() -> None:
    session = session_of(Exchange(TRAITS))
    with pytest.raises(NotExecuted, match="not connected yet"):
        await session.fetch_account()
    assert await session.place(order(), lambda: None, lambda: None) == NothingSent(
        "the account is not connected yet"
    )
    await session.aclose()


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize(
    "gives_up", [NotExecuted("no answer in time"), Rejected("no answer in time")]
)
async def test_a_refusal_that_rests_on_no_whole_answer_proves_nothing(
    gives_up: Exception, answers: bool
) -> None:
    async with server(answers=answers) as (url, received):
        exchange = Exchange(TRAITS, url)
        session = session_of(exchange)
        await session.open()
        assert exchange.line is not None
        exchange.line.gives_up = gives_up
        answer = await session.place(order(), lambda: None, lambda: None)
        assert b"POST /order" in b"".join(received)
        if answers:
            assert isinstance(answer, NothingSent | order_lifecycle.Refused)
        else:
            assert answer == NoProof("the order was sent, and no whole answer to it was read")
        await session.aclose()


async def test_a_connection_that_cannot_be_had_is_proof_that_nothing_left() -> None:
    async with server() as (url, _):
        pass
    session = session_of(Exchange(TRAITS, url))  # nobody listens there any more
    await session.open()
    with pytest.raises(NotExecuted, match="no connection to the exchange"):
        await session.warm()
    answer = await session.place(order(), lambda: None, lambda: None)
    assert isinstance(answer, NothingSent)
    await session.aclose()
    offline = session_of(Exchange(TRAITS))
    await offline.warm()  # an adapter without HTTP has nothing to warm


async def test_an_adapter_that_never_answers_ends_at_the_deadline_without_proof(
    autojump_clock: MockClock,
) -> None:
    exchange = Exchange(TRAITS)
    session = session_of(exchange)
    await session.open()
    assert exchange.line is not None
    exchange.line.hangs = True
    began = trio.current_time()
    assert isinstance(await session.place(order(), lambda: None, lambda: None), NoProof)
    assert trio.current_time() - began == pytest.approx(2.0)


async def test_traits_decide_what_is_asked_of_an_exchange() -> None:
    plain = session_of(Exchange(TRAITS))
    await plain.open()
    assert plain.reads_client_order_id(order())
    assert await plain.funds_elsewhere() == ()
    assert plain.unmapped_errors() == {}
    assert not plain.can_protect
    rich = session_of(
        Exchange(
            replace(
                TRAITS,
                client_order_id_per_account=True,
                reports_funds=True,
                counts_unmapped_errors=True,
            )
        )
    )
    await rich.open()
    assert not rich.reads_client_order_id(order())
    assert [each.where for each in await rich.funds_elsewhere()] == ["the spot wallet"]
    assert rich.unmapped_errors() == {"strange": 2}


async def test_the_limiter_counts_what_each_kind_of_call_takes_and_is_waited_for(
    autojump_clock: MockClock,
) -> None:
    later = NOW + timedelta(seconds=trio.current_time())
    limiter = Limiter(Refused(later + timedelta(seconds=3)), Granted(later + timedelta(seconds=4)))
    session = session_of(Exchange(replace(TRAITS, exit_requests=3, account_requests=4)), limiter)
    await session.open()
    began = trio.current_time()
    await session.permit_exit()
    assert trio.current_time() - began == pytest.approx(4.0)
    await session.fetch_account()
    assert [each[:2] for each in limiter.asked] == [
        ("ex:orders:a0", 3),
        ("ex:orders:a0", 3),
        ("ex:reads:a0", 4),
    ]


@pytest.mark.parametrize("call", ["order", "reading"])
async def test_an_exchange_that_refuses_too_many_requests_is_asked_at_half_the_rate(
    call: str,
) -> None:
    """By every account at it, and until it is forgotten."""
    rate, limits = LearnedRate(), []

    class Counting(Limiter):
        def reserve(
            self, pool: str, limit: RateLimit, cost: int, priority: Priority, now: datetime
        ) -> Granted | Refused:
            limits.append(limit.period_s)
            return super().reserve(pool, limit, cost, priority, now)

    exchange = Exchange(TRAITS)
    session, neighbour = (
        session_of(each, Counting(), rate=rate, clock=FrozenClock())
        for each in (exchange, Exchange(TRAITS))
    )
    await session.open()
    await neighbour.open()
    assert exchange.line is not None
    exchange.line.refuses = TooManyRequests("the exchange answered 429")
    if call == "order":
        answer = await session.place(order(), lambda: None, lambda: None)
        assert answer == NothingSent("the exchange answered 429")
    else:
        with pytest.raises(TooManyRequests):
            await session.fetch_account()
    limits.clear()
    await neighbour.permit(Priority.ENTRY)
    await neighbour.permit_exit()
    assert limits == [TRAITS.order_limit.period_s * 2] * 2
    assert rate.share(FrozenClock().now()) == 0.5


async def test_a_failing_limiter_refuses_entries_and_lets_exits_through_at_half_the_rate(
    autojump_clock: MockClock,
) -> None:
    session = session_of(Exchange(TRAITS), Limiter(*[ValueError("broken")] * 50))
    await session.open()
    with pytest.raises(NotExecuted, match="rate limiter limiter failed: ValueError"):
        await session.permit(Priority.ENTRY)
    began = trio.current_time()
    for _ in range(8):
        await session.permit_exit()
    assert trio.current_time() > began


@pytest.mark.parametrize(
    "answer",
    [
        Refused(NOW + timedelta(days=1)),
        Granted(NOW + timedelta(days=1)),
        Refused(NOW - timedelta(seconds=1)),
        Refused((NOW + timedelta(seconds=1)).replace(tzinfo=None)),
        Granted(None),  # type: ignore[arg-type]
        None,
        SystemExit(1),
        asyncio.CancelledError(),
    ],
    ids=repr,
)
async def test_an_answer_of_the_limiter_that_nobody_can_wait_for_keeps_no_exit_in(
    autojump_clock: MockClock, answer: Any
) -> None:
    session = session_of(Exchange(TRAITS), Limiter(*[answer] * 50), clock=FrozenClock())
    await session.open()
    began = trio.current_time()
    await session.permit_exit()
    assert trio.current_time() - began < 5
    with pytest.raises(NotExecuted, match="rate limiter limiter failed: "):
        await session.permit(Priority.ENTRY)


async def test_entries_wait_while_the_exchange_fails_and_retries_have_a_budget() -> None:
    circuit = Circuit()
    session = session_of(Exchange(TRAITS), circuit=circuit)
    session.check_circuit(is_retry=False)
    session.check_circuit(is_retry=True)
    while circuit.may_retry():
        pass
    with pytest.raises(NotExecuted, match="too many entries are tried again"):
        session.check_circuit(is_retry=True)
    session.check_circuit(is_retry=False)  # a first try is let go on
    for account in ("a", "b", "c") * 20:
        circuit.failed(account, "TimeoutError", NOW)
    with pytest.raises(NotExecuted, match="fails for several accounts"):
        session.check_circuit(is_retry=False)


async def test_readings_for_the_books_alone_neither_stop_entries_nor_let_them_go_on() -> None:
    circuit = Circuit()
    exchange = Exchange(replace(TRAITS, reports_fees=True, reports_closed_positions=True))
    session = session_of(exchange, circuit=circuit, clock=FrozenClock())
    await session.open()
    line = exchange.line
    assert line is not None
    for _ in range(FAILURES_MIN - 1):
        circuit.failed("another account", "TimeoutError", NOW)
    readings: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: session.fees(NOW),
        lambda: session.find_orders(BTC, NOW, for_books=True),
        lambda: session.closed_positions(NOW, for_books=True),
    )
    line.is_down = True
    for read in readings:
        with pytest.raises(TimeoutError):
            await read()
        session.check_circuit(is_retry=False)
    with pytest.raises(TimeoutError):
        await session.find_orders(BTC, NOW)  # the failure of an order's own reading counts
    line.is_down = False
    for read in readings:
        await read()
        with pytest.raises(NotExecuted, match="fails for several accounts"):
            session.check_circuit(is_retry=False)
    await session.find_orders(BTC, NOW)
    session.check_circuit(is_retry=False)


async def test_orders_are_asked_for_on_the_exchanges_clock_and_a_reading_from_before_it_was_known_proves_no_absence() -> (
    None
):
    async with server(date="Tue, 24 Nov 2026 11:50:00 GMT") as (url, _):  # ten minutes behind
        exchange = Exchange(TRAITS, url)
        session = session_of(exchange, clock=FrozenClock())
        await session.open()
        assert session.clock_offset_s is None
        first = await session.find_orders(Symbol("BTCUSDT"), NOW)
        assert not first.complete
        assert session.clock_offset_s == -599.5
        assert (await session.find_orders(Symbol("BTCUSDT"), NOW)).complete
        assert exchange.line is not None
        assert [(each - NOW).total_seconds() for each in exchange.line.asked_since] == [-60, -599.5]
        assert (await session.fees(NOW)).rows == ()  # what was paid as well
        assert (exchange.line.asked_since[-1] - NOW).total_seconds() == -599.5
        await session.aclose()


async def test_an_exchange_that_tells_no_time_is_read_a_minute_further_back() -> None:
    async with server() as (url, _):
        exchange = Exchange(TRAITS, url)
        session = session_of(exchange, clock=FrozenClock())
        await session.open()
        assert (await session.find_orders(Symbol("BTCUSDT"), NOW)).complete
        assert exchange.line is not None
        assert exchange.line.asked_since == [NOW - timedelta(seconds=60)]
        assert session.clock_offset_s is None
        await session.aclose()
    assert session_of(Exchange(TRAITS)).clock_offset_s == 0.0  # no HTTP: this machine's clock


async def test_an_interrupt_within_a_group_is_the_engines_own_and_passes() -> None:
    exchange = Exchange(TRAITS)
    session = session_of(exchange)
    await session.open()
    assert exchange.line is not None
    exchange.line.refuses = BaseExceptionGroup("several", [KeyboardInterrupt(), SystemExit()])
    with pytest.raises(BaseExceptionGroup) as passed:
        await session.fetch_account()
    assert [type(each) for each in passed.value.exceptions] == [KeyboardInterrupt]
