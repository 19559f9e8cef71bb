"""Resolve an attempt: what the exchange, a person or a restart says about its fate, each step one
transaction.

What always holds: an attempt moves only along the lifecycle table; a holding's share is the sum of
what is proven filled; an exit that has not closed everything it is to close is open again in the
transaction that ends its try. Which attempt a leg goes with is decided in ``leading_attempt``.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from engine.decisions.leading_attempt import Tried, is_heard, leading
from engine.decisions.order_lifecycle import AttemptState, check_move, state_of
from engine.decisions.results import part
from engine.domain.amounts import EXACT, ZERO, Price, Quantity, plain
from engine.domain.booking import Cause
from engine.domain.errors import InvalidMove
from engine.domain.holding import FLATTEN_ORIGIN, Holding
from engine.domain.identifiers import AccountId, CopyId, Symbol
from engine.domain.leg import LegState
from engine.domain.order import OrderIntent, OrderReport, OrderStatus
from engine.domain.outcome import UNTOLD_FEE, UNTOLD_PRICE, Outcome, OutcomeCode
from engine.domain.signal import NO_ORDER_KEY
from engine.ledger.attempts import Attempt, filled_attempts, read_attempt
from engine.ledger.books import Change, bind_outside, change_share, note_order_fee, tell_order
from engine.ledger.codec import to_us, write_number
from engine.ledger.conserving import count_ended, count_since_opened
from engine.ledger.holdings import read_holding, remove_empty_holding
from engine.ledger.locking import Held, lock
from engine.ledger.outcomes import (
    forget_outcome,
    told_last,
    write_outcome,
    write_outcome_event,
)
from engine.ledger.query import Database, fetch_all, fetch_one


def complete(
    db: Database,
    attempt_id: int,
    report: OrderReport,
    outcome: Outcome,
    at: datetime,
    retry_at: datetime | None = None,
    *,
    opens_again: bool = True,
) -> None:
    """Record what the exchange proved about an attempt: its state, its fills, the holding's share,
    the copy's outcome.

    An exit that has not closed everything it is to close is open again in the same transaction, to
    be planned from ``retry_at`` on; without ``opens_again`` it stays ended. A report that shows less
    than is proven changes nothing.
    """
    lock(db, Held.ACCOUNT_OF_ATTEMPT, attempt_id)
    attempt = read_attempt(db, attempt_id)
    state = state_of(report)
    grown = Quantity(report.filled_quantity - attempt.filled)
    if grown < 0 or (state is attempt.state and grown == 0):
        return
    if state is not attempt.state or state is not AttemptState.PARTIALLY_FILLED:
        check_move(attempt.state, state)
    db.execute(
        "UPDATE attempt SET state = ?, exchange_order_id = ?, filled = ?, price = ?, ended_us = "
        "?, cause = ? WHERE id = ?",
        (
            state.value,
            report.exchange_order_id or attempt.exchange_order_id,
            plain(report.filled_quantity),
            None if report.average_price is None else plain(report.average_price),
            to_us(at),
            report.reason,
            attempt_id,
        ),
    )
    if state.is_terminal:
        count_ended(db, attempt_id)
    _move_share(db, attempt=attempt, grown=grown, report=report, at=at)
    if attempt.is_entry and report.position_id and not is_followed(db, attempt):
        _name_position(db, attempt, report.position_id)
    elif attempt.intent.whole_position and state is AttemptState.FILLED:
        _leave_position(db, attempt)
    if report.fee:
        note_order_fee(db, attempt_id, report.fee)
    if attempt.filled > 0:
        tell_order(
            db,
            attempt=attempt_id,
            filled=report.filled_quantity,
            average=report.average_price,
            fee=report.fee,
        )
    is_exit_ended = state.is_terminal and not attempt.is_entry and opens_again
    _move_leg(
        db,
        attempt=attempt,
        outcome=outcome,
        at=at,
        again_at=(retry_at or at) if is_exit_ended else None,
        has_grown=grown > 0,
    )


def end(
    db: Database,
    attempt_id: int,
    state: AttemptState,
    outcome: Outcome,
    cause: str,
    at: datetime,
    retry_at: datetime | None = None,
) -> None:
    """End or park an attempt without a report: REJECTED, UNKNOWN, NOT_CONFIRMED, KILLED, EXPIRED,
    SKIPPED or DENIED.

    With ``retry_at`` an exit that has not closed everything it is to close is open again from then
    on, in the same transaction.
    """
    lock(db, Held.ACCOUNT_OF_ATTEMPT, attempt_id)
    attempt = read_attempt(db, attempt_id)
    check_move(attempt.state, state)
    db.execute(
        "UPDATE attempt SET state = ?, cause = ?, ended_us = ? WHERE id = ?",
        (state.value, cause, to_us(at), attempt_id),
    )
    if state not in (AttemptState.UNKNOWN, AttemptState.NOT_CONFIRMED):
        _count_entries(db, attempt)
    _move_leg(db, attempt=attempt, outcome=outcome, at=at, again_at=retry_at)


def _move_leg(
    db: Database,
    attempt: Attempt,
    outcome: Outcome,
    at: datetime,
    again_at: datetime | None,
    *,
    has_grown: bool = False,
) -> None:
    """Let a leg follow after one of its attempts moved, and write what became of the copy.

    ``attempt`` is as it was before the move. With ``again_at`` an exit that has not closed
    everything it is to close is open again from then on.
    """
    leg_state, tries = _tries(db, attempt)
    is_closed = len(tries) == 1 or not _is_share_left(db, attempt.copy, attempt.leg)
    if not is_heard(
        Tried(attempt.id, attempt.state, attempt.filled > 0),
        tries,
        leg_state=leg_state,
        is_closed=is_closed,
        has_grown=has_grown,
    ):
        if has_grown:
            write_outcome_event(db, copy=attempt.copy, outcome=outcome, at=at)
        return
    lead = leading(tries, is_closed=is_closed)
    _set_leg(db, attempt, LegState(lead.state.value))
    is_other = lead.id != attempt.id
    if is_other and lead.state is AttemptState.NOT_CONFIRMED:
        again_at = None  # ``close_again`` repeats that one, from a reading
    goes_on = again_at is not None and _go_on_closing(db, attempt.copy, attempt.leg, again_at)
    if is_other and not goes_on:
        goes_on = lead.state.is_open
    if is_other or lead.state is AttemptState.NOT_CONFIRMED:
        outcome = _told_of_all(db, attempt, tries, outcome, is_closed=is_closed)
    write_outcome(db, copy=attempt.copy, leg=attempt.leg, outcome=outcome, at=at, goes_on=goes_on)


def _told_of_all(
    db: Database,
    attempt: Attempt,
    tries: Sequence[Tried],
    outcome: Outcome,
    *,
    is_closed: bool,
) -> Outcome:
    """Return what a leg came to whose attempt brought nothing, or does not lead it: what all of them
    closed together; else that the newest stayed without trace, if it did; else ``outcome``.
    """
    filled = {each.id for each in tries if each.has_filled}
    if is_closed and filled == {attempt.id}:
        return outcome
    if is_closed and filled:
        summed = outcome_of_fills(db, attempt.copy, attempt.leg) or outcome
        if attempt.id in filled:
            return summed
        return told_last(db, attempt.copy, attempt.leg, OutcomeCode.FILLED) or summed
    newest = tries[-1]
    if newest.state is AttemptState.NOT_CONFIRMED and newest.id != attempt.id:
        return told_last(db, attempt.copy, attempt.leg, OutcomeCode.NOT_CONFIRMED) or outcome
    return outcome


def _tries(db: Database, attempt: Attempt) -> tuple[str, list[Tried]]:
    """Read the state of an attempt's leg, and those of its attempts that may lead it: refused ones
    may be many.
    """
    rows = fetch_all(
        db,
        "SELECT leg.state, attempt.id, attempt.state, attempt.filled FROM leg JOIN attempt ON "
        "attempt.copy_id = leg.copy_id AND attempt.leg = leg.number WHERE leg.copy_id = ?1 AND "
        "leg.number = ?2 AND (attempt.id = ?3 OR attempt.filled != '0' OR attempt.state IN "
        "('claimed', 'unknown', 'placed', 'partially_filled') OR attempt.id = (SELECT max(id) "
        "FROM attempt AS newest WHERE newest.copy_id = ?1 AND newest.leg = ?2 AND newest.state != "
        "'new')) ORDER BY attempt.id",
        (attempt.copy, attempt.leg, attempt.id),
    )
    tries = [Tried(row[1], AttemptState(row[2]), row[3] != "0") for row in rows]
    return rows[0][0], tries


def outcome_of_fills(db: Database, copy: CopyId, leg: int) -> Outcome | None:
    """Return what the attempts of an exit closed together; None if nothing."""
    filled = filled_attempts(db, copy, leg)
    if not filled:
        return None
    last = filled[-1]
    numbers = {
        "side": last.intent.side.value,
        "symbol": last.intent.symbol,
        "filled": plain(sum((each.filled for each in filled), start=ZERO)),
        "price": last.price,
    }
    return Outcome(OutcomeCode.FILLED, numbers)


def back_to_new(
    db: Database, attempt_id: int, cause: str, retry_at: datetime, at: datetime
) -> None:
    """Return a leg to NEW with proof that nothing was executed; it is planned again from
    ``retry_at`` on, unless an earlier attempt was found working meanwhile.
    """
    lock(db, Held.ACCOUNT_OF_ATTEMPT, attempt_id)
    attempt = read_attempt(db, attempt_id)
    check_move(attempt.state, AttemptState.NEW)
    db.execute(
        "UPDATE attempt SET state = 'new', cause = ?, ended_us = ? WHERE id = ?",
        (cause, to_us(at), attempt_id),
    )
    working = fetch_one(
        db,
        "SELECT state FROM attempt WHERE copy_id = ? AND leg = ? AND state IN ('claimed', "
        "'unknown', 'placed', 'partially_filled') ORDER BY id DESC LIMIT 1",
        (attempt.copy, attempt.leg),
    )
    if working is None:
        reopen_leg(db, attempt.copy, attempt.leg, retry_at)
    else:
        _set_leg(db, attempt, LegState(working[0]))
    _count_entries(db, attempt)


def _set_leg(db: Database, attempt: Attempt, state: LegState) -> None:
    db.execute(
        "UPDATE leg SET state = ? WHERE copy_id = ? AND number = ?",
        (state.value, attempt.copy, attempt.leg),
    )


def reopen_leg(db: Database, copy: CopyId, leg: int, retry_at: datetime) -> None:
    """Permit a leg to be claimed again: an exit that is not done, or an attempt that provably
    executed nothing.
    """
    db.execute(
        "UPDATE leg SET state = 'new', retry_us = ? WHERE copy_id = ? AND number = ?",
        (to_us(retry_at), copy, leg),
    )


def close_again(db: Database, attempt_id: int, retry_at: datetime) -> bool:
    """Reopen an exit without trace, because a reading shows that everything in the position is
    ours; return False if it is done.
    """
    lock(db, Held.ACCOUNT_OF_ATTEMPT, attempt_id)
    attempt = read_attempt(db, attempt_id)
    is_left = attempt.state is AttemptState.NOT_CONFIRMED and is_left_without_trace(
        db, attempt.copy, attempt.leg
    )
    goes_on = is_left and _go_on_closing(db, attempt.copy, attempt.leg, retry_at)
    if goes_on:
        forget_outcome(db, attempt.copy, attempt.leg)
    return goes_on


def is_left_without_trace(db: Database, copy: CopyId, leg: int) -> bool:
    """Return whether a leg's newest order was given up without trace, and nothing was tried since."""
    return (
        fetch_one(
            db,
            "SELECT 1 FROM leg WHERE copy_id = ? AND number = ? AND state = 'not_confirmed'",
            (copy, leg),
        )
        is not None
    )


