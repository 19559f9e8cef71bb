"""Keep the books: fold what was executed into trades, and record the equity of each account.

Equity is recorded at the first reading, once an hour, and at the first reading after something was
executed: as read, never guessed.

It follows the ledger at its own pace and decides nothing; if it fails, it is tried again, and only
figures wait for it. It waits for orders in flight before each closure that folds.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import trio

from engine.actors.account import Account
from engine.actors.account_tasks import AccountTasks
from engine.actors.shared import Shared
from engine.decisions.risk import equity, hides_equity
from engine.domain.identifiers import AccountId
from engine.ledger import Database, LedgerError, WriteRefused
from engine.ledger.folding import fold_episodes, unfolded_episodes
from engine.ledger.results import FINE_US, HOUR_US, mark_equity_point, thin_equity_points

_LOG = logging.getLogger("rexalgo.bookkeeping")
EVERY_S: Final = 2.0
AT_ONCE: Final = 200
EQUITY_EVERY_S: Final = 300.0
POINTS_AT_ONCE: Final = 100
_APART: Final = timedelta(microseconds=FINE_US)


class Bookkeeping:
    """The writer of trades and equity points."""

    def __init__(self, shared: Shared, account_tasks: AccountTasks) -> None:
        self._shared = shared
        self._account_tasks = account_tasks
        self._moved: dict[AccountId, datetime] = {}
        self._written: dict[AccountId, datetime] = {}
        self._refused: set[int] = set()
        """Episodes that the ledger refused to fold: tried again every five minutes, and no other
        episode waits for them.
        """

    async def run(self) -> None:
        """Run until cancelled."""
        last_points = -EQUITY_EVERY_S
        while True:
            is_due = trio.current_time() - last_points >= EQUITY_EVERY_S
            if is_due:
                last_points = trio.current_time()
                self._refused.clear()
            try:
                while episodes := unfolded_episodes(self._shared.ledger.db, AT_ONCE, self._refused):
                    await self._fold(episodes)
                await self._write_points(self._new_or_moved(), FINE_US)
                if is_due:
                    await self._write_points(self._account_tasks.accounts, HOUR_US)
            except LedgerError as error:
                _LOG.warning("the books could not be written, and are written later: %s", error)
            await self._shared.calm()
            await trio.sleep(EVERY_S)

    async def _fold(self, episodes: Sequence[int]) -> None:
        """Fold episodes together, as many as one closure takes; if the ledger refuses that, each
        alone.
        """
        await self._shared.calm()
        try:
            self._moved |= await self._shared.ledger.write(lambda db: fold_episodes(db, episodes))
        except WriteRefused as error:
            if len(episodes) > 1:
                for each in episodes:
                    await self._fold([each])
                return
            self._refused.add(episodes[0])
            _LOG.error("the trades of episode %d could not be written: %s", episodes[0], error)

    def _new_or_moved(self) -> Sequence[Account]:
        """Return the accounts that were read for the first time, or after something was executed;
        not too often for one.
        """
        due = []
        for account in self._account_tasks.accounts:
            newest, moved = self._written.get(account.id), self._moved.get(account.id)
            if account.read_at is None or (
                newest is not None
                and (moved is None or account.read_at < max(moved, newest + _APART))
            ):
                continue
            self._moved.pop(account.id, None)
            self._written[account.id] = account.read_at
            due.append(account)
        return due

    async def _write_points(self, accounts: Sequence[Account], apart_us: int) -> None:
        read = [
            (each.id, equity(each.report), each.read_at)
            for each in accounts
            if each.report is not None and each.read_at and hides_equity(each.report) is None
        ]
        now = self._shared.clock.now()
        for begin in range(0, len(read), POINTS_AT_ONCE):

            def write(
                db: Database,
                some: Sequence[tuple[AccountId, Decimal, datetime]] = read[
                    begin : begin + POINTS_AT_ONCE
                ],
            ) -> None:
                for account, worth, at in some:
                    mark_equity_point(db, account=account, equity=worth, at=at, apart_us=apart_us)
                    if apart_us == HOUR_US:
                        thin_equity_points(db, account, now)

            await self._shared.ledger.write(write)
