"""Read what funding an account paid: each hour where the exchange tells it, and soon after something was closed.

Only figures depend on it. A reading that fails is a log line and is made again; what was read twice is written once.
"""

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from engine.actors.doorbell import Doorbell
from engine.domain.identifiers import Symbol
from engine.ledger.attempts import read_holdings
from engine.ledger.funding import FundingRow, has_traded, record_funding
from engine.ports.exchange import FeeKind

if TYPE_CHECKING:
    from engine.actors.follower import Follower

_LOG = logging.getLogger("rexalgo.funding")
EVERY_S: Final = 3_600.0
LOOK_BACK: Final = timedelta(days=2)
OVERLAP: Final = timedelta(hours=9)
"""Funding falls due every eight hours at most; a payment that an exchange shows late is read once more."""


class FundingWatch:
    """Keep one account's funding written down."""

    def __init__(self, follower: "Follower") -> None:
        self._follower = follower
        self._bell = Doorbell()
        self._read_at: datetime | None = None
        self._held: frozenset[Symbol] = frozenset()

    def account_was_read(self) -> None:
        """Look whether something is closed that was held at the reading before: what it paid can be told now."""
        held = frozenset(each.symbol for each in read_holdings(self._follower.shared.ledger.db, self._follower.account) if each.share > 0)
        if self._held - held:
            self._bell.ring()
        self._held = held

    async def run(self) -> None:
        """Read until cancelled."""
        await self._follower.first_reading.wait()
        while True:
            await self._follower.shared.calm()
            try:
                await self.read()
            except Exception as error:  # figures are no reason to stop an account
                _LOG.info("funding of account %s could not be read: %s: %s", self._follower.name, type(error).__name__, error)
            await self._bell.wait(EVERY_S)

    async def read(self) -> None:
        """Read once, where the exchange tells funding and there may be some."""
        follower, ledger = self._follower, self._follower.shared.ledger
        session = follower.session
        if session is None or not session.reports_fees or not has_traded(ledger.db, follower.account):
            return
        now = follower.shared.clock.now()
        since = now - LOOK_BACK if self._read_at is None else self._read_at - OVERLAP
        offset = timedelta(seconds=session.clock_offset_s or 0.0)
        rows = [
            FundingRow(each.id, each.symbol, each.amount, each.at - offset)
            for each in (await session.fees(since)).rows
            if each.kind is FeeKind.FUNDING
        ]
        if rows:
            await ledger.write(partial(record_funding, account=follower.account, rows=rows))
        self._read_at = now