def is_followed(db: Database, attempt: Attempt) -> bool:
    """Return whether a later order of ours changed the position in the same contract, or may have;
    one that was given up does not count.
    """
    row = fetch_one(
        db,
        "SELECT 1 FROM attempt WHERE account_id = ? AND id > ? AND symbol = ?"
        " AND (filled != '0' OR state IN ('claimed', 'unknown', 'placed', 'partially_filled')) "
        "LIMIT 1",
        (attempt.account, attempt.id, attempt.intent.symbol),
    )
    return row is not None


def _go_on_closing(db: Database, copy: CopyId, leg: int, retry_at: datetime) -> bool:
    """Reopen an exit that has no order under way while more than it is to leave behind is still
    held; return False if it is done.
    """
    row = fetch_one(db, "SELECT state FROM leg WHERE copy_id = ? AND number = ?", (copy, leg))
    if row is None or LegState(row[0]).is_live or not _is_more_held(db, copy, leg):
        return False
    reopen_leg(db, copy, leg, retry_at)
    return True


def _is_more_held(db: Database, copy: CopyId, leg: int) -> bool:
    """Return whether an exit has something to do: its strategy holds more than it is to leave
    behind, or is to be flat while an entry may still bring something or a detached symbol is to be
    set free.
    """
    holding, leave = _held_by_exit(db, copy, leg)
    return holding is not None and (
        holding.share > leave or (leave == 0 and (holding.entries_open > 0 or holding.detached))
    )


