"""Find out by reading alone what became of orders whose fate is open: unknown, resting, or not
confirmed.

An unknown order is never sent again. An order that is absent in three complete readings over the
configured window is NOT_CONFIRMED and raises an alert, whether the exchange had accepted it or not;
late proof still changes it, and 15 minutes of complete absence of an entry free its symbol. An exit
is proven by what happened to the position that it was to close, so one look reads the orders, then
the closed positions, then the account.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, assert_never

import trio

from engine.actors.account import Account
from engine.actors.account_reader import AccountReader
from engine.actors.attempt_result import outcome_of
from engine.actors.exchange_session import ExchangeSession
from engine.actors.resting_lane import take_back
from engine.actors.unreadable import UnreadableRows
from engine.decisions.order_lifecycle import AttemptState, describes, no_less
from engine.decisions.proving import (
    Absent,
    Ambiguous,
    ClosedOtherwise,
    Found,
    Sent,
    match_closed,
    match_order,
    match_position,
    may_stop_looking,
    resolution_due,
    says_who_closed,
)
from engine.decisions.risk import may_have_order, may_have_position, position_of
from engine.domain.account import ClosedPosition
from engine.domain.alert import TRIES_TOLD, AlertCode
from engine.domain.amounts import EXACT, ZERO, Price, Quantity, money_words, plain
from engine.domain.errors import NothingThere
from engine.domain.order import ClosedBy, OrderReport
from engine.domain.outcome import Outcome, OutcomeCode
from engine.ledger import Database
from engine.ledger.alerts import raise_alert
from engine.ledger.attempts import (
    Attempt,
    BoundElsewhere,
    open_attempts,
    read_attempt,
    stopped_entries,
)
from engine.ledger.holdings import read_holding
from engine.ledger.resolving import (
    close_again,
    complete,
    end,
    free_symbol,
    is_followed,
    is_left_without_trace,
)
from engine.ledger.unsettled import own_books

_LOG = logging.getLogger("rexalgo.resolver")
LOOK_BACK_S: Final = 120.0
NOT_CONFIRMED_PAUSE_S: Final = 60.0
FREE_AFTER_S: Final = 900.0
CLOSE_AGAIN_S: Final = 2.0
NAMED_MAX: Final = 5
_LOOKED_AT: Final = (
    AttemptState.UNKNOWN,
    AttemptState.PLACED,
    AttemptState.PARTIALLY_FILLED,
    AttemptState.NOT_CONFIRMED,
)


@dataclass(slots=True)
class _Look:
    """The looks at one attempt; times are trio's, which nobody sets."""

    due: float
    began: float
    reads: int = 0
    absences: int = 0
    first_absence: float | None = None
    ambiguous_since: float | None = None
    freed: bool = False
    failed: int = 0


def _first_look() -> _Look:
    now = trio.current_time()
    return _Look(now + 0.5, now)


