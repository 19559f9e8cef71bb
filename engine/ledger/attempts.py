"""Claim, complete, resolve: every step of an order attempt, each one transaction.

What always holds: a leg is claimed at most once at a time (NEW -> CLAIMED is a compare-and-set on the leg); an attempt moves only
along the lifecycle table; a holding's share is the sum of what is proven filled; the goal key is looked at in the claim too.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

import apsw

from engine.decisions.order_lifecycle import AttemptState, check_move, state_of
from engine.decisions.results import part
from engine.domain.amounts import EXACT, ZERO, Money, Price, Quantity, plain
from engine.domain.booking import Cause
from engine.domain.errors import InvalidMove
from engine.domain.holding import FLATTEN_ORIGIN, Holding
from engine.domain.identifiers import AccountId, CopyId, StrategyId, Symbol
from engine.domain.order import OrderIntent, OrderReport, OrderStatus, ProtectionOrder
from engine.domain.outcome import UNTOLD_FEE, UNTOLD_PRICE, Outcome, OutcomeCode
from engine.domain.signal import NO_ORDER_KEY, OrderKey, PositionSide
from engine.ledger.books import Change, bind_outside, change_share, note_order_fee, tell_order
from engine.ledger.codec import dump, from_us, read_intent, to_us, write_intent
from engine.ledger.copies import is_exiting_before
from engine.ledger.outcomes import forget_outcome, write_event, write_outcome
from engine.ledger.query import Row, fetch_all, fetch_one


@dataclass(frozen=True, slots=True)
class Claim:
    """Hold what is claimed. ``witness`` are the exchange order ids seen in the account's last snapshot of the symbol.

    ``adds``: the entry grows what its strategy holds. ``leave`` and ``carried`` are an exit's: the share that it leaves behind, and what
    it rounds off for the next one; None where that was fixed before. ``planned_from`` is the share that an exit was planned from.
    ``held_before`` is the whole position, the owner's part included, as the account's last reading shows it; None where that is not known.
    """

    copy: CopyId
    leg: int
    number: int
    kind: str
    account: AccountId
    strategy: StrategyId
    epoch: int
    order_key: OrderKey
    intent: OrderIntent
    notional: Money
    margin: Money
    witness: tuple[str, ...]
    at: datetime
    adds: bool = False
    leave: Quantity | None = None
    carried: Quantity | None = None
    planned_from: Quantity | None = None
    held_before: Quantity | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """Hold one attempt as the ledger has it; ``held_before`` as in its claim."""

    id: int
    copy: CopyId
    leg: int
    number: int
    kind: str
    account: AccountId
    strategy: StrategyId
    state: AttemptState
    intent: OrderIntent
    notional: Money
    margin: Money
    claimed_at: datetime
    filled: Quantity
    cause: str
    witness: tuple[str, ...]
    price: str
    exchange_order_id: str | None
    held_before: Quantity | None

    @property
    def is_entry(self) -> bool:
        """Tell whether this attempt can raise exposure."""
        return self.kind == "entry"


@dataclass(frozen=True, slots=True)
class NotClaimed:
    """Say why a claim was not made: ``outcome`` ends the copy, None means that somebody else claimed or ended the leg."""

    outcome: Outcome | None


def claim(db: apsw.Connection, wanted: Claim) -> int | NotClaimed:
    """Move a leg NEW -> CLAIMED with its attempt and, for an entry, its holding; returns the attempt's id."""
    if wanted.kind == "entry":
        refused = _entry_refused(db, wanted)
        if refused is not None:
            return refused
    db.execute("UPDATE leg SET state = 'claimed' WHERE copy_id = ? AND number = ? AND state = 'new'", (wanted.copy, wanted.leg))
    if db.changes() != 1:
        return NotClaimed(None)
    db.execute(
        "INSERT INTO attempt (copy_id, leg, number, kind, account_id, strategy_id, symbol, epoch, state, client_order_id, intent,"
        " witness, notional, margin, claimed_us, held_before) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'claimed', ?, ?, ?, ?, ?, ?, ?)",
        (
            wanted.copy, wanted.leg, wanted.number, wanted.kind, wanted.account, wanted.strategy, wanted.intent.symbol, wanted.epoch,
            wanted.intent.client_order_id, write_intent(wanted.intent), dump(wanted.witness), plain(wanted.notional),
            plain(wanted.margin), to_us(wanted.at), None if wanted.held_before is None else plain(wanted.held_before),
        ),
    )  # fmt: skip
    attempt_id = db.last_insert_rowid()
    if wanted.kind == "entry":
        _hold(db, wanted, attempt_id)
    else:
        assert wanted.leave is not None, "an exit says what it leaves behind"
        _fix_what_stays(db, wanted, wanted.leave)
    return attempt_id


