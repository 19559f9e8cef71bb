"""The lanes of one account: per symbol one entry and one exit at a time, each a child task of the follower's task.

A lane takes one leg through its steps: plan, permit, live connection, durable claim, last line, write once, classify, record.
From the claim to the record it cannot be cancelled; its own deadlines end it.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import trio

from engine.actors.exchange_session import ExchangeSession
from engine.actors.recording import Recording, recording, refused_outcome
from engine.actors.shared import TAKER_FEE_BPS
from engine.decisions.order_lifecycle import AttemptState, Refused
from engine.decisions.planning import (
    EntryContext,
    EntryPlan,
    ExitContext,
    ExitPlan,
    Wait,
    last_line_entry,
    plan_entry,
    plan_exit,
)
from engine.decisions.risk import position_of
from engine.domain.amounts import ZERO, Money, Quantity, plain
from engine.domain.holding import Holding, PendingEntry
from engine.domain.identifiers import CopyId
from engine.domain.order import OrderIntent
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Signal
from engine.domain.subscription import Subscription, strictest
from engine.ledger.attempts import (
    Claim,
    NotClaimed,
    attempts_of,
    claim,
    goal_key,
    open_attempts,
    read_holding,
    reopen_leg,
    write_holding,
)  # fmt: skip
from engine.ledger.copies import WaitingLeg
from engine.ledger.outcomes import conclude
from engine.ports.exchange import NotExecuted, Rejected
from engine.ports.rate_limiter import Priority

if TYPE_CHECKING:
    from engine.actors.follower import Follower

EXIT_RETRY_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
ENTRY_RETRY_S: Final = 0.5
READ_MARGIN_S: Final = 1.0
WAIT_S: Final = 0.25
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Lanes:
    """Run an account's legs."""

    def __init__(self, follower: "Follower") -> None:
        self._follower = follower
        self._busy: set[tuple[str, str]] = set()
        self._not_before: dict[CopyId, datetime] = {}

    def is_busy(self, leg: WaitingLeg) -> bool:
        """Tell whether the leg's lane has one under way."""
        return (leg.symbol, leg.kind) in self._busy

    def not_before(self, leg: WaitingLeg) -> datetime:
        """Return when a leg that had to wait may be planned again."""
        return self._not_before.get(leg.copy, _BEGINNING)

    def forget(self) -> None:
        """Start with empty lanes after the follower's task ended: its lanes ended with it."""
        self._busy.clear()

    def start(self, nursery: trio.Nursery, leg: WaitingLeg) -> None:
        """Start the leg's lane; the caller has seen that it is not busy."""
        self._busy.add((leg.symbol, leg.kind))
        nursery.start_soon(self._run, leg)

    async def _run(self, leg: WaitingLeg) -> None:
        try:
            await (self._exit(leg) if leg.kind == "exit" else self._entry(leg))
        finally:
            self._busy.discard((leg.symbol, leg.kind))
            self._follower.ring()

    def _wait(self, leg: WaitingLeg, seconds: float) -> None:
        self._not_before[leg.copy] = self._follower.shared.clock.now() + timedelta(seconds=seconds)

    async def _conclude(self, leg: WaitingLeg, outcome: Outcome) -> None:
        at = self._follower.shared.clock.now()
        self._not_before.pop(leg.copy, None)
        await self._follower.shared.ledger.write(lambda db: conclude(db, leg.copy, leg.number, outcome, at))

    # Entries

    async def _entry(self, leg: WaitingLeg) -> None:
        follower, shared = self._follower, self._follower.shared
        if not follower.settled:
            await follower.first_reading.wait()
        signal, subscription = shared.signal(leg.signal_number), shared.subscription(leg.subscription)
        feed = shared.feeds[follower.exchange]
        quote = await feed.quote(leg.symbol, shared.pace.price_age_s)
        context = EntryContext(
            signal=signal,
            subscription=subscription,
            copy=leg.copy,
            leg=leg.number,
            account=None if follower.problem else follower.view(),
            account_problem=follower.problem,
            instrument=feed.instrument(leg.symbol),
            quote=quote,
            limits=strictest(shared.limits, subscription.policy.limits),
            switches=shared.switches_for(follower.account, follower.name, leg.strategy, follower.exchange),
            goal_key=goal_key(shared.ledger.db, leg.account, leg.strategy, leg.symbol),
            strategy_names=shared.strategy_names,
            fee_bps=TAKER_FEE_BPS,
            entry_age_s=shared.pace.entry_age_s,
            price_age_s=shared.pace.price_age_s,
            now=shared.clock.now(),
        )
        plan = plan_entry(context)
        if isinstance(plan, Outcome):
            if plan.code is OutcomeCode.DENIED_ACCOUNT_NOT_READY and self._may_be_read_in_time(signal):
                follower.read_soon()
                self._wait(leg, ENTRY_RETRY_S)
            else:
                await self._conclude(leg, plan)
            return
        # No await between planning and reserving: a burst of entries cannot pass a cap together.
        self._reserve(leg, plan)
        kept = False
        try:
            with shared.entering():
                kept = await self._enter(leg, signal, subscription, plan)
        finally:
            if not kept:
                follower.release(leg.copy, proven=False)

    def _may_be_read_in_time(self, signal: Signal) -> bool:
        """Tell whether an account that could not be read (not: whose key was refused) may be ready before the entry is too old."""
        shared = self._follower.shared
        young_until = signal.decided_at + timedelta(seconds=shared.pace.entry_age_s - READ_MARGIN_S)
        return self._follower.problem_may_pass and shared.clock.now() < young_until

    def _reserve(self, leg: WaitingLeg, plan: EntryPlan) -> None:
        from engine.actors.follower import Reserved  # here, because the follower is made of its lanes

        intent = plan.intent
        entry = PendingEntry(leg.copy, leg.symbol, leg.strategy, intent.position_side, intent.quantity, plan.notional, plan.margin)
        self._follower.reserved[leg.copy] = Reserved(entry)

    async def _enter(self, leg: WaitingLeg, signal: Signal, subscription: Subscription, plan: EntryPlan) -> bool:
        """Send one planned entry; returns whether something of it may stand at the exchange."""
        follower, shared = self._follower, self._follower.shared
        try:
            session = await follower.connected()
            await session.prepare_entry(plan.intent)
            await session.permit(Priority.ENTRY)
            await session.warm()
        except Rejected as error:
            await self._conclude(leg, refused_outcome(Refused(error.kind, error.text)))
            return False
        except Exception as error:  # nothing of the order was sent yet, whatever the plugin raised: try again while it is young
            self._wait(leg, (error.retry_after_s if isinstance(error, NotExecuted) else None) or ENTRY_RETRY_S)
            return False
        limits = strictest(shared.limits, subscription.policy.limits)
        entry_age_s = min(shared.pace.entry_age_s, limits.entry_age_s or shared.pace.entry_age_s)

        def last_line() -> Outcome | None:
            switches = shared.switches_for(follower.account, follower.name, leg.strategy, follower.exchange)
            goal = goal_key(shared.ledger.db, leg.account, leg.strategy, leg.symbol)
            return last_line_entry(signal, goal, switches, entry_age_s, shared.clock.now())

        done = await self._send(leg, session, plan.intent, plan.notional, plan.margin, signal, last_line, ENTRY_RETRY_S)
        if done is None or done.state in (AttemptState.NEW, AttemptState.REJECTED, *_NEVER_SENT):
            return False
        if done.state.is_terminal:
            follower.release(leg.copy, proven=True)
        return True

    # Exits

    async def _exit(self, leg: WaitingLeg) -> None:
        follower, shared = self._follower, self._follower.shared
        signal, subscription = shared.signal(leg.signal_number), shared.subscription(leg.subscription)
        held = self._holding(leg)
        attempts = [
            each
            for each in open_attempts(shared.ledger.db, leg.account)
            if each.intent.symbol == leg.symbol and not each.is_entry and each.state is not AttemptState.NOT_CONFIRMED
        ]
        outstanding = Quantity(sum((each.intent.quantity - each.filled for each in attempts), start=ZERO))
        context = ExitContext(
            signal=signal,
            subscription=subscription,
            copy=leg.copy,
            leg=leg.number,
            attempt=leg.attempts + 1,
            holding=held,
            position=None if follower.report is None else position_of(follower.report, leg.symbol),
            instrument=shared.feeds[follower.exchange].instrument(leg.symbol),
            outstanding=outstanding,
            now=shared.clock.now(),
        )
        plan = plan_exit(context)
        match plan:
            case Wait():
                self._wait(leg, WAIT_S)
            case Outcome():
                await self._conclude_exit(leg, plan)
            case ExitPlan(intent):
                await self._close(leg, signal, intent)

    def _holding(self, leg: WaitingLeg) -> Holding | None:
        held = read_holding(self._follower.shared.ledger.db, leg.account, leg.symbol)
        return held if held is not None and held.strategy == leg.strategy else None

    async def _conclude_exit(self, leg: WaitingLeg, outcome: Outcome) -> None:
        """End an exit: with the sum of its fills where it had any, and with the symbol free again where it was detached."""
        shared = self._follower.shared
        held = self._holding(leg)
        if held is not None and held.detached and held.share == 0:
            freed = replace(held, detached=False)
            await shared.ledger.write(lambda db: write_holding(db, freed))
        filled = [each for each in attempts_of(shared.ledger.db, leg.copy) if each.filled > 0]
        if filled and outcome.code is OutcomeCode.SKIPPED_NOTHING_TO_CLOSE:
            closed = sum((each.filled for each in filled), start=ZERO)
            last = filled[-1].intent
            numbers = {"side": last.side.value, "symbol": leg.symbol, "filled": plain(closed), "price": filled[-1].price}
            outcome = Outcome(OutcomeCode.FILLED, numbers)
        await self._conclude(leg, outcome)

    async def _close(self, leg: WaitingLeg, signal: Signal, intent: OrderIntent) -> None:
        follower = self._follower
        retry_s = EXIT_RETRY_S[min(leg.attempts, len(EXIT_RETRY_S) - 1)]
        try:
            session = await follower.connected()
            await session.permit_exit()
            await session.warm()
        except Exception as error:  # an exit goes on for ever; nothing of it was sent yet
            self._wait(leg, (error.retry_after_s if isinstance(error, NotExecuted) else None) or retry_s)
            return
        zero = Money(ZERO)
        done = await self._send(leg, session, intent, zero, zero, signal, lambda: None, retry_s)
        if done is None or done.state in (AttemptState.NEW, AttemptState.UNKNOWN, AttemptState.PLACED):
            return
        await self._after_exit(leg, done, retry_s)

    async def _after_exit(self, leg: WaitingLeg, done: Recording, retry_s: float) -> None:
        """Read the account after an exit, and let the leg go on while something of ours is left."""
        follower, shared = self._follower, self._follower.shared
        if done.is_residue:
            return
        read = await follower.try_to_read()
        held = self._holding(leg)
        if held is not None and (held.share > 0 or held.entries_open > 0 or held.detached):
            pause = 0.0 if done.filled and read else retry_s
            later = shared.clock.now() + timedelta(seconds=pause)
            await shared.ledger.write(lambda db: reopen_leg(db, leg.copy, leg.number, later))

    # One order

    async def _send(
        self, leg: WaitingLeg, session: ExchangeSession, intent: OrderIntent, notional: Money, margin: Money, signal: Signal,
        last_line: Callable[[], Outcome | None], retry_s: float,
    ) -> Recording | None:  # fmt: skip
        """Claim, send once, record; None when the leg could not be claimed."""
        follower, shared = self._follower, self._follower.shared
        await shared.unsent.acquire()
        released = False

        def written() -> None:
            nonlocal released
            if not released:
                released = True
                shared.unsent.release()

        try:
            if shared.stopping:
                return None
            # From here to the record nothing may cancel us: a claim is answered for.
            with trio.CancelScope(shield=True):
                made = await self._claim(leg, intent, notional, margin, signal)
                if not isinstance(made, int):
                    if made.outcome is not None:
                        await self._conclude(leg, made.outcome)
                    return None
                answer = await session.place(intent, last_line, written)
                result = recording(made, intent, answer, retry_s, shared.clock.now())
                await shared.ledger.write(result.write)
        finally:
            written()
        if result.state in (AttemptState.UNKNOWN, AttemptState.PLACED, AttemptState.PARTIALLY_FILLED):
            follower.watch_open_attempts()
        return result

    async def _claim(self, leg: WaitingLeg, intent: OrderIntent, notional: Money, margin: Money, signal: Signal) -> int | NotClaimed:
        follower, shared = self._follower, self._follower.shared
        report = follower.report
        witness = () if report is None else tuple(each.exchange_order_id for each in report.open_orders if each.symbol == leg.symbol)
        wanted = Claim(
            copy=leg.copy,
            leg=leg.number,
            number=leg.attempts + 1,
            kind=leg.kind,
            account=leg.account,
            strategy=leg.strategy,
            epoch=shared.epoch,
            order_key=signal.order_key,
            intent=intent,
            notional=notional,
            margin=margin,
            witness=witness,
            at=shared.clock.now(),
        )
        return await shared.ledger.write(lambda db: claim(db, wanted))


_NEVER_SENT = (AttemptState.SKIPPED, AttemptState.DENIED, AttemptState.EXPIRED, AttemptState.KILLED)
