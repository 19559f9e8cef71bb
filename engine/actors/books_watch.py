"""Keep one account's books true: ask the exchange for what they lack, until both sides agree.

It asks only while something is missing: a price, a fee, what closed a position; for funding each
hour, since the last complete reading, and first since the oldest open trade was opened. Pauses grow
from 2 s to 2 minutes, so an account costs a bounded number of requests. Rows may arrive minutes
late: a fill is marked unexplained after 15 minutes of complete readings, is asked for hourly for a
day after that, and is corrected by whatever is reported. Only figures depend on it: a failed
reading is a log line and is repeated.
"""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import trio

from engine.actors.account import Account
from engine.actors.exchange_session import ExchangeSession
from engine.actors.wakeup import WakeUp
from engine.decisions.explaining_fills import (
    OwnChange,
    UnsettledFill,
    explain_by_entry,
    explain_by_orders,
    explain_by_positions,
    own_changes,
)
from engine.decisions.risk import equity
from engine.decisions.wallet import TOLERANCE, at_cost, at_entry_price, differing, unexplained
from engine.domain.account import AccountReport, ClosedPosition
from engine.domain.identifiers import Symbol
from engine.domain.order import OrderReport
from engine.ledger import Database
from engine.ledger.folding import fold_account
from engine.ledger.funding import FundingRow, record_funding
from engine.ledger.holdings import attach_where_own_level_closed, read_holdings
from engine.ledger.unsettled import (
    book_own,
    give_up,
    is_asked_for,
    open_since,
    own_books,
    store_fees,
    taken_ids,
    tell_all,
    tell_known_orders,
    tie_fees,
    unsettled_fills,
)
from engine.ledger.wallet import (
    Wallet,
    begin_wallet,
    compared,
    fills_since,
    is_busy,
    last_agreed,
    note_unexplained,
    note_unseen,
    open_costs,
    read_wallet,
    sums,
)
from engine.ports.exchange import FeeKind, FeeReport

_LOG = logging.getLogger("rexalgo.books")
EVERY_S: Final = 3_600.0
FIRST_S: Final = 1.5
PAUSE_S_MAX: Final = 120.0
FUNDING_BACK: Final = timedelta(days=2)
FUNDING_OVERLAP: Final = timedelta(hours=9)
"""Funding falls due every eight hours at most; a payment that an exchange shows late is read once
more.
"""
LOOK_BACK: Final = timedelta(seconds=60)
GIVE_UP_AFTER: Final = timedelta(minutes=15)
GIVE_UP_INCOMPLETE: Final = timedelta(hours=1)
"""For an exchange whose pages never reach back far enough."""
SURE_AFTER: Final = timedelta(minutes=2)
"""How long a change of the wallet stays unexplained before it becomes a row: margin and rows of an
exchange arrive seconds late.
"""


@dataclass(slots=True)
class _Strange:
    """A change of the wallet that nothing explains, since when, and when the exchange was asked
    about it.
    """

    amount: Decimal
    since: datetime
    looked_at: datetime | None = None


