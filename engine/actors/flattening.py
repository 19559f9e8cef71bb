"""Keep flat what is to be flat: while a *flatten* switch is on, have everything closed that the engine opened within its scope.

Closing again is asked for until the exchange shows nothing: also for what an unproven entry brings later. Each round is a recorded
signal like any close, so it is planned, claimed, looked up and explained the same way. What cannot be closed is named, not retried in
a loop.
"""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import trio

from engine.actors.doorbell import Doorbell
from engine.actors.shared import Shared
from engine.domain.holding import SwitchLevel
from engine.domain.identifiers import AccountId, CopyId, ReceiptId, SignalId, StrategyId, Symbol
from engine.domain.signal import Action, SignalDraft
from engine.ledger.signals import NewSignal, record_signal
from engine.ledger.standing import FLATTEN_ORIGIN, HeldShare, has_unconfirmed_exit, held_shares, last_flatten

EVERY_S: Final = 1.0
AGAIN_S: Final = 60.0


class Flattening:
    """Watch the switches, and have closed what they say."""

    def __init__(self, shared: Shared, ring: Callable[[], None]) -> None:
        self._shared = shared
        self._ring_followers = ring
        self._bell = Doorbell()

    def ring(self) -> None:
        """Say that switches changed."""
        self._bell.ring()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            if any(each.level is SwitchLevel.FLATTEN for each in self._shared.switches):
                await self.close_what_is_open()
            await self._bell.wait(EVERY_S)

    async def close_what_is_open(self) -> None:
        """Record one close for each strategy and contract that still has shares within a flatten switch."""
        groups: dict[tuple[StrategyId, Symbol], set[AccountId]] = defaultdict(set)
        for index, held in enumerate(held_shares(self._shared.ledger.db)):
            if self._is_to_close(held):
                groups[held.strategy, held.symbol].add(held.account)
            if index % 50 == 49:
                await trio.lowlevel.checkpoint()
        for (strategy, symbol), accounts in groups.items():
            new = self._close(strategy, symbol, frozenset(accounts))
            await self._shared.ledger.write(lambda db, new=new: record_signal(db, new))  # type: ignore[misc]
        if groups:
            self._ring_followers()

    def _is_to_close(self, held: HeldShare) -> bool:
        shared = self._shared
        switches = shared.switches_for(held.account, held.account_name, held.strategy, held.exchange)
        if held.is_exiting or not held.is_subscribed or all(each.level is not SwitchLevel.FLATTEN for each in switches):
            return False
        if has_unconfirmed_exit(shared.ledger.db, held.account, held.symbol):
            return False
        last = last_flatten(shared.ledger.db, held)
        if last is None or last.ended_at is None:
            return last is None
        if last.residue is not None:
            return held.share > last.residue
        return shared.clock.now() - last.ended_at >= timedelta(seconds=AGAIN_S)

    def _close(self, strategy: StrategyId, symbol: Symbol, accounts: frozenset[AccountId]) -> NewSignal:
        now = self._shared.clock.now()
        key = f"flatten-{secrets.token_hex(16)}"
        return NewSignal(
            id=SignalId(f"sig_{secrets.token_hex(16)}"),
            receipt=ReceiptId(f"rcp_{secrets.token_hex(16)}"),
            new_copy_id=lambda: CopyId(f"cp_{secrets.token_hex(16)}"),
            strategy=strategy,
            origin=FLATTEN_ORIGIN,
            draft=SignalDraft(key, Action.CLOSE, symbol),
            body_hash=hashlib.sha256(key.encode()).digest(),
            decided_at=now,
            received_at=now,
            only=accounts,
        )
