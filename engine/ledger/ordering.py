"""Give a new signal its place in the order of its strategy and contract, and keep what later ones
are compared with.

The rules are in ``decisions/ordering``. Each statement here reads one row by an index, however long
the history.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.decisions.ordering import Newest, Numbering, Placed, Told, is_late, numbered
from engine.decisions.overtaking import Came, has_overtaken, may_matter, stands_before
from engine.domain.identifiers import StrategyId, Symbol
from engine.domain.signal import (
    FIRST_ORDER_KEY,
    NO_ORDER_KEY,
    Action,
    OrderKey,
    SignalDraft,
    behind,
    right_before,
)
from engine.ledger.codec import from_us, read_draft, to_us
from engine.ledger.query import Database, Row, fetch_all, fetch_one

EXITS: Final = "exits"
PROTECTIONS: Final = "protections"
_LOOKED_BACK: Final = 8
"""How many of a contract's newest entries and closes are checked for what an alert may come after.
"""
_ENTERS: Final = f"action IN ({', '.join(repr(each.value) for each in Action if each.is_entry)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A new signal without a place yet. ``told_at`` is the sender's time, not after receipt; None
    if none was sent.
    """

    strategy: StrategyId
    origin: str
    draft: SignalDraft
    at: datetime
    told_at: datetime | None
    number: int
    received_at: datetime

    @property
    def symbol(self) -> Symbol:
        """Return the contract."""
        return self.draft.symbol


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a signal. ``is_late``: its entry is older than a recorded exit, and is not sent
    anywhere.

    ``restarted_from`` is the greatest number of the previous numbering, if this signal began a new
    one.
    """

    key: OrderKey
    is_late: bool
    numbering: int | None
    restarted_from: int | None = None


def find_place(db: Database, new: Unplaced) -> Place:
    """Decide the place of a new signal; writes nothing."""
    newest = None if new.draft.seq is None else _newest_numbering(db, new.origin)
    placed = _numbered(db, new, newest)
    told_order = Told(new.origin, new.draft.seq, placed.number, new.told_at)
    restarted_from = newest.greatest if newest is not None and placed.began else None
    enters, action = new.draft.action.is_entry, new.draft.action
    alerts = _alerts_before(db, new)
    late = enters and (
        is_late(told_order, _newest(db, new, EXITS))
        or has_overtaken(Came(new.draft, new.received_at), alerts)
    )
    if late and action is not Action.REVERSE:
        return Place(FIRST_ORDER_KEY, True, placed.number, restarted_from)
    key = behind(_newest_key(db, new), to_us(new.at), new.number)
    before = _before_later_entries(db, new, placed)
    if before is not None and (not action.is_only_entry or before > _newest_exit_key(db, new)):
        key = before
    if (
        alerts
        and alerts[0].key > FIRST_ORDER_KEY
        and stands_before(Came(new.draft, new.received_at), alerts)
    ):
        key = right_before(alerts[0].key, new.number)
    if action is Action.SET_PROTECTION and is_late(told_order, _newest(db, new, PROTECTIONS)):
        key = _before_newest_protection(db, new) or key
    return Place(key, late, placed.number, restarted_from)


def _alerts_before(db: Database, new: Unplaced) -> tuple[Came, ...]:
    """Read the sender's newest entries and closes of the contract, newest first; none if they
    cannot matter.
    """
    draft = new.draft
    if (
        draft.alert is None
        or draft.seq is not None
        or draft.is_test
        or not (draft.action.is_entry or draft.action is Action.CLOSE)
    ):
        return ()
    placed = _alerts(db, new, "order_key > ? AND number < ?", "order_key DESC")
    late = _alerts(db, new, "order_key = ? AND number < ?", "number DESC")
    rows = sorted((*placed, *late), key=lambda row: row[3], reverse=True)
    if not rows or not may_matter(draft, new.received_at, from_us(rows[0][1])):
        return ()
    # By their places, not by receipt: one may have been put before another. Late entries have no
    # place, and stay where they arrived.
    by_place = iter(placed)
    rows = [row if row[2] == FIRST_ORDER_KEY else next(by_place) for row in rows]
    return tuple(
        Came(read_draft(row[0]), from_us(row[1]), OrderKey(row[2]), bool(row[4])) for row in rows
    )


def _alerts(db: Database, new: Unplaced, which: str, order: str) -> list[Row]:
    """Read (draft, received, order key, number, whether it was late): sent nowhere, or every copy
    of it ended superseded.
    """
    return fetch_all(
        db,
        "SELECT draft, received_us, order_key, number, order_key = ? OR (EXISTS (SELECT 1 FROM "
        "copy WHERE signal_number = number) AND NOT"
        " EXISTS (SELECT 1 FROM copy WHERE signal_number = number AND (code IS NULL OR code != "
        "'skipped.superseded')))"
        " FROM signal INDEXED BY signal_by_order WHERE strategy_id = ? AND symbol = ? AND "
        f"{which} AND origin = ?"
        " AND is_test = 0"
        f" AND ({_ENTERS} OR action = 'close') ORDER BY {order} LIMIT ?",
        (
            FIRST_ORDER_KEY,
            new.strategy,
            new.symbol,
            FIRST_ORDER_KEY,
            new.number,
            new.origin,
            _LOOKED_BACK,
        ),
    )


def note_restart(db: Database, new: Unplaced, place: Place) -> None:
    """Record when a numbering began that is not its sender's first."""
    db.execute(
        "INSERT INTO numbering (origin, number, began_us) VALUES (?, ?, ?)",
        (new.origin, place.numbering, to_us(new.at)),
    )


