"""Record signals: one transaction writes the signal and a copy for every subscribed account; unique
keys decide what is new.

Its place in the order of signals is decided in that same transaction (``ordering``). A close, a
reverse and a cancel also supersede the older entries that are not claimed yet and set the goal, and
an entry that is older than an exit ends at once, so that an exit may overtake an entry and a late
re-delivery of an open cannot undo a close. A numbering that begins again raises an alert.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from engine.decisions.mirroring import Circumstances, why_not_mirrored
from engine.decisions.overtaking import as_it_stands, would_close
from engine.decisions.routing import ENTRY, legs
from engine.decisions.turns import draw
from engine.domain.alert import AlertCode
from engine.domain.errors import RexAlgoError
from engine.domain.holding import FLATTEN_ORIGIN
from engine.domain.identifiers import (
    AccountId,
    CopyId,
    ReceiptId,
    SignalId,
    StrategyId,
    Symbol,
    copy_id,
)
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import FIRST_ORDER_KEY, Action, OrderKey, Signal, SignalDraft, after
from engine.ledger.alerts import raise_alert
from engine.ledger.codec import from_us, read_draft, to_us, write_draft
from engine.ledger.locking import Held, lock
from engine.ledger.ordering import Place, Unplaced, find_place, note_place, note_restart
from engine.ledger.outcomes import conclude
from engine.ledger.query import Database, Row, fetch_all, fetch_one, insert
from engine.ledger.reach import reach_of

_LOOKED_BACK: Final = 8
"""How many of a contract's newest entries and closes are checked for what an alert may be meant
for.
"""
_MOVES: Final = (
    f"action IN ({', '.join(repr(each.value) for each in Action if each.is_entry)}, 'close')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSignal:
    """What the caller knows before recording; the ids are fresh random ones, used only if the
    signal is new.

    ``only``: the accounts that get a copy, None for every subscribed one (a master's signal always
    reaches all). ``is_told``: the sender stated its time, which is ``decided_at`` unless that would
    be after receipt; False: it stated none, and ``decided_at`` is the receipt. ``circumstances``:
    what its sender is to be told of, None if nobody waits for an answer. ``is_draft``: its sender
    hands over a draft and no bytes, so the draft identifies a repetition.
    """

    id: SignalId
    receipt: ReceiptId
    new_copy_id: Callable[[], CopyId]
    strategy: StrategyId
    origin: str
    draft: SignalDraft
    body_hash: bytes
    decided_at: datetime
    received_at: datetime
    only: frozenset[AccountId] | None = None
    is_told: bool = True
    circumstances: Circumstances | None = None
    is_draft: bool = False


def new_signal(
    strategy: StrategyId,
    *,
    origin: str,
    draft: SignalDraft,
    content: bytes | None,
    sent_at: datetime | None,
    received: datetime,
    only: frozenset[AccountId] | None = None,
    circumstances: Circumstances | None = None,
) -> NewSignal:
    """Create a signal with fresh ids.

    ``content`` is what was delivered; None if the draft is everything that was delivered.
    ``sent_at`` is the sender's time, None if none was stated.
    """
    said = write_draft(draft).encode() if content is None else content
    return NewSignal(
        id=SignalId(f"sig_{secrets.token_hex(16)}"),
        receipt=ReceiptId(f"rcp_{secrets.token_hex(16)}"),
        new_copy_id=lambda: copy_id(received, secrets.token_bytes(9)),
        strategy=strategy,
        origin=origin,
        draft=draft,
        body_hash=hashlib.sha256(said).digest(),
        decided_at=received if sent_at is None else min(sent_at, received),
        received_at=received,
        only=only,
        is_told=sent_at is not None,
        circumstances=circumstances,
        is_draft=content is None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The result of recording a delivery. ``is_new`` False: the same content was recorded before,
    and these are its ids.

    ``not_mirrored`` is why no order of it will reach any exchange, None if one may.
    """

    id: SignalId
    receipt: ReceiptId
    is_new: bool
    copies: int
    not_mirrored: str | None = None


class DedupeConflict(RexAlgoError):
    """Raised when this idempotency id was recorded before with another content.

    ``recorded`` is the signal of that id. ``is_done``: it asked for the same, and nothing was
    entered since that the other content would close.
    """

    def __init__(
        self, message: str, recorded: Recorded | None = None, *, is_done: bool = False
    ) -> None:
        super().__init__(message)
        self.recorded = recorded
        self.is_done = is_done


