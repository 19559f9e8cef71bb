"""One follower account, one task: it plans what waits in the ledger, lets lanes send it, and owns
the account's reader and watches.

What always holds: a leg is planned only from the ledger (the wake-up carries nothing); per symbol
at most one entry and one exit run at a time, and an exit never waits for an entry's answer; entries
wait for the first reading of the account and fail closed without it, exits do not; what is claimed
is answered for, whatever is cancelled.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

import trio

from engine.actors.account import Account
from engine.actors.account_reader import AccountReader
from engine.actors.books_watch import BooksWatch
from engine.actors.entry_lane import enter
from engine.actors.examining import examine
from engine.actors.exit_lane import close
from engine.actors.lanes import Lanes
from engine.actors.log_context import logged
from engine.actors.old_ledger import OldLedger
from engine.actors.on_demand import OnDemand
from engine.actors.position_ids import PositionIds
from engine.actors.preflight import PreflightWatch
from engine.actors.protection_guard import ProtectionGuard
from engine.actors.protection_lane import protect
from engine.actors.reconciler import Reconciler
from engine.actors.resolver import Resolver
from engine.actors.resting_lane import cancel
from engine.actors.supervisor import Vitals, keep
from engine.actors.unreadable import UnreadableRows
from engine.decisions.books_check import Examined
from engine.decisions.dispatching import QueuedLeg, choose_legs
from engine.decisions.explaining import LaneNow
from engine.decisions.order_lifecycle import AttemptState
from engine.decisions.reconciliation import Correction, ForeignOrders, Plan
from engine.decisions.routing import CANCEL, ENTRY, EXIT, PROTECTION
from engine.domain.alert import AlertCode
from engine.domain.identifiers import CopyId
from engine.domain.preflight import Preflight
from engine.ledger import Database
from engine.ledger.attempts import accept_foreign, met_foreign, open_attempts
from engine.ledger.copies import WaitingLeg
from engine.ledger.resolving import end, unknown_outcome

_JITTER: Final = random.Random()  # noqa: S311 - spreads restarts, guards nothing
_RUN: Final[Mapping[str, Callable[[Lanes, WaitingLeg], Awaitable[bool | None]]]] = {
    ENTRY: enter,
    EXIT: close,
    CANCEL: cancel,
    PROTECTION: protect,
}


class Follower:
    """The task of one account."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.vitals = Vitals(f"account {account.name}")
        self.unreadable = UnreadableRows(account)
        self.position_ids = PositionIds(account, self.unreadable)
        self.books = BooksWatch(account)
        self._reconciler = Reconciler(account, self.books)
        self.reader = AccountReader(
            account,
            position_ids=self.position_ids,
            unreadable=self.unreadable,
            books=self.books,
            reconciler=self._reconciler,
        )
        self.resolver = Resolver(account, self.reader, self.unreadable)
        self.guard = ProtectionGuard(account)
        self.old_ledger = OldLedger(account, self.position_ids, self._reconciler, self.reader)
        self.preflight = PreflightWatch(account, self.unreadable)
        self._lanes = Lanes(account, self.reader)
        self._told_restarts = 0

    async def run(self) -> None:
        """Run until cancelled; raises if something is wrong with this account's own code or
        adapter.
        """
        account = self.account
        after_reading = (self.old_ledger.wakeup, account.check, self.books.wakeup)
        if not account.begins_without_open_attempts():
            await self._own_stray_claims()
            account.reserve_open_entries()
            account.watch_open_attempts()
        try:
            async with trio.open_nursery() as nursery:
                # Apart from each other and from the lanes: if any of them fails for good beside an
                # exit, the exit is still sent.
                context = copy_context()
                for wakeup, demanded, at_once in (
                    (self.old_ledger.wakeup, self.old_ledger.run, False),
                    (account.check, self.preflight.run, False),
                    (self.books.wakeup, self.books.run, False),
                    (account.attempts, self.resolver.run, False),
                    (account.protection, self.guard.run, False),
                    (account.reading, self.reader.run, True),
                ):
                    OnDemand(
                        nursery, context, self._keep, account.shared.timetable, wakeup, demanded
                    ).begin(at_once=at_once)
                account.wake_once_read(*after_reading)
                await self._dispatch(nursery)
        finally:
            self._lanes.busy.clear()  # the lanes ended with the task
            for wakeup in (account.reading, *after_reading):
                account.shared.timetable.forget(wakeup)
            await self.account.aclose()

    async def _keep(self, part: Callable[[], Awaitable[None]]) -> None:
        run = partial(self._told_if_quarantined, part)
        await keep(self.vitals, run, _JITTER, self.account.shared.ledger)

    async def _told_if_quarantined(self, run: Callable[[], Awaitable[None]]) -> None:
        if self.vitals.quarantined and self._told_restarts != self.vitals.restarts:
            self._told_restarts = (
                self.vitals.restarts
            )  # once for each failure, though all parts begin again with the task
            await self.account.shared.alert(
                AlertCode.ACCOUNT_QUARANTINED, self.account.name, problem=self.vitals.last_error
            )
        await run()

    async def _own_stray_claims(self) -> None:
        """Turn claims that no task answers for any more into UNKNOWN: after a crash of the process
        or of this task alike.
        """
        stray = [
            each
            for each in open_attempts(self.account.shared.ledger.db, self.account.id)
            if each.state is AttemptState.CLAIMED
        ]
        if not stray:
            return
        cause, at = "the task stopped while it was being sent", self.account.shared.clock.now()

        def own(db: Database) -> None:
            for attempt in stray:
                end(
                    db,
                    attempt_id=attempt.id,
                    state=AttemptState.UNKNOWN,
                    outcome=unknown_outcome(attempt.intent, cause),
                    cause=cause,
                    at=at,
                )

        await self.account.shared.ledger.write(own)

    async def _dispatch(self, nursery: trio.Nursery) -> None:
        account, shared = self.account, self.account.shared
        while True:
            waiting = [] if shared.stopping else account.take_waiting()
            legs = [] if waiting and account.why_held else waiting
            chosen = choose_legs(
                [self._queued(leg) for leg in legs],
                self._lanes.busy,
                is_quarantined=self.vitals.quarantined,
            )
            for index in chosen.start:
                self._start(nursery, legs[index])
            account.legs_wait = len(chosen.start) < len(waiting)
            if not waiting and not self._lanes.busy:
                self._lanes.nothing_waits()
            await account.legs.wait(chosen.again_s)

    def _queued(self, leg: WaitingLeg) -> QueuedLeg:
        return QueuedLeg(
            leg.symbol,
            leg.kind,
            max(self._lanes.wait_s(leg), self.account.history.wait_s),
            leg.kind == EXIT and self.account.exits_wait(leg.strategy),
        )

    def _start(self, nursery: trio.Nursery, leg: WaitingLeg) -> None:
        self._lanes.busy.append((leg.symbol, leg.kind))
        nursery.start_soon(self._run_leg, leg)

    async def _run_leg(self, leg: WaitingLeg) -> None:
        is_over = False
        try:
            signal = self.account.shared.signal(leg.signal_number)
            with logged(signal=signal.id, copy=leg.copy):
                is_over = bool(await _RUN[leg.kind](self._lanes, leg))
        finally:
            self._lanes.busy.remove((leg.symbol, leg.kind))
            # After an entry that is over, the queue is read again only if something waited beside
            # it: in a fan-out that is a statement less for each order.
            if is_over:
                self._lanes.entry_is_over(leg.copy)
                self.account.reconsider()
            else:
                self.account.wake()

    @property
    def is_quarantined(self) -> bool:
        """Return whether the task failed so often that the account takes no entries."""
        return self.vitals.quarantined

    def check_now(self) -> Preflight | None:
        """Return what the newest reading comes to, without ``passing_items``; None before the first
        check.
        """
        return self.preflight.lasting()

    @property
    def shown_plan(self) -> str:
        """Return the digest of the plan that was last shown to a person; empty if none was shown
        since the start.
        """
        return self.old_ledger.shown

    def note_shown(self, digest: str) -> None:
        """Remember which plan was shown to a person."""
        self.old_ledger.shown = digest

    def write_plan(self, plan: Plan, by: str, at: datetime, db: Database) -> None:
        """Write a confirmed plan to the ledger; raises Changed if the ledger moved since it was
        made.
        """
        self.old_ledger.write(plan, by, at, db)

    async def examine(self, since: datetime) -> Examined:
        """Read at the exchange what the books are compared with; changes nothing."""
        return await examine(self.account, since)

    def in_lane(self, copy: CopyId) -> LaneNow:
        """Return what this task knows of a copy that the ledger does not."""
        reason = self.account.why_held
        return (
            replace(self._lanes.now(copy), waits_for=f"a person, because nothing is sent: {reason}")
            if reason
            else self._lanes.now(copy)
        )

    async def read_now(self) -> None:
        """Read the account now; on failure, it cannot be read until a later reading succeeds."""
        await self.reader.try_to_read()

    async def plan_corrections(self) -> tuple[Correction, ...]:
        """Read the account and return what differs from the ledger; changes nothing."""
        if self.account.why_held:
            return await self.old_ledger.plan()
        session = await self.account.connected()
        began = self.account.shared.clock.now()
        report = await session.fetch_account()
        return self._reconciler.corrections(
            report, began, await self.position_ids.judge(session, report)
        )

    def go_on(self) -> None:
        """Continue after a person let orders out again: the account is read again, and what waits
        is planned.
        """
        self.account.foreign = met_foreign(self.account.shared.ledger.db, self.account.id)
        self.account.read_soon()
        self.account.wake()

    async def apply_corrections(
        self,
        by: str,
        also: Callable[[Database, tuple[Correction, ...]], None] = lambda db, corrections: None,
    ) -> tuple[Correction, ...]:
        """Read the account, correct the ledger, and accept orders that it does not know as the
        owner's; return what differed.

        ``also`` is written with the decision, before anything is corrected: whoever reads the
        ledger later sees who requested it.
        """
        corrections = await self.plan_corrections()
        at = self.account.shared.clock.now()
        foreign = [
            order
            for each in corrections
            if isinstance(each, ForeignOrders)
            for order in each.exchange_order_ids
        ]

        def decide(db: Database) -> None:
            if foreign:
                accept_foreign(
                    db,
                    account=self.account.id,
                    name=self.account.name,
                    exchange_order_ids=foreign,
                    by=by,
                    at=at,
                )
            also(db, corrections)

        if corrections:
            await self.account.shared.ledger.write(decide)
        self.account.foreign = met_foreign(self.account.shared.ledger.db, self.account.id)
        await self.reader.read_account()
        return corrections

    async def bind(
        self,
        attempt_id: int,
        exchange_order_id: str,
        also: Callable[[Database], None] = lambda db: None,
    ) -> None:
        """Prove an attempt by the exchange order that a person names, with what ``also`` writes in
        the same transaction.

        Raises NothingThere if the exchange has no such order of it.
        """
        await self.resolver.bind(attempt_id, exchange_order_id, also)
