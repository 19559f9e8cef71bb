"""One follower account, one task: it keeps the account read, plans what waits in the ledger, and lets lanes send it.

What always holds: a leg is planned only from the ledger (the doorbell carries nothing); per symbol at most one entry and one exit
run at a time, and an exit never waits for an entry's answer; entries wait for the first reading of the account and fail closed
without it, exits do not; what is claimed is answered for, whatever is cancelled.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import trio

from engine.actors.books_watch import BooksWatch
from engine.actors.doorbell import Doorbell
from engine.actors.exchange_session import ExchangeSession
from engine.actors.lanes import Lanes
from engine.actors.old_ledger import OldLedger
from engine.actors.position_ids import PositionIds, Replaced
from engine.actors.preflight import PreflightWatch
from engine.actors.protection_guard import ProtectionGuard
from engine.actors.resolver import Resolver
from engine.actors.shared import Shared
from engine.actors.supervisor import Vitals, keep
from engine.actors.unreadable import UnreadableRows
from engine.decisions.explaining import LaneNow
from engine.decisions.order_lifecycle import AttemptState
from engine.decisions.planning import AccountView, Reading
from engine.decisions.reconciliation import Correction, ForeignOrders, ShareShrunk, reconcile
from engine.decisions.risk import equity, may_have_position, trading_day, unread_row
from engine.decisions.routing import ENTRY, EXIT
from engine.domain.account import AccountReport, EquityMarks, UnreadableRow
from engine.domain.alert import AlertCode
from engine.domain.amounts import EXACT, plain
from engine.domain.holding import PendingEntry, SwitchLevel
from engine.domain.identifiers import AccountId, CopyId, StrategyId, Symbol
from engine.domain.order import OrderReport
from engine.ledger import Database
from engine.ledger.alerts import raise_alert
from engine.ledger.attempts import (
    accept_foreign,
    accepted_foreign,
    bound_order_ids,
    knows_client_order_id,
    last_exits,
    meet_foreign,
    met_foreign,
    open_attempts,
    open_entries,
    unsettled_symbols,
)
from engine.ledger.books import Change, change_share
from engine.ledger.copies import WaitingLeg, is_exiting, waiting_legs
from engine.ledger.equity import mark_equity, read_equity_marks
from engine.ledger.holdings import read_holding, read_holdings, write_holding
from engine.ledger.outcomes import write_event, write_pulse
from engine.ledger.resolving import end, unknown_outcome
from engine.ports.exchange import Rejected, RejectionKind

_LOG = logging.getLogger("rexalgo.follower")
UNREADABLE_AFTER: Final = timedelta(minutes=5)
RECONNECT_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0)


@dataclass(slots=True)
class Reserved:
    """Hold an own entry that the newest report may not show; ``ended_at`` is when its fate was proven."""

    entry: PendingEntry
    ended_at: datetime | None = None


class Follower:
    """Act for one account. ``ring`` tells it that the ledger has something new."""

    def __init__(
        self, account: AccountId, name: str, exchange: str, environment: str, shared: Shared, new_session: Callable[[], ExchangeSession]
    ) -> None:
        self.account = account
        self.name = name
        self.exchange = exchange
        self.environment = environment
        self.shared = shared
        self.vitals = Vitals(f"account {name}")
        self.session: ExchangeSession | None = None
        self.report: AccountReport | None = None
        self.read_at: datetime | None = None
        self._read_began: datetime | None = None
        self._under_way: tuple[datetime, trio.Event] | None = None
        self.last_report: AccountReport | None = None
        """The newest report, for people only: kept while the account cannot be read, when ``report`` is None and entries fail closed."""
        self.problem = ""
        """Why the account cannot be read; empty where it can."""
        self.problem_may_pass = False
        self.key_refused = False
        self.foreign = met_foreign(shared.ledger.db, account)
        """Orders with our mark that the ledger lacks: entries stop until a person accepts them, whatever is read meanwhile."""
        self.first_reading = trio.Event()
        self.reserved: dict[CopyId, Reserved] = {}
        self.asked_to_cancel: dict[int, datetime] = {}
        self._unread_since: datetime | None = None
        self._check_is_due = False
        self.guard = ProtectionGuard(self)
        self.unreadable = UnreadableRows(self)
        self._new_session = new_session
        self._told_restarts = 0
        self._jitter = random.Random(account)  # noqa: S311 - spreads restarts, guards nothing
        self._retired: list[ExchangeSession] = []
        self._bell = Doorbell()
        self._read_bell = Doorbell()
        self._lanes = Lanes(self)
        self._resolver = Resolver(self)
        self.position_ids = PositionIds(self)
        self.old_ledger = OldLedger(self)
        self.preflight = PreflightWatch(self)
        self.books = BooksWatch(self)

    def ring(self) -> None:
        """Say that the ledger may have something new for this account."""
        self._bell.ring()

    def watch_open_attempts(self) -> None:
        """Say that an attempt's fate became open."""
        self._resolver.ring()

    def look_now(self, attempt_id: int) -> None:
        """Have one open attempt looked up as soon as possible."""
        self._resolver.look_now(attempt_id)

    def look_at_all(self) -> None:
        """Have every open attempt looked up as soon as possible: a switch may have taken its place away."""
        self._resolver.look_at_all()

    def note(self, what: str, error: Exception) -> None:
        """Log what went wrong for this account and is tried again."""
        _LOG.warning("account %s [%s]: %s: %s: %s", self.name, self.environment, what, type(error).__name__, error)

    @property
    def can_protect(self) -> bool:
        """Tell whether the exchange can move stop and target of a position."""
        return self.session is not None and self.session.can_protect

    def level_for(self, strategy: StrategyId) -> int:
        """Return the rank of the highest switch that concerns a strategy here: 0 for none, see SwitchLevel."""
        concerned = self.shared.switches_for(self.account, self.name, strategy, self.exchange)
        return max((each.level.rank for each in concerned), default=0)

    @property
    def equity_marks(self) -> EquityMarks | None:
        """Return the equities that loss limits compare with."""
        return read_equity_marks(self.shared.ledger.db, self.account, self.shared.pace.trading_day_zone)

    def read_soon(self) -> None:
        """Ask for a new reading of the account."""
        self._read_bell.ring()

    def renew_session(self) -> None:
        """Use the account's new key from now on. What is being sent with the old one gets its answer on the old connection."""
        if self.session is not None:
            self._retired.append(self.session)
            self.session = None
            self._check_is_due = True
        self.read_soon()

    @property
    def settled(self) -> bool:
        """Tell whether the first reading is done or has visibly failed."""
        return self.first_reading.is_set() or bool(self.problem)

    async def run(self) -> None:
        """Run until cancelled; raises when something is wrong with this account's own code or adapter."""
        await self._own_stray_claims()
        self._reserve_open_entries()
        try:
            async with trio.open_nursery() as nursery:
                # Apart from each other and from the lanes: whatever fails for good beside an exit, the exit goes out.
                parts = (self.old_ledger.run, self._keep_reading, self._resolver.run, self.guard.run, self.preflight.run, self.books.run)
                for part in parts:
                    nursery.start_soon(keep, self.vitals, partial(self._told_if_quarantined, part), self._jitter)
                await self._dispatch(nursery)
        finally:
            self._lanes.forget()
            for session in (*self._retired, *([] if self.session is None else [self.session])):
                await session.aclose()
            self._retired.clear()
            self.session = None

    async def _told_if_quarantined(self, run: Callable[[], Awaitable[None]]) -> None:
        if self.vitals.quarantined and self._told_restarts != self.vitals.restarts:
            self._told_restarts = self.vitals.restarts  # once for each failure, though all parts begin again with the task
            await self.shared.alert(AlertCode.ACCOUNT_QUARANTINED, self.name, problem=self.vitals.last_error)
        await run()

    async def _own_stray_claims(self) -> None:
        """Turn claims that no task answers for any more into UNKNOWN: after a crash of the process or of this task alike."""
        stray = [each for each in open_attempts(self.shared.ledger.db, self.account) if each.state is AttemptState.CLAIMED]
        if not stray:
            return
        cause, at = "the task stopped while it was being sent", self.shared.clock.now()

        def own(db: Database) -> None:
            for attempt in stray:
                end(db, attempt.id, AttemptState.UNKNOWN, unknown_outcome(attempt.intent, cause), cause, at)

        await self.shared.ledger.write(own)

    def _reserve_open_entries(self) -> None:
        """Count what an earlier process or task sent and nobody has proven: its reservations ended with it, and caps must hold."""
        for each in open_entries(self.shared.ledger.db, self.account):
            intent = each.intent
            self.reserve(
                PendingEntry(each.copy, intent.symbol, each.strategy, intent.position_side, intent.quantity, each.notional, each.margin)
            )

    async def _dispatch(self, nursery: trio.Nursery) -> None:
        while True:
            earliest: datetime | None = None
            now = self.shared.clock.now()
            for leg in [] if self.why_held else waiting_legs(self.shared.ledger.db, self.account):
                due = max(leg.retry_at, self._lanes.not_before(leg), self.old_ledger.look_until)
                if due > now:
                    earliest = due if earliest is None else min(earliest, due)
                elif self._may_start(leg):
                    self._lanes.start(nursery, leg)
            pause = None if earliest is None else (earliest - now).total_seconds()
            await self._bell.wait(pause)

    def _may_start(self, leg: WaitingLeg) -> bool:
        if leg.kind == EXIT and self.exits_wait(leg.strategy):
            return False
        return not self.shared.stopping and not self._lanes.is_busy(leg) and (leg.kind != ENTRY or not self.vitals.quarantined)

    @property
    def why_held(self) -> str:
        """Say why nothing may leave this account, empty where it may."""
        return self.shared.why_held(self.account)

    def in_lane(self, copy: CopyId) -> LaneNow:
        """Return what this task knows of a copy that the ledger does not."""
        held = self.why_held
        return replace(self._lanes.now(copy), waits_for=f"a person, because nothing is sent: {held}") if held else self._lanes.now(copy)

    def exits_wait(self, strategy: StrategyId) -> bool:
        """Tell whether closing orders wait for a person because conservation is broken; to flatten is that person's decision."""
        concerned = self.shared.switches_for(self.account, self.name, strategy, self.exchange)
        return any(each.stops_exits for each in concerned) and all(each.level is not SwitchLevel.FLATTEN for each in concerned)

    def unread(self, symbol: Symbol) -> UnreadableRow | None:
        """Return a row of the newest reading that may be about a symbol and cannot be read."""
        return None if self.report is None else unread_row(self.report, symbol)

    def view(self) -> AccountView | None:
        """Return the account as known now: the newest report, our holdings, and own entries that the report may not show."""
        if self.report is None:
            return None
        pending = tuple(each.entry for each in self.reserved.values())
        return AccountView(self.report, read_holdings(self.shared.ledger.db, self.account), pending)

    async def _keep_reading(self) -> None:
        failures = 0
        while True:
            failures = 0 if await self.try_to_read() else failures + 1
            await self._read_bell.wait(self._reading_pause_s(failures))
            if not self.problem:  # an account that is not ready keeps its own entries waiting
                await self.shared.calm()

    def _reading_pause_s(self, failures: int) -> float:
        if failures:
            return RECONNECT_S[min(failures, len(RECONNECT_S)) - 1]
        active = bool(self.reserved) or bool(read_holdings(self.shared.ledger.db, self.account))
        return self.shared.pace.reconcile_active_s if active else self.shared.pace.reconcile_idle_s

    def _cannot_read(self, error: Exception) -> None:
        if not self.problem:
            _LOG.warning("account %s [%s] cannot be read: %s: %s", self.name, self.environment, type(error).__name__, error)
        self.problem = f"{type(error).__name__}: {error}"[:200]
        self.problem_may_pass = not isinstance(error, Rejected)
        self.key_refused = isinstance(error, Rejected) and error.kind is RejectionKind.CREDENTIALS
        self.first_reading.set()
        self.report = None
        self.ring()

    async def try_to_read(self) -> bool:
        """Read the account now; a failure is noted on the account, and False is returned."""
        try:
            await self.read_account()
        except Exception as error:  # the periodic reading goes on; meanwhile entries fail closed
            self._cannot_read(error)
            await self._tell_unreadable(error)
            return False
        if self._unread_since is not None:
            self._unread_since = None
            await self.tell_pages("reading", {"problem": ""})
        return True

    async def tell_pages(self, kind: str, data: dict[str, object]) -> None:
        """Have open pages renew themselves: how an account is read and checked changes nothing else that they look at."""
        at = self.shared.clock.now()
        await self.shared.ledger.write(lambda db: write_pulse(db, kind, self.name, data, at))

    async def _tell_unreadable(self, error: Exception) -> None:
        """Alert at once about a refused key, and about any other reason once it has lasted."""
        now = self.shared.clock.now()
        since = self._unread_since or now  # kept here: another reading may succeed while this one is told
        if self._unread_since is None:
            self._unread_since = now
            await self.tell_pages("reading", {"problem": self.problem})
        held = [each for each in read_holdings(self.shared.ledger.db, self.account) if each.share > 0]
        named = ", ".join(f"{each.side.value} {plain(each.share)} {each.symbol}" for each in held) or "none"
        if isinstance(error, Rejected) and error.kind is RejectionKind.CREDENTIALS:
            await self.shared.alert(AlertCode.CREDENTIALS_REFUSED, self.name, problem=error.text, positions=named)
        elif now - since >= UNREADABLE_AFTER:
            minutes = str((now - since) // timedelta(minutes=1))
            await self.shared.alert(
                AlertCode.ACCOUNT_UNREADABLE, self.name, minutes=minutes, problem=self.problem, positions=str(len(held))
            )

    async def connected(self) -> ExchangeSession:
        """Return the open session, connecting where needed; raises what connecting raised."""
        if self.session is None:
            session = self._new_session()
            try:
                await session.open()
            except BaseException:
                await session.aclose()
                raise
            self.session = session
        return self.session

    def reading_after_exits(self, symbol: Symbol) -> tuple[Reading, Reading]:
        """Compare the newest reading with the exits of ours that closed something: in one symbol, and in any."""
        began = self._read_began
        if began is None:
            return Reading.AFTER, Reading.AFTER  # nothing was read yet, so nothing is planned from it
        ended = last_exits(self.shared.ledger.db, self.account, began - timedelta(seconds=self._visible_within_s()))
        if not ended:
            return Reading.AFTER, Reading.AFTER
        anywhere = Reading.BEFORE if began < max(ended.values()) else Reading.SOON_AFTER
        here = ended.get(symbol)
        return Reading.AFTER if here is None else Reading.BEFORE if began < here else Reading.SOON_AFTER, anywhere

    async def read_after_exits(self, symbol: Symbol) -> None:
        """Have a reading that began after our exits in a symbol: the one that is under way, if it did, else a new one."""
        if self._under_way is not None and symbol not in last_exits(self.shared.ledger.db, self.account, self._under_way[0]):
            await self._under_way[1].wait()
        if self.reading_after_exits(symbol)[0] is Reading.BEFORE:
            await self.try_to_read()

    async def read_account(self) -> None:
        """Read the account from the exchange and correct the ledger where the exchange proves it wrong.

        Readings may overlap; one that began before the newest known one changes nothing.
        """
        session = await self.connected()
        began, done = self.shared.clock.now(), trio.Event()
        self._under_way = (began, done)
        try:
            report = await session.fetch_account()
            if not self._is_overtaken(began):
                await self._take(session, report, began)
        finally:
            done.set()

    def _is_overtaken(self, began: datetime) -> bool:
        return self.report is not None and self._read_began is not None and began < self._read_began

    async def _take(self, session: ExchangeSession, report: AccountReport, began: datetime) -> None:
        undecided = await self._judge(session, report, began)
        await self._mark_equity(report)
        if self._is_overtaken(began):
            return
        if undecided is not None:
            await self.books.account_was_read(report, began, undecided)
        self.reserved = {copy: each for copy, each in self.reserved.items() if each.ended_at is None or each.ended_at >= began}
        is_due, self._check_is_due = self._check_is_due or self.report is None, False
        self.report = self.last_report = report
        self._read_began = began
        self.read_at = self.shared.clock.now()
        self.problem = ""
        self.problem_may_pass = self.key_refused = False
        self.first_reading.set()
        if is_due:
            self.preflight.ring()
        await self.unreadable.note("account", report.unreadable)
        self.guard.ring()
        self.ring()

    async def _judge(self, session: ExchangeSession, report: AccountReport, began: datetime) -> frozenset[Symbol] | None:
        """Correct the ledger by a reading and return what it does not decide; None where the ledger may be old, so nothing is corrected."""
        if self.why_held or self.old_ledger.is_looking:
            return None
        replaced = await self.position_ids.judge(session, report)
        await self._correct(report, began, replaced)
        undecided = self.unsettled(began) | replaced.undecided
        await self.position_ids.note(report, undecided)
        return undecided

    async def judge_newest(self) -> None:
        """Correct the ledger by the newest reading, which was taken while the ledger was not known to be the newest one."""
        session, report, began = self.session, self.report, self._read_began
        if session is None or report is None or began is None:
            return
        undecided = await self._judge(session, report, began)
        if undecided is not None and not self._is_overtaken(began):
            await self.books.account_was_read(report, began, undecided)

    async def _mark_equity(self, report: AccountReport) -> None:
        """Renew what loss limits compare with: at the first reading of a trading day, and at a new highest equity."""
        now, worth, marks = self.shared.clock.now(), equity(report), self.equity_marks
        is_new_day = marks is None or trading_day(marks.since, marks.zone) != trading_day(now, marks.zone)
        if is_new_day or (marks is not None and worth > marks.peak):
            await self.shared.ledger.write(lambda db: mark_equity(db, self.account, worth, now, new_day=is_new_day))

    @property
    def trouble(self) -> str:
        """Say why the account takes no entries though nobody switched them off, nothing where it does: the worse of two reasons first."""
        if not self.foreign:
            return self.problem
        told = f"{len(self.foreign)} orders carry our mark and are not in this ledger; rexalgo reconcile {self.name} shows them"
        return f"{told}; {self.problem}" if self.problem else told

    def _visible_within_s(self) -> float:
        return self.session.visible_within_s if self.session is not None else 0.0

    async def _correct(self, report: AccountReport, began: datetime, replaced: Replaced) -> None:
        for correction in self.corrections(report, began, replaced):
            if isinstance(correction, ShareShrunk):
                await self._correct_share(correction)
            elif isinstance(correction, ForeignOrders):
                await self._meet_foreign_orders(correction)

    def unsettled(self, began: datetime) -> frozenset[Symbol]:
        """Return the symbols that a reading which began then cannot judge: something of ours is under way, or ended too short before."""
        return unsettled_symbols(self.shared.ledger.db, self.account, began - timedelta(seconds=self._visible_within_s()))

    def corrections(
        self, report: AccountReport, began: datetime, replaced: Replaced, lost: Sequence[OrderReport] = ()
    ) -> tuple[Correction, ...]:  # fmt: skip
        """Compare the ledger with a reading that began then; nothing is changed."""
        db = self.shared.ledger.db
        # Attempts first, holdings after: what ends between the two statements is still seen as unsettled.
        unsettled = self.unsettled(began) | replaced.undecided
        holdings = read_holdings(db, self.account)
        resting = [each.exchange_order_id for each in report.open_orders]
        return reconcile(
            holdings,
            report,
            unsettled=unsettled,
            exiting={each.symbol for each in holdings if is_exiting(db, self.account, each.symbol)},
            bound_ids=bound_order_ids(db, self.account, resting) | accepted_foreign(db, self.account, resting),
            client_id_known=partial(knows_client_order_id, db),
            closed_ids=replaced.closed,
            replaced=replaced.unnamed,
            met_ids=self.foreign,
            lost=lost,
        )

    def not_compared(self) -> frozenset[Symbol]:
        """Return the contracts that a reading of now cannot judge: something of ours is under way there, or a row cannot be read."""
        report, held = self.report, read_holdings(self.shared.ledger.db, self.account)
        unread = {each.symbol for each in held if report is None or may_have_position(report, each.symbol)}
        return self.unsettled(self.shared.clock.now()) | unread | {each.symbol for each in held if each.entries_open}

    async def plan_corrections(self) -> tuple[Correction, ...]:
        """Read the account and return what differs from the ledger; nothing is changed."""
        if self.why_held:
            return await self.old_ledger.plan()
        session = await self.connected()
        began = self.shared.clock.now()
        report = await session.fetch_account()
        return self.corrections(report, began, await self.position_ids.judge(session, report))

    def go_on(self) -> None:
        """Say that a person let orders out again: the account is read anew, and what waits is planned."""
        self.foreign = met_foreign(self.shared.ledger.db, self.account)
        self.read_soon()
        self.ring()

    async def apply_corrections(
        self, by: str, also: Callable[[Database, tuple[Correction, ...]], None] = lambda db, found: None
    ) -> tuple[Correction, ...]:
        """Read the account, correct the ledger, and accept orders that it does not know as the owner's; returns what differed.

        ``also`` is written with the decision, before anything is corrected: whoever reads the ledger later sees who asked for it.
        """
        found = await self.plan_corrections()
        at = self.shared.clock.now()
        foreign = [order for each in found if isinstance(each, ForeignOrders) for order in each.exchange_order_ids]

        def decide(db: Database) -> None:
            if foreign:
                accept_foreign(db, self.account, self.name, foreign, by, at)
            also(db, found)

        if found:
            await self.shared.ledger.write(decide)
        self.foreign = met_foreign(self.shared.ledger.db, self.account)
        await self.read_account()
        return found

    async def bind(self, attempt_id: int, exchange_order_id: str, also: Callable[[Database], None] = lambda db: None) -> None:
        """Prove an attempt by the exchange order that a person names, with what ``also`` writes in the same transaction.

        Raises LookupError where the exchange has no such order of it.
        """
        await self._resolver.bind(attempt_id, exchange_order_id, also)

    async def _correct_share(self, correction: ShareShrunk) -> None:
        await self.shared.ledger.write(partial(self.shrink, correction, self.shared.clock.now()))

    def shrink(self, correction: ShareShrunk, at: datetime, db: Database) -> None:
        """Lower a share to what the exchange has of it, within the caller's transaction."""
        held = read_holding(db, self.account, correction.symbol)
        if held is None or held.share != correction.share_from:
            return
        closed = Change(
            False, EXACT.subtract(correction.share_from, correction.share_to), at, since=self.books.seen_at(held.symbol),
            position_id=held.position_id, ends_position=correction.share_to == 0,
        )  # fmt: skip
        write_holding(db, replace(change_share(db, held, closed), detached=correction.detached))
        data: dict[str, object] = {
            "symbol": correction.symbol,
            "from": plain(correction.share_from),
            "to": plain(correction.share_to),
            "cause": correction.cause,
        }
        write_event(db, "correction", self.name, data, at)
        if correction.detached:
            numbers = {"from_quantity": plain(correction.share_from), "to_quantity": plain(correction.share_to), "cause": correction.cause}
            same = f"{correction.symbol} {plain(correction.share_to)}"
            raise_alert(db, AlertCode.CLOSED_OUTSIDE, self.name, {"symbol": correction.symbol, **numbers}, at, same)

    async def _meet_foreign_orders(self, correction: ForeignOrders) -> None:
        """Stop entries durably, and tell people; orders that were met before are no news."""
        met = frozenset(correction.exchange_order_ids)
        if met <= self.foreign:
            return
        details, at = {"count_orders": str(len(met))}, self.shared.clock.now()

        def write(db: Database) -> None:
            meet_foreign(db, self.account, met)
            raise_alert(db, AlertCode.FOREIGN_ORDERS, self.name, details, at)

        await self.shared.ledger.write(write)
        self.foreign = met_foreign(self.shared.ledger.db, self.account)

    def reserve(self, entry: PendingEntry) -> None:
        """Count an entry that is about to be sent against every cap, until a reading shows it."""
        self.reserved[entry.copy] = Reserved(entry)

    def forget_settled(self, symbol: Symbol) -> None:
        """Stop reserving entries whose fate is proven where the ledger says that nothing of ours is left in the symbol."""
        if read_holding(self.shared.ledger.db, self.account, symbol) is None:
            self.reserved = {
                copy: each for copy, each in self.reserved.items() if each.ended_at is None or each.entry.symbol != symbol
            }  # fmt: skip

    def release(self, copy: CopyId, *, proven: bool) -> None:
        """Stop reserving an entry: at once when nothing was executed, else once a reading that began later shows it."""
        held = self.reserved.get(copy)
        if held is None:
            return
        if proven:
            held.ended_at = self.shared.clock.now()
        else:
            del self.reserved[copy]