class BooksWatch:
    """The keeper of one account's books."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.wakeup = WakeUp()
        self._newest = 0
        self._tries = 0
        self._has_looked = False
        self._fees_asked_at: datetime | None = None
        self._fees_read_at: datetime | None = None
        """When a reading of fees was last complete; None if this engine has made none."""
        self._strange: _Strange | None = None
        self._is_complete = True
        """Whether the newest readings of orders and closed positions reached back as far as
        requested; ``_fees_are_complete`` the same of fees.
        """
        self._fees_are_complete = True
        self._read_at: datetime | None = None
        self._differing: dict[Symbol, datetime | None] = {}

    async def account_was_read(
        self, report: AccountReport, began: datetime, undecided: frozenset[Symbol]
    ) -> None:
        """Book the owner's changes, begin the wallet at the first reading, and wake the watch if
        there is something to ask for.
        """
        try:
            await self._take(report, began, undecided)
        # figures are no reason to fail a reading, and entries with it; the next reading is compared
        # again
        except Exception as error:
            self._account.note("the books cannot be compared with a reading", error)

    async def _take(
        self, report: AccountReport, began: datetime, undecided: frozenset[Symbol]
    ) -> None:
        account, ledger = self._account, self._account.shared.ledger
        db, account_id = ledger.db, account.id
        wallet = read_wallet(db, account_id)
        if self._own_changes(db, report, undecided) or wallet is None:

            def write(db: Database) -> None:
                is_quiet = not is_busy(db, account_id) and not fills_since(db, account_id, began)
                now = self._own_changes(db, report, undecided)
                book_own(
                    db,
                    account=account_id,
                    changes=now,
                    at=began,
                    seen_at=None if wallet is None else self.seen_at,
                )
                if wallet is None and is_quiet and all(each.is_entry for each in now):
                    self._begin(db, report, began)

            await ledger.write(write)
        else:
            await self._compare(report, wallet, began)
        costs = open_costs(db, account_id)
        self._differing = {symbol: self.seen_at(symbol) for symbol in differing(report, costs)}
        self._read_at = began
        newest = max((each.id for each in unsettled_fills(db, account_id, began)), default=0)
        if newest > self._newest:
            self._newest = newest
            self._tries = 0
            self.wakeup.wake()

    def _own_changes(
        self, db: Database, report: AccountReport, undecided: frozenset[Symbol]
    ) -> list[OwnChange]:
        books = own_books(db, self._account.id)
        if not report.positions and not books:
            return []
        return own_changes(report, read_holdings(db, self._account.id), books, undecided)

    def seen_at(self, symbol: Symbol) -> datetime | None:
        """Return when a reading last showed what the books have open in a contract: a difference in
        a new one happened since.
        """
        if symbol in self._differing or self._read_at is not None:
            return self._differing.get(symbol, self._read_at)
        return last_agreed(self._account.shared.ledger.db, self._account.id, symbol)

    def _begin(self, db: Database, report: AccountReport, at: datetime) -> None:
        """Begin the wallet if the books have what is there: what they lack happened before, and
        would be reported after.
        """
        account_id = self._account.id
        fold_account(db, account_id)
        # What is open now is valued at the books' prices; if those are not known, at the
        # exchange's.
        costs = [at_entry_price(report, each) for each in open_costs(db, account_id)]
        if differing(report, costs):
            return
        baseline = at_cost(report, costs)
        begin_wallet(
            db,
            account=account_id,
            baseline=report.balance.total if baseline is None else baseline,
            cash=report.balance.total,
            worth=equity(report),
            at=at,
        )

    async def _compare(self, report: AccountReport, wallet: Wallet, began: datetime) -> None:
        """Compare the wallet with the books while neither moves; what nothing explains twice, some
        time apart, becomes a visible row.
        """
        ledger, account_id = self._account.shared.ledger, self._account.id
        if is_busy(ledger.db, account_id):
            self._strange = None
            return
        worth = at_cost(report, open_costs(ledger.db, account_id))
        if worth is None:
            self._strange = None
            return
        rest = unexplained(worth, wallet.baseline, sums(ledger.db, account_id), wallet.rounding)
        is_explained = abs(rest) <= TOLERANCE or (
            abs(rest) <= TOLERANCE * fills_since(ledger.db, account_id, wallet.quiet_at)
        )
        if not is_explained:
            if self._strange is None or abs(self._strange.amount - rest) > TOLERANCE:
                self._strange = _Strange(rest, began)
                self.wakeup.wake()  # fees, funding or a position of the owner's may explain it
                return
            if began - self._strange.since < SURE_AFTER or self._strange.looked_at is None:
                return
        elif report.balance.total == wallet.cash and began - wallet.read_at < timedelta(
            seconds=EVERY_S
        ):
            self._strange = None
            return
        amount, self._strange = (None if is_explained else rest), None

        def write(db: Database) -> None:
            if amount is not None:
                note_unexplained(
                    db, account=account_id, amount=amount, since=wallet.quiet_at, until=began
                )
            left = wallet.rounding if amount is not None else wallet.rounding + rest
            compared(
                db,
                account=account_id,
                cash=report.balance.total,
                worth=equity(report),
                rounding=left,
                at=began,
            )

        await ledger.write(write)

    async def run(self) -> float:
        """Ask the exchange once for what is missing; return after how many seconds to ask again."""
        if self._has_looked and self._tries == 0:
            # an exchange writes the rows of a fill about a second after it
            await trio.sleep(FIRST_S)
        await self._account.wait_read()
        await self._account.shared.calm()
        self._has_looked = True
        try:
            left = await self.look()
        except Exception as error:  # figures are no reason to stop an account
            self._account.note("the books cannot be completed", error)
            left = True
        self._tries = self._tries + 1 if left else 0
        return min(2.0 ** min(self._tries, 10), PAUSE_S_MAX) if left else EVERY_S

    async def look(self) -> bool:
        """Ask once for everything that is missing; return whether something still is and will be
        asked for again soon.
        """
        account, ledger = self._account, self._account.shared.ledger
        session, now = account.session, account.shared.clock.now()
        if session is None:
            return is_asked_for(ledger.db, account.id)
        fills = unsettled_fills(ledger.db, account.id, now)
        if not (fills or session.reports_fees or self._strange):
            return False  # there is nothing to ask for
        # Each source separately: one that cannot be read keeps back nothing that another one
        # reports.
        failed = await self._failed(self._read_fees(session, fills, now))
        failed |= await self._failed(self._look_for_unseen(session, now))
        fills = unsettled_fills(ledger.db, account.id, now)
        if not fills:
            return failed
        failed |= await self._failed(self._explain(session, fills))
        complete = self._is_complete and self._fees_are_complete and not failed
        await ledger.write(partial(self._settle, now=now, complete=complete))
        return failed or is_asked_for(ledger.db, account.id)

    async def _failed(self, reading: Awaitable[None]) -> bool:
        """Read one source; return whether that failed."""
        try:
            await reading
        except Exception as error:  # figures are no reason to stop an account
            self._account.note("the books cannot be completed", error)
            return True
        return False

    async def _read_fees(
        self, session: ExchangeSession, fills: list[UnsettledFill], now: datetime
    ) -> None:
        """Read fees and funding if a fee is missing, and once an hour."""
        self._fees_are_complete = True
        if not session.reports_fees:
            return
        lacking = [each.since for each in fills if each.fee is None or each.cause is None]
        is_due = self._fees_asked_at is None or now - self._fees_asked_at >= timedelta(
            seconds=EVERY_S
        )
        is_due |= self._strange is not None and self._strange.looked_at is None
        if not lacking and not is_due:
            return
        since = min(lacking, default=now) - LOOK_BACK
        if is_due:
            since = min(since, self._fees_known_to(now))
        history = await session.fees(since)
        self._fees_are_complete = history.complete
        await self._account.shared.ledger.write(
            partial(self._write_fees, rows=history.rows, offset=_offset(session), now=now)
        )
        if is_due:
            self._fees_asked_at = now
            if history.complete:
                self._fees_read_at = now

    def _fees_known_to(self, now: datetime) -> datetime:
        """Return the time from which on the exchange may have charged what no reading has reached:
        an engine that was down may have missed days of it.
        """
        if self._fees_read_at is not None:
            return self._fees_read_at - FUNDING_OVERLAP
        since = now - FUNDING_BACK
        return min(
            since, open_since(self._account.shared.ledger.db, self._account.id, since) or since
        )

    async def _look_for_unseen(self, session: ExchangeSession, now: datetime) -> None:
        """Look for positions that the owner opened and closed between two readings, if the wallet
        changed without a reason.
        """
        ledger, account_id, strange = self._account.shared.ledger, self._account.id, self._strange
        if strange is None or strange.looked_at is not None:
            return
        wallet = read_wallet(ledger.db, account_id)
        if wallet is None:
            return
        if session.reports_closed_positions:
            offset = _offset(session)
            history = await session.closed_positions(wallet.quiet_at - LOOK_BACK, for_books=True)
            closed = [
                replace(each, closed_at=each.closed_at - offset, opened_at=each.opened_at - offset)
                for each in history.rows
            ]
            await ledger.write(
                partial(
                    note_unseen, account=account_id, closed=closed, since=wallet.quiet_at, until=now
                )
            )
        strange.looked_at = now

    def _write_fees(
        self, db: Database, rows: tuple[FeeReport, ...], offset: timedelta, now: datetime
    ) -> None:
        account_id = self._account.id
        store_fees(db, account_id, rows, offset)
        funding = [
            FundingRow(each.id, each.symbol, each.amount, each.at - offset)
            for each in rows
            if each.kind is FeeKind.FUNDING
        ]
        fold_account(
            db,
            account_id,
            # funding belongs to the strategy that held: a trade that is not folded yet would leave
            # it the owner's
        )
        record_funding(db, account_id, funding)
        tie_fees(db, account_id, now)
        attach_where_own_level_closed(db, account_id)

    async def _explain(self, session: ExchangeSession, fills: list[UnsettledFill]) -> None:
        """Read what may explain these fills, and record what it reports."""
        offset, since = _offset(session), min(each.since for each in fills) - LOOK_BACK
        closed: list[ClosedPosition] = []
        self._is_complete = True
        outside = [
            each
            for each in fills
            if not each.is_entry and (each.price is None or each.cause is None)
        ]
        if outside and session.reports_closed_positions:
            ids = frozenset(each.position_id for each in outside if each.position_id)
            closed_rows = await session.closed_positions(since, ids, for_books=True)
            closed = [replace(each, closed_at=each.closed_at - offset) for each in closed_rows.rows]
            self._is_complete &= closed_rows.complete
        orders: list[OrderReport] = []
        for symbol in sorted(
            {
                each.symbol
                for each in fills
                if each.price is None or (each.fee is None and not session.reports_fees)
            }
        ):
            history = await session.find_orders(symbol, since, for_books=True)
            orders += [
                replace(each, created_at=each.created_at - offset) for each in history.orders
            ]
            self._is_complete &= history.complete
        await self._account.shared.ledger.write(
            partial(
                self._tell,
                fills=fills,
                orders=orders,
                closed=closed,
                waits_for_position=session.reports_closed_positions,
            )
        )

    def _tell(
        self,
        db: Database,
        fills: list[UnsettledFill],
        orders: list[OrderReport],
        closed: list[ClosedPosition],
        *,
        waits_for_position: bool,
    ) -> None:
        account_id, now = self._account.id, self._account.shared.clock.now()
        tell_known_orders(db, account_id, fills, orders)
        named = {each.exchange_order_id for each in orders} | {each.order_id for each in closed}
        taken = taken_ids(db, account_id, {each for each in named if each})
        tell_all(
            db,
            account_id,
            explain_by_orders(fills, orders, taken, waits_for_position=waits_for_position),
        )
        still = [
            each
            for each in unsettled_fills(db, account_id, now)
            if each.price is None or each.cause is None
        ]
        tell_all(db, account_id, explain_by_positions(still, closed, taken))
        tie_fees(db, account_id, now)
        attach_where_own_level_closed(db, account_id)

    def _settle(self, db: Database, now: datetime, complete: bool) -> None:
        """Give up what was asked for long enough."""
        account_id, report = self._account.id, self._account.report
        patience = GIVE_UP_AFTER if complete else GIVE_UP_INCOMPLETE
        over = [
            each for each in unsettled_fills(db, account_id, now) if now - each.seen_at >= patience
        ]
        if report is not None:
            tell_all(db, account_id, explain_by_entry(over, report, open_costs(db, account_id)))
        give_up(db, over)


def _offset(session: ExchangeSession) -> timedelta:
    return timedelta(seconds=session.clock_offset_s or 0.0)