def _hold(db: apsw.Connection, wanted: Claim, attempt_id: int) -> None:
    """Let the strategy hold the symbol, and note which stop and target it wants there."""
    intent = wanted.intent
    stop, target = _text(intent.stop_loss), _text(intent.take_profit)
    if wanted.adds:  # the key of the opening entry stays: a close that is older than this one still closes what was opened
        db.execute(
            "UPDATE holding SET entries_open = entries_open + 1, stop_loss = coalesce(?, stop_loss), take_profit = coalesce(?, take_profit)"
            " WHERE account_id = ? AND symbol = ?",
            (stop, target, wanted.account, intent.symbol),
        )
        return
    db.execute(
        "INSERT INTO holding (account_id, symbol, strategy_id, side, share, entries_open, entry_key, stop_loss, take_profit, opened_by)"
        " VALUES (?, ?, ?, ?, '0', 1, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET entries_open = entries_open + 1, entry_key = excluded.entry_key, side = excluded.side,"
        " strategy_id = excluded.strategy_id, detached = 0, carried = '0', stop_loss = excluded.stop_loss,"
        " take_profit = excluded.take_profit, position_id = '', opened_by = excluded.opened_by",
        (wanted.account, intent.symbol, wanted.strategy, intent.position_side.value, wanted.order_key, stop, target, attempt_id),
    )


def _fix_what_stays(db: apsw.Connection, wanted: Claim, leave: Quantity) -> None:
    """Remember the share that an exit leaves behind: its later attempts go on towards it, whatever an earlier one closed."""
    db.execute(
        "UPDATE leg SET leave_share = ? WHERE copy_id = ? AND number = ? AND leave_share IS NULL", (plain(leave), wanted.copy, wanted.leg)
    )
    if wanted.carried is not None:
        db.execute(
            "UPDATE holding SET carried = ? WHERE account_id = ? AND symbol = ?",
            (plain(wanted.carried), wanted.account, wanted.intent.symbol),
        )


def _entry_refused(db: apsw.Connection, wanted: Claim) -> NotClaimed | None:
    symbol = wanted.intent.symbol
    if goal_key(db, wanted.account, wanted.strategy, symbol) >= wanted.order_key:
        return NotClaimed(Outcome(OutcomeCode.SKIPPED_SUPERSEDED, {"symbol": symbol}))
    if is_exiting_before(db, wanted.account, wanted.strategy, symbol, wanted.order_key):
        return NotClaimed(None)  # recorded while this entry was on its way here: planned again, it waits
    held = read_holding(db, wanted.account, symbol)
    if held is None or (held.share == 0 and held.entries_open == 0):
        return NotClaimed(Outcome(OutcomeCode.SKIPPED_NOT_OPEN, {"symbol": symbol})) if wanted.adds else None
    numbers = {"symbol": symbol, "side": held.side.value, "held": plain(held.share), "holder": held.strategy, "held_side": held.side.value}
    if held.strategy != wanted.strategy:
        return NotClaimed(Outcome(OutcomeCode.SKIPPED_SYMBOL_HELD, numbers))
    if wanted.adds and held.side is wanted.intent.position_side:
        return None if held.entries_open == 0 else NotClaimed(None)
    code = OutcomeCode.SKIPPED_ALREADY_OPEN if held.side is wanted.intent.position_side else OutcomeCode.SKIPPED_OPPOSITE_HELD
    return NotClaimed(Outcome(code, numbers))


