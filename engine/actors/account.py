"""What is known and reserved of one account: its session, its newest report, why it cannot be read,
entries that no report shows yet.

It runs nothing. Its reader, its lanes and its watches share it, and wake each other through it.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf
from typing import Final

import trio

from engine.actors.exchange_session import ExchangeSession
from engine.actors.history_look import HistoryLook
from engine.actors.shared import Shared
from engine.actors.wakeup import WakeUp
from engine.decisions.order_lifecycle import AttemptState
from engine.decisions.planning import AccountView, Reading
from engine.decisions.risk import may_have_position, unread_row
from engine.domain.account import AccountReport, EquityMarks, UnreadableRow
from engine.domain.amounts import Quantity
from engine.domain.holding import Holding, PendingEntry, SwitchLevel
from engine.domain.identifiers import AccountId, CopyId, StrategyId, Symbol
from engine.domain.moves import require_move
from engine.domain.readiness import READINESS_MOVES, Readiness
from engine.ledger import Database
from engine.ledger.attempts import (
    accounts_with_open_attempts,
    all_met_foreign,
    last_exits,
    met_foreign,
    open_attempts,
    open_entries,
    resting_entries,
    unsettled_symbols,
)
from engine.ledger.copies import WaitingLeg, waiting_legs
from engine.ledger.equity import read_equity_marks
from engine.ledger.holdings import read_holding, read_holdings
from engine.ledger.outcomes import write_pulse
from engine.ports.exchange import Rejected, RejectionKind

_LOG: Final = logging.getLogger("rexalgo.account")
RETIRED_FOR_S: Final = 120.0
"""How long the connection of a replaced key stays open: longer than the deadline of any call."""
_UNDER_WAY: Final = (AttemptState.CLAIMED, AttemptState.UNKNOWN)


@dataclass(slots=True)
class Reserved:
    """An entry of ours that the newest report may not show; ``ended_at`` is when its fate was
    proven, on trio's clock.
    """

    entry: PendingEntry
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Began:
    """When a reading began: ``at`` on the machine's clock, to compare with times in the ledger;
    ``moment`` on trio's, which nobody sets, to tell which of two readings is the newer one.
    """

    at: datetime
    moment: float


@dataclass(frozen=True, slots=True)
class Located:
    """An open position, and the most of a share that is in it."""

    position_id: str
    quantity: Quantity


@dataclass(frozen=True, slots=True)
class Opening:
    """What the ledger has of an account before its task runs for the first time. The legs that wait
    are offered by the router.
    """

    foreign: frozenset[str]
    has_open_attempts: bool


def read_openings(db: Database, joining: Collection[AccountId]) -> dict[AccountId, Opening]:
    """Read the opening of each joining account, in a fixed number of statements."""
    if not joining:
        return {}
    foreign, opened = all_met_foreign(db), accounts_with_open_attempts(db)
    return {each: Opening(foreign.get(each, frozenset()), each in opened) for each in joining}


class Account:
    """One account. The wake-ups wake its parts: ``legs`` the planner, ``protection`` and ``check``
    the watches.
    """

    __slots__ = (  # thousands of accounts are idle at once
        "_begin_once_read",
        "_first_reading",
        "_keys_replaced",
        "_looks_up_all",
        "_new_session",
        "_opening",
        "_queue",
        "_read_moment",
        "_retired",
        "_to_look_up",
        "asked_to_cancel",
        "attempts",
        "carried_into",
        "check",
        "environment",
        "exchange",
        "filled_at",
        "foreign",
        "has_new_key",
        "history",
        "id",
        "is_reading_awaited",
        "last_report",
        "legs",
        "legs_wait",
        "name",
        "problem",
        "protection",
        "read_at",
        "read_began",
        "readiness",
        "reading",
        "report",
        "reserved",
        "session",
        "shared",
    )

    def __init__(
        self,
        identifier: AccountId,
        name: str,
        exchange: str,
        environment: str,
        shared: Shared,
        new_session: Callable[[], ExchangeSession],
        opening: Opening | None = None,
    ) -> None:
        """Without an ``opening``, the account reads the ledger itself."""
        self.id = identifier
        self.name = name
        self.exchange = exchange
        self.environment = environment
        self.shared = shared
        self.session: ExchangeSession | None = None
        self.report: AccountReport | None = None
        self.read_at: datetime | None = None
        self.read_began: Began | None = None
        self._read_moment = -inf
        self.last_report: AccountReport | None = None
        """The newest report, for people only: kept while the account cannot be read, when
        ``report`` is None and entries fail closed.
        """
        self.readiness = Readiness.UNREAD
        self.problem = ""
        """Why the account cannot be read; empty if it can."""
        self.foreign = (
            met_foreign(shared.ledger.db, identifier) if opening is None else opening.foreign
        )
        """Orders with our mark that the ledger lacks: entries stop until a person accepts them,
        whatever is read meanwhile.
        """
        self._first_reading: trio.Event | None = None
        self._begin_once_read: tuple[WakeUp, ...] = ()
        self.history = HistoryLook()
        self.carried_into: Mapping[Symbol, Located] = {}
        """By symbol the open position that has a part of a share by the newest reading, though the
        share still names another one: an entry that works may yet change how much.
        """
        self.reserved: dict[CopyId, Reserved] = {}
        self.asked_to_cancel: dict[int, float] = {}
        """When a cancellation was last asked for, on trio's clock."""
        self.filled_at: dict[Symbol, float] = {}
        """When this process last learned of a fill of ours in a contract, on trio's clock."""
        self.has_new_key = False
        self.is_reading_awaited = False
        self._queue: list[WaitingLeg] | None = None if opening is None else []
        self.legs_wait = True
        """Whether a leg waited when the planner last looked, beside those that it started."""
        self._opening = opening
        self.legs, self.reading, self.attempts, self.protection, self.check = (
            WakeUp() for _ in range(5)
        )
        self._new_session = new_session
        self._retired: list[tuple[ExchangeSession, float]] = []
        """The sessions of replaced keys, with the time of the replacement on trio's clock."""
        self._keys_replaced = 0
        self._to_look_up: list[int] = []
        self._looks_up_all = False

    def wake(self) -> None:
        """Wake the planner: the ledger may have something new for this account."""
        self.legs.wake()

    def reconsider(self) -> None:
        """Wake the planner if legs waited when it last looked: what they wait for may have changed.
        A leg recorded since then is offered.
        """
        if self.legs_wait:
            self.legs.wake()

    def begins_without_open_attempts(self) -> bool:
        """Return whether the task begins for the first time and nothing was open then. A task that
        begins again asks the ledger.
        """
        opening, self._opening = self._opening, None
        return opening is not None and not opening.has_open_attempts

    def offer(self, legs: list[WaitingLeg]) -> None:
        """Wake the planner with the legs that were just read for it together with those of others."""
        self._queue = legs
        self.legs.wake()

    def take_waiting(self) -> list[WaitingLeg]:
        """Return the legs that wait: those offered since the last call, else read now. Both may be
        out of date at once, so a claim compares again.
        """
        offered, self._queue = self._queue, None
        legs = (
            waiting_legs(self.shared.ledger.db, [self.id]).get(self.id, [])
            if offered is None
            else offered
        )
        self.legs_wait = bool(legs)
        return legs

    def read_soon(self) -> None:
        """Request a new reading of the account: something waits for it."""
        self.is_reading_awaited = True
        self.reading.wake()

    def read_in_turn(self) -> None:
        """Request a new reading of the account that nothing waits for: after a fan-out it takes its
        turn.
        """
        self.reading.wake()

    def watch_open_attempts(self) -> None:
        """Wake the resolver: an attempt's fate became open."""
        self.attempts.wake()

    def look_now(self, attempt_id: int) -> None:
        """Request that one open attempt be looked up as soon as possible."""
        self._to_look_up.append(attempt_id)
        self.attempts.wake()

    def look_at_all(self) -> None:
        """Request that every open attempt be looked up as soon as possible: a switch may require
        its cancellation.
        """
        self._looks_up_all = True
        self.attempts.wake()

    def take_to_look_up(self, open_ids: Iterable[int]) -> set[int]:
        """Return which of the open attempts are to be looked up at once, and clear the request."""
        wanted = {each for each in open_ids if self._looks_up_all or each in self._to_look_up}
        self._to_look_up.clear()
        self._looks_up_all = False
        return wanted

    def note(self, what: str, error: Exception) -> None:
        """Log what went wrong for this account and is tried again."""
        _LOG.warning(
            "account %s [%s]: %s: %s: %s",
            self.name,
            self.environment,
            what,
            type(error).__name__,
            error,
        )

    @property
    def can_protect(self) -> bool:
        """Return whether the exchange can move stop and target of a position."""
        return self.session is not None and self.session.can_protect

    def level_for(self, strategy: StrategyId) -> int:
        """Return the rank of the highest switch that applies to a strategy here: 0 for none, see
        SwitchLevel.
        """
        concerned = self.shared.switches_for(self.id, self.name, strategy, self.exchange)
        return max((each.level.rank for each in concerned), default=0)

    @property
    def equity_marks(self) -> EquityMarks | None:
        """Return the equities that loss limits compare with."""
        return read_equity_marks(self.shared.ledger.db, self.id, self.shared.pace.trading_day_zone)

    def begin_reading(self) -> Began:
        """Return when a reading that begins now began."""
        return Began(self.shared.clock.now(), trio.current_time())

    @property
    def reading_age_s(self) -> float:
        """Return how many seconds ago the newest reading ended; infinite before the first."""
        return trio.current_time() - self._read_moment

    def was_read(self, report: AccountReport, began: Began) -> None:
        """Adopt the report of a reading that began at ``began``, and wake the tasks that use
        reports.
        """
        check_is_due, self.has_new_key = self.has_new_key or self.report is None, False
        self.reserved = {
            copy: each
            for copy, each in self.reserved.items()
            if each.ended_at is None or each.ended_at >= began.moment
        }
        had_positions = self.last_report is not None and self.last_report.positions
        self.report = self.last_report = report
        self.read_began = began
        self.read_at, self._read_moment = self.shared.clock.now(), trio.current_time()
        self._became(Readiness.READY, "")
        self._end_first_wait()
        if check_is_due:
            self.check.wake()
        if report.positions or had_positions:
            self.protection.wake()
        self.reconsider()

    def could_not_be_read(self, error: Exception) -> None:
        """Record why the newest reading failed: until one succeeds, entries fail closed."""
        if not self.problem:
            self.note("cannot be read", error)
        self._became(_readiness_after(error), f"{type(error).__name__}: {error}"[:200])
        self._end_first_wait()
        self.report = None
        self.reconsider()

    def _became(self, readiness: Readiness, problem: str) -> None:
        require_move(READINESS_MOVES, self.readiness, readiness, "an account")
        self.readiness, self.problem = readiness, problem

    def is_overtaken(self, began: Began) -> bool:
        """Return whether a reading that began at ``began`` is older than the newest one, so that it
        changes nothing.
        """
        return (
            self.report is not None
            and self.read_began is not None
            and began.moment < self.read_began.moment
        )

    def renew_session(self) -> None:
        """Use the account's new key from now on. What is being sent with the old key gets its
        answer on the old connection; see ``close_retired``.
        """
        self._keys_replaced += 1
        if self.session is not None:
            self._retired.append((self.session, trio.current_time()))
            self.session = None
            self.has_new_key = True
        self.read_soon()

    def replaced(self, session: ExchangeSession) -> bool:
        """Return whether the key of a session was replaced since it was opened: what the exchange
        refuses it says nothing about the account.
        """
        return self.session is not session

    async def connected(self) -> ExchangeSession:
        """Return the open session, connecting if needed; raises what connecting raised.

        Several may connect at once, and none waits for another: the first one open is kept. What a
        key that was replaced meanwhile raised is not raised: the new one is tried.
        """
        while self.session is None:
            session, key = self._new_session(), self._keys_replaced
            try:
                await session.open()
            except BaseException as error:
                await session.aclose()
                if isinstance(error, Exception) and key != self._keys_replaced:
                    continue
                raise
            # a key that was replaced meanwhile may be refused from now on
            if self.session is None and key == self._keys_replaced:
                self.session = session
            else:
                await session.aclose()
        return self.session

    async def close_retired(self) -> None:
        """Close the connections of replaced keys on which no call can be under way any more: an
        adapter may read prices with every open one.
        """
        while self._retired and self._retired[0][1] <= trio.current_time() - RETIRED_FOR_S:
            session, _ = self._retired.pop(0)
            try:
                await session.aclose()
            except Exception as error:  # an adapter's fault concerns nothing that is in use
                self.note("the connection of its former key cannot be closed", error)

    async def aclose(self) -> None:
        """Close every connection."""
        retired = [session for session, _ in self._retired]
        for session in (*retired, *([] if self.session is None else [self.session])):
            await session.aclose()
        self._retired.clear()
        self.session = None

    @property
    def clock_offset_s(self) -> float | None:
        """Return how far the exchange's clock is ahead of ours; None without a connection, or if it
        is not known.
        """
        return None if self.session is None else self.session.clock_offset_s

    async def wait_read(self) -> None:
        """Wait until the first reading has arrived or has failed."""
        if not self.settled:
            if self._first_reading is None:
                self._first_reading = trio.Event()
            await self._first_reading.wait()

    def wake_once_read(self, *parts: WakeUp) -> None:
        """Wake these parts once the first reading has arrived or has failed; now if it has."""
        self._begin_once_read = parts
        if self.settled:
            self._end_first_wait()

    def _end_first_wait(self) -> None:
        if self._first_reading is not None:
            self._first_reading.set()
            self._first_reading = None
        parts, self._begin_once_read = self._begin_once_read, ()
        for each in parts:
            each.wake()

    @property
    def settled(self) -> bool:
        """Return whether the first reading is done or has visibly failed."""
        return self.readiness is not Readiness.UNREAD

    @property
    def why_held(self) -> str:
        """Return why no order may leave this account, empty if one may."""
        return self.shared.why_held(self.id)

    def exits_wait(self, strategy: StrategyId) -> bool:
        """Return whether closing orders wait for a person because conservation is broken; a flatten
        is that person's decision.
        """
        concerned = self.shared.switches_for(self.id, self.name, strategy, self.exchange)
        return any(each.stops_exits for each in concerned) and all(
            each.level is not SwitchLevel.FLATTEN for each in concerned
        )

    @property
    def trouble(self) -> str:
        """Return why the account takes no entries though nobody switched them off, empty if it
        does; the worse of two reasons first.
        """
        if not self.foreign:
            return self.problem
        foreign_note = (
            f"{len(self.foreign)} orders carry our mark and are not in this ledger; rexalgo "
            f"reconcile {self.name} shows them"
        )
        return f"{foreign_note}; {self.problem}" if self.problem else foreign_note

    def located(self, holding: Holding) -> Holding:
        """Return a holding with the position that has its share by the newest reading, and with what
        of the share is in that one.
        """
        into = self.carried_into.get(holding.symbol)
        if into is None:
            return holding
        share = min(holding.share, into.quantity)
        return replace(holding, position_id=into.position_id, share=share)

    def unread(self, symbol: Symbol) -> UnreadableRow | None:
        """Return a row of the newest reading that may concern a symbol and cannot be read."""
        return None if self.report is None else unread_row(self.report, symbol)

    def view(self) -> AccountView | None:
        """Return the account as known now: the newest report, our holdings, and entries of ours
        that the report may not show.
        """
        if self.report is None:
            return None
        # Before the holdings are read: what fills between the two statements counts twice, not never.
        resting = self._resting(self.report)
        pending = tuple(resting.get(copy, each.entry) for copy, each in self.reserved.items())
        return AccountView(self.report, read_holdings(self.shared.ledger.db, self.id), pending)

    def _resting(self, report: AccountReport) -> dict[CopyId, PendingEntry]:
        """Return the reserved entries that rest at the exchange, with what of them filled.

        The free balance of a reading lacks what they may cost if it lists them and began once the
        exchange had taken them, and if the exchange reserves for orders at all.
        """
        listed = {each.exchange_order_id for each in report.open_orders}
        if not listed or not self.reserved or self.read_began is None:
            return {}
        known_since = self._shown_until(self.read_began.at)
        reserves = self.session is not None and self.session.reserves_for_resting
        return {
            each.copy: replace(
                self.reserved[each.copy].entry,
                filled=each.filled,
                is_reserved=reserves
                and each.exchange_order_id in listed
                and each.proven_at <= known_since,
            )
            for each in resting_entries(self.shared.ledger.db, self.id)
            if each.copy in self.reserved
        }

    async def tell_pages(self, kind: str, data: dict[str, object]) -> None:
        """Refresh open pages: how an account is read and checked changes nothing else that they
        watch.
        """
        at = self.shared.clock.now()
        await self.shared.ledger.write(
            lambda db: write_pulse(db, kind=kind, subject=self.name, data=data, at=at)
        )

    @property
    def visible_within_s(self) -> float:
        """Return how long the exchange may take to show what it did, as its adapter states; 0
        without a connection.
        """
        return self.session.visible_within_s if self.session is not None else 0.0

    def _shown_until(self, began: datetime) -> datetime:
        """Return until when a reading that began at ``began`` shows all that happened."""
        return began - timedelta(seconds=self.visible_within_s)

    def shows(self, moment: float) -> bool:
        """Return whether the newest reading shows all that happened until a moment of trio's clock."""
        began = self.read_began
        return began is not None and began.moment >= moment + self.visible_within_s

    def reading_after_exits(self, symbol: Symbol) -> tuple[Reading, Reading]:
        """Compare the newest reading with our exits that closed something: in one symbol, and in
        any.
        """
        if self.read_began is None:
            return (
                Reading.AFTER,
                Reading.AFTER,
            )  # nothing was read yet, so nothing is planned from it
        began = self.read_began.at
        ended = last_exits(self.shared.ledger.db, self.id, self._shown_until(began))
        if not ended:
            return Reading.AFTER, Reading.AFTER
        anywhere = Reading.BEFORE if began < max(ended.values()) else Reading.SOON_AFTER
        here = ended.get(symbol)
        return (
            Reading.AFTER
            if here is None
            else Reading.BEFORE
            if began < here
            else Reading.SOON_AFTER,
            anywhere,
        )

    def unsettled(self, began: datetime, *, working: bool = True) -> frozenset[Symbol]:
        """Return the symbols that a reading which began at ``began`` cannot judge: something of
        ours is under way, or ended too shortly before. Without ``working``, those are left out where
        only entries work and all that they are known to have filled is shown.
        """
        return unsettled_symbols(
            self.shared.ledger.db, self.id, self._shown_until(began), working=working
        )

    def may_miss_fill(self, symbol: Symbol) -> bool:
        """Return whether the newest reading may not show yet what an order of ours did to the
        position in a symbol: it may be at the exchange since, or filled too shortly before.

        An order that rests does nothing to it.
        """
        return self.may_precede_fill(symbol) or any(
            each.intent.symbol == symbol and each.state in _UNDER_WAY
            for each in open_attempts(self.shared.ledger.db, self.id)
        )

    def may_precede_fill(self, symbol: Symbol) -> bool:
        """Return whether the newest reading, also one kept for people, may not show yet the newest
        fill of ours in a symbol.
        """
        return not self.shows(self.filled_at.get(symbol, -inf))

    def not_compared(self) -> frozenset[Symbol]:
        """Return the contracts that a reading made now cannot judge: something of ours is under way
        there, or a row cannot be read.
        """
        report, holdings = self.report, read_holdings(self.shared.ledger.db, self.id)
        unread = {
            each.symbol
            for each in holdings
            if report is None or may_have_position(report, each.symbol)
        }
        return (
            self.unsettled(self.shared.clock.now())
            | unread
            | {each.symbol for each in holdings if each.entries_open}
        )

    def reserve_open_entries(self) -> None:
        """Reserve the entries that an earlier process or task sent and nobody has proven: its
        reservations ended with it, and caps must hold.
        """
        for attempt in open_entries(self.shared.ledger.db, self.id):
            intent = attempt.intent
            self.reserve(
                PendingEntry(
                    copy=attempt.copy,
                    symbol=intent.symbol,
                    strategy=attempt.strategy,
                    side=intent.position_side,
                    quantity=intent.quantity,
                    notional=attempt.notional,
                    margin=attempt.margin,
                )
            )

    def reserve(self, entry: PendingEntry) -> None:
        """Count an entry that is about to be sent against every cap, until a reading shows it."""
        self.reserved[entry.copy] = Reserved(entry)

    def forget_settled(self, symbol: Symbol) -> None:
        """Stop reserving entries whose fate is proven if the ledger has nothing of ours left in the
        symbol.
        """
        if read_holding(self.shared.ledger.db, self.id, symbol) is None:
            self.reserved = {
                copy: each
                for copy, each in self.reserved.items()
                if each.ended_at is None or each.entry.symbol != symbol
            }

    def release(self, copy: CopyId, *, proven: bool) -> None:
        """Stop reserving an entry: at once if nothing was executed, else once a reading that began
        later shows it.
        """
        reserved = self.reserved.get(copy)
        if reserved is None:
            return
        if proven:
            reserved.ended_at = trio.current_time()
        else:
            del self.reserved[copy]


def _readiness_after(error: Exception) -> Readiness:
    if not isinstance(error, Rejected):
        return Readiness.FAILED
    is_key = error.kind is RejectionKind.CREDENTIALS
    return Readiness.KEY_REFUSED if is_key else Readiness.REFUSED
