"""Recording: write a verified delivery or a stream's signal into the ledger, and wake the accounts
that copy it.

What always holds: a signal and its copies are durable before ``record`` returns. A sender that hangs
up loses nothing: the writer finishes what it was given, and the followers are woken then.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Protocol

import trio

from engine.actors.account_tasks import AccountTasks
from engine.actors.shared import Shared
from engine.decisions.admission import Scope, admit
from engine.decisions.mirroring import Circumstances
from engine.decisions.planning import age_limit_s
from engine.domain.errors import InvalidValue
from engine.domain.holding import SwitchScope
from engine.domain.identifiers import SignalId, StrategyId, Symbol
from engine.domain.signal import SignalDraft
from engine.ledger import Ledger, LedgerError
from engine.ledger.deliveries import NewDelivery
from engine.ledger.freeze import EVERYBODY, why_frozen
from engine.ledger.open_shares import is_held
from engine.ledger.people import secret_used
from engine.ledger.refused import note_and_alert
from engine.ledger.rehearsing import Rehearsal, rehearse_signal
from engine.ledger.signals import (
    DedupeConflict,
    NewSignal,
    Recorded,
    new_signal,
    record_signal,
)

_LOG = logging.getLogger("rexalgo.recording")
ANSWER_FIRST: Final = 10
"""Loop iterations between recording a signal and waking its accounts, so that the sender's answer
goes out first.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A verified signal that is to be recorded.

    ``content`` is what was delivered, None if the draft is everything that was. ``sent_at`` is the
    sender's time, None if none was stated.
    """

    strategy: StrategyId
    origin: str
    draft: SignalDraft
    content: bytes | None
    sent_at: datetime | None
    received_at: datetime


class Recording(Protocol):
    """Where verified deliveries are recorded: in this process, or in the engine's."""

    @property
    def is_away(self) -> bool:
        """Return whether nothing can be recorded now; what is known of endpoints may be old then."""
        ...

    async def record(self, taken: Taken) -> Recorded:
        """Record a signal; return once it is durable. May be cancelled: the record survives. Raises
        DedupeConflict, LedgerError, or EngineAway.
        """
        ...

    async def rehearse(self, taken: Taken) -> Rehearsal:
        """Return what recording a signal would come to; nothing stays of it. Raises as ``record``."""
        ...

    async def note(self, rows: Sequence[NewDelivery]) -> None:
        """Record deliveries for the owners of their endpoints; raises LedgerError or EngineAway."""
        ...

    async def note_old_key(self, key: str, at: datetime, peer: str) -> None:
        """Record who still signs with an expiring secret; raises LedgerError or EngineAway."""
        ...


class Recorder:
    """The recording of the process that holds the ledger. Created by ``run``; all methods may be
    called from any task of the loop.
    """

    is_away: Final = False

    def __init__(self, shared: Shared, account_tasks: AccountTasks, nursery: trio.Nursery) -> None:
        self._shared = shared
        self._ledger: Ledger = shared.ledger
        self._account_tasks = account_tasks
        self._nursery = nursery
        self._wakes_soon = False

    async def record(self, taken: Taken) -> Recorded:
        """Record a signal and wake its followers after the sender's answer; raises DedupeConflict or
        LedgerError. Waits in the caller's own task, because each hand-over to another one costs a
        turn of the loop, and those are long during a fan-out.
        """
        new = self._new(taken)
        try:
            recorded = await self._ledger.write(lambda db: record_signal(db, new), first=True)
        except trio.Cancelled:  # the sender has left, and the writer records it all the same
            self._nursery.start_soon(self._wake_once_written)
            raise
        if recorded.copies:
            self._nursery.start_soon(self._wake_followers)
        return recorded

    async def _wake_once_written(self) -> None:
        with suppress(LedgerError):  # then nothing was recorded
            await self._ledger.write(lambda db: None)
            self._account_tasks.wake()

    async def rehearse(self, taken: Taken) -> Rehearsal:
        """Return what recording a signal would come to; nothing stays of it. Raises DedupeConflict
        or LedgerError.
        """
        new = self._new(taken)
        return await self._ledger.write(lambda db: rehearse_signal(db, new))

    def _new(self, taken: Taken) -> NewSignal:
        return new_signal(
            taken.strategy,
            origin=taken.origin,
            draft=taken.draft,
            content=taken.content,
            sent_at=taken.sent_at,
            received=taken.received_at,
            circumstances=self._circumstances(taken.strategy),
        )

    async def note(self, rows: Sequence[NewDelivery]) -> None:
        """Record deliveries for the owners of their endpoints; raises LedgerError."""
        await self._ledger.write(lambda db: note_and_alert(db, rows))

    async def note_old_key(self, key: str, at: datetime, peer: str) -> None:
        """Record who still signs with an expiring secret, so that ending its overlap is safe;
        raises LedgerError.
        """
        await self._ledger.write(lambda db: secret_used(db, key, at, peer))

    async def emit(
        self, strategy: StrategyId, source: str, symbols: frozenset[Symbol], draft: SignalDraft
    ) -> SignalId:
        """Record a stream source's signal; raises InvalidValue if it may not be sent."""
        now = self._shared.clock.now()
        draft = admit(
            draft,
            Scope(symbols=symbols),
            partial(is_held, self._ledger.db, strategy, draft.symbol),
            now,
        )
        taken = Taken(
            strategy=strategy,
            origin=f"stream:{source}:{strategy}",
            draft=draft,
            content=None,
            sent_at=draft.sent_at,
            received_at=now,
        )
        try:
            recorded = await self.record(taken)
        except DedupeConflict as error:
            raise InvalidValue("dedupe_key", "a new id for another content") from error
        return recorded.id

    def _circumstances(self, strategy: StrategyId) -> Circumstances:
        name = self._shared.strategy_names.get(strategy, "")
        off = any(
            each.scope is SwitchScope.ALL
            or (each.scope is SwitchScope.STRATEGY and each.target in (strategy, name))
            for each in self._shared.switches
        )
        # a misplaced ledger records nothing, and its sender gets a 503
        is_held = bool(why_frozen(self._ledger.db, EVERYBODY))
        return Circumstances(
            off, age_limit_s(self._shared.pace.entry_age_s, self._shared.limits), is_held
        )

    async def _wake_followers(self) -> None:
        """Wake the accounts after the answer; one wake serves what was recorded meanwhile."""
        if self._wakes_soon:
            return
        self._wakes_soon = True
        try:
            for _ in range(ANSWER_FIRST):
                await trio.lowlevel.checkpoint()
        finally:
            self._wakes_soon = False
        self._account_tasks.wake()