def complete(
    db: apsw.Connection, attempt_id: int, report: OrderReport, outcome: Outcome, at: datetime, retry_at: datetime | None = None
) -> None:  # fmt: skip
    """Record what the exchange proved about an attempt: its state, its fills, the holding's share, the copy's outcome.

    An exit that has not closed all that it is to close is open again in the same transaction, to be planned from ``retry_at`` on.
    """
    attempt = read_attempt(db, attempt_id)
    state = state_of(report)
    grown = Quantity(report.filled_quantity - attempt.filled)
    if state is attempt.state and grown == 0:
        return
    if state is not attempt.state or state is not AttemptState.PARTIALLY_FILLED:
        check_move(attempt.state, state)
    db.execute(
        "UPDATE attempt SET state = ?, exchange_order_id = ?, filled = ?, price = ?, ended_us = ?, cause = ? WHERE id = ?",
        (
            state.value, report.exchange_order_id or None, plain(report.filled_quantity),
            None if report.average_price is None else plain(report.average_price), to_us(at), report.reason,
            attempt_id,
        ),
    )  # fmt: skip
    db.execute("UPDATE leg SET state = ? WHERE copy_id = ? AND number = ?", (state.value, attempt.copy, attempt.leg))
    _move_share(db, attempt, grown, report, at)
    if attempt.is_entry and report.position_id:
        _name_position(db, attempt, report.position_id)
    if report.fee:
        note_order_fee(db, attempt_id, report.fee)
    if attempt.filled > 0:
        tell_order(db, attempt_id, report.filled_quantity, report.average_price, report.fee)
    goes_on = state.is_terminal and _go_on_closing(db, attempt.copy, attempt.leg, retry_at or at)
    write_outcome(db, attempt.copy, attempt.leg, outcome, at, goes_on=goes_on)


def end(
    db: apsw.Connection, attempt_id: int, state: AttemptState, outcome: Outcome, cause: str, at: datetime, retry_at: datetime | None = None
) -> None:  # fmt: skip
    """End or park an attempt without a report: REJECTED, UNKNOWN, NOT_CONFIRMED, KILLED, EXPIRED, SKIPPED or DENIED.

    With ``retry_at`` an exit that has not closed all that it is to close is open again from then on, in the same transaction.
    """
    attempt = read_attempt(db, attempt_id)
    check_move(attempt.state, state)
    db.execute("UPDATE attempt SET state = ?, cause = ?, ended_us = ? WHERE id = ?", (state.value, cause, to_us(at), attempt_id))
    db.execute("UPDATE leg SET state = ? WHERE copy_id = ? AND number = ?", (state.value, attempt.copy, attempt.leg))
    if state not in (AttemptState.UNKNOWN, AttemptState.NOT_CONFIRMED):
        _count_entries(db, attempt)
    goes_on = retry_at is not None and _go_on_closing(db, attempt.copy, attempt.leg, retry_at)
    write_outcome(db, attempt.copy, attempt.leg, outcome, at, goes_on=goes_on)


def back_to_new(db: apsw.Connection, attempt_id: int, cause: str, retry_at: datetime, at: datetime) -> None:
    """Put a leg back to NEW with proof that nothing was executed; it is planned anew from ``retry_at`` on."""
    attempt = read_attempt(db, attempt_id)
    check_move(attempt.state, AttemptState.NEW)
    db.execute("UPDATE attempt SET state = 'new', cause = ?, ended_us = ? WHERE id = ?", (cause, to_us(at), attempt_id))
    reopen_leg(db, attempt.copy, attempt.leg, retry_at)
    _count_entries(db, attempt)


def reopen_leg(db: apsw.Connection, copy: CopyId, leg: int, retry_at: datetime) -> None:
    """Let a leg be claimed again: an exit that is not done, or an attempt that provably executed nothing."""
    db.execute("UPDATE leg SET state = 'new', retry_us = ? WHERE copy_id = ? AND number = ?", (to_us(retry_at), copy, leg))


def close_again(db: apsw.Connection, attempt_id: int, retry_at: datetime) -> bool:
    """Open an exit without trace again, because a reading shows that everything in the position is ours; False where it is done."""
    attempt = read_attempt(db, attempt_id)
    is_left = attempt.state is AttemptState.NOT_CONFIRMED and is_left_without_trace(db, attempt.copy, attempt.leg)
    goes_on = is_left and _go_on_closing(db, attempt.copy, attempt.leg, retry_at)
    if goes_on:
        forget_outcome(db, attempt.copy, attempt.leg)
    return goes_on


def is_left_without_trace(db: apsw.Connection, copy: CopyId, leg: int) -> bool:
    """Tell whether a leg stands where its newest order was given up, and nothing was tried since."""
    return fetch_one(db, "SELECT 1 FROM leg WHERE copy_id = ? AND number = ? AND state = 'not_confirmed'", (copy, leg)) is not None