def record_signal(db: Database, new: NewSignal) -> Recorded:
    """Record a signal and its copies, or find it again by (origin, dedupe key); raises
    DedupeConflict for another content.
    """
    lock(db, Held.STRATEGY, new.strategy)
    existing = _find(db, new)
    if existing is not None and _is_certain(db, new, existing):
        recorded = Recorded(
            id=SignalId(existing[0]),
            receipt=ReceiptId(existing[1]),
            is_new=False,
            copies=existing[3],
            not_mirrored=existing[4],
        )
        if existing[2] != new.body_hash and not _says_the_same(new, existing[6]):
            raise DedupeConflict(
                "this idempotency id was used before with another content: what was recorded then "
                "counts, and a new id is a second signal",
                recorded,
                is_done=_is_done(db, new, existing),
            )
        return recorded
    if existing is not None and new.draft.action is Action.REVERSE:
        new = replace(new, draft=new.draft.closing_half)
    draft = _as_it_stands(db, new.strategy, new.draft)
    new = new if draft is new.draft else replace(new, draft=draft)
    number = _insert_signal(db, new)
    is_on = _count(db, new.strategy)
    place = _place(db, new, number)
    key = place.key
    rows = fetch_all(
        db,
        "SELECT id, account_id FROM subscription WHERE strategy_id = ? AND (state != 'left' OR "
        "EXISTS (SELECT 1 FROM holding WHERE"
        " holding.account_id = subscription.account_id AND holding.strategy_id = "
        "subscription.strategy_id)) ORDER BY id",
        (new.strategy,),
    )
    reached = [row for row in rows if new.only is None or row[1] in new.only]
    reached.sort(key=lambda row: draw(new.id, AccountId(row[1])))
    copies = [
        (copy, subscription, account)
        for copy, (subscription, account) in zip(
            sorted(new.new_copy_id() for _ in reached), reached, strict=True
        )
    ]
    not_mirrored = _why_not_mirrored(db, new, place, len(copies), is_on=is_on)
    db.execute(
        "UPDATE signal SET order_key = ?, numbering = ?, not_mirrored = ? WHERE number = ?",
        (key, place.numbering, not_mirrored, number),
    )
    db.executemany(
        "INSERT INTO copy (id, signal_number, account_id, subscription_id) VALUES (?, ?, ?, ?)",
        [(copy, number, account, subscription) for copy, subscription, account in copies],
    )
    if new.draft.action.ends_older_entries and not new.draft.is_test:
        _supersede(db, new, key)
        _set_goals(db, new, key, [account for _, _, account in copies])
    kinds = legs(new.draft.action)
    db.executemany(
        "INSERT INTO leg (copy_id, number, kind, account_id, strategy_id, symbol, order_key, "
        "state) VALUES (?, ?, ?, ?, ?, ?, ?, 'new')",
        [
            (
                copy,
                leg,
                kind,
                account,
                new.strategy,
                new.draft.symbol,
                after(key) if kind == ENTRY and len(kinds) > 1 else key,
            )
            for copy, _, account in copies
            for leg, kind in enumerate(kinds, start=1)
        ],
    )
    if place.is_late:
        superseded = Outcome(OutcomeCode.SKIPPED_SUPERSEDED, {"symbol": new.draft.symbol})
        for copy, _, _ in copies:
            conclude(db, copy=copy, leg=len(kinds), outcome=superseded, at=new.received_at)
    return Recorded(
        id=new.id, receipt=new.receipt, is_new=True, copies=len(copies), not_mirrored=not_mirrored
    )


def turns(db: Database, strategy: StrategyId, draft: SignalDraft) -> bool:
    """Return whether an alert that opens will close what is recorded as entered on the other side,
    and so also lowers risk.
    """
    return _as_it_stands(db, strategy, draft).action is not draft.action


def _as_it_stands(db: Database, strategy: StrategyId, draft: SignalDraft) -> SignalDraft:
    if (
        draft.action is not Action.OPEN
        or draft.alert is None
        or draft.repeats_s is None
        or draft.is_test
    ):
        return draft
    return as_it_stands(draft, _behind(db, strategy, draft.symbol, FIRST_ORDER_KEY))


def _why_not_mirrored(
    db: Database, new: NewSignal, place: Place, copies: int, *, is_on: bool
) -> str | None:
    if new.circumstances is None:
        return None
    age_s = (new.received_at - new.decided_at).total_seconds()
    reach = reach_of(
        db,
        strategy=new.strategy,
        symbol=new.draft.symbol,
        key=place.key,
        copies=copies,
        age_s=age_s,
        is_on=is_on,
        is_late=place.is_late,
    )
    return why_not_mirrored(new.draft, age_s, new.circumstances, reach)


