"""Check one account: when it connects, every day, and when somebody asks. It reads and tells; it changes nothing and stops nothing itself.

The newest result is kept for status and pages. A check that fails is a log line and is made again the next day or at the next connection.
"""

import logging
from typing import TYPE_CHECKING, Final

from engine.actors.doorbell import Doorbell
from engine.actors.shared import TAKER_FEE_BPS
from engine.decisions.preflight import Facts, SymbolNeed, check_items, key_days_left, key_threshold
from engine.domain.account import AccountReport
from engine.domain.alert import AlertCode
from engine.domain.amounts import Ratio
from engine.domain.preflight import Preflight
from engine.ledger.alerts import was_told
from engine.ledger.attempts import read_holdings
from engine.ledger.preflight import agreements, credentials_since
from engine.ports.exchange import FundsElsewhere, Rejected, RejectionKind

if TYPE_CHECKING:
    from engine.actors.exchange_session import ExchangeSession
    from engine.actors.follower import Follower

_LOG = logging.getLogger("rexalgo.preflight")
EVERY_S: Final = 86_400.0


class PreflightWatch:
    """Keep one account's newest check."""

    def __init__(self, follower: "Follower") -> None:
        self._follower = follower
        self._bell = Doorbell()
        self.newest: Preflight | None = None

    def ring(self) -> None:
        """Say that the account was connected anew."""
        self._bell.ring()

    async def run(self) -> None:
        """Check until cancelled."""
        await self._follower.first_reading.wait()
        while True:
            await self._follower.shared.calm()
            try:
                await self.check(fresh=False)
            except Exception as error:  # a check is no reason to stop an account
                _LOG.warning("account %s could not be checked: %s: %s", self._follower.name, type(error).__name__, error)
            await self._bell.wait(EVERY_S)

    async def check(self, *, fresh: bool) -> Preflight:
        """Check now; ``fresh`` reads the account again, else its last reading counts where there is one."""
        follower, shared = self._follower, self._follower.shared
        report, problem, refused = await self._report(fresh)
        session = follower.session if report is not None else None
        db = shared.ledger.db
        items = check_items(
            Facts(
                report,
                problem,
                refused,
                credentials_since(db, follower.account),
                None if session is None else session.credentials_last_days,
                await self._elsewhere(session),
                {each.symbol: each.share for each in read_holdings(db, follower.account)},
                await self._needs(),
                {} if session is None else session.unmapped_errors(),
                Ratio(TAKER_FEE_BPS),
            ),
            shared.clock.now(),
        )
        await self._warn_of_key(session)
        self.newest = Preflight(follower.name, follower.exchange, follower.environment, items, shared.clock.now())
        return self.newest

    async def _warn_of_key(self, session: "ExchangeSession | None") -> None:
        """Tell once for each key and threshold that it runs out."""
        lasts = None if session is None else session.credentials_last_days
        if lasts is None:
            return
        follower, shared = self._follower, self._follower.shared
        db, now = shared.ledger.db, shared.clock.now()
        since = credentials_since(db, follower.account)
        left = key_days_left(since, lasts, now)
        due = key_threshold(left)
        sameness = f"{due} {since:%Y-%m-%d}"
        if due is not None and not was_told(db, AlertCode.KEY_EXPIRES_SOON, follower.name, sameness):
            held = sum(1 for each in read_holdings(db, follower.account) if each.share > 0)
            await shared.alert(
                AlertCode.KEY_EXPIRES_SOON, follower.name, sameness, days=str(max(left, 0)), since=f"{since:%Y-%m-%d}", lasts=str(lasts),
                positions=str(held),
            )  # fmt: skip

    async def _report(self, fresh: bool) -> tuple[AccountReport | None, str, bool]:
        follower = self._follower
        if not fresh and follower.report is not None:
            return follower.report, "", False
        if not fresh and follower.session is None:  # its own task tries to connect; a second one beside it helps nobody
            return None, follower.problem or "it is not connected", bool(follower.problem) and not follower.problem_may_pass
        try:
            session = await follower.connected()
            return await session.fetch_account(), "", False
        except Exception as error:  # whatever it is, the check tells it
            refused = isinstance(error, Rejected) and error.kind is RejectionKind.CREDENTIALS
            return None, f"{type(error).__name__}: {error}"[:200], refused

    async def _elsewhere(self, session: "ExchangeSession | None") -> tuple[FundsElsewhere, ...]:
        try:
            return () if session is None else tuple(await session.funds_elsewhere())
        except Exception as error:  # only words beside the free balance depend on it
            _LOG.info("other wallets of account %s could not be read: %s", self._follower.name, type(error).__name__)
            return ()

    async def _needs(self) -> list[SymbolNeed]:
        shared = self._follower.shared
        feed = shared.feeds[self._follower.exchange]
        return [
            SymbolNeed(symbol, each.strategy, each.policy, feed.instrument(symbol), await feed.quote(symbol, shared.pace.price_age_s))
            for each in agreements(shared.ledger.db, self._follower.account)
            for symbol in sorted(each.policy.symbols)
        ]