def is_followed(db: apsw.Connection, attempt: Attempt) -> bool:
    """Tell whether a later order of ours changed the position in the same contract, or may have: one that was given up is no such order."""
    row = fetch_one(
        db,
        "SELECT 1 FROM attempt WHERE account_id = ? AND id > ? AND symbol = ?"
        " AND (filled != '0' OR state IN ('claimed', 'unknown', 'placed', 'partially_filled')) LIMIT 1",
        (attempt.account, attempt.id, attempt.intent.symbol),
    )
    return row is not None


def _go_on_closing(db: apsw.Connection, copy: CopyId, leg: int, retry_at: datetime) -> bool:
    """Reopen an exit whose newest attempt ended while more than it is to leave behind is still held; False where it is done.

    Also while an entry may still bring something to a strategy that is to be flat, and where a detached symbol is to be set free.
    """
    row = fetch_one(
        db, "SELECT kind, account_id, strategy_id, symbol, leave_share, state FROM leg WHERE copy_id = ? AND number = ?", (copy, leg)
    )
    if row is None or row[0] != "exit" or row[5] in ("new", "claimed", "unknown", "placed", "partially_filled"):
        return False
    held = read_holding(db, AccountId(row[1]), Symbol(row[3]))
    if held is None or held.strategy != row[2] or not _is_of_episode(db, held, _newest_attempt(db, copy, leg)):
        return False
    leave = Decimal(row[4] or 0)
    goes_on = held.share > leave or (leave == 0 and (held.entries_open > 0 or held.detached))
    if goes_on:
        reopen_leg(db, copy, leg, retry_at)
    return goes_on


def _move_share(db: apsw.Connection, attempt: Attempt, grown: Quantity, report: OrderReport, at: datetime) -> None:
    """Bring a holding up to date after an attempt's state was written: its share by a fill, and how many entries are open."""
    if grown <= 0:
        _count_entries(db, attempt)
        return
    held = read_holding(db, attempt.account, attempt.intent.symbol)
    if held is None and attempt.is_entry:
        held = _hold_late(db, attempt)
    if held is not None and not attempt.is_entry and not (held.strategy == attempt.strategy and _is_of_episode(db, held, attempt.id)):
        held = None  # what it closed was gone before: the share that stands now was entered later
    is_first = attempt.filled == 0  # of a later part the order tells the average only: ``tell_order`` finds the part's own price
    change = Change(
        attempt.is_entry, grown, at, _cause(db, attempt), report.average_price if is_first else None, report.fee if is_first else None,
        attempt.id, report.exchange_order_id, report.position_id, attempt.claimed_at,
    )  # fmt: skip
    if held is not None:
        _book(db, held, attempt, change)
    else:
        bind_outside(db, _gone(attempt), change)
    _count_entries(db, attempt)


def _newest_attempt(db: apsw.Connection, copy: CopyId, leg: int) -> int:
    row = fetch_one(db, "SELECT max(id) FROM attempt WHERE copy_id = ? AND leg = ?", (copy, leg))
    return 0 if row is None else int(row[0] or 0)


def _is_of_episode(db: apsw.Connection, held: Holding, exit_id: int) -> bool:
    """Tell whether an exit's attempt could close what a strategy holds now: it was claimed after the entry that opened it."""
    row = fetch_one(
        db,
        "SELECT fill.attempt_id FROM book JOIN fill ON fill.id = book.episode"
        " WHERE book.account_id = ? AND book.strategy_id = ? AND book.symbol = ?",
        (held.account, held.strategy, held.symbol),
    )
    return row is None or row[0] is None or row[0] < exit_id


def _book(db: apsw.Connection, held: Holding, attempt: Attempt, change: Change) -> None:
    """Write what an order executed: an exit closes our share first; an entry nets where the other side is held, as the exchange does."""
    side = attempt.intent.position_side
    closing = not change.is_entry or (held.side is not side and held.share > 0)
    if not closing:
        change_share(db, replace(held, side=side), change)
        return
    beyond = EXACT.subtract(change.quantity, held.share)
    after = change_share(db, held, replace(change, is_entry=False))
    if beyond <= 0:
        return
    rest = replace(change, quantity=beyond, fee=part(change.fee, beyond, change.quantity))
    if change.is_entry:
        change_share(db, replace(after, side=side), rest)
    else:
        bind_outside(db, held, rest)