def _find(db: Database, new: NewSignal) -> Row | None:
    """Find the signal that a delivery repeats: (id, receipt, body hash, copies, why not mirrored,
    order key, draft); None for a new one.
    """
    first, last = new.draft.dedupe_key, new.draft.dedupe_key
    if new.draft.repeats_s is not None:
        # The stored keys end with the time of receipt, so those within reach are neighbours in the
        # index of the natural key.
        reach, at = timedelta(seconds=new.draft.repeats_s), new.received_at
        first, last = (
            _timed(first, at - reach),
            _timed(last, at + reach),
        )  # also ahead: our own clock may have been set back
    return fetch_one(
        db,
        "SELECT id, receipt_id, body_hash, (SELECT count(*) FROM copy WHERE signal_number = "
        "number), not_mirrored, order_key, draft FROM signal"
        " WHERE origin = ? AND dedupe_key BETWEEN ? AND ? ORDER BY dedupe_key DESC LIMIT 1",
        (new.origin, first, last),
    )


def _says_the_same(new: NewSignal, draft: str) -> bool:
    """Return whether a draft equals the recorded one although it was hashed in another form:
    earlier versions hashed the ``repr`` of drafts.
    """
    return new.is_draft and write_draft(read_draft(draft)) == write_draft(new.draft)


def _is_certain(db: Database, new: NewSignal, existing: Row) -> bool:
    """Return whether it is surely a repetition: nothing was entered after the first one that the
    second may be meant to close.
    """
    return new.draft.repeats_s is None or not _closes_more(db, new, existing)


def _is_done(db: Database, new: NewSignal, existing: Row) -> bool:
    """Return whether the recorded signal asked for what another content under its id asks for: the
    same close, or the same in all but the time.
    """
    said, first = new.draft, read_draft(existing[6])
    is_same_close = said.action is first.action is Action.CLOSE and (
        said.symbol,
        said.side,
        said.is_test,
    ) == (first.symbol, first.side, first.is_test)
    is_same = is_same_close or write_draft(replace(said, sent_at=None)) == write_draft(
        replace(first, sent_at=None)
    )
    return is_same and not _closes_more(db, new, existing)


def _closes_more(db: Database, new: NewSignal, existing: Row) -> bool:
    """Return whether something was entered behind the recorded signal that the new one closes."""
    return any(
        each.action.is_entry and would_close(new.draft, each)
        for each in _behind(db, new.strategy, new.draft.symbol, existing[5])
    )


def _behind(
    db: Database, strategy: StrategyId, symbol: Symbol, key: OrderKey
) -> Iterator[SignalDraft]:
    """Read what entered or closed the contract behind a place in the order, newest first; no tests,
    and no closes of one account.
    """
    rows = fetch_all(
        db,
        "SELECT draft FROM signal WHERE strategy_id = ? AND symbol = ? AND order_key > ? AND "
        f"origin != ? AND is_test = 0 AND {_MOVES} ORDER BY order_key DESC LIMIT ?",
        (strategy, symbol, key, FLATTEN_ORIGIN, _LOOKED_BACK),
    )
    return (read_draft(row[0]) for row in rows)


def _timed(key: str, at: datetime) -> str:
    return f"{key}@{to_us(at):019d}"


def _insert_signal(db: Database, new: NewSignal) -> int:
    dedupe_key = (
        new.draft.dedupe_key
        if new.draft.repeats_s is None
        else _timed(new.draft.dedupe_key, new.received_at)
    )
    return insert(
        db,
        "INSERT INTO signal (id, receipt_id, strategy_id, origin, dedupe_key, body_hash, symbol, "
        "draft, seq, order_key, decided_us,"
        " received_us, action, is_test) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?) "
        "RETURNING number",
        (
            new.id,
            new.receipt,
            new.strategy,
            new.origin,
            dedupe_key,
            new.body_hash,
            new.draft.symbol,
            write_draft(new.draft),
            new.draft.seq or 0,
            to_us(new.decided_at),
            to_us(new.received_at),
            new.draft.action.value,
            int(new.draft.is_test),
        ),
    )


