"""The service of histories: signals, orders, trades and funding on a person's accounts, connected or
not, searched, page by page and as files.

It only reads. A page looks at a bounded number of rows, and a file is written while it is sent, so
neither holds up orders nor grows in memory with what happened.
"""

import base64
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import trio

from engine.context import EngineContext
from engine.domain.errors import NothingThere
from engine.domain.identifiers import AccountId, own_name
from engine.domain.text import may_be_kept
from engine.ledger import Database
from engine.ledger.following import (
    CopyRow,
    accounts_of,
    former_accounts_of,
    strategies_copied,
)
from engine.ledger.history import (
    SHAPES,
    ClosedTrade,
    FundingPaid,
    HistoryRow,
    Key,
    OrderRow,
    bounds_of,
    read_history,
)
from engine.ledger.history import (
    Kind as Kind,  # pages name it
)
from engine.ledger.people import AccountRow
from engine.services.history_csv import CELLS, HEADS, lines
from engine.services.user import User

PAGE: Final = 25
LOOKED_MAX: Final = 1_000
"""How many rows one page of a search looks at."""
_GREATEST: Final = 2**62
_AT_ONCE: Final = 20
_LINES_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of a history; "" and None want everything.

    ``find`` is a part of a contract, strategy, account, id or state. ``since`` and ``until`` are
    days in the person's zone, both included. ``family`` is that of an outcome.
    """

    environment: str = ""
    account: str = ""
    strategy: str = ""
    family: str = ""
    find: str = ""
    since: date | None = None
    until: date | None = None
    newest_first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """One page: ``past`` is the key behind which the next one begins, None at the end.

    ``looked_to`` is the time of the last row that was looked at, if the page ended before it was
    full.
    """

    rows: Sequence[HistoryRow]
    past: Key | None
    looked_to: datetime | None = None


def write_key(key: Key) -> str:
    """Return a key as it stands in an address."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def read_key(kind: Kind, text: str) -> Key | None:
    """Read a key of an address; None for a text that is no key of this kind."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):  # not ASCII, base64, UTF-8 or JSON
        return None
    is_key = isinstance(parts, list) and [type(each) for each in parts] == [*SHAPES[kind]]
    if not is_key or not all(_is_kept(each) for each in parts):
        return None
    return tuple(parts)


def _is_kept(part: int | str) -> bool:
    return abs(part) <= _GREATEST if isinstance(part, int) else may_be_kept(part)


class HistoryService:
    """The service for people who ask what happened."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    def accounts(self, user: User) -> Sequence[AccountRow]:
        """Read the user's accounts, the disconnected ones last."""
        db = self._context.ledger.db
        return [*accounts_of(db, user.id), *former_accounts_of(db, user.id)]

    def strategies(self, user: User) -> Sequence[str]:
        """Read the names of the strategies that the user ever agreed to."""
        return strategies_copied(self._context.ledger.db, user.id)

    async def page(
        self, user: User, kind: Kind, wanted: Wanted, past: Key | None = None
    ) -> HistoryPage:
        """Read one page behind a key; raises NothingThere for an account that is not the user's."""
        found: list[HistoryRow] = []
        ahead = self.rows(user, kind, wanted, past)
        for _ in range(LOOKED_MAX):
            key_and_row = await ahead.next()
            if key_and_row is None:
                return HistoryPage(rows=found, past=None)
            past, row = key_and_row
            if _is_wanted(row, wanted):
                found.append(row)
            if len(found) == PAGE:
                more = await ahead.next()
                return HistoryPage(rows=found, past=None if more is None else past)
        return HistoryPage(rows=found, past=past, looked_to=row.at)

    def csv(self, user: User, kind: Kind, wanted: Wanted) -> AsyncGenerator[str]:
        """Return a whole history as lines of CSV (see ``history_csv``), which are read as they are
        taken; raises NothingThere as ``page`` does.
        """
        return self._lines(self.rows(user, kind, wanted), kind, wanted)

    async def _lines(self, ahead: "Ahead", kind: Kind, wanted: Wanted) -> AsyncGenerator[str]:
        yield lines([HEADS[kind]])
        kept: list[HistoryRow] = []
        while key_and_row := await ahead.next():
            if _is_wanted(key_and_row[1], wanted):
                kept.append(key_and_row[1])
            if len(kept) == _LINES_AT_ONCE:
                yield lines(map(CELLS[kind], kept))
                kept.clear()
        yield lines(map(CELLS[kind], kept))

    def rows(self, user: User, kind: Kind, wanted: Wanted, past: Key | None = None) -> "Ahead":
        """Return the rows of the chosen accounts and days, one by one; strategy, family and text are
        not looked at. Raises NothingThere for an account that is not the user's.
        """
        chosen = [
            each
            for each in self.accounts(user)
            if wanted.account in ("", each.name) and wanted.environment in ("", each.environment)
        ]
        if wanted.account and not chosen:
            raise NothingThere("there is no such account of yours")
        zone = ZoneInfo(user.person.zone)
        since = None if wanted.since is None else midnight(wanted.since, zone)
        until = None if wanted.until is None else midnight(wanted.until + timedelta(days=1), zone)
        db = self._context.ledger.db
        between = {row.id: bounds_of(db, kind, row.id, since, until) for row in chosen}
        if past is not None:
            between = {
                account: (first, min(last, past))
                if wanted.newest_first
                else (max(first, past), last)
                for account, (first, last) in between.items()
            }
        return Ahead(db, kind, wanted.newest_first, between, (since, until))


