"""Read one account periodically, and on demand; each reading corrects the ledger, completes the
books and wakes the tasks that wait for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import trio

from engine.actors.account import Account, Began, Located
from engine.actors.books_watch import BooksWatch
from engine.actors.exchange_session import ExchangeSession
from engine.actors.position_ids import PositionIds
from engine.actors.reconciler import Reconciler
from engine.actors.unreadable import UnreadableRows
from engine.decisions.planning import Reading
from engine.decisions.risk import equity, hides_equity, trading_day
from engine.domain.account import AccountReport
from engine.domain.alert import AlertCode
from engine.domain.amounts import plain
from engine.domain.identifiers import Symbol
from engine.ledger.attempts import last_exits
from engine.ledger.equity import mark_equity
from engine.ledger.holdings import read_holdings
from engine.ports.exchange import Rejected, RejectionKind

UNREADABLE_AFTER_S: Final = 300.0
SHORTEST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Judged:
    """The symbols that a reading does not decide, and the positions that have a share which names
    another one.
    """

    undecided: frozenset[Symbol]
    into: Mapping[Symbol, Located]


class AccountReader:
    """The reader of one account."""

    def __init__(
        self,
        account: Account,
        position_ids: PositionIds,
        unreadable: UnreadableRows,
        books: BooksWatch,
        reconciler: Reconciler,
    ) -> None:
        self._account = account
        self._position_ids = position_ids
        self._unreadable = unreadable
        self._books = books
        self._reconciler = reconciler
        self._under_way: tuple[Began, trio.Event] | None = None
        self._failing_since: float | None = None
        """On trio's clock, which nobody sets."""
        self._is_active = False

    async def run(self) -> float:
        """Read the account once; return after how many seconds to read it again."""
        # an account that is not ready keeps its own entries waiting
        if self._account.settled and not self._account.problem:
            await self._wait_turn()
        self._account.is_reading_awaited = False
        await self.try_to_read()
        await self._account.close_retired()
        return self._reading_pause_s()

    async def _wait_turn(self) -> None:
        """Let orders in flight go first; then spread the readings that nothing waits for."""
        account, shared = self._account, self._account.shared
        if not shared.is_sending:
            return
        await shared.calm(unless=lambda: account.is_reading_awaited)
        turn_at = trio.current_time() if account.is_reading_awaited else shared.next_reading_at()
        while not account.is_reading_awaited and (left_s := turn_at - trio.current_time()) > 0:
            await account.reading.wait(left_s)

    def _reading_pause_s(self) -> float:
        if self._failing_since is not None:
            # As long as the outage has lasted, not as often as a reading failed: exits that wait ask
            # many times a second, and a pause of a minute would follow an outage of four seconds.
            lasted_s = trio.current_time() - self._failing_since
            return min(max(lasted_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
        pace = self._account.shared.pace
        was_active, self._is_active = self._is_active, self._has_something_open()
        # Once more at the active pace after the last position closed: the exchange may show late
        # what it did.
        return pace.reconcile_active_s if was_active or self._is_active else pace.reconcile_idle_s

    def _has_something_open(self) -> bool:
        return bool(self._account.reserved) or bool(
            read_holdings(self._account.shared.ledger.db, self._account.id)
        )

    async def try_to_read(self) -> bool:
        """Read the account now; on failure, record it on the account and return False. A failure
        that a newer reading overtook, or with a key that was replaced meanwhile, is not recorded.
        """
        account, session, began = self._account, None, self._account.begin_reading()
        try:
            session = await account.connected()
            began = account.begin_reading()
            await self._read(session, began)
        except Exception as error:  # the periodic reading goes on; meanwhile entries fail closed
            if account.is_overtaken(began) or (session is not None and account.replaced(session)):
                return False
            account.could_not_be_read(error)
            await self._tell_unreadable(error)
            return False
        if self._failing_since is not None:
            self._failing_since = None
            await self._account.tell_pages("reading", {"problem": ""})
        return True

    async def read_after_exits(self, symbol: Symbol) -> None:
        """Obtain a reading that began after our exits in a symbol: the one under way if it
        qualifies, else a new one.
        """
        if self._under_way is not None and symbol not in last_exits(
            self._account.shared.ledger.db, self._account.id, self._under_way[0].at
        ):
            await self._under_way[1].wait()
        if self._account.reading_after_exits(symbol)[0] is Reading.BEFORE:
            await self.try_to_read()

    async def read_account(self) -> None:
        """Read the account from the exchange and correct the ledger if the exchange proves it
        wrong.

        Readings may overlap; one that began before the newest one changes nothing.
        """
        session = await self._account.connected()
        await self._read(session, self._account.begin_reading())

    async def _read(self, session: ExchangeSession, began: Began) -> None:
        done = trio.Event()
        self._under_way = (began, done)
        try:
            report = await session.fetch_account()
            if not self._account.is_overtaken(began):
                await self._take(session, report, began)
        finally:
            done.set()

    async def _take(self, session: ExchangeSession, report: AccountReport, began: Began) -> None:
        judged = await self._judge(session, report, began.at)
        await self._mark_equity(report)
        if self._account.is_overtaken(began):
            return
        if judged is not None:
            await self._books.account_was_read(report, began.at, judged.undecided)
            self._account.carried_into = judged.into
        self._account.was_read(report, began)
        await self._unreadable.note("account", report.unreadable)

    async def _judge(
        self, session: ExchangeSession, report: AccountReport, began: datetime
    ) -> _Judged | None:
        """Correct the ledger by a reading; None if the ledger may be old, so nothing is corrected."""
        account = self._account
        if account.history.is_open or account.why_held:
            return None
        replaced = await self._position_ids.judge(session, report)
        undecided = await self._reconciler.correct(report, began, replaced)
        await self._position_ids.note(report, undecided, replaced.into)
        into = {symbol: each for symbol, each in replaced.into.items() if symbol in undecided}
        return _Judged(undecided, into)

    async def judge_newest(self) -> None:
        """Correct the ledger by the newest reading, which was taken while the ledger was not known
        to be the newest one.
        """
        account = self._account
        session, report, began = account.session, account.report, account.read_began
        if session is None or report is None or began is None:
            return
        judged = await self._judge(session, report, began.at)
        if judged is not None and not account.is_overtaken(began):
            await self._books.account_was_read(report, began.at, judged.undecided)
            account.carried_into = judged.into

    async def _mark_equity(self, report: AccountReport) -> None:
        """Update what loss limits compare with: at the first reading of a trading day, and at a new
        peak of equity. A reading that lacks a position changes nothing.
        """
        if hides_equity(report) is not None:
            return
        now, worth, marks = (
            self._account.shared.clock.now(),
            equity(report),
            self._account.equity_marks,
        )
        is_new_day = marks is None or trading_day(marks.since, marks.zone) != trading_day(
            now, marks.zone
        )
        if is_new_day or (marks is not None and worth > marks.peak):
            await self._account.shared.ledger.write(
                lambda db: mark_equity(db, self._account.id, worth, now, new_day=is_new_day)
            )

    async def _tell_unreadable(self, error: Exception) -> None:
        """Alert at once about a refused key, and about any other reason once it has lasted."""
        now = trio.current_time()
        # kept here: another reading may succeed while this one is reported
        since = self._failing_since
        if since is None:
            self._failing_since = since = now
            await self._account.tell_pages("reading", {"problem": self._account.problem})
        holdings = [
            each
            for each in read_holdings(self._account.shared.ledger.db, self._account.id)
            if each.share > 0
        ]
        named = (
            ", ".join(f"{each.side.value} {plain(each.share)} {each.symbol}" for each in holdings)
            or "none"
        )
        if isinstance(error, Rejected) and error.kind is RejectionKind.CREDENTIALS:
            await self._account.shared.alert(
                AlertCode.CREDENTIALS_REFUSED,
                self._account.name,
                problem=error.text,
                positions=named,
            )
        elif now - since >= UNREADABLE_AFTER_S:
            minutes = str(int((now - since) // 60))
            await self._account.shared.alert(
                AlertCode.ACCOUNT_UNREADABLE,
                self._account.name,
                minutes=minutes,
                problem=self._account.problem,
                positions=str(len(holdings)),
            )