def _name_position(db: apsw.Connection, attempt: Attempt, position_id: str) -> None:
    """Note the position that an entry opened or grew, where its strategy holds the contract."""
    db.execute(
        "UPDATE holding SET position_id = ? WHERE account_id = ? AND symbol = ? AND strategy_id = ? AND side = ?",
        (position_id, attempt.account, attempt.intent.symbol, attempt.strategy, attempt.intent.position_side.value),
    )


def _cause(db: apsw.Connection, attempt: Attempt) -> Cause:
    if attempt.is_entry:
        return Cause.SIGNAL
    row = fetch_one(
        db, "SELECT 1 FROM copy JOIN signal ON signal.number = copy.signal_number WHERE copy.id = ? AND origin = ?",
        (attempt.copy, FLATTEN_ORIGIN),
    )  # fmt: skip
    return Cause.SIGNAL if row is None else Cause.FLATTEN


def _gone(attempt: Attempt) -> Holding:
    """Stand for a holding that is not there any more: nothing of it is left."""
    return Holding(attempt.account, attempt.intent.symbol, attempt.strategy, attempt.intent.position_side, Quantity(ZERO), 0, NO_ORDER_KEY)


def _hold_late(db: apsw.Connection, attempt: Attempt) -> Holding:
    """Let the strategy hold again what an entry brought whose symbol had been set free: else nobody would ever close it."""
    intent = attempt.intent
    db.execute(
        "INSERT INTO holding (account_id, symbol, strategy_id, side, share, entries_open, entry_key, stop_loss, take_profit, opened_by)"
        " SELECT ?, ?, ?, ?, '0', 0, order_key, ?, ?, ? FROM leg WHERE copy_id = ? AND number = ?",
        (
            attempt.account, intent.symbol, attempt.strategy, intent.position_side.value, _text(intent.stop_loss),
            _text(intent.take_profit), attempt.id, attempt.copy, attempt.leg,
        ),
    )  # fmt: skip
    held = read_holding(db, attempt.account, intent.symbol)
    assert held is not None, "it was inserted above"
    return held


def _count_entries(db: apsw.Connection, attempt: Attempt) -> None:
    """Bring up to date how many entries of a holding are open, and remove it where it holds nothing."""
    held = read_holding(db, attempt.account, attempt.intent.symbol)
    if held is not None:
        # Counted anew each time: a count that is moved up and down goes wrong when one attempt ends twice (freed, then proven after all).
        open_now = _count_open_entries(db, attempt.account, attempt.intent.symbol)
        write_holding(db, replace(held, entries_open=open_now))


def _count_open_entries(db: apsw.Connection, account: AccountId, symbol: Symbol) -> int:
    row = fetch_one(
        db,
        "SELECT count(*) FROM attempt INDEXED BY attempt_open WHERE account_id = ? AND symbol = ? AND kind = 'entry' AND state IN"
        " ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed') AND (state != 'not_confirmed' OR NOT freed)",
        (account, symbol),
    )
    return 0 if row is None else int(row[0])


def write_holding(db: apsw.Connection, holding: Holding) -> None:
    """Store a holding, its share apart (``books.change_share``); one that holds nothing and is not detached is removed."""
    if holding.share == 0 and holding.entries_open == 0 and not holding.detached:
        db.execute("DELETE FROM holding WHERE account_id = ? AND symbol = ? AND share = '0'", (holding.account, holding.symbol))
        return
    db.execute(
        "UPDATE holding SET entries_open = ?, detached = ?, carried = ?, stop_loss = ?, take_profit = ?, position_id = ?"
        " WHERE account_id = ? AND symbol = ?",
        (
            holding.entries_open, int(holding.detached), plain(holding.carried), _text(holding.stop_loss), _text(holding.take_profit),
            holding.position_id, holding.account, holding.symbol,
        ),
    )  # fmt: skip


def keep_carried(db: apsw.Connection, account: AccountId, symbol: Symbol, carried: Quantity) -> None:
    """Note what a reduction rounded off, for the next one."""
    db.execute("UPDATE holding SET carried = ? WHERE account_id = ? AND symbol = ?", (plain(carried), account, symbol))


def attach(db: apsw.Connection, account: AccountId, symbol: Symbol) -> None:
    """Let entries into a symbol again that its owner had closed by hand: the master is flat."""
    held = read_holding(db, account, symbol)
    if held is not None and held.share == 0:
        write_holding(db, replace(held, detached=False))