def _is_share_left(db: Database, copy: CopyId, leg: int) -> bool:
    """Return whether the strategy of an exit holds more than it is to leave behind."""
    holding, leave = _held_by_exit(db, copy, leg)
    return holding is not None and holding.share > leave


def _held_by_exit(db: Database, copy: CopyId, leg: int) -> tuple[Holding | None, Decimal]:
    """Return what an exit can close of what is held, None if nothing or for another leg, and the
    share that it is to leave behind.
    """
    row = fetch_one(
        db,
        "SELECT kind, account_id, strategy_id, symbol, leave_share FROM leg WHERE copy_id = ? AND "
        "number = ?",
        (copy, leg),
    )
    if row is None or row[0] != "exit":
        return None, ZERO
    holding = read_holding(db, AccountId(row[1]), Symbol(row[3]))
    is_its_own = (
        holding is not None
        and holding.strategy == row[2]
        and _is_of_episode(db, holding, _newest_attempt(db, copy, leg))
    )
    return holding if is_its_own else None, Decimal(row[4] or 0)


def _move_share(
    db: Database, attempt: Attempt, grown: Quantity, report: OrderReport, at: datetime
) -> None:
    """Update a holding after an attempt's state was written: its share by a fill, and how many
    entries are open.
    """
    if grown <= 0:
        _count_entries(db, attempt)
        return
    holding = read_holding(db, attempt.account, attempt.intent.symbol)
    if holding is None and attempt.is_entry:
        holding = _hold_late(db, attempt)
    if (
        holding is not None
        and not attempt.is_entry
        and not (holding.strategy == attempt.strategy and _is_of_episode(db, holding, attempt.id))
    ):
        holding = (
            None  # what it closed was gone before: the share that is held now was entered later
        )
    is_first = (
        attempt.filled == 0
    )  # of a later part the order reports the average only: ``tell_order`` finds the part's own price
    change = Change(
        is_entry=attempt.is_entry,
        quantity=grown,
        at=at,
        cause=_cause(db, attempt),
        price=report.average_price if is_first else None,
        fee=report.fee if is_first else None,
        attempt=attempt.id,
        order_id=report.exchange_order_id,
        position_id=report.position_id,
        since=attempt.claimed_at,
    )
    if holding is not None:
        _book(db, holding, attempt, change)
    else:
        bind_outside(db, _gone(attempt), change)
    _count_entries(db, attempt)