def note_place(db: Database, new: Unplaced, place: Place) -> None:
    """Record what later signals are compared with; only for signals that are no tests and concern
    every account.
    """
    action = new.draft.action
    kind = (
        EXITS
        if action.ends_older_entries
        else PROTECTIONS
        if action is Action.SET_PROTECTION
        else None
    )
    if kind is None:
        return
    at_us = None if new.told_at is None else to_us(new.told_at)
    has_number = place.numbering is not None
    db.execute(
        "INSERT INTO newest_told (strategy_id, symbol, kind, origin, numbering, seq, numbered_us, "
        "other_us, order_key)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (strategy_id, symbol, "
        "kind, origin) DO UPDATE SET"
        " seq = CASE WHEN excluded.numbering IS NULL OR (newest_told.numbering, newest_told.seq) > "
        "(excluded.numbering, excluded.seq) THEN newest_told.seq ELSE excluded.seq END,"
        " numbering = CASE WHEN excluded.numbering IS NULL OR newest_told.numbering > "
        "excluded.numbering THEN newest_told.numbering ELSE excluded.numbering END,"
        " numbered_us = CASE WHEN excluded.numbered_us IS NULL OR newest_told.numbered_us > "
        "excluded.numbered_us THEN newest_told.numbered_us ELSE excluded.numbered_us END,"
        " other_us = CASE WHEN excluded.other_us IS NULL OR newest_told.other_us > "
        "excluded.other_us THEN newest_told.other_us ELSE excluded.other_us END,"
        " order_key = CASE WHEN newest_told.order_key > excluded.order_key THEN "
        "newest_told.order_key ELSE excluded.order_key END",
        (
            new.strategy,
            new.symbol,
            kind,
            new.origin,
            place.numbering,
            new.draft.seq if has_number else None,
            at_us if has_number else None,
            None if has_number else at_us,
            place.key,
        ),
    )


def _numbered(db: Database, new: Unplaced, newest: Numbering | None) -> Placed:
    seq = new.draft.seq
    if seq is None:
        return Placed(None)
    used = newest is not None and fetch_one(
        db,
        "SELECT 1 FROM signal WHERE origin = ? AND numbering = ? AND seq = ?",
        (new.origin, newest.number, seq),
    )
    return numbered(
        seq,
        new.at,
        is_sent=new.draft.sent_at is not None,
        is_exit=not new.draft.action.is_entry,
        is_used=bool(used),
        newest=newest,
    )