class Ahead:
    """The rows of several accounts in one order, each account read along its index."""

    def __init__(
        self,
        db: Database,
        kind: Kind,
        newest_first: bool,
        between: dict[AccountId, tuple[Key, Key]],
        times: tuple[datetime | None, datetime | None],
    ) -> None:
        self._db = db
        self._kind = kind
        self._newest_first = newest_first
        self._between = between
        self._since, self._until = times
        self._read: dict[AccountId, list[tuple[Key, HistoryRow]]] = {each: [] for each in between}

    async def next(self) -> tuple[Key, HistoryRow] | None:
        """Return the next row with its key, None at the end."""
        while True:
            for account in [each for each, rows in self._read.items() if not rows]:
                await trio.lowlevel.checkpoint()  # orders go first
                self._read_more(account)
            if not self._read:
                return None
            first = (max if self._newest_first else min)(
                self._read, key=lambda each: self._read[each][-1][0]
            )
            key, row = self._read[first].pop()
            if (self._since is None or row.at >= self._since) and (
                self._until is None or row.at < self._until
            ):
                return key, row

    def _read_more(self, account: AccountId) -> None:
        first, last = self._between[account]
        read = read_history(
            self._db, self._kind, account, (first, last), _AT_ONCE, newest_first=self._newest_first
        )
        if not read:
            del self._read[account]
            return
        end = read[-1][0]
        self._between[account] = (first, end) if self._newest_first else (end, last)
        self._read[account] = read[::-1]  # taken from the end


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins in a zone, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _is_wanted(row: HistoryRow, wanted: Wanted) -> bool:
    about = row.trade if isinstance(row, ClosedTrade) else row
    if wanted.strategy and about.strategy != wanted.strategy:
        return False
    if wanted.family and isinstance(row, CopyRow):
        family = (row.code or "waiting").partition(".")[0]
        if family != wanted.family:
            return False
    if not wanted.find:
        return True
    found = wanted.find.casefold()
    return any(found in each.casefold() for each in (about.strategy, about.symbol, *_texts(row)))


def _texts(row: HistoryRow) -> tuple[str, ...]:
    """Return what a search looks through besides strategy and contract."""
    match row:
        case CopyRow():
            return (own_name(row.account), row.signal_id, row.action, row.code or "", row.sentence)
        case OrderRow():
            ids = (row.signal_id, row.client_order_id, row.exchange_order_id or "")
            return (own_name(row.account), row.state, row.cause, *ids)
        case ClosedTrade():
            trade = row.trade
            cause = "" if trade.cause is None else trade.cause.value
            return (own_name(trade.account), cause, row.opened_by or "", row.closed_by or "")
        case FundingPaid():
            return (own_name(row.account), row.id)