def _newest_attempt(db: Database, copy: CopyId, leg: int) -> int:
    row = fetch_one(db, "SELECT max(id) FROM attempt WHERE copy_id = ? AND leg = ?", (copy, leg))
    return 0 if row is None else int(row[0] or 0)


def _is_of_episode(db: Database, holding: Holding, exit_id: int) -> bool:
    """Return whether an exit's attempt could close what a strategy holds now: it was claimed after
    the entry that opened it.
    """
    row = fetch_one(
        db,
        "SELECT fill.attempt_id FROM book JOIN fill ON fill.id = book.episode"
        " WHERE book.account_id = ? AND book.strategy_id = ? AND book.symbol = ?",
        (holding.account, holding.strategy, holding.symbol),
    )
    if row is None:  # it has brought nothing yet
        row = fetch_one(
            db,
            "SELECT opened_by FROM holding WHERE account_id = ? AND symbol = ?",
            (holding.account, holding.symbol),
        )
    return row is None or row[0] is None or row[0] < exit_id


def _book(db: Database, holding: Holding, attempt: Attempt, change: Change) -> None:
    """Write what an order executed: an exit closes our share first; an entry nets if the other side
    is held, as the exchange does.

    An exit that was given up let readings judge its contract: what they saw go since it was claimed
    is what it closed, and is gone from the share already.
    """
    if attempt.state is AttemptState.NOT_CONFIRMED and not attempt.is_entry:
        unseen = bind_outside(db, holding, change, seen_since=attempt.claimed_at)
        if unseen <= 0:
            return
        fee = part(change.fee, unseen, change.quantity)
        change = replace(change, quantity=Quantity(unseen), fee=fee)
    side = attempt.intent.position_side
    closing = not change.is_entry or (holding.side is not side and holding.share > 0)
    if not closing:
        change_share(db, replace(holding, side=side), change)
        return
    beyond = EXACT.subtract(change.quantity, holding.share)
    after = change_share(db, holding, replace(change, is_entry=False))
    if beyond <= 0:
        return
    rest = replace(change, quantity=beyond, fee=part(change.fee, beyond, change.quantity))
    if change.is_entry:
        change_share(db, replace(after, side=side), rest)
    else:
        bind_outside(db, holding, rest)


