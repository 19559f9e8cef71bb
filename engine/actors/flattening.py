"""Keep flat what is to be flat: while a *flatten* switch is on, close everything that the engine
opened within its scope.

Closing is requested again until the exchange shows nothing, also for what an unproven entry brings
later. Each round is a recorded signal like any close, so it is planned, claimed, looked up and
explained the same way. What cannot be closed is named, not retried in a loop; what is not flat
within its time raises an alert, share by share.
"""

import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.actors.wakeup import WakeUp
from engine.decisions.routing import within
from engine.domain.alert import AlertCode
from engine.domain.holding import Switch, SwitchLevel, SwitchScope
from engine.domain.identifiers import AccountId, StrategyId, Symbol
from engine.ledger import WriteRefused
from engine.ledger.alerts import EQUAL_WITHIN
from engine.ledger.forced_close import forced_close
from engine.ledger.open_shares import (
    HeldShare,
    has_unconfirmed_exit,
    held_shares,
    last_flatten,
    still_open,
)
from engine.ledger.signals import record_signal
from engine.views import StillOpenView

_LOG = logging.getLogger("rexalgo.flattening")
EVERY_S: Final = 1.0
AGAIN_S: Final = 60.0
FLAT_WITHIN_S: Final = 60.0
TOLD_EVERY_S: Final = EQUAL_WITHIN.total_seconds()
NAMED_MAX: Final = 10


class Flattening:
    """The watch over flatten switches, which requests the closes."""

    def __init__(self, shared: Shared, wake: Callable[[], None]) -> None:
        self._shared = shared
        self._wake_followers = wake
        self._wakeup = WakeUp()
        self._open_since: dict[tuple[SwitchScope, str], float] = {}
        self._told: dict[tuple[SwitchScope, str], float] = {}
        """Both on trio's clock, which nobody sets."""

    def wake(self) -> None:
        """Wake the watch: switches changed."""
        self._wakeup.wake()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            if any(each.level is SwitchLevel.FLATTEN for each in self._shared.switches):
                await self.close_what_is_open()
            await self.tell_what_is_left()
            await self._wakeup.wait(EVERY_S)

    async def close_what_is_open(self) -> None:
        """Record one close for each strategy and contract that still has shares within a flatten
        switch.
        """
        groups: dict[tuple[StrategyId, Symbol], set[AccountId]] = defaultdict(set)
        for index, share in enumerate(held_shares(self._shared.ledger.db)):
            if self._is_to_close(share):
                groups[share.strategy, share.symbol].add(share.account)
            if index % 50 == 49:
                await trio.lowlevel.checkpoint()
        for (strategy, symbol), accounts in groups.items():
            new = forced_close(
                "flatten",
                strategy=strategy,
                symbol=symbol,
                accounts=frozenset(accounts),
                now=self._shared.clock.now(),
            )
            try:
                await self._shared.ledger.write(
                    lambda db, new=new: record_signal(db, new),  # type: ignore[misc]
                    first=True,
                )
            except (
                WriteRefused
            ) as error:  # the fault of one close: every other one is requested, and this one again
                _LOG.error(
                    "the close of %s for strategy %s could not be recorded: %s",
                    symbol,
                    strategy,
                    error,
                )
        if groups:
            self._wake_followers()

    async def tell_what_is_left(self) -> None:
        """Alert about each flatten switch whose scope is not flat within its time: what is left,
        share by share, and why.
        """
        shared, now = self._shared, trio.current_time()
        flattens = {
            (each.scope, each.target): each
            for each in shared.switches
            if each.level is SwitchLevel.FLATTEN
        }
        open_shares = still_open(shared.ledger.db) if flattens else []
        left = {key: rows for key, each in flattens.items() if (rows := within(each, open_shares))}
        self._open_since = {key: self._open_since.get(key, now) for key in left}
        self._told = {key: at for key, at in self._told.items() if key in left}
        for key, rows in left.items():
            told_at = self._told.get(key)
            if now - self._open_since[key] >= FLAT_WITHIN_S and (
                told_at is None or now - told_at >= TOLD_EVERY_S
            ):
                self._told[key] = now
                await self._tell(flattens[key], rows, now - self._open_since[key])

    async def _tell(self, switch: Switch, rows: list[StillOpenView], open_s: float) -> None:
        more = f"; and {len(rows) - NAMED_MAX} more" if len(rows) > NAMED_MAX else ""
        await self._shared.alert(
            AlertCode.FLATTEN_NOT_FLAT,
            switch.target,
            f"{switch.scope.value} {switch.set_at.isoformat()}",
            scope=switch.label,
            flags="--all"
            if switch.scope is SwitchScope.ALL
            else f"--{switch.scope.value} {switch.target}",
            after_s=str(round(open_s)),
            count_open=str(len(rows)),
            left="; ".join(_words(each) for each in rows[:NAMED_MAX]) + more,
        )

    def _is_to_close(self, share: HeldShare) -> bool:
        shared = self._shared
        switches = shared.switches_for(
            share.account, share.account_name, share.strategy, share.exchange
        )
        if (
            share.is_exiting
            or not share.is_subscribed
            or all(each.level is not SwitchLevel.FLATTEN for each in switches)
        ):
            return False
        if has_unconfirmed_exit(shared.ledger.db, share.account, share.symbol):
            return False
        last = last_flatten(shared.ledger.db, share)
        if last is None or last.ended_at is None:
            return last is None
        # A time that lies ahead is of before the clock was set back.
        now = shared.clock.now()
        is_long_ago = abs(now - last.ended_at) >= timedelta(seconds=AGAIN_S)
        if last.residue is not None:
            # Not in a loop; but a person who asks again may know that the position changed.
            asked = max(each.set_at for each in switches if each.level is SwitchLevel.FLATTEN)
            return (
                share.share > last.residue
                or last.ended_at > now
                or (asked > last.ended_at and (asked <= now or is_long_ago))
            )
        return is_long_ago


def _words(left: StillOpenView) -> str:
    what = (
        f"{left.side} {left.share} {left.symbol}"
        if left.share != "0"
        else f"an entry into {left.symbol}"
    )
    return (
        f"{left.account} [{left.environment.upper()}] {what} of {left.strategy} "
        f"({left.why.rstrip('.')})"
    )