def _count(db: Database, strategy: StrategyId) -> bool:
    """Count a signal of a strategy; return whether the strategy takes entries."""
    row = fetch_one(
        db,
        "UPDATE strategy SET signals = signals + 1 WHERE id = ? "
        "RETURNING state NOT IN ('draft', 'paused', 'retired')",
        (strategy,),
    )
    return row is not None and bool(row[0])


def _place(db: Database, new: NewSignal, number: int) -> Place:
    """Decide the place of a signal, and note what later ones are compared with."""
    told_at = new.decided_at if new.is_told else None
    unplaced = Unplaced(
        strategy=new.strategy,
        origin=new.origin,
        draft=new.draft,
        at=new.decided_at,
        told_at=told_at,
        number=number,
        received_at=new.received_at,
    )
    place = find_place(db, unplaced)
    if not new.draft.is_test and new.only is None:
        note_place(db, unplaced, place)
    if place.restarted_from is not None:
        note_restart(db, unplaced, place)
        _tell_restart(db, new, place.restarted_from)
    return place


def _tell_restart(db: Database, new: NewSignal, greatest: int) -> None:
    row = fetch_one(db, "SELECT name FROM strategy WHERE id = ?", (new.strategy,))
    details = {"seq": str(new.draft.seq), "greatest": str(greatest), "symbol": new.draft.symbol}
    raise_alert(
        db,
        code=AlertCode.NUMBERING_RESTARTED,
        subject=new.strategy if row is None else row[0],
        details=details,
        at=new.received_at,
        sameness=new.origin,
    )


def _supersede(db: Database, new: NewSignal, key: OrderKey) -> None:
    older = fetch_all(
        db,
        "SELECT copy_id, number, account_id FROM leg"
        " WHERE strategy_id = ? AND symbol = ? AND kind = 'entry' AND state = 'new' AND order_key "
        "< ?",
        (new.strategy, new.draft.symbol, key),
    )
    for copy, leg in (
        (copy, leg) for copy, leg, account in older if new.only is None or account in new.only
    ):
        conclude(
            db,
            copy=CopyId(copy),
            leg=leg,
            outcome=Outcome(OutcomeCode.SKIPPED_SUPERSEDED, {"symbol": new.draft.symbol}),
            at=new.received_at,
        )


def _set_goals(db: Database, new: NewSignal, key: OrderKey, accounts: list[str]) -> None:
    db.executemany(
        "INSERT INTO goal (account_id, strategy_id, symbol, order_key) VALUES (?, ?, ?, ?) ON "
        "CONFLICT (account_id, strategy_id, symbol) DO UPDATE"
        " SET order_key = excluded.order_key WHERE excluded.order_key > goal.order_key",
        [(account, new.strategy, new.draft.symbol, key) for account in accounts],
    )


_SIGNAL: Final = (
    "SELECT id, number, strategy_id, draft, order_key, decided_us, received_us FROM signal"
)


def read_signal(db: Database, number: int) -> Signal:
    """Read one recorded signal by its number."""
    row = fetch_one(db, _SIGNAL + " WHERE number = ?", (number,))
    if row is None:
        raise LookupError(f"the ledger has no signal number {number}")
    return _signal(row)


def signals_since(db: Database, strategy: StrategyId, since: datetime, limit: int) -> list[Signal]:
    """Read what a master sent since a time, oldest first, of it the newest ``limit``; without the
    closes that a person asked for on single accounts.
    """
    first = fetch_one(
        db,
        "SELECT number FROM signal WHERE received_us >= ? ORDER BY received_us LIMIT 1",
        (to_us(since),),
    )
    if first is None:
        return []
    rows = fetch_all(
        db,
        _SIGNAL + " WHERE strategy_id = ? AND number >= ? AND origin != ? ORDER BY number DESC "
        "LIMIT ?",
        (strategy, first[0], FLATTEN_ORIGIN, limit),
    )
    return [_signal(row) for row in reversed(rows)]


def signal_count(db: Database, strategy: StrategyId) -> int:
    """Return how many signals a strategy has, as it is counted when one is recorded."""
    row = fetch_one(db, "SELECT signals FROM strategy WHERE id = ?", (strategy,))
    return 0 if row is None else int(row[0])


def _signal(row: Row) -> Signal:
    return Signal(
        id=SignalId(row[0]),
        number=row[1],
        strategy=StrategyId(row[2]),
        draft=read_draft(row[3]),
        order_key=OrderKey(row[4]),
        decided_at=from_us(row[5]),
        received_at=from_us(row[6]),
    )
