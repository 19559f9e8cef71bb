"""All followers of one process: start one supervised task per account, wake them, and sweep for
work that no wake-up announced.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import ExitStack
from typing import Final

import trio

from engine.actors.account import Account
from engine.actors.follower import Follower
from engine.actors.log_context import logged
from engine.actors.supervisor import WINDOW_S, Vitals, supervise
from engine.actors.unsent import Unsent
from engine.actors.wakeup import WakeUp
from engine.decisions.reconciliation import Plan
from engine.decisions.turns import in_turn
from engine.domain.identifiers import AccountId, CopyId
from engine.domain.preflight import Level, Preflight
from engine.ledger import Database, Ledger
from engine.ledger.copies import waiting, waiting_legs
from engine.live import LiveAccount

SWEEP_S: Final = 1.0
SLICE: Final = 6
PLANS_AT_ONCE: Final = 16


class AccountTasks:
    """The tasks of all followers. New accounts may join while they run."""

    def __init__(self, seed: int = 0, ledger: Ledger | None = None) -> None:
        self._ledger = ledger
        self.followers: dict[AccountId, Follower] = {}
        self._scopes: dict[AccountId, trio.CancelScope] = {}
        self._serving: list[Vitals] = []
        self._wakeup = WakeUp()
        self._jitter = random.Random(seed)  # noqa: S311 - spreads restarts, guards nothing

    @property
    def accounts(self) -> list[Account]:
        """Return what is known of each account."""
        return [each.account for each in self.followers.values()]

    def tasks(self) -> list[Follower]:
        """Return every account's task."""
        return list(self.followers.values())

    def keep_running(
        self, nursery: trio.Nursery, name: str, run: Callable[[], Awaitable[None]]
    ) -> None:
        """Run one task that serves every account; its failure is reported and ends neither the
        engine nor its own work. A full disk is waited for (see ``keep``).
        """
        self._serving.append(Vitals(name))
        nursery.start_soon(supervise, self._serving[-1], run, self._jitter, self._ledger)

    def restarts(self) -> dict[str, int]:
        """Return how often each task was restarted; those of accounts count together."""
        counts = {each.name: each.restarts for each in self._serving}
        counts["account"] = sum(each.vitals.restarts for each in self.followers.values())
        return counts

    def failing(self) -> dict[str, str]:
        """Return the tasks serving every account that failed within the last minute, and why."""
        now = trio.current_time()
        return {
            each.name: each.last_error
            for each in self._serving
            if each.failures and now - each.failures[-1] < WINDOW_S
        }

    def wake(self) -> None:
        """Wake the accounts: a signal was recorded."""
        self._wakeup.wake()

    def join(self, nursery: trio.Nursery, follower: Follower) -> None:
        """Start a follower's task; leave an account alone that has one already."""
        if follower.account.id not in self.followers:
            self.followers[follower.account.id] = follower
            nursery.start_soon(self._keep, follower)

    def part(self, account: AccountId) -> None:
        """End the task of an account that was disconnected; what it is sending is answered for
        first.
        """
        self.followers.pop(account, None)
        scope = self._scopes.pop(account, None)
        if scope is not None:
            scope.cancel()

    def vitals(self, names: Collection[str] | None = None) -> dict[str, dict[str, object]]:
        """Return by account name how each task is doing, or only those of ``names``; for commands."""
        return {
            each.account.name: {
                "running": each.vitals.running,
                "restarts": each.vitals.restarts,
                "quarantined": each.vitals.quarantined,
                "last_error": each.vitals.last_error,
                "problem": each.account.trouble,
                "read": each.account.report is not None,
                "read_at": None
                if each.account.read_at is None
                else each.account.read_at.isoformat(),
                "preflight": None
                if each.preflight.newest is None
                else each.preflight.newest.level.value,
                "checked_at": None
                if each.preflight.newest is None
                else each.preflight.newest.at.isoformat(),
            }
            for each in self.followers.values()
            if names is None or each.account.name in names
        }

    def checks(self) -> dict[str, int]:
        """Count accounts by the level of their last check."""
        checked = [each.preflight.newest for each in self.followers.values()]
        levels = [each.level for each in checked if each is not None]
        return {each.value: count for each in Level if (count := levels.count(each))}

    def troubled(self) -> list[str]:
        """Return the names of accounts whose task has a problem, is quarantined, or does not run."""
        tasks = self.followers.values()
        return [
            each.account.name
            for each in tasks
            if each.account.trouble or each.vitals.quarantined or not each.vitals.running
        ]

    def exchange_problems(self) -> dict[str, str]:
        """Return by exchange why its market data cannot be read, if so."""
        feeds = {each.exchange: each.shared.feeds[each.exchange] for each in self.accounts}
        return {exchange: feed.problem for exchange, feed in feeds.items() if feed.problem}

    def named(self, name: str) -> Follower | None:
        """Return the follower of the account with this name."""
        return next((each for each in self.followers.values() if each.account.name == name), None)

    async def check(self, name: str) -> Preflight:
        """Check the account with this name now; raises LookupError if no task has it."""
        for each in self.followers.values():
            if each.account.name == name:
                return await each.preflight.check(fresh=True)
        raise LookupError(name)

    async def plans(self, accounts: Collection[LiveAccount]) -> dict[LiveAccount, Plan | str]:
        """Read accounts, some at a time, and return what differs from the ledger in each, or why it
        cannot be read.
        """
        made: dict[LiveAccount, Plan | str] = {}
        limit = trio.CapacityLimiter(PLANS_AT_ONCE)

        async def plan(account: LiveAccount) -> None:
            async with limit:
                try:
                    made[account] = await account.plan_corrections()
                except (
                    Exception
                ) as error:  # one account's exchange: the others are reported all the same
                    made[account] = f"{type(error).__name__}: {error}"[:200]

        async with trio.open_nursery() as nursery:
            for each in accounts:
                nursery.start_soon(plan, each)
        return {each: made[each] for each in accounts}

    def unquarantine(self, name: str) -> None:
        """End the quarantine of the account with this name: its entries are taken again."""
        follower = self.named(name)
        if follower is not None:
            follower.vitals.quarantined = False
            follower.vitals.failures.clear()
            follower.account.wake()

    def released(self, account: AccountId, copy: CopyId) -> None:
        """Release a copy's order: a person decided that it does not exist."""
        follower = self.followers.get(account)
        if follower is not None:
            follower.account.release(copy, proven=False)
            follower.account.read_soon()

    async def _keep(self, follower: Follower) -> None:
        with logged(account=follower.account.id), trio.CancelScope() as scope:
            self._scopes[follower.account.id] = scope
            await supervise(follower.vitals, follower.run, self._jitter, self._ledger)

    async def route(self, db: Database, unsent: Collection[Unsent]) -> None:
        """Hand every account the legs that wait for it: in turn, and in slices, so that nothing
        else waits behind a fan-out. An exit that is recorded meanwhile does not wait for its end.
        ``unsent``: of every exchange; answers wait meanwhile.
        """
        while True:
            is_woken = False
            with ExitStack() as handing_on:
                for each in unsent:
                    handing_on.enter_context(each.fanning_out())
                async for part in _slices(in_turn(waiting(db))):
                    if self._wakeup.take():
                        is_woken = True
                        exits = (each for each in waiting(db) if not each.is_entry)
                        async for exiting in _slices(in_turn(exits)):
                            self._offer(db, exiting)
                    self._offer(db, part)
            if not is_woken:
                await self._wakeup.wait(SWEEP_S)

    def _offer(self, db: Database, accounts: Sequence[AccountId]) -> None:
        legs = waiting_legs(db, accounts)
        for account in accounts:
            if account in legs and (follower := self.followers.get(account)) is not None:
                follower.account.offer(legs[account])


async def _slices(accounts: Sequence[AccountId]) -> AsyncIterator[Sequence[AccountId]]:
    """Yield accounts some at a time, and let every other task run in between."""
    for begin in range(0, len(accounts), SLICE):
        yield accounts[begin : begin + SLICE]
        await trio.lowlevel.checkpoint()