def _text(price: Price | None) -> str | None:
    return None if price is None else plain(price)


def want_protection(db: apsw.Connection, *, account: AccountId, wanted: ProtectionOrder) -> None:
    """Note which stop and target a strategy wants at its position from now on; whatever the exchange shows is compared with it."""
    held = read_holding(db, account, wanted.symbol)
    if held is not None:
        write_holding(db, replace(held, stop_loss=wanted.stop_loss, take_profit=wanted.take_profit))


def free_symbol(db: apsw.Connection, attempt_id: int) -> None:
    """Let entries into a symbol again after an entry stayed without trace for long; the attempt stays NOT_CONFIRMED."""
    attempt = read_attempt(db, attempt_id)
    if attempt.is_entry and attempt.state is AttemptState.NOT_CONFIRMED:
        db.execute("UPDATE attempt SET freed = 1 WHERE id = ?", (attempt_id,))
        _count_entries(db, attempt)


def decide_none(db: apsw.Connection, attempt_id: int, note: str, by: str, at: datetime) -> None:
    """End an unproven attempt because a person looked and found no such order; raises InvalidMove for one that is proven or ended.

    The leg is over: nothing is sent in its place.
    """
    attempt = read_attempt(db, attempt_id)
    if attempt.state not in (AttemptState.UNKNOWN, AttemptState.NOT_CONFIRMED):
        raise InvalidMove(f"expected an order that is unknown or not confirmed, found {attempt.state.value}; nothing is to be decided")
    numbers = {"quantity": plain(attempt.intent.quantity), "symbol": attempt.intent.symbol, "note": note, "by": by}
    end(db, attempt_id, AttemptState.REJECTED, Outcome(OutcomeCode.NOT_EXECUTED, numbers), f"decided by {by}: {note}"[:200], at)


def decide_done(db: apsw.Connection, attempt_id: int, at: datetime) -> None:
    """Take an unproven exit for done because a person looked and saw its work; raises InvalidMove for any other order.

    Its price and fee stay unknown until the exchange tells them.
    """
    attempt = read_attempt(db, attempt_id)
    if attempt.is_entry or attempt.state not in (AttemptState.UNKNOWN, AttemptState.NOT_CONFIRMED):
        found = f"an {attempt.kind} that is {attempt.state.value}"
        raise InvalidMove(f"expected a closing order that is unknown or not confirmed, found {found}")
    intent = attempt.intent
    report = OrderReport(
        "", None, intent.symbol, intent.side, intent.quantity, OrderStatus.FILLED, intent.quantity, None, None, at, True, "",
        intent.position_id,
    )  # fmt: skip
    numbers = {
        "side": intent.side.value, "symbol": intent.symbol, "quantity": plain(intent.quantity), "filled": plain(intent.quantity),
        "price": UNTOLD_PRICE, "fee": UNTOLD_FEE,
    }  # fmt: skip
    complete(db, attempt_id, report, Outcome(OutcomeCode.FILLED, numbers), at)


def orphan_claims(db: apsw.Connection, epoch: int, at: datetime) -> int:
    """Turn every claim of an earlier run into UNKNOWN: whether it left is not known. Returns how many."""
    rows = fetch_all(db, "SELECT id FROM attempt WHERE state = 'claimed' AND epoch < ?", (epoch,))
    for (attempt_id,) in rows:
        attempt = read_attempt(db, attempt_id)
        cause = "the process stopped while it was being sent"
        end(db, attempt_id, AttemptState.UNKNOWN, unknown_outcome(attempt.intent, cause), cause, at)
    return len(rows)


def unknown_outcome(intent: OrderIntent, cause: str) -> Outcome:
    """Say that an order was sent without proof of its fate."""
    return Outcome(OutcomeCode.UNKNOWN, {"quantity": plain(intent.quantity), "symbol": intent.symbol, "cause": cause})


_ATTEMPT = (
    "SELECT id, copy_id, leg, number, kind, account_id, strategy_id, state, intent, notional, margin, claimed_us, filled, cause, witness,"
    " price, exchange_order_id, held_before"
    " FROM attempt"
)
_OPEN_ATTEMPT = _ATTEMPT + (  # the index says what is open; by its name, so that no plan walks an account's past instead
    " INDEXED BY attempt_open WHERE state IN ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed')"
)


