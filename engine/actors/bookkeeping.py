"""Keep the books: fold what was executed into trades, and write down once an hour what each account is worth.

It follows the ledger at its own pace and decides nothing; when it fails, it is tried again, and nothing but figures waits for it.
"""

import logging
from typing import Final

import trio

from engine.actors.household import Household
from engine.actors.shared import Shared
from engine.decisions.risk import equity
from engine.ledger import Database, LedgerError
from engine.ledger.results import book_fills, has_unbooked, mark_equity_point

_LOG = logging.getLogger("rexalgo.bookkeeping")
EVERY_S: Final = 2.0
AT_ONCE: Final = 200
EQUITY_EVERY_S: Final = 300.0


class Bookkeeping:
    """Write trades and equity points."""

    def __init__(self, shared: Shared, household: Household) -> None:
        self._shared = shared
        self._household = household

    async def run(self) -> None:
        """Run until cancelled."""
        last_points = -EQUITY_EVERY_S
        while True:
            try:
                while has_unbooked(self._shared.ledger.db):
                    await self._shared.ledger.write(lambda db: book_fills(db, AT_ONCE))
                if trio.current_time() - last_points >= EQUITY_EVERY_S:
                    last_points = trio.current_time()
                    await self._write_points()
            except LedgerError as error:
                _LOG.warning("the books could not be written, and are written later: %s", error)
            await self._shared.calm()
            await trio.sleep(EVERY_S)

    async def _write_points(self) -> None:
        now = self._shared.clock.now()
        points = [(each.account, equity(each.report)) for each in self._household.followers.values() if each.report is not None]

        def write(db: Database) -> None:
            for account, worth in points:
                mark_equity_point(db, account, worth, now)

        if points:
            await self._shared.ledger.write(write)