def _name_position(db: Database, attempt: Attempt, position_id: str) -> None:
    """Record the position that an entry opened or grew, if its strategy holds the contract.

    A position that is named already stays named: a share may have been closed with it, and only a
    reading and the record of closed positions tell how much (``actors.position_ids``).
    """
    db.execute(
        "UPDATE holding SET position_id = ?1 WHERE account_id = ?2 AND symbol = ?3 AND strategy_id "
        "= ?4 AND side = ?5 AND position_id = ''",
        (
            position_id,
            attempt.account,
            attempt.intent.symbol,
            attempt.strategy,
            attempt.intent.position_side.value,
        ),
    )


def _leave_position(db: Database, exit_: Attempt) -> None:
    """Clear a position that an exit closed as a whole: what is still held is in the one of our
    newest entry, if that is another one.

    An older one is never used instead: it is over. If nothing names another one, the next reading
    does.
    """
    intent = exit_.intent
    db.execute(
        "UPDATE holding SET position_id = coalesce((SELECT nullif(fill.position_id, ?4) FROM book "
        "JOIN fill ON fill.episode = book.episode"
        " WHERE book.account_id = ?1 AND book.strategy_id = ?2 AND book.symbol = ?3 AND "
        "fill.is_entry = 1 AND fill.position_id != ''"
        " ORDER BY fill.id DESC LIMIT 1), '') WHERE account_id = ?1 AND strategy_id = ?2 AND "
        "symbol = ?3 AND position_id = ?4"
        " AND position_id != ''",
        (exit_.account, exit_.strategy, intent.symbol, intent.position_id),
    )