def _attempt(row: Row) -> Attempt:
    return Attempt(
        row[0], CopyId(row[1]), row[2], row[3], row[4], AccountId(row[5]), StrategyId(row[6]), AttemptState(row[7]), read_intent(row[8]),
        Money(Decimal(row[9])), Money(Decimal(row[10])), from_us(row[11]), Quantity(Decimal(row[12])), row[13], tuple(json.loads(row[14])),
        row[15] or "?", row[16], None if row[17] is None else Quantity(Decimal(row[17])),
    )  # fmt: skip


def read_attempt(db: apsw.Connection, attempt_id: int) -> Attempt:
    """Read one attempt."""
    row = fetch_one(db, _ATTEMPT + " WHERE id = ?", (attempt_id,))
    if row is None:
        raise LookupError(f"the ledger has no attempt {attempt_id}")
    return _attempt(row)


def open_attempts(db: apsw.Connection, account: AccountId) -> list[Attempt]:
    """Read the account's attempts whose fate is open: claimed, unknown, placed, partially filled, not confirmed."""
    return [_attempt(row) for row in fetch_all(db, _OPEN_ATTEMPT + " AND account_id = ? ORDER BY id", (account,))]


def open_entries(db: apsw.Connection, account: AccountId) -> list[Attempt]:
    """Read the account's entries that may stand at the exchange and count as held: those without trace only until their symbol is freed."""
    where = " AND account_id = ? AND kind = 'entry' AND (state != 'not_confirmed' OR NOT freed) ORDER BY id"
    return [_attempt(row) for row in fetch_all(db, _OPEN_ATTEMPT + where, (account,))]


def unsettled_symbols(db: apsw.Connection, account: AccountId, since: datetime) -> frozenset[Symbol]:
    """Read the symbols with an attempt whose fate is open, or which filled and ended at or after ``since``: no reading from then judges.

    One statement, so that an attempt which another task ends meanwhile is seen open or ended, never neither.
    """
    rows = fetch_all(
        db,
        "SELECT symbol FROM attempt INDEXED BY attempt_open WHERE account_id = ?1 AND state IN ('claimed', 'unknown', 'placed',"
        " 'partially_filled', 'not_confirmed') AND (state != 'not_confirmed' OR (kind = 'entry' AND NOT freed))"
        " UNION SELECT symbol FROM attempt INDEXED BY attempt_ended WHERE account_id = ?1 AND ended_us >= ?2 AND filled != '0'",
        (account, to_us(since)),
    )
    return frozenset(Symbol(row[0]) for row in rows)


def last_exits(db: apsw.Connection, account: AccountId, since: datetime) -> dict[Symbol, datetime]:
    """Read when the newest exit of ours that closed something ended, for each symbol with one at or after ``since``."""
    rows = fetch_all(
        db,
        "SELECT symbol, max(ended_us) FROM attempt WHERE account_id = ? AND ended_us >= ? AND kind = 'exit' AND filled != '0'"
        " GROUP BY symbol",
        (account, to_us(since)),
    )
    return {Symbol(symbol): from_us(ended_us) for symbol, ended_us in rows}


def entries_before(db: apsw.Connection, account: AccountId, strategy: StrategyId, symbol: Symbol, before: OrderKey) -> list[Attempt]:
    """Read a strategy's entry attempts that may be working at the exchange and whose leg has an earlier order key."""
    where = (
        " AND account_id = ? AND strategy_id = ? AND symbol = ? AND kind = 'entry' AND state != 'not_confirmed'"
        " AND (SELECT order_key FROM leg WHERE leg.copy_id = attempt.copy_id AND leg.number = attempt.leg) < ?"
    )
    return [_attempt(row) for row in fetch_all(db, _OPEN_ATTEMPT + where, (account, strategy, symbol, before))]


def taken_back_since(db: apsw.Connection, account: AccountId, strategy: StrategyId, symbol: Symbol, since: datetime) -> int:
    """Count a strategy's entries that ended cancelled at or after ``since``."""
    row = fetch_one(
        db,
        "SELECT count(*) FROM attempt WHERE account_id = ? AND strategy_id = ? AND symbol = ? AND kind = 'entry' AND state = 'cancelled'"
        " AND ended_us >= ?",
        (account, strategy, symbol, to_us(since)),
    )
    return 0 if row is None else int(row[0])


