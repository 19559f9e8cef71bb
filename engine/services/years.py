"""The service of calendars and years: what each day of a month came to, and everything of a year as
one file for a tax adviser.

Days and years are those of the person's zone. Environments are never added up.
"""

import zipfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import trio

from engine.context import EngineContext
from engine.decisions.calendar import CalendarMonth, DaySum, month_of
from engine.domain.account import LIVE_FIRST
from engine.domain.amounts import EXACT, ZERO
from engine.domain.booking import BookState
from engine.domain.errors import NothingThere
from engine.ledger.history import ClosedTrade, FundingPaid, Kind
from engine.ledger.people import AccountRow
from engine.ledger.results import results_between
from engine.services.history import HistoryService, Wanted, midnight
from engine.services.history_csv import CELLS, HEADS, Cell, lines
from engine.services.user import User

BOOKED_IN: Final = "USDT"
"""The currency of every account: the books are kept in it."""
_LINES_AT_ONCE: Final = 200
_SUMS: Final = (
    *("account", "exchange", "environment", "currency", "trades", "not_reconciled", "gross"),
    *("fees", "result", "funding_paid", "net"),
)
_ABOUT: Final = """RexAlgo: {year}, {environment} accounts of {person}

A year lasts from midnight to midnight in the zone {zone}. Times in the files are UTC.
Amounts are exact, in the currency of the account; the decimal sign is a point.

trades.csv   every closed trade of the strategies that were followed. A trade belongs to the year in
             which it was closed. gross is its result before fees, fees are those of opening and
             closing it, net of rebates, and result = gross - fees. state "settled": price, fee and
             cause of every fill are known. Others lack one of them and are in no sum.
funding.csv  what the exchange charged (above 0) or paid (below 0) while such a position was open.
sums.csv     per account: the sums of both files, and net = result - funding_paid.

Not in these files: trades that the owner made beside the strategies, deposits and withdrawals, and
positions that are still open. Compare with the exchange's own statement.
"""


@dataclass(slots=True)
class _Sum:
    trades: int = 0
    not_reconciled: int = 0
    gross: Decimal = ZERO
    fees: Decimal = ZERO
    result: Decimal = ZERO
    funding: Decimal = ZERO

    def count(self, row: ClosedTrade | FundingPaid) -> None:
        if isinstance(row, FundingPaid):
            self.funding = EXACT.add(self.funding, row.amount)
            return
        trade = row.trade
        if trade.state is not BookState.SETTLED:
            self.not_reconciled += 1
            return
        assert row.gross is not None, "a reconciled trade has a result"
        assert trade.fees is not None, "a reconciled trade has fees"
        assert trade.result is not None, "a reconciled trade has a result net of fees"
        self.trades += 1
        self.gross = EXACT.add(self.gross, row.gross)
        self.fees = EXACT.add(self.fees, trade.fees)
        self.result = EXACT.add(self.result, trade.result)

    def cells(self, row: AccountRow) -> Sequence[Cell]:
        return (
            row.own_name,
            row.exchange,
            row.environment,
            BOOKED_IN,
            str(self.trades),
            str(self.not_reconciled),
            self.gross,
            self.fees,
            self.result,
            self.funding,
            EXACT.subtract(self.result, self.funding),
        )


class _Sink:
    """A file that is taken away while it is written."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: what was written is taken by ``take``."""

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


class YearsService:
    """The service for people who look back."""

    def __init__(self, context: EngineContext, history: HistoryService) -> None:
        self._context = context
        self._history = history

    def environments(self, user: User) -> Sequence[str]:
        """Read the environments of the user's accounts, live first."""
        found = {each.environment for each in self._history.accounts(user)}
        return sorted(found, key=LIVE_FIRST.index)

    async def month(self, user: User, environment: str, account: str, first: date) -> CalendarMonth:
        """Read what each day of a month came to on one account, or on all of an environment ("");
        raises NothingThere.
        """
        chosen = self._chosen(user, environment, account)
        zone = ZoneInfo(user.person.zone)
        days: dict[date, DaySum] = {}
        day, end = first, (first + timedelta(days=31)).replace(day=1)
        while day < end:
            after = day + timedelta(days=1)
            summed = DaySum()
            for row in chosen:
                for result in results_between(
                    self._context.ledger.db, row.id, midnight(day, zone), midnight(after, zone)
                ):
                    summed = summed.plus(result)
            await trio.lowlevel.checkpoint()  # orders go first
            days[day], day = summed, after
        return month_of(first, days)

    def year(self, user: User, environment: str, year: int) -> AsyncGenerator[bytes]:
        """Return a year as a zip file, which is made as it is taken; raises NothingThere for an
        environment without accounts.
        """
        return self._zip(user, self._chosen(user, environment, ""), year)

    def _chosen(self, user: User, environment: str, account: str) -> Sequence[AccountRow]:
        chosen = [
            each
            for each in self._history.accounts(user)
            if each.environment == environment and account in ("", each.name)
        ]
        if not chosen:
            raise NothingThere("there is no such account of yours")
        return chosen

    async def _zip(
        self, user: User, accounts: Sequence[AccountRow], year: int
    ) -> AsyncGenerator[bytes]:
        environment = accounts[0].environment
        wanted = Wanted(since=date(year, 1, 1), until=date(year, 12, 31), newest_first=False)
        sums = {each.name: _Sum() for each in accounts}
        sink = _Sink()
        now = self._context.clock.now().astimezone(UTC).timetuple()[:6]
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made:  # type: ignore[call-overload]

            def info(name: str) -> zipfile.ZipInfo:
                about = zipfile.ZipInfo(name, now)
                about.compress_type = zipfile.ZIP_DEFLATED
                about.external_attr = 0o600 << 16
                return about

            for kind in (Kind.TRADES, Kind.FUNDING):
                with made.open(info(f"{kind.value}.csv"), "w") as file:
                    file.write(lines([HEADS[kind]]).encode())
                    for row in accounts:
                        rows = self._history.rows(user, kind, replace(wanted, account=row.name))
                        kept: list[Sequence[Cell]] = []
                        while each := await rows.next():
                            assert isinstance(each[1], ClosedTrade | FundingPaid)
                            sums[row.name].count(each[1])
                            kept.append(CELLS[kind](each[1]))
                            if len(kept) == _LINES_AT_ONCE:
                                file.write(lines(kept).encode())
                                kept.clear()
                                yield sink.take()
                        file.write(lines(kept).encode())
            made.writestr(
                info("sums.csv"),
                lines([_SUMS, *(sums[each.name].cells(each) for each in accounts)]),
            )
            about = _ABOUT.format(
                year=year,
                environment=environment,
                person=user.person.called,
                zone=user.person.zone,
            )
            made.writestr(info("README.txt"), about)
        yield sink.take()
