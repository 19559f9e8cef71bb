"""The addresses that masters set to be called when a signal has settled, and which calls are due.

A call is due for each signal of a strategy that was recorded since its address was set, but not for
a close that a person asked for on single accounts; the row ends when the call was taken or was
given up.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.domain.holding import FLATTEN_ORIGIN
from engine.domain.identifiers import ReceiptId, StrategyId
from engine.domain.outcome import OutcomeCode
from engine.ledger.codec import from_us, to_us
from engine.ledger.query import Database, Row, fetch_all, fetch_one, in_list, run

_NOT_FINAL: Final = tuple(code.value for code in OutcomeCode if not code.is_final)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRow:
    """One strategy's address. ``taken_at`` is when the newest call was taken; ``problem`` is why the
    last one was not, since ``failing_since``. ``due`` counts the calls that are not over.
    """

    strategy: StrategyId
    url: str
    taken_at: datetime | None
    problem: str
    failing_since: datetime | None
    due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCall:
    """One call that is due: ``tries`` counts those that were begun."""

    signal_number: int
    signal_id: str
    receipt: ReceiptId
    key: str
    strategy: StrategyId
    url: str
    tries: int
    received_at: datetime


def set_callback(db: Database, strategy: StrategyId, url: str, at: datetime) -> None:
    """Set a strategy's address; an empty one ends its calls. Signals recorded from now on are
    called for.
    """
    db.execute("DELETE FROM callback WHERE strategy_id = ?", (strategy,))
    db.execute("DELETE FROM callback_due WHERE strategy_id = ?", (strategy,))
    if url:
        db.execute(
            "INSERT INTO callback (strategy_id, url, set_us, seen) VALUES (?1, ?2, ?3, coalesce("
            "(SELECT number FROM signal WHERE strategy_id = ?1 ORDER BY number DESC LIMIT 1), 0))",
            (strategy, url, to_us(at)),
        )


def callback_of(db: Database, strategy: StrategyId) -> CallbackRow | None:
    """Read a strategy's address; None if none is set."""
    row = fetch_one(
        db,
        "SELECT url, taken_us, problem, failing_us, (SELECT count(*) FROM callback_due WHERE "
        "callback_due.strategy_id = callback.strategy_id) FROM callback WHERE strategy_id = ?",
        (strategy,),
    )
    if row is None:
        return None
    return CallbackRow(
        strategy=strategy,
        url=row[0],
        taken_at=None if row[1] is None else from_us(row[1]),
        problem=row[2],
        failing_since=None if row[3] is None else from_us(row[3]),
        due=row[4],
    )


def note_due(db: Database, limit: int) -> None:
    """Note a call for each new signal of strategies with an address, of at most ``limit`` a
    strategy.
    """
    for strategy, seen in fetch_all(db, "SELECT strategy_id, seen FROM callback"):
        rows = fetch_all(
            db,
            "SELECT number, received_us, origin FROM signal WHERE strategy_id = ? AND number > ? "
            "ORDER BY number LIMIT ?",
            (strategy, seen, limit),
        )
        db.executemany(
            "INSERT INTO callback_due (signal_number, strategy_id, next_us) VALUES (?, ?, ?) ON "
            "CONFLICT (signal_number) DO NOTHING",
            [
                (number, strategy, received_us)
                for number, received_us, origin in rows
                if origin != FLATTEN_ORIGIN
            ],
        )
        if rows:
            db.execute(
                "UPDATE callback SET seen = ? WHERE strategy_id = ?", (rows[-1][0], strategy)
            )


def has_new(db: Database) -> bool:
    """Return whether a strategy with an address has a signal for which no call is noted yet."""
    return (
        fetch_one(
            db,
            "SELECT 1 FROM callback WHERE EXISTS (SELECT 1 FROM signal WHERE signal.strategy_id = "
            "callback.strategy_id AND signal.number > callback.seen) LIMIT 1",
        )
        is not None
    )


