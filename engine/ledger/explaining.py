"""Read the current circumstances of one copy, so that it can be explained: what its strategy holds,
which exit runs, what is not proven.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from engine.decisions.explaining import (
    CopyNow,
    ExitNow,
    FailingLeg,
    LaneNow,
    LiveNow,
    UnprovenNow,
)
from engine.decisions.order_lifecycle import AttemptState
from engine.domain.alert import TRIES_TOLD
from engine.domain.amounts import ZERO, Quantity
from engine.domain.identifiers import AccountId, CopyId, Symbol
from engine.domain.leg import LegState
from engine.domain.signal import Action
from engine.ledger.query import Database, fetch_all, fetch_one

InLane = Callable[[CopyId], LaneNow]
"""Returns what only the running task knows of a copy."""

_SENT: Final = frozenset({LegState.UNKNOWN, LegState.PLACED, LegState.PARTIALLY_FILLED})


def failed_tries(db: Database, copy: CopyId, leg: int) -> tuple[int, str, bool]:
    """Count the orders of a leg that filled nothing; return also the last one's cause, and
    whether the exchange itself refused it.
    """
    rows = fetch_all(
        db,
        "SELECT state, cause FROM attempt WHERE copy_id = ? AND leg = ? AND filled = '0' AND "
        "state IN ('new', 'rejected', 'cancelled')"
        " ORDER BY number",
        (copy, leg),
    )
    return (
        (len(rows), rows[-1][1], AttemptState(rows[-1][0]) is not AttemptState.NEW)
        if rows
        else (0, "", False)
    )


def failing_legs(db: Database, account: AccountId, in_lane: InLane) -> list[FailingLeg]:
    """Read the exits of an account, and the moves of a stop or target, that have failed so often
    that people are told.
    """
    rows = fetch_all(
        db,
        "SELECT copy_id, number, kind, symbol FROM leg INDEXED BY leg_live WHERE account_id = ? AND state "
        "IN ('new', 'claimed', 'unknown', 'placed', 'partially_filled') AND kind IN ('exit', 'protection') "
        "ORDER BY kind, symbol",
        (account,),
    )
    failing = []
    for identifier, number, kind, symbol in rows:
        copy = CopyId(identifier)
        tries, cause, _ = failed_tries(db, copy, number)
        lane = in_lane(copy)
        if tries + lane.failed >= TRIES_TOLD:
            failing.append(
                FailingLeg(kind, Symbol(symbol), tries + lane.failed, lane.problem or cause)
            )
    return failing


def read_copy_now(
    db: Database,
    signal_number: int,
    account_name: str,
    live: LiveNow | None,
    in_lane: InLane,
) -> CopyNow:
    """Read the current circumstances of a signal's copy; raises LookupError if there is none."""
    copy = fetch_one(
        db,
        "SELECT copy.id, copy.account_id, signal.strategy_id, signal.symbol, signal.action FROM copy"
        " JOIN signal ON signal.number = copy.signal_number JOIN account ON account.id = "
        "copy.account_id"
        " WHERE copy.signal_number = ? AND account.name = ?",
        (signal_number, account_name),
    )
    if copy is None:
        raise LookupError(f"signal {signal_number} has no copy for {account_name}")
    identifier, account, strategy, symbol, action = copy
    legs = fetch_all(
        db, "SELECT kind, state FROM leg WHERE copy_id = ? ORDER BY number", (identifier,)
    )
    kind = next(
        (each[0] for each in legs if LegState(each[1]).is_live), legs[-1][0] if legs else ""
    )
    sending = fetch_one(
        db, "SELECT 1 FROM attempt WHERE copy_id = ? AND state = 'claimed'", (identifier,)
    )
    holding = fetch_one(
        db,
        "SELECT share, side, entries_open, entry_key FROM holding WHERE account_id = ? AND symbol "
        "= ? AND strategy_id = ?",
        (account, symbol, strategy),
    )
    return CopyNow(
        symbol=Symbol(symbol),
        kind=kind,
        share=Quantity(ZERO if holding is None else Decimal(holding[0])),
        side="" if holding is None else holding[1],
        entries_open=0 if holding is None else holding[2],
        master_left=holding is not None
        and _master_left(
            db, account=account, strategy=strategy, symbol=symbol, entry_key=holding[3]
        ),
        is_sending=sending is not None,
        exit=_exit(db, account=account, strategy=strategy, symbol=symbol, in_lane=in_lane),
        unproven=_unproven(db, account, symbol),
        live=live,
        lane=in_lane(CopyId(identifier)),
        is_part=action == Action.REDUCE.value,
    )


def _master_left(db: Database, account: str, strategy: str, symbol: str, entry_key: str) -> bool:
    """Return whether a close or a reverse of the strategy counts as later than the entry that
    opened what it holds.
    """
    row = fetch_one(
        db,
        "SELECT 1 FROM signal WHERE strategy_id = ?1 AND symbol = ?2 AND order_key > ?3 AND "
        "action IN ('close', 'reverse') AND EXISTS (SELECT 1 FROM copy WHERE copy.signal_number = "
        "signal.number AND copy.account_id = ?4)"
        " AND is_test = 0 LIMIT 1",
        (strategy, symbol, entry_key, account),
    )
    return row is not None


def _exit(
    db: Database, account: str, strategy: str, symbol: str, in_lane: InLane
) -> ExitNow | None:
    row = fetch_one(
        db,
        "SELECT leg.copy_id, leg.number, leg.state, signal.id FROM leg JOIN copy ON copy.id = "
        "leg.copy_id JOIN signal ON signal.number ="
        " copy.signal_number WHERE leg.account_id = ? AND leg.symbol = ? AND leg.kind = 'exit' "
        "AND leg.strategy_id = ?"
        " AND leg.state IN ('new', 'claimed', 'unknown', 'placed', 'partially_filled') ORDER BY "
        "leg.order_key DESC LIMIT 1",
        (account, symbol, strategy),
    )
    if row is None:
        return None
    tries, cause, is_refused = failed_tries(db, CopyId(row[0]), row[1])
    lane, is_sent = in_lane(CopyId(row[0])), LegState(row[2]) in _SENT
    return ExitNow(
        signal=row[3],
        failed=tries + lane.failed,
        problem=lane.problem or cause,
        is_refused=is_refused and not lane.problem,
        is_sent=is_sent,
        waits_for=lane.waits_for,
    )


def _unproven(db: Database, account: str, symbol: str) -> UnprovenNow | None:
    """Read the order of ours there that most urgently lacks proof: one that was given up before one
    that is looked up.
    """
    row = fetch_one(
        db,
        "SELECT kind, state FROM attempt INDEXED BY attempt_open WHERE account_id = ? AND symbol "
        "= ? AND state IN ('claimed', 'unknown',"
        " 'placed', 'partially_filled', 'not_confirmed') AND (state = 'unknown' OR (state = "
        "'not_confirmed' AND freed = 0))"
        " ORDER BY state = 'unknown', id LIMIT 1",
        (account, symbol),
    )
    return (
        None
        if row is None
        else UnprovenNow(row[0], AttemptState(row[1]) is AttemptState.NOT_CONFIRMED)
    )
