"""Keep which of the exchange's positions each share of an account is in, where positions have ids.

A position with another id than the one that held our share is the owner's, once the exchange says that ours was closed. Until it says so
nothing is judged in that symbol. An exchange that lists no such close for a quarter of an hour has given our position a new id: it is
followed, because otherwise no exit would ever leave.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from engine.actors.exchange_session import ExchangeSession
from engine.decisions.risk import position_of
from engine.domain.account import AccountReport
from engine.domain.holding import Holding
from engine.domain.identifiers import Symbol
from engine.ledger import Database
from engine.ledger.holdings import read_holding, read_holdings, write_holding

if TYPE_CHECKING:
    from engine.actors.follower import Follower

LOOK_BACK: Final = timedelta(days=1)
FOLLOWED_AFTER: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Replaced:
    """Say of one reading: the positions of ours that were ``closed``, and the symbols where that is ``undecided``."""

    closed: frozenset[str] = frozenset()
    undecided: frozenset[Symbol] = frozenset()


class PositionIds:
    """Follow the position ids of one account."""

    def __init__(self, follower: "Follower") -> None:
        self._follower = follower
        self._since: dict[Symbol, datetime] = {}

    async def judge(self, session: ExchangeSession, report: AccountReport) -> Replaced:
        """Tell of positions that have another id than the one that held our share whether ours was closed."""
        moved = {each.symbol: each.position_id for each in self._holdings() if _shown_id(each, report) not in ("", each.position_id)}
        moved = {symbol: held for symbol, held in moved.items() if held}
        if not moved:
            self._since.clear()
            return Replaced()
        closed = await self._closed(session, frozenset(moved.values()))
        open_still = {symbol for symbol, held in moved.items() if held not in closed}
        now = self._follower.shared.clock.now()
        self._since = {symbol: self._since.get(symbol, now) for symbol in open_still}
        followed = {symbol for symbol, since in self._since.items() if now - since >= FOLLOWED_AFTER}
        return Replaced(closed, frozenset(open_still - followed))

    async def _closed(self, session: ExchangeSession, ids: frozenset[str]) -> frozenset[str]:
        if not session.reports_closed_positions:
            return ids  # an id lasts from flat to flat: another one is another position
        try:
            told = await session.closed_positions(self._follower.shared.clock.now() - LOOK_BACK, ids)
        except Exception as error:  # the reading goes on; nothing is judged in these symbols
            self._follower.note("closed positions cannot be read", error)
            return frozenset()
        return ids & {each.position_id for each in told.rows}

    def _holdings(self) -> Collection[Holding]:
        return [each for each in read_holdings(self._follower.shared.ledger.db, self._follower.account) if each.share > 0]

    async def note(self, report: AccountReport, unsettled: Collection[Symbol]) -> None:
        """Write down the ids of the positions that our shares are in, where a reading shows new ones and nothing is under way."""
        named = {
            each.symbol: shown
            for each in self._holdings()
            if each.symbol not in unsettled and (shown := _shown_id(each, report)) not in ("", each.position_id)
        }
        if named:
            await self._follower.shared.ledger.write(lambda db: self._write(db, named))

    def _write(self, db: Database, named: dict[Symbol, str]) -> None:
        for symbol, shown in named.items():
            held = read_holding(db, self._follower.account, symbol)
            if held is not None and held.share > 0:
                write_holding(db, replace(held, position_id=shown))


def _shown_id(holding: Holding, report: AccountReport) -> str:
    """Return the id of the position that a report shows on a holding's side; empty where there is none."""
    position = position_of(report, holding.symbol)
    return position.id if position is not None and position.side is holding.side else ""
