"""Track which of the exchange's positions contains each share of an account, if positions have ids.

A position with another id than the one that held our share is the owner's, once the exchange
reports that ours was closed. Until then nothing is judged in that symbol. Two closed positions do
not end our share. One of the other side never held it: our entry closed it, and the one that is open
now is ours. One that closed while our entry was still being filled lacks what came after: that part
is in the one that is open now (``engine.decisions.reconciliation.carried_over``). If an exchange
was asked and lists no such close for a quarter of an hour, it has given our position a new id: the
new id is adopted, because otherwise no exit would ever leave. A record that cannot be read, that is
not complete or that has a row nobody can read proves nothing, however long that lasts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

import trio

from engine.actors.account import Account, Located
from engine.actors.exchange_session import ExchangeSession
from engine.actors.unreadable import UnreadableRows
from engine.decisions.proving import SLACK_S, UNKNOWN_OFFSET_S
from engine.decisions.reconciliation import carried_over
from engine.decisions.risk import position_of
from engine.domain.account import AccountReport, ClosedPosition
from engine.domain.amounts import ZERO, Quantity
from engine.domain.holding import Holding
from engine.domain.identifiers import Symbol
from engine.ledger import Database
from engine.ledger.books import booked_in, booked_out, entered_since
from engine.ledger.holdings import (
    entered_until,
    held_since,
    read_holding,
    read_holdings,
    write_holding,
)

LOOK_BACK: Final = timedelta(days=1)
FOLLOWED_AFTER_S: Final = 900.0
_RECORD: Final = "closed positions"


class _Fate(Enum):
    """What the exchange's record proves about a position that we took for the one with our share."""

    CLOSED = "closed"
    OWNERS = "owner's"
    """It was on the other side, so it never held our share: our entry closed it, and opened the one
    that is there now.
    """
    OPEN = "open"
    NOT_PROVEN = "not proven"


@dataclass(frozen=True, slots=True)
class Replaced:
    """The result for one reading: the positions of ours that were ``closed``, each with how much of
    our share is in the one that is open now, and the symbols where that is ``undecided``.

    ``unnamed``: symbols where the position open now was opened too late to contain a share of ours
    that has no position id: the position with that share is closed. ``into``: by symbol the open
    position that has a share, or a part of it, which still names another one.
    """

    closed: Mapping[str, Quantity] = field(default_factory=dict)
    undecided: frozenset[Symbol] = frozenset()
    unnamed: frozenset[Symbol] = frozenset()
    into: Mapping[Symbol, Located] = field(default_factory=dict)


