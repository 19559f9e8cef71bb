"""Fold episodes whose fills changed into trades, and keep the daily sums by difference. Each fill
keeps what is open after it, so the cost is the fills from the first one that changed.

A trade is keyed by its closing fill and written in place. Days are UTC days; only reconciled trades
count in them: those whose price, fee and cause are known. The others are counted beside them.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.decisions.results import Open, Trade, fold_all
from engine.decisions.wallet import Line
from engine.domain.amounts import EXACT, ZERO, plain
from engine.domain.booking import BookState, Cause, Fill
from engine.domain.identifiers import AccountId
from engine.domain.signal import PositionSide
from engine.ledger.books import OWNER, text
from engine.ledger.codec import dump, from_us, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, Row, fetch_all, fetch_one
from engine.ledger.wallet import add_since


def unfolded_episodes(db: Database, limit: int, without: Collection[int] = ()) -> list[int]:
    """Read up to ``limit`` episodes whose fills changed since they were folded, oldest first; none
    of ``without``.
    """
    rows = fetch_all(
        db,
        "SELECT DISTINCT episode FROM fill WHERE folded = 0 ORDER BY episode LIMIT ?",
        (limit + len(without),),
    )
    return [row[0] for row in rows if row[0] not in without][:limit]


READ_AT_ONCE: Final = 500


def fold_episodes(db: Database, episodes: Sequence[int]) -> dict[AccountId, datetime]:
    """Fold these episodes until 500 fills were read; the others stay unfolded, because nothing else
    is written meanwhile. Return the accounts of those folded, each with the time of its newest fill.
    """
    moved: dict[AccountId, datetime] = {}
    read = 0
    for episode in episodes:
        for account, at in _fold(db, episode):
            moved[account] = max(at, moved.get(account, at))
            read += 1
        if read >= READ_AT_ONCE:
            break
    return moved


_FILLS: Final = (
    "SELECT account_id, strategy_id, symbol, side, is_entry, quantity, price, fee, rebate, at_us, "
    "id, cause, state FROM fill"
    " WHERE episode = ? AND id >= ? ORDER BY id"
)


def fold_account(db: Database, account: AccountId) -> None:
    """Fold every episode of one account whose fills changed."""
    lock(db, Held.ACCOUNT, account)
    for (episode,) in fetch_all(
        db,
        "SELECT DISTINCT episode FROM fill WHERE folded = 0 AND account_id = ? ORDER BY episode",
        (account,),
    ):
        _fold(db, episode)


def _fold(db: Database, episode: int) -> Sequence[tuple[AccountId, datetime]]:
    """Fold one episode from the first fill that changed; return account and time of what was read."""
    lock(db, Held.ACCOUNT_OF_FILL, episode)  # an episode has the number of its first fill
    row = fetch_one(db, "SELECT min(id) FROM fill WHERE episode = ? AND folded = 0", (episode,))
    if row is None or row[0] is None:  # folded meanwhile
        return []
    first, position = _before(db, episode, row[0])
    rows = fetch_all(db, _FILLS, (episode, first))
    account, strategy, symbol = rows[0][:3]
    fills = [_fill(row) for row in rows]
    after, trades = fold_all(fills, position)
    left_open = after[-1]
    cost = None if left_open is None else text(left_open.cost)
    db.execute(
        "UPDATE book SET cost = ? WHERE account_id = ? AND strategy_id = ? AND symbol = ? AND "
        "episode = ?",
        (cost, account, strategy, symbol, episode),
    )
    folded = {row[0]: row for row in fetch_all(db, _KNOWN, (episode, first))}
    days = _Days(db, account, strategy)
    for trade in trades:
        before = folded.pop(trade.fill, None)
        if before is not None:
            days.take(before, -1)
        _write_trade(db, (account, strategy, symbol), episode, trade, is_new=before is None)
    for gone in folded.values():  # folded otherwise before
        days.take(gone, -1)
        db.execute("DELETE FROM trade WHERE fill_id = ?", (gone[0],))
    for row in fetch_all(db, _KNOWN, (episode, first)):
        days.take(row, 1)
    days.write()
    for fill, left in zip(fills, after, strict=True):
        db.execute(
            "UPDATE fill SET folded = 1, open_after = ? WHERE id = ?", (_write_open(left), fill.id)
        )
    return [(AccountId(account), each.at) for each in fills]


def _before(db: Database, episode: int, first: int) -> tuple[int, Open | None]:
    """Return where to begin and what is open before: at the first fill that changed, or at the
    begin if nobody wrote what was open before it.
    """
    row = fetch_one(
        db,
        "SELECT side, open_after FROM fill WHERE episode = ? AND id < ? ORDER BY id DESC LIMIT 1",
        (episode, first),
    )
    if row is None or row[1] is None:
        return 0, None
    quantity, cost, fees, opened_us, state = json.loads(row[1])
    return first, Open(
        side=PositionSide(row[0]),
        quantity=Decimal(quantity),
        cost=None if cost is None else Decimal(cost),
        fees=None if fees is None else Decimal(fees),
        opened_at=from_us(opened_us),
        state=BookState(state),
    )


def _write_open(left: Open | None) -> str | None:
    if left is None:
        return None
    amounts = (plain(left.quantity), text(left.cost), text(left.fees))
    return dump((*amounts, to_us(left.opened_at), left.state.value))


def _fill(row: Row) -> Fill:
    price, fee, rebate = (None if each is None else Decimal(each) for each in row[6:9])
    net = fee if fee is None or rebate is None else EXACT.add(fee, rebate)
    cause = None if row[11] is None else Cause(row[11])
    return Fill(
        side=PositionSide(row[3]),
        is_entry=bool(row[4]),
        quantity=Decimal(row[5]),
        price=price,
        fee=net,
        at=from_us(row[9]),
        id=row[10],
        cause=cause,
        state=BookState(row[12]),
    )


_KNOWN: Final = (
    "SELECT fill_id, closed_us, state, result, fees, gross FROM trade WHERE fill_id IN (SELECT id "
    "FROM fill WHERE episode = ? AND id >= ?) ORDER BY id"
)


def _write_trade(
    db: Database, place: tuple[str, str, str], episode: int, trade: Trade, *, is_new: bool
) -> None:
    values = (
        trade.side.value,
        plain(trade.quantity),
        text(trade.entry_price),
        text(trade.exit_price),
        text(trade.fees),
        text(trade.gross),
        text(trade.result),
        to_us(trade.opened_at),
        to_us(trade.closed_at),
        None if trade.cause is None else trade.cause.value,
        trade.state.value,
        trade.fill,
    )
    if is_new:
        db.execute(
            "INSERT INTO trade (account_id, strategy_id, symbol, episode, side, quantity, "
            "entry_price, exit_price, fees, gross, result,"
            " opened_us, closed_us, cause, state, fill_id, environment) VALUES (?, ?, ?, ?, ?, ?, "
            "?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
            " (SELECT environment FROM account WHERE id = ?1))",
            (*place, episode, *values),
        )
    else:
        db.execute(
            "UPDATE trade SET side = ?, quantity = ?, entry_price = ?, exit_price = ?, fees = ?, "
            "gross = ?, result = ?, opened_us = ?,"
            " closed_us = ?, cause = ?, state = ? WHERE fill_id = ?",
            values,
        )


class _Days:
    """The changes of daily sums that an episode causes."""

    def __init__(self, db: Database, account: str, strategy: str) -> None:
        self._db = db
        self._account = account
        self._strategy = strategy
        self._sums: dict[str, tuple[int, int, Decimal, Decimal, int]] = {}

    def take(self, row: Row, sign: int) -> None:
        """Count one trade (``_KNOWN``) once more or once less; its result counts in the wallet at
        once.
        """
        _, closed_us, state, result, fees, gross = row
        line = Line.OWNER if self._strategy == OWNER else Line.RESULTS
        add_since(
            self._db,
            account=self._account,
            line=line,
            amount=sign * Decimal(gross or 0),
            at_us=closed_us,
        )
        if self._strategy == OWNER:
            return
        day = from_us(closed_us).date().isoformat()
        counts = state == BookState.SETTLED.value
        came = (
            (1, int(Decimal(result) > 0), Decimal(result), Decimal(fees), 0)
            if counts
            else (0, 0, ZERO, ZERO, 1)
        )
        sums = self._sums.get(day, (0, 0, ZERO, ZERO, 0))
        self._sums[day] = (
            sums[0] + sign * came[0],
            sums[1] + sign * came[1],
            EXACT.add(sums[2], sign * came[2]),
            EXACT.add(sums[3], sign * came[3]),
            sums[4] + sign * came[4],
        )

    def write(self) -> None:
        """Add everything to the days of the strategy and of the account."""
        changed = {day: sums for day, sums in self._sums.items() if any(sums)}
        if not changed:
            return
        row = fetch_one(self._db, "SELECT environment FROM account WHERE id = ?", (self._account,))
        environment = "" if row is None else str(row[0])
        for day, sums in changed.items():
            self._add(
                "strategy_day",
                ("strategy_id", "environment", "day"),
                (self._strategy, environment, day),
                sums,
            )
            self._add("account_day", ("account_id", "day"), (self._account, day), sums)

    def _add(
        self,
        table: str,
        columns: tuple[str, ...],
        key: tuple[str, ...],
        more: Iterable[int | Decimal],
    ) -> None:
        where = " AND ".join(f"{each} = ?" for each in columns)
        read = f"SELECT trades, won, result, fees, unreconciled FROM {table} WHERE {where}"
        row = fetch_one(self._db, read, key) or (0, 0, "0", "0", 0)
        trades, won, result, fees, others = (
            EXACT.add(Decimal(old), Decimal(each)) for old, each in zip(row, more, strict=True)
        )
        marks = ", ".join("?" for _ in range(len(columns) + 5))
        self._db.execute(
            f"INSERT INTO {table} ({', '.join(columns)}, trades, won, result, fees, unreconciled)"
            f" VALUES ({marks}) ON CONFLICT ({', '.join(columns)}) DO UPDATE SET trades = "
            "excluded.trades, won = excluded.won, result = excluded.result, fees = excluded.fees, "
            "unreconciled = excluded.unreconciled",
            (*key, int(trades), int(won), plain(result), plain(fees), int(others)),
        )