def _newest_numbering(db: Database, origin: str) -> Numbering | None:
    greatest = fetch_one(
        db,
        "SELECT numbering, seq, decided_us, draft FROM signal WHERE origin = ? AND numbering IS "
        "NOT NULL"
        " ORDER BY numbering DESC, seq DESC LIMIT 1",
        (origin,),
    )
    if greatest is None:
        return None
    number, seq, at_us, draft = greatest
    least = fetch_one(
        db,
        "SELECT seq FROM signal WHERE origin = ? AND numbering = ? ORDER BY seq LIMIT 1",
        (origin, number),
    )
    began = fetch_one(
        db, "SELECT began_us FROM numbering WHERE origin = ? AND number = ?", (origin, number)
    )
    assert least is not None
    at = from_us(at_us)
    return Numbering(
        number=number,
        least=least[0],
        greatest=seq,
        at=at,
        is_sent=read_draft(draft).sent_at is not None,
        began_at=at if began is None else from_us(began[0]),
    )


def _newest(db: Database, new: Unplaced, kind: str) -> tuple[Newest, ...]:
    rows = fetch_all(
        db,
        "SELECT origin, numbering, seq, numbered_us, other_us FROM newest_told WHERE strategy_id "
        "= ? AND symbol = ? AND kind = ?",
        (new.strategy, new.symbol, kind),
    )
    return tuple(
        Newest(
            sender=row[0],
            number=row[1],
            seq=row[2],
            numbered_at=_time(row[3]),
            other_at=_time(row[4]),
        )
        for row in rows
    )


def _time(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)


def _newest_key(db: Database, new: Unplaced) -> OrderKey:
    row = fetch_one(
        db,
        "SELECT order_key FROM signal WHERE strategy_id = ? AND symbol = ? AND number != ? ORDER "
        "BY order_key DESC LIMIT 1",
        (new.strategy, new.symbol, new.number),
    )
    return NO_ORDER_KEY if row is None else OrderKey(row[0])


def _newest_exit_key(db: Database, new: Unplaced) -> OrderKey:
    row = fetch_one(
        db,
        "SELECT max(order_key) FROM newest_told WHERE strategy_id = ? AND symbol = ? AND kind = ?",
        (new.strategy, new.symbol, EXITS),
    )
    return NO_ORDER_KEY if row is None or row[0] is None else OrderKey(row[0])


def _before_later_entries(db: Database, new: Unplaced, placed: Placed) -> OrderKey | None:
    """Find the place before the entries that the sender's own numbers put behind this signal.

    None if it comes behind all, and if an entry that the numbers do not put behind it comes behind
    one of those: an exit then closes both.
    """
    if new.draft.seq is None or placed.number is None or placed.began:
        return None
    later = (new.origin, placed.number, new.draft.seq)
    row = fetch_one(
        db,
        "SELECT min(order_key) FROM signal WHERE origin = ? AND numbering IS NOT NULL AND "
        "(numbering, seq) > (?, ?) AND symbol = ?"
        f" AND order_key > '{FIRST_ORDER_KEY}.' AND {_ENTERS}",
        (*later, new.symbol),
    )
    if row is None or row[0] is None:
        return None
    other = fetch_one(
        db,
        "SELECT 1 FROM signal WHERE strategy_id = ? AND symbol = ? AND order_key > ? AND number "
        "!= ?"
        " AND NOT (origin = ? AND numbering IS NOT NULL AND (numbering, seq) > (?, ?)) AND "
        f"{_ENTERS}",
        (new.strategy, new.symbol, row[0], new.number, *later),
    )
    return right_before(OrderKey(row[0]), new.number) if other is None else None


def _before_newest_protection(db: Database, new: Unplaced) -> OrderKey | None:
    """Find the place before the newest protection; None if an entry came after it."""
    row = fetch_one(
        db,
        "SELECT max(order_key) FROM newest_told WHERE strategy_id = ? AND symbol = ? AND kind = ?",
        (new.strategy, new.symbol, PROTECTIONS),
    )
    assert row is not None
    entered = fetch_one(
        db,
        "SELECT 1 FROM signal WHERE strategy_id = ? AND symbol = ? AND order_key > ? AND number "
        f"!= ? AND {_ENTERS}",
        (new.strategy, new.symbol, row[0], new.number),
    )
    return right_before(OrderKey(row[0]), new.number) if entered is None else None
