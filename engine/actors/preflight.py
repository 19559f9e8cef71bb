"""Check one account: when it is read for the first time or again, every day, and on request. It
stops nothing itself.

The newest result is kept for status. Pages get its items worked out anew, because each reading may
change them. The expiry of a key is reported once for each
warning, whether or not the account can be read. Reading is the work of the account's own task: a
check that nobody requested waits for its readings and makes none, because two at once would meet
the exchange's rate limit. A failed check is a log line and is repeated the next day or at the next
first reading.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from engine.actors.account import Account
from engine.actors.exchange_session import ExchangeSession
from engine.actors.unreadable import UnreadableRows
from engine.decisions.portfolio import marked
from engine.decisions.preflight import (
    Facts,
    PassingFacts,
    SymbolNeed,
    check_items,
    key_warning,
    next_key_warning,
    passing_items,
)
from engine.decisions.sizing import TAKER_FEE_BPS
from engine.domain.account import AccountReport, Environment
from engine.domain.alert import AlertCode
from engine.domain.amounts import Ratio
from engine.domain.identifiers import Symbol
from engine.domain.preflight import CheckItem, Preflight
from engine.domain.subscription import Mode, strictest
from engine.ledger.alerts import raise_alert_once
from engine.ledger.holdings import read_holdings
from engine.ledger.preflight import Agreement, agreements, credentials_since, is_key_refused
from engine.market.comparing import needs_now, needs_read
from engine.ports.exchange import FundsElsewhere, Rejected, RejectionKind

_LOG = logging.getLogger("rexalgo.preflight")
EVERY_S: Final = 86_400.0
AGAIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a reading saw at ``at``: ``report`` is None if it failed, ``problem`` says why, and
    ``refused`` whether because of the key.
    """

    at: datetime
    report: AccountReport | None
    problem: str = ""
    refused: bool = False