def is_settled(db: Database, signal: int) -> bool:
    """Return whether every copy of a signal, by its number, has its final outcome."""
    return (
        fetch_one(
            db,
            "SELECT 1 FROM copy WHERE signal_number = ? AND (code IS NULL OR code IN "
            f"{in_list(_NOT_FINAL)}) LIMIT 1",
            (signal, *_NOT_FINAL),
        )
        is None
    )


def settled_at(db: Database, call: DueCall) -> datetime:
    """Read when a call's signal settled: when its last copy had its outcome, and for one without
    copies when it was received.
    """
    row = fetch_one(
        db,
        "SELECT max(outcome_us) FROM copy WHERE signal_number = ?",
        (call.signal_number,),
    )
    return call.received_at if row is None or row[0] is None else from_us(row[0])


_DUE = (
    "SELECT signal.number, signal.id, receipt_id, dedupe_key, callback.strategy_id, url, tries, "
    "received_us FROM callback JOIN callback_due ON callback_due.signal_number = (SELECT "
    "first.signal_number FROM callback_due AS first WHERE first.strategy_id = "
    "callback.strategy_id AND first.next_us <= ? ORDER BY first.next_us, first.signal_number "
    "LIMIT 1) JOIN signal ON signal.number = callback_due.signal_number"
)


def due_calls(db: Database, now: datetime) -> list[DueCall]:
    """Read of each strategy the call that may be tried now and waits longest."""
    return [_due(row) for row in fetch_all(db, _DUE, (to_us(now),))]


def due_call(db: Database, strategy: StrategyId, now: datetime) -> DueCall | None:
    """Read the call of one strategy that may be tried now and waits longest; None without one."""
    row = fetch_one(db, _DUE + " WHERE callback.strategy_id = ?", (to_us(now), strategy))
    return None if row is None else _due(row)


def _due(row: Row) -> DueCall:
    return DueCall(
        signal_number=row[0],
        signal_id=row[1],
        receipt=ReceiptId(row[2]),
        key=row[3],
        strategy=StrategyId(row[4]),
        url=row[5],
        tries=row[6],
        received_at=from_us(row[7]),
    )


def postpone_call(db: Database, call: DueCall, until: datetime) -> None:
    """Look at a call later: its signal has not settled."""
    db.execute(
        "UPDATE callback_due SET next_us = ? WHERE signal_number = ?",
        (to_us(until), call.signal_number),
    )


def claim_call(db: Database, call: DueCall, until: datetime) -> bool:
    """Claim a call before it is made; it is due again at ``until`` unless it is over. Return False
    if it was claimed or ended meanwhile.
    """
    return (
        run(
            db,
            "UPDATE callback_due SET tries = tries + 1, next_us = ? WHERE signal_number = ? AND "
            "tries = ?",
            (to_us(until), call.signal_number, call.tries),
        )
        > 0
    )


def call_taken(db: Database, call: DueCall, at: datetime) -> None:
    """Record that a call was taken, unless its address was replaced meanwhile."""
    db.execute("DELETE FROM callback_due WHERE signal_number = ?", (call.signal_number,))
    db.execute(
        "UPDATE callback SET taken_us = ?, problem = '', failing_us = NULL WHERE strategy_id = ? AND "
        "url = ?",
        (to_us(at), call.strategy, call.url),
    )


def give_up_call(db: Database, call: DueCall) -> None:
    """End a call that was not taken."""
    db.execute("DELETE FROM callback_due WHERE signal_number = ?", (call.signal_number,))


def call_failed(db: Database, call: DueCall, problem: str, at: datetime, *, gives_up: bool) -> None:
    """Record why a call was not taken, unless its address was replaced meanwhile; with ``gives_up``
    it is over.
    """
    if gives_up:
        give_up_call(db, call)
    db.execute(
        "UPDATE callback SET problem = ?, failing_us = coalesce(failing_us, ?) WHERE strategy_id = ? "
        "AND url = ?",
        (problem, to_us(at), call.strategy, call.url),
    )
