"""The lanes of one account: per symbol and kind of leg one at a time, each a child task of the follower's task.

What lanes share is here: which are busy, what waits how long, and the one way in which an order goes out: claim, last line, write
once, classify, record. From the claim to the record it cannot be cancelled; its own deadlines end it. ``entry_lane``, ``exit_lane`` and
``standing_lane`` say what each kind of leg does with it.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from engine.actors.conserving import LastLine
from engine.actors.entry_lane import enter
from engine.actors.exchange_session import ExchangeSession
from engine.actors.exit_lane import close
from engine.actors.recording import Recording, recording
from engine.actors.standing_lane import cancel, protect
from engine.decisions.explaining import LaneNow
from engine.decisions.order_lifecycle import AttemptState
from engine.decisions.routing import CANCEL, ENTRY, EXIT, PROTECTION
from engine.domain.alert import AlertCode
from engine.domain.identifiers import CopyId
from engine.domain.outcome import Outcome
from engine.ledger import Database
from engine.ledger.alerts import raise_alert
from engine.ledger.claims import Claim, NotClaimed, claim
from engine.ledger.copies import WaitingLeg
from engine.ledger.outcomes import conclude
from engine.ports.exchange import RejectionKind

if TYPE_CHECKING:
    from engine.actors.follower import Follower

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RUN: Final = {ENTRY: enter, EXIT: close, CANCEL: cancel, PROTECTION: protect}


class Lanes:
    """Run an account's legs."""

    def __init__(self, follower: "Follower") -> None:
        self.follower = follower
        self._busy: set[tuple[str, str]] = set()
        self._not_before: dict[CopyId, datetime] = {}
        self._waits: dict[CopyId, int] = {}
        self._now: dict[CopyId, LaneNow] = {}

    def is_busy(self, leg: WaitingLeg) -> bool:
        """Tell whether the leg's lane has one under way."""
        return (leg.symbol, leg.kind) in self._busy

    def not_before(self, leg: WaitingLeg) -> datetime:
        """Return when a leg that had to wait may be planned again."""
        return self._not_before.get(leg.copy, _BEGINNING)

    def waits(self, leg: WaitingLeg) -> int:
        """Return how often this task had the leg wait."""
        return self._waits.get(leg.copy, 0)

    def waited_for(self, leg: WaitingLeg) -> str:
        """Return why this task had the leg wait the last time, empty where that was not told."""
        return self.now(leg.copy).waits_for

    def forget(self) -> None:
        """Start with empty lanes after the follower's task ended: its lanes ended with it."""
        self._busy.clear()

    def start(self, nursery: trio.Nursery, leg: WaitingLeg) -> None:
        """Start the leg's lane; the caller has seen that it is not busy."""
        self._busy.add((leg.symbol, leg.kind))
        nursery.start_soon(self._run, leg)

    async def _run(self, leg: WaitingLeg) -> None:
        try:
            await _RUN[leg.kind](self, leg)
        finally:
            self._busy.discard((leg.symbol, leg.kind))
            self.follower.ring()

    def wait(self, leg: WaitingLeg, seconds: float, cause: str = "") -> None:
        """Plan the leg again in so many seconds; ``cause`` says what it waits for."""
        self._now[leg.copy] = replace(self.now(leg.copy), waits_for=cause)
        self._not_before[leg.copy] = self.follower.shared.clock.now() + timedelta(seconds=seconds)
        self._waits[leg.copy] = self.waits(leg) + 1

    def now(self, copy: CopyId) -> LaneNow:
        """Return how often a copy failed before anything of it was claimed, the last time why, and what it waits for."""
        return self._now.get(copy, LaneNow())

    def fail(self, leg: WaitingLeg, error: Exception, seconds: float) -> None:
        """Plan a leg again in so many seconds, because nothing of it could be sent."""
        self.wait(leg, seconds)
        self._now[leg.copy] = LaneNow(self.now(leg.copy).failed + 1, f"{type(error).__name__}: {error}"[:200])

    async def conclude(self, leg: WaitingLeg, outcome: Outcome, also: Callable[[Database], None] = lambda db: None) -> None:
        """End a leg that is not claimed, with what ``also`` writes in the same transaction."""
        at = self.follower.shared.clock.now()
        self._not_before.pop(leg.copy, None)
        self._waits.pop(leg.copy, None)
        self._now.pop(leg.copy, None)

        def write(db: Database) -> None:
            also(db)
            conclude(db, leg.copy, leg.number, outcome, at)

        await self.follower.shared.ledger.write(write)

    async def send(
        self, leg: WaitingLeg, session: ExchangeSession, wanted: Claim, last_line: Callable[[], Outcome | None], retry_s: float,
        residue_kinds: Collection[RejectionKind] = (),
    ) -> Recording | None:  # fmt: skip
        """Claim, send once, record; None when the leg could not be claimed. ``residue_kinds``: see ``recording``."""
        follower, shared = self.follower, self.follower.shared
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
                made: int | NotClaimed = await shared.ledger.write(lambda db: claim(db, wanted))
                if not isinstance(made, int):
                    if made.outcome is not None:
                        await self.conclude(leg, made.outcome)
                    return None
                self._now[leg.copy] = LaneNow(self.now(leg.copy).failed)
                line = LastLine(follower, wanted, made, last_line)
                answer = await session.place(wanted.intent, line.check, written)
                result = recording(made, wanted.intent, answer, retry_s, shared.clock.now(), residue_kinds)
                await line.record(partial(self._record, leg, result, shared.clock.now()))
        finally:
            written()
        if result.state in (AttemptState.UNKNOWN, AttemptState.PLACED, AttemptState.PARTIALLY_FILLED):
            follower.watch_open_attempts()
        return result

    def _record(self, leg: WaitingLeg, result: Recording, at: datetime, db: Database) -> None:
        result.write(db)
        if result.residue is not None:
            raise_alert(db, AlertCode.RESIDUE, self.follower.name, result.residue.numbers, at, leg.symbol)

    def witness(self, leg: WaitingLeg) -> tuple[str, ...]:
        """Return the exchange order ids that the newest reading shows in the leg's symbol."""
        report = self.follower.report
        return () if report is None else tuple(each.exchange_order_id for each in report.open_orders if each.symbol == leg.symbol)
