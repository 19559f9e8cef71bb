"""Monitor: whether the engine works, and what became of signals, for probes, pages and the live
stream. It changes nothing.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

import trio

from engine.actors.account_tasks import AccountTasks
from engine.actors.shared import Shared
from engine.ledger import DiskRefused, Ledger
from engine.ledger.freeze import EVERYBODY, read_freezes
from engine.ledger.pulse import newest_sequence
from engine.ledger.reports import outcome_rows, receipt
from engine.views import HealthView, OutcomeRow, ReadinessView, ReceiptView

READY_WITHIN_S: Final = 30.0
NEWS_PAUSE_S: Final = 0.05


class Condition(Protocol):
    """How the engine is doing: the running one of this process, or that of another process."""

    async def health(self) -> HealthView:
        """Return whether the engine works; never waits long."""
        ...

    async def readiness(self) -> ReadinessView:
        """Return whether orders can flow; never waits long."""
        ...

    async def is_alive(self) -> bool:
        """Return whether this process works; waits for what it cannot work without."""
        ...


class Running:
    """The condition of the engine of this process; waits for nothing."""

    def __init__(self, shared: Shared, account_tasks: AccountTasks, version: str) -> None:
        self._shared = shared
        self._ledger: Ledger = shared.ledger
        self._account_tasks = account_tasks
        self._version = version
        self._started = trio.current_time()

    async def health(self) -> HealthView:
        """Return whether the process works; cheap, never waits."""
        failed = "" if self._ledger.healthy else "the ledger could not be written the last time"
        problems = tuple(each for each in (self._ledger.unusable or failed,) if each)
        frozen = [
            f"{each.name or 'this installation'} is frozen, no order of any kind is sent"
            for each in read_freezes(self._ledger.db)[:1]
        ]
        return HealthView(
            not problems,
            self._version,
            round(trio.current_time() - self._started, 1),
            (*problems, *frozen),
        )

    async def is_alive(self) -> bool:
        """Wait until the ledger's writer answers; return whether the process works. A disk that
        takes no writes is told by ``health``: a restart would not help, and could not write either.
        """
        with suppress(DiskRefused):
            await self._ledger.answers()
        return not self._ledger.unusable

    async def readiness(self) -> ReadinessView:
        """Return whether orders can flow: each account's first reading is done or has visibly
        failed, at most 30 s after the start.
        """
        accounts = self._account_tasks.accounts
        late = trio.current_time() - self._started > READY_WITHIN_S
        waiting = [each.name for each in accounts if not each.settled]
        failed = {each.name: trouble for each in accounts if (trouble := each.trouble)}
        read = len(accounts) - len({*waiting, *failed})
        if late:
            failed.update(dict.fromkeys(waiting, "the first reading takes longer than 30 s"))
        ready = (
            self._ledger.healthy and (late or not waiting) and not self._shared.why_held(EVERYBODY)
        )
        return ReadinessView(
            ready=ready,
            ledger=self._ledger.healthy,
            accounts=len(accounts),
            accounts_reconciled=read,
            accounts_failed=failed,
        )


class Monitor:
    """The answers that probes, pages and scripts ask for. Created by ``run``; all methods may be
    called from any task of the loop.
    """

    def __init__(self, ledger: Ledger, condition: Condition) -> None:
        self._ledger = ledger
        self._condition = condition
        self._news = trio.Event()
        self._closing = False
        self._ledger.on_commit(self.tell)

    def close(self) -> None:
        """End every stream of news."""
        self._closing = True
        self._news.set()

    def tell(self) -> None:
        """Wake whoever waits for news: something was committed."""
        self._news.set()
        if not self._closing:
            self._news = trio.Event()

    async def is_alive(self) -> bool:
        """Return whether this process works; waits for what it cannot work without."""
        return await self._condition.is_alive()

    async def receipt(self, receipt_id: str) -> ReceiptView | None:
        """Return what became of a signal, or None if there is no such receipt."""
        return receipt(self._ledger.db, receipt_id)

    async def health(self) -> HealthView:
        """Return whether the engine works; cheap, never waits long."""
        return await self._condition.health()

    async def readiness(self) -> ReadinessView:
        """Return whether orders can flow: each account's first reading is done or has visibly
        failed, at most 30 s after the start.
        """
        return await self._condition.readiness()

    async def recent_outcomes(self, limit: int) -> Sequence[OutcomeRow]:
        """Return the newest ``limit`` rows, newest first."""
        return outcome_rows(self._ledger.db, 0, limit, newest_first=True)

    async def wait_outcomes(self, after: int, limit: int) -> Sequence[OutcomeRow]:
        """Return at most ``limit`` rows with a sequence above ``after``, oldest first; waits until
        there is one.
        """
        while not self._closing:
            news = self._news
            rows = outcome_rows(self._ledger.db, after, limit, newest_first=False)
            if rows:
                return rows
            await news.wait()
            await trio.sleep(
                NEWS_PAUSE_S
            )  # a fan-out commits hundreds of times a second: read it in batches
        return ()

    async def wait_news(self, after: int) -> int:
        """Wait until the ledger has an event above ``after`` and return the newest one's sequence;
        0 when the engine is closing.
        """
        while not self._closing:
            news = self._news
            newest = newest_sequence(self._ledger.db)
            if newest > after:
                return newest
            await news.wait()
        return 0