class PositionIds:
    """The position ids of one account."""

    def __init__(self, account: Account, unreadable: UnreadableRows) -> None:
        self._account, self._unreadable = account, unreadable
        self._since: dict[Symbol, float] = {}
        """Since when a position with another id is open, on trio's clock."""

    async def judge(self, session: ExchangeSession, report: AccountReport) -> Replaced:
        """Decide whether our position was closed, for positions with another id than the one that
        held our share.
        """
        if not report.positions:  # the usual report; nothing of ours has to be read for it
            self._since.clear()
            await self._unreadable.note(_RECORD, ())
            return Replaced()
        holdings = self._holdings()
        moved, unnamed = _moved(holdings, report), self._opened_later(holdings, session, report)
        if not moved:
            self._since.clear()
            await self._unreadable.note(_RECORD, ())
            return Replaced(unnamed=unnamed)
        found, rows = await self._looked_up(session, moved)
        now = trio.current_time()
        self._since = {
            symbol: self._since.get(symbol, now)
            for symbol, fate in found.items()
            if fate is _Fate.OPEN
        }
        followed = {
            symbol for symbol, since in self._since.items() if now - since >= FOLLOWED_AFTER_S
        }
        closed = {
            moved[symbol]: self._carried_over(session, report, symbol, moved[symbol], rows)
            for symbol, fate in found.items()
            if fate is _Fate.CLOSED
        }
        undecided = {
            symbol for symbol, fate in found.items() if fate in (_Fate.OPEN, _Fate.NOT_PROVEN)
        }
        ours = {symbol for symbol, fate in found.items() if fate is _Fate.OWNERS} | followed
        into = {
            each.symbol: Located(each.id, quantity)
            for each in report.positions
            if each.symbol in moved
            and (
                quantity := each.quantity
                if each.symbol in ours
                else closed.get(moved[each.symbol], Quantity(ZERO))
            )
            > 0
        }
        return Replaced(closed, frozenset(undecided - followed), unnamed, into)

    def judge_old(self, session: ExchangeSession, report: AccountReport) -> Replaced:
        """Decide the same if the ledger may be old: a position with another id is never taken as
        ours, whatever the history shows.
        """
        holdings = self._holdings()
        return Replaced(
            dict.fromkeys(_moved(holdings, report).values(), Quantity(ZERO)),
            unnamed=self._opened_later(holdings, session, report),
        )

    def _opened_later(
        self, holdings: Collection[Holding], session: ExchangeSession, report: AccountReport
    ) -> frozenset[Symbol]:
        """Return where a share without a position id cannot be in the position open there: it was
        opened after our last entry.
        """
        later = set[Symbol]()
        for holding in holdings:
            position = position_of(report, holding.symbol)
            if (
                holding.position_id
                or position is None
                or position.side is not holding.side
                or position.opened_at is None
            ):
                continue
            if self._is_after_our_entries(session, holding.symbol, position.opened_at):
                later.add(holding.symbol)
        return frozenset(later)

    def _is_after_our_entries(self, session: ExchangeSession, symbol: Symbol, at: datetime) -> bool:
        """Return whether ``at``, on the exchange's clock, is after the end of our last entry that
        filled.
        """
        entered = entered_until(self._account.shared.ledger.db, self._account.id, symbol)
        slack_s = session.visible_within_s + (
            UNKNOWN_OFFSET_S if session.clock_offset_s is None else SLACK_S
        )
        offset = timedelta(seconds=session.clock_offset_s or 0.0)
        return entered is not None and at - offset > entered + timedelta(seconds=slack_s)

    def _carried_over(
        self,
        session: ExchangeSession,
        report: AccountReport,
        symbol: Symbol,
        position_id: str,
        rows: Mapping[str, ClosedPosition],
    ) -> Quantity:
        """Return how much of a share is in the position that is open now, although the one that we
        took for its place is closed.
        """
        db, closed = self._account.shared.ledger.db, rows.get(position_id)
        holding, position = read_holding(db, self._account.id, symbol), position_of(report, symbol)
        if holding is None or position is None:
            return Quantity(ZERO)
        if closed is None:  # no record of closed positions: the rows of our orders name this one
            began = position.opened_at or self._account.shared.clock.now()
            named = booked_in(db, holding, position.id, began - LOOK_BACK)
            return Quantity(min(holding.share, max(ZERO, named)))
        began = position.opened_at or closed.closed_at
        if self._is_after_our_entries(session, symbol, max(began, closed.closed_at)):
            return Quantity(ZERO)
        # One of the other side counts too: what of our entry closed it is in no later position.
        ended = [
            (each, booked_out(db, holding, each.position_id, each.opened_at - LOOK_BACK))
            for each in rows.values()
            if each.symbol == symbol and each.closed_at >= closed.closed_at
        ]
        # a fill is never booked before it happens: what was booked before is in no later position
        slack_s = UNKNOWN_OFFSET_S if session.clock_offset_s is None else SLACK_S
        since = began - timedelta(seconds=slack_s + (session.clock_offset_s or 0.0))
        return carried_over(holding, ended, entered=entered_since(db, holding, since))

    async def _looked_up(
        self, session: ExchangeSession, moved: Mapping[Symbol, str]
    ) -> tuple[Mapping[Symbol, "_Fate"], Mapping[str, ClosedPosition]]:
        """Return by symbol what the exchange's record proves about the position that held our share,
        and by id the closed positions of the record.
        """
        if not session.reports_closed_positions:
            # an id lasts from flat to flat: another one is another position
            return dict.fromkeys(moved, _Fate.CLOSED), {}
        try:
            since = min([self._account.shared.clock.now() - LOOK_BACK, *self._opened()])
            history = await session.closed_positions(since, frozenset(moved.values()))
        except Exception as error:  # the reading goes on; nothing is judged in these symbols
            self._account.note("closed positions cannot be read", error)
            return dict.fromkeys(moved, _Fate.NOT_PROVEN), {}
        await self._unreadable.note(_RECORD, history.unreadable)
        sides = {each.symbol: each.side for each in self._holdings()}
        rows = {each.position_id: each for each in history.rows}
        fates = {
            symbol: (_Fate.CLOSED if rows[id_].side is sides.get(symbol) else _Fate.OWNERS)
            if id_ in rows
            else _Fate.OPEN
            if history.proves_open(id_, symbol)
            else _Fate.NOT_PROVEN
            for symbol, id_ in moved.items()
        }
        return fates, rows

    def _opened(self) -> list[datetime]:
        """Return when our oldest share was entered: what held it was closed after that, however
        long ago the last reading was.
        """
        since = held_since(self._account.shared.ledger.db, self._account.id)
        return [] if since is None else [since]

    def _holdings(self) -> Collection[Holding]:
        return [
            each
            for each in read_holdings(self._account.shared.ledger.db, self._account.id)
            if each.share > 0
        ]

    async def note(
        self,
        report: AccountReport,
        unsettled: Collection[Symbol],
        into: Mapping[Symbol, Located],
    ) -> None:
        """Record the ids of the positions that contain our shares, if a reading shows new ones and
        nothing is under way, or the whole share is in the new one (``Replaced.into``).
        """
        if not report.positions:
            return
        named = {
            each.symbol: shown
            for each in self._holdings()
            if (each.symbol not in unsettled or _is_whole(each, into.get(each.symbol)))
            and (shown := _shown_id(each, report)) not in ("", each.position_id)
        }
        if named:
            await self._account.shared.ledger.write(lambda db: self._write(db, named))

    def _write(self, db: Database, named: dict[Symbol, str]) -> None:
        for symbol, shown in named.items():
            holding = read_holding(db, self._account.id, symbol)
            if holding is not None and holding.share > 0:
                write_holding(db, replace(holding, position_id=shown))


def _is_whole(holding: Holding, into: Located | None) -> bool:
    return into is not None and into.quantity >= holding.share


def _moved(holdings: Collection[Holding], report: AccountReport) -> dict[Symbol, str]:
    """Return by symbol the id that held our share, if the position open there has another one."""
    moved = {
        each.symbol: each.position_id
        for each in holdings
        if _shown_id(each, report) not in ("", each.position_id)
    }
    return {symbol: position_id for symbol, position_id in moved.items() if position_id}


def _shown_id(holding: Holding, report: AccountReport) -> str:
    """Return the id of the position that a report shows on a holding's side; empty if there is
    none.
    """
    position = position_of(report, holding.symbol)
    return position.id if position is not None and position.side is holding.side else ""
