"""Claim a leg: the step from NEW to CLAIMED with its attempt and, for an entry, its holding, in one
transaction.

What always holds: a leg is claimed at most once at a time (a compare-and-set on the leg); what
refuses an entry is checked again here, because more may have been recorded since it was planned.
"""

from dataclasses import dataclass
from datetime import datetime

from engine.domain.amounts import Money, Quantity, plain
from engine.domain.identifiers import AccountId, CopyId, StrategyId
from engine.domain.order import OrderIntent
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import OrderKey
from engine.ledger.codec import dump, to_us, write_intent, write_number
from engine.ledger.conserving import count_since_opened
from engine.ledger.copies import is_exiting_before
from engine.ledger.holdings import goal_key, keep_carried, read_holding
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, insert, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A requested claim. ``witness`` are the exchange order ids seen in the account's last snapshot
    of the symbol.

    ``adds``: the entry grows what its strategy holds. ``leave`` and ``carried`` are an exit's: the
    share that it leaves behind, and what it rounds off for the next one; None if fixed before.
    ``planned_from`` is the share that an exit was planned from. ``held_before`` is the whole
    position, the owner's part included, as the account's last reading shows it; None if it is not
    known.
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
class NotClaimed:
    """A claim that was not made: ``outcome`` ends the copy, None means that somebody else claimed
    or ended the leg.
    """

    outcome: Outcome | None


def claim(db: Database, wanted: Claim) -> int | NotClaimed:
    """Move a leg NEW -> CLAIMED with its attempt and, for an entry, its holding; return the
    attempt's id.
    """
    lock(db, Held.STRATEGY, wanted.strategy, shared=True)
    lock(db, Held.ACCOUNT, wanted.account)
    if wanted.kind == "entry":
        refused = _entry_refused(db, wanted)
        if refused is not None:
            return refused
    changed = run(
        db,
        "UPDATE leg SET state = 'claimed' WHERE copy_id = ? AND number = ? AND state = 'new'",
        (wanted.copy, wanted.leg),
    )
    if changed != 1:
        return NotClaimed(None)
    attempt_id = insert(
        db,
        "INSERT INTO attempt (copy_id, leg, number, kind, account_id, strategy_id, symbol, epoch, "
        "state, client_order_id, intent,"
        " witness, notional, margin, claimed_us, held_before) VALUES (?, ?, ?, ?, ?, ?, ?, ?, "
        "'claimed', ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            wanted.copy,
            wanted.leg,
            wanted.number,
            wanted.kind,
            wanted.account,
            wanted.strategy,
            wanted.intent.symbol,
            wanted.epoch,
            wanted.intent.client_order_id,
            write_intent(wanted.intent),
            dump(wanted.witness),
            plain(wanted.notional),
            plain(wanted.margin),
            to_us(wanted.at),
            None if wanted.held_before is None else plain(wanted.held_before),
        ),
    )
    if wanted.kind == "entry":
        _hold(db, wanted, attempt_id)
    else:
        assert wanted.leave is not None, "an exit says what it leaves behind"
        _fix_what_stays(db, wanted, wanted.leave)
    return attempt_id


def _hold(db: Database, wanted: Claim, attempt_id: int) -> None:
    """Let the strategy hold the symbol, and record which stop and target it wants there."""
    intent = wanted.intent
    stop, target = write_number(intent.stop_loss), write_number(intent.take_profit)
    # the key of the opening entry stays: a close that is older than this one still closes what was
    # opened
    if wanted.adds:
        db.execute(
            "UPDATE holding SET entries_open = entries_open + 1, stop_loss = coalesce(?, "
            "stop_loss), take_profit = coalesce(?, take_profit)"
            " WHERE account_id = ? AND symbol = ?",
            (stop, target, wanted.account, intent.symbol),
        )
        return
    db.execute(
        "INSERT INTO holding (account_id, symbol, strategy_id, side, share, entries_open, "
        "entry_key, stop_loss, take_profit, opened_by)"
        " VALUES (?, ?, ?, ?, '0', 1, ?, ?, ?, ?)"
        " ON CONFLICT (account_id, symbol) DO UPDATE SET entries_open = holding.entries_open + 1, entry_key = "
        "excluded.entry_key, side = excluded.side,"
        " strategy_id = excluded.strategy_id, detached = 0, carried = '0', stop_loss = "
        "excluded.stop_loss,"
        " take_profit = excluded.take_profit, position_id = '', opened_by = excluded.opened_by",
        (
            wanted.account,
            intent.symbol,
            wanted.strategy,
            intent.position_side.value,
            wanted.order_key,
            stop,
            target,
            attempt_id,
        ),
    )
    count_since_opened(db, wanted.account, intent.symbol)


def _fix_what_stays(db: Database, wanted: Claim, leave: Quantity) -> None:
    """Fix the share that an exit leaves behind: its later attempts continue towards it, whatever an
    earlier one closed.
    """
    db.execute(
        "UPDATE leg SET leave_share = ? WHERE copy_id = ? AND number = ? AND leave_share IS NULL",
        (plain(leave), wanted.copy, wanted.leg),
    )
    if wanted.carried is not None:
        keep_carried(db, wanted.account, wanted.intent.symbol, wanted.carried)


def _entry_refused(db: Database, wanted: Claim) -> NotClaimed | None:
    symbol = wanted.intent.symbol
    if goal_key(db, wanted.account, wanted.strategy, symbol) >= wanted.order_key:
        return NotClaimed(Outcome(OutcomeCode.SKIPPED_SUPERSEDED, {"symbol": symbol}))
    if is_exiting_before(
        db, account=wanted.account, strategy=wanted.strategy, symbol=symbol, before=wanted.order_key
    ):
        return NotClaimed(
            None
        )  # recorded while this entry was being claimed: planned again, it waits
    holding = read_holding(db, wanted.account, symbol)
    if holding is None or (holding.share == 0 and holding.entries_open == 0):
        return (
            NotClaimed(Outcome(OutcomeCode.SKIPPED_NOT_OPEN, {"symbol": symbol}))
            if wanted.adds
            else None
        )
    numbers = {
        "symbol": symbol,
        "side": holding.side.value,
        "held": plain(holding.share),
        "holder": holding.strategy,
        "held_side": holding.side.value,
    }
    if holding.strategy != wanted.strategy:
        return NotClaimed(Outcome(OutcomeCode.SKIPPED_SYMBOL_HELD, numbers))
    if wanted.adds and holding.side is wanted.intent.position_side:
        return None if holding.entries_open == 0 else NotClaimed(None)
    code = (
        OutcomeCode.SKIPPED_ALREADY_OPEN
        if holding.side is wanted.intent.position_side
        else OutcomeCode.SKIPPED_OPPOSITE_HELD
    )
    return NotClaimed(Outcome(code, numbers))
