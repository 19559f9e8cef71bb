"""One account's connection to its exchange: deadline, rate limiter, error table. The only caller of
exchange adapters.

What always holds: every call has one total deadline; an order is written at most once per claim,
right after the last check with no await between; whatever the adapter does, the result is one of
the answers of ``decisions.order_lifecycle``. Everything that changes something at the exchange asks
the one guard first: if that gives a reason to hold orders, or cannot answer, nothing leaves.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar, cast

import trio

from engine.decisions.circuit import Circuit
from engine.decisions.learned_rate import LearnedRate
from engine.decisions.order_lifecycle import Answer, NoProof, NothingSent, classify
from engine.decisions.proving import SLACK_S, UNKNOWN_OFFSET_S
from engine.decisions.rate import HalfRateLimiter
from engine.domain.account import AccountReport, ClosedPositions
from engine.domain.identifiers import Symbol
from engine.domain.order import OrderIntent, OrderReport, ProtectionOrder
from engine.domain.outcome import Outcome
from engine.ports.clock import Clock
from engine.ports.contained import contained
from engine.ports.exchange import (
    AccountLogin,
    ClosedPositionsConnection,
    ErrorCountingAdapter,
    ExchangeAdapter,
    ExchangeConnection,
    ExchangeContext,
    FeeHistory,
    FeesConnection,
    FundsConnection,
    FundsElsewhere,
    NotExecuted,
    OrderHistory,
    OrderIdConnection,
    OutcomeUnknown,
    ProtectionConnection,
    Rejected,
    TooManyRequests,
)
from engine.ports.rate_limiter import Granted, Priority, RateLimiter, UnusableAnswer, ask
from engine.transport import HttpClientFactory, PeerClock, SendPermit, send_permit

T = TypeVar("T")
READ_DEADLINE_S: Final = 8.0
RETRY_WAIT_S: Final = 2.0
HELD_WAIT_S: Final = 5.0


class ExchangeSession:
    """One connection of one account."""

    def __init__(
        self,
        adapter: ExchangeAdapter,
        login: AccountLogin,
        context: ExchangeContext,
        limiter: RateLimiter,
        send_deadline_s: float,
        sends: set[trio.CancelScope] | None = None,
        circuit: Circuit | None = None,
        rate: LearnedRate | None = None,
        errors: Counter[str] | None = None,
        *,
        why_held: Callable[[], str],
    ) -> None:
        """``why_held`` is the guard: it returns why nothing may leave this account, empty if
        something may.
        """
        self._adapter = adapter
        self._login = login
        self._peer_clock = PeerClock(context.clock.now)
        given = context.http
        reach = given.reach if isinstance(given, HttpClientFactory) else None
        self._http = HttpClientFactory(peer_clock=self._peer_clock, reach=reach)
        self._context = replace(context, http=self._http)
        self._clock: Clock = context.clock
        self._limiter = limiter
        self._fallback = HalfRateLimiter()
        self._send_deadline_s = send_deadline_s
        self._sends = set() if sends is None else sends
        self._circuit = Circuit() if circuit is None else circuit
        self._rate = LearnedRate() if rate is None else rate
        self._errors = Counter[str]() if errors is None else errors
        self._guard = why_held
        self._connection: ExchangeConnection | None = None

    def reads_client_order_id(self, intent: OrderIntent) -> bool:
        """Return whether this order, read back, carries our client order id."""
        return self.tells_our_ids and (
            self._adapter.traits.exits_carry_client_order_id or not intent.reduce_only
        )

    @property
    def tells_our_ids(self) -> bool:
        """Return whether entries of this account, read back, carry our client order id; the session
        must be open.
        """
        traits = self._adapter.traits
        if traits.client_order_id_per_account:
            return cast(OrderIdConnection, self._open).reads_client_order_id
        return traits.reads_client_order_id

    @property
    def visible_within_s(self) -> float:
        """Return for how long after its acceptance an order, or its fill, may be missing from
        readings.
        """
        return self._adapter.traits.visible_within_s

    async def open(self) -> None:
        """Connect the account; raises what the adapter raises, or trio's TooSlowError at the deadline."""
        self._connection = await self._within(
            READ_DEADLINE_S, self._adapter.connect(self._login, self._context)
        )

    async def aclose(self) -> None:
        """Close the connection and its HTTP clients."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
            if self._connection is not None:
                await contained(self._connection.aclose())
            await self._http.aclose()

    @property
    def _open(self) -> ExchangeConnection:
        if self._connection is None:
            raise NotExecuted("the account is not connected yet")
        return self._connection

    async def fetch_account(self) -> AccountReport:
        """Read the whole account."""
        await self.permit(Priority.READ, self._adapter.traits.account_requests)
        return await self._within(READ_DEADLINE_S, self._open.fetch_account())

    @property
    def clock_offset_s(self) -> float | None:
        """Return what must be added to our time to get the exchange's: measured, None before the
        first answer; 0 without HTTP.
        """
        return self._peer_clock.offset_s if self._http.used else 0.0

    def _exchange_time(self, moment: datetime) -> datetime:
        """Return our time on the exchange's clock; if that is not known, a time before it."""
        offset_s = self.clock_offset_s
        return moment + timedelta(seconds=-UNKNOWN_OFFSET_S if offset_s is None else offset_s)

    async def find_orders(
        self, symbol: Symbol, since: datetime, *, for_books: bool = False
    ) -> OrderHistory:
        """Read a symbol's orders since a time of our clock; complete only if it reaches back to it
        on the exchange's.
        """
        await self.permit(Priority.READ)
        asked = self._exchange_time(since)
        history = await self._within(
            READ_DEADLINE_S, self._open.find_orders(symbol, asked), counts=not for_books
        )
        history = replace(
            history, orders=tuple(self._without_second_fee(each) for each in history.orders)
        )
        # This answer may have been the first to show how far the two clocks are apart.
        reaches_back = asked - self._exchange_time(since) <= timedelta(seconds=SLACK_S)
        return history if reaches_back else replace(history, complete=False)

    async def funds_elsewhere(self) -> Sequence[FundsElsewhere]:
        """Read money that the engine cannot trade with; none if the exchange does not report it."""
        if not self._adapter.traits.reports_funds:
            return ()
        await self.permit(Priority.READ)
        return await self._within(
            READ_DEADLINE_S, cast(FundsConnection, self._open).funds_elsewhere()
        )

    @property
    def reports_fees(self) -> bool:
        """Return whether the exchange reports what was paid: fees and funding."""
        return self._adapter.traits.reports_fees

    async def fees(self, since: datetime) -> FeeHistory:
        """Read what was paid since a time of our clock, newest first, with times of the exchange's
        clock; only if ``reports_fees``.
        """
        await self.permit(Priority.READ)
        reading = cast(FeesConnection, self._open).fees(self._exchange_time(since))
        return await self._within(READ_DEADLINE_S, reading, counts=False)

    @property
    def reports_closed_positions(self) -> bool:
        """Return whether the exchange has a history of closed positions."""
        return self._adapter.traits.reports_closed_positions

    @property
    def reserves_for_resting(self) -> bool:
        """Return whether the free balance of a reading lacks what the resting orders in it may
        cost.
        """
        return self._adapter.traits.reserves_for_resting

    async def closed_positions(
        self, since: datetime, position_ids: Collection[str] = (), *, for_books: bool = False
    ) -> ClosedPositions:
        """Read positions closed since a time of our clock, with times of the exchange's clock; only
        if ``reports_closed_positions``.
        """
        await self.permit(Priority.READ)
        connection = cast(ClosedPositionsConnection, self._open)
        reading = connection.closed_positions(self._exchange_time(since), position_ids)
        return await self._within(READ_DEADLINE_S, reading, counts=not for_books)

    def unmapped_errors(self) -> Mapping[str, int]:
        """Return the error texts that the adapter met and does not know; none if it does not count
        them.
        """
        counts = self._adapter.traits.counts_unmapped_errors
        return cast(ErrorCountingAdapter, self._adapter).unmapped_errors() if counts else {}

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        """Ask the exchange to cancel a resting order."""
        await self.permit(Priority.EXIT)
        self._refuse_where_held()
        await self._within(READ_DEADLINE_S, self._open.cancel_order(symbol, exchange_order_id))

    @property
    def can_protect(self) -> bool:
        """Return whether stop and target of a position can be moved here."""
        return self._adapter.traits.sets_protection

    async def set_protection(self, wanted: ProtectionOrder) -> None:
        """Make a position's stop and target exactly these; raises what the adapter raises."""
        await self.permit(Priority.EXIT)
        self._refuse_where_held()
        await self._within(
            READ_DEADLINE_S, cast(ProtectionConnection, self._open).set_protection(wanted)
        )

    def check_circuit(self, *, is_retry: bool) -> None:
        """Let an entry go on, or raise NotExecuted while the exchange fails for several accounts,
        or the retry budget is used up.
        """
        wait_s = self._circuit.wait_s(self._clock.now())
        if wait_s > 0:
            raise NotExecuted(
                f"the exchange fails for several accounts ({self._circuit.last_problem}); entries "
                "wait",
                wait_s,
            )
        if not is_retry:
            self._circuit.began()
        elif not self._circuit.may_retry():
            raise NotExecuted("too many entries are tried again; this one waits", RETRY_WAIT_S)

    async def prepare_entry(self, intent: OrderIntent) -> None:
        """Do what must be set before an entry; raises NotExecuted or Rejected, and NotExecuted for
        anything else that went wrong.
        """
        self._refuse_where_held()
        await self._within(READ_DEADLINE_S, self._open.prepare_entry(intent))

    async def warm(self) -> None:
        """Make sure of a live connection before the claim; raises NotExecuted if there is none."""
        if self._http.used:
            try:
                await self._http.warm()
            except Exception as error:  # nothing of an order was written: whatever failed proves it
                raise NotExecuted(
                    f"no connection to the exchange: {type(error).__name__}"
                ) from error

    async def permit_exit(self) -> None:
        """Wait until the rate limiter permits one exit, with every request that it takes."""
        await self.permit(Priority.EXIT, self._adapter.traits.exit_requests)

    async def permit(self, priority: Priority, requests: int = 1) -> None:
        """Wait until the rate limiter permits requests; if the limiter is broken, entries are
        refused and exits get half the rate.
        """
        stated = (
            self._adapter.traits.read_limit
            if priority is Priority.READ
            else self._adapter.traits.order_limit
        )
        kind = "reads" if priority is Priority.READ else "orders"
        pool = f"{self._adapter.name}:{kind}:{self._login.account}"
        while True:
            now = self._clock.now()
            limit = self._rate.limit(stated, requests, now)
            try:
                answer = ask(self._limiter, pool, limit, requests, priority, now)
            # a plugin's fault must not stop exits, and must not let entries through uncounted
            except UnusableAnswer as error:
                if priority is not Priority.EXIT:
                    raise NotExecuted(
                        f"the rate limiter {self._limiter.name} failed: {error}", 1.0
                    ) from error
                answer = self._fallback.reserve(pool, limit, requests, priority, now)
            if isinstance(answer, Granted):
                if answer.at > now:
                    await trio.sleep((answer.at - now).total_seconds())
                return
            await trio.sleep(max(0.001, (answer.retry_at - now) / timedelta(seconds=1)))

    async def place(
        self,
        intent: OrderIntent,
        last_line: Callable[[], Outcome | NothingSent | None],
        written: Callable[[], None],
    ) -> Answer | Outcome:
        """Send one order once. ``last_line`` runs right before the write; any result but None
        proves that nothing left.

        ``written`` is called once, when the request is out or the call has ended. The call ends at
        its own deadline; only a stopping engine, through the ``sends`` given at the beginning, ends
        it earlier, and that too proves nothing.
        """

        def line() -> Outcome | NothingSent | None:
            reason = self._why_held()
            return NothingSent(reason, HELD_WAIT_S) if reason else last_line()

        permit = SendPermit[Outcome | NothingSent](line, written)
        if (stop := permit.ask()) is not None:  # also for an adapter that takes no permit
            permit.mark_written()
            return stop
        result: OrderReport | BaseException = TimeoutError(
            f"no answer within {self._send_deadline_s} s"
        )
        token = send_permit.set(permit)
        try:
            with trio.move_on_after(self._send_deadline_s, shield=True) as scope:
                self._sends.add(scope)
                try:
                    result = await contained(self._open.place_order(intent), OutcomeUnknown)
                except (
                    Exception
                ) as error:  # the boundary to a plugin: classify decides what each error proves
                    result = error
        finally:
            self._sends.discard(scope)
            send_permit.reset(token)
            permit.mark_written()
        if permit.stopped_by is not None:
            return permit.stopped_by
        if isinstance(result, OrderReport):
            result = self._without_second_fee(result)
        elif isinstance(result, NotExecuted | Rejected) and permit.is_unanswered:
            # an adapter's own deadline, or a broken answer, that it takes for a refusal
            result = OutcomeUnknown("the order was sent, and no whole answer to it was read")
        answer = classify(intent, result, permit.taken if self._http.used else None)
        is_told = isinstance(answer, NoProof) or isinstance(result, TooManyRequests)
        self._note(result if is_told and isinstance(result, BaseException) else None)
        return answer

    def _why_held(self) -> str:
        try:
            return self._guard()
        except Exception as error:  # whatever it is: if the guard cannot be asked, nothing leaves
            return f"it is not known whether anything may be sent ({type(error).__name__})"

    def _refuse_where_held(self) -> None:
        if reason := self._why_held():
            raise NotExecuted(reason, HELD_WAIT_S)

    def _without_second_fee(self, report: OrderReport) -> OrderReport:
        """Drop a report's fee if the exchange has a history of fees: what both report would be
        counted twice.
        """
        return replace(report, fee=None) if self.reports_fees and report.fee is not None else report

    async def _within(self, deadline_s: float, call: Awaitable[T], *, counts: bool = True) -> T:
        """Wait for a call of the adapter. ``counts``: a call made for the books alone does not
        count in the circuit.
        """
        try:
            with trio.fail_after(deadline_s):
                result = await contained(call, OutcomeUnknown)
        except Exception as error:
            if counts:
                self._note(error)
            raise
        if counts:
            self._note(None)
        return result

    def _note(self, error: BaseException | None) -> None:
        """Record a call in the exchange's circuit; any answer of the exchange, a refusal or a rate
        limit included, shows that it works.
        """
        if error is not None:
            self._errors[type(error).__name__] += 1
        if isinstance(error, TooManyRequests):
            self._rate.refused(self._clock.now())
        if error is None or isinstance(error, Rejected | NotExecuted):
            self._circuit.worked(self._login.account)
        else:
            self._circuit.failed(self._login.account, type(error).__name__, self._clock.now())