class PreflightWatch:
    """The newest check of one account."""

    def __init__(self, account: Account, unreadable: UnreadableRows) -> None:
        self._account = account
        self._unreadable = unreadable
        self.newest: Preflight | None = None
        self._elsewhere: tuple[FundsElsewhere, ...] = ()
        self._asked: _Seen | None = None  # the newest reading that a person asked for
        self._lacks_market = False

    async def run(self) -> float:
        """Check once; return after how many seconds to check again."""
        await self._account.wait_read()
        await self._account.shared.calm()
        self._account.check.take()  # this check answers them
        try:
            await self._tell_key_end()
            await self.check(fresh=False)
        except Exception as error:  # a check is no reason to stop an account
            _LOG.warning(
                "account %s could not be checked: %s: %s",
                self._account.name,
                type(error).__name__,
                error,
            )
        return self._pause_s()

    @property
    def _key_lasts_days(self) -> int | None:
        return self._account.shared.feeds[self._account.exchange].credentials_last_days

    @property
    def _has_key(self) -> bool:
        return self._account.environment != Environment.PAPER.value

    def _key_since(self) -> datetime:
        return credentials_since(self._account.shared.ledger.db, self._account.id)

    def _pause_s(self) -> float:
        """Return how long to wait: a day; less if the key's next warning comes before, or the
        market could not be read.
        """
        lasts = self._key_lasts_days
        until = (
            None
            if lasts is None
            else next_key_warning(self._key_since(), lasts, self._account.shared.clock.now())
        )
        often = AGAIN_S if self._lacks_market else EVERY_S
        return often if until is None else min(often, until.total_seconds())

    async def _tell_key_end(self) -> None:
        """Report that the key is about to expire, or has expired: once for each warning of each
        key.
        """
        account, shared, lasts = self._account, self._account.shared, self._key_lasts_days
        if lasts is None:
            return
        since, now = self._key_since(), shared.clock.now()
        warning = key_warning(since, lasts, now)
        if warning is None:
            return
        over = since + timedelta(days=lasts)
        left = (
            f"it expired on {over:%Y-%m-%d %H:%M} UTC"
            if warning == 0
            else f"it ends on {over:%Y-%m-%d %H:%M} UTC at the latest"
        )
        position_count = sum(
            1 for each in read_holdings(shared.ledger.db, account.id) if each.share > 0
        )
        details = {
            "given": f"{since:%Y-%m-%d}",
            "lasts": str(lasts),
            "exchange": account.exchange,
            "left": left,
            "positions": str(position_count),
        }
        same = f"{since.isoformat()} {warning}"
        await shared.ledger.write(
            lambda db: raise_alert_once(
                db,
                code=AlertCode.KEY_EXPIRES_SOON,
                subject=account.name,
                details=details,
                at=now,
                sameness=same,
            )
        )

    async def check(self, *, fresh: bool) -> Preflight:
        """Check now; ``fresh`` reads the account again, else its last reading counts if there is
        one.
        """
        account, shared = self._account, self._account.shared
        seen = await self._read() if fresh else self._seen()
        if fresh and (seen.report is not None or seen.refused):
            self._asked = seen
        self._elsewhere = await self._read_elsewhere(account.session if seen.report else None)
        agreed = agreements(shared.ledger.db, account.id)
        needs = await self._needs(agreed, is_read=seen.report is not None)
        lasting = self._items(seen, needs, elsewhere_at=None)
        items = (*lasting, *self._passing(seen.report, agreed))
        before, newest = self.newest, self._preflight(items, shared.clock.now())
        self.newest = newest
        if before is not None and before.level is not newest.level:
            await account.tell_pages("check", {"level": newest.level.value})
        if fresh and seen.report is None and not seen.refused and account.report is not None:
            # asked at a bad moment: the account's own readings will show more, and nobody waits a
            # day for that
            account.check.wake()
        return newest

    def lasting(self) -> Preflight | None:
        """Return what the newest reading comes to, and when it was made, without what
        ``passing_items`` says; None before the first check. Asks the exchange nothing.
        """
        if self.newest is None:
            return None
        account, seen = self._account, self._seen()
        feed = account.shared.feeds[account.exchange]
        agreed = agreements(account.shared.ledger.db, account.id)
        needs = [need for each in agreed for need in needs_read(feed, each.strategy, each.policy)]
        return self._preflight(self._items(seen, needs, elsewhere_at=self.newest.at), seen.at)

    def _preflight(self, items: tuple[CheckItem, ...], at: datetime) -> Preflight:
        account = self._account
        return Preflight(
            account=account.name,
            exchange=account.exchange,
            environment=account.environment,
            items=items,
            at=at,
        )

    def _items(
        self, seen: _Seen, needs: Sequence[SymbolNeed], elsewhere_at: datetime | None
    ) -> tuple[CheckItem, ...]:
        account, shared, report = self._account, self._account.shared, seen.report
        session = account.session if report is not None else None
        lasts = self._key_lasts_days
        has_positions = report is not None and report.positions
        holdings = read_holdings(shared.ledger.db, account.id) if has_positions else []
        return check_items(
            Facts(
                report=report,
                problem=seen.problem,
                key_refused=seen.refused,
                key_since=None if lasts is None else self._key_since(),
                key_lasts_days=lasts,
                elsewhere=self._elsewhere,
                elsewhere_at=elsewhere_at,
                unsettled=() if report is None else self._unsettled(report),
                ours={each.symbol: each.share for each in holdings},
                needs=needs,
                unmapped={} if session is None else session.unmapped_errors(),
                fee_bps=Ratio(TAKER_FEE_BPS),
                unreadable=tuple(
                    dict.fromkeys(
                        (*(() if report is None else report.unreadable), *self._unreadable.rows)
                    )
                ),
                foreign=len(account.foreign),
                has_key=self._has_key,
            ),
            shared.clock.now(),
        )

    def _unsettled(self, report: AccountReport) -> frozenset[Symbol]:
        """Return the symbols whose position an order of ours may have changed since it was read: what
        is the owner's of it is not known before the next reading.
        """
        account = self._account
        if account.read_began is None:
            return frozenset()
        symbols = (each.symbol for each in report.positions)
        return frozenset(each for each in symbols if account.may_miss_fill(each))

    def _passing(
        self, report: AccountReport | None, agreed: Sequence[Agreement]
    ) -> tuple[CheckItem, ...]:
        account, shared = self._account, self._account.shared
        db, feed = shared.ledger.db, shared.feeds[account.exchange]
        limits = {
            each.strategy: strictest(shared.limits, each.policy.limits)
            for each in agreed
            if each.policy.mode is Mode.LIVE
        }
        is_limited = any(each.limits_losses for each in limits.values())
        facts = PassingFacts(
            report=None if report is None else marked(report, feed.newest),
            marks=account.equity_marks if is_limited else None,
            limits=limits,
            key_refused=self._has_key and is_key_refused(db, account.id),
        )
        return passing_items(facts, shared.clock.now())

    async def _read(self) -> _Seen:
        """Read the account; whatever goes wrong, the check reports it."""
        account = self._account
        try:
            session = await account.connected()
            report = await session.fetch_account()
        except Exception as error:
            refused = isinstance(error, Rejected) and error.kind is RejectionKind.CREDENTIALS
            problem = f"{type(error).__name__}: {error}"[:200]
            return _Seen(account.shared.clock.now(), None, problem, refused)
        return _Seen(account.shared.clock.now(), report)

    def _seen(self) -> _Seen:
        """Return what was seen last: by the account's own readings, or by one that was asked for."""
        account, asked, now = self._account, self._asked, self._account.shared.clock.now()
        if account.report is None or account.read_at is None:
            problem = account.problem or "it is not read yet"
            return _Seen(account.read_at or now, None, problem, account.readiness.is_refused)
        if asked is not None and asked.at > account.read_at:
            return asked
        return _Seen(account.read_at, account.report)

    async def _read_elsewhere(self, session: ExchangeSession | None) -> tuple[FundsElsewhere, ...]:
        try:
            return () if session is None else tuple(await session.funds_elsewhere())
        except Exception as error:  # only words beside the free balance depend on it
            _LOG.info(
                "other wallets of account %s could not be read: %s",
                self._account.name,
                type(error).__name__,
            )
            return ()

    async def _needs(self, agreed: Sequence[Agreement], *, is_read: bool) -> list[SymbolNeed]:
        shared = self._account.shared
        feed = shared.feeds[self._account.exchange]
        needs: list[SymbolNeed] = []
        for agreement in agreed:
            for symbol in sorted(agreement.policy.symbols) if is_read else ():
                await feed.trades(
                    symbol
                    # some exchanges report their contracts only once an account is connected, and
                    # this one is
                )
            needs += await needs_now(
                feed, agreement.strategy, agreement.policy, shared.pace.price_age_s
            )
        self._lacks_market = any(
            not each.contracts_known or (each.instrument is not None and each.quote is None)
            for each in needs
        )
        return needs
