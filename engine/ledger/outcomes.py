"""Write the outcome of a copy, with the event that reports it. Called inside the transactions of
the other verbs.
"""

import json
from datetime import datetime

from engine.domain.identifiers import CopyId
from engine.domain.leg import LEG_MOVES, LegState
from engine.domain.moves import require_move
from engine.domain.outcome import Outcome, OutcomeCode
from engine.ledger.codec import dump, to_us
from engine.ledger.query import Database, fetch_one, run


def _leg_state(outcome: Outcome) -> LegState:
    """Return the state of a leg that ends with this outcome and has no order under way."""
    if outcome.code is OutcomeCode.RESIDUE:
        return LegState.REJECTED
    return LegState(outcome.code.family)


def conclude(db: Database, copy: CopyId, leg: int, outcome: Outcome, at: datetime) -> bool:
    """End a leg that was never claimed (state NEW) with an outcome; return False, and write
    nothing, if it is not NEW any more.

    That is legitimate: the transaction of an exit supersedes entries that a lane is just planning. Raises InvalidMove for an outcome that only an order can have.
    """
    state = _leg_state(outcome)
    require_move(LEG_MOVES, LegState.NEW, state, "a leg")
    changed = run(
        db,
        "UPDATE leg SET state = ? WHERE copy_id = ? AND number = ? AND state = 'new'",
        (state.value, copy, leg),
    )
    if changed != 1:
        return False
    write_outcome(db, copy=copy, leg=leg, outcome=outcome, at=at)
    return True


def write_outcome(
    db: Database,
    copy: CopyId,
    leg: int,
    outcome: Outcome,
    at: datetime,
    *,
    goes_on: bool = False,
) -> None:
    """Set a copy's outcome and record the event; writing the same outcome twice records one event.

    The outcome of a copy is that of its last leg; the outcome of an earlier one (the exit of a
    reverse) is recorded as an event. So is that of one try of an exit that ``goes_on``: the copy
    then has no outcome.
    """
    numbers = dump(dict(outcome.numbers))
    if goes_on:
        forget_outcome(db, copy, leg)
        is_news = True
    else:
        changed = run(
            db,
            "UPDATE copy SET code = ?1, numbers = ?2, outcome_us = ?3 WHERE id = ?4 AND (code IS "
            "DISTINCT FROM ?1 OR numbers IS DISTINCT FROM ?2) AND NOT EXISTS (SELECT 1 FROM leg "
            "WHERE copy_id = ?4 AND number > ?5)",
            (outcome.code.value, numbers, to_us(at), copy, leg),
        )
        is_news = bool(changed) or not _is_last(db, copy, leg)
    if is_news:
        write_outcome_event(db, copy, outcome, at)


def write_outcome_event(db: Database, copy: CopyId, outcome: Outcome, at: datetime) -> None:
    """Record what became of one attempt, and leave the copy's outcome as it is."""
    db.execute(
        "INSERT INTO event (at_us, kind, copy_id, subject, data) VALUES (?, 'outcome', ?, ?, ?)",
        (to_us(at), copy, outcome.code.value, dump(dict(outcome.numbers))),
    )


def told_last(db: Database, copy: CopyId, leg: int, code: OutcomeCode) -> Outcome | None:
    """Return the newest outcome with this code that was recorded of a copy's last leg; None if none
    was, and for an earlier leg: an event does not say of which leg it is.
    """
    if not _is_last(db, copy, leg):
        return None
    row = fetch_one(
        db,
        "SELECT subject, data FROM event WHERE copy_id = ? AND kind = 'outcome' AND subject = ? "
        "ORDER BY sequence DESC LIMIT 1",
        (copy, code.value),
    )
    return None if row is None else read_outcome(*row)


def _is_last(db: Database, copy: CopyId, leg: int) -> bool:
    return fetch_one(db, "SELECT 1 FROM leg WHERE copy_id = ? AND number > ?", (copy, leg)) is None


def forget_outcome(db: Database, copy: CopyId, leg: int) -> None:
    """Withdraw a copy's outcome because its leg goes on; what was recorded as an event stays."""
    if _is_last(db, copy, leg):
        db.execute(
            "UPDATE copy SET code = NULL, numbers = NULL, outcome_us = NULL WHERE id = ?", (copy,)
        )


def read_outcome(code: str | None, numbers: str | None) -> Outcome | None:
    """Read what ``write_outcome`` wrote; None while there is no outcome yet."""
    return None if code is None else Outcome(OutcomeCode(code), json.loads(numbers or "{}"))


def write_event(
    db: Database, kind: str, subject: str, data: dict[str, object], at: datetime
) -> None:
    """Record an event that is no outcome, such as a switch."""
    db.execute(
        "INSERT INTO event (at_us, kind, subject, data) VALUES (?, ?, ?, ?)",
        (to_us(at), kind, subject, dump(data)),
    )


def write_pulse(
    db: Database, kind: str, subject: str, data: dict[str, object], at: datetime
) -> None:
    """Record an event that only refreshes open pages, in place of the previous one: one row exists,
    however often it happens.
    """
    db.execute(
        "DELETE FROM event WHERE kind = ? AND subject = ? AND copy_id IS NULL", (kind, subject)
    )
    write_event(db, kind=kind, subject=subject, data=data, at=at)
