"""The lanes of one account: one leg at a time per symbol and kind. This file keeps their state:
what is busy, what waits and why.

``entry_lane``, ``exit_lane``, ``resting_lane`` and ``protection_lane`` define what each kind of leg
does; ``sending`` sends orders.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import trio

from engine.actors.account import Account
from engine.actors.account_reader import AccountReader
from engine.decisions.dispatching import LONGEST_PAUSE_S, pause_left_s
from engine.decisions.explaining import LaneNow
from engine.decisions.order_lifecycle import AttemptState
from engine.decisions.routing import ENTRY
from engine.domain.alert import TRIES_TOLD, AlertCode
from engine.domain.identifiers import CopyId, StrategyId, Symbol
from engine.domain.order import ProtectionOrder
from engine.domain.outcome import Outcome
from engine.ledger import Database
from engine.ledger.attempts import open_attempts
from engine.ledger.copies import WaitingLeg
from engine.ledger.explaining import failed_tries
from engine.ledger.outcomes import conclude


class Lanes:
    """The state of an account's legs, for as long as they are not over. It is gone with the process;
    the ledger has what must last.
    """

    def __init__(self, account: Account, reader: AccountReader) -> None:
        self.account = account
        self.reader = reader
        self.busy: list[tuple[str, str]] = []
        """Symbol and kind of every leg that is under way."""
        self.levels: dict[Symbol, tuple[float, ProtectionOrder]] = {}
        """When a signal last moved the levels of a position, on trio's clock, and to what."""
        self.unknown_since: dict[tuple[StrategyId, Symbol], float] = {}
        """Since when moves of a strategy's levels wait because those that stand are not known, on
        trio's clock.
        """
        self._not_before: dict[CopyId, float] = {}
        """On trio's clock, which nobody sets."""
        self._retries: dict[CopyId, tuple[datetime, float]] = {}
        """Which pause of the ledger was met, and when it ends on trio's clock."""
        self._met: dict[CopyId, tuple[datetime, float]] = {}
        """When an entry was first met: on the machine's clock, and on trio's."""
        self._waits: dict[CopyId, int] = {}
        self._now: dict[CopyId, LaneNow] = {}

    def wait_s(self, leg: WaitingLeg) -> float:
        """Return for how many seconds a leg that had to wait still waits, whatever is done to the
        machine's clock meanwhile.
        """
        now, (retry_at, due) = trio.current_time(), self._retries.get(leg.copy, (None, 0.0))
        if leg.kind == ENTRY and leg.copy not in self._met:
            self._met[leg.copy] = self.account.shared.clock.now(), now
        if retry_at != leg.retry_at:
            due = now + pause_left_s(leg.retry_at, self.account.shared.clock.now())
            if due > now:
                self._retries[leg.copy] = leg.retry_at, due
        return max(0.0, due - now, self._not_before.get(leg.copy, 0.0) - now)

    def now_for(self, leg: WaitingLeg) -> datetime:
        """Return the time by which an entry's age is judged: as the machine's clock shows it, or as
        it would if it had not been set back since the entry was met.
        """
        now, met = self.account.shared.clock.now(), self._met.get(leg.copy)
        if met is None:
            return now
        at, moment = met
        return max(now, at + timedelta(seconds=trio.current_time() - moment))

    def entry_is_over(self, copy: CopyId) -> None:
        """Forget an entry: it ended, or its order may be at the exchange."""
        self._met.pop(copy, None)
        self._forget(copy)

    def nothing_waits(self) -> None:
        """Forget every leg, because none waits or is under way, unless an order may lead back to
        one: what failed before counts then.
        """
        remembered = (self._not_before, self._retries, self._met, self._waits, self._now)
        if any(remembered) and all(
            each.state is AttemptState.NOT_CONFIRMED
            for each in open_attempts(self.account.shared.ledger.db, self.account.id)
        ):
            for each in remembered:
                each.clear()

    def _forget(self, copy: CopyId) -> None:
        for each in (self._not_before, self._retries, self._waits, self._now):
            each.pop(copy, None)

    def waits(self, leg: WaitingLeg) -> int:
        """Return how often this task made the leg wait."""
        return self._waits.get(leg.copy, 0)

    def waited_for(self, leg: WaitingLeg) -> str:
        """Return why this task last made the leg wait, empty if no cause was given."""
        return self.now(leg.copy).waits_for

    def wait(self, leg: WaitingLeg, seconds: float, cause: str = "") -> None:
        """Plan the leg again in so many seconds; ``cause`` is what it waits for."""
        self._now[leg.copy] = replace(self.now(leg.copy), waits_for=cause)
        self._not_before[leg.copy] = trio.current_time() + min(seconds, LONGEST_PAUSE_S)
        self._waits[leg.copy] = self.waits(leg) + 1

    def now(self, copy: CopyId) -> LaneNow:
        """Return how often a copy failed before anything of it was claimed, the latest reason, and
        what it waits for.
        """
        return self._now.get(copy, LaneNow())

    def fail(self, leg: WaitingLeg, error: Exception, seconds: float) -> None:
        """Plan a leg again in so many seconds, because nothing of it could be sent."""
        self.wait(leg, seconds)
        self._now[leg.copy] = LaneNow(
            self.now(leg.copy).failed + 1, f"{type(error).__name__}: {error}"[:200]
        )

    async def tell_failing(self, leg: WaitingLeg, code: AlertCode, **details: str) -> None:
        """Alert about a leg that has failed often, before it is tried again: equal alerts within an
        hour are counted.
        """
        tries, cause, _ = failed_tries(self.account.shared.ledger.db, leg.copy, leg.number)
        now = self.now(leg.copy)
        if tries + now.failed < TRIES_TOLD:
            return
        await self.account.shared.alert(
            code,
            self.account.name,
            leg.copy,
            symbol=leg.symbol,
            tries=str(tries + now.failed),
            problem=now.problem or cause,
            **details,
        )

    def claimed(self, copy: CopyId) -> None:
        """Record that a copy waits for nothing any more: it is claimed. Its failures count on."""
        failed = self.now(copy).failed
        self._forget(copy)
        if failed:
            self._now[copy] = LaneNow(failed)

    async def conclude(
        self, leg: WaitingLeg, outcome: Outcome, also: Callable[[Database], None] = lambda db: None
    ) -> None:
        """End a leg that is not claimed, with what ``also`` writes in the same transaction."""
        at = self.account.shared.clock.now()
        self._forget(leg.copy)

        def write(db: Database) -> None:
            also(db)
            conclude(db, copy=leg.copy, leg=leg.number, outcome=outcome, at=at)

        await self.account.shared.ledger.write(write)
