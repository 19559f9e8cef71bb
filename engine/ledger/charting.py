"""Read what a price chart shows of one position or one closed trade: its fills, and the signals that
they answer.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from engine.domain.booking import Cause
from engine.domain.identifiers import AccountId, PersonId, Symbol
from engine.ledger.books import OWNER
from engine.ledger.codec import from_us, read_draft
from engine.ledger.history import ClosedTrade, one_closed
from engine.ledger.query import Database, fetch_all, fetch_one
from engine.ledger.results import TradeRow
from engine.views import FillView

FILLS_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEpisode:
    """What is open in a contract since it was flat."""

    opened_at: datetime
    fills: tuple[FillView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeWithFills:
    """A closed trade with the exchange it was made at, and the fills of its position until then."""

    closed: ClosedTrade
    exchange: str
    strategy_id: str
    fills: tuple[FillView, ...]

    @property
    def trade(self) -> TradeRow:
        """Return the trade's own figures."""
        return self.closed.trade


def open_episode(db: Database, account: AccountId, symbol: Symbol) -> OpenEpisode | None:
    """Read what a strategy, else the owner, has open in a contract; None if the books have nothing
    there.
    """
    books = fetch_all(
        db,
        "SELECT strategy_id, episode, opened_us FROM book WHERE account_id = ? AND symbol = ?",
        (account, symbol),
    )
    if not books:
        return None
    _, episode, opened_us = min(books, key=lambda each: each[0] == OWNER)
    return OpenEpisode(opened_at=from_us(opened_us), fills=_fills(db, episode, 2**62))


def opened_at(db: Database, account: AccountId) -> dict[Symbol, datetime]:
    """Read when each contract of an account was last flat, in the books of a strategy else of the
    owner.
    """
    rows = fetch_all(
        db,
        "SELECT symbol, opened_us FROM book WHERE account_id = ? ORDER BY strategy_id",
        (account,),
    )
    return {Symbol(symbol): from_us(opened_us) for symbol, opened_us in rows}


def closed_trade(db: Database, person: PersonId, identifier: int) -> TradeWithFills | None:
    """Read a closed trade of one of a person's accounts, disconnected or not; None if it is not
    theirs.
    """
    row = fetch_one(
        db,
        "SELECT exchange, episode, fill_id, strategy_id, account_id, closed_us FROM trade JOIN "
        "account ON account.id = trade.account_id WHERE trade.id = ? AND person_id = ? AND "
        "strategy_id != ''",
        (identifier, person),
    )
    if row is None:
        return None
    exchange, episode, last, strategy, account, closed_us = row
    fills = () if episode is None else _fills(db, episode, last)
    closed = one_closed(db, AccountId(account), closed_us, identifier)
    return TradeWithFills(closed=closed, exchange=exchange, strategy_id=strategy, fills=fills)


def _fills(db: Database, episode: int, last: int) -> tuple[FillView, ...]:
    rows = fetch_all(
        db,
        "SELECT fill.at_us, fill.is_entry, fill.quantity, fill.price, fill.fee, fill.cause, "
        "signal.draft, signal.received_us FROM fill LEFT JOIN attempt ON attempt.id = "
        "fill.attempt_id LEFT JOIN copy ON copy.id = attempt.copy_id LEFT JOIN signal ON "
        "signal.number = copy.signal_number WHERE episode = ? AND fill.id <= ? ORDER BY fill.id "
        "LIMIT ?",
        (episode, last, FILLS_SHOWN),
    )
    return tuple(
        FillView(
            at=from_us(row[0]),
            is_entry=bool(row[1]),
            quantity=Decimal(row[2]),
            price=None if row[3] is None else Decimal(row[3]),
            fee=None if row[4] is None else Decimal(row[4]),
            cause=None if row[5] is None else Cause(row[5]),
            signal=None if row[6] is None else read_draft(row[6]),
            received_at=None if row[7] is None else from_us(row[7]),
        )
        for row in rows
    )