def _cause(db: Database, attempt: Attempt) -> Cause:
    if attempt.is_entry:
        return Cause.SIGNAL
    row = fetch_one(
        db,
        "SELECT 1 FROM copy JOIN signal ON signal.number = copy.signal_number WHERE copy.id = ? "
        "AND origin = ?",
        (attempt.copy, FLATTEN_ORIGIN),
    )
    return Cause.SIGNAL if row is None else Cause.FLATTEN


def _gone(attempt: Attempt) -> Holding:
    """Return an empty holding in place of one that no longer exists."""
    return Holding(
        account=attempt.account,
        symbol=attempt.intent.symbol,
        strategy=attempt.strategy,
        side=attempt.intent.position_side,
        share=Quantity(ZERO),
        entries_open=0,
        entry_key=NO_ORDER_KEY,
    )


def _hold_late(db: Database, attempt: Attempt) -> Holding:
    """Let the strategy hold what an entry brought after its symbol had been set free: otherwise
    nobody would ever close it.
    """
    intent = attempt.intent
    db.execute(
        "INSERT INTO holding (account_id, symbol, strategy_id, side, share, entries_open, "
        "entry_key, stop_loss, take_profit, opened_by)"
        " SELECT ?, ?, ?, ?, '0', 0, order_key, ?, ?, ? FROM leg WHERE copy_id = ? AND number = ?",
        (
            attempt.account,
            intent.symbol,
            attempt.strategy,
            intent.position_side.value,
            write_number(intent.stop_loss),
            write_number(intent.take_profit),
            attempt.id,
            attempt.copy,
            attempt.leg,
        ),
    )
    count_since_opened(db, attempt.account, intent.symbol)
    holding = read_holding(db, attempt.account, intent.symbol)
    assert holding is not None, "it was inserted above"
    return holding


def _count_entries(db: Database, attempt: Attempt) -> None:
    """Update how many entries of a holding are open, and remove it if it holds nothing."""
    # Counted afresh each time: a count that is moved up and down goes wrong if one attempt ends
    # twice (freed, then proven after all).
    place = (attempt.account, attempt.intent.symbol)
    db.execute(
        "UPDATE holding SET entries_open = (SELECT count(*) FROM attempt INDEXED BY attempt_open "
        "WHERE account_id = ?1 AND symbol = ?2 AND kind = 'entry' AND state IN ('claimed', "
        "'unknown', 'placed', 'partially_filled', 'not_confirmed') AND (state != 'not_confirmed' "
        "OR freed = 0)) WHERE account_id = ?1 AND symbol = ?2",
        place,
    )
    remove_empty_holding(db, *place)


def free_symbol(db: Database, attempt_id: int) -> None:
    """Permit entries into a symbol again after an entry stayed without trace for long; the attempt
    stays NOT_CONFIRMED.
    """
    lock(db, Held.ACCOUNT_OF_ATTEMPT, attempt_id)
    attempt = read_attempt(db, attempt_id)
    if attempt.is_entry and attempt.state is AttemptState.NOT_CONFIRMED:
        db.execute("UPDATE attempt SET freed = 1 WHERE id = ?", (attempt_id,))
        _count_entries(db, attempt)