def all_unknown(db: apsw.Connection) -> list[Attempt]:
    """Read every attempt, of any account, that is unknown or not confirmed; oldest first."""
    return [_attempt(row) for row in fetch_all(db, _OPEN_ATTEMPT + " AND state IN ('unknown', 'not_confirmed') ORDER BY id")]


def attempts_of(db: apsw.Connection, copy: CopyId) -> list[Attempt]:
    """Read the attempts of one copy, oldest first."""
    return [_attempt(row) for row in fetch_all(db, _ATTEMPT + " WHERE copy_id = ? ORDER BY id", (copy,))]


def bound_order_ids(db: apsw.Connection, account: AccountId, among: Iterable[str]) -> frozenset[str]:
    """Find which of these exchange order ids an attempt of the account is known by."""
    rows = fetch_all(
        db,
        "SELECT value FROM json_each(?2) WHERE EXISTS (SELECT 1 FROM attempt WHERE account_id = ?1 AND exchange_order_id = value)",
        (account, json.dumps(list(among))),
    )
    return frozenset(row[0] for row in rows)


@dataclass(frozen=True, slots=True)
class BoundElsewhere:
    """Tell of one exchange order id at a time whether an attempt of the account is known by it, ``but`` itself left out."""

    db: apsw.Connection
    account: AccountId
    but: str | None

    def __contains__(self, exchange_order_id: object) -> bool:
        return exchange_order_id != self.but and bool(bound_order_ids(self.db, self.account, [str(exchange_order_id)]))


def accepted_foreign(db: apsw.Connection, account: AccountId, among: Iterable[str]) -> frozenset[str]:
    """Find which of these exchange order ids somebody accepted as not this ledger's, though they carry our mark."""
    rows = fetch_all(
        db,
        "SELECT exchange_order_id FROM foreign_order WHERE account_id = ? AND exchange_order_id IN (SELECT value FROM json_each(?))",
        (account, json.dumps(list(among))),
    )
    return frozenset(row[0] for row in rows)


def accept_foreign(db: apsw.Connection, account: AccountId, name: str, exchange_order_ids: Sequence[str], by: str, at: datetime) -> None:
    """Write down that somebody accepted these orders as not this ledger's."""
    db.executemany("INSERT OR IGNORE INTO foreign_order VALUES (?, ?)", [(account, each) for each in exchange_order_ids])
    write_event(db, "decision", name, {"foreign": list(exchange_order_ids), "by": by}, at)


def knows_client_order_id(db: apsw.Connection, client_order_id: str) -> bool:
    """Tell whether an attempt with this client order id was ever claimed."""
    return fetch_one(db, "SELECT 1 FROM attempt WHERE client_order_id = ?", (client_order_id,)) is not None


def goal_key(db: apsw.Connection, account: AccountId, strategy: StrategyId, symbol: Symbol) -> OrderKey:
    """Read the order key of the newest exit of a strategy for (account, symbol)."""
    row = fetch_one(db, "SELECT order_key FROM goal WHERE account_id = ? AND strategy_id = ? AND symbol = ?", (account, strategy, symbol))
    return NO_ORDER_KEY if row is None else OrderKey(row[0])


_HOLDING = (
    "SELECT account_id, symbol, strategy_id, side, share, entries_open, entry_key, detached, carried, stop_loss, take_profit,"
    " position_id FROM holding WHERE account_id = ?"
)


def _holding(row: Row) -> Holding:
    return Holding(
        AccountId(row[0]), Symbol(row[1]), StrategyId(row[2]), PositionSide(row[3]), Quantity(Decimal(row[4])), row[5], OrderKey(row[6]),
        bool(row[7]), Quantity(Decimal(row[8])), _price(row[9]), _price(row[10]), row[11],
    )  # fmt: skip


def _price(text: str | None) -> Price | None:
    return None if text is None else Price(Decimal(text))


def read_holdings(db: apsw.Connection, account: AccountId) -> tuple[Holding, ...]:
    """Read what the engine holds for an account."""
    return tuple(_holding(row) for row in fetch_all(db, _HOLDING, (account,)))


def read_holding(db: apsw.Connection, account: AccountId, symbol: Symbol) -> Holding | None:
    """Read what the engine holds of one symbol for an account."""
    row = fetch_one(db, _HOLDING + " AND symbol = ?", (account, symbol))
    return None if row is None else _holding(row)