class Resolver:
    """The resolver of the open attempts of one account."""

    def __init__(self, account: Account, reader: AccountReader, unreadable: UnreadableRows) -> None:
        self._account = account
        self._reader = reader
        self._unreadable = unreadable
        self._looks: dict[int, _Look] = {}

    async def run(self) -> None:
        """Run until the fate of no attempt is open."""
        shared = self._account.shared
        while True:
            attempts = [
                each
                for each in open_attempts(shared.ledger.db, self._account.id)
                if each.state in _LOOKED_AT
            ]
            self._looks = {each.id: self._looks.get(each.id) or _first_look() for each in attempts}
            for each in self._account.take_to_look_up(self._looks):
                self._looks[each].due, self._looks[each].reads = trio.current_time(), 0
            await self._look_at_due(attempts)
            if not self._looks:
                return
            due = min(look.due for look in self._looks.values())
            await self._account.attempts.wait(max(0.05, due - trio.current_time()))

    async def _look_at_due(self, attempts: Sequence[Attempt]) -> None:
        """Look at what is due: orders of unknown fate at once, then those that are placed, which
        wait once for a fan-out.
        """
        shared = self._account.shared
        due = [each for each in attempts if self._looks[each.id].due <= trio.current_time()]
        placed = [each for each in due if each.state is AttemptState.PLACED]
        for attempt in [each for each in due if each.state is not AttemptState.PLACED]:
            await self._look(attempt, self._looks[attempt.id])
        if placed:
            await shared.calm()
        for attempt in placed:
            await self._look(attempt, self._looks[attempt.id])

    async def _look(self, attempt: Attempt, look: _Look) -> None:
        account = self._account
        look.reads += 1
        pause_s = (
            NOT_CONFIRMED_PAUSE_S
            if attempt.state is AttemptState.NOT_CONFIRMED
            else resolution_due(look.reads)
        )
        look.due = trio.current_time() + pause_s
        try:
            session = await account.connected()
        # an exchange that cannot be reached proves nothing about the order: look again later
        except Exception as error:
            account.note("an order cannot be looked up", error)
            await self._cannot_look(attempt, look, error)
            return
        sent = self._sent(attempt, session)
        proof: Found | ClosedOtherwise | Absent | Ambiguous | None = None
        try:
            history = await session.find_orders(attempt.intent.symbol, self._since(attempt))
        except Exception as error:  # nor do orders that cannot be read
            account.note("an order cannot be looked up", error)
            await self._cannot_look(attempt, look, error)
        else:
            look.failed = 0
            await self._unreadable.note(f"orders {attempt.intent.symbol}", history.unreadable)
            proof = self._match(attempt, sent, session, history.orders)
            proof = None if isinstance(proof, Absent) and not history.complete else proof
        is_named = (
            attempt.exchange_order_id is not None
        )  # the exchange took the order: only its own row shows what it did
        if (
            isinstance(proof, Found)
            and sent.intent.reduce_only
            and not is_named
            and not says_who_closed(proof.report)
        ):
            # A liquidation leaves the same row: only the record of the closed position
            # distinguishes the two.
            by_record = await self._by_record(sent, session)
            proof = by_record if isinstance(by_record, ClosedOtherwise) else proof
        share = (
            None
            if attempt.is_entry or isinstance(proof, Found | ClosedOtherwise)
            else self._share_before(attempt)
        )
        if share is not None:
            by_position = await self._by_record(sent, session) or await self._by_reading(
                sent, session, share, look
            )
            if is_named and isinstance(by_position, ClosedOtherwise):
                by_position = None
            # The share is read again after the look: what another order of ours did meanwhile is
            # not this exit's work.
            proof = (
                by_position
                if by_position is not None and self._share_before(attempt) == share
                else proof
            )
        if is_named and isinstance(proof, Absent):
            proof = await self._by_open_orders(attempt, sent, session, look)
        if is_named and not isinstance(proof, Found) and self._is_to_be_taken_back(attempt):
            await take_back(account, attempt, is_shown=False)
        await self._conclude(attempt, look, proof)

    async def _cannot_look(self, attempt: Attempt, look: _Look, error: Exception) -> None:
        """Alert about an exit that cannot be looked up: nothing of it is sent again before its fate
        is known.
        """
        look.failed += 1
        if attempt.is_entry or look.failed < TRIES_TOLD:
            return
        intent = attempt.intent
        await self._account.shared.alert(
            AlertCode.EXIT_FAILING,
            self._account.name,
            attempt.copy,
            side=intent.position_side.value,
            quantity=plain(intent.quantity),
            symbol=intent.symbol,
            tries=str(look.failed),
            problem=f"its order cannot be looked up: {type(error).__name__}: {error}"[:200],
        )

    async def _conclude(
        self,
        attempt: Attempt,
        look: _Look,
        proof: Found | ClosedOtherwise | Absent | Ambiguous | None,
    ) -> None:
        match proof:
            case Found(report, is_sure):
                look.absences, look.first_absence, look.freed = 0, None, False
                if not is_sure:
                    _LOG.warning(
                        "an order of %s was found by its time, and the exchange's clock is not "
                        "known",
                        self._account.name,
                    )
                await self._proven(attempt, report)
            case ClosedOtherwise(closed):
                await self._closed_otherwise(attempt, closed)
            case Absent():
                await self._absent(attempt, look)
            case Ambiguous(order_ids):
                await self._ambiguous(attempt, look, order_ids)
            case None:
                return
            case _:
                assert_never(proof)

    async def _ambiguous(self, attempt: Attempt, look: _Look, order_ids: Sequence[str]) -> None:
        """Alert about an order that only a person can tell from others, once that has lasted."""
        account, now = self._account, trio.current_time()
        if look.ambiguous_since is None:
            look.ambiguous_since = now
        looked_s = now - look.ambiguous_since
        if looked_s < account.shared.pace.not_confirmed_after_s:
            return
        more = f" and {len(order_ids) - NAMED_MAX} more" if len(order_ids) > NAMED_MAX else ""
        await account.shared.alert(
            AlertCode.ORDER_AMBIGUOUS,
            account.name,
            str(attempt.id),
            quantity=plain(attempt.intent.quantity),
            symbol=attempt.intent.symbol,
            looked_s=str(round(looked_s)),
            orders=", ".join(order_ids[:NAMED_MAX]) + more,
        )

    def _since(self, attempt: Attempt) -> datetime:
        """Return from when orders are read to find an attempt, on the machine's clock as it is now.
        If that was set back after the claim, the claim's time lies ahead of the order's row.
        """
        look = self._looks.get(attempt.id)
        met_s = 0.0 if look is None else trio.current_time() - look.began
        met_at = self._account.shared.clock.now() - timedelta(seconds=met_s)
        return min(attempt.claimed_at, met_at) - timedelta(seconds=LOOK_BACK_S)

    def _sent(self, attempt: Attempt, session: ExchangeSession) -> Sent:
        return Sent(
            intent=attempt.intent,
            at=attempt.claimed_at,
            bound_ids=BoundElsewhere(
                self._account.shared.ledger.db, attempt.account, attempt.exchange_order_id
            ),
            witness_ids=attempt.witness,
            clock_offset_s=session.clock_offset_s,
            deadline_s=self._account.shared.pace.send_deadline_s,
            held_before=attempt.held_before,
        )

    def _match(
        self,
        attempt: Attempt,
        sent: Sent,
        session: ExchangeSession,
        orders: tuple[OrderReport, ...],
    ) -> Found | Absent | Ambiguous:
        if attempt.exchange_order_id is not None:
            bound = [each for each in orders if each.exchange_order_id == attempt.exchange_order_id]
            return Found(bound[0]) if bound else Absent()
        return match_order(
            sent, orders, reads_client_order_id=session.reads_client_order_id(attempt.intent)
        )

    def _share_before(self, attempt: Attempt) -> Quantity | None:
        """Return the share that an exit was to close from; None if that is gone, or a later order
        of ours may have changed it.
        """
        db = self._account.shared.ledger.db
        holding = read_holding(db, attempt.account, attempt.intent.symbol)
        if holding is None or holding.strategy != attempt.strategy or is_followed(db, attempt):
            return None
        before = Quantity(EXACT.add(holding.share, attempt.filled))
        return before if before >= attempt.intent.quantity else None

    async def _by_record(
        self, sent: Sent, session: ExchangeSession
    ) -> Found | ClosedOtherwise | None:
        """Look an exit up in the exchange's record of closed positions; None if that shows nothing."""
        if not session.reports_closed_positions or not sent.intent.position_id:
            return None
        try:
            closed = await session.closed_positions(
                sent.at - timedelta(seconds=LOOK_BACK_S), (sent.intent.position_id,)
            )
        except Exception as error:  # the account itself is still to be read
            self._account.note("closed positions cannot be read", error)
            return None
        proof = match_closed(sent, closed.rows)
        return None if isinstance(proof, Absent) else proof

    async def _by_reading(
        self, sent: Sent, session: ExchangeSession, share: Quantity, look: _Look
    ) -> Found | None:
        """Prove an exit by a reading of the account that begins now; None if that proves nothing."""
        account = self._account
        if trio.current_time() - look.began < session.visible_within_s:
            # a reading may still show the account as it was before the exit, even before its entry
            return None
        if not await self._reader.try_to_read() or account.report is None:
            return None
        intent = sent.intent
        books = own_books(account.shared.ledger.db, account.id)
        owned = sum(
            (
                each.quantity
                for each in books
                if (each.symbol, each.side) == (intent.symbol, intent.position_side)
            ),
            ZERO,
        )
        by_reading = match_position(sent, account.report, share, owned)
        return by_reading if isinstance(by_reading, Found) else None

    async def _by_open_orders(
        self, attempt: Attempt, sent: Sent, session: ExchangeSession, look: _Look
    ) -> Found | Absent | Ambiguous | None:
        """Look for an order that the exchange accepted, and its history does not show, among the
        open orders of a reading that begins now; None if that proves nothing.
        """
        account = self._account
        if trio.current_time() - look.began < session.visible_within_s:
            return None
        if not await self._reader.try_to_read() or account.report is None:
            return None
        proof = self._match(attempt, sent, session, account.report.open_orders)
        is_unread = may_have_order(account.report, attempt.intent.symbol)
        return None if isinstance(proof, Absent) and is_unread else proof

    async def bind(
        self, attempt_id: int, exchange_order_id: str, also: Callable[[Database], None]
    ) -> None:
        """Prove an attempt by the order that a person names; raises NothingThere unless the exchange
        has it and it fits.
        """
        account = self._account
        attempt = read_attempt(account.shared.ledger.db, attempt_id)
        session = await account.connected()
        history = await session.find_orders(attempt.intent.symbol, self._since(attempt))
        report = next(
            (each for each in history.orders if each.exchange_order_id == exchange_order_id), None
        )
        if report is None:
            raise NothingThere(
                f"the exchange shows no order {exchange_order_id} in {attempt.intent.symbol} "
                "since the order was sent"
            )
        if not describes(report, attempt.intent):
            actual = f"{report.side.value} {plain(report.quantity)} {report.symbol}"
            raise NothingThere(
                f"expected {attempt.intent.side.value} {plain(attempt.intent.quantity)} "
                f"{attempt.intent.symbol}, order "
                f"{exchange_order_id} is {actual}"
            )
        if exchange_order_id in self._sent(attempt, session).bound_ids:
            raise NothingThere(f"order {exchange_order_id} is known already as another one")
        await self._proven(attempt, report, also)

    async def _proven(
        self,
        attempt: Attempt,
        report: OrderReport,
        also: Callable[[Database], None] = lambda db: None,
    ) -> None:
        account, shared = self._account, self._account.shared
        shown, at = report, shared.clock.now()
        price = None if attempt.price in ("", "?") else Price(Decimal(attempt.price))
        newest = no_less(shown, attempt.filled, price)
        if newest is None:  # an old row of an order that still works
            if self._is_to_be_taken_back(attempt):
                await take_back(account, attempt)
            return
        report = newest
        outcome = outcome_of(attempt.intent, report)
        again = at if report.filled_quantity > 0 else at + timedelta(seconds=CLOSE_AGAIN_S)
        found_late = attempt.state is AttemptState.NOT_CONFIRMED
        numbers = {
            "quantity": plain(attempt.intent.quantity),
            "symbol": attempt.intent.symbol,
            "filled": plain(report.filled_quantity),
        }

        def prove(db: Database) -> None:
            complete(
                db, attempt_id=attempt.id, report=report, outcome=outcome, at=at, retry_at=again
            )
            also(db)
            if found_late:
                raise_alert(
                    db,
                    code=AlertCode.ORDER_FOUND_LATE,
                    subject=account.name,
                    details=numbers,
                    at=at,
                    sameness=str(attempt.id),
                )

        has_grown = report.filled_quantity > attempt.filled
        if has_grown:
            account.filled_at[attempt.intent.symbol] = trio.current_time()
        await shared.ledger.write(prove)
        if has_grown and attempt.is_entry:
            account.read_soon()  # its position may lack the stop, however long the entry still works
        if report.status.is_terminal and attempt.is_entry:
            account.release(attempt.copy, proven=report.filled_quantity > 0)
            account.asked_to_cancel.pop(attempt.id, None)
            account.read_soon()
        elif report.status.is_terminal:
            await self._reader.try_to_read()
        elif self._is_to_be_taken_back(attempt):
            await take_back(account, attempt)
        account.wake()

    async def _closed_otherwise(self, attempt: Attempt, closed: ClosedPosition) -> None:
        """End an exit that executed nothing, because something else had closed the position; it is
        planned again, from a reading.
        """
        by = (
            "an order that is not this one"
            if closed.closed_by in (None, ClosedBy.ORDER)
            else f"a {closed.closed_by.value.replace('_', ' ')}"
        )
        cause = f"the position was closed by {by}"
        at = self._account.shared.clock.now()
        outcome = Outcome(OutcomeCode.REJECTED, {"reason": cause})
        again = at + timedelta(seconds=CLOSE_AGAIN_S)
        await self._account.shared.ledger.write(
            lambda db: end(
                db,
                attempt_id=attempt.id,
                state=AttemptState.REJECTED,
                outcome=outcome,
                cause=cause,
                at=at,
                retry_at=again,
            )
        )
        await self._reader.try_to_read()  # the reading lowers the share by what was closed
        self._account.wake()

    def _is_to_be_taken_back(self, attempt: Attempt) -> bool:
        """Return whether a resting entry has rested long enough, is open where exposure may only
        shrink, or where no new entries are taken any more.
        """
        shared = self._account.shared
        if not attempt.is_entry:
            return False
        rested = shared.clock.now() - attempt.claimed_at
        return (
            rested >= timedelta(seconds=shared.pace.resting_entry_s)
            or self._account.level_for(attempt.strategy) > 1
            or (attempt.account, attempt.id) in stopped_entries(shared.ledger.db, attempt.account)
        )

    async def _absent(self, attempt: Attempt, look: _Look) -> None:
        shared = self._account.shared
        now = trio.current_time()
        look.absences += 1
        if look.first_absence is None:
            look.first_absence = now
        looked_s = now - look.first_absence
        if attempt.state is not AttemptState.NOT_CONFIRMED and may_stop_looking(
            look.absences, look.first_absence, now, shared.pace.not_confirmed_after_s
        ):
            await self._give_up(attempt, looked_s)
        elif attempt.state is AttemptState.NOT_CONFIRMED and not attempt.is_entry:
            await self._close_again(attempt)
        elif attempt.state is AttemptState.NOT_CONFIRMED and looked_s >= FREE_AFTER_S:
            # a new entry may come beside it
            await take_back(self._account, attempt, is_shown=False)
            if look.freed:
                return
            look.freed = True
            await shared.ledger.write(lambda db: free_symbol(db, attempt.id))
            self._account.release(attempt.copy, proven=False)

    async def _give_up(self, attempt: Attempt, looked_s: float) -> None:
        account, shared = self._account, self._account.shared
        at = shared.clock.now()
        numbers = {
            "quantity": plain(attempt.intent.quantity),
            "symbol": attempt.intent.symbol,
            "looked_s": str(round(looked_s)),
        }
        outcome = Outcome(OutcomeCode.NOT_CONFIRMED, numbers)
        order_id = attempt.exchange_order_id
        cause = (
            attempt.cause
            if order_id is None
            else f"the exchange accepted it as {order_id}, and does not show it"
        )
        details = {**numbers, "exposed": money_words(attempt.notional)}

        def give_up(db: Database) -> None:
            # One transaction: if this task ended between the two, no alert would be raised.
            end(
                db,
                attempt_id=attempt.id,
                state=AttemptState.NOT_CONFIRMED,
                outcome=outcome,
                cause=cause,
                at=at,
            )
            raise_alert(
                db,
                code=AlertCode.ORDER_NOT_CONFIRMED,
                subject=account.name,
                details=details,
                at=at,
                sameness=str(attempt.id),
            )

        await shared.ledger.write(give_up)
        if not attempt.is_entry:
            await self._close_again(attempt)
        account.wake()

    async def _close_again(self, attempt: Attempt) -> None:
        """Repeat an exit without trace, but only if everything in the position is ours: else it
        could close the owner's own part.

        Checked at every look, because a reading may fail, or the task end, at the one moment when
        the exit is given up.
        """
        account = self._account
        if not is_left_without_trace(account.shared.ledger.db, attempt.copy, attempt.leg):
            return
        if not await self._reader.try_to_read() or account.report is None:
            return
        holding = read_holding(account.shared.ledger.db, attempt.account, attempt.intent.symbol)
        position = position_of(account.report, attempt.intent.symbol)
        if may_have_position(account.report, attempt.intent.symbol):
            return
        if holding is not None and (
            position is None
            or (position.side is holding.side and position.quantity <= holding.share)
        ):
            now = account.shared.clock.now()
            await account.shared.ledger.write(lambda db: close_again(db, attempt.id, now))