def decide_none(db: Database, attempt_id: int, note: str, by: str, at: datetime) -> None:
    """End an unproven attempt because a person looked and found no such order; raises InvalidMove
    if it is proven or ended.

    A leg that waited for it is over: nothing is sent in its place. What it is proven to have filled
    stays, so it then counts as cancelled.
    """
    lock(db, Held.ACCOUNT_OF_ATTEMPT, attempt_id)
    attempt = read_attempt(db, attempt_id)
    if attempt.state not in (AttemptState.UNKNOWN, AttemptState.NOT_CONFIRMED):
        raise InvalidMove(
            f"expected an order that is unknown or not confirmed, found {attempt.state.value}; "
            "nothing is to be decided"
        )
    cause = f"decided by {by}: {note}"[:200]
    numbers = {"quantity": plain(attempt.intent.quantity), "symbol": attempt.intent.symbol}
    if attempt.filled > 0:
        price = None if attempt.price == "?" else Price(Decimal(attempt.price))
        report = replace(
            _decided(attempt, OrderStatus.CANCELLED, at),
            filled_quantity=attempt.filled,
            average_price=price,
            reason=cause,
        )
        filled = {"side": attempt.intent.side.value, "filled": plain(attempt.filled)}
        outcome = Outcome(
            OutcomeCode.CANCELLED, {**numbers, **filled, "price": attempt.price, "fee": UNTOLD_FEE}
        )
        complete(db, attempt_id, report, outcome, at, opens_again=False)
        return
    end(
        db,
        attempt_id=attempt_id,
        state=AttemptState.REJECTED,
        outcome=Outcome(OutcomeCode.NOT_EXECUTED, {**numbers, "note": note, "by": by}),
        cause=cause,
        at=at,
    )


def decide_done(db: Database, attempt_id: int, at: datetime) -> None:
    """Take an unproven exit as done because a person looked and saw its effect; raises InvalidMove
    for any other order.

    Its price and fee stay unknown until the exchange reports them.
    """
    lock(db, Held.ACCOUNT_OF_ATTEMPT, attempt_id)
    attempt = read_attempt(db, attempt_id)
    if attempt.is_entry or attempt.state not in (AttemptState.UNKNOWN, AttemptState.NOT_CONFIRMED):
        found = f"an {attempt.kind} that is {attempt.state.value}"
        raise InvalidMove(
            f"expected a closing order that is unknown or not confirmed, found {found}"
        )
    intent = attempt.intent
    numbers = {
        "side": intent.side.value,
        "symbol": intent.symbol,
        "quantity": plain(intent.quantity),
        "filled": plain(intent.quantity),
        "price": UNTOLD_PRICE,
        "fee": UNTOLD_FEE,
    }
    complete(
        db,
        attempt_id=attempt_id,
        report=_decided(attempt, OrderStatus.FILLED, at),
        outcome=Outcome(OutcomeCode.FILLED, numbers),
        at=at,
    )


def _decided(attempt: Attempt, status: OrderStatus, at: datetime) -> OrderReport:
    """Build the report of a whole order that a person decides about; nobody told price and fee."""
    intent = attempt.intent
    return OrderReport(
        exchange_order_id="",
        client_order_id=None,
        symbol=intent.symbol,
        side=intent.side,
        quantity=intent.quantity,
        status=status,
        filled_quantity=intent.quantity,
        average_price=None,
        fee=None,
        created_at=at,
        reduce_only=not attempt.is_entry,
        reason="",
        position_id=intent.position_id,
    )


def orphan_claims(db: Database, epoch: int, at: datetime) -> int:
    """Turn every claim of an earlier run into UNKNOWN: it is not known whether it was sent. Return
    how many there were.
    """
    lock(db, Held.PLACE)
    rows = fetch_all(db, "SELECT id FROM attempt WHERE state = 'claimed' AND epoch < ?", (epoch,))
    for (attempt_id,) in rows:
        attempt = read_attempt(db, attempt_id)
        cause = "the process stopped while it was being sent"
        end(
            db,
            attempt_id=attempt_id,
            state=AttemptState.UNKNOWN,
            outcome=unknown_outcome(attempt.intent, cause),
            cause=cause,
            at=at,
        )
    return len(rows)


def unknown_outcome(intent: OrderIntent, cause: str) -> Outcome:
    """Return the outcome of an order that was sent without proof of its fate."""
    return Outcome(
        OutcomeCode.UNKNOWN,
        {"quantity": plain(intent.quantity), "symbol": intent.symbol, "cause": cause},
    )
